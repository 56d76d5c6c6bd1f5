"""Certificates: the client's own files, and what members show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from kvd.kvctl.check.findings import Finding, ok, problem, warning
from kvd.kvctl.observing import Observation

ABOUT: Final = "certificates"
WARN_DAYS: Final = 30.0  # as a member's log does
_DAY_SECONDS: Final = 86_400
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@attrs.frozen
class OwnFiles:
    """
    What the client's flags name; None is what they do not, or what cannot be read.

    :ivar key_mode: the permission bits of the key's file.
    """

    certificate: bytes | None = None
    key: bytes | None = attrs.field(default=None, repr=False)
    authorities: bytes | None = None
    key_mode: int = 0


@attrs.frozen
class Shown:
    """
    What came of a handshake with an endpoint.

    :ivar certificate: what the member showed, in DER; empty if it showed none.
    :ivar trouble: why it was not trusted, or why there was no handshake; else empty.
    """

    certificate: bytes = b""
    trouble: str = ""


def check_files(files: OwnFiles, *, now: dt.datetime) -> Iterator[Finding]:
    """The certificate with which this client shows who it is, and whom it trusts."""
    chain = authorities = None
    if files.certificate is not None:
        chain = _read(files.certificate)
        if not chain:
            yield problem(
                ABOUT, "--cert-file holds no certificate that can be read", _IN_PEM
            )
    if files.authorities is not None:
        authorities = _read(files.authorities)
        if not authorities:
            yield problem(
                ABOUT, "--ca-file holds no certificate that can be read", _IN_PEM
            )
    for option, found in (("--cert-file", chain), ("--ca-file", authorities)):
        for each in found or ():
            yield _dated(f"{option}: {name_of(each)}", each, now)
    if chain and files.key is not None:
        yield from _key(chain[0], files)
    if chain and authorities and not _leads(chain, authorities):
        yield warning(
            ABOUT,
            f"--cert-file: {name_of(chain[0])} was not issued by an authority in --ca-file",
            "members that trust the same authorities will refuse it; an own one for "
            "clients is fine",
        )


_IN_PEM: Final = "give a file of certificates in PEM"


def check_shown(shown: Mapping[str, Shown], *, now: dt.datetime) -> Iterator[Finding]:
    """What members present on their client ports, by URL."""
    for url, each in shown.items():
        certificate = _read_der(each.certificate) if each.certificate else None
        if each.trouble:
            names = (
                f"; it is for {', '.join(hosts_of(certificate))}" if certificate else ""
            )
            yield problem(
                ABOUT,
                f"{url}: {each.trouble}{names}",
                "a certificate for this name, by an authority in --ca-file",
            )
        if certificate is not None:
            yield _dated(f"{url}: {name_of(certificate)}", certificate, now)


def check_told(seen: Sequence[Observation]) -> Iterator[Finding]:
    """What members say about the files that they use, of their peer ports, too."""
    for each in seen:
        days = each.labelled("kvd_certificate_days_left", "file")
        for file, left in sorted(days.items()):
            if left <= WARN_DAYS:
                yield _by_days(f"{each.member.shown}: {file}", left)


def _dated(what: str, certificate: x509.Certificate, now: dt.datetime) -> Finding:
    if certificate.not_valid_before_utc > now:
        begins = certificate.not_valid_before_utc.isoformat(" ", "seconds")
        return problem(
            ABOUT,
            f"{what} is valid from {begins} on",
            "look whether clocks are right, or use it later",
        )
    left = certificate.not_valid_after_utc - now
    return _by_days(what, left.total_seconds() / _DAY_SECONDS)


def _by_days(what: str, days: float) -> Finding:
    if days < 0:
        return problem(ABOUT, f"{what} expired {-days:.0f} days ago", "renew it")
    if days <= WARN_DAYS:
        return warning(ABOUT, f"{what} expires in {days:.0f} days", "renew it in time")
    return ok(ABOUT, f"{what} is valid for {days:.0f} days")


def _key(certificate: x509.Certificate, files: OwnFiles) -> Iterator[Finding]:
    try:
        key = serialization.load_pem_private_key(files.key or b"", None)
        fits = key.public_key() == certificate.public_key()
    except _UNREADABLE:
        yield problem(
            ABOUT,
            "--key-file holds no private key that can be read",
            "give the key of --cert-file in PEM, without a password",
        )
        return
    if not fits:
        yield problem(
            ABOUT,
            "--key-file is not the key of --cert-file",
            "give the two that were made together",
        )
    if files.key_mode & 0o077:
        yield warning(
            ABOUT,
            f"--key-file can be read by others (mode {files.key_mode & 0o777:o})",
            "chmod 600",
        )


def _leads(
    chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]
) -> bool:
    """Whether each is issued by the next, or by an authority."""
    current, rest = chain[0], list(chain[1:])
    while True:
        if any(_issued(current, each) for each in authorities):
            return True
        following = next((each for each in rest if _issued(current, each)), None)
        if following is None:
            return False
        rest.remove(following)
        current = following


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def _read(data: bytes) -> list[x509.Certificate]:
    """Empty if it is not what it should be."""
    try:
        found = x509.load_pem_x509_certificates(data)
        for each in found:
            _ = each.not_valid_after_utc, each.public_key(), each.subject
    except _UNREADABLE:
        return []
    return found


def _read_der(data: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(data)
    except _UNREADABLE:
        return None


def name_of(certificate: x509.Certificate) -> str:
    """Its common name, or its whole subject."""
    try:
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = str(found[-1].value) if found else certificate.subject.rfc4514_string()
    except _UNREADABLE:
        name = ""
    return "".join(each if each.isprintable() else "?" for each in name) or "(no name)"


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that it is for."""
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
        addresses = map(str, names.get_values_for_type(x509.IPAddress))
        return [*names.get_values_for_type(x509.DNSName), *addresses] or ["nobody"]
    except (x509.ExtensionNotFound, *_UNREADABLE):
        return ["nobody"]
