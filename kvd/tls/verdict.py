"""What is held against the other side of a handshake, in words for the log."""

from __future__ import annotations

from typing import Final

import attrs
from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from kvd.tls.certificates import dns_names, read_common_name, read_name

# OpenSSL's numbers (X509_V_ERR_...), which have no public table in Python.
_WORDS: Final = {
    2: "its issuer's certificate is missing",
    7: "its signature is wrong",
    9: "it is not yet valid",
    10: "it has expired",
    18: "it is signed by itself",
    19: "an authority that is not ours has signed it",
    20: "an authority that is not ours has signed it",
    21: "an authority that is not ours has signed it",
    22: "its chain is too long",
    24: "it is signed by what is no authority",
    25: "its chain is longer than its authority allows",
    26: "it is not meant for this use",
    66: "its key is too weak",
    67: "its authority's key is too weak",
    68: "its signature's hash is too weak",
    79: "it is signed by what is no authority",
}
_TEXT_MAX: Final = 200


@attrs.define
class Verdict:
    """
    Of one handshake.

    :ivar name: whose certificate was the first that displeased, empty for none.
    :ivar reason: and why.
    """

    name: str = ""
    reason: str = ""

    def against(self, certificate: x509.Certificate | None, reason: str) -> None:
        """:param certificate: None: one that cannot be read."""
        if not self.reason:
            self.name = read_name(certificate)
            self.reason = reason


class Judged(SSL.Connection):
    """A connection that remembers what its other side's certificate was refused for."""

    def __init__(self, context: SSL.Context) -> None:
        super().__init__(context, None)
        self.verdict = Verdict()


class Displeased(Exception):
    """The other side's certificate is good, but not one that we want."""


def words_for(error_number: int) -> str:
    """What OpenSSL has against a certificate."""
    return _WORDS.get(error_number, f"verification error {error_number}")


def check_names(
    connection: SSL.Connection, *, allowed_cn: str, allowed_hostname: str
) -> None:
    """:raises Displeased: who dialled us is not one of those that may."""
    if not allowed_cn and not allowed_hostname:
        return
    shown = connection.get_peer_certificate(as_cryptography=True)
    if shown is None:
        raise Displeased("no certificate was shown")
    name = read_common_name(shown)
    if allowed_cn and name != allowed_cn:
        raise Displeased(f"its common name is {name!r}, expected {allowed_cn!r}")
    if allowed_hostname and not _is_for_host(connection, allowed_hostname):
        names = ", ".join(dns_names(shown)) or "none"
        raise Displeased(f"it is not for {allowed_hostname!r}, but for: {names}")


def _is_for_host(connection: SSL.Connection, host: str) -> bool:
    try:
        check_host(connection, host, is_address=False)
    except Displeased:
        return False
    return True


def check_host(connection: SSL.Connection, host: str, *, is_address: bool) -> None:
    """:raises Displeased: who was dialled is not whom we meant (RFC 9525)."""
    try:
        if is_address:
            verify_ip_address(connection, host)
        else:
            verify_hostname(connection, host)
    except (VerificationError, ValueError) as error:
        shown = connection.get_peer_certificate(as_cryptography=True)
        whose = read_name(shown) if shown is not None else "nobody"
        raise Displeased(f"the certificate of {whose} is not for {host}") from error


def said_by(error: BaseException) -> str:
    """The last word of OpenSSL's error stack, or of any other error."""
    if isinstance(error, SSL.Error | crypto.Error) and error.args and error.args[0]:
        entry = error.args[0][-1]
        return str(entry[-1] or entry[0])[:_TEXT_MAX]
    return (str(error) or type(error).__name__)[:_TEXT_MAX]
