"""
The disk as the rest of storage sees it; the real one is the only code that opens files.

All calls block and run on the worker's thread. A failure is an ``OSError``.
"""

from __future__ import annotations

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


class Lock(Protocol):
    def release(self) -> None: ...


class Disk(Protocol):
    """Paths are absolute strings; folders are not followed by a slash."""

    def create(self, path: str) -> AppendFile:
        """A new file; FileExistsError if there is one."""
        ...

    def append_to(self, path: str) -> AppendFile:
        """An existing file, positioned at its end."""
        ...

    def size(self, path: str) -> int: ...

    def read(self, path: str, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``; fewer only at the end of file."""
        ...

    def truncate(self, path: str, size: int) -> None:
        """Cut to ``size`` bytes and sync the file."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Replace ``new`` if it exists; durable only after ``sync_folder``."""
        ...

    def remove(self, path: str) -> None: ...

    def exists(self, path: str) -> bool: ...

    def list(self, folder: str) -> list[str]:
        """Names in it, sorted."""
        ...

    def make_folder(self, path: str, mode: int = 0o700) -> None:
        """With its parents, each parent synced; no error if it exists."""
        ...

    def sync_folder(self, path: str) -> None: ...

    def lock(self, path: str) -> Lock:
        """An exclusive lock held until released; BlockingIOError if it is taken."""
        ...

    def free_bytes(self, folder: str) -> int: ...
