"""
Membership changes: one member at a time, in force when applied (thesis 4.1).

Why this is safe although thesis 4.1 lets a configuration take effect when it is
appended is argued in ``docs/design/raft.rst``; the rules that carry the argument are
each a line here or in :class:`kvd.raft.state.State`.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import assert_never

from kvd.raft import reads, replication, roles, transfer
from kvd.raft.codec import decode_change, encode_change
from kvd.raft.messages import (
    NOBODY,
    ChangeKind,
    ChangeRefusal,
    ChangeRefused,
    ConfigChange,
    Configuration,
    EntryKind,
    Propose,
    Role,
    TimeoutNow,
)
from kvd.raft.progress import Progress, ProgressState
from kvd.raft.quorum import majority
from kvd.raft.state import State

LAG_MAX = 1000
"""Entries that a learner may lack when it is promoted; a fraction of a second's."""


def changed(configuration: Configuration, change: ConfigChange) -> Configuration:
    """The configuration after a change."""
    voters, learners = configuration.voters, configuration.learners
    who = frozenset((change.member_id,))
    match change.kind:
        case ChangeKind.ADD_VOTER:
            return Configuration(voters | who, learners - who)
        case ChangeKind.ADD_LEARNER:
            return Configuration(voters - who, learners | who)
        case ChangeKind.REMOVE:
            return Configuration(voters - who, learners - who)
        case ChangeKind.UPDATE:
            return configuration
        case _:
            assert_never(change.kind)


def propose(state: State, change: ConfigChange) -> ChangeRefusal | None:
    """Take a change into the log, or pass it to the leader; None: on its way."""
    if state.leader == NOBODY:
        return ChangeRefusal.NO_LEADER
    if state.has_unapplied_change:
        return ChangeRefusal.PENDING
    data = encode_change(change)
    if state.role is not Role.LEADER:
        proposals = ((EntryKind.CHANGE, data),)
        state.messages.append(Propose(state.leader, state.me, 0, proposals))
        return None
    refusal = refusal_of(state, change)
    if refusal is None:
        replication.append_own(state, EntryKind.CHANGE, (data,))
        _look_ahead(state)
    return refusal


def forwarded(state: State, sender: int, data: bytes) -> None:
    """
    A change that a follower passed on: taken, or refused with an answer.

    Nobody passes it on again, and a repetition is not taken for a new one (see
    ``docs/design/raft.rst``), so that a refusal is the last word.
    """
    refusal: ChangeRefusal | None = ChangeRefusal.NO_LEADER
    if state.role is Role.LEADER:
        refusal = propose(state, decode_change(data))
    if refusal is not None:
        state.notice("change_refused", reason=refusal.value)
        state.messages.append(ChangeRefused(sender, state.me, 0, refusal, data))


def _look_ahead(state: State) -> None:
    """
    Whether the change in the log takes our own vote away.

    If so nothing is proposed after it. A majority of the others will have all of our
    log with it, and can win our vote; behind a longer log of ours they never could.
    """
    index = state.log.changes[-1]
    change = decode_change(state.log.slice(index, index)[0].data)
    if state.me not in changed(state.configuration, change).voters:
        state.leaving_at = index


def took_over(state: State) -> None:
    """A new leader may have a predecessor's change on its way."""
    if state.has_unapplied_change:
        _look_ahead(state)


def refusal_of(state: State, change: ConfigChange) -> ChangeRefusal | None:
    """Why the leader does not take this change now."""
    if state.transferring_to != NOBODY or state.leaving_at:
        return ChangeRefusal.TRANSFERRING
    if not state.has_committed_in_term:
        return ChangeRefusal.NOT_READY
    if not replication.has_room(state, len(change.context)):
        return ChangeRefusal.TOO_MUCH_UNCOMMITTED
    after = changed(state.configuration, change)
    if not after.voters:
        return ChangeRefusal.LAST_VOTER
    if after.voters == state.configuration.voters:
        return None
    progress = state.progress.get(change.member_id)
    if (
        change.kind is ChangeKind.ADD_VOTER
        and progress is not None
        and not _is_caught_up(state, progress)
    ):
        return ChangeRefusal.NOT_CAUGHT_UP
    if state.config.strict_reconfig and not _is_healthy(state, change, after):
        return ChangeRefusal.UNHEALTHY
    return None


