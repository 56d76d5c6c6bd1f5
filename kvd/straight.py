"""Accepted TCP connections that write without asking the reactor first."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet import tcp
from twisted.logger import Logger

_Accepted = Any  # a port's arguments for its transport are Twisted's business
Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class Outbox:
    """
    The connections of a port that have something to write at the end of this turn.

    Twisted asks the kernel to say when a socket can be written, which nearly every
    socket can: two changes to the poll set and an event for each answer, a fifth of
    what a small request costs. Here all answers of a turn are written when the turn is
    over, and only a connection whose socket is full goes to the reactor.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._waiting: list[StraightServer] = []

    def server(self, *accepted: _Accepted) -> StraightServer:
        """What a port's ``transport`` is: called with each accepted connection."""
        return StraightServer(self, *accepted)

    def add(self, connection: StraightServer) -> None:
        if not self._waiting:
            self._reactor.callLater(0, self._write)
        self._waiting.append(connection)

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            try:
                connection.write_now()
            except Exception:  # noqa: BLE001 -- one protocol's bug, as in a reactor
                self._log.failure("while writing")
                connection.abortConnection()  # type: ignore[no-untyped-call]  # Twisted's


class StraightServer(tcp.Server):
    """An accepted connection which its outbox writes for."""

    def __init__(self, outbox: Outbox, *accepted: _Accepted) -> None:
        self._outbox: Final = outbox
        self._wanted = False  # somebody has something to write
        self._waits = False  # in the outbox
        self._polled = False  # known to the reactor as a writer
        super().__init__(*accepted)

    def startWriting(self) -> None:
        self._wanted = True
        if not self._waits and not self._polled:
            self._waits = True
            self._outbox.add(self)

    def stopWriting(self) -> None:
        self._wanted = False
        if self._polled:
            self._polled = False
            super().stopWriting()  # type: ignore[no-untyped-call]  # Twisted's

    def write_now(self) -> None:
        """Write what the socket takes; leave the rest, and any end, to the reactor."""
        self._waits = False
        if not self._wanted or self.disconnected:
            return
        ended = self.doWrite()  # type: ignore[no-untyped-call]  # Twisted's
        if (ended is not None or self._wanted) and not self.disconnected:
            self._wanted = self._polled = True
            super().startWriting()  # type: ignore[no-untyped-call]  # Twisted's
