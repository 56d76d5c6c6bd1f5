"""
Log replication (raft paper 5.3, 5.4.2; pipelining: thesis 10.2.1).

Nothing is sent when an entry arrives: :func:`send_all` runs once for each Ready, so
that everything proposed meanwhile goes out in one message to each member.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvd.raft import invariants, transfer
from kvd.raft.log import ENTRY_OVERHEAD_BYTES, make_entries
from kvd.raft.messages import (
    NOBODY,
    AppendEntries,
    AppendResponse,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
)
from kvd.raft.progress import Progress, ProgressState
from kvd.raft.quorum import reached_by_majority
from kvd.raft.state import State

# -- leader: its own log ----------------------------------------------------------------


def has_room(state: State, size: int) -> bool:
    """
    So much more may be uncommitted; anything may if nothing is.

    A leader that is cut off must not gather proposals without end.
    """
    uncommitted = state.log.bytes_between(state.commit, state.log.last)
    return uncommitted == 0 or uncommitted + size <= state.config.uncommitted_bytes_max


def append_own(state: State, kind: EntryKind, datas: Sequence[bytes]) -> None:
    """New entries of the leader's term; they go out with the next Ready."""
    log = state.log
    log.append(make_entries(log.last + 1, state.term, kind, datas))
    state.send_wanted = True


def propose(state: State, proposals: Sequence[bytes]) -> bool:
    """As many entries as there are proposals, all or none."""
    size = sum(map(len, proposals)) + len(proposals) * ENTRY_OVERHEAD_BYTES
    if state.transferring_to != NOBODY or state.leaving_at:
        return False
    if not has_room(state, size):
        return False
    append_own(state, EntryKind.NORMAL, proposals)
    return True


# -- leader: sending ------------------------------------------------------------------


def send_all(state: State) -> None:
    """Whatever each member lacks, as far as its window allows."""
    state.send_wanted = False
    me = state.me
    for member_id, progress in state.progress.items():
        if member_id != me:
            send(state, progress)


def send(state: State, progress: Progress) -> None:
    """Entries, a probe, a snapshot or the news that more is committed."""
    last = state.log.last
    if progress.state is ProgressState.REPLICATE:
        while progress.next <= last and not _is_full(state, progress):
            if not _send_entries(state, progress):
                return
        if progress.sent_commit < state.settled_commit:
            send_empty(state, progress)
    elif (
        progress.state is ProgressState.PROBE
        and not progress.paused
        and (progress.next <= last or progress.match < last)
    ):
        _send_entries(state, progress)


def _is_full(state: State, progress: Progress) -> bool:
    config = state.config
    return (
        len(progress.inflight) >= config.inflight_messages_max
        or progress.inflight_bytes >= config.inflight_bytes_max
    )


def _send_entries(state: State, progress: Progress) -> bool:
    """One message from ``next`` on; false if a snapshot is needed first."""
    log = state.log
    first = progress.next
    prev_term = log.term(first - 1)
    if first - 1 < log.offset:
        _send_snapshot(state, progress)
        return False
    last = first - 1
    if first <= log.last:
        last = log.fit(first, log.last, state.config.append_bytes_max)
        entries = log.slice(first, last)
    else:
        entries = ()
    commit = state.settled_commit
    state.messages.append(
        AppendEntries(
            progress.member_id,
            state.me,
            state.term,
            first - 1,
            prev_term,
            entries,
            commit,
        )
    )
    progress.sent_commit = commit
    if progress.state is ProgressState.REPLICATE:
        progress.sent(last, log.bytes_between(first - 1, last))
    else:
        progress.paused = True
    return True


def send_empty(state: State, progress: Progress) -> None:
    """
    Tell it the commit index, and find out whether what was sent has arrived.

    It is refused if anything before it was lost on the way.
    """
    prev = progress.next - 1
    prev_term = state.log.term(prev)
    if prev < state.log.offset:
        _send_snapshot(state, progress)
        return
    commit = state.settled_commit
    state.messages.append(
        AppendEntries(
            progress.member_id, state.me, state.term, prev, prev_term, (), commit
        )
    )
    progress.sent_commit = commit


def _send_and_ask(state: State, progress: Progress) -> None:
    """Its window may be full of messages that were lost: a refusal will tell."""
    send(state, progress)
    if progress.state is ProgressState.REPLICATE:
        send_empty(state, progress)


def _send_snapshot(state: State, progress: Progress) -> None:
    if not progress.recently_active:
        progress.paused = True  # nobody there to take it; a heartbeat answer wakes us
        return
    meta = invariants.snapshot_covering(state)
    state.messages.append(
        InstallSnapshot(progress.member_id, state.me, state.term, meta)
    )
    progress.become_snapshot(meta.index)
    state.notice("snapshot_sent", to=f"{progress.member_id:x}", index=meta.index)


# -- leader: answers --------------------------------------------------------------------


