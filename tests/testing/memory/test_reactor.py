"""TCP in memory, for programs that use the reactor themselves."""

from __future__ import annotations

from io import BytesIO

import pytest
import treq
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    clientFromString,
    connectProtocol,
    serverFromString,
)
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHalfCloseableProtocol,
    IListeningPort,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import Cooperator
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kvd.testing import InMemoryCluster
from kvd.testing.memory.pipes import UNDER_WAY_MAX


class Talker(Protocol):
    """Keeps what it hears, and how it ended."""

    def __init__(self):
        self.heard = b""
        self.ended = None
        self.made = Deferred()

    def connectionMade(self):
        self.made.callback(self)

    def dataReceived(self, data):
        self.heard += data

    def connectionLost(self, reason):
        self.ended = reason.type


@implementer(IHalfCloseableProtocol)
class Listener(Talker):
    """Goes on talking when the other side has said all that it will say."""

    said_all = heard_all = False

    def readConnectionLost(self):
        self.heard_all = True

    def writeConnectionLost(self):
        self.said_all = True


class Ends:
    """Both ends of a connection."""

    def __init__(self, member, kind=Talker):
        self.server, self.client = kind(), kind()
        self.port = member.reactor.listenTCP(
            0, Factory.forProtocol(lambda: self.server)
        )
        self.factory = Connecting(self.client)
        self.connector = member.reactor.connectTCP(
            "localhost", self.port.getHost().port, self.factory
        )
        member.settle()


class Connecting(ClientFactory):
    noisy = False

    def __init__(self, protocol):
        self.protocol = lambda: protocol
        self.failed = self.lost = None

    def clientConnectionFailed(self, connector, reason):
        self.failed = reason.type

    def clientConnectionLost(self, connector, reason):
        self.lost = reason.type


@pytest.fixture
def ends(member):
    ends = Ends(member)
    yield ends
    for each in (ends.client, ends.server):
        each.transport.loseConnection()
    ends.port.stopListening()


def test_both_ends_hear_each_other(member, ends):
    ends.client.transport.write(b"ping")
    ends.server.transport.writeSequence([b"po", b"ng"])
    ends.client.transport.write(b"")
    member.settle()

    assert (ends.server.heard, ends.client.heard) == (b"ping", b"pong")
    peer, host = ends.server.transport.getPeer(), ends.client.transport.getHost()
    assert peer == host
    assert ends.client.transport.getPeer() == ends.server.transport.getHost()
    assert ends.client.transport.getTcpNoDelay()
    assert not ends.client.transport.getTcpKeepAlive()
    ends.client.transport.setTcpNoDelay(True)
    ends.client.transport.setTcpKeepAlive(True)


def test_who_closes_has_its_last_words_heard(member, ends):
    ends.client.transport.write(b"bye")
    ends.client.transport.loseConnection()
    ends.client.transport.write(b"nobody hears this")
    member.settle()

    assert ends.server.heard == b"bye"
    assert ends.server.ended is ends.client.ended is error.ConnectionDone
    assert ends.factory.lost is error.ConnectionDone


def test_who_aborts_breaks_it_for_the_other(member, ends):
    ends.server.transport.abortConnection()
    member.settle()

    assert ends.server.ended is error.ConnectionAborted
    assert ends.client.ended is error.ConnectionLost


def test_the_connector_disconnects(member, ends):
    ends.connector.disconnect()
    member.settle()

    assert ends.server.ended is error.ConnectionDone


def test_one_half_can_be_closed(member):
    ends = Ends(member, Listener)
    ends.client.transport.write(b"question")
    ends.client.transport.loseWriteConnection()
    ends.client.transport.loseWriteConnection()
    member.settle()
    assert ends.client.said_all
    assert ends.server.heard_all
    assert ends.client.ended is ends.server.ended is None

    ends.server.transport.write(b"answer")
    ends.server.transport.loseWriteConnection()
    member.settle()

    assert ends.client.heard == b"answer"
    assert ends.client.ended is ends.server.ended is error.ConnectionDone
    ends.port.stopListening()


