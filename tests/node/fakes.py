"""A disk, a network and a member for tests: one clock, no sockets, no threads."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kvd.apply.applier import Applier
from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import MemberRecord
from kvd.errors import StorageError
from kvd.node.bootstrap import bootstrap_log
from kvd.node.node import Node
from kvd.node.settings import NodeSettings
from kvd.raft.codec import decode_message, encode_message
from kvd.raft.core import Raft
from kvd.raft.messages import HardState, InstallSnapshot, RaftConfig, SnapshotMeta
from kvd.v2.machine import V2

CLUSTER = 0xC
SYNC_SECONDS = 0.001


class MemoryWriter:
    def __init__(self, disk: MemoryDisk, meta: SnapshotMeta, done: Callable) -> None:
        self.disk, self.meta, self.done = disk, meta, done
        self.chunks: list[bytes] = []

    def write(self, chunk):
        self.chunks.append(chunk)
        return self.disk.later(None, self.disk.write_seconds)

    def commit(self):
        self.done(self.meta, b"".join(self.chunks))
        return self.disk.later(None)

    def abort(self):
        self.disk.aborted += 1
        return self.disk.later(None)


class MemoryReader:
    def __init__(self, disk: MemoryDisk, meta: SnapshotMeta, content: bytes) -> None:
        self.disk, self.meta, self.size = disk, meta, len(content)
        self.left = content
        self.closed = False

    def read(self, size):
        chunk, self.left = self.left[:size], self.left[size:]
        return self.disk.later(chunk)

    def close(self):
        self.closed = True


class MemoryDisk:
    """What a member has made durable; outlives the member."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.hard_state = HardState()
        self.entries: dict[int, object] = {}
        self.snapshot: tuple[SnapshotMeta, bytes] | None = None
        self.received: dict[int, tuple[SnapshotMeta, bytes]] = {}
        self.free = 1 << 40
        self.sync_seconds = SYNC_SECONDS
        self.write_seconds = 0.0
        self.broken: StorageError | None = None
        self.saves = 0
        self.aborted = 0
        self.compacted: list[int] = []

    def later(self, value, seconds: float = 0.0) -> Deferred:
        deferred: Deferred = Deferred()
        if self.broken:
            self.clock.callLater(seconds, deferred.errback, self.broken)
        else:
            self.clock.callLater(seconds, deferred.callback, value)
        return deferred

    def save(self, hard_state, entries, snapshot):
        deferred: Deferred = Deferred()

        def durable() -> None:
            if self.broken:
                deferred.errback(self.broken)
                return
            if snapshot is not None:
                self.snapshot = self.received.pop(snapshot.index)
                self.entries = {}
            if entries:
                for index in [i for i in self.entries if i >= entries[0].index]:
                    del self.entries[index]
                self.entries.update((entry.index, entry) for entry in entries)
            if hard_state is not None:
                self.hard_state = hard_state
            self.saves += 1
            deferred.callback(None)

        self.clock.callLater(self.sync_seconds, durable)
        return deferred

    def _made(self, meta, content):
        self.snapshot = (meta, content)

    def _received(self, meta, content):
        self.received[meta.index] = (meta, content)

    def create_snapshot(self, meta):
        return MemoryWriter(self, meta, self._made)

    def receive_snapshot(self, meta):
        return MemoryWriter(self, meta, self._received)

    def open_snapshot(self):
        if self.snapshot is None:
            return self.later(None)
        return self.later(MemoryReader(self, *self.snapshot))

    def compact(self, index):
        self.compacted.append(index)
        return self.later(None)

    def free_bytes(self):
        return self.later(self.free)


class Network:
    """Delivers in a later turn, through the codec; links can be cut one way."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.members: dict[int, One] = {}
        self.cut: set[tuple[int, int]] = set()
        self.lost: Callable[[object], bool] = lambda message: False

    def deliver(self, message) -> None:
        target = self.members.get(message.to)
        if target is None or (message.sender, message.to) in self.cut:
            return
        if self.lost(message):
            return
        copy = decode_message(encode_message(message))
        self.clock.callLater(0.0005, self._arrive, target, copy)

    def _arrive(self, target: One, message) -> None:
        if not target.running:
            if isinstance(message, InstallSnapshot):
                source = self.members[message.sender]
                source.node.snapshot_sent(target.member_id, ok=False)
            return
        if isinstance(message, InstallSnapshot):
            source = self.members[message.sender]
            meta, content = source.disk.snapshot
            target.disk.received[meta.index] = (meta, content)
            message = message._replace(meta=meta)
            source.node.snapshot_sent(target.member_id, ok=True)
        target.node.received(message)


class Link:
    """One member's Transport."""

    def __init__(self, network: Network, member_id: int) -> None:
        self.network, self.member_id = network, member_id
        self.peers: dict[int, tuple[str, ...]] = {}

    def send(self, messages):
        for message in messages:
            self.network.deliver(message)

    def set_peers(self, peer_urls):
        self.peers = peer_urls

    def connected(self):
        return frozenset(
            other
            for other in self.peers
            if other in self.network.members
            and self.network.members[other].running
            and (self.member_id, other) not in self.network.cut
        )


