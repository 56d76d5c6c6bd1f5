"""Hints: a terminal sees them, a script sees etcdctl's words alone."""

from __future__ import annotations

import io

import pytest

from kvd.kvctl import program
from kvd.kvctl.errors import EndpointFailed
from kvd.kvctl.hints import of_failures, of_word
from kvd.kvctl.streams import Streams


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(*words, err):
    streams = Streams(io.BytesIO(), io.StringIO(), err)
    status = program.run(words, {}, streams)
    return status, streams.err.getvalue()


NOBODY = ("--endpoints", "http://127.0.0.1:1,http://127.0.0.1:2", "get", "/a")


def test_a_script_sees_what_etcdctl_says_and_no_more():
    status, err = told(*NOBODY, err=io.StringIO())
    assert status == 2
    assert "hint" not in err
    assert err.count("connection refused") == 4


def test_a_terminal_is_told_who_was_tried_and_what_each_said():
    status, err = told(*NOBODY, err=Terminal())
    plain, hint = err.split("hint: ")
    assert status == 2
    assert plain.startswith("Error:  client: etcd cluster is unavailable")
    for port in (1, 2):
        assert (
            f"  http://127.0.0.1:{port}: dial tcp 127.0.0.1:{port}: connect: connection "
            "refused\n"
        ) in hint
    assert hint.count("does a member run") == 1
    assert "KVCTL_ENDPOINTS" not in hint


def test_who_named_no_endpoint_is_told_how():
    failures = [
        EndpointFailed("http://127.0.0.1:2379", "connect: connection refused"),
        EndpointFailed("http://127.0.0.1:4001", "connect: connection refused"),
    ]
    assert "--endpoints or KVCTL_ENDPOINTS" in of_failures(failures)
    failures.append(EndpointFailed("http://m1:2379", "connect: connection refused"))
    assert "KVCTL_ENDPOINTS" not in of_failures(failures)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("x509: certificate signed by unknown authority", "--ca-file"),
        ("remote error: tls: certificate required", "--cert-file"),
        ("http: server gave HTTP response to HTTPS client", "http:// instead"),
        ('malformed HTTP response "\\x15"', "https:// instead"),
        ("client: etcd member http://m1 has no leader", "kvctl check"),
        ("client: endpoint http://m1 exceeded header timeout", "--timeout"),
        ("dial tcp: lookup m1: no such host", "written right"),
        ("dial tcp 10.0.0.1:1: i/o timeout", "firewall"),
    ],
)
def test_each_failure_has_its_meaning(words, hint):
    assert hint in of_failures([EndpointFailed("http://m1", words)])


def test_a_failure_that_nobody_knows_is_told_as_it_is():
    assert of_failures([EndpointFailed("http://m1", "client: odd")]) == (
        "these were tried, one after the other:\n  http://m1: odd"
    )


@pytest.mark.parametrize(
    ("words", "unknown", "hint"),
    [
        (["gte", "/a"], "gte", "hint: did you mean get?\n"),
        (["member", "lst"], "lst", "hint: did you mean list?\n"),
        (["help", "exprot"], "exprot", "hint: did you mean export?\n"),
        (["xyzzy"], "xyzzy", ""),
    ],
)
def test_a_command_that_is_mistyped_is_guessed(words, unknown, hint):
    line = f"No help topic for '{unknown}'\n"
    assert told(*words, err=Terminal()) == (3, line + hint)
    assert told(*words, err=io.StringIO()) == (3, line)


def test_nothing_like_it_is_no_guess():
    assert of_word("xyzzy", ["get", "set"]) == ""
