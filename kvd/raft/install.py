"""
Snapshots: made here, sent by a leader, taken from one (raft paper 7).

A snapshot that arrives takes this way; the core answers the leader once it is durable,
and campaigns, applies and takes another one only when the machines are filled::

    InstallSnapshot -> Persist.snapshot -> persisted() -> Ready.restore -> restored()
"""

from __future__ import annotations

from kvd.errors import invariant
from kvd.raft.messages import InstallSnapshot, SnapshotMeta
from kvd.raft.progress import ProgressState
from kvd.raft.replication import answer
from kvd.raft.state import State


def handle_install(state: State, message: InstallSnapshot) -> None:
    """Take it if it is ahead of what we know to be committed."""
    meta = message.meta
    log = state.log
    if meta.index <= state.commit:
        answer(state, message.sender, state.commit)
    elif log.term(meta.index) == meta.term:
        # Everything up to there is in our log, and now known to be committed.
        state.commit_to(meta.index)
        answer(state, message.sender, meta.index)
    elif not state.is_installing:
        log.reset(meta.index, meta.term)
        state.commit_to(meta.index)
        state.incoming = meta
        state.notice("snapshot_accepted", index=meta.index, term=meta.term)
        answer(state, message.sender, meta.index)


def durable(state: State, meta: SnapshotMeta) -> None:
    """An accepted snapshot is on the disk."""
    state.snapshot = meta
    state.restore = meta


def restored(state: State, meta: SnapshotMeta) -> None:
    """The machines hold it, and its configuration is in force."""
    invariant(state.restoring == meta, f"nobody asked for a restore to {meta.index}")
    state.restoring = None
    state.applied = state.handed_out = meta.index
    state.configuration = meta.configuration


def made(state: State, meta: SnapshotMeta) -> None:
    """A snapshot of our own is durable and may be sent."""
    invariant(
        meta.index <= state.commit,
        f"a snapshot at {meta.index}, but only {state.commit} is committed",
    )
    if state.snapshot is None or meta.index > state.snapshot.index:
        state.snapshot = meta


def compact(state: State, index: int) -> None:
    """Forget entries that are applied and in a durable snapshot."""
    if state.snapshot is not None and not state.is_installing:
        state.log.compact(min(index, state.applied, state.snapshot.index))


def ended(state: State, member_id: int, ok: bool) -> None:
    """
    The stream of a snapshot ended; probe when the member is heard from.

    After a failure that is the pause before the next attempt.
    """
    progress = state.progress.get(member_id)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    if not ok:
        progress.snapshot_index = 0
    progress.become_probe(paused=True)
    state.notice("snapshot_ended", to=f"{member_id:x}", ok=ok)


def tick(state: State) -> None:
    """A snapshot of which nobody said how it ended was lost."""
    for member_id, progress in state.progress.items():
        if progress.state is ProgressState.SNAPSHOT:
            progress.snapshot_ticks += 1
            if progress.snapshot_ticks >= state.config.snapshot_retry_ticks:
                ended(state, member_id, ok=False)
