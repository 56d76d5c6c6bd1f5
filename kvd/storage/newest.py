"""Which of a member's snapshots can be relied on."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from kvd.storage.data_dir import Identity
from kvd.storage.disk import Disk, Readable
from kvd.storage.records import BadBytes
from kvd.storage.snapshots import (
    READ_BYTES_MAX,
    SnapshotFile,
    SnapshotFolder,
    load,
    verify,
)


def examine(
    disk: Readable, path: str, identity: Identity, notes: list[str], *, content: bool
) -> Generator[str, None, SnapshotFile | None]:
    """
    A snapshot that checks out, or None and one more note; yields lines of progress.

    :param content: whether that is read, too.
    """
    try:
        file = load(disk, path, identity)
        if content:
            for done in verify(disk, file):
                if done % (32 * READ_BYTES_MAX) == 0:
                    yield f"checked {done >> 20} MiB of {path}"
    except BadBytes as reason:
        notes.append(f"{path}: {reason}; this snapshot is not used")
        return None
    return file


def newest_good(
    disk: Disk, snapshots: SnapshotFolder, identity: Identity, notes: list[str]
) -> Iterator[str]:
    """
    Find the newest snapshot that checks out, and the older ones that may stay.

    Each damaged one becomes a note; what else is wrong is a StorageError.
    """
    good: list[SnapshotFile] = []
    for name in snapshots.names():
        path = f"{snapshots.folder}/{name}"
        file = yield from examine(disk, path, identity, notes, content=not good)
        if file is not None:
            good.insert(0, file)
    snapshots.files = good
