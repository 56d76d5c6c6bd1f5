"""Certificates: reading whose they are, and making them for a cluster of one's own."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER: Final = (ExtendedKeyUsageOID.SERVER_AUTH,)
CLIENT: Final = (ExtendedKeyUsageOID.CLIENT_AUTH,)
BOTH: Final = (*SERVER, *CLIENT)
# What is said of a certificate or a list that is none, or one that nobody can read.
# OpenSSL reads some that are not well-formed, and parts are looked at when asked for.
UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
NameKey: TypeAlias = tuple[frozenset[tuple[str, str]], ...]
_NAME_MAX: Final = 200
_NO_NAME: Final = "(no name)"
# So that a clock that is a little behind does not refuse what was just made.
_BACKDATED: Final = timedelta(minutes=5)


def read_common_name(certificate: x509.Certificate) -> str:
    """
    The subject's common name; the last of several, as Go.

    Empty when it has none, or none that can be read.
    """
    try:
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except UNREADABLE:
        return ""
    return str(found[-1].value) if found else ""


def read_name(certificate: x509.Certificate | None) -> str:
    """
    Whose it is, for the log: its common name, or its whole subject.

    :param certificate: None: one that cannot be read.
    """
    if certificate is None:
        return _NO_NAME
    try:
        name = read_common_name(certificate) or certificate.subject.rfc4514_string()
    except UNREADABLE:
        return _NO_NAME
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return shown[:_NAME_MAX] or _NO_NAME


def name_key(name: x509.Name) -> NameKey:
    """
    Equal for names that OpenSSL takes for the same: neither their encoding nor case
    nor the number of spaces matters.
    """
    return tuple(
        frozenset(
            (each.oid.dotted_string, " ".join(str(each.value).lower().split()))
            for each in part
        )
        for part in name.rdns
    )


def dns_names(certificate: x509.Certificate) -> list[str]:
    """The host names that it is for."""
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []
    return names.get_values_for_type(x509.DNSName)


@attrs.frozen
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = attrs.field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def make_authority(
    name: str, *, now: datetime, days: float, issuer: Issued | None = None
) -> Issued:
    """
    One that may sign others.

    :param issuer: who signs it, None: itself.
    """
    return _make(
        name,
        issuer,
        now=now,
        days=days,
        extensions=(
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (_key_usage(authority=True), True),
        ),
    )


def issue(
    authority: Issued | None,
    name: str,
    *,
    hosts: Iterable[str] = (),
    usage: Sequence[x509.ObjectIdentifier] = BOTH,
    now: datetime,
    days: float,
    begins: datetime | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Issued:
    """
    A certificate for a server, a client or both.

    :param authority: who signs it, None: itself.
    :param hosts: names and addresses that it is for.
    :param begins: when it becomes valid; just before ``now`` if nothing is said.
    :param key: of its own; a new one if nothing is said.
    """
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(authority=False), True),
    ]
    if usage:
        extensions.append((x509.ExtendedKeyUsage(usage), False))
    names = [_general_name(host) for host in hosts]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    return _make(
        name,
        authority,
        now=now,
        days=days,
        extensions=extensions,
        begins=begins,
        key=key,
    )


def revoke(
    authority: Issued,
    certificates: Iterable[x509.Certificate],
    *,
    now: datetime,
    days: float = 30.0,
) -> bytes:
    """A revocation list of an authority, in PEM form, good for so many days."""
    building = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - _BACKDATED)
        .next_update(now + timedelta(days=days))
    )
    for certificate in certificates:
        building = building.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(certificate.serial_number)
            .revocation_date(now - _BACKDATED)
            .build()
        )
    signed = building.sign(authority.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def write_private(path: str, data: bytes) -> None:
    """A file for its owner's eyes; whole or not at all."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with open(os.open(f"{path}.tmp", flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.tmp", path)


def _make(
    name: str,
    issuer: Issued | None,
    *,
    now: datetime,
    days: float,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    begins: datetime | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Issued:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer is not None else key
    building = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - max(_BACKDATED, timedelta(days=-2 * days)))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    for extension, critical in extensions:
        building = building.add_extension(extension, critical=critical)
    return Issued(building.sign(signer, hashes.SHA256()), key)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
