"""Streams in memory on a Clock, with buffers, silence and cuts like those of TCP."""

from __future__ import annotations

from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from kvd.cluster.facts import ClusterFacts
from kvd.errors import StorageError
from kvd.peer.settings import PeerSettings
from kvd.peer.transport import AmpTransport
from kvd.raft.messages import Configuration, SnapshotMeta

BUFFER_BYTES = 64 << 10
VERSION = "3.4.0"


class Stream:
    """One end of a connection, in Twisted's words a transport."""

    disconnecting = False

    def __init__(self, clock, host, peer):
        self.clock = clock
        self.host, self.peer = host, peer
        self.other = None
        self.protocol = None
        self.buffer = bytearray()
        self.buffer_max_seen = 0
        self.written = bytearray()
        self.producer = None
        self.paused = False
        self.reading = (
            True  # False: nothing is read here, the kernel's buffers are full
        )
        self.cut = False  # the cable is gone: no data, no end, no reset
        self.lost = False
        self.scheduled = False

    def getPeer(self):
        return self.peer

    def getHost(self):
        return self.host

    def setTcpNoDelay(self, enabled):
        pass

    def setTcpKeepAlive(self, enabled):
        pass

    def write(self, data):
        if self.lost or self.disconnecting:
            return
        self.buffer += data
        self.buffer_max_seen = max(self.buffer_max_seen, len(self.buffer))
        self.written += data
        full = len(self.buffer) > BUFFER_BYTES
        if full and self.producer is not None and not self.paused:
            self.paused = True
            self.producer.pauseProducing()
        self._schedule()

    def registerProducer(self, producer, streaming):
        assert streaming and self.producer is None
        self.producer = producer

    def unregisterProducer(self):
        self.producer = None

    def loseConnection(self):
        self.disconnecting = True
        self._schedule()

    def abortConnection(self):
        if self.lost:
            return
        self.buffer.clear()
        self.disconnecting = True
        self._end(
            Failure(error.ConnectionLost("aborted")),
            Failure(error.ConnectionLost("reset")),
        )

    def _schedule(self):
        if not self.scheduled and not self.lost:
            self.scheduled = True
            self.clock.callLater(0, self._move)

    def _move(self):
        self.scheduled = False
        if self.lost or self.cut or not self.other.reading:
            return
        data = bytes(self.buffer[:BUFFER_BYTES])
        del self.buffer[:BUFFER_BYTES]
        if data and not self.other.lost:
            self.other.protocol.dataReceived(data)
        if self.lost:
            return
        if self.buffer:
            self._schedule()
        elif self.producer is not None and self.paused:
            self.paused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            done = Failure(error.ConnectionDone())
            self._end(done, done)

    def read_again(self):
        self.reading = True
        self.other._schedule()

    def _end(self, here, there):
        self.lost = True
        self.clock.callLater(0, self.protocol.connectionLost, here)
        other = self.other
        if not other.lost and not self.cut:
            other.lost = True
            self.clock.callLater(0, other.protocol.connectionLost, there)


class Network:
    """Who listens where; makes connections between factories."""

    def __init__(self, clock):
        self.clock = clock
        self.listening = {}
        self.unreachable = set()
        self.attempts = []
        self.connections = []  # (url, client stream, server stream)
        self.ports = 40000

    def endpoint(self, url):
        if "://" not in url:
            raise ValueError("not a URL")
        return Endpoint(self, url)

    def connect(self, factory, url):
        server_factory = self.listening[url]
        self.ports += 1
        near = IPv4Address("TCP", "10.0.0.1", self.ports)
        far = IPv4Address("TCP", "10.0.0.2", 2380)
        client, server = Stream(self.clock, near, far), Stream(self.clock, far, near)
        client.other, server.other = server, client
        server.protocol = server_factory.buildProtocol(near)
        client.protocol = factory.buildProtocol(far)
        if server.protocol is None:
            return fail(error.ConnectionRefusedError())
        self.connections.append((url, client, server))
        server.protocol.makeConnection(server)
        client.protocol.makeConnection(client)
        return succeed(client.protocol)


@implementer(IStreamClientEndpoint)
class Endpoint:
    def __init__(self, network, url):
        self.network, self.url = network, url

    def connect(self, protocolFactory):
        self.network.attempts.append((self.network.clock.seconds(), self.url))
        if self.url in self.network.unreachable:
            # As Twisted's endpoints, which do not fail with CancelledError.
            address = IPv4Address("TCP", "10.0.0.2", 2380)
            return Deferred(
                lambda attempt: attempt.errback(error.ConnectingCancelledError(address))
            )
        if self.url not in self.network.listening:
            return fail(error.ConnectionRefusedError())
        return self.network.connect(protocolFactory, self.url)


