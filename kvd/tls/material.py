"""What the files of one port hold: read completely and checked before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL

from kvd.errors import ConfigError
from kvd.tls.certificates import UNREADABLE, NameKey, name_key, read_name
from kvd.tls.settings import TlsSettings

FILE_BYTES_MAX = 4 << 20
_PEM_CRL = b"-----BEGIN X509 CRL-----"
_PEM_CRL_END = b"-----END X509 CRL-----"

ReadFile = Callable[[str], bytes]


@attrs.frozen(kw_only=True)
class Material:
    """
    :ivar chain: our certificate, then what leads from it to its authority; empty on
        a port that shows none.
    :ivar revoked: issuer and serial number of each revoked certificate.
    :ivar fingerprint: changes whenever one of the files does.
    """

    chain: tuple[x509.Certificate, ...] = ()
    key: PrivateKeyTypes | None = attrs.field(default=None, repr=False)
    authorities: tuple[x509.Certificate, ...] = ()
    revoked: frozenset[tuple[NameKey, int]] = frozenset()
    next_crl: datetime | None = None
    fingerprint: str = ""

    def ends(self) -> list[tuple[str, datetime]]:
        """Each certificate's name and the moment at which it expires."""
        return [
            (read_name(certificate), certificate.not_valid_after_utc)
            for certificate in (*self.chain, *self.authorities)
        ]


def read_material(settings: TlsSettings, read_file: ReadFile) -> Material:
    """
    :param read_file: at most ``FILE_BYTES_MAX`` and one byte of a file.
    :raises ConfigError: each bad file once, with option, path and what is wrong.
    """
    reading = _Reading(settings, read_file)
    chain = reading.certificates("cert-file", settings.cert_file)
    key = reading.key(settings.key_file)
    authorities = reading.certificates("trusted-ca-file", settings.trusted_ca_file)
    revocations = reading.revocations(settings.crl_file, authorities)
    if chain and key is not None and not _fits(chain[0], key):
        reading.wrong("key-file", settings.key_file, "is not the key of cert-file")
    if reading.problems:
        raise ConfigError(reading.problems)
    return Material(
        chain=chain,
        key=key,
        authorities=authorities,
        revoked=frozenset(
            (issuer, entry.serial_number)
            for issuer, each in ((name_key(each.issuer), each) for each in revocations)
            for entry in each
        ),
        next_crl=min(
            (each.next_update_utc for each in revocations if each.next_update_utc),
            default=None,
        ),
        fingerprint=reading.digest.hexdigest(),
    )


def _fits(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ours = key.public_key().public_bytes(*form)
    return certificate.public_key().public_bytes(*form) == ours


class _Reading:
    """One reading of all files of a port; collects what is wrong with them."""

    def __init__(self, settings: TlsSettings, read_file: ReadFile) -> None:
        self._settings = settings
        self._read_file = read_file
        self.problems: list[str] = []
        self.digest = hashlib.sha256()

    def wrong(self, option: str, path: str, what: str) -> None:
        self.problems.append(f"{self._settings.option(option)}: {path} {what}")

    def certificates(self, option: str, path: str) -> tuple[x509.Certificate, ...]:
        data = self._bytes(option, path)
        if data is None:
            return ()
        try:
            found = tuple(x509.load_pem_x509_certificates(data))
        except UNREADABLE:
            self.wrong(option, path, "holds no certificates in PEM form")
            return ()
        try:
            for each in found:
                _read_through(each)
        except UNREADABLE:
            self.wrong(option, path, "holds a certificate that cannot be read")
            return ()
        return found

    def key(self, path: str) -> PrivateKeyTypes | None:
        data = self._bytes("key-file", path)
        if data is None:
            return None
        try:
            key = serialization.load_pem_private_key(data, None)
        except TypeError:
            self.wrong("key-file", path, "is protected by a password; expected none")
        except (ValueError, SSL.Error, UnsupportedAlgorithm):
            self.wrong("key-file", path, "holds no private key in PEM form")
        else:
            return key
        return None

    def revocations(
        self, path: str, authorities: tuple[x509.Certificate, ...]
    ) -> list[x509.CertificateRevocationList]:
        data = self._bytes("crl-file", path)
        if data is None:
            return []
        try:
            found = _revocation_lists(data)
            for each in found:
                _read_list_through(each)
        except UNREADABLE:
            self.wrong("crl-file", path, "holds no revocation list")
            return []
        for each in found:
            if authorities and not any(_signed(each, one) for one in authorities):
                issuer = each.issuer.rfc4514_string()
                self.wrong(
                    "crl-file",
                    path,
                    f"holds a list of {issuer}, whom trusted-ca-file does not vouch for",
                )
        return found

    def _bytes(self, option: str, path: str) -> bytes | None:
        """None for a file that is not set or cannot be read."""
        self.digest.update(path.encode("utf-8", "surrogateescape") + b"\0")
        if not path:
            return None
        try:
            data = self._read_file(path)
        except OSError as error:
            reason = error.strerror or str(error)
            self.wrong(option, path, f"cannot be read: {reason}")
            return None
        if len(data) > FILE_BYTES_MAX:
            self.wrong(option, path, f"is longer than {FILE_BYTES_MAX} bytes")
            return None
        self.digest.update(hashlib.sha256(data).digest())
        return data


def _revocation_lists(data: bytes) -> list[x509.CertificateRevocationList]:
    """In PEM form, several behind each other, or one in DER form, as etcd takes it."""
    if _PEM_CRL not in data:
        return [x509.load_der_x509_crl(data)]
    pieces = data.split(_PEM_CRL)[1:]
    return [
        x509.load_pem_x509_crl(
            _PEM_CRL + piece.partition(_PEM_CRL_END)[0] + _PEM_CRL_END + b"\n"
        )
        for piece in pieces
    ]


def _read_through(certificate: x509.Certificate) -> None:
    """
    Look at all that is ever asked for.

    :raises UNREADABLE: not every part of it is well-formed.
    """
    name_key(certificate.subject)
    certificate.public_key()
    _ = certificate.not_valid_after_utc


def _read_list_through(revocations: x509.CertificateRevocationList) -> None:
    """:raises UNREADABLE: not every part of it is well-formed."""
    name_key(revocations.issuer)
    _ = revocations.next_update_utc
    for entry in revocations:
        _ = entry.serial_number


def _signed(
    revocations: x509.CertificateRevocationList, authority: x509.Certificate
) -> bool:
    if name_key(revocations.issuer) != name_key(authority.subject):
        return False
    key = authority.public_key()
    try:
        return revocations.is_signature_valid(key)  # type: ignore[arg-type]  # others fail
    except (InvalidSignature, TypeError, *UNREADABLE):
        return False


def days_left(moment: datetime, *, now: datetime) -> float:
    """Days until then, negative afterwards."""
    return (moment - now).total_seconds() / 86_400


def utc_now() -> datetime:
    """For those who have no other clock."""
    return datetime.now(UTC)
