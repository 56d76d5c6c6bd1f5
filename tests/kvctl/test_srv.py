"""Endpoints from a domain's SRV records."""

from __future__ import annotations

import pytest
from twisted.names import dns

from kvd.kvctl.errors import Failed
from kvd.kvctl.srv import TARGETS_MAX, client_urls

SERVER = ("192.0.2.1", 53)
OTHER = ("192.0.2.2", 53)


class Dns:
    """
    A name server's answers.

    :ivar records: host and port by name.
    :ivar trouble: what comes of asking a server, by its address.
    """

    def __init__(self):
        self.records = {}
        self.trouble = {}
        self.asked = []

    def __call__(self, question, server, seconds):
        name = question.queries[0].name.name.decode()
        self.asked.append((name, server[0], seconds))
        trouble = self.trouble.get(server[0])
        if isinstance(trouble, Exception):
            raise trouble
        answer = dns.Message(id=question.id, answer=1)
        answer.rCode = trouble or (0 if name in self.records else 3)
        for host, port in self.records.get(name, ()):
            record = dns.Record_SRV(0, 0, port, host.encode())
            answer.answers.append(dns.RRHeader(name.encode(), dns.SRV, payload=record))
        return answer


@pytest.fixture
def records():
    return Dns()


def found(records, domain="d.example", service="", servers=(SERVER,)):
    return client_urls(domain, service, servers=servers, exchange=records)


def test_endpoints_with_tls_come_first(records):
    records.records = {
        "_etcd-client._tcp.d.example": [("m1.example.", 2379)],
        "_etcd-client-ssl._tcp.d.example": [("m2.example", 2380)],
    }
    assert found(records) == ["https://m2.example.:2380", "http://m1.example.:2379"]


def test_a_service_has_records_of_its_own(records):
    records.records = {"_etcd-client-ssl-blue._tcp.d.example": [("m1.example", 1)]}
    assert found(records, service="blue") == ["https://m1.example.:1"]


def test_records_of_neither_kind_are_an_error_that_names_both(records):
    with pytest.raises(Failed) as caught:
        found(records)
    assert caught.value.status == 1
    assert caught.value.text == (
        "dns lookup errors: "
        "lookup _etcd-client-ssl._tcp.d.example on 192.0.2.1:53: no such host and "
        "lookup _etcd-client._tcp.d.example on 192.0.2.1:53: no such host"
    )


def test_a_target_that_is_the_root_says_that_there_is_none(records):
    records.records = {"_etcd-client._tcp.d.example": [(".", 0)]}
    with pytest.raises(Failed, match="no such host"):
        found(records)


@pytest.mark.parametrize("trouble", [TimeoutError(), OSError("unreachable"), 2])
def test_the_next_server_is_asked_when_one_cannot_tell(records, trouble):
    records.records = {"_etcd-client._tcp.d.example": [("m1.example", 1)]}
    records.trouble = {SERVER[0]: trouble}
    assert found(records, servers=(SERVER, OTHER)) == ["http://m1.example.:1"]


def test_all_servers_are_asked_twice_and_then_the_last_trouble_is_told(records):
    records.trouble = {SERVER[0]: 2, OTHER[0]: TimeoutError()}
    with pytest.raises(Failed, match=r"on 192\.0\.2\.2:53: i/o timeout"):
        found(records, servers=(SERVER, OTHER))
    assert [(who, seconds) for _, who, seconds in records.asked[:4]] == [
        (SERVER[0], 2.0),
        (OTHER[0], 2.0),
        (SERVER[0], 4.0),
        (OTHER[0], 4.0),
    ]


def test_no_more_targets_are_taken_than_there_may_be(records):
    many = [("m.example", port) for port in range(1, TARGETS_MAX + 50)]
    records.records = {"_etcd-client._tcp.d.example": many}
    assert len(found(records)) == TARGETS_MAX


@pytest.mark.parametrize("domain", ["a" * 64 + ".example", "a..b", "\udcff.example"])
def test_a_domain_that_cannot_be_is_refused(records, domain):
    with pytest.raises(Failed):
        found(records, domain)
