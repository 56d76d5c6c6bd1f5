"""A TCP connection in memory: two ends, and what is between them."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from kvd.testing.clock import Process

HOP_SECONDS = 0.0005
UNDER_WAY_MAX = 64 << 10
"""Bytes that the other end has not taken, from which on a producer is paused."""


class Line:
    """
    The way to a host from elsewhere; what goes on it keeps its order.

    While it is cut nothing arrives and nothing is lost, as TCP sends again what was
    not acknowledged.
    """

    def __init__(self) -> None:
        self.cut = False
        self._held: list[tuple[Process, Callable[..., object], tuple[object, ...]]] = []

    @property
    def held(self) -> int:
        """How many things wait for its mending."""
        return len(self._held)

    def carry(
        self, process: Process, function: Callable[..., object], *args: object
    ) -> None:
        """Have a process call this when it arrives there."""
        if self.cut:
            self._held.append((process, function, args))
        else:
            process.after(HOP_SECONDS, function, *args)

    def heal(self) -> None:
        self.cut = False
        held, self._held = self._held, []
        for process, function, args in held:
            self.carry(process, function, *args)


@implementer(ITCPTransport, IPushProducer)
class Pipe:
    """
    One end of a connection.

    ::

        open -- loseConnection --> closing -- producer done --> ended
          `---- the other end ends, abortConnection, broken -----^

    :param lost: called when it is over.
    """

    other: Pipe
    protocol: IProtocol

    def __init__(
        self,
        line: Line,
        process: Process,
        *,
        own: IPv4Address,
        peer: IPv4Address,
        lost: Callable[[Pipe, Failure], None],
    ) -> None:
        self.process = process
        self._line = line
        self._own = own
        self._peer = peer
        self._lost = lost
        self.connected = False
        self.disconnected = False
        self.disconnecting = False
        self._sent_end = False
        self._got_end = False
        self._reading = True
        self._unread: deque[bytes | None] = deque()  # None: the end
        self._under_way = 0
        self._producer: Any = None  # Twisted's producers have no common type
        self._streaming = False
        self._blocked = False

    def open(self, protocol: IProtocol) -> None:
        """Begin; in a turn of the process."""
        self.protocol = protocol
        self.connected = True
        protocol.makeConnection(cast(ITCPTransport, self))

    # -- writing --------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._sent_end or self.disconnected or not data:
            return
        self._under_way += len(data)
        self._line.carry(self.other.process, self.other.arrived, bytes(data))
        if self._under_way > UNDER_WAY_MAX and self._streaming and not self._blocked:
            self._blocked = True
            self._producer.pauseProducing()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def taken(self, size: int) -> None:
        """The other end has read so much."""
        self._under_way -= size
        if self._blocked and self._under_way <= UNDER_WAY_MAX // 2:
            self._blocked = False
            self.process.after(0, self._produce)

    def _produce(self) -> None:
        if self._producer is None or self.disconnected or self._blocked:
            return
        self._producer.resumeProducing()
        if not self._streaming:
            self._pull()

    def _pull(self) -> None:
        if self._under_way > UNDER_WAY_MAX:
            self._blocked = True
        else:
            self.process.after(0, self._produce)

    # Any: as above.
    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: ANN401
        if self._producer is not None:
            raise RuntimeError("there is a producer already")
        if self.disconnected:
            producer.stopProducing()
            return
        self._producer, self._streaming = producer, streaming
        if not streaming:
            self._pull()

    def unregisterProducer(self) -> None:
        self._producer, self._streaming, self._blocked = None, False, False
        if self.disconnecting and not self._sent_end:
            self._finish()

    # -- ending ---------------------------------------------------------------------

    def loseConnection(self) -> None:
        if not self.disconnecting and not self.disconnected:
            self.disconnecting = True
            if self._producer is None:
                self._finish()

    def _finish(self) -> None:
        self._send_end()
        self.process.after(0, self.end, ConnectionDone())

    def loseWriteConnection(self) -> None:
        if self.disconnected or self._sent_end:
            return
        self._send_end()
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.process.after(0, self.protocol.writeConnectionLost)
        if self._got_end:
            self.process.after(0, self.end, ConnectionDone())

    def _send_end(self) -> None:
        if not self._sent_end:
            self._sent_end = True
            self._line.carry(self.other.process, self.other.arrived, None)

    def abortConnection(self) -> None:
        if not self.disconnected:
            self.disconnecting = self._sent_end = True
            self._break_other()
            self.process.after(0, self.end, ConnectionAborted())

    def broken(self) -> None:
        """The other end is gone without a goodbye."""
        self.end(ConnectionLost())

    def vanish(self) -> None:
        """Our process is gone; nobody is left to be told here."""
        if not self.disconnected:
            self.disconnected = True
            self._break_other()

    def _break_other(self) -> None:
        self._line.carry(self.other.process, self.other.broken)

    def end(self, reason: Exception) -> None:
        """It is over, now."""
        if self.disconnected:
            return
        self.connected = False
        self.disconnected = True
        self._unread.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        failure = Failure(reason)
        self.protocol.connectionLost(failure)
        self._lost(self, failure)

    # -- reading --------------------------------------------------------------------

    def arrived(self, data: bytes | None) -> None:
        """Bytes, or the end, from the other side."""
        if self.disconnected:
            if data:
                self._break_other()  # as a system answers for a closed socket
        elif self._unread or not self._reading:
            self._unread.append(data)
        else:
            self._read(data)

    def _read(self, data: bytes | None) -> None:
        if data is not None:
            self.other.taken(len(data))
            self.protocol.dataReceived(data)
            return
        self._got_end = True
        half = self.protocol
        if IHalfCloseableProtocol.providedBy(half) and not self._sent_end:
            half.readConnectionLost()
        else:
            self._send_end()
            self.end(ConnectionDone())

    def pauseProducing(self) -> None:
        self._reading = False

    def resumeProducing(self) -> None:
        self._reading = True
        if self._unread:
            self.process.after(0, self._catch_up)

    def stopProducing(self) -> None:
        self.loseConnection()

    def _catch_up(self) -> None:
        while self._unread and self._reading and not self.disconnected:
            self._read(self._unread.popleft())

    # -- what a socket would say ------------------------------------------------------

    def getHost(self) -> IPv4Address:
        return self._own

    def getPeer(self) -> IPv4Address:
        return self._peer

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def getTcpKeepAlive(self) -> bool:
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None: ...
