"""The writing side of a connection: answers are joined, and the end can be heard."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import INegotiated, ITCPTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol

_JOINED_MAX = 64 << 10  # bytes of answers that are joined into one write


class Pipe(Protocol):
    """What our transports are: written to, read from, paused and cut."""

    def write(self, data: bytes) -> None: ...
    def loseConnection(self) -> None: ...
    def abortConnection(self) -> None: ...
    def registerProducer(self, producer: object, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...
    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...


def is_secure(pipe: object) -> bool:
    """Whether it speaks TLS."""
    return INegotiated.providedBy(pipe)


class Outgoing:
    """Bytes on their way to a transport."""

    __slots__ = ("_joined", "_joined_bytes", "_pipe")

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._joined: list[bytes] = []
        self._joined_bytes = 0

    def put(self, data: bytes) -> None:
        """Leaves with the next :meth:`flush`, or earlier when there is much."""
        self._joined.append(data)
        self._joined_bytes += len(data)
        if self._joined_bytes > _JOINED_MAX:
            self.flush()

    def flush(self) -> None:
        """One write for all that was put."""
        joined = self._joined
        if joined:
            self._joined = []
            self._joined_bytes = 0
            self._pipe.write(joined[0] if len(joined) == 1 else b"".join(joined))

    def close(self) -> None:
        """
        We say no more, and do not listen.

        Twisted would wait until a TLS client has answered our goodbye. One that looks
        at its connection only when it wants something never does.
        """
        transport: object = self._pipe
        self._pipe.loseConnection()
        if isinstance(transport, TLSMemoryBIOProtocol) and transport.transport:
            transport.transport.loseConnection()

    def half_close(self) -> None:
        """
        We say no more, but the client may.

        Closing a socket with unread bytes would reset the connection, and the client
        might never see its answer. TLS says goodbye in its own way.
        """
        transport: object = self._pipe
        if is_secure(transport) or not ITCPTransport.providedBy(transport):
            self._pipe.loseConnection()
        else:
            transport.loseWriteConnection()
