"""
ReadIndex: linearizable reads without a log entry (thesis 6.4).

A read index is the commit index when its round starts. The round is a round of
heartbeats, numbered, *started after the read arrived*; when a majority has answered it,
nobody can have led a later term before the read arrived, so that everything anybody was
told is committed is at or below the read index. Reads that arrive while a round is on
its way share the next one.
"""

from __future__ import annotations

from kvd.raft.messages import (
    NOBODY,
    Heartbeat,
    HeartbeatResponse,
    Read,
    ReadIndexRequest,
    ReadIndexResponse,
    Role,
)
from kvd.raft.quorum import reached_by_majority
from kvd.raft.state import State


def ask(state: State, context: int) -> bool:
    """A read of our own; false if nobody could confirm it now."""
    reads = state.reads
    if state.leader == NOBODY or len(reads) >= state.config.reads_pending_max:
        return False
    if state.role is Role.LEADER:
        _arrived(state, state.me, context)
        return True
    number = reads.next_number
    reads.next_number += 1
    reads.forwarded[number] = context
    state.messages.append(ReadIndexRequest(state.leader, state.me, 0, number))
    return True


def requested(state: State, message: ReadIndexRequest) -> None:
    """A follower's read; one that cannot be confirmed is left to its asker's clock."""
    if state.role is Role.LEADER and len(state.reads) < state.config.reads_pending_max:
        _arrived(state, message.sender, message.context)


def responded(state: State, message: ReadIndexResponse) -> None:
    """The leader has confirmed a read of ours, unless we have given it up since."""
    reads = state.reads
    context = reads.forwarded.pop(message.context, None)
    if context is None:
        context = reads.older.pop(message.context, None)
    if context is not None:
        state.confirmed.append(Read(context, message.index))


def _arrived(state: State, asker: int, context: int) -> None:
    if state.alone and state.has_committed_in_term:
        _answer(state, asker, context, state.commit)
    else:
        state.reads.waiting.append((asker, context))


def _answer(state: State, asker: int, context: int, index: int) -> None:
    if asker == state.me:
        state.confirmed.append(Read(context, index))
    else:
        state.messages.append(ReadIndexResponse(asker, state.me, 0, index, context))


def may_start_round(state: State) -> bool:
    """Reads wait, a read index may be given, and no round of reads is on its way."""
    reads = state.reads
    return bool(reads.waiting) and not reads.rounds and state.has_committed_in_term


def start_round(state: State) -> None:
    """Heartbeats to everybody, which take along the reads that have arrived."""
    state.round += 1
    me, term, commit, number = state.me, state.term, state.commit, state.round
    told = state.settled_commit
    reads = state.reads
    for member_id, progress in state.progress.items():
        if member_id != me:
            known = min(progress.match, told)
            if not progress.told_round and 0 < state.leaving_at <= known:
                progress.told_round = number
            state.messages.append(Heartbeat(member_id, me, term, known, number))
    if reads.waiting and state.has_committed_in_term:
        reads.rounds.append((number, commit, reads.waiting))
        reads.waiting = []
        confirm(state)


def acknowledged(state: State, message: HeartbeatResponse) -> None:
    """A member still knew us as leader when it answered this round."""
    progress = state.progress[message.sender]
    if message.round > progress.round:
        progress.round = message.round
        if state.reads.rounds:
            confirm(state)


def confirm(state: State) -> None:
    """Answer the reads whose round a majority has answered."""
    voters = state.configuration.voters
    rounds = state.reads.rounds
    answered = reached_by_majority(
        state.round if voter == state.me else state.progress[voter].round
        for voter in voters
    )
    while rounds and rounds[0][0] <= answered:
        _, index, askers = rounds.popleft()
        for asker, context in askers:
            _answer(state, asker, context, index)


def tick(state: State) -> None:
    """A forwarded read unanswered for one to two election timeouts was lost."""
    reads = state.reads
    reads.ticks += 1
    if reads.ticks >= state.config.election_ticks:
        reads.ticks = 0
        state.dropped.extend(reads.older.values())
        reads.older = reads.forwarded
        reads.forwarded = {}


def drop_all(state: State) -> None:
    """The leader or the term changed: no answer may come out of what was asked."""
    reads = state.reads
    dropped = state.dropped
    dropped.extend(reads.older.values())
    dropped.extend(reads.forwarded.values())
    me = state.me
    for _, _, askers in reads.rounds:
        dropped.extend(context for asker, context in askers if asker == me)
    dropped.extend(context for asker, context in reads.waiting if asker == me)
    reads.older = {}
    reads.forwarded = {}
    reads.rounds.clear()
    reads.waiting = []
