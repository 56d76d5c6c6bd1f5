"""A whole member in a simulation: everything real but the rim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.apply.applier import Applier
from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import MemberRecord
from kvd.node.bootstrap import bootstrap_log
from kvd.node.interfaces import (
    Persistence,
    TransportEvents,
)
from kvd.node.node import Node
from kvd.node.settings import NodeSettings
from kvd.raft.core import Raft
from kvd.raft.messages import (
    Configuration,
    Entry,
    HardState,
    RaftConfig,
    SnapshotMeta,
)
from kvd.storage.data_dir import Identity, StorageSettings
from kvd.storage.open import Opened, open_storage
from kvd.testing.clock import MachineClock, Process, Timeline
from kvd.testing.disk import SimulatedDisk
from kvd.testing.invariants import Invariants
from kvd.testing.network import Network, SimulatedTransport
from kvd.testing.observed import Recorded, Watched
from kvd.testing.worker import SimulatedWorker
from kvd.v2.auth import Auth
from kvd.v2.machine import V2

CLUSTER_ID = 0xC1
EPOCH_NS = 1_700_000_000 * 1_000_000_000
DATA_FOLDER = "/data"


@attrs.frozen(kw_only=True)
class Sizes:
    """What makes rare things frequent: short timeouts, small logs."""

    tick_seconds: float = 0.1
    election_ticks: int = 5
    request_timeout_seconds: float = 3.0
    snapshot_count: int = 40
    catchup_entries: int = 5
    segment_bytes: int = 8192
    append_bytes_max: int = 4096
    disk_floor_bytes: int = 1 << 16
    promote_learners: bool = True

    @property
    def election_seconds(self) -> float:
        return self.tick_seconds * self.election_ticks


@attrs.frozen(kw_only=True)
class Parts:
    """The real parts; a test that plants a bug puts another class in."""

    raft: Callable[..., Raft] = Raft
    transport: Callable[..., SimulatedTransport] = SimulatedTransport
    applier: Callable[..., Applier] = Applier
    v2: Callable[..., V2] = V2
    cluster: Callable[[], ClusterMachine] = ClusterMachine
    node: Callable[..., Node] = Node
    disk: Callable[[Random], SimulatedDisk] = SimulatedDisk
    worker: Callable[[Process, SimulatedDisk, Random], SimulatedWorker] = (
        SimulatedWorker
    )
    open_storage: Callable[..., Deferred[Opened]] = open_storage
    persistence: Callable[[Persistence], Persistence] = lambda real: real


class Machine:
    """
    A computer: its disk and its clock stay when the member on it goes.

    :ivar founding: the records of all founding members; empty for one that joins.
    :ivar remotes: what one that joins was told of the others, if anything.
    :ivar addresses: where it listens; what others believe may be something else.
    :ivar removed: it is no member any more, or was destroyed: it stays as it is.
    :ivar storage_may_fail: a fault of the disk was planted: a StorageError is right.
    """

    def __init__(
        self,
        member_id: int,
        *,
        timeline: Timeline,
        seed: str,
        disk: Callable[[Random], SimulatedDisk],
        founding: Sequence[MemberRecord],
        remotes: Sequence[MemberRecord] = (),
    ) -> None:
        self.member_id = member_id
        self.founding = founding
        self.remotes = remotes
        self.addresses = set(record_of(member_id).peer_urls)
        self.disk = disk(Random(f"{seed} disk {member_id}"))
        self.random = Random(f"{seed} member {member_id}")
        self.clock = MachineClock(timeline, epoch_ns=EPOCH_NS)
        self.run: Run | None = None
        self.runs = 0
        self.removed = False
        self.storage_may_fail = False

    @property
    def up(self) -> bool:
        return self.run is not None and self.run.process.alive


def record_of(member_id: int, *, learner: bool = False) -> MemberRecord:
    return MemberRecord(
        member_id, f"m{member_id}", (f"http://peer-{member_id}:2380",), (), learner
    )


class Host:
    """What a run tells the cluster; the cluster overrides it."""

    def first_applied(self, entry: Entry, value: object) -> None: ...

    def assembled(self, run: Run) -> None: ...

    def happened(self, what: str) -> None: ...

    def ready(self, run: Run) -> None: ...

    def crashed(self, run: Run) -> None: ...

    def failed(self, run: Run, error: BaseException | None) -> None: ...

    def left(self, run: Run, reason: str) -> None: ...


class Run:
    """One life of a member, from the start of its process to its end."""

    node: Node
    raft: Raft
    auth: Auth
    v2: V2
    cluster: ClusterMachine
    persistence: Persistence
    events: TransportEvents
    transport: SimulatedTransport

    def __init__(
        self,
        machine: Machine,
        *,
        host: Host,
        network: Network,
        timeline: Timeline,
        invariants: Invariants,
        parts: Parts,
        sizes: Sizes,
    ) -> None:
        self.machine = machine
        self.member_id = machine.member_id
        self.host = host
        self.invariants = invariants
        self.restored_index = 0
        self.ready = False
        self.ended: list[Callable[[], object]] = []
        self._network = network
        self._parts = parts
        self._sizes = sizes
        machine.runs += 1
        self.number = machine.runs
        self.process = Process(
            timeline, machine.clock, crashed=self._crash, turned=self._turned
        )
        invariants.started(self.member_id)

    # -- beginning ------------------------------------------------------------

    def start(self) -> None:
        """In a turn of the process; the rest follows."""
        self.process.after(0, self._start)

    def _start(self) -> None:
        Deferred.fromCoroutine(self._open()).addErrback(self._not_started)

    def _not_started(self, failure: Failure) -> None:
        self.host.failed(self, failure.value)

    async def _open(self) -> None:
        machine, parts, sizes = self.machine, self._parts, self._sizes
        worker = parts.worker(self.process, machine.disk, machine.random)
        opened = await parts.open_storage(
            disk=machine.disk,
            worker=worker,
            settings=StorageSettings(
                data_folder=DATA_FOLDER,
                segment_bytes=sizes.segment_bytes,
                snapshots_keep=2,
                wals_keep=1,
            ),
            progress=lambda _: None,
        )
        self._close = opened.persistence.close
        found = opened.recovered
        hard_state, entries = found.hard_state, found.entries
        log = self.invariants.logs[self.member_id]
        log.recovered(hard_state, found.snapshot, entries)
        if found.identity is None:
            await opened.persistence.initialise(Identity(self.member_id, CLUSTER_ID))
        real: Any = opened.persistence  # Any: narrower results than the protocol's
        self.persistence = parts.persistence(real)
        self._recorded = Recorded(self.persistence, self)
        if machine.founding and not hard_state.term:
            hard_state, entries = bootstrap_log(machine.founding)
            await self._recorded.save(hard_state, entries, None)
        self._assemble(hard_state, found.snapshot, entries)
        await self.node.start()
        self.ready = True
        self._network.endpoints[self.member_id] = self
        self.host.ready(self)

    def _assemble(
        self,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: Sequence[Entry],
    ) -> None:
        machine, parts, sizes = self.machine, self._parts, self._sizes
        self.raft = parts.raft(
            RaftConfig(
                member_id=self.member_id,
                election_ticks=sizes.election_ticks,
                append_bytes_max=sizes.append_bytes_max,
            ),
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
            randbelow=machine.random.randrange,
        )
        self.auth = Auth()
        self.v2 = parts.v2(auth=self.auth)
        self.host.assembled(self)
        self.cluster = parts.cluster()
        applier = Watched(parts.applier([self.auth, self.v2], self.cluster), self, 0)
        self.transport = parts.transport(self._network, self.member_id, self.process)
        self.transport.owner = self
        self.node = parts.node(
            settings=NodeSettings(
                member_id=self.member_id,
                cluster_id=CLUSTER_ID,
                name=f"m{self.member_id}",
                client_urls=(f"http://client-{self.member_id}:2379",),
                cluster_version="3.4.0",
                tick_seconds=sizes.tick_seconds,
                election_ticks=sizes.election_ticks,
                request_timeout_seconds=sizes.request_timeout_seconds,
                snapshot_count=sizes.snapshot_count,
                catchup_entries=sizes.catchup_entries,
                disk_floor_bytes=sizes.disk_floor_bytes,
                promote_learners=sizes.promote_learners,
            ),
            raft=self.raft,
            snapshot=snapshot,
            applier=applier,
            cluster=self.cluster,
            remotes=machine.remotes,
            persistence=self._recorded,
            transport=self.transport,
            clock=self.process,
            wall_time_ns=machine.clock.wall_time_ns,
            sequence_start=machine.clock.wall_time_ns(),
            on_fatal=lambda error: self.host.failed(self, error),
            on_removed=lambda reason: self.host.left(self, reason),
        )
        self.events = self.node

    @property
    def addresses(self) -> set[str]:
        return self.machine.addresses

    def admits(self, member_id: int) -> bool:
        """As the reception of the peer port; one that was removed is let in to hear it."""
        return (
            self.transport.knows(member_id)
            or self.raft.may_be_led_by(member_id)
            or bool(self.refuses(member_id))
        )

    def refuses(self, member_id: int) -> str:
        """Of the network: a member that was removed is not heard, but told."""
        if member_id in self.cluster.removed:
            return "the member has been permanently removed from the cluster"
        return ""

    def membership(self) -> Configuration:
        """As the cluster machine has it; the core must agree."""
        members = self.cluster.members()
        return Configuration(
            voters=frozenset(m.member_id for m in members if not m.learner),
            learners=frozenset(m.member_id for m in members if m.learner),
        )

    # -- in the middle --------------------------------------------------------

    def _turned(self) -> None:
        if self.ready:
            raft = self.raft
            self.invariants.turned(
                self.member_id,
                term=raft.term,
                role=raft.role,
                commit=raft.commit,
                term_at=raft._state.log.term,  # noqa: SLF001 -- nobody else may look
            )

    def stop(self) -> Deferred[None]:
        """Fires when the member has finished and let go of its files."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.node.stop()
        await self._close()

    # -- the end --------------------------------------------------------------

    def _crash(self) -> None:
        self.host.crashed(self)

    def end(self) -> None:
        """The process is gone; what happens to the disk is its caller's choice."""
        if self.process.alive:
            self.process.end()
            self.ready = False
            self._network.left(self.member_id)
            self.machine.run = None
            for tell in self.ended:
                tell()
