"""Coming back: the newest snapshot that checks out, then the log behind it."""

from __future__ import annotations

from collections.abc import Generator

import attrs

from kvd.errors import StorageError
from kvd.raft.messages import Configuration, Entry, HardState, SnapshotMeta
from kvd.storage.data_dir import TEMPORARY, DataDir, Identity, StorageSettings
from kvd.storage.disk import Disk
from kvd.storage.newest import newest_good
from kvd.storage.records import SEGMENT_HEADER_BYTES, Mark, Save
from kvd.storage.replay import Replay
from kvd.storage.segments import list_segments, segment_name
from kvd.storage.snapshots import SnapshotFile, SnapshotFolder
from kvd.storage.wal import Wal

NOTHING = SnapshotFile(
    "", SnapshotMeta(index=0, term=0, configuration=Configuration()), True, 0, 0, 0
)


_NO_HARD_STATE = HardState()


@attrs.frozen
class Recovered:
    """
    What the disk knew.

    :ivar identity: None in a fresh data folder; all the rest is empty then.
    :ivar backup_of: whose data it is a backup of, None if it is no backup.
    :ivar entries: those after the snapshot.
    :ivar notes: what an operator should read, one line each.
    """

    identity: Identity | None
    hard_state: HardState = _NO_HARD_STATE
    snapshot: SnapshotMeta | None = None
    entries: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    backup_of: Identity | None = None


@attrs.frozen
class Parts:
    """What recovery leaves open, for the storage to go on with."""

    recovered: Recovered
    snapshots: SnapshotFolder
    wal: Wal | None


def new_wal(
    disk: Disk, data: DataDir, identity: Identity, settings: StorageSettings
) -> Wal:
    """A log that is neither begun nor resumed."""
    return Wal(
        disk,
        data.wal_folder,
        identity,
        segment_bytes=settings.segment_bytes,
        keep=settings.wals_keep,
    )


def recover(
    disk: Disk, data: DataDir, settings: StorageSettings
) -> Generator[str, None, Parts]:
    """
    Everything at the start, as jobs for the worker; yields lines of progress.

    :raises StorageError: damage that a power cut cannot have made, files of another
        member or a newer kvd, a disk that does not answer, or a lock that is taken.
    """
    identity = data.open()
    snapshots = SnapshotFolder(disk, data.snap_folder, keep=settings.snapshots_keep)
    if identity is None:
        _check_fresh(disk, data, snapshots)
        return Parts(Recovered(None), snapshots, None)
    snapshots.clean()
    # A name that is seen here may not be durable yet, and all below rests on it.
    for folder in (data.member_folder, data.snap_folder, data.wal_folder):
        disk.sync_folder(folder)
    segments = list_segments(data.wal_folder, disk.list(data.wal_folder))
    if not segments:
        raise StorageError("the log is gone", path=data.wal_folder)
    notes: list[str] = []
    yield from newest_good(disk, snapshots, identity, notes)
    newest = snapshots.newest or NOTHING
    replay = Replay(
        disk,
        data.wal_folder,
        identity,
        segments,
        snapshot_index=newest.meta.index,
        writable=disk,
    )
    yield from replay.run()
    mark = reconcile(newest, replay, data.snap_folder, notes)
    _remove_temporary(disk, data.wal_folder)
    if replay.torn_at >= 0:
        notes.append(
            f"{replay.segments[-1].path}: cut at offset {replay.torn_at}: what follows"
            " is a write that never completed"
        )
    wal = new_wal(disk, data, identity, settings)
    wal.resume(replay)
    # Proof for the next start that everything up to here was read and is durable.
    wal.save(Save(None, (), mark))
    recovered = Recovered(
        identity,
        wal.state.hard_state,
        None if newest is NOTHING else newest.meta,
        tuple(replay.entries),
        tuple(notes),
        data.backup_of,
    )
    return Parts(recovered, snapshots, wal)


def _check_fresh(disk: Disk, data: DataDir, snapshots: SnapshotFolder) -> None:
    """
    No identity: nothing may be here but an attempt that was cut short.

    Nothing is removed before it is certain that this is not somebody else's.
    """
    begun = segment_name(0, 1)
    for name in snapshots.names():
        path = f"{data.snap_folder}/{name}"
        raise StorageError("a snapshot, but no identity beside it", path=path)
    for name in disk.list(data.wal_folder):
        path = f"{data.wal_folder}/{name}"
        empty = name == begun and disk.size(path) == SEGMENT_HEADER_BYTES
        if not empty and name not in {"lock", begun + TEMPORARY}:
            raise StorageError("a log, but no identity beside it", path=path)
    for name in (begun, begun + TEMPORARY):
        path = f"{data.wal_folder}/{name}"
        if disk.exists(path):
            disk.remove(path)
            disk.sync_folder(data.wal_folder)


def _remove_temporary(disk: Disk, folder: str) -> None:
    for name in disk.list(folder):
        if name.endswith(TEMPORARY):
            disk.remove(f"{folder}/{name}")


def reconcile(
    newest: SnapshotFile, replay: Replay, snap_folder: str, notes: list[str]
) -> Mark | None:
    """
    The snapshot and the log must tell one story; a mark if the log must begin anew.

    A leader's snapshot may be newer than the log: the power went before the save that
    names it. One of our own never is: its entries were durable before it was made.
    """
    state, meta = replay.state, newest.meta
    if state.base_index > meta.index:
        raise StorageError(
            f"the log needs the snapshot at index {state.base_index}, which is"
            " missing or damaged",
            path=snap_folder,
        )
    if state.mark_index > meta.index:
        notes.append(
            f"{snap_folder}: the snapshot at index {state.mark_index} is missing"
            " or damaged; the log still has everything since the one before"
        )
    if replay.term_at_snapshot == meta.term:
        state.raise_commit(meta.index)
        return None
    if newest.own or state.hard_state.commit >= meta.index:
        raise StorageError(
            f"the log does not have the entry at index {meta.index}, term {meta.term},"
            f" on which the snapshot rests; it ends at {state.last_index}",
            path=replay.segments[-1].path,
        )
    notes.append(
        f"{newest.path}: newer than the log, which ended at index {state.last_index}"
    )
    replay.entries.clear()
    return Mark(meta.index, meta.term, resets=True)
