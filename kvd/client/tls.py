"""What a client trusts, and how it shows who it is."""

# Twisted leaves its certificates without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import re
from typing import Any, Final

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import Error
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)


@attrs.frozen
class TLS:
    """
    PEM texts for endpoints that are https.

    :ivar authorities: certificates to trust; the system's when there are none.
    :ivar certificate: the client's own, followed by those between it and an authority.
    :ivar key: of the certificate.

    .. versionadded:: 0.1
    """

    authorities: bytes = b""
    certificate: bytes = b""
    key: bytes = attrs.field(default=b"", repr=False)

    @classmethod
    def from_files(
        cls, *, ca_file: str = "", cert_file: str = "", key_file: str = ""
    ) -> TLS:
        """
        The same out of files; an empty name is none.

        :raises OSError: a file that cannot be read.
        """
        return cls(*map(_content, (ca_file, cert_file, key_file)))


def _content(path: str) -> bytes:
    if not path:
        return b""
    with open(path, "rb") as file:
        return file.read()


@implementer(IPolicyForHTTPS)
class Policy:
    """
    Twisted's contexts for each host out of these texts.

    :raises ValueError: a text that is no certificate, or half of a pair.
    """

    def __init__(self, tls: TLS) -> None:
        if bool(tls.certificate) != bool(tls.key):
            raise ValueError("a client's certificate and its key go together")
        try:
            self._trust = _trust(tls.authorities)
            self._own = _own(tls) if tls.key else None
        except (ValueError, TypeError, UnsupportedAlgorithm, Error) as problem:
            raise ValueError(
                f"not a certificate and its key in PEM: {problem}"
            ) from None

    def creatorForNetloc(
        self,
        hostname: bytes,
        port: int,  # noqa: ARG002 -- Twisted's
    ) -> IOpenSSLClientConnectionCreator:
        return optionsForClientTLS(
            hostname.decode("ascii"),
            trustRoot=self._trust,
            extraCertificateOptions=self._own,
        )


def _own(tls: TLS) -> dict[str, Any]:
    """The pair, as options of OpenSSL's context."""
    first, *others = load_pem_x509_certificates(tls.certificate)
    key = load_pem_private_key(tls.key, None)
    if key.public_key() != first.public_key():
        raise ValueError("the key is another certificate's")
    return {"certificate": first, "privateKey": key, "extraCertChain": others}


def _trust(authorities: bytes) -> Any:  # noqa: ANN401 -- a private type of Twisted's
    if not authorities:
        return platformTrust()
    found = _CERTIFICATE.findall(authorities)
    if not found:
        raise ValueError("there is no certificate in it")
    return trustRootFromCertificates([Certificate.loadPEM(each) for each in found])
