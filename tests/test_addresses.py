"""Own peer URLs under two names (V2-SPEC 15.2)."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from kvd.addresses import LOOKUP_SECONDS, OwnUrls, addresses_of
from kvd.config import Config

HOSTS = {"one.example": {"10.0.0.1", "fd::1"}, "two.example": {"10.0.0.2"}}


class Comparison:
    def __init__(self, own, advertised, hosts=HOSTS):
        self.clock = Clock()
        self.hosts = dict(hosts)
        self.looked_up = []
        self.found = None
        config = Config(
            name="me",
            initial_cluster=(("me", own), ("other", ("http://10.0.0.9:1",))),
            initial_advertise_peer_urls=advertised,
        )
        urls = OwnUrls(config=config, lookup=self.lookup, clock=self.clock)
        self.comparing = Deferred.fromCoroutine(urls.problems())
        self.comparing.addBoth(self.ended)

    def lookup(self, host):
        self.looked_up.append(host)
        return succeed(frozenset(self.hosts.get(host, ())))

    def ended(self, found):
        self.found = getattr(found, "value", found)


def compare(own, advertised):
    return Comparison(own, advertised).found


def test_what_is_written_alike_is_not_looked_up():
    urls = ("http://nowhere.example:1", "http://10.0.0.1:1")
    comparison = Comparison(urls, urls[::-1])
    assert comparison.found == []
    assert comparison.looked_up == []


@pytest.mark.parametrize(
    ("own", "advertised"),
    [
        (("http://one.example:1",), ("http://10.0.0.1:1",)),
        (("http://[fd:0::1]:1",), ("http://one.example:1",)),
        (("http://localhost:1",), ("http://127.0.0.1:1",)),
        (
            ("http://one.example:1", "http://two.example:1"),
            ("http://10.0.0.2:1", "http://10.0.0.1:1"),
        ),
    ],
)
def test_names_for_one_address_are_the_same(own, advertised):
    assert compare(own, advertised) == []


def test_a_name_for_another_address_is_told_with_it():
    (line,) = compare(("http://one.example:1",), ("http://10.0.0.2:1",))
    assert line == (
        "initial-advertise-peer-urls: --initial-cluster has me=http://one.example:1 but "
        "missing from --initial-advertise-peer-urls=http://10.0.0.2:1 "
        "(http://one.example:1 is at 10.0.0.1, fd::1)"
    )


def test_the_port_counts():
    (line,) = compare(("http://one.example:1",), ("http://10.0.0.1:2",))
    assert "--initial-cluster has me=http://one.example:1 but missing" in line


def test_the_scheme_counts():
    (line,) = compare(("https://one.example:1",), ("http://10.0.0.1:1",))
    assert "--initial-cluster has me=https://one.example:1 but missing" in line


def test_a_url_too_many_is_told():
    (line,) = compare(
        ("http://one.example:1",), ("http://10.0.0.1:1", "http://two.example:1")
    )
    assert line == (
        "initial-cluster: --initial-advertise-peer-urls has http://two.example:1 but "
        "missing from --initial-cluster=me=http://one.example:1 "
        "(http://two.example:1 is at 10.0.0.2)"
    )


def test_a_name_that_is_not_known_yet_is_waited_for():
    comparison = Comparison(("http://new.example:1",), ("http://10.0.0.7:1",))
    comparison.clock.advance(1)
    comparison.clock.advance(1)
    assert comparison.found is None
    comparison.hosts["new.example"] = {"10.0.0.7"}
    comparison.clock.advance(1)
    assert comparison.found == []
    assert comparison.looked_up == ["new.example"] * 4


def test_nobody_waits_for_a_name_for_ever():
    comparison = Comparison(("http://new.example:1",), ("http://10.0.0.7:1",))
    for _ in range(int(LOOKUP_SECONDS)):
        assert comparison.found is None
        comparison.clock.advance(1)
    (line,) = comparison.found
    assert line.endswith("(http://new.example:1 is at no address)")
    assert comparison.clock.getDelayedCalls() == []


def test_a_stop_ends_it():
    comparison = Comparison(("http://new.example:1",), ("http://10.0.0.7:1",))
    comparison.comparing.cancel()
    assert isinstance(comparison.found, CancelledError)
    assert comparison.clock.getDelayedCalls() == []


class Resolver:
    """A reactor's; answers when it is told to."""

    nameResolver = property(lambda self: self)

    def resolveHostName(self, receiver, host):
        assert host == "one.example"
        receiver.resolutionBegan(self)
        self.receiver = receiver


def test_all_addresses_of_a_name_are_told_at_once():
    reactor = Resolver()
    looking = addresses_of(reactor, "one.example")
    for address in (
        IPv4Address("TCP", "10.0.0.1", 0),
        IPv6Address("TCP", "fd::1", 0),
        UNIXAddress("/x"),
    ):
        reactor.receiver.addressResolved(address)
    found = []
    looking.addCallback(found.append)
    assert found == []
    reactor.receiver.resolutionComplete()
    assert found == [{"10.0.0.1", "fd::1"}]


def test_an_answer_that_nobody_waits_for_is_dropped():
    reactor = Resolver()
    looking = addresses_of(reactor, "one.example")
    looking.addErrback(lambda _: None)
    looking.cancel()
    reactor.receiver.addressResolved(IPv4Address("TCP", "10.0.0.1", 0))
    reactor.receiver.resolutionComplete()
