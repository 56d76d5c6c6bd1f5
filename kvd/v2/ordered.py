"""A sorted set that stays quick at a million members."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Any)  # anything with an order; typing has no name for it

_RUN_MAX = 1024


class OrderedSet(Generic[T]):
    """
    Members in ascending order, as a list of short sorted runs::

        runs  [a b c] [d e] [f g h i]     every run has 1..1024 members
        lasts  c       e     i            the last of each run

    Adding or removing moves at most one run and the list of runs, so that no single
    call takes long and nothing is ever rebuilt.
    """

    __slots__ = ("_lasts", "_runs", "_size")

    def __init__(self, members: Iterable[T] = ()) -> None:
        """Members may come in any order; equal ones must not be repeated."""
        ordered = sorted(members)
        half = _RUN_MAX // 2
        self._runs = [ordered[at : at + half] for at in range(0, len(ordered), half)]
        self._lasts = [run[-1] for run in self._runs]
        self._size = len(ordered)

    def __len__(self) -> int:
        return self._size

    def add(self, member: T) -> None:
        """Do nothing if it is there."""
        runs, lasts = self._runs, self._lasts
        at = bisect_left(lasts, member)
        if at == len(lasts):
            if not runs:
                runs.append([member])
                lasts.append(member)
                self._size = 1
                return
            at -= 1
            runs[at].append(member)
            lasts[at] = member
        else:
            run = runs[at]
            place = bisect_left(run, member)
            if run[place] == member:
                return
            run.insert(place, member)
        self._size += 1
        run = runs[at]
        if len(run) > _RUN_MAX:
            half = len(run) // 2
            runs.insert(at + 1, run[half:])
            del run[half:]
            lasts.insert(at, run[-1])

    def discard(self, member: T) -> None:
        """Do nothing if it is not there."""
        lasts = self._lasts
        at = bisect_left(lasts, member)
        if at == len(lasts):
            return
        run = self._runs[at]
        place = bisect_left(run, member)
        if run[place] != member:
            return
        del run[place]
        self._size -= 1
        if not run:
            del self._runs[at]
            del lasts[at]
        elif place == len(run):
            lasts[at] = run[-1]

    def runs(self) -> list[list[T]]:
        """The runs themselves; nothing may be done with the set afterwards."""
        return self._runs

    def first(self) -> T | None:
        """The least member, None if there is none."""
        return self._runs[0][0] if self._runs else None

    def from_(self, least: T) -> Iterator[T]:
        """Members not below ``least``, ascending; nothing may change meanwhile."""
        at = bisect_left(self._lasts, least)
        if at < len(self._runs):
            run = self._runs[at]
            yield from run[bisect_left(run, least) :]
            for later in self._runs[at + 1 :]:
                yield from later
