"""The TLS of a member's ports, as its configuration wants it."""

from __future__ import annotations

import stat
from datetime import timedelta

import attrs
import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher

from kvd.config import Config
from kvd.errors import ConfigError
from kvd.secured import Secured, tls_settings
from kvd.tls.certificates import dns_names, issue, make_authority
from kvd.tls.generate import main
from kvd.tls.material import utc_now


def made(config, **others):
    return Secured(config, MemoryReactorClock(), **others)


@pytest.fixture
def config(tmp_path):
    return Config(data_dir=str(tmp_path / "data"))


def test_each_port_has_its_own_options(config):
    client, peer = tls_settings(
        attrs.evolve(
            config,
            cert_file="c",
            key_file="k",
            ca_file="old",
            client_crl_file="r",
            client_cert_allowed_hostname="h",
            peer_cert_file="pc",
            peer_key_file="pk",
            peer_trusted_ca_file="pa",
            peer_crl_file="pr",
            peer_cert_allowed_cn="cn",
            cipher_suites=("S",),
        )
    )
    assert (client.cert_file, client.key_file, client.crl_file) == ("c", "k", "r")
    assert (client.trusted_ca_file, client.client_cert_auth) == ("old", True)
    assert (client.allowed_hostname, client.option("crl-file")) == (
        "h",
        "client-crl-file",
    )
    assert (peer.cert_file, peer.key_file, peer.crl_file) == ("pc", "pk", "pr")
    assert (peer.trusted_ca_file, peer.client_cert_auth) == ("pa", False)
    assert peer.asks_for_certificates
    assert (peer.allowed_cn, peer.option("cert-file")) == ("cn", "peer-cert-file")
    assert client.cipher_suites == peer.cipher_suites == ("S",)


def test_without_any_option_there_is_nothing_to_look_after(config):
    secured = made(config)
    secured.start()
    assert secured.certificates() == ()
    secured.stop()


def test_a_certificate_of_our_own_is_made_once(config, tmp_path):
    config = attrs.evolve(
        config,
        auto_tls=True,
        peer_auto_tls=True,
        advertise_client_urls=("https://kvd.example:2379",),
    )
    first = made(config)
    first.start()
    first.stop()
    folder = tmp_path / "data" / "fixtures" / "client"
    assert sorted(each.name for each in folder.iterdir()) == ["cert.pem", "key.pem"]
    for each in folder.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert dns_names(first.client.material.chain[0]) == ["kvd.example", "localhost"]
    again = made(config)
    again.start()
    again.stop()
    assert again.client.material.chain == first.client.material.chain
    assert [option for option, _ in again.certificates()] == [
        "cert-file",
        "peer-cert-file",
    ]


def test_a_certificate_of_our_own_is_made_anew_before_it_ends(config, tmp_path):
    config = attrs.evolve(config, auto_tls=True)
    clock, now = MemoryReactorClock(), [utc_now()]
    secured = Secured(config, clock, now=lambda: now[0])
    secured.start()
    first = secured.client.material.chain

    def days_go_by(days):
        now[0] += timedelta(days=days)
        clock.advance(86_400 * days)

    days_go_by(330)
    assert secured.client.material.chain == first
    days_go_by(6)
    second = secured.client.material.chain
    assert second != first
    assert secured.certificates()[0][1] > 300
    secured.stop()
    # One that ended while the member was down is no obstacle to its start.
    now[0] += timedelta(days=400)
    again = made(config, now=lambda: now[0])
    again.start()
    again.stop()
    assert again.client.material.chain != second


def test_a_certificate_of_our_own_that_cannot_be_made_anew_is_a_line(
    config, monkeypatch
):
    config = attrs.evolve(config, auto_tls=True)
    now = [utc_now()]
    secured = made(config, now=lambda: now[0])
    secured.start()
    first = secured.client.material.chain
    lines = []
    globalLogPublisher.addObserver(lines.append)

    def full(path, data):
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr("kvd.secured.write_private", full)
    now[0] += timedelta(days=360)
    secured._reactor.advance(86_400)
    globalLogPublisher.removeObserver(lines.append)
    secured.stop()
    said = [each["line"] for each in lines if "line" in each]
    assert any(line.startswith("auto-tls: ") and "No space" in line for line in said)
    assert secured.client.material.chain == first


