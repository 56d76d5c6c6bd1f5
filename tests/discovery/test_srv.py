"""Which SRV record is whom (V2-SPEC 16.2)."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed

from kvd.discovery.failures import DiscoveryFailed, LookupFailed
from kvd.discovery.srv import TARGETS_MAX, SrvDiscovery, Target
from kvd.options.values import Members

HTTP = "_etcd-server._tcp.example.com"
HTTPS = "_etcd-server-ssl._tcp.example.com"
HOSTS = {
    "infra0.example.com": {"10.0.0.1"},
    "infra1.example.com": {"10.0.0.2", "fd::2"},
}
TWO = [Target(0, "infra0.example.com", 2380), Target(0, "infra1.example.com", 2380)]


class Dns:
    def __init__(self, services=None, hosts=HOSTS):
        self.services = services if services is not None else {HTTP: TWO}
        self.hosts = hosts

    def targets(self, name):
        found = self.services.get(name)
        return succeed(found) if found else fail(LookupFailed("is not known"))

    def addresses(self, host):
        found = self.hosts.get(host)
        return succeed(frozenset(found)) if found else fail(LookupFailed("is unknown"))


def read(text):
    """As initial-cluster, but with https, for what is to come."""
    secure = {url for url in text.replace(",", "=").split("=") if url[:6] == "https:"}
    plain = {url.replace("https:", "http:"): url for url in secure}
    return tuple(
        (name, tuple(plain.get(url, url) for url in urls))
        for name, urls in Members().read(text.replace("https:", "http:"))
    )


def asked(
    dns, *, name="me", own=("http://10.0.0.1:2380",), suffix="", look=False, **kw
):
    discovery = SrvDiscovery(
        records=dns,
        domain="example.com",
        suffix=suffix,
        name=name,
        advertised=own,
        read=kw.get("read", read),
    )
    found = []
    Deferred.fromCoroutine(discovery.look() if look else discovery.join()).addBoth(
        found.append
    )
    result = found[0]
    return getattr(result, "value", None) or Members().show(result)


def test_own_record_is_found_by_its_address_and_the_others_get_numbers():
    assert asked(Dns()) == (
        "me=http://infra0.example.com:2380,0=http://infra1.example.com:2380"
    )
    assert asked(Dns(), own=("http://infra1.example.com:2380",)) == (
        "0=http://infra0.example.com:2380,me=http://infra1.example.com:2380"
    )


def test_an_ipv6_address_is_compared_whatever_its_spelling():
    assert asked(Dns(), own=("http://[fd:0::2]:2380",)).startswith("0=http://infra0")


def test_addresses_may_stand_in_the_records_themselves():
    dns = Dns({HTTP: [Target(0, "fd::7", 1), Target(0, "localhost", 2)]})
    assert asked(dns, own=("http://127.0.0.1:2",)) == (
        "0=http://[fd::7]:1,me=http://localhost:2"
    )


def test_the_port_belongs_to_it():
    dns = Dns({HTTP: [Target(0, "localhost", 1), Target(0, "localhost", 2)]})
    assert asked(dns, own=("http://localhost:2",)) == (
        "0=http://localhost:1,me=http://localhost:2"
    )


def test_a_number_that_is_our_name_is_not_given_to_another():
    assert asked(Dns(), name="0") == (
        "0=http://infra0.example.com:2380,1=http://infra1.example.com:2380"
    )


def test_two_urls_of_ours_are_one_member():
    own = ("http://10.0.0.1:2380", "http://10.0.0.2:2380")
    assert asked(Dns(), own=own) == (
        "me=http://infra0.example.com:2380,me=http://infra1.example.com:2380"
    )


def test_who_is_not_among_them_does_not_begin():
    error = asked(Dns(), own=("http://10.0.0.9:2380",))
    assert isinstance(error, DiscoveryFailed)
    assert str(error) == 'cannot find local etcd member "me" in SRV records'


def test_who_only_looks_need_not_be_among_them():
    assert asked(Dns(), own=("http://nowhere.example:2380",), look=True) == (
        "0=http://infra0.example.com:2380,1=http://infra1.example.com:2380"
    )


def test_a_target_without_address_is_a_member_all_the_same():
    dns = Dns(hosts={"infra0.example.com": {"10.0.0.1"}})
    assert asked(dns).endswith("0=http://infra1.example.com:2380")


def test_own_url_must_have_an_address():
    error = asked(Dns(), own=("http://nowhere.example:2380",))
    assert str(error) == (
        "initial-advertise-peer-urls: http://nowhere.example:2380: nowhere.example is "
        "unknown"
    )


def test_both_kinds_of_records_are_put_together():
    # etcd 3.4.23 forgets the http ones; 3.2 does not.
    dns = Dns({HTTP: TWO[:1], HTTPS: TWO[1:]})
    assert asked(dns) == (
        "0=https://infra1.example.com:2380,me=http://infra0.example.com:2380"
    )


def test_https_members_are_members_as_any():
    dns = Dns({HTTP: TWO[:1], HTTPS: TWO[1:]})
    founders = asked(dns, read=Members().read)
    assert founders == (
        "0=https://infra1.example.com:2380,me=http://infra0.example.com:2380"
    )


def test_the_scheme_of_ours_must_be_ours():
    error = asked(Dns({HTTPS: TWO}))
    assert str(error) == (
        "bootstrap at https://infra0.example.com:2380 from DNS has scheme mismatch with "
        "expected peer http://10.0.0.1:2380"
    )


def test_no_records_at_all_are_two_reasons():
    error = asked(Dns({}))
    assert str(error) == (
        "error querying DNS SRV records for _etcd-server-ssl is not known; "
        "error querying DNS SRV records for _etcd-server is not known"
    )


def test_the_name_of_the_service_can_have_a_suffix():
    dns = Dns({"_etcd-server-blue._tcp.example.com": TWO})
    assert asked(dns, suffix="blue").startswith("me=http://infra0")


def test_records_are_bounded():
    many = [Target(0, "127.0.0.1", port) for port in range(1, TARGETS_MAX + 2)]
    error = asked(Dns({HTTP: many}))
    assert "name 101 members, expected 100 at most" in str(error)
    assert asked(Dns({HTTP: many[:-1]}), own=("http://127.0.0.1:1",)).startswith("me=")


def test_a_target_that_is_no_host_is_refused():
    error = asked(Dns({HTTP: [Target(0, "a b", 1)]}), look=True)
    assert "the SRV records of example.com: expected a URL without spaces" in str(error)