def test_who_writes_to_somebody_gone_is_told_so(member, ends):
    ends.client.transport.loseConnection()
    ends.server.transport.write(b"too late")
    member.settle()

    assert ends.client.heard == b""
    assert ends.server.ended in {error.ConnectionDone, error.ConnectionLost}


def test_who_does_not_read_holds_up_a_producer(member, ends):
    ends.client.transport.pauseProducing()
    producer = Producer(ends.server.transport)
    ends.server.transport.registerProducer(producer, True)
    producer.resumeProducing()
    member.settle()
    assert producer.paused
    assert ends.client.heard == b""
    assert UNDER_WAY_MAX < producer.made < 2 * UNDER_WAY_MAX

    ends.client.transport.resumeProducing()
    member.settle()

    assert producer.made > 2 * UNDER_WAY_MAX
    ends.server.transport.loseConnection()  # it waits for the producer
    ends.server.transport.unregisterProducer()
    member.settle()
    assert len(ends.client.heard) == producer.made
    assert ends.client.ended is error.ConnectionDone


class Producer:
    """Writes until it is paused, and a quarter of a megabyte at most."""

    def __init__(self, transport):
        self._transport = transport
        self.made = 0
        self.paused = self.stopped = False

    def resumeProducing(self):
        self.paused = False
        while not self.paused and self.made < 4 * UNDER_WAY_MAX:
            self.made += 1024
            self._transport.write(b"x" * 1024)

    def pauseProducing(self):
        self.paused = True

    def stopProducing(self):
        self.stopped = True


def test_a_producer_is_stopped_when_the_connection_breaks(member, ends):
    producer = Producer(ends.server.transport)
    ends.server.transport.registerProducer(producer, True)
    with pytest.raises(RuntimeError, match="already"):
        ends.server.transport.registerProducer(producer, True)
    ends.client.transport.abortConnection()
    member.settle()

    assert producer.stopped
    late = Producer(ends.server.transport)
    ends.server.transport.registerProducer(late, True)
    assert late.stopped


