"""From a discovery URL or a domain to the founders of a cluster."""

from __future__ import annotations

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from kvd.cluster.ids import member_id_of
from kvd.compose import founders, identity_of
from kvd.config import Config
from kvd.discovery.failures import AlreadyRegistered, DiscoveryFailed, DuplicateName
from kvd.errors import ConfigError, StorageError
from kvd.finding import Finding, lines_about
from tests.discovery.service import URL, Service
from tests.discovery.test_srv import Dns

A, B = "a=http://10.0.0.1:2380", "b=http://10.0.0.2:2380"
ME = Config(
    name="b",
    initial_advertise_peer_urls=("http://10.0.0.2:2380",),
    initial_cluster=(),
    discovery=URL,
)
SRV = attrs.evolve(ME, discovery="", discovery_srv="example.com")


class Disk:
    """Where notes are kept."""

    def __init__(self):
        self.place = ""

    def has_registered(self, place):
        return succeed(self.place == place)

    def register(self, place):
        self.place = place
        return succeed(None)


def found(config, *, again=False, notes=None, **seams):
    results = []
    finding = Finding(config=config, reactor=Clock(), **seams)
    finding = finding.find(notes=notes or Disk(), again=again)
    Deferred.fromCoroutine(finding).addBoth(results.append)
    assert results, "it waits"
    return getattr(results[0], "value", results[0])


@pytest.fixture
def service():
    made = Service(Clock(), "2")
    made.put("a1", A)
    return made


def test_the_discovery_url_is_the_token_of_the_cluster(service):
    # V2-SPEC 15.1, 16.1
    config = found(ME, fetch=service)
    own = member_id_of(["http://10.0.0.2:2380"], URL)
    assert service.keys[f"{own:x}"][0] == B
    assert config == attrs.evolve(
        ME,
        initial_cluster=(
            ("a", ("http://10.0.0.1:2380",)),
            ("b", ("http://10.0.0.2:2380",)),
        ),
    )
    members = founders(config)
    assert [record.name for record in members] == ["a", "b"]
    assert identity_of(config, members).member_id == own


def test_several_urls_are_registered_in_order(service):
    urls = ("http://10.0.0.3:2380", "http://10.0.0.2:2380")
    config = found(attrs.evolve(ME, initial_advertise_peer_urls=urls), fetch=service)
    assert config.initial_cluster[1] == ("b", urls[::-1])


def test_who_was_cut_short_may_go_on(service):
    found(ME, fetch=service)
    assert isinstance(found(ME, fetch=service), AlreadyRegistered)
    assert len(found(ME, fetch=service, again=True).initial_cluster) == 2


def test_who_was_stopped_while_it_waited_goes_on(service):
    disk = Disk()
    found(ME, notes=disk, fetch=service)
    own = member_id_of(["http://10.0.0.2:2380"], URL)
    assert disk.place == f"{own:x} at {URL}"
    assert len(found(ME, notes=disk, fetch=service).initial_cluster) == 2
    # Another one, or the same elsewhere, was not there.
    for other in (
        attrs.evolve(ME, initial_advertise_peer_urls=("http://10.0.0.1:2380",)),
        attrs.evolve(ME, discovery=URL.replace("2379/", "2379//")),
    ):
        service.put("_config/size", "9")
        own = member_id_of(other.initial_advertise_peer_urls, other.discovery)
        service.put(f"{own:x}", "x=http://10.0.0.8:1")
        error = found(other, notes=disk, fetch=service)
        assert isinstance(error, AlreadyRegistered)


def test_it_is_written_down_before_it_is_done(service):
    disk = Disk()
    disk.register = lambda _: fail(StorageError("full"))
    assert isinstance(found(ME, notes=disk, fetch=service), StorageError)
    assert len(service.keys) == 2


def test_the_founders_of_a_domain_are_the_same_on_every_member():
    """Each calls the others by numbers; the first entries of the log must not."""
    config = found(SRV, records=Dns())
    other = found(
        attrs.evolve(
            SRV, name="a", initial_advertise_peer_urls=("http://10.0.0.1:2380",)
        ),
        records=Dns(),
    )
    assert config.initial_cluster != other.initial_cluster
    assert founders(config) == founders(other)
    assert {record.name for record in founders(config)} == {""}
    one, two = (identity_of(each, founders(each)) for each in (config, other))
    assert one.cluster_id == two.cluster_id
    assert {one.member_id, two.member_id} == {
        record.member_id for record in founders(config)
    }
    assert one.member_id == member_id_of(
        ["http://infra1.example.com:2380"], "etcd-cluster"
    )


def test_the_order_of_urls_is_not_a_difference_between_founders():
    urls = ("http://10.0.0.2:1", "http://10.0.0.1:1")
    one, two = (
        founders(attrs.evolve(ME, initial_cluster=(("a", each),)))
        for each in (urls, urls[::-1])
    )
    assert one == two


def test_without_seams_the_network_is_asked():
    reactor = MemoryReactorClock()
    finding = Finding(
        config=attrs.evolve(ME, discovery_proxy="http://10.0.0.9:3128"), reactor=reactor
    )
    looking = Deferred.fromCoroutine(finding.find(notes=Disk(), again=False))
    looking.addErrback(lambda _: None)
    assert [client[1] for client in reactor.tcpClients] == [3128]
    looking.cancel()


@pytest.mark.parametrize(
    ("failed", "texts"),
    [
        (
            AlreadyRegistered(),
            [
                "failed to join discovery cluster (discovery: found duplicate id)",
                f'member "b" has previously registered with discovery service token ({URL}).',
                "in the given data dir (default.kvd).",
                "Please check the given data dir",
                "or use a new discovery token",
            ],
        ),
        (
            DuplicateName(),
            [
                "failed to join discovery cluster (discovery: found duplicate name)",
                f"member with duplicated name has registered with discovery service token({URL}).",
                "please check (cURL) the discovery token",
                "please do not reuse the discovery token",
            ],
        ),
        (
            DiscoveryFailed("discovery: token not found"),
            [
                "failed to join discovery cluster (discovery: token not found)",
                f"discovery token {URL} was used, but failed to bootstrap the cluster.",
                "please generate a new discovery token",
            ],
        ),
    ],
)
def test_a_failure_says_what_to_do(failed, texts):
    lines = lines_about(failed, ME)
    assert len(lines) == len(texts)
    for line, text in zip(lines, texts, strict=True):
        assert text in line


def test_a_failure_of_the_dns_names_its_option():
    assert lines_about(DiscoveryFailed("why"), SRV) == ["discovery-srv: why"]


def looked(config, **seams):
    results = []
    finding = Finding(config=config, reactor=Clock(), **seams)
    Deferred.fromCoroutine(finding.look()).addBoth(results.append)
    return getattr(results[0], "value", results[0])


def test_a_proxy_is_told_the_urls_of_the_founders(service):
    service.put("b1", B)
    assert looked(ME, fetch=service) == ("http://10.0.0.1:2380", "http://10.0.0.2:2380")
    assert len(service.keys) == 3
    assert looked(SRV, records=Dns()) == (
        "http://infra0.example.com:2380",
        "http://infra1.example.com:2380",
    )


def test_a_proxy_is_told_what_went_wrong():
    error = looked(SRV, records=Dns({}))
    assert isinstance(error, ConfigError)
    assert error.problems[0].startswith("discovery-srv: error querying DNS SRV records")
