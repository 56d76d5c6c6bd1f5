"""OpenSSL contexts; one is made for each reading of the files and never changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL, crypto

from kvd.errors import ConfigError
from kvd.tls.certificates import UNREADABLE, NameKey, name_key
from kvd.tls.ciphers import openssl_list
from kvd.tls.material import Material
from kvd.tls.settings import TlsSettings
from kvd.tls.verdict import Judged, said_by, words_for

# A client that comes back within this time skips the costly part of a handshake. New
# files mean a new context, with which no session of before is resumed: a certificate
# that was revoked is of no use at once.
_SESSION_SECONDS: Final = 300
_HTTP: Final = b"http/1.1"

_Judge: TypeAlias = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]


def accepting_context(settings: TlsSettings, material: Material) -> SSL.Context:
    """
    For those who dial us.

    :raises ConfigError: OpenSSL does not take the certificate, the key or the suites.
    """
    context = _context(settings, material)
    context.set_session_id(b"kvd")
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context.set_timeout(_SESSION_SECONDS)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_alpn_select_callback(_select_protocol)
    if settings.asks_for_certificates:
        for authority in material.authorities:
            context.add_client_ca(authority)
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        context.set_verify(mode, _judging(material.revoked))
    return context


def dialling_context(settings: TlsSettings, material: Material) -> SSL.Context:
    """
    For those whom we dial: they must have a certificate that our authorities vouch
    for, or, without any of ours, the machine's.

    With certificates of our own making (``auto-tls``) nobody could vouch for anybody;
    then what is said is hidden from others, and that is all, as in etcd.
    """
    context = _context(settings, material)
    if settings.folder:
        context.set_verify(SSL.VERIFY_NONE)
        return context
    if not material.authorities:
        context.set_default_verify_paths()
    context.set_verify(SSL.VERIFY_PEER, _judging(material.revoked))
    return context


def _context(settings: TlsSettings, material: Material) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    try:
        context.set_cipher_list(openssl_list(settings.cipher_suites))
        if material.chain and material.key is not None:
            context.use_certificate(material.chain[0])
            for certificate in material.chain[1:]:
                context.add_extra_chain_cert(certificate)
            # Ed25519 and whatever else OpenSSL may take are cast with them.
            key = cast("rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey", material.key)
            context.use_privatekey(key)
            context.check_privatekey()
    except (SSL.Error, crypto.Error, TypeError) as error:
        option = settings.option("cert-file")
        raise ConfigError(
            [f"{option}: {settings.cert_file} is of no use: {said_by(error)}"]
        ) from error
    store = context.get_cert_store()
    if store is not None:
        for authority in material.authorities:
            _trust(store, authority, settings)
    return context


def _trust(
    store: crypto.X509Store, authority: x509.Certificate, settings: TlsSettings
) -> None:
    try:
        store.add_cert(crypto.X509.from_cryptography(authority))
    except crypto.Error as error:
        option, path = settings.option("trusted-ca-file"), settings.trusted_ca_file
        raise ConfigError(
            [f"{option}: {path} is of no use: {said_by(error)}"]
        ) from error


def _judging(revoked: frozenset[tuple[NameKey, int]]) -> _Judge:
    """
    Remembers what displeased, and refuses the revoked and the unreadable.

    It must not raise: that would be an error of ours, once for each handshake.
    """

    def judge(
        connection: SSL.Connection,
        shown: crypto.X509,
        error_number: int,
        _depth: int,
        ok: int,
    ) -> bool:
        reason = "" if ok else words_for(error_number)
        certificate = None
        try:
            certificate = shown.to_cryptography()
            if not reason and revoked and _key_of(certificate) in revoked:
                reason = "it was revoked"
        except UNREADABLE:
            reason = reason or "it cannot be read"
        if reason and isinstance(connection, Judged):
            connection.verdict.against(certificate, reason)
        return not reason

    return judge


def _key_of(certificate: x509.Certificate) -> tuple[NameKey, int]:
    return name_key(certificate.issuer), certificate.serial_number


def _select_protocol(_connection: SSL.Connection, offered: list[bytes]) -> Any:  # noqa: ANN401 -- the type of "none" is private
    """HTTP/2 comes with v3; who offers nothing that we know talks HTTP/1.1 anyway."""
    return _HTTP if _HTTP in offered else SSL.NO_OVERLAPPING_PROTOCOLS
