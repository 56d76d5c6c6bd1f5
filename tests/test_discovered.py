"""A member that begins by discovery, as a service."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from kvd.discovery.srv import Target
from kvd.finding import Finding
from tests.discovery.service import URL, Service
from tests.discovery.test_srv import HTTP, Dns
from tests.test_service import CONFIG, House

DISCOVERED = attrs.evolve(CONFIG, discovery=URL, initial_cluster=())


@pytest.fixture
def house():
    made = House()

    def observe(event):
        if str(event.get("log_namespace", "")).startswith("kvd."):
            text = event["log_format"].format(**event)
            made.lines.append((event["log_level"].name, text))

    globalLogPublisher.addObserver(observe)
    yield made
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def discovery(monkeypatch):
    """A discovery service that the member of the house asks."""
    service = Service(Clock(), "1")
    monkeypatch.setattr("kvd.beginning.Finding", partial(Finding, fetch=service))
    return service


def test_a_discovered_member_founds_its_cluster(house, discovery):
    house.start(DISCOVERED)
    house.run()
    house.line(level="info", text="founders: default=http://localhost:2380")
    house.line(level="info", text="new cluster of default")
    house.line(level="info", text="ready to serve")
    house.stop()
    # With data nobody is asked.
    discovery.asked.clear()
    house.lines.clear()
    house.start(DISCOVERED)
    house.run()
    house.line(level="warn", text=f"discovery: {URL} is ignored")
    house.line(level="info", text="ready to serve")
    assert discovery.asked == []
    house.stop()


def test_a_discovery_that_fails_is_told_in_lines_and_nothing_is_begun(house, discovery):
    discovery.put("1", "other=http://10.0.0.9:2380")
    house.start(attrs.evolve(DISCOVERED, discovery_fallback="exit"))
    house.run(0.1)
    assert house.process.said == ["prepare", 1]
    assert [text for level, text in house.lines if level == "critical"] == [
        "cannot start: failed to join discovery cluster (discovery: cluster is full)",
        (
            f"cannot start: discovery token {URL} was used, but failed to bootstrap the "
            "cluster."
        ),
        (
            "cannot start: please generate a new discovery token and try to bootstrap "
            "again."
        ),
    ]
    house.stop()
    assert not house.disk.exists("/data/member/identity")


def test_discovered_urls_are_checked_as_others_are(house, discovery):
    discovery.put("_config/size", "2")
    discovery.put("1", "other=http://localhost:2380")
    house.start(DISCOVERED)
    house.run(0.1)
    house.line(level="critical", text="has duplicate url")
    assert house.process.said == ["prepare", 1]
    house.stop()


def test_a_stop_ends_the_discovery_and_nothing_was_begun(house, discovery):
    discovery.put("_config/size", "2")
    house.start(DISCOVERED)
    house.run(0.1)
    house.line(level="info", text="1 of 2 members are there, waiting for 1 more")
    ports = [house.reactor.ports[where, 2380] for where in ("127.0.0.1", "::1")]
    assert all(port.reading for port in ports)  # whoever asks us is turned away
    house.stop()
    assert house.process.said == ["prepare"]
    assert not any(level == "critical" for level, _ in house.lines)
    assert not house.disk.exists("/data/member/identity")


def test_a_founding_that_was_cut_short_finds_its_own_entry(house, discovery):
    house.start(DISCOVERED)
    house.worker.hold_when = lambda: house.disk.exists("/data/member/identity")
    house.run(0.1)
    assert not any("new cluster" in text for _, text in house.lines)
    house.disk.process_end()  # the first entries were not written
    house.lines.clear()
    house.start(DISCOVERED)
    house.run()
    house.line(level="info", text="ready to serve")
    house.stop()


def test_who_was_stopped_while_it_waited_goes_on(house, discovery):
    discovery.put("_config/size", "2")
    for _ in range(2):
        house.start(DISCOVERED)
        house.run(0.1)
        house.line(level="info", text="1 of 2 members are there")
        house.stop()
        house.lines.clear()
    discovery.put("1", "other=http://10.0.0.9:2380")
    house.start(DISCOVERED)
    house.run(0.5)
    house.line(level="info", text="founders: default=http://localhost:2380,other=")
    house.stop()


def test_who_lost_its_data_does_not_go_on(house, discovery):
    discovery.put("_config/size", "2")
    house.start(DISCOVERED)
    house.run(0.1)
    house.stop()
    house.disk.remove("/data/member/discovery")
    house.lines.clear()
    house.start(DISCOVERED)
    house.run(0.1)
    house.line(level="critical", text="(discovery: found duplicate id)")
    house.stop()


def test_who_joins_a_cluster_discovers_none(house, discovery):
    house.start(attrs.evolve(DISCOVERED, initial_cluster_state="existing"))
    house.run(0.1)
    text = "discovery: discovery URL should not be set when joining existing"
    house.line(level="critical", text=text)
    assert discovery.asked == []
    house.stop()


def test_who_joins_a_cluster_may_find_its_members_in_the_dns(house, monkeypatch):
    records = Dns({HTTP: [Target(0, "localhost", 2380), Target(0, "10.0.0.9", 2380)]})
    monkeypatch.setattr("kvd.beginning.Finding", partial(Finding, records=records))
    house.start(
        attrs.evolve(
            CONFIG,
            discovery_srv="example.com",
            initial_cluster=(),
            initial_cluster_state="existing",
        )
    )
    house.run(0.1)
    house.line(level="info", text="the DNS names 0=http://10.0.0.9:2380")
    house.line(level="info", text="asking the members of the cluster about this one")
    assert [client[:2] for client in house.reactor.tcpClients] == [("10.0.0.9", 2380)]
    house.stop()


NAMED = attrs.evolve(
    CONFIG,
    initial_advertise_peer_urls=("http://me.example:2380",),  # all names are 127.0.0.1
)


def test_own_url_may_have_two_names(house):
    house.start(NAMED)
    house.run()
    house.line(level="info", text="ready to serve")
    house.stop()


def test_own_url_must_be_one_of_initial_cluster_under_whatever_name(house):
    cluster = (("default", ("http://10.0.0.7:2380",)),)
    house.start(attrs.evolve(NAMED, initial_cluster=cluster))
    house.run(0.1)
    text = (
        "--initial-cluster has default=http://10.0.0.7:2380 but missing from "
        "--initial-advertise-peer-urls=http://me.example:2380 "
        "(http://10.0.0.7:2380 is at 10.0.0.7)"
    )
    house.line(level="critical", text=text)
    assert house.process.said == ["prepare", 1]
    house.stop()
    assert not house.disk.exists("/data/member/identity")


OTHER = "other=http://10.0.0.9:2380"


def test_who_finds_the_cluster_full_may_become_its_proxy(house, discovery):
    discovery.put("1", OTHER)
    told = []
    house.start(DISCOVERED, become_proxy=told.append)
    house.run(0.1)
    assert told == [("http://10.0.0.9:2380",)]
    house.line(level="warn", text="cluster is full; falling back to proxy")
    assert house.process.said == ["prepare"]
    house.stop()
    assert all(port.closed for port in house.reactor.ports.values())
    house.disk.lock("/data/lock").release()
    assert not house.disk.exists("/data/member/identity")


@pytest.mark.parametrize(
    ("value", "fallback", "proxies"),
    [(OTHER, "exit", True), ("nonsense", "proxy", True), (OTHER, "proxy", False)],
)
def test_who_cannot_or_may_not_be_a_proxy_ends(
    house, discovery, value, fallback, proxies
):
    discovery.put("1", value)
    told = []
    config = attrs.evolve(DISCOVERED, discovery_fallback=fallback)
    house.start(config, become_proxy=told.append if proxies else None)
    house.run(0.1)
    assert told == []
    assert house.process.said == ["prepare", 1]
    house.line(level="critical", text="(discovery: cluster is full)")
    house.stop()
