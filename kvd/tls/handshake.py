"""
What stands in for a protocol until the TLS handshake below it is done.

::

    TCP --- TLSMemoryBIOProtocol --- Handshake                 while it lasts
    TCP --- TLSMemoryBIOProtocol --- the protocol that was meant    afterwards

So a connection costs the protocol above nothing before it is known who is there, and
a handshake that fails has somebody who says whose it was and why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as Shape
from typing import cast

import attrs
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from kvd.tls.verdict import Displeased, Judged, said_by


class Prompt(BufferingTLSTransport):
    """
    Says goodbye and closes, as Go does.

    Twisted's waits for an answer, which somebody who hangs never gives.
    """

    def loseConnection(self) -> None:
        super().loseConnection()
        if self.transport is not None:
            self.transport.loseConnection()


class Meant(Shape):
    """Who makes the protocol for after the handshake; a Twisted factory."""

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None: ...

    def logPrefix(self) -> str: ...

    def doStart(self) -> None: ...

    def doStop(self) -> None: ...


@attrs.frozen(kw_only=True)
class Rules:
    """
    :ivar check: looks at a connection whose certificate OpenSSL has nothing against.
    :ivar ended: told of each handshake that failed: address, and why.
    :ivar done: told of each protocol that has taken its place.
    """

    clock: IReactorTime
    seconds: float
    pending_max: int
    check: Callable[[SSL.Connection], None]
    ended: Callable[[str, str], None]
    done: Callable[[IProtocol], None] = lambda _: None


@implementer(IHandshakeListener)
class Handshake(Protocol):
    """One connection's; see the module."""

    def __init__(self, factory: HandshakeFactory, address: IAddress | None) -> None:
        self._owner = factory
        self._address = address
        self._late: IDelayedCall | None = None
        self._why = ""
        self._quiet = False  # nothing is wrong with who is there

    def connectionMade(self) -> None:
        rules = self._owner.rules
        self._late = rules.clock.callLater(
            rules.seconds,
            self.give_up,
            f"no handshake within {rules.seconds:g} seconds",
        )

    def give_up(self, why: str) -> None:
        """It took too long, or others want the place."""
        self._why = self._why or why
        self._secured.abortConnection()  # type: ignore[no-untyped-call]  # Twisted's

    def stop(self) -> None:
        """The port closes."""
        self._quiet = True
        self._secured.abortConnection()  # type: ignore[no-untyped-call]  # Twisted's

    @property
    def _secured(self) -> TLSMemoryBIOProtocol:
        return cast(TLSMemoryBIOProtocol, self.transport)

    @property
    def _connection(self) -> SSL.Connection:
        return cast(SSL.Connection, self._secured.getHandle())  # type: ignore[no-untyped-call]  # Twisted's

    def handshakeCompleted(self) -> None:
        self._forget()
        try:
            self._owner.rules.check(self._connection)
        except Displeased as displeased:
            self.give_up(str(displeased))
            return
        meant = self._owner.meant.buildProtocol(self._address)
        if meant is None:  # not now
            self._quiet = True
            self._secured.loseConnection()  # type: ignore[no-untyped-call]  # Twisted's
            cast(TLSMemoryBIOProtocol, self._secured.transport).loseConnection()  # type: ignore[no-untyped-call]
            return
        self._secured.wrappedProtocol = meant
        meant.makeConnection(self._secured)
        self._owner.rules.done(meant)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._forget()
        if not self._quiet:
            why = self._why or self._said(reason)
            self._owner.rules.ended(_shown(self._address), why)

    def _said(self, reason: Failure) -> str:
        error = reason.value
        connection = self._connection
        if isinstance(connection, Judged) and connection.verdict.reason:
            verdict = connection.verdict
            return f"certificate of {verdict.name}: {verdict.reason}"
        if error is None or isinstance(error, ConnectionDone | ConnectionLost):
            return "the connection was closed during the handshake"
        return said_by(error)

    def _forget(self) -> None:
        self._owner.pending.pop(self, None)
        if self._late is not None and self._late.active():
            self._late.cancel()


class HandshakeFactory(Factory):
    """
    Makes the stand-ins, and bounds their number: the oldest makes room.

    :ivar pending: handshakes that are not done, in the order in which they began.
    """

    noisy = False

    def __init__(self, meant: Meant, rules: Rules) -> None:
        self.meant = meant
        self.rules = rules
        self.pending: dict[Handshake, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> Handshake:
        if len(self.pending) >= self.rules.pending_max:
            oldest = next(iter(self.pending))
            del self.pending[oldest]
            oldest.give_up("too many handshakes at one time")
        made = Handshake(self, addr)
        self.pending[made] = None
        return made

    def logPrefix(self) -> str:
        return self.meant.logPrefix()

    def doStart(self) -> None:
        self.meant.doStart()

    def doStop(self) -> None:
        for each in list(self.pending):
            each.stop()
        self.meant.doStop()


def _shown(address: IAddress | None) -> str:
    host = getattr(address, "host", None)
    return f"{host}:{getattr(address, 'port', 0)}" if host is not None else str(address)
