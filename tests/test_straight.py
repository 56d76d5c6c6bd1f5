"""Writing at the end of a turn, on a socket that is not one."""

from __future__ import annotations

from errno import EPIPE, EWOULDBLOCK

import pytest
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from kvd.straight import Outbox


class FakeSocket:
    def __init__(self) -> None:
        self.taken = b""
        self.room = 1 << 20
        self.calls = 0
        self.error: int | None = None
        self.closed = False
        self.half_closed = False

    def setblocking(self, flag: int) -> None: ...

    def fileno(self) -> int:
        return 7

    def send(self, data: memoryview) -> int:
        self.calls += 1
        if self.error is not None:
            raise OSError(self.error, "broken")
        if data and not self.room:
            raise OSError(EWOULDBLOCK, "full")
        sent = min(len(data), self.room)
        self.taken += bytes(data[:sent])
        self.room -= sent
        return sent

    def setsockopt(self, *option: object) -> None: ...

    def shutdown(self, how: int) -> None:
        self.half_closed = True

    def close(self) -> None:
        self.closed = True


class FakeReactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.writers: list[object] = []
        self.polled = 0

    def addReader(self, reader: object) -> None: ...

    def removeReader(self, reader: object) -> None: ...

    def addWriter(self, writer: object) -> None:
        self.polled += 1
        self.writers.append(writer)

    def removeWriter(self, writer: object) -> None:
        if writer in self.writers:
            self.writers.remove(writer)

    def writable(self) -> None:
        """What a reactor does with a socket that takes more."""
        for writer in list(self.writers):
            ended = writer.doWrite()
            if ended is not None:
                writer.connectionLost(Failure(ended))


class Recorder(Protocol):
    def __init__(self) -> None:
        self.lost = False

    def connectionLost(self, reason) -> None:
        self.lost = True


class Talk:
    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.outbox = Outbox(self.reactor)
        self.socket, self.protocol, self.connection = self.accept()

    def accept(self):
        socket, protocol = FakeSocket(), Recorder()
        connection = self.outbox.server(
            socket, protocol, ("127.0.0.1", 1), None, 0, self.reactor
        )
        protocol.makeConnection(connection)
        return socket, protocol, connection

    def end_of_turn(self) -> None:
        self.reactor.advance(0)


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_writes_of_a_turn_leave_together_at_its_end_without_the_reactor(talk) -> None:
    talk.connection.write(b"one ")
    talk.connection.write(b"two")
    assert talk.socket.taken == b""
    talk.end_of_turn()
    assert (talk.socket.taken, talk.socket.calls) == (b"one two", 1)
    assert talk.reactor.polled == 0


def test_all_connections_of_a_turn_share_one_call(talk) -> None:
    others = [talk.accept() for _ in range(3)]
    for _, _, connection in others:
        connection.write(b"x")
    assert len(talk.reactor.getDelayedCalls()) == 1
    talk.end_of_turn()
    assert [socket.taken for socket, _, _ in others] == [b"x"] * 3


def test_every_turn_writes_again(talk) -> None:
    for _ in range(3):
        talk.connection.write(b"x")
        talk.end_of_turn()
    assert talk.socket.taken == b"xxx"


def test_what_a_full_socket_does_not_take_waits_for_the_reactor(talk) -> None:
    talk.socket.room = 3
    talk.connection.write(b"abcdef")
    talk.end_of_turn()
    assert talk.socket.taken == b"abc"
    assert talk.reactor.writers == [talk.connection]
    talk.connection.write(b"ghi")
    talk.end_of_turn()
    assert talk.socket.taken == b"abc"
    talk.socket.room = 100
    talk.reactor.writable()
    talk.reactor.writable()
    assert talk.socket.taken == b"abcdefghi"
    assert talk.reactor.writers == []
    talk.connection.write(b"j")
    talk.end_of_turn()
    assert talk.socket.taken == b"abcdefghij"
    assert talk.reactor.writers == []


def test_a_lost_connection_is_found_by_the_reactor(talk) -> None:
    talk.socket.error = EPIPE
    talk.connection.write(b"x")
    talk.end_of_turn()
    assert not talk.protocol.lost
    talk.reactor.writable()
    assert talk.protocol.lost
    assert talk.reactor.writers == []


def test_what_was_written_before_a_goodbye_arrives(talk) -> None:
    talk.connection.write(b"bye")
    talk.connection.loseConnection()
    talk.end_of_turn()
    talk.reactor.writable()
    assert talk.socket.taken == b"bye"
    assert talk.protocol.lost
    assert talk.socket.closed


def test_what_was_written_before_a_half_close_arrives(talk) -> None:
    talk.connection.write(b"bye")
    talk.connection.loseWriteConnection()
    talk.end_of_turn()
    assert talk.socket.taken == b"bye"
    assert talk.socket.half_closed
    assert not talk.protocol.lost


def test_a_connection_that_is_lost_before_the_turn_ends_writes_nothing(talk) -> None:
    talk.connection.write(b"x")
    talk.connection.abortConnection()
    talk.end_of_turn()
    assert talk.socket.taken == b""
    assert talk.protocol.lost


def test_a_producer_is_paused_while_much_waits_and_resumed_when_it_is_gone(
    talk,
) -> None:
    @implementer(IPushProducer)
    class Producer:
        said: list[str] = []

        def pauseProducing(self) -> None:
            self.said.append("pause")

        def resumeProducing(self) -> None:
            self.said.append("resume")

        def stopProducing(self) -> None: ...

    producer = Producer()
    talk.connection.registerProducer(producer, True)
    talk.connection.write(b"x" * (1 << 17))
    assert producer.said == ["pause"]
    talk.end_of_turn()
    assert producer.said == ["pause", "resume"]


def test_a_producer_that_fails_costs_its_own_connection_only(
    talk, logged_failures
) -> None:
    @implementer(IPushProducer)
    class Broken:
        def pauseProducing(self) -> None: ...

        def resumeProducing(self) -> None:
            raise ZeroDivisionError

        def stopProducing(self) -> None: ...

    talk.connection.registerProducer(Broken(), True)
    talk.connection.write(b"x" * (1 << 17))
    other, _, connection = talk.accept()
    connection.write(b"y")
    talk.end_of_turn()
    talk.end_of_turn()
    assert other.taken == b"y"
    assert talk.protocol.lost
    assert [failure.type for failure in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()
