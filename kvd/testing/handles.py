"""What a simulated disk hands out: files to write, files to read, locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvd.testing.clock import SimulatedCrash
from kvd.testing.files import Inode

if TYPE_CHECKING:
    from kvd.testing.disk import SimulatedDisk


class SimulatedFile:
    """Provides :class:`kvd.storage.disk.AppendFile`."""

    def __init__(self, disk: SimulatedDisk, inode: Inode) -> None:
        self._disk = disk
        self._inode = inode
        self._boot = disk.boot
        self._open = True

    def append(self, data: bytes) -> None:
        self._check()
        self._disk.append(self._inode, data)

    def sync(self) -> None:
        self._check()
        self._disk.sync(self._inode)

    def close(self) -> None:
        if self._boot == self._disk.boot:
            self._open = False

    def _check(self) -> None:
        if self._boot != self._disk.boot:
            raise SimulatedCrash
        if not self._open:
            raise ValueError("the file is closed")


class SimulatedHeldFile:
    """Provides :class:`kvd.storage.disk.HeldFile`."""

    def __init__(self, disk: SimulatedDisk, inode: Inode, path: str) -> None:
        self._disk = disk
        self._inode = inode
        self._path = path

    def size(self) -> int:
        return len(self._inode.data)

    def read(self, offset: int, size: int) -> bytes:
        return self._disk.read_from(self._inode, self._path, offset, size)

    def close(self) -> None:
        """Nothing is counted."""


class SimulatedLock:
    """Provides :class:`kvd.storage.disk.Lock`."""

    def __init__(self, disk: SimulatedDisk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._boot = disk.boot

    def release(self) -> None:
        if self._boot == self._disk.boot:
            self._disk.locked.discard(self._path)
