"""The listening socket under the site, when the process has no descriptors left."""

from __future__ import annotations

import errno

from twisted.internet import tcp
from twisted.internet.testing import MemoryReactorClock


class FakeSocket:
    """A connection that the kernel hands over; all that a closed one needs."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class ListeningSocket:
    """Accepts what it is given; an error instead is raised."""

    def __init__(self) -> None:
        self.next: list[object] = []

    def accept(self) -> tuple[FakeSocket, tuple[str, int]]:
        if not self.next:
            raise OSError(errno.EAGAIN, "nobody")
        found = self.next.pop(0)
        if isinstance(found, OSError):
            raise found
        return found, ("127.0.0.1", 1)


class Accepted:
    """Stands for the server transport of an accepted connection."""

    made: list[FakeSocket]

    def __init__(self, skt: FakeSocket, *_args: object) -> None:
        self.made.append(skt)

    def registerProducer(self, *_args: object) -> None: ...


def test_emfile_pauses_accept_and_recovers(port):
    """
    H04: Twisted keeps a descriptor in reserve; with it, it takes the waiting
    connections off the queue and closes them, and then accepts again.
    """
    listening = tcp.Port(0, port.site, reactor=MemoryReactorClock())
    listening.socket = ListeningSocket()
    Accepted.made = []
    listening.transport = Accepted
    listening.numberAccepts = 10
    tcp._reservedFD.reserve()
    first, refused, later = FakeSocket(), FakeSocket(), FakeSocket()
    emfile = OSError(errno.EMFILE, "too many open files")

    listening.socket.next = [first, emfile, refused]
    listening.doRead()
    assert Accepted.made == [first]
    assert refused.closed
    assert tcp._reservedFD.available()
    assert len(port.site.connections) == 1

    listening.socket.next = [emfile]
    listening.doRead()
    listening.socket.next = [later]
    listening.doRead()
    assert Accepted.made == [first, later]
    assert not later.closed
    assert len(port.site.connections) == 2
    assert not first.closed
