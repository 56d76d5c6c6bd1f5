"""The TLS of one port: what it is made of now, for those who dial us and whom we dial."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import datetime
from typing import Final, cast

import attrs
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ISystemHandle,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from kvd.errors import PeerError
from kvd.tls.certificates import read_common_name
from kvd.tls.contexts import accepting_context, dialling_context
from kvd.tls.handshake import HandshakeFactory, Meant, Prompt, Rules
from kvd.tls.material import Material, ReadFile, read_material
from kvd.tls.settings import TlsSettings
from kvd.tls.verdict import Judged, check_host, check_names

REFUSAL_SECONDS: Final = 60.0
"""Between two log lines with the same reason for a refused handshake."""

REFUSALS_SAID_MAX: Final = 256
"""Of different reasons in that time; whoever dials us may choose a name for each."""


class HandshakeError(PeerError):
    """A connection that we dialled was not secured; the text says why."""


@attrs.frozen
class _Current:
    """One reading of the files, and the contexts that were made from it."""

    material: Material
    accepting: SSL.Context | None
    dialling: SSL.Context


class TlsPort:
    """
    Secures the connections of the clients' or of the peers' port.

    :meth:`load` reads the files; what was read before goes on serving if they are bad.
    Connections keep what they began with.

    :param what: for the log: ``client`` or ``peer``.
    :param handshake_seconds: for a handshake, from the first byte to the last.
    :param pending_max: handshakes at one time.
    """

    _log = Logger()

    def __init__(
        self,
        settings: TlsSettings,
        *,
        what: str,
        read_file: ReadFile,
        clock: IReactorTime,
        handshake_seconds: float,
        pending_max: int,
    ) -> None:
        self.settings = settings
        self._what = what
        self._read_file = read_file
        self._clock = clock
        self._handshake_seconds = handshake_seconds
        self._pending_max = pending_max
        self._current: _Current | None = None
        self._refusals_said: dict[str, float] = {}
        self.refused = 0  # handshakes of those who dialled us
        self.accepted = 0

    # -- files --------------------------------------------------------------------------

    def load(self) -> bool:
        """
        Read the files; whether they say something new.

        :raises ConfigError: they are bad; what was read before stays in force.
        """
        material = read_material(self.settings, self._read_file)
        before = self._current
        if before is not None and before.material.fingerprint == material.fingerprint:
            return False
        accepting = None
        if material.chain:
            accepting = accepting_context(self.settings, material)
        dialling = dialling_context(self.settings, material)
        self._current = _Current(material, accepting, dialling)
        return True

    @property
    def material(self) -> Material:
        """What was read last."""
        return self._now().material

    def files(self) -> list[tuple[str, list[datetime]]]:
        """The option of each file of certificates, and when those in it expire."""
        material = self.material
        return [
            (
                self.settings.option(option),
                [certificate.not_valid_after_utc for certificate in certificates],
            )
            for option, certificates in (
                ("cert-file", material.chain),
                ("trusted-ca-file", material.authorities),
            )
            if certificates
        ]

    def _now(self) -> _Current:
        if self._current is None:
            self.load()
        assert self._current is not None  # noqa: S101 -- for the type checker
        return self._current

    # -- those who dial us --------------------------------------------------------------

    def accept(self, meant: Meant) -> TLSMemoryBIOFactory:
        """A factory for a listening port, in front of the one that is meant."""
        rules = Rules(
            clock=self._clock,
            seconds=self._handshake_seconds,
            pending_max=self._pending_max,
            check=self._check_dialler,
            ended=self._refused,
            done=self._accepted,
        )
        return _secured(
            _Accepting(self._accepting_connection),
            HandshakeFactory(meant, rules),
            clock=self._clock,
            dials=False,
        )

    def _accepting_connection(self) -> SSL.Connection:
        context = self._now().accepting
        assert context is not None  # noqa: S101 -- options are checked before
        return Judged(context)

    def _check_dialler(self, connection: SSL.Connection) -> None:
        check_names(
            connection,
            allowed_cn=self.settings.allowed_cn,
            allowed_hostname=self.settings.allowed_hostname,
        )

    def names_of(self, transport: object) -> tuple[str, ...]:
        """
        The common name of the certificate that a client had to show; else none.

        Of the certificate itself only, not of the authorities above it, as etcd does:
        a user called like an authority would be everybody.
        """
        if not self.settings.client_cert_auth or not ISystemHandle.providedBy(
            transport
        ):
            return ()
        handle = transport.getHandle()
        if not isinstance(handle, SSL.Connection):
            return ()
        shown = handle.get_peer_certificate(as_cryptography=True)
        name = read_common_name(shown) if shown is not None else ""
        return (name,) if name else ()

    def _accepted(self, _protocol: IProtocol) -> None:
        self.accepted += 1

    def _refused(self, address: str, why: str) -> None:
        """Each reason is logged once in a while; all are counted."""
        self.refused += 1
        now = self._clock.seconds()
        said = self._refusals_said  # the oldest first
        while said and now - said[next(iter(said))] >= REFUSAL_SECONDS:
            del said[next(iter(said))]
        if why in said or len(said) >= REFUSALS_SAID_MAX:
            return
        said[why] = now
        self._log.warn(
            "refused a {what} at {address}: TLS handshake: {why}",
            what=self._what,
            address=address,
            why=why,
        )

    # -- those whom we dial -------------------------------------------------------------

    def endpoint(self, plain: IStreamClientEndpoint, host: str) -> TlsEndpoint:
        """:param host: the name or the address that the other side must be."""
        return TlsEndpoint(plain, host, self._dialling_connection, self, self._clock)

    def _dialling_connection(self) -> SSL.Connection:
        return Judged(self._now().dialling)

    def rules_for(
        self,
        host: str,
        *,
        ended: Callable[[str, str], None],
        done: Callable[[IProtocol], None],
    ) -> Rules:
        """Of a connection to this host."""

        def check(connection: SSL.Connection) -> None:
            if not self.settings.folder:
                check_host(connection, host, is_address=_is_address(host))

        return Rules(
            clock=self._clock,
            seconds=self._handshake_seconds,
            pending_max=1,
            check=check,
            ended=ended,
            done=done,
        )


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """TLS over another endpoint; connected when the handshake is done."""

    def __init__(
        self,
        plain: IStreamClientEndpoint,
        host: str,
        connection: Callable[[], SSL.Connection],
        port: TlsPort,
        clock: IReactorTime,
    ) -> None:
        self._plain = plain
        self._host = host
        self._connection = connection
        self._port = port
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails with :class:`HandshakeError`, or as the endpoint below does."""

        def cancel(_: object) -> None:
            attempt.cancel()
            for each in list(stand_ins.pending):
                each.give_up("given up")

        secured: Deferred[IProtocol] = Deferred(cancel)

        def ended(_address: str, why: str) -> None:
            if not secured.called:
                secured.errback(HandshakeError(f"TLS handshake: {why}"))

        def done(protocol: IProtocol) -> None:
            if not secured.called:
                secured.callback(protocol)

        rules = self._port.rules_for(self._host, ended=ended, done=done)
        # A factory of Twisted's, though zope's interface does not look like one.
        stand_ins = HandshakeFactory(cast(Meant, protocolFactory), rules)
        factory = _secured(
            _Dialling(self._connection, self._host),
            stand_ins,
            clock=self._clock,
            dials=True,
        )
        factory.protocol = Prompt

        def failed(failure: Failure) -> None:
            if not secured.called:
                secured.errback(failure)

        attempt = self._plain.connect(factory)
        attempt.addErrback(failed)
        return secured


