"""
What the core wants done, and what it concludes when it is done.

::

    Ready.messages   at once              appends, heartbeats, requests, pre-votes asked
    Persist          one outstanding      snapshot, entries, hard state
    Persist.after    when it is durable   votes asked and given, answers to appends
"""

from __future__ import annotations

from kvd.errors import invariant
from kvd.raft import election, install, invariants, reads, replication
from kvd.raft.messages import Entry, HardState, Persist, Ready, Role
from kvd.raft.state import State


def has_ready(state: State) -> bool:
    """Whether :meth:`ready` would have anything in it."""
    return bool(
        state.send_wanted
        or state.messages
        or _last_to_apply(state) > state.handed_out
        or (state.persisting is None and (state.after or _must_persist(state)))
        or state.confirmed
        or state.dropped
        or state.notices
        or state.restore is not None
        or (state.role is Role.LEADER and reads.may_start_round(state))
    )


def ready(state: State) -> Ready:
    """What is to be done now; the core forgets what it hands out."""
    if state.role is Role.LEADER:
        if state.send_wanted:
            replication.send_all(state)
        if reads.may_start_round(state):
            reads.start_round(state)
    state.send_wanted = False
    invariants.state_is_sound(state)
    persist = _next_persist(state)
    messages, state.messages = state.messages, []
    confirmed, state.confirmed = state.confirmed, []
    dropped, state.dropped = state.dropped, []
    notices, state.notices = state.notices, []
    restore, state.restore = state.restore, None
    if restore is not None:
        state.restoring = restore
    return Ready(
        persist=persist,
        messages=tuple(messages),
        restore=restore,
        committed=_next_committed(state),
        reads=tuple(confirmed),
        dropped_reads=tuple(dropped),
        notices=tuple(notices),
    )


def _must_persist(state: State) -> bool:
    handed = state.handed_state
    return (
        state.log.handed < state.log.last
        or state.term != handed.term
        or state.vote != handed.vote
        or state.incoming is not None
        or state.log.has_change_between(handed.commit, state.commit)
    )


def _next_persist(state: State) -> Persist | None:
    """
    Everything new since the last one, and what may leave after it.

    The commit index alone is no reason to write: it goes along with the next entry
    or vote, and a member that restarts without it learns it from a leader. A committed
    membership change is one: who is left when somebody was removed may be too few to
    find out again that it was committed.
    """
    if state.persisting is not None:
        return None
    if not _must_persist(state):
        # What `after` rests on is durable already.
        state.messages += state.after
        state.after = []
        return None
    log = state.log
    entries = log.slice(log.handed + 1, log.last) if log.handed < log.last else ()
    handed = state.handed_state
    hard_state = None
    if (handed.term, handed.vote, handed.commit) != (
        state.term,
        state.vote,
        state.commit,
    ):
        hard_state = HardState(state.term, state.vote, state.commit)
        state.handed_state = hard_state
    persist = Persist(hard_state, entries, state.incoming, tuple(state.after))
    log.handed = log.last
    state.incoming = None
    state.after = []
    state.persisting = persist
    return persist


def _last_to_apply(state: State) -> int:
    """Committed and durable here, as both are known; nothing while the machines are being replaced."""
    if state.log.offset > state.handed_out:
        return state.handed_out
    return min(state.settled_commit, state.log.stable)


def _next_committed(state: State) -> tuple[Entry, ...]:
    last = _last_to_apply(state)
    first = state.handed_out + 1
    if last < first:
        return ()
    last = state.log.fit(first, last, state.config.committed_bytes_max)
    state.undecided += sum(first <= index <= last for index in state.log.changes)
    state.handed_out = last
    return state.log.slice(first, last)


def persisted(state: State, persist: Persist) -> None:
    """It is durable, and its ``after`` may leave."""
    invariant(persist is state.persisting, "another Persist was under way")
    state.persisting = None
    if persist.hard_state is not None:
        settled = state.settled_commit
        state.durable_state = persist.hard_state
        if state.settled_commit > settled:
            state.send_wanted = True  # a change that may be told now
    if persist.snapshot is not None:
        install.durable(state, persist.snapshot)
    if state.incoming is None:
        state.log.stable = state.log.handed
    if state.role is Role.LEADER:
        replication.own_entries_durable(state)
    elif state.role is Role.CANDIDATE:
        election.own_vote_durable(state)


def applied(state: State, index: int) -> None:
    """Everything handed out up to ``index`` is in the machines."""
    invariant(
        state.applied <= index <= state.handed_out,
        "applied something that was not handed out, or went back",
    )
    invariant(
        index < state.handed_out or state.undecided == 0,
        "a membership change was neither applied nor skipped",
    )
    state.applied = index