class One:
    """A member with a life that may end and begin again on the same disk."""

    def __init__(self, world: World, member_id: int, **settings) -> None:
        self.world, self.member_id = world, member_id
        self.disk = MemoryDisk(world.clock)
        self.settings = settings
        self.running = False
        self.fatal: list[BaseException] = []
        self.removed: list[str] = []

    def start(self) -> One:
        world, disk = self.world, self.disk
        self.v2 = V2()
        self.cluster = ClusterMachine()
        self.applier = Applier([self.v2, self.cluster], self.cluster)
        snapshot = disk.snapshot[0] if disk.snapshot else None
        first = snapshot.index + 1 if snapshot else 1
        raft = Raft(
            RaftConfig(self.member_id),
            hard_state=disk.hard_state,
            snapshot=snapshot,
            entries=[disk.entries[i] for i in sorted(disk.entries) if i >= first],
            randbelow=lambda n: (self.member_id * 3 + world.draw()) % n,
        )
        self.link = Link(world.network, self.member_id)
        self.node = Node(
            settings=NodeSettings(
                member_id=self.member_id,
                cluster_id=CLUSTER,
                name=f"m{self.member_id}",
                client_urls=(f"http://client-{self.member_id}:2379",),
                cluster_version="3.4.0",
                **self.settings,
            ),
            raft=raft,
            snapshot=snapshot,
            applier=self.applier,
            cluster=self.cluster,
            persistence=disk,
            transport=self.link,
            clock=world.clock,
            wall_time_ns=lambda: int((1_700_000_000 + world.clock.seconds()) * 1e9),
            sequence_start=int(world.clock.seconds() * 1e9),
            on_fatal=self.fatal.append,
            on_removed=self.removed.append,
        )
        self.running = True
        self.node.start()
        return self

    def stop(self) -> None:
        self.running = False
        self.node.stop()


class World:
    """Some members on one clock."""

    def __init__(self, count: int, **settings) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self._draws = 0
        records = [
            MemberRecord(m, "", (f"http://peer-{m}:2380",), ())
            for m in range(1, count + 1)
        ]
        hard_state, entries = bootstrap_log(records)
        for record in records:
            one = One(self, record.member_id, **settings)
            one.disk.hard_state = hard_state
            one.disk.entries = {entry.index: entry for entry in entries}
            self.network.members[record.member_id] = one

    def draw(self) -> int:
        self._draws += 1
        return self._draws * 7

    def __getitem__(self, member_id: int) -> One:
        return self.network.members[member_id]

    def all(self) -> list[One]:
        return list(self.network.members.values())

    def start(self) -> World:
        for one in self.all():
            one.start()
        self.run_until(lambda: all(o.node.status().ready_to_serve for o in self.all()))
        return self

    @property
    def leader(self) -> One:
        leaders = [o for o in self.all() if o.running and o.node.is_leader]
        return max(leaders, key=lambda one: one.node.status().raft.term)

    @property
    def followers(self) -> list[One]:
        leader = self.leader
        return [o for o in self.all() if o.running and o is not leader]

    def step(self) -> None:
        """The next call alone; ``advance`` makes all that are due, and theirs."""
        clock = self.clock
        call = clock.calls.pop(0)
        clock.rightNow = max(clock.rightNow, call.getTime())
        call.called = 1
        call.func(*call.args, **call.kw)

    def run(self, seconds: float) -> None:
        """From deadline to deadline."""
        end = self.clock.seconds() + seconds
        while True:
            calls = self.clock.getDelayedCalls()
            if not calls:
                break
            due = min(call.getTime() for call in calls)
            if due > end:
                break
            self.clock.advance(max(0.0, due - self.clock.seconds()))
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def run_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        end = self.clock.seconds() + seconds
        while not condition():
            assert self.clock.seconds() < end, "it did not happen in time"
            self.run(0.01)

    def result(self, deferred: Deferred, seconds: float = 30.0):
        """Run until it fires; failures are returned as exceptions."""
        got: list = []
        deferred.addCallbacks(got.append, lambda failure: got.append(failure.value))
        self.run_until(lambda: bool(got), seconds)
        return got[0]
