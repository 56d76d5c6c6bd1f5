"""
Raft as its driver sees it (Ongaro's thesis; the shape of the door is etcd's).

Nothing here waits, reads a clock or touches a disk: calls change the state, and
:meth:`Raft.ready` says what is to be done. ``docs/design/raft.rst`` has the map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from kvd.raft import (
    election,
    install,
    intake,
    membership,
    outlet,
    reads,
    replication,
    transfer,
)
from kvd.raft.messages import (
    NOBODY,
    ChangeRefusal,
    ConfigChange,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Message,
    Persist,
    Propose,
    RaftConfig,
    Ready,
    Role,
    SnapshotMeta,
)
from kvd.raft.state import State
from kvd.raft.status import ProgressStatus, RaftStatus


class Raft:
    """
    One member.

    :param entries: everything durable after the snapshot. What of it is committed
        comes out of :meth:`ready` again; the configuration starts as the snapshot's.
    :param randbelow: a number in [0, n).
    :raises InvariantViolated: what was recovered contradicts itself; so may any method
        later, and then the member must stop.
    """

    def __init__(
        self,
        config: RaftConfig,
        *,
        hard_state: HardState,
        snapshot: SnapshotMeta | None,
        entries: Sequence[Entry],
        randbelow: Callable[[int], int],
    ) -> None:
        self._state = State(
            config,
            hard_state=hard_state,
            snapshot=snapshot,
            entries=entries,
            randbelow=randbelow,
        )

    # -- what it is ---------------------------------------------------------------------

    @property
    def member_id(self) -> int:
        return self._state.me

    @property
    def leader(self) -> int:
        return self._state.leader

    @property
    def term(self) -> int:
        return self._state.term

    @property
    def role(self) -> Role:
        return self._state.role

    @property
    def is_transferring(self) -> bool:
        """Leading, but handing over: no proposals are taken."""
        return self._state.transferring_to != NOBODY

    @property
    def commit(self) -> int:
        return self._state.commit

    @property
    def applied_index(self) -> int:
        return self._state.applied

    def status(self) -> RaftStatus:
        """A copy; the leader's includes what it knows of the others."""
        state = self._state
        learners = state.configuration.learners
        return RaftStatus(
            member_id=state.me,
            role=state.role,
            term=state.term,
            vote=state.vote,
            leader=state.leader,
            commit=state.commit,
            applied=state.applied,
            last_index=state.log.last,
            first_index=state.log.offset + 1,
            configuration=state.configuration,
            transferring_to=state.transferring_to,
            progress=tuple(
                ProgressStatus(
                    member_id=progress.member_id,
                    match=progress.match,
                    next=progress.next,
                    state=progress.state.value,
                    recently_active=progress.recently_active,
                    learner=progress.member_id in learners,
                )
                for progress in state.progress.values()
                if progress.member_id != state.me
            ),
        )

    # -- what happens to it ---------------------------------------------------------------

    def tick(self) -> None:
        """A unit of time has passed; all timeouts count these."""
        election.tick(self._state)

    def step(self, message: Message) -> None:
        """Take a message; whatever it says, it does no harm that Raft excludes."""
        intake.step(self._state, message)

    # -- what is asked of it ----------------------------------------------------------------

    def propose(self, proposals: Sequence[bytes]) -> bool:
        """Put into the log, or send to the leader once; false: not now."""
        state = self._state
        if not proposals:
            return True
        if state.role is Role.LEADER:
            return replication.propose(state, proposals)
        if state.leader == NOBODY:
            return False
        normal = EntryKind.NORMAL
        state.messages.append(
            Propose(
                state.leader, state.me, 0, tuple([(normal, data) for data in proposals])
            )
        )
        return True

    def propose_change(self, change: ConfigChange) -> ChangeRefusal | None:
        """As propose; None means that it is on its way."""
        return membership.propose(self._state, change)

    def promotable(self, among: AbstractSet[int]) -> int:
        """At a leader: one of these learners that may well vote from now on; 0: none."""
        return membership.promotable(self._state, among)

    def may_be_led_by(self, member_id: int) -> bool:
        """Whether somebody who is no member as far as we know could lead us."""
        return self._state.may_be_led_by(member_id)

    def read_index(self, context: int) -> bool:
        """
        Ask for a read index; false: not now.

        :param context: comes back in ``Ready.reads`` or ``Ready.dropped_reads``; no two
            reads have the same.
        """
        return reads.ask(self._state, context)

    def transfer(self, target: int) -> bool:
        """Hand leadership to ``target``, or ask the leader to; false: impossible."""
        return transfer.begin(self._state, target)

    # -- what it wants done -----------------------------------------------------------------

    def has_ready(self) -> bool:
        """Whether :meth:`ready` would have anything in it."""
        return outlet.has_ready(self._state)

    def ready(self) -> Ready:
        """What is to be done now; the core forgets what it hands out."""
        return outlet.ready(self._state)

    # -- what has been done -----------------------------------------------------------------

    def persisted(self, persist: Persist) -> None:
        """It is durable, and its ``after`` may leave."""
        outlet.persisted(self._state, persist)

    def applied(self, index: int) -> None:
        """Everything handed out up to ``index`` is in the machines."""
        outlet.applied(self._state, index)

    def apply_change(self, change: ConfigChange) -> Configuration:
        """A committed change is being applied; call before :meth:`applied`."""
        return membership.apply(self._state, change)

    def skip_change(self) -> None:
        """A committed change was refused by the machine that decides about members."""
        membership.skip(self._state)

    def restored(self, meta: SnapshotMeta) -> None:
        """The machines hold this snapshot, which was in ``Ready.restore``."""
        install.restored(self._state, meta)

    def snapshot_made(self, meta: SnapshotMeta) -> None:
        """A snapshot of our own is durable."""
        install.made(self._state, meta)

    def compact(self, index: int) -> None:
        """Entries up to ``index`` may go from memory, as far as a snapshot has them."""
        install.compact(self._state, index)

    def report_unreachable(self, member_id: int) -> None:
        """Messages to it were lost."""
        replication.unreachable(self._state, member_id)

    def report_snapshot(self, member_id: int, ok: bool) -> None:
        """The stream that followed an InstallSnapshot ended."""
        install.ended(self._state, member_id, ok)
