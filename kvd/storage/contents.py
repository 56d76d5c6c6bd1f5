"""What a member's folders hold, read without its lock and without changing a byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from struct import Struct
from typing import Final

import attrs

from kvd.errors import StorageError
from kvd.raft.messages import Entry
from kvd.storage.data_dir import DataDir, Identity, StorageSettings
from kvd.storage.disk import Disk
from kvd.storage.newest import examine
from kvd.storage.recovery import NOTHING, reconcile
from kvd.storage.replay import Replay
from kvd.storage.segments import list_segments
from kvd.storage.snapshots import READ_BYTES_MAX, SnapshotFile
from kvd.storage.view import View

ATTEMPTS_MAX: Final = 100
PAUSE_SECONDS: Final = 0.1
PROGRESS_BYTES: Final = 32 << 20
_PLACE = Struct("<QQBQ")  # index, term, kind, length of the data


@attrs.frozen
class Contents:
    """
    A snapshot and the whole log behind it; :meth:`close` when done with them.

    :ivar snapshot: its content is still to be read, by :meth:`pieces`.
    :ivar entries: committed or not: what was acknowledged is among them, and how far
        that reaches is not on the disk. A member notes a commit index with the save
        that follows it.
    :ivar term: the newest that is known, at least that of the last entry.
    """

    identity: Identity
    backup_of: Identity | None
    snapshot: SnapshotFile | None
    entries: tuple[Entry, ...]
    term: int
    notes: tuple[str, ...]
    _view: View

    @property
    def last_index(self) -> int:
        if self.entries:
            return self.entries[-1].index
        return self.snapshot.meta.index if self.snapshot is not None else 0

    @property
    def last_term(self) -> int:
        """Term of what stands at the last index."""
        if self.entries:
            return self.entries[-1].term
        return self.snapshot.meta.term if self.snapshot is not None else 0

    def pieces(self) -> Generator[bytes, None, None]:
        """
        The snapshot's content.

        :raises StorageError: it cannot be read.
        """
        file = self.snapshot
        if file is None:
            return
        for offset in range(0, file.size, READ_BYTES_MAX):
            size = min(READ_BYTES_MAX, file.size - offset)
            piece = self._view.read(file.path, file.content_at + offset, size)
            if len(piece) != size:
                raise StorageError("the file ends early", path=file.path, offset=offset)
            yield piece

    def close(self) -> None:
        self._view.close()


class Checksum:
    """
    SHA-256 over a snapshot and the entries behind it, whosever they are: equal for a
    member, its backup, and what is restored from that.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._total = hashlib.sha256()
        file = contents.snapshot
        place = (file.meta.index, file.meta.term, file.size) if file else (0, 0, 0)
        self._total.update(_PLACE.pack(*place[:2], 0, place[2]))

    def add(self, piece: bytes) -> None:
        """The next piece of the snapshot's content."""
        self._total.update(piece)

    def finish(self) -> str:
        """Hexadecimal, once every piece was added."""
        for index, term, kind, data in self._contents.entries:
            self._total.update(_PLACE.pack(index, term, kind, len(data)))
            self._total.update(data)
        return self._total.hexdigest()


def read_contents(
    disk: Disk, settings: StorageSettings, *, pause: Callable[[float], None]
) -> Generator[str, None, Contents]:
    """
    Read a member's folders while it may be at work; yields lines of progress.

    What goes wrong because the member changed something is gone at the next attempt;
    what goes wrong twice in the same way, or for the last time, is raised.

    :param pause: waits between two attempts, for so many seconds.
    :raises StorageError: as :func:`kvd.storage.recovery.recover` does.
    """
    before = ""
    attempts = 0
    while True:
        attempts += 1
        try:
            return (yield from _read(disk, settings))
        except StorageError as error:
            if str(error) == before or attempts == ATTEMPTS_MAX:
                raise
            before = str(error)
        pause(PAUSE_SECONDS)


def _read(disk: Disk, settings: StorageSettings) -> Generator[str, None, Contents]:
    data = DataDir(disk, settings)
    view = View(disk, data)
    try:
        identity = data.identity_there()
        view.take()
        return (yield from _put_together(view, data, identity))
    except BaseException:
        view.close()
        raise


def _put_together(
    view: View, data: DataDir, identity: Identity
) -> Generator[str, None, Contents]:
    notes: list[str] = []
    newest = NOTHING
    for name in view.snapshots:
        path = f"{data.snap_folder}/{name}"
        file = yield from examine(view, path, identity, notes, content=True)
        if file is not None:
            newest = file
            break
    segments = list_segments(data.wal_folder, view.log)
    if not segments:
        raise StorageError("the log is gone", path=data.wal_folder)
    replay = Replay(
        view,
        data.wal_folder,
        identity,
        segments,
        snapshot_index=newest.meta.index,
        writable=None,
    )
    yield from replay.run()
    if replay.promised and not view.has_promised(replay.promised):
        raise StorageError("this segment of the log is gone", path=replay.promised)
    reconcile(newest, replay, data.snap_folder, notes)
    return Contents(
        identity=identity,
        backup_of=data.backup_of,
        snapshot=None if newest is NOTHING else newest,
        entries=tuple(replay.entries),
        term=max(replay.state.hard_state.term, newest.meta.term),
        notes=tuple(notes),
        view=view,
    )
