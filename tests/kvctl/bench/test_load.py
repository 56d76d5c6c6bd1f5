"""Clients of a bench, on connections and a clock that a test gives."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from kvd.kvctl.bench.load import (
    ERRORS_MAX,
    PAUSE_SECONDS,
    Load,
    Place,
    Result,
    rendered,
)
from kvd.kvctl.bench.plan import Ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = Ask("GET", "/v2/keys/a")
HEAD = b"Host: m1\r\n"


class Endpoint:
    """Connections that the test makes, or refuses."""

    def __init__(self):
        self.waiting = []

    def connect(self, factory):
        connecting = Deferred()
        self.waiting.append((factory, connecting))
        return connecting

    def accept(self):
        factory, connecting = self.waiting.pop(0)
        protocol = factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        connecting.callback(protocol)
        return protocol, transport

    def refuse(self):
        self.waiting.pop(0)[1].errback(ConnectError())


class World:
    def __init__(self, *, asks, clients=1, places=1):
        self.clock = Clock()
        self.endpoints = [Endpoint() for _ in range(places)]
        self.result = Result()
        self.left = asks
        load = Load(
            clock=self.clock,
            places=[Place(endpoint=each, head=HEAD) for each in self.endpoints],
            clients=clients,
            answer_seconds=10,
        )
        self.ends = []
        self.over = load.run(self.next, self.result).addCallback(self.ends.append)

    def next(self):
        if not self.left:
            return None
        self.left -= 1
        return GET


def lost(protocol, error=None):
    protocol.connectionLost(Failure(error or ConnectionLost()))


def test_a_request_follows_the_answer_to_the_one_before():
    world = World(asks=2)
    protocol, transport = world.endpoints[0].accept()
    assert transport.value() == rendered(GET, HEAD)
    world.clock.advance(0.25)
    protocol.dataReceived(OK[:10])
    assert transport.value() == rendered(GET, HEAD)
    protocol.dataReceived(OK[10:])
    assert transport.value() == rendered(GET, HEAD) * 2
    world.clock.advance(0.5)
    protocol.dataReceived(OK)
    assert transport.disconnecting
    lost(protocol)
    assert world.ends
    assert world.result.latencies.longest_seconds == pytest.approx(0.5)
    assert (world.result.done, world.result.errors) == (2, {})
    assert world.clock.getDelayedCalls() == []


def test_clients_are_spread_over_the_places():
    world = World(asks=9, clients=5, places=2)
    assert [len(each.waiting) for each in world.endpoints] == [3, 2]


def test_a_refused_connection_is_an_error_and_the_next_place_is_tried():
    world = World(asks=3, places=2)
    world.endpoints[0].refuse()
    assert world.result.errors.total() == 1
    assert world.left == 2
    assert not world.endpoints[1].waiting
    world.clock.advance(PAUSE_SECONDS)
    world.endpoints[1].accept()
    assert world.left == 1


def test_where_nobody_answers_it_ends_all_the_same():
    world = World(asks=3)
    for _ in range(3):
        world.endpoints[0].refuse()
        world.clock.advance(PAUSE_SECONDS)
    world.endpoints[0].refuse()
    assert world.ends
    assert (world.result.done, world.result.errors.total()) == (3, 3)


def test_a_lost_connection_is_an_error_and_another_is_made():
    world = World(asks=2)
    protocol, _ = world.endpoints[0].accept()
    lost(protocol)
    assert world.result.errors.total() == 1
    world.clock.advance(PAUSE_SECONDS)
    protocol, _ = world.endpoints[0].accept()
    protocol.dataReceived(OK)
    lost(protocol)
    assert world.ends
    assert world.result.latencies.count == 1


def test_an_answer_that_does_not_come_is_given_up_on():
    world = World(asks=1)
    protocol, transport = world.endpoints[0].accept()
    world.clock.advance(9)
    assert not transport.disconnected
    world.clock.advance(1)
    assert transport.disconnected
    lost(protocol)
    assert world.result.errors == {"no answer within 10 s": 1}


def test_the_time_for_an_answer_begins_with_its_request():
    world = World(asks=3)
    protocol, transport = world.endpoints[0].accept()
    for _ in range(2):
        world.clock.advance(9)
        protocol.dataReceived(OK)
    world.clock.advance(9)
    assert not transport.disconnected


def test_an_error_of_the_server_is_counted_by_its_status():
    world = World(asks=2)
    protocol, _ = world.endpoints[0].accept()
    protocol.dataReceived(OK.replace(b"200", b"500"))
    protocol.dataReceived(OK)
    assert world.result.errors == {"status 500": 1}
    assert world.result.latencies.count == 1


@pytest.mark.parametrize("garbage", [b"SSH-2.0\r\n\r\n", OK + b"more"])
def test_garbage_ends_the_connection(garbage):
    world = World(asks=1)
    protocol, transport = world.endpoints[0].accept()
    protocol.dataReceived(garbage)
    assert transport.disconnected
    lost(protocol)
    assert world.result.errors.total() == 1


def test_errors_are_told_apart_up_to_a_limit():
    result = Result()
    for number in range(ERRORS_MAX + 5):
        result.failed(f"error {number}")
    result.failed("error 1")
    assert len(result.errors) == ERRORS_MAX + 1
    assert result.errors["other errors"] == 5
    assert result.errors["error 1"] == 2


def test_a_form_is_sent_with_its_length():
    ask = Ask("PUT", "/v2/keys/a", b"value=1")
    assert rendered(ask, HEAD) == (
        b"PUT /v2/keys/a HTTP/1.1\r\nHost: m1\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 7\r\n\r\nvalue=1"
    )
