"""A member of a cluster: the core, the machines and the disk behind one door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.apply.applier import Applier
from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import MemberRecord
from kvd.errors import Unavailable, UnavailableReason
from kvd.node.driver import Driver, Told
from kvd.node.figures import Figures
from kvd.node.forwarded import Forwarded
from kvd.node.handover import Handover, successor_of
from kvd.node.interfaces import Applied, MemberStatus, Persistence, Transport
from kvd.node.lateness import Lateness
from kvd.node.membership import Membership
from kvd.node.promotion import Promotion
from kvd.node.proposals import Proposals
from kvd.node.readiness import Readiness
from kvd.node.reads import Reads
from kvd.node.requests import Requests
from kvd.node.settings import NodeSettings
from kvd.node.snapshots import Snapshots
from kvd.node.stats import CountedTransport, RaftTraffic
from kvd.node.upkeep import Upkeep
from kvd.raft.core import Raft
from kvd.raft.messages import (
    ChangeRefused,
    ConfigChange,
    Message,
    Propose,
    Role,
    SnapshotMeta,
)


class Node:
    """
    Implements ``Member`` for those who ask and ``TransportEvents`` for those who tell.

    :param sequence_start: of request ids, at random out of 2^63: no two lives share one.
    :param remotes: and ``departing``: see :class:`Membership`.
    :param snapshot: the newest durable one, from which :meth:`start` fills the machines.
    :param on_fatal: told once, when a promise can no longer be kept; exit status 1.
    :param on_removed: told once, when the cluster has removed this member.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        settings: NodeSettings,
        raft: Raft,
        snapshot: SnapshotMeta | None,
        applier: Applier,
        cluster: ClusterMachine,
        remotes: Sequence[MemberRecord] = (),
        departing: Callable[[], frozenset[int]] = frozenset,
        persistence: Persistence,
        transport: Transport,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
        sequence_start: int,
        on_fatal: Callable[[BaseException], None],
        on_removed: Callable[[str], None],
    ) -> None:
        self.member_id = settings.member_id
        self.cluster_id = settings.cluster_id
        self._settings = settings
        self._raft = raft
        self._transport = transport
        self._clock = clock
        self._on_fatal = on_fatal
        self._leader_callbacks: list[Callable[[int], None]] = []
        self._stopping = False
        self._lateness = Lateness(raft, election_seconds=settings.election_seconds)
        self._tick_loop: LoopingCall | None = None
        self.traffic = RaftTraffic()
        self._readiness = Readiness(cluster)
        self._membership = Membership(
            member_id=settings.member_id,
            cluster=cluster,
            remotes=remotes,
            departing=departing,
            transport=transport,
            traffic=self.traffic,
            is_leader=lambda: self.is_leader,
            removed=on_removed,
        )
        self._proposals = Proposals(
            member_id=settings.member_id,
            sequence_start=sequence_start,
            max_pending=settings.proposals_pending_max,
            max_bytes=settings.outbox_bytes_max,
        )
        self._forwarded = Forwarded(hold=self._proposals.hold, send=transport.send)
        self._reads = Reads(raft.read_index, max_pending=settings.proposals_pending_max)
        self._snapshots = Snapshots(
            persistence=persistence,
            clock=clock,
            every=settings.snapshot_count,
            newest=snapshot,
            has_room=self._has_room,
            made=lambda *metas: self._driver.snapshot_made(*metas),  # noqa: PLW0108 -- it is made below
            failed=self._failed,
        )
        self._driver = Driver(
            raft=raft,
            applier=applier,
            persistence=persistence,
            transport=CountedTransport(transport, self.traffic, clock),
            clock=clock,
            proposals=self._proposals,
            reads=self._reads,
            snapshots=self._snapshots,
            catchup_entries=settings.catchup_entries,
            told=Told(
                fatal=self._stopped_for_good,
                membership_changed=self._membership.changed,
                leader_changed=self._leader_changed,
            ),
        )
        self._requests = Requests(
            driver=self._driver,
            proposals=self._proposals,
            reads=self._reads,
            clock=clock,
            wall_time_ns=wall_time_ns,
            request_bytes_max=settings.request_bytes_max,
        )
        self._promotion = Promotion(
            raft=raft,
            cluster=cluster,
            reconfigure=self._requests.reconfigure,
            clock=clock,
            pause_seconds=settings.election_seconds,
        )
        self._upkeep = Upkeep(
            settings=settings,
            applier=applier,
            cluster=cluster,
            persistence=persistence,
            clock=clock,
            wall_time_ns=wall_time_ns,
            is_leader=lambda: self.is_leader,
            propose=self._requests.propose,
            submit=self._requests.submit,
            published=self._readiness.published,
            saving_seconds=lambda: self._driver.saving_seconds,
            make_way=self._make_way,
            failed=self._failed,
        )
        own = self._driver, self._proposals, self._reads, self._snapshots
        self.figures = Figures(*own, self._upkeep, self._lateness)

    # -- life -----------------------------------------------------------------------

    def start(self) -> Deferred[None]:
        """Fires when the machines are filled and the member takes part."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        if self._snapshots.newest is not None:
            await self._driver.load(self._snapshots.newest)
        if self._stopping:
            return
        self._membership.changed()
        self._tick_loop = LoopingCall(self._tick)
        self._tick_loop.clock = self._clock
        self._tick_loop.start(self._settings.tick_seconds, now=False).addErrback(
            self._failed
        )
        self._upkeep.start()
        self._driver.wake()

    def stop(self) -> Deferred[list[None]]:
        """Fires when nothing is under way any more; waiters are told that we stop."""
        self._halt()
        return gatherResults([self._driver.stop(), self._snapshots.stop()])

    def when_ready(self) -> Deferred[None]:
        """Fires when clients may be served; see :class:`Readiness`."""
        return self._readiness.wait()

    def _halt(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._upkeep.stop()
            if self._tick_loop is not None and self._tick_loop.running:
                self._tick_loop.stop()
            self._requests.stop()

    def _failed(self, failure: Failure) -> None:
        self._driver.failed(failure)

    def _stopped_for_good(self, error: BaseException) -> None:
        self._halt()
        self._on_fatal(error)

    # -- the door -------------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        return self._raft.role is Role.LEADER

    @property
    def commit_index(self) -> int:
        return self._raft.commit

    @property
    def applied_index(self) -> int:
        return self._raft.applied_index

    @property
    def applied_term(self) -> int:
        return self._driver.applied_term

    def propose(self, machine: str, body: bytes) -> Deferred[Applied]:
        """See ``Member.propose``."""
        if self._upkeep.out_of_space:
            return fail(Unavailable(UnavailableReason.NO_SPACE, may_take_effect=False))
        return self._requests.propose(machine, body)

    def read_index(self) -> Deferred[int]:
        """See ``Member.read_index``."""
        return self._requests.read_index()

    def reconfigure(self, change: ConfigChange) -> Deferred[Applied]:
        """See ``Member.reconfigure``; refused with ``ReconfigurationRefused``."""
        return self._requests.reconfigure(change)

    def transfer_leadership(self, target: int) -> Deferred[bool]:
        """See ``Member.transfer_leadership``."""
        if not self.is_leader or self._stopping:
            return succeed(False)
        return Handover.begun(
            target,
            driver=self._driver,
            clock=self._clock,
            seconds=self._settings.election_seconds,
            callbacks=self._leader_callbacks,
        )

    def successor(self) -> int:
        """The voter best fit to lead after us, 0 if nobody is in touch."""
        return successor_of(self._raft.status())

    def status(self) -> MemberStatus:
        """See ``MemberStatus``."""
        return MemberStatus(
            raft=self._raft.status(),
            leader=self._raft.leader,
            is_leader=self.is_leader,
            ready_to_serve=self._readiness.reached,
            connected=self._transport.connected(),
            pending_proposals=len(self._proposals),
            out_of_space=self._upkeep.out_of_space,
            leader_since=self._lateness.leader_since,
        )

    def on_leader_changed(self, callback: Callable[[int], None]) -> None:
        """Call with the new leader's id (0: none) at each change."""
        self._leader_callbacks.append(callback)

    # -- what the transport tells ---------------------------------------------------

    def received(self, message: Message) -> None:
        """A message of another member, decoded; lost until our machines are filled."""
        if self._tick_loop is None:
            return
        self.traffic.received(message, now=self._clock.seconds())
        if type(message) is Propose:
            fresh = self._forwarded.admit(
                message,
                out_of_space=self._upkeep.out_of_space,
                handing_over=self._raft.is_transferring,
            )
            if fresh is None:
                return
            message = fresh
        elif type(message) is ChangeRefused:
            self._requests.refused(message)
            return
        self._driver.guarded(partial(self._raft.step, message))
        self._driver.wake()

    def unreachable(self, member_id: int) -> None:
        """Messages to it were lost."""
        self.traffic.failed(member_id)
        self._driver.guarded(partial(self._raft.report_unreachable, member_id))
        self._driver.wake()

    def snapshot_sent(self, member_id: int, *, ok: bool) -> None:
        """The stream of a snapshot ended."""
        self._driver.guarded(partial(self._raft.report_snapshot, member_id, ok))
        self._driver.wake()

    def removed(self, reason: str) -> None:
        """Another member says that the cluster has removed us."""
        self._membership.leave(reason)

    # -- what the driver tells ------------------------------------------------------

    def _leader_changed(self, leader: int) -> None:
        if leader:
            self._lateness.leader_seen(now=self._clock.seconds())
            self._log.info(
                "leader is {leader:x} in term {term}",
                leader=leader,
                term=self._raft.term,
            )
        else:
            self._log.warn("no leader in term {term}", term=self._raft.term)
        self._upkeep.leader_changed()
        for callback in list(self._leader_callbacks):
            callback(leader)

    def _has_room(self, size: int) -> bool:
        return self._upkeep.has_room(size)

    def _make_way(self) -> None:
        """Our disk is full or stuck: let somebody lead who can write."""
        if self.is_leader and (target := self.successor()):
            self.transfer_leadership(target)

    # -- time -----------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._clock.seconds()
        self._lateness.observe(self._transport.connected(), now=now)
        before = now - self._settings.request_timeout_seconds
        self._proposals.expire(before=before, reason=self._lateness.why)
        self._reads.expire(before=before, reason=self._lateness.why)
        self._reads.retry(asked_before=now - self._settings.election_seconds / 2)
        self._driver.guarded(self._raft.tick)
        self._driver.wake()
        self._readiness.look()
        self._membership.ticked()
        if self._settings.promote_learners:
            self._promotion.look()
