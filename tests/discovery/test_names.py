"""SRV and address records out of twisted.names' answers."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.names.common import ResolverBase
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DNSServerError

from kvd.discovery.failures import LookupFailed
from kvd.discovery.names import DnsRecords
from kvd.discovery.srv import Target


class Answers(ResolverBase):
    """In place of the resolver that asks name servers."""

    def __init__(self, records):
        super().__init__()
        self.records = records
        self.made = []
        self.asked = []

    def __call__(self, **arguments):
        self.made.append(arguments)
        self._parseCall = arguments["reactor"].callLater(60, lambda: None)
        return self

    def _lookup(self, name, cls, kind, timeout):
        self.asked.append((name, kind))
        found = self.records.get((name.decode(), kind), DNSNameError())
        if isinstance(found, Exception):
            return fail(found)
        headers = [dns.RRHeader(name, each.TYPE, payload=each) for each in found]
        return succeed((headers, [], []))


SRV = dns.Record_SRV(5, 0, 2380, b"infra1.example.com")
RECORDS = {
    ("s", dns.SRV): [
        SRV,
        dns.Record_SRV(1, 0, 2381, b"infra0.example.com"),
        dns.Record_A("10.0.0.9"),
        dns.Record_SRV(0, 0, 1, b"."),
    ],
    ("nothing", dns.SRV): [dns.Record_SRV(0, 0, 0, b".")],
    ("a", dns.A): [dns.Record_CNAME(b"b"), dns.Record_A("10.0.0.1")],
    ("a", dns.AAAA): DNSServerError(),
    ("six", dns.AAAA): [dns.Record_AAAA("fd::2")],
    ("broken", dns.A): DNSServerError(),
    ("broken", dns.AAAA): DNSServerError(),
    ("slow", dns.SRV): DNSQueryTimeoutError(1),
    ("empty", dns.A): [],
    ("empty", dns.AAAA): [],
}


class Asked:
    def __init__(self, tmp_path, servers=()):
        (tmp_path / "hosts").write_text("10.0.0.7 here\nfd::7 here\n")
        self.clock = Clock()
        self.answers = Answers(RECORDS)
        self.records = DnsRecords(
            self.clock,
            servers,
            resolver=self.answers,
            hosts=str(tmp_path / "hosts").encode(),
        )

    def __call__(self, what, name):
        found = []
        getattr(self.records, what)(name).addBoth(found.append)
        assert self.clock.getDelayedCalls() == []  # it would read resolv.conf for ever
        return getattr(found[0], "value", found[0])


def test_targets_come_in_the_order_of_their_priority(tmp_path):
    ask = Asked(tmp_path)
    assert ask("targets", "s") == [
        Target(1, "infra0.example.com", 2381),
        Target(5, "infra1.example.com", 2380),
    ]


def test_addresses_are_of_both_kinds(tmp_path):
    ask = Asked(tmp_path)
    assert ask("addresses", "a") == {"10.0.0.1"}
    assert ask("addresses", "six") == {"fd::2"}


def test_the_hosts_file_goes_first(tmp_path):
    ask = Asked(tmp_path)
    assert ask("addresses", "here") == {"10.0.0.7", "fd::7"}
    assert ask.answers.asked == []


@pytest.mark.parametrize(
    ("what", "name", "why"),
    [
        ("targets", "unknown", "is not known to the DNS"),
        ("targets", "nothing", "has no SRV records"),
        ("targets", "slow", "could not be looked up: DNSQueryTimeoutError"),
        ("addresses", "unknown", "is not known to the DNS"),
        ("addresses", "broken", "could not be looked up: DNSServerError"),
        ("addresses", "empty", "has no address"),
    ],
)
def test_what_cannot_be_looked_up_has_a_reason(tmp_path, what, name, why):
    error = Asked(tmp_path)(what, name)
    assert isinstance(error, LookupFailed)
    assert str(error) == why


def test_name_servers_come_from_the_configuration_or_from_the_system(tmp_path):
    ask = Asked(tmp_path, (("127.0.0.1", 5353),))
    ask("targets", "s")
    assert ask.answers.made[0]["servers"] == [("127.0.0.1", 5353)]
    assert ask.answers.made[0]["resolv"] is None
    ask = Asked(tmp_path)
    ask("targets", "s")
    assert ask.answers.made[0]["servers"] == []
    assert ask.answers.made[0]["resolv"] == "/etc/resolv.conf"


def test_a_lookup_can_be_given_up(tmp_path):
    ask = Asked(tmp_path)
    waiting: Deferred = Deferred()
    ask.answers.lookupService = lambda _: waiting
    looking = ask.records.targets("s")
    found = []
    looking.addErrback(found.append)
    looking.cancel()
    assert len(found) == 1
    assert ask.clock.getDelayedCalls() == []
