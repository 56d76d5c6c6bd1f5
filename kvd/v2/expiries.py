"""Which nodes end when: soonest first, and a whole directory forgotten at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvd.v2.ordered import OrderedSet

_LEAST = (-(1 << 64), "")


class Expiries:
    """
    The nodes that are not permanent, grouped by the directory they are in.

    ::

        groups     directory -> {(expiration, name), ...}     ordered
        soonest    {(expiration, path, directory), ...}       the first of each group
        paths      {directory, ...}                           to find those below one

    A removed directory takes its groups along without a look at their members, so that
    removing a million keys with TTLs is as quick as removing one.
    """

    def __init__(self) -> None:
        self._groups: dict[str, OrderedSet[tuple[int, str]]] = {}
        self._paths: OrderedSet[str] = OrderedSet()
        self._soonest: OrderedSet[tuple[int, str, str]] = OrderedSet()

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def add(self, expiration_ns: int, path: str) -> None:
        directory, _, name = path.rpartition("/")
        group = self._groups.get(directory)
        if group is None:
            group = self._groups[directory] = OrderedSet()
            self._paths.add(directory)
        before = group.first()
        group.add((expiration_ns, name))
        self._moved(directory, before, group.first())

    def discard(self, expiration_ns: int, path: str) -> None:
        """Do nothing if it is not there."""
        directory, _, name = path.rpartition("/")
        group = self._groups.get(directory)
        if group is not None:
            before = group.first()
            group.discard((expiration_ns, name))
            self._moved(directory, before, group.first())
            if not group:
                del self._groups[directory]
                self._paths.discard(directory)

    def move(self, path: str, old: int | None, new: int | None) -> None:
        """The node at a path, old or new, ends at another instant; None is never."""
        if old is None:
            if new is not None:
                self.add(new, path)
        elif new is None:
            self.discard(old, path)
        else:
            directory, _, name = path.rpartition("/")
            group = self._groups[directory]
            before = group.first()
            group.discard((old, name))
            group.add((new, name))
            self._moved(directory, before, group.first())

    def first(self) -> tuple[int, str] | None:
        """The soonest, by path among equals; None if everything is permanent."""
        soonest = self._soonest.first()
        return soonest and (soonest[0], soonest[1])

    def due(self, time_ns: int, *, most: int) -> int:
        """How many end by then; looks at no more than ``most``."""
        found = 0
        for soonest, _, directory in self._soonest.from_((*_LEAST, "")):
            if soonest > time_ns or found >= most:
                break
            for expiration, _ in self._groups[directory].from_(_LEAST):
                if expiration > time_ns or found >= most:
                    break
                found += 1
        return found

    def forget_below(self, path: str) -> list[OrderedSet[tuple[int, str]]]:
        """A directory is gone with all it held; returns what may be thrown away."""
        below = path + "/"
        gone = [path] if path in self._groups else []
        for directory in self._paths.from_(below):
            if not directory.startswith(below):
                break
            gone.append(directory)
        thrown = []
        for directory in gone:
            group = self._groups.pop(directory)
            self._paths.discard(directory)
            self._moved(directory, group.first(), None)
            thrown.append(group)
        return thrown

    def emptied(self) -> Iterator[OrderedSet[Any]]:
        """All that it is made of, taken out of it; nothing else may be done with it."""
        while self._groups:
            yield self._groups.popitem()[1]
        yield self._paths
        yield self._soonest

    def _moved(
        self,
        directory: str,
        before: tuple[int, str] | None,
        after: tuple[int, str] | None,
    ) -> None:
        """A group's first member changed."""
        if before != after:
            if before is not None:
                self._soonest.discard((*_place(directory, before), directory))
            if after is not None:
                self._soonest.add((*_place(directory, after), directory))


def _place(directory: str, member: tuple[int, str] | None) -> tuple[int, str]:
    """Expiration and path of a group's member."""
    expiration, name = member or _LEAST
    return expiration, f"{directory}/{name}"