def test_a_certificate_that_was_half_made_anew_is_no_obstacle_to_a_start(
    config, tmp_path
):
    config = attrs.evolve(config, auto_tls=True)
    now = [utc_now()]
    secured = made(config, now=lambda: now[0])
    secured.start()
    first = secured.client.material.chain
    in_the_way = tmp_path / "data" / "fixtures" / "client" / "cert.pem.tmp"
    in_the_way.mkdir()
    now[0] += timedelta(days=360)
    secured._reactor.advance(86_400)
    secured.stop()
    again = made(config, now=lambda: now[0])
    again.start()
    assert again.client.material.chain == first
    in_the_way.rmdir()
    again._reactor.advance(86_400)
    again.stop()
    assert again.client.material.chain != first


def test_a_certificate_that_others_vouch_for_is_not_made_anew(config, tmp_path):
    """Somebody has put it there, and has its key."""
    now = utc_now()
    authority = make_authority("ca", now=now, days=30)
    theirs = issue(authority, "kvd", hosts=["localhost"], now=now, days=2)
    folder = tmp_path / "data" / "fixtures" / "client"
    folder.mkdir(parents=True)
    (folder / "cert.pem").write_bytes(theirs.certificate_pem)
    (folder / "key.pem").write_bytes(theirs.key_pem)
    secured = made(attrs.evolve(config, auto_tls=True))
    secured.start()
    secured.stop()
    assert secured.client.material.chain == (theirs.certificate,)


def test_a_folder_that_cannot_be_made_is_the_options_mistake(config, tmp_path):
    (tmp_path / "data").write_text("a file")
    secured = made(attrs.evolve(config, peer_auto_tls=True))
    with pytest.raises(ConfigError) as caught:
        secured.start()
    (line,) = caught.value.problems
    assert line.startswith("peer-auto-tls: ")


def test_all_bad_files_are_named_at_once(config):
    secured = made(
        attrs.evolve(config, cert_file="/a", key_file="/b", peer_trusted_ca_file="/c")
    )
    with pytest.raises(ConfigError) as caught:
        secured.start()
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "cert-file",
        "key-file",
        "peer-trusted-ca-file",
    ]


def test_members_are_dialled_by_the_scheme_of_their_urls(config):
    secured = made(config)
    plain = secured.connect("http://127.0.0.1:2380")
    assert isinstance(plain, TCP4ClientEndpoint)
    secure = secured.connect("https://127.0.0.1:2380")
    assert secure._host == "127.0.0.1"
    assert secured.connect_to_client_url("https://a.example:1")._host == "a.example"
    with pytest.raises(ValueError, match="expected an http URL"):
        secured.connect("ftp://127.0.0.1:1")


def test_members_out_of_the_dns_are_for_the_domain_unless_we_know_an_authority(
    config, tmp_path
):
    config = attrs.evolve(config, discovery_srv="example.com")
    assert made(config).connect("https://10.0.0.1:2380")._host == "example.com"
    main([str(tmp_path / "tls")])
    known = attrs.evolve(config, peer_trusted_ca_file=str(tmp_path / "tls" / "ca.pem"))
    assert made(known).connect("https://10.0.0.1:2380")._host == "10.0.0.1"


def test_a_proxy_shows_members_what_its_own_port_has_or_else_what_peers_have(
    config, tmp_path
):
    folder = str(tmp_path / "tls")
    main([folder])
    peer = attrs.evolve(config, peer_trusted_ca_file=f"{folder}/ca.pem")
    secured = made(peer)
    assert secured.connect_to_client_url("https://a:1")._port is secured.peer
    both = attrs.evolve(peer, trusted_ca_file=f"{folder}/ca.pem")
    secured = made(both)
    assert secured.connect_to_client_url("https://a:1")._port is secured.client
