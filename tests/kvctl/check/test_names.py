"""Where advertised URLs lead to."""

from __future__ import annotations

import pytest

from kvd.kvctl.check.findings import Level
from kvd.kvctl.check.names import check_names, host_of, hosts_of
from tests.kvctl.looks import member

DNS = {
    "a.example": ["10.0.0.1"],
    "b.example": ["10.0.0.2", "fe80::1%eth0"],
    "localhost": ["127.0.0.1", "::1"],
    "0.0.0.0": ["0.0.0.0"],
    "127.0.0.1": ["127.0.0.1"],
}


def resolve(host):
    try:
        return DNS[host]
    except KeyError:
        raise OSError(-2, "Name or service not known") from None


def findings(*hosts):
    members = [member(f"m{n}", host=host) for n, host in enumerate(hosts, start=1)]
    return list(check_names(members, resolve))


def bad(*hosts):
    return [each.seen for each in findings(*hosts) if each.level is Level.PROBLEM]


def test_names_that_can_be_looked_up_are_well():
    (finding,) = findings("a.example", "b.example")
    assert finding.level is Level.OK
    assert finding.seen == "2 advertised hosts can be looked up here"


def test_a_name_that_nobody_knows_is_told_once():
    assert bad("a.example", "none.example", "none.example") == [
        "none.example cannot be looked up: Name or service not known"
    ]


def test_an_address_to_listen_on_leads_nowhere():
    assert len(bad("0.0.0.0")) == 2
    assert "m1 advertises http://0.0.0.0:2" in bad("0.0.0.0")[0]


def test_loopback_is_right_for_one_member():
    assert [each.level for each in findings("localhost")] == [Level.OK]


def test_loopback_for_all_is_one_machine():
    levels = {each.level for each in findings("localhost", "127.0.0.1")}
    assert levels == {Level.OK, Level.WARNING}


def test_loopback_for_some_is_a_mistake():
    (told,) = bad("localhost", "a.example")
    assert told.startswith("m1: the others are told a peer URL on loopback")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example:1", "a.example"),
        ("https://[::1]:1", "::1"),
        ("unix://m1:1", ""),
        ("http://[", ""),
        ("nothing", ""),
    ],
)
def test_the_host_of_a_url(url, host):
    assert host_of(url) == host


def test_each_host_is_looked_up_once():
    assert hosts_of(
        [member("m1", host="b"), member("m2", host="a"), member("m3", host="b")]
    ) == ["a", "b"]