def append_answered(state: State, message: AppendResponse) -> None:
    """A member stored entries, or said where it stands instead."""
    progress = state.progress[message.sender]
    progress.active = True
    if message.rejected:
        hint = message.hint_index
        if message.hint_term > 0:
            hint = state.log.last_at_or_before(hint, message.hint_term)
        if progress.refused(message.index, hint):
            state.send_wanted = True
        return
    index = message.index
    last = state.log.last
    if index > last:
        state.notice("impossible_answer", sender=f"{message.sender:x}", index=index)
        return
    probing = progress.state is ProgressState.PROBE
    if progress.accepted(index, last):
        if probing or (
            progress.state is ProgressState.SNAPSHOT
            and progress.match >= max(state.log.offset, progress.snapshot_index)
        ):
            progress.become_replicate()
        maybe_commit(state)
        transfer.step(state, progress)
    elif probing and index == progress.match:
        progress.become_replicate()
    state.send_wanted = True


def heartbeat_answered(state: State, message: HeartbeatResponse) -> None:
    """It is alive: what is still missing there may have been lost on the way."""
    progress = state.progress[message.sender]
    progress.active = True
    if not progress.stalled:
        return
    progress.stalled = False
    progress.paused = False
    state.send_wanted = True
    if progress.match < state.log.last:
        if progress.state is ProgressState.REPLICATE:
            _send_and_ask(state, progress)
    else:
        transfer.step(state, progress)


def maybe_commit(state: State) -> bool:
    """
    Commit what a majority has, if it is of our own term (raft paper 5.4.2).

    Older entries become committed with it, never by counting.
    """
    progress = state.progress
    index = reached_by_majority(
        progress[voter].match for voter in state.configuration.voters
    )
    if index > state.commit and may_commit_by_counting(state, index):
        state.commit_to(index)
        state.send_wanted = True
        return True
    return False


def may_commit_by_counting(state: State, index: int) -> bool:
    """Only entries of the leader's own term."""
    return state.log.term(index) == state.term


def own_entries_durable(state: State) -> None:
    """The leader counts itself as far as its own disk has got (thesis 10.2.1)."""
    state.progress[state.me].accepted(state.log.stable, state.log.last)
    maybe_commit(state)


def unreachable(state: State, member_id: int) -> None:
    """What was in flight is probably lost; wait until it is heard from."""
    progress = state.progress.get(member_id)
    if progress is not None and progress.state is ProgressState.REPLICATE:
        progress.become_probe(paused=True)


# -- follower -----------------------------------------------------------------------------


def handle_append(state: State, message: AppendEntries) -> None:
    """Store what follows from an entry that we have, or say where to look."""
    log = state.log
    prev_index = message.prev_index
    if prev_index < state.commit:
        answer(state, message.sender, state.commit)
        return
    if log.term(prev_index) != message.prev_term:
        _refuse(state, message)
        return
    last_new = prev_index
    entries = message.entries
    if entries:
        last_new = prev_index + len(entries)
        if prev_index < log.last:
            entries = _without_known(state, message)
        if entries:
            log.append(entries)
    commit = commit_known(message, last_new)
    if commit > state.commit:
        state.commit_to(commit)
    answer(state, message.sender, last_new)


def commit_known(message: AppendEntries, last_new: int) -> int:
    """Not beyond what this message has verified (raft paper figure 2, rule 5)."""
    return min(message.commit, last_new)


def _without_known(state: State, message: AppendEntries) -> tuple[Entry, ...]:
    """
    What is new; ours is cut where the first term differs, and only there.

    An old message that says less than we know takes nothing away.
    """
    log = state.log
    for position, entry in enumerate(message.entries):
        index = entry[0]
        if log.term(index) != entry[1]:
            if index <= log.last:
                invariants.truncation_allowed(state, index)
                log.truncate(index)
            return message.entries[position:]
    return ()


def answer(state: State, leader: int, index: int) -> None:
    """Everything up to ``index`` matches; leaves when it is durable."""
    state.after.append(AppendResponse(leader, state.me, state.term, index, False, 0, 0))


def _refuse(state: State, message: AppendEntries) -> None:
    """Skip whole terms at once, in both directions (raft paper 5.3, end)."""
    log = state.log
    hint = log.last_at_or_before(min(message.prev_index, log.last), message.prev_term)
    hint_term = max(log.term(hint), 0)
    state.after.append(
        AppendResponse(
            message.sender,
            state.me,
            state.term,
            message.prev_index,
            True,
            hint,
            hint_term,
        )
    )


def handle_heartbeat(state: State, message: Heartbeat) -> None:
    """The leader lives; what it says is committed, it knows that we have."""
    if message.commit > state.commit:
        state.commit_to(message.commit)
    state.messages.append(
        HeartbeatResponse(message.sender, state.me, state.term, message.round)
    )
