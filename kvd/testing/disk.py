"""A disk in memory that forgets, tears and fails as real ones do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from random import Random

from kvd.testing.clock import SimulatedCrash
from kvd.testing.files import Folder, Inode, apply
from kvd.testing.handles import SimulatedFile, SimulatedHeldFile, SimulatedLock

_ZEROS_IN_8 = 1  # of eight torn tails, so many continue with zeros


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder or "/", name


class SimulatedDisk:
    """
    Provides :class:`kvd.storage.disk.Disk`, in memory.

    What is appended is seen at once and kept by :meth:`power_cut` only after ``sync``;
    what is created, renamed or removed only after ``sync_folder``. Of the rest a power
    cut keeps some beginning: bytes up to anywhere, steps of a folder up to anywhere.

    :ivar boot: counts the runs of the machine; handles of an earlier one are dead.
    :ivar capacity: bytes; beyond it a write is cut short and fails with ENOSPC.
    :ivar crash_after: so many changing calls until the power goes; -1: never.
    :ivar failing_syncs: so many syncs of files from now on fail with EIO.
    :ivar failing_reads: so many reads from now on fail with EIO.
    :ivar job_seconds: how long a job of the worker waits before it runs, about.
    :ivar sync_seconds: how long a sync takes, about.
    :ivar syncs: how many there were, of files and folders.
    :ivar torn: how many power cuts left a part of an un-synced write.
    :ivar undone: how many power cuts undid a step of a folder.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._folders: dict[str, Folder] = {"/": Folder()}
        self._used = 0
        self._dead = False
        self.locked: set[str] = set()
        self.boot = 0
        self.capacity = 1 << 40
        self.crash_after = -1
        self.failing_syncs = 0
        self.failing_reads = 0
        self.job_seconds = 0.0002
        self.sync_seconds = 0.002
        self.syncs = 0
        self.torn = 0
        self.undone = 0
        self.calls: list[tuple[str, str]] | None = None  # a list records them

    # -- the protocol ---------------------------------------------------------

    def create(self, path: str) -> SimulatedFile:
        folder, name = self._enter("create", path, changes=True)
        if name in folder.names:
            raise FileExistsError(errno.EEXIST, "exists", path)
        if self._used >= self.capacity:
            raise OSError(errno.ENOSPC, "no space left on device", path)
        inode = Inode()
        folder.change({name: inode})
        return SimulatedFile(self, inode)

    def append_to(self, path: str) -> SimulatedFile:
        return SimulatedFile(self, self._inode("append_to", path))

    def size(self, path: str) -> int:
        return len(self._inode("size", path).data)

    def read(self, path: str, offset: int, size: int) -> bytes:
        return self.read_from(self._inode("read", path), path, offset, size)

    def hold(self, path: str) -> SimulatedHeldFile:
        return SimulatedHeldFile(self, self._inode("hold", path), path)

    def read_from(self, inode: Inode, path: str, offset: int, size: int) -> bytes:
        self._alive()
        if self.failing_reads > 0:
            self.failing_reads -= 1
            raise OSError(errno.EIO, "input/output error", path)
        return bytes(inode.data[offset : offset + size])

    def truncate(self, path: str, size: int) -> None:
        inode = self._inode("truncate", path, changes=True)
        if size > len(inode.data):
            raise ValueError("truncate never makes a file longer")
        self._used -= len(inode.data) - size
        del inode.data[size:]
        inode.synced = min(inode.synced, size)
        self.sync(inode)

    def rename(self, old: str, new: str) -> None:
        if old in self._folders:
            self._rename_folder(old, new)
            return
        inode = self._inode("rename", old, changes=True)
        (old_folder, old_name), (new_folder, new_name) = _split(old), _split(new)
        target = self._folder(new_folder, new)
        replaced = target.names.get(new_name)
        if replaced is not None and replaced is not inode:
            self._used -= len(replaced.data)
        if old_folder == new_folder:
            target.change({old_name: None, new_name: inode})
        else:
            target.change({new_name: inode})
            self._folders[old_folder].change({old_name: None})

    def _rename_folder(self, old: str, new: str) -> None:
        """At once and for good, as making one is."""
        self._alive()
        self._count()
        self._check_empty(new)
        for path in list(self._folders):
            if path == old or path.startswith(old + "/"):
                self._folders[new + path.removeprefix(old)] = self._folders.pop(path)

    def remove_folder(self, path: str) -> None:
        self._alive()
        self._count()
        self._check_empty(path)
        del self._folders[path]

    def _check_empty(self, path: str) -> None:
        if path in self._folders and self.list(path):
            raise OSError(errno.ENOTEMPTY, "directory not empty", path)

    def remove(self, path: str) -> None:
        inode = self._inode("remove", path, changes=True)
        folder, name = _split(path)
        self._used -= len(inode.data)
        self._folders[folder].change({name: None})

    def exists(self, path: str) -> bool:
        self._alive()
        folder, name = _split(path)
        return path in self._folders or (
            folder in self._folders and name in self._folders[folder].names
        )

    def list(self, folder: str) -> list[str]:
        self._alive()
        files = list(self._folder(folder, folder).names)
        prefix = folder.rstrip("/") + "/"
        inner = [
            path[len(prefix) :]
            for path in self._folders
            if path != "/"
            and path.startswith(prefix)
            and "/" not in path[len(prefix) :]
        ]
        return sorted(files + inner)

    def make_folder(self, path: str, mode: int = 0o700) -> None:  # noqa: ARG002 -- no users here
        self._alive()
        self._count()
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            self._folders.setdefault("/" + "/".join(parts[:depth]), Folder())

    def sync_folder(self, path: str) -> None:
        self._alive()
        self._record("sync_folder", path)
        folder = self._folder(path, path)
        self._count()
        self.syncs += 1
        folder.sync()

    def lock(self, path: str) -> SimulatedLock:
        self._alive()
        folder, name = _split(path)
        if path in self.locked:
            raise BlockingIOError(errno.EAGAIN, "locked", path)
        place = self._folder(folder, path)
        if name not in place.names:
            place.change({name: Inode()})
        self.locked.add(path)
        return SimulatedLock(self, path)

    def free_bytes(self, folder: str) -> int:
        self._alive()
        self._folder(folder, folder)
        return max(0, self.capacity - self._used)

    # -- what files ask for ---------------------------------------------------

    def append(self, inode: Inode, data: bytes) -> None:
        self._alive()
        if self.crash_after >= 0:
            try:
                self._count()
            except SimulatedCrash:
                # The power goes while the bytes are on their way.
                inode.data += data[: self._random.randint(0, len(data))]
                raise
        room = self.capacity - self._used
        if len(data) > room:
            inode.data += data[: max(0, room)]
            self._used += max(0, room)
            raise OSError(errno.ENOSPC, "no space left on device")
        inode.data += data
        self._used += len(data)

    def sync(self, inode: Inode) -> None:
        self._alive()
        self._count()
        self.syncs += 1
        if self.failing_syncs > 0:
            self.failing_syncs -= 1
            inode.unsyncable = True
            raise OSError(errno.EIO, "input/output error")
        if not inode.unsyncable:
            inode.synced = len(inode.data)

    # -- what happens to it ---------------------------------------------------

    @property
    def used(self) -> int:
        """Bytes in files."""
        return self._used

    def power_cut(self) -> None:
        """Lose what was not synced, or a part of it; handles and locks are gone."""
        random = self._random
        undone = False
        for folder in self._folders.values():
            if folder.steps:
                kept = random.randint(0, len(folder.steps))
                undone = undone or kept < len(folder.steps)
                for step in folder.steps[:kept]:
                    apply(folder.durable, step)
                folder.names = dict(folder.durable)
                folder.steps.clear()
        self.undone += undone
        torn = False
        for inode in self._inodes():
            torn = self._tear(inode) or torn
        self.torn += torn
        self._restart()

    def process_end(self) -> None:
        """The process is gone, the machine is not: what was written is still there."""
        for inode in self._inodes():
            if inode.unsyncable:
                self._tear(inode)
        self._restart()

    def _restart(self) -> None:
        self.boot += 1
        self.locked.clear()
        self._dead = False
        self.crash_after = -1
        self._used = sum(len(inode.data) for inode in self._inodes())

    def _tear(self, inode: Inode) -> bool:
        """Keep some of the bytes that no sync covered; whether it was a part of them."""
        inode.unsyncable = False
        unsynced = len(inode.data) - inode.synced
        if unsynced == 0:
            return False
        choice = self._random.random()
        if choice < 0.25:
            kept = 0
        elif choice < 0.5:
            kept = unsynced
        else:
            kept = self._random.randint(0, unsynced)
        del inode.data[inode.synced + kept :]
        if kept < unsynced and self._random.randrange(8) < _ZEROS_IN_8:
            # The length reached the disk, the bytes did not.
            inode.data += bytes(unsynced - kept)
        inode.synced = len(inode.data)
        return 0 < kept < unsynced

    def _inodes(self) -> Iterator[Inode]:
        for folder in self._folders.values():
            yield from folder.names.values()

    # -- common ---------------------------------------------------------------

    def _alive(self) -> None:
        if self._dead:
            raise SimulatedCrash

    def _count(self) -> None:
        if self.crash_after >= 0:
            if self.crash_after == 0:
                self._dead = True
                raise SimulatedCrash
            self.crash_after -= 1

    def _record(self, call: str, path: str) -> None:
        if self.calls is not None:
            self.calls.append((call, path))

    def _folder(self, folder: str, path: str) -> Folder:
        found = self._folders.get(folder)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such file or folder", path)
        return found

    def _enter(
        self, call: str, path: str, *, changes: bool = False
    ) -> tuple[Folder, str]:
        self._alive()
        self._record(call, path)
        if changes:
            self._count()
        folder, name = _split(path)
        return self._folder(folder, path), name

    def _inode(self, call: str, path: str, *, changes: bool = False) -> Inode:
        folder, name = self._enter(call, path, changes=changes)
        inode = folder.names.get(name)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file or folder", path)
        return inode