@implementer(IOpenSSLServerConnectionCreator)
class _Accepting:
    """A connection for each that dials us, with the context of this moment."""

    def __init__(self, connection: Callable[[], SSL.Connection]) -> None:
        self._connection = connection

    def serverConnectionForTLS(
        self,
        tlsProtocol: TLSMemoryBIOProtocol,  # noqa: ARG002 -- Twisted's
    ) -> SSL.Connection:
        connection = self._connection()
        connection.set_accept_state()
        return connection


@implementer(IOpenSSLClientConnectionCreator)
class _Dialling:
    """A connection to a host, which is told which name we look for."""

    def __init__(self, connection: Callable[[], SSL.Connection], host: str) -> None:
        self._connection = connection
        self._host = host

    def clientConnectionForTLS(
        self,
        tlsProtocol: TLSMemoryBIOProtocol,  # noqa: ARG002 -- Twisted's
    ) -> SSL.Connection:
        connection = self._connection()
        connection.set_connect_state()
        if not _is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection


def _secured(
    creator: object, stand_ins: HandshakeFactory, *, clock: IReactorTime, dials: bool
) -> TLSMemoryBIOFactory:
    return TLSMemoryBIOFactory(creator, dials, stand_ins, clock)  # type: ignore[arg-type]  # zope's interfaces


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
