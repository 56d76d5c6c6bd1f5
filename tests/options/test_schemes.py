"""What https URLs need, in etcd's words, and what http ones have no use for."""

from __future__ import annotations

import pytest

from kvd.errors import ConfigError
from kvd.options.load import load


def loaded(*flags):
    return load(flags=flags, environ={}, read_file=lambda _: b"", is_new=lambda _: True)


def refusals(*flags):
    with pytest.raises(ConfigError) as caught:
        loaded(*flags)
    return [line for line in caught.value.problems if not line.startswith("warning")]


CLIENT = (
    ("listen-client-urls", "https://127.0.0.1:2379"),
    ("advertise-client-urls", "https://127.0.0.1:2379"),
)
PEER = (
    ("listen-peer-urls", "https://127.0.0.1:2380"),
    ("initial-advertise-peer-urls", "https://127.0.0.1:2380"),
    ("initial-cluster", "default=https://127.0.0.1:2380"),
)
PAIR = (("cert-file", "c.pem"), ("key-file", "k.pem"))


def test_https_needs_a_certificate():
    (line,) = refusals(*CLIENT)
    assert line.startswith(
        "cert-file: TLS key/cert (--cert-file, --key-file) must be provided for client "
        "url https://127.0.0.1:2379 with HTTPS scheme"
    )
    (line,) = refusals(*PEER)
    assert line.startswith(
        "peer-cert-file: TLS key/cert (--peer-cert-file, --peer-key-file) must be "
        "provided for peer url https://127.0.0.1:2380 with HTTPS scheme"
    )
    assert loaded(*CLIENT, *PAIR).warnings == ()
    assert loaded(*CLIENT, ("auto-tls", "true")).config.auto_tls
    assert loaded(*PEER, ("peer-auto-tls", "true")).config.peer_auto_tls


@pytest.mark.parametrize(
    ("given", "missing"), [("cert-file", "key-file"), ("key-file", "cert-file")]
)
def test_certificate_and_key_go_together(given, missing):
    (line,) = refusals((given, "x.pem"))
    assert line.startswith(f"{missing}: expected together with {given}")


def test_who_asks_for_certificates_must_know_whose():
    (line,) = refusals(*CLIENT, *PAIR, ("client-cert-auth", "true"))
    assert line.startswith("trusted-ca-file: expected with client-cert-auth")
    for option in ("trusted-ca-file", "ca-file"):
        assert loaded(*CLIENT, *PAIR, ("client-cert-auth", "true"), (option, "a.pem"))


def test_certificates_beside_http_urls_are_only_warned_about():
    given = (*PAIR, ("client-cert-auth", "true"), ("trusted-ca-file", "a.pem"))
    files, asking = loaded(*given).warnings
    assert files == (
        "the scheme of client url http://localhost:2379 is HTTP while key/cert files "
        "are presented: they are of no use there"
    )
    assert asking == (
        "the scheme of client url http://localhost:2379 is HTTP while "
        "client-cert-auth is enabled: nobody is asked for a certificate there"
    )


def test_the_sections_of_a_file_are_read():
    file = b"""
client-transport-security:
  cert-file: c.pem
  key-file: k.pem
  client-cert-auth: true
  trusted-ca-file: a.pem
  client-crl-file: r.pem
peer-transport-security:
  cert-file: pc.pem
  key-file: pk.pem
  trusted-ca-file: pa.pem
  crl-file: pr.pem
  cert-allowed-cn: kvd peer
"""
    config = load(
        flags=[("config", "kvd.yml")],
        environ={},
        read_file=lambda _: file,
        is_new=lambda _: True,
    ).config
    assert (config.cert_file, config.key_file) == ("c.pem", "k.pem")
    assert config.client_cert_auth
    assert (config.trusted_ca_file, config.client_crl_file) == ("a.pem", "r.pem")
    assert (config.peer_cert_file, config.peer_key_file) == ("pc.pem", "pk.pem")
    assert (config.peer_trusted_ca_file, config.peer_crl_file) == ("pa.pem", "pr.pem")
    assert config.peer_cert_allowed_cn == "kvd peer"


@pytest.mark.parametrize(
    ("suite", "why"),
    [
        ("TLS_RSA_WITH_RC4_128_SHA", "is not secure any more"),
        ("TLS_NONSENSE", 'unexpected TLS cipher suite "TLS_NONSENSE"'),
    ],
)
def test_suites_that_are_weak_or_unknown_are_refused(suite, why):
    (line,) = refusals(("cipher-suites", suite))
    assert line.startswith("cipher-suites: ")
    assert why in line
