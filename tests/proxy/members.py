"""Members that a test speaks for, below Twisted's HTTP client: one fake connection each."""

from __future__ import annotations

from twisted.internet import error
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from kvd.proxy.client import MemberClient


class Wire(StringTransport):
    """One connection as the member sees it."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__()
        self.url = url
        self.clock = clock
        self.reading = True
        self.end = "open"
        self.protocol = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def loseConnection(self) -> None:
        self._end("closed")

    def abortConnection(self) -> None:
        self._end("aborted")

    def _end(self, end: str) -> None:
        """By the proxy's side, which hears of it a turn later."""
        if self.end == "open":
            self.end = end
            reason = Failure(error.ConnectionDone())
            self.clock.callLater(0, self.protocol.connectionLost, reason)

    def said(self) -> bytes:
        said = self.value()
        self.clear()
        return said

    def answer(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def break_off(self) -> None:
        """By the member's side."""
        self.end = "broken"
        self.protocol.connectionLost(Failure(error.ConnectionDone()))


@implementer(IStreamClientEndpoint)
class Place:
    def __init__(self, members: Members, url: str) -> None:
        self.members = members
        self.url = url

    def connect(self, factory):
        members = self.members
        members.dialled.append(self.url)
        if self.url in members.down:
            return fail(error.ConnectionRefusedError())
        if self.url in members.silent:
            return Deferred()
        wire = Wire(self.url, members.clock)
        wire.protocol = factory.buildProtocol(None)
        wire.protocol.makeConnection(wire)
        members.wires.append(wire)
        done: Deferred = Deferred()
        done.callback(wire.protocol)
        return done


class Members:
    """All members, and the client that asks them."""

    def __init__(self, *, read_seconds: float = 0.0) -> None:
        self.clock = Clock()
        self.wires: list[Wire] = []
        self.dialled: list[str] = []
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.prepared: list[object] = []
        self.client = MemberClient(
            reactor=self.clock,
            connect=lambda url: Place(self, url),
            prepare=self.prepared.append,
            dial_seconds=1.0,
            read_seconds=read_seconds,
        )

    @property
    def last(self) -> Wire:
        return self.wires[-1]


class Taken:
    """Provides ``Taker``: a body, as it came."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.end = "open"

    def piece(self, data: bytes) -> None:
        assert self.end == "open"
        self.pieces.append(data)

    def ended(self) -> None:
        assert self.end == "open"
        self.end = "ended"

    def broken(self, why: str) -> None:
        assert self.end == "open"
        self.end = f"broken: {why}"