class Greeting(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"hello " + request.getClientAddress().host.encode()


class Pulled:
    """Writes one piece each time that it is asked for more."""

    def __init__(self, transport, pieces):
        self._transport = transport
        self.left = pieces

    def resumeProducing(self):
        if self.left:
            self.left -= 1
            self._transport.write(b"y" * 1024)
        else:
            self._transport.unregisterProducer()

    def stopProducing(self):
        self.left = 0


def test_a_producer_that_is_pulled_makes_no_more_than_is_read(member, ends):
    ends.client.transport.pauseProducing()
    pulled = Pulled(ends.server.transport, 300)
    ends.server.transport.registerProducer(pulled, False)
    member.settle()
    assert 100 < pulled.left < 300

    ends.client.transport.resumeProducing()
    member.settle()
    assert len(ends.client.heard) == 300 * 1024


def test_what_is_served_in_memory_can_be_asked_for_in_memory(member):
    site = Site(Greeting(), reactor=member.reactor)
    port = member.reactor.listenTCP(8080, site)
    pool = HTTPConnectionPool(member.reactor)
    client = treq.client.HTTPClient(Agent(member.reactor, pool=pool))

    async def ask():
        response = await client.get("http://localhost:8080/")
        return await response.content()

    assert member.result_of(ask()) == b"hello 127.0.0.1"
    member.result_of(pool.closeCachedConnections())
    port.stopListening()
    site.stopFactory()
    member.settle()


def test_treq_sends_bodies_with_a_cooperator_of_this_reactor(member):
    reactor = member.reactor
    cooperator = Cooperator(scheduler=lambda call: reactor.callLater(0, call))
    client = treq.client.HTTPClient(
        Agent(reactor),
        data_to_body_producer=lambda data: FileBodyProducer(
            BytesIO(data), cooperator=cooperator
        ),
    )

    async def put():
        url = f"{member.url}/v2/keys/a"
        response = await client.put(url, data={"value": "1"})
        return await response.json()

    assert member.result_of(put())["node"]["value"] == "1"


def test_it_is_what_twisted_takes_for_a_reactor(member, ends):
    for interface in (IReactorTime, IReactorTCP, IReactorPluggableNameResolver):
        assert verifyObject(interface, member.reactor)
    assert verifyObject(ITCPTransport, ends.client.transport)
    assert verifyObject(IListeningPort, ends.port)
    assert verifyObject(IConnector, ends.connector)
    timer = member.reactor.callLater(5, print)
    assert verifyObject(IDelayedCall, timer)
    timer.cancel()


def test_endpoints_work(member):
    server, client = Talker(), Talker()

    async def connect():
        listening = serverFromString(member.reactor, "tcp:7000")
        port = await listening.listen(Factory.forProtocol(lambda: server))
        connecting = clientFromString(member.reactor, "tcp:localhost:7000")
        await connectProtocol(connecting, client)
        client.transport.write(b"hello")
        client.transport.loseConnection()
        await port.stopListening()

    member.result_of(connect())
    member.settle()
    assert server.heard == b"hello"


def test_there_are_no_sockets_and_no_threads(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("not in memory")

    monkeypatch.setattr("socket.socket.__init__", refuse)
    monkeypatch.setattr("threading.Thread.start", refuse)
    with InMemoryCluster() as cluster:
        client = cluster.client()
        cluster.result_of(client.set("/a", "1"))
        cluster.drop_leader().restart()
        assert cluster.result_of(client.get("/a", quorum=True)).node.value == "1"


def test_nobody_listens_there(member):
    for host, port in (("localhost", 1), ("m1", 1), ("10.9.9.9", 1)):
        factory = Connecting(Talker())
        member.reactor.connectTCP(host, port, factory)
        member.settle()
        assert factory.failed is error.ConnectionRefusedError


def test_a_name_that_is_none_is_not_found(member):
    with pytest.raises(error.DNSLookupError):
        member.result_of(Agent(member.reactor).request(b"GET", b"http://m7:2379/"))


def test_a_port_can_be_had_once(member):
    first = member.reactor.listenTCP(8080, Factory())
    with pytest.raises(error.CannotListenError):
        member.reactor.listenTCP(8080, Factory())

    member.result_of(first.stopListening())
    member.result_of(first.stopListening())
    member.reactor.listenTCP(8080, Factory()).stopListening()


def test_who_is_not_let_in_is_disconnected(member):
    class Closed(Factory):
        def buildProtocol(self, addr):
            return None

    port = member.reactor.listenTCP(0, Closed())
    talker = Talker()
    factory = Connecting(talker)
    member.reactor.connectTCP("localhost", port.getHost().port, factory)
    member.settle()

    assert factory.lost is error.ConnectionLost
    port.stopListening()


def test_a_connection_that_is_not_made_in_time_fails(member):
    member.cut_off(clients=True)
    factory = Connecting(Talker())
    member.reactor.connectTCP("m1", 2379, factory, timeout=3)
    member.advance(3.1)

    assert factory.failed is error.TimeoutError
    member.heal()
    member.settle()
    assert factory.protocol().ended is None  # what comes too late is dropped


def test_a_connection_can_be_given_up(member):
    member.cut_off(clients=True)
    factory = Connecting(Talker())
    member.reactor.connectTCP("m1", 2379, factory).disconnect()

    assert factory.failed is error.UserError
    member.heal()
    member.settle()


def test_calls_from_threads_come_in_a_later_turn(member):
    called = []
    member.reactor.callFromThread(called.append, 1)
    assert not called

    member.settle()
    assert called == [1]


def test_names_can_be_resolved_by_somebody_else(member):
    own = member.reactor.nameResolver
    assert member.reactor.installNameResolver(own) is own
