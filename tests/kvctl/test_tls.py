"""Files of TLS that cannot be used, and what went wrong on connections."""

from __future__ import annotations

import ssl
from http.client import BadStatusLine, RemoteDisconnected

import pytest

from kvd.kvctl import words
from kvd.kvctl.errors import Failed
from kvd.kvctl.tls import Files
from kvd.tls.generate import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("certificates")
    main([str(made), "--client", "anna", "--client", "bert"])
    (made / "text.pem").write_text("no certificate")
    return made


def files(folder, *names):
    return Files(*(str(folder / name) if name else "" for name in names))


def problem(given):
    with pytest.raises(Failed) as caught:
        given.check()
    assert caught.value.status == 1
    return caught.value.text


def test_files_that_fit_are_taken_and_none_are_needed(folder):
    Files().check()
    files(folder, "ca.pem").check()
    files(folder, "ca.pem", "client-anna.pem", "client-anna.key").check()


def test_a_certificate_without_a_key_is_refused(folder):
    cert = str(folder / "client-anna.pem")
    text = f"KeyFile and CertFile must both be present[key: , cert: {cert}]"
    assert problem(Files(certificate=cert)) == text


@pytest.mark.parametrize(
    "names",
    [("no.pem",), ("", "no.pem", "client-anna.key"), ("", "client-anna.pem", "no.pem")],
)
def test_a_file_that_is_not_there_is_named(folder, names):
    missing = folder / "no.pem"
    assert (
        problem(files(folder, *names)) == f"open {missing}: no such file or directory"
    )


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("text.pem",), "text.pem"),
        (("", "text.pem", "client-anna.key"), "text.pem"),
        (("", "client-anna.pem", "client-bert.key"), "client-bert.key"),
    ],
)
def test_a_file_with_something_else_in_it_is_named(folder, names, named):
    assert named in problem(files(folder, *names))


def tls_error(reason):
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "text", "is_connection"),
    [
        (RemoteDisconnected("x"), "EOF", False),
        (ConnectionResetError(), "read tcp a->b: read: connection reset by peer", True),
        (words.CutOff(), "unexpected EOF", False),
        (
            BadStatusLine("SSH-2.0\r\n"),
            'net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0"',
            False,
        ),
        (OSError(113, "x"), "no route to host", False),
        (OSError("odd"), "odd", False),
        (
            tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            "remote error: tls: certificate required",
            False,
        ),
        (
            tls_error("TLSV1_ALERT_UNKNOWN_CA"),
            "remote error: tls: unknown certificate authority",
            False,
        ),
        (
            tls_error("WRONG_VERSION_NUMBER"),
            "http: server gave HTTP response to HTTPS client",
            False,
        ),
        (tls_error("SOMETHING_ELSE"), "tls: something else", False),
    ],
)
def test_troubles_of_connections_are_told_in_gos_words(error, text, is_connection):
    assert words.of(error, "a->b") == (text, is_connection)
