"""Files and folders of a simulated disk: what is seen, and what would be left."""

from __future__ import annotations


class Inode:
    """
    A file's bytes.

    :ivar synced: so many bytes from the start survive a power cut.
    :ivar unsyncable: a sync has failed, and the system has dropped the pages: later
        syncs say that all is well, and keep nothing ("fsyncgate").
    """

    __slots__ = ("data", "synced", "unsyncable")

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = 0
        self.unsyncable = False


class Folder:
    """
    Names, as they are seen, as they would be after a power cut, and the steps between.

    A step is a set of changes that happen together (``None`` removes a name).
    """

    __slots__ = ("durable", "names", "steps")

    def __init__(self) -> None:
        self.names: dict[str, Inode] = {}
        self.durable: dict[str, Inode] = {}
        self.steps: list[dict[str, Inode | None]] = []

    def change(self, changes: dict[str, Inode | None]) -> None:
        self.steps.append(changes)
        apply(self.names, changes)

    def sync(self) -> None:
        if self.steps:
            self.durable = dict(self.names)
            self.steps.clear()


def apply(names: dict[str, Inode], changes: dict[str, Inode | None]) -> None:
    """Carry out one step."""
    for name, inode in changes.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode
