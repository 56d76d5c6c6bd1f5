"""The options of TLS, etcd's; the same ones for the clients' and for the peers' port."""

from __future__ import annotations

from typing import Final

from kvd.options.option import Option
from kvd.options.values import Boolean, Suites, Text

_FILE: Final = Text("FILE")

TLS: Final = (
    Option("cert-file", _FILE, "the certificate of https client URLs, and its chain"),
    Option("key-file", _FILE, "the key of cert-file, without a password"),
    Option(
        "client-cert-auth",
        Boolean(),
        "clients must show a certificate; its common name is its user (authentication)",
    ),
    Option(
        "trusted-ca-file",
        _FILE,
        "the authorities of client certificates; with it clients must show one",
    ),
    Option(
        "ca-file",
        _FILE,
        "old: trusted-ca-file and client-cert-auth in one",
        difference="Etcd 3.4 does not know it any more; 3.2 does",
    ),
    Option(
        "auto-tls",
        Boolean(),
        "without cert-file: make a certificate, in data-dir/fixtures/client",
    ),
    Option(
        "client-crl-file",
        _FILE,
        "revoked client certificates",
        difference="The list must be of an authority in trusted-ca-file",
    ),
    Option(
        "client-cert-allowed-hostname",
        Text("NAME"),
        "a host name that client certificates must be for; empty: any",
    ),
    Option(
        "peer-cert-file", _FILE, "the certificate of https peer URLs, and its chain"
    ),
    Option("peer-key-file", _FILE, "the key of peer-cert-file, without a password"),
    Option("peer-client-cert-auth", Boolean(), "members must show a certificate"),
    Option(
        "peer-trusted-ca-file",
        _FILE,
        "the authorities of members' certificates; with it members must show one",
    ),
    Option(
        "peer-ca-file",
        _FILE,
        "old: peer-trusted-ca-file and peer-client-cert-auth in one",
        difference="Etcd 3.4 does not know it any more; 3.2 does",
    ),
    Option(
        "peer-auto-tls",
        Boolean(),
        "without peer-cert-file: make a certificate, in data-dir/fixtures/peer",
    ),
    Option(
        "peer-crl-file",
        _FILE,
        "revoked certificates of members",
        difference="The list must be of an authority in peer-trusted-ca-file",
    ),
    Option(
        "peer-cert-allowed-cn",
        Text("NAME"),
        "the common name that members' certificates must have; empty: any",
    ),
    Option(
        "peer-cert-allowed-hostname",
        Text("NAME"),
        "a host name that members' certificates must be for; empty: any",
    ),
    Option(
        "cipher-suites",
        Suites(),
        "for TLS 1.2, as Go names them; empty: those with forward secrecy and AEAD",
        difference="Suites without forward secrecy, or with RC4 or 3DES, are refused",
    ),
)