def _is_caught_up(state: State, progress: Progress) -> bool:
    """A learner to be promoted has nine tenths of what is committed, as in etcd."""
    return progress.recently_active and progress.match * 10 >= state.commit * 9


def promotable(state: State, among: AbstractSet[int]) -> int:
    """
    A learner that could vote without anybody having to wait for it; 0: none now.

    It stores what it is sent, and lacks little: as soon as it votes a majority may
    need it.
    """
    if state.role is Role.LEADER and not state.has_unapplied_change:
        for learner in sorted(state.configuration.learners & among):
            progress = state.progress[learner]
            lag = state.commit - progress.match
            if progress.recently_active and (
                lag <= 0
                or (progress.state is ProgressState.REPLICATE and lag <= LAG_MAX)
            ):
                return learner
    return NOBODY


def _is_healthy(state: State, change: ConfigChange, after: Configuration) -> bool:
    """
    A majority of the voters after the change is in touch (V2-SPEC 15.3).

    A new voter is not: all others must be, as for etcd. Only a single member may take
    the risk, or it could never get a second one.
    """
    if state.alone:
        return True
    needed = majority(len(after.voters))
    if change.kind is ChangeKind.ADD_VOTER and change.member_id not in state.progress:
        needed = len(state.configuration.voters)
    in_touch = sum(
        1
        for voter in after.voters
        if voter == state.me
        or (
            (progress := state.progress.get(voter)) is not None
            and progress.recently_active
        )
    )
    return in_touch >= needed


def apply(state: State, change: ConfigChange) -> Configuration:
    """A committed change takes effect."""
    before = state.configuration
    state.configuration = changed(before, change)
    state.undecided -= 1
    if state.configuration != before:
        state.notice(
            "configuration_changed",
            change=change.kind.name,
            member=f"{change.member_id:x}",
            voters=len(state.configuration.voters),
            learners=len(state.configuration.learners),
        )
        if state.role is Role.LEADER:
            _lead_on(state, change.member_id)
    return state.configuration


def _lead_on(state: State, member_id: int) -> None:
    """What a change means for the one who leads."""
    progress = state.progress.get(member_id)
    if not state.is_member(member_id):
        if progress is not None and member_id != state.me:
            # Its last message: it learns that its removal is committed.
            progress.paused = False
            replication.send(state, progress)
            del state.progress[member_id]
    elif progress is None:
        added = Progress(member_id, match=0, next_index=state.log.last)
        added.active = True  # so that it is given an election timeout to answer
        state.progress[member_id] = added
    if state.transferring_to not in {NOBODY, *state.configuration.voters}:
        transfer.abort(state, "the target is not a voter any more")
    state.send_wanted = True
    # The majority may be smaller now.
    replication.maybe_commit(state)
    reads.confirm(state)
    if state.leaving_at:
        reads.start_round(state)


def maybe_resign(state: State) -> None:
    """
    A leader without a vote leads until a majority of the voters know that they are.

    Until then it counts for nothing (thesis 4.2.2). Gone earlier it would be missed:
    they would still need its vote. Its last word makes the most complete one campaign.
    """
    if state.is_voter:
        return
    voters = [state.progress[voter] for voter in state.configuration.voters]
    told = sum(0 < progress.told_round <= progress.round for progress in voters)
    if told >= majority(len(voters)):
        best = max(voters, key=lambda progress: (progress.match, progress.member_id))
        state.messages.append(TimeoutNow(best.member_id, state.me, state.term))
        state.notice("stepped_down", reason="removed")
        roles.become_follower(state, state.term, NOBODY)


def skip(state: State) -> None:
    """A committed change that the cluster machine refused changes nothing."""
    state.undecided -= 1
    if state.is_voter:
        state.leaving_at = 0
