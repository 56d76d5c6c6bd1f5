"""The files of a member that may be at work, as they were at one moment."""

from __future__ import annotations

from kvd.storage.data_dir import TEMPORARY, DataDir, refused
from kvd.storage.disk import Disk, HeldFile
from kvd.storage.segments import list_segments
from kvd.storage.snapshots import durable_names


class View:
    """
    Provides :class:`kvd.storage.disk.Readable`, without the member's lock.

    Files are held open, so that it does not matter when the member renames or removes
    one, and a file ends where it ended when it was first held, however it grows. The
    snapshots are listed before the log: then the log goes back to the newest of them,
    unless the member made two more in between.

    :ivar snapshots: names of durable snapshots, newest first.
    :ivar log: names in the log's folder.
    """

    def __init__(self, disk: Disk, data: DataDir) -> None:
        self._disk = disk
        self._held: dict[str, tuple[HeldFile, int]] = {}
        self._data = data
        self.snapshots: list[str] = []
        self.log: list[str] = []

    def take(self) -> None:
        """
        Look, and hold what will be needed if the newest snapshot is good.

        :raises StorageError: it changed meanwhile, or something is missing or no file.
        """
        data = self._data
        try:
            self.snapshots = durable_names(self._disk.list(data.snap_folder))
            index = 0
            for name in self.snapshots[:1]:
                index = _index_of(name)
                self._hold(f"{data.snap_folder}/{name}")
            self.log = self._disk.list(data.wal_folder)
        except OSError as error:
            raise refused(error, data.data_folder) from error
        for segment in reversed(list_segments(data.wal_folder, self.log)):
            self._file(segment.path)
            if segment.first_index <= index + 1:
                break

    def has_promised(self, path: str) -> bool:
        """Whether the log's next segment, which a seal promises, was there."""
        name = path.rpartition("/")[2]
        return name + TEMPORARY in self.log

    def size(self, path: str) -> int:
        return self._file(path)[1]

    def read(self, path: str, offset: int, size: int) -> bytes:
        file, end = self._file(path)
        return file.read(offset, min(size, end - offset))

    def close(self) -> None:
        """Hold nothing any more."""
        while self._held:
            _, (file, _) = self._held.popitem()
            file.close()

    def _file(self, path: str) -> tuple[HeldFile, int]:
        try:
            return self._hold(path)
        except OSError as error:
            raise refused(error, path) from error

    def _hold(self, path: str) -> tuple[HeldFile, int]:
        held = self._held.get(path)
        if held is None:
            file = self._disk.hold(path)
            held = self._held[path] = (file, file.size())
        return held


def _index_of(name: str) -> int:
    """The index that a snapshot's name says; 0 for another name, and none is lower."""
    try:
        return int(name[:16], 16)
    except ValueError:
        return 0
