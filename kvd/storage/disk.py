"""
The disk as the rest of storage sees it; the real one is the only code that opens files.

All calls block and run on the worker's thread. A failure is an ``OSError``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import Protocol


class AppendFile(Protocol):
    """A file open for appending at its end, and nothing else."""

    def append(self, data: bytes) -> None:
        """Write all of it (short writes and EINTR are continued) at the end."""
        ...

    def sync(self) -> None:
        """fdatasync: what was appended survives a power cut."""
        ...

    def close(self) -> None: ...


class HeldFile(Protocol):
    """A file held open for reading: it can be read when its name is gone, too."""

    def size(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer only at the end of file."""
        ...

    def close(self) -> None: ...


class Lock(Protocol):
    def release(self) -> None: ...


class Readable(Protocol):
    """What is asked of a disk by those who only read."""

    def size(self, path: str) -> int: ...

    def read(self, path: str, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer only at the end of file."""
        ...


class Disk(Readable, Protocol):
    """Paths are absolute strings; folders are not followed by a slash."""

    def create(self, path: str) -> AppendFile:
        """A new file; FileExistsError if there is one."""
        ...

    def append_to(self, path: str) -> AppendFile:
        """An existing file, positioned at its end."""
        ...

    def hold(self, path: str) -> HeldFile:
        """An existing file; OSError if it is a symbolic link, or none that is read."""
        ...

    def truncate(self, path: str, size: int) -> None:
        """Cut to ``size`` bytes and sync the file."""
        ...

    def rename(self, old: str, new: str) -> None:
        """
        Replace ``new`` if it exists; durable only after ``sync_folder``. A folder
        replaces an empty one only.
        """
        ...

    def remove(self, path: str) -> None: ...

    def exists(self, path: str) -> bool: ...

    def list(self, folder: str) -> list[str]:
        """Names in it, sorted."""
        ...

    def make_folder(self, path: str, mode: int = 0o700) -> None:
        """With its parents, each parent synced; no error if it exists."""
        ...

    def remove_folder(self, path: str) -> None:
        """An empty one."""
        ...

    def sync_folder(self, path: str) -> None: ...

    def lock(self, path: str) -> Lock:
        """An exclusive lock held until released; BlockingIOError if it is taken."""
        ...

    def free_bytes(self, folder: str) -> int: ...


class _RealFile:
    """Provides :class:`AppendFile`."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    def append(self, data: bytes) -> None:
        # A signal does not interrupt os.write (PEP 475); a short write is continued.
        try:
            written = os.write(self._descriptor, data)
            if written != len(data):
                rest = memoryview(data)[written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            error.filename = self._path
            raise

    def sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            error.filename = self._path
            raise

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _RealHeldFile:
    """Provides :class:`HeldFile`."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        return _read(self._descriptor, self._path, offset, size)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _RealLock:
    """Provides :class:`Lock`; the kernel lets go when the process ends, too."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealDisk:
    """Provides :class:`Disk` on the operating system's files."""

    def create(self, path: str) -> AppendFile:
        return self._append_file(path, os.O_CREAT | os.O_EXCL)

    def append_to(self, path: str) -> AppendFile:
        return self._append_file(path, 0)

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def read(self, path: str, offset: int, size: int) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _read(descriptor, path, offset, size)
        finally:
            os.close(descriptor)

    def hold(self, path: str) -> HeldFile:
        # Not waiting is for what is no file: a pipe would wait for its writer.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(
                    errno.ELOOP, "a symbolic link, not a file", path
                ) from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a file", path)
        return _RealHeldFile(descriptor, path)

    def truncate(self, path: str, size: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def exists(self, path: str) -> bool:
        # os.path.exists would take "may not look" for "is not there".
        try:
            os.stat(path)
        except FileNotFoundError:
            return False
        return True

    def list(self, folder: str) -> list[str]:
        return sorted(os.listdir(folder))

    def make_folder(self, path: str, mode: int = 0o700) -> None:
        missing = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for folder in reversed(missing):
            os.mkdir(folder, mode)
            self.sync_folder(os.path.dirname(folder))

    def remove_folder(self, path: str) -> None:
        os.rmdir(path)

    def sync_folder(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> Lock:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        except OSError as error:
            os.close(descriptor)
            error.filename = path
            raise
        return _RealLock(descriptor)

    def free_bytes(self, folder: str) -> int:
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    @staticmethod
    def _append_file(path: str, flags: int) -> AppendFile:
        flags |= os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        return _RealFile(os.open(path, flags, 0o600), path)


def _read(descriptor: int, path: str, offset: int, size: int) -> bytes:
    pieces = []
    try:
        while size > 0:
            piece = os.pread(descriptor, size, offset)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
    except OSError as error:
        error.filename = path
        raise
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
