"""
A copy of a member's data, for another member to begin with.

::

    <backup-dir>.unfinished     while it is written; locked, so that two do not meet
    <backup-dir>                whole, synced, read back and compared
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from typing import Final

import attrs

from kvd.errors import StorageError
from kvd.raft.messages import NOBODY, Entry, HardState
from kvd.storage.contents import Checksum, Contents, read_contents
from kvd.storage.data_dir import (
    TEMPORARY,
    DataDir,
    Identity,
    StorageSettings,
    refused,
)
from kvd.storage.disk import Disk
from kvd.storage.log_state import LogState
from kvd.storage.records import Save
from kvd.storage.recovery import new_wal
from kvd.storage.segments import WAL_SUFFIX
from kvd.storage.snapshots import SNAPSHOT_SUFFIX, SnapshotFolder

UNFINISHED: Final = ".unfinished"
SAVE_BYTES: Final = 1 << 20
_PROGRESS_PIECES: Final = 32  # of a MiB each


@attrs.frozen
class BackedUp:
    """
    What a backup holds.

    :ivar checksum: see :class:`kvd.storage.contents.Checksum`.
    :ivar notes: what an operator should know of the member's folder.
    """

    member: Identity
    identity: Identity
    snapshot_index: int
    snapshot_bytes: int
    entries: int
    entries_bytes: int
    last_index: int
    last_term: int
    checksum: str
    notes: tuple[str, ...]


def back_up(
    disk: Disk,
    *,
    member: StorageSettings,
    backup: StorageSettings,
    identity: Identity,
    pause: Callable[[float], None],
) -> Generator[str, None, BackedUp]:
    """
    Copy the newest good snapshot of a member and the log behind it, under a new
    identity; yields lines of progress. The member may be at work.

    When this fails nothing of the backup is left; when the process or the machine
    ends meanwhile, only what bears the unfinished name is, and the next one clears it.

    :raises StorageError: a damaged member, or a folder that is not free or not
        writable; says which file and offset.
    """
    target = _Target(disk, backup)
    target.check_free()
    contents = yield from read_contents(disk, member, pause=pause)
    try:
        if not contents.last_index:
            raise StorageError("this member has not begun yet", path=member.data_folder)
        try:
            target.open()
            yield from target.write(contents, identity)
            yield "reading the backup back"
            checksum = yield from target.read_back(pause)
            target.publish()
        except BaseException:
            target.discard()
            raise
    except OSError as error:
        raise refused(error, backup.data_folder) from error
    finally:
        contents.close()
    file = contents.snapshot
    return BackedUp(
        member=contents.identity,
        identity=identity,
        snapshot_index=file.meta.index if file is not None else 0,
        snapshot_bytes=file.size if file is not None else 0,
        entries=len(contents.entries),
        entries_bytes=sum(len(entry.data) for entry in contents.entries),
        last_index=contents.last_index,
        last_term=contents.last_term,
        checksum=checksum,
        notes=contents.notes,
    )


class _Target:
    """The folders of the backup, under their unfinished names until the end."""

    def __init__(self, disk: Disk, settings: StorageSettings) -> None:
        self._disk = disk
        self._folders = [settings.data_folder]
        if settings.wal_folder:
            # First, since the data folder with the identity makes it a whole.
            self._folders.insert(0, settings.wal_folder)
        self._settings = attrs.evolve(
            settings,
            data_folder=settings.data_folder + UNFINISHED,
            wal_folder=settings.wal_folder and settings.wal_folder + UNFINISHED,
        )
        self._data = DataDir(disk, self._settings)
        self._checksum = ""

    def check_free(self) -> None:
        """:raises StorageError: something is in a folder where the backup would be."""
        for folder in self._folders:
            try:
                names = self._disk.list(folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise refused(error, folder) from error
            if names:
                raise StorageError("it is not empty", path=folder)

    def open(self) -> None:
        """
        Make the unfinished folders, and lock them.

        :raises StorageError: another backup is being written there.
        """
        self._data.open()
        self._clear()

    def write(
        self, contents: Contents, identity: Identity
    ) -> Generator[str, None, None]:
        """Everything, the identity last."""
        checksum = Checksum(contents)
        yield from self._write_snapshot(contents, identity, checksum)
        wal = new_wal(self._disk, self._data, identity, self._settings)
        file = contents.snapshot
        index = file.meta.index if file is not None else 0
        wal.state = LogState(
            HardState(term=contents.term, vote=NOBODY, commit=index),
            last_index=index,
            last_term=file.meta.term if file is not None else 0,
        )
        wal.begin()
        for entries in _batches(contents.entries):
            wal.save(Save(None, entries, None))
        # All of it counts as committed: see Contents.entries.
        end = HardState(term=contents.term, vote=NOBODY, commit=contents.last_index)
        wal.save(Save(end, (), None))
        wal.close()
        self._data.write_identity(identity, backup_of=contents.identity)
        self._checksum = checksum.finish()

    def _write_snapshot(
        self, contents: Contents, identity: Identity, checksum: Checksum
    ) -> Generator[str, None, None]:
        file = contents.snapshot
        if file is None:
            return
        folder = SnapshotFolder(self._disk, self._data.snap_folder, keep=0)
        draft = folder.draft(file.meta, identity, own=True)
        for number, piece in enumerate(contents.pieces(), 1):
            draft.append(piece)
            checksum.add(piece)
            if number % _PROGRESS_PIECES == 0:
                yield f"copied {number} of {file.size >> 20} MiB of {file.path}"
        draft.finish()
        folder.publish(draft)
        for copied in folder.files:
            if copied.crc != file.crc:
                raise StorageError("it changed while it was copied", path=file.path)

    def read_back(self, pause: Callable[[float], None]) -> Generator[str, None, str]:
        """The checksum, of what was read and of what was written alike."""
        written = yield from read_contents(self._disk, self._settings, pause=pause)
        try:
            checksum = Checksum(written)
            for piece in written.pieces():
                checksum.add(piece)
            same = checksum.finish() == self._checksum
        finally:
            written.close()
        if not same:
            raise StorageError(
                "what was written here is not what was read",
                path=self._settings.data_folder,
            )
        return self._checksum

    def publish(self) -> None:
        """Give the folders their names, durably."""
        done = []
        try:
            for folder in self._folders:
                self._disk.rename(folder + UNFINISHED, folder)
                done.append(folder)
                self._disk.sync_folder(folder.rpartition("/")[0] or "/")
        except OSError:
            for folder in done:
                self._disk.rename(folder, folder + UNFINISHED)
            raise
        self._data.release()

    def discard(self) -> None:
        """Leave nothing of ours, as far as the disk still lets us."""
        data = self._data
        if data.locked:  # else another backup may be writing there
            with suppress(OSError):
                self._clear()
                for folder in self._folders:
                    self._disk.remove(f"{folder}{UNFINISHED}/lock")
        folders = (data.snap_folder, data.wal_folder, data.member_folder)
        for folder in (*folders, data.data_folder):
            with suppress(OSError):
                self._disk.remove_folder(folder)
        data.release()

    def _clear(self) -> None:
        """Remove what an earlier backup wrote that was ended in the middle of it."""
        data, disk = self._data, self._disk
        for folder, suffixes in (
            (data.wal_folder, (WAL_SUFFIX, TEMPORARY)),
            (data.snap_folder, (SNAPSHOT_SUFFIX, TEMPORARY)),
        ):
            for name in disk.list(folder):
                if name.endswith(suffixes):
                    disk.remove(f"{folder}/{name}")
        for path in (data.identity_path, data.identity_path + TEMPORARY):
            if disk.exists(path):
                disk.remove(path)


def _batches(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    """As many at a time as make one record of about a MiB."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.data)
        if size >= SAVE_BYTES:
            yield tuple(batch)
            batch, size = [], 0
    if batch:
        yield tuple(batch)