class Events:
    """Records what a transport tells its member."""

    def __init__(self):
        self.messages = []
        self.unreachable_ids = []
        self.snapshots = []
        self.removals = []

    def received(self, message):
        self.messages.append(message)

    def unreachable(self, member_id):
        self.unreachable_ids.append(member_id)

    def snapshot_sent(self, member_id, *, ok):
        self.snapshots.append((member_id, ok))

    def removed(self, reason):
        self.removals.append(reason)


class Writer:
    def __init__(self, disk, meta):
        self.disk, self.meta = disk, meta
        self.content = bytearray()
        self.pending = 0
        self.state = "open"

    def write(self, chunk):
        assert self.state == "open"
        assert not self.pending, "only one write at a time"
        self.pending += 1
        self.disk.writes.append(len(chunk))

        def written():
            self.content += chunk

        def ended(result):
            self.pending -= 1
            return result

        return self.disk.later(written).addBoth(ended)

    def commit(self):
        assert self.state == "open" and not self.pending
        self.state = "committing"

        def committed():
            self.state = "committed"

        return self.disk.later(committed)

    def abort(self):
        assert not self.pending

        def aborted():
            self.state = "aborted"

        return self.disk.later(aborted, may_fail=False)


class Reader:
    def __init__(self, disk, meta, content):
        self.disk, self.meta, self.content = disk, meta, content
        self.size = len(content)
        self.position = 0
        self.closed = False

    def read(self, size):
        def read():
            data = self.content[self.position : self.position + size]
            self.position += len(data)
            return data

        return self.disk.later(read)

    def close(self):
        self.closed = True


class Disk:
    """The part of Persistence that the transport uses."""

    def __init__(self, clock):
        self.clock = clock
        self.delay_seconds = 0.001
        self.snapshot = None  # (meta, content)
        self.writers, self.readers, self.writes = [], [], []
        self.broken = False

    def later(self, act, may_fail=True):
        done = Deferred()

        def now():
            if self.broken and may_fail:
                done.errback(StorageError("broken"))
            else:
                done.callback(act())

        self.clock.callLater(self.delay_seconds, now)
        return done

    def open_snapshot(self):
        def opened():
            if self.snapshot is None:
                raise StorageError("there is no snapshot")
            self.readers.append(Reader(self, *self.snapshot))
            return self.readers[-1]

        done = Deferred()

        def now():
            try:
                done.callback(opened())
            except StorageError as problem:
                done.errback(problem)

        self.clock.callLater(self.delay_seconds, now)
        return done

    def receive_snapshot(self, meta):
        assert all(each.state in {"committed", "aborted"} for each in self.writers)
        self.writers.append(Writer(self, meta))
        return self.writers[-1]


META = SnapshotMeta(500, 7, Configuration(frozenset({1, 2, 3}), frozenset({4})))


class Member:
    """One AmpTransport and all around it."""

    def __init__(self, network, member_id, cluster_id=0xC1, settings=None, random=None):
        self.network = network
        self.member_id = member_id
        self.url = f"http://m{member_id}:2380"
        self.disk = Disk(network.clock)
        self.removed_ids = set()
        self.run_ids = set()
        self.reads_its_log = False
        self.records = ()
        self.leader = 99
        self.events = Events()
        self.transport = AmpTransport(
            connect=network.endpoint,
            clock=network.clock,
            random=random or (lambda: 0.5),
            member_id=member_id,
            cluster_id=cluster_id,
            persistence=self.disk,
            is_removed=self.removed_ids.__contains__,
            has_run=lambda other: (
                other in self.run_ids or (None if self.reads_its_log else False)
            ),
            may_lead=lambda other: self.leader in {0, other},
            facts=lambda: ClusterFacts(cluster_id, VERSION, self.records),
            settings=settings or PeerSettings(),
        )
        self.transport.set_events(self.events)
        network.listening[self.url] = self.transport.factory

    def knows(self, *members):
        self.transport.set_peers({each.member_id: (each.url,) for each in members})
        return self

    @property
    def messages(self):
        return self.events.messages


class World:
    """A Clock, a network and members that know one another."""

    def __init__(self, count=2, settings=None):
        self.clock = Clock()
        self.network = Network(self.clock)
        self.members = [
            Member(self.network, number, settings=settings)
            for number in range(1, count + 1)
        ]

    def start(self):
        for member in self.members:
            member.knows(*self.members)
            member.transport.start()
        self.run(0.01)
        return self

    def run(self, seconds):
        """Advance from deadline to deadline."""
        end = self.clock.seconds() + seconds
        while True:
            calls = self.clock.getDelayedCalls()
            due = min((call.getTime() for call in calls), default=None)
            if due is None or due > end:
                break
            self.clock.advance(max(0.0, due - self.clock.seconds()))
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def streams(self, sender, receiver):
        """The client and server streams of sender -> receiver, in order of dialling."""
        return [
            (client, server)
            for url, client, server in self.network.connections
            if url == receiver.url
            and getattr(client.protocol, "_identity", None) is not None
            and client.protocol._identity.member_id == sender.member_id
        ]
