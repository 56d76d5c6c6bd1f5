"""A member of a cluster: the core, the machines and the disk behind one door."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.apply.applier import Applier
from kvd.apply.request import Request, RequestId, encode_request, peek_request_id
from kvd.cluster.machine import ClusterMachine
from kvd.errors import (
    ReconfigurationRefused,
    RequestError,
    Unavailable,
    UnavailableReason,
)
from kvd.node.changes import tag_change, untag_change
from kvd.node.driver import Driver, Told
from kvd.node.interfaces import Applied, MemberStatus, Persistence, Transport
from kvd.node.proposals import Proposals
from kvd.node.reads import Reads
from kvd.node.settings import NodeSettings
from kvd.node.snapshots import Snapshots
from kvd.node.stats import RaftTraffic
from kvd.node.upkeep import Upkeep
from kvd.raft.codec import decode_change
from kvd.raft.core import Raft
from kvd.raft.messages import (
    ConfigChange,
    EntryKind,
    Message,
    Propose,
    Role,
    SnapshotMeta,
)

SEEN_MAX = 65_536


class Node:
    """
    Implements ``Member`` for those who ask and ``TransportEvents`` for those who tell.

    :param sequence_start: of request ids; must be higher than in any earlier life of
        this member, for example its wall clock in ns.
    :param snapshot: the newest durable one at the start; the machines are filled
        from it in :meth:`start`.
    :param on_fatal: told once, when the member has stopped because a promise can no
        longer be kept; the process should exit with status 1.
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
        self._cluster = cluster
        self._transport = transport
        self._clock = clock
        self._wall_time_ns = wall_time_ns
        self._on_fatal = on_fatal
        self._on_removed = on_removed
        self._leader_since = 0.0
        self._leader_callbacks: list[Callable[[int], None]] = []
        self._ready_waiters: list[Deferred[None]] = []
        self._is_published = False
        self._ready_to_serve = False
        self._removed_told = False
        self._was_member = False
        self._stopping = False
        self._connected_since: dict[int, float] = {}
        self._seen: OrderedDict[RequestId, None] = OrderedDict()
        self._tick_loop: LoopingCall | None = None
        self.traffic = RaftTraffic()
        self._proposals = Proposals(
            member_id=settings.member_id,
            sequence_start=sequence_start,
            max_pending=settings.proposals_pending_max,
        )
        self._reads = Reads(raft.read_index, max_pending=settings.proposals_pending_max)
        self._snapshots = Snapshots(
            persistence=persistence,
            every=settings.snapshot_count,
            newest=snapshot,
            made=self._snapshot_made,
            failed=self._failed,
        )
        self._driver = Driver(
            raft=raft,
            applier=applier,
            persistence=persistence,
            transport=_Counted(transport, self.traffic, clock),
            clock=clock,
            proposals=self._proposals,
            reads=self._reads,
            snapshots=self._snapshots,
            catchup_entries=settings.catchup_entries,
            told=Told(
                fatal=self._stopped_for_good,
                membership_changed=self._membership_changed,
                leader_changed=self._leader_changed,
            ),
        )
        self._upkeep = Upkeep(
            settings=settings,
            applier=applier,
            cluster=cluster,
            persistence=persistence,
            clock=clock,
            wall_time_ns=wall_time_ns,
            is_leader=lambda: self.is_leader,
            propose=self._propose,
            submit=self._submit,
            published=self._published,
            full=self._make_way,
            failed=self._failed,
        )

    # -- life -----------------------------------------------------------------------

    def start(self) -> Deferred[None]:
        """Fires when the machines are filled and the member takes part."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        if self._snapshots.newest is not None:
            await self._driver.load(self._snapshots.newest)
        if self._stopping:
            return
        self._membership_changed()
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
        """
        Fires when there is a leader, this member's own record is published, and the
        cluster's version is decided.
        """
        ready: Deferred[None] = Deferred()
        if self._ready_to_serve:
            ready.callback(None)
        else:
            self._ready_waiters.append(ready)
        return ready

    def _halt(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._upkeep.stop()
            if self._tick_loop is not None and self._tick_loop.running:
                self._tick_loop.stop()
            self._proposals.stop()
            self._reads.stop()

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
        return self._propose(machine, body)

    def _propose(self, machine: str, body: bytes) -> Deferred[Applied]:
        if len(body) > self._settings.request_bytes_max:
            return fail(RequestError(210, "request too large"))
        if self._stopping:
            return fail(Unavailable(UnavailableReason.STOPPED, may_take_effect=False))
        request_id = self._proposals.next_id()
        try:
            answer = self._proposals.wait(request_id, now=self._clock.seconds())
        except Unavailable as error:
            return fail(error)
        self._put(request_id, machine, body)
        return answer

    def _submit(self, machine: str, body: bytes) -> None:
        """Propose without waiting; the leader's own upkeep."""
        if not self._stopping:
            self._put(self._proposals.next_id(), machine, body)

    def _put(self, request_id: RequestId, machine: str, body: bytes) -> None:
        request = Request(machine, request_id, self._wall_time_ns(), body)
        self._proposals.put(request_id, encode_request(request))
        self._driver.wake()

    def read_index(self) -> Deferred[int]:
        """See ``Member.read_index``."""
        if self._stopping:
            return fail(Unavailable(UnavailableReason.STOPPED, may_take_effect=False))
        try:
            answer = self._reads.wait(now=self._clock.seconds())
        except Unavailable as error:
            return fail(error)
        self._driver.wake()
        return answer

    def reconfigure(self, change: ConfigChange) -> Deferred[Applied]:
        """See ``Member.reconfigure``; refused with ``ReconfigurationRefused``."""
        if self._stopping:
            return fail(Unavailable(UnavailableReason.STOPPED, may_take_effect=False))
        request_id = self._proposals.next_id()
        try:
            answer = self._proposals.wait(request_id, now=self._clock.seconds())
        except Unavailable as error:
            return fail(error)
        self._driver.guarded(partial(self._propose_change, change, request_id))
        self._driver.wake()
        return answer

    def _propose_change(self, change: ConfigChange, request_id: RequestId) -> None:
        refusal = self._raft.propose_change(tag_change(change, request_id))
        if refusal is not None:
            self._proposals.fail(request_id, ReconfigurationRefused(refusal.value))

    def transfer_leadership(self, target: int) -> Deferred[bool]:
        """See ``Member.transfer_leadership``."""
        done: Deferred[bool] = Deferred()
        if not self.is_leader or self._stopping:
            done.callback(False)
            return done

        def settle(result: bool) -> None:
            if not done.called:
                self._leader_callbacks.remove(changed)
                if late.active():
                    late.cancel()
                done.callback(result)

        def changed(leader: int) -> None:
            if leader not in (0, self.member_id):
                settle(True)

        self._leader_callbacks.append(changed)
        late = self._clock.callLater(
            self._settings.election_seconds, lambda: settle(False)
        )

        def begin() -> None:
            if not self._raft.transfer(target):
                settle(False)

        self._driver.guarded(begin)
        self._driver.wake()
        return done

    def successor(self) -> int:
        """The voter best fit to lead after us, 0 if nobody is in touch."""
        status = self._raft.status()
        fit = [
            (progress.match, progress.member_id)
            for progress in status.progress
            if progress.recently_active
            and progress.member_id in status.configuration.voters
            and progress.member_id != self.member_id
        ]
        return max(fit)[1] if fit else 0

    def status(self) -> MemberStatus:
        """See ``MemberStatus``."""
        return MemberStatus(
            raft=self._raft.status(),
            leader=self._raft.leader,
            is_leader=self.is_leader,
            ready_to_serve=self._ready_to_serve,
            connected=self._transport.connected(),
            pending_proposals=len(self._proposals),
            out_of_space=self._upkeep.out_of_space,
            leader_since=self._leader_since,
        )

    def on_leader_changed(self, callback: Callable[[int], None]) -> None:
        """Call with the new leader's id (0: none) at each change."""
        self._leader_callbacks.append(callback)

    # -- what the transport tells ---------------------------------------------------

    def received(self, message: Message) -> None:
        """A message of another member, decoded."""
        self.traffic.received(message, now=self._clock.seconds())
        if type(message) is Propose:
            fresh = self._not_seen(message)
            if fresh is None:
                return
            message = fresh
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
        """We are not a member any more."""
        if not self._removed_told:
            self._removed_told = True
            self._log.critical("removed from the cluster: {reason}", reason=reason)
            self._on_removed(reason)

    def _not_seen(self, message: Propose) -> Propose | None:
        """
        The forwarded requests that we have not yet taken.

        A network that delivers twice must not make one request take effect twice. With
        too little room on the disk none is taken; the asker is told nothing and its
        request times out.
        """
        if self._upkeep.out_of_space:
            return None
        seen = self._seen
        fresh = []
        for kind, data in message.proposals:
            if kind is EntryKind.CHANGE:
                request_id = untag_change(decode_change(data))[0]
            else:
                request_id = peek_request_id(data)
            if request_id not in seen:
                seen[request_id] = None
                fresh.append((kind, data))
        while len(seen) > SEEN_MAX:
            seen.popitem(last=False)
        return message._replace(proposals=tuple(fresh)) if fresh else None

    # -- what the driver tells ------------------------------------------------------

    def _snapshot_made(self, meta: SnapshotMeta, before: SnapshotMeta | None) -> None:
        self._driver.snapshot_made(meta, before)

    def _membership_changed(self) -> None:
        members = self._cluster.members()
        self._transport.set_peers(
            {
                record.member_id: record.peer_urls
                for record in members
                if record.member_id != self.member_id
            }
        )
        ids = frozenset(record.member_id for record in members)
        self.traffic.keep_only(ids)
        if self.member_id in ids:
            self._was_member = True
        elif self._was_member or self.member_id in self._cluster.removed:
            self.removed("the change that removes this member was applied")

    def _leader_changed(self, leader: int) -> None:
        if leader:
            self._leader_since = self._clock.seconds()
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

    def _make_way(self) -> None:
        """Our disk is full: let somebody lead who can write."""
        if self.is_leader and (target := self.successor()):
            self.transfer_leadership(target)

    def _published(self) -> None:
        self._is_published = True
        self._maybe_ready()

    def _maybe_ready(self) -> None:
        """Published, and the cluster's version decided: indexes are settled now."""
        if self._is_published and self._cluster.version and not self._ready_to_serve:
            self._ready_to_serve = True
            waiters, self._ready_waiters = self._ready_waiters, []
            for waiter in waiters:
                waiter.callback(None)

    # -- time -----------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._clock.seconds()
        connected = self._transport.connected()
        self._connected_since = {
            member: self._connected_since.get(member, now) for member in connected
        }
        before = now - self._settings.request_timeout_seconds
        self._proposals.expire(before=before, reason=self._why_late)
        self._reads.expire(before=before, reason=self._why_late)
        self._reads.retry(asked_before=now - self._settings.election_seconds / 2)
        self._driver.guarded(self._raft.tick)
        self._driver.wake()
        self._maybe_ready()

    def _why_late(self, began: float) -> UnavailableReason:
        """Etcd's three explanations of a time-out (V2-SPEC 14)."""
        lost = self._leader_since - 2 * self._settings.election_seconds
        if lost < began < self._leader_since:
            return UnavailableReason.LEADER_FAILURE
        leader = self._raft.leader
        since = self._connected_since
        if leader == self.member_id:
            voters = self._raft.status().configuration.voters
            heard = sum(
                1
                for voter in voters
                if voter == self.member_id or since.get(voter, began + 1) <= began
            )
            if heard <= len(voters) // 2:
                return UnavailableReason.CONNECTION_LOST
        elif leader and since.get(leader, began + 1) > began:
            return UnavailableReason.CONNECTION_LOST
        return UnavailableReason.TIMED_OUT


class _Counted:
    """The transport, with its appends counted."""

    def __init__(
        self, transport: Transport, traffic: RaftTraffic, clock: IReactorTime
    ) -> None:
        self._transport = transport
        self._traffic = traffic
        self._clock = clock
        self.set_peers = transport.set_peers
        self.connected = transport.connected

    def send(self, messages: Sequence[Message]) -> None:
        self._traffic.sent(messages, now=self._clock.seconds())
        self._transport.send(messages)
