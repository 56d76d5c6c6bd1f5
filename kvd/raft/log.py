"""
The log in memory: a list with an offset, and how much of it is durable.

::

    compacted        durable here           on its way    not yet
    (snapshot)                              to the disk   handed out
    ---------- | ------------------------ | ----------- | ---------- |
            offset                      stable        handed       last
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, pairwise, repeat
from typing import cast

from kvd.errors import invariant
from kvd.raft import invariants
from kvd.raft.messages import Entry, EntryKind

UNKNOWN_TERM = -1  # equal to no entry's term
ENTRY_OVERHEAD_BYTES = 24  # what an entry counts beside its data

# Entry.__new__ is a Python function; this makes a third of the cost.
_entry = cast("partial[Entry]", partial(tuple.__new__, Entry))


def make_entries(
    first: int, term: int, kind: EntryKind, datas: Sequence[bytes]
) -> list[Entry]:
    """Entries of one kind from ``first`` on."""
    indexes = range(first, first + len(datas))
    return list(map(_entry, zip(indexes, repeat(term), repeat(kind), datas)))


def _term(entry: Entry) -> int:
    return entry[1]


class Log:
    """
    Entries after ``offset``, which is the last index that was compacted away.

    :ivar changes: indexes of the membership changes among the entries, ascending.
    :ivar stable: durable up to here, as far as the log has not been replaced since.
    :ivar handed: given to the disk up to here.
    """

    __slots__ = (
        "_base",
        "_ends",
        "_sliced",
        "changes",
        "entries",
        "handed",
        "last",
        "offset",
        "offset_term",
        "stable",
    )

    def __init__(self, offset: int, offset_term: int) -> None:
        self.entries: list[Entry] = []
        self.changes: list[int] = []
        self._ends: list[int] = []  # bytes from the beginning of time to each entry
        self._base = 0
        self._sliced: tuple[int, int, tuple[Entry, ...]] = (0, 0, ())
        self.reset(offset, offset_term)
        self.stable = offset

    def reset(self, offset: int, offset_term: int) -> None:
        """Forget everything in favour of a snapshot, which is not yet durable."""
        self.entries.clear()
        self.changes.clear()
        self._ends.clear()
        self._base = 0
        self._sliced = (0, 0, ())
        self.offset = offset
        self.offset_term = offset_term
        self.last = offset
        self.handed = offset
        self.stable = 0

    # -- asking -----------------------------------------------------------------------

    @property
    def last_term(self) -> int:
        """Term of the last entry, or of the snapshot."""
        return self.entries[-1][1] if self.entries else self.offset_term

    def term(self, index: int) -> int:
        """The entry's term, ``UNKNOWN_TERM`` if it is compacted or not there."""
        position = index - self.offset - 1
        if position >= 0:
            return self.entries[position][1] if index <= self.last else UNKNOWN_TERM
        return self.offset_term if position == -1 else UNKNOWN_TERM

    def slice(self, first: int, last: int) -> tuple[Entry, ...]:
        """Entries ``first`` to ``last``, both included and both in the log."""
        sliced = self._sliced
        if sliced[0] == first and sliced[1] == last:
            return sliced[2]  # two followers at the same place share one tuple
        start = first - self.offset - 1
        invariant(start >= 0, "an entry was asked for that is compacted")
        entries = tuple(self.entries[start : last - self.offset])
        self._sliced = (first, last, entries)
        return entries

    def _bytes_to(self, index: int) -> int:
        position = index - self.offset - 1
        return self._ends[position] if position >= 0 else self._base

    def bytes_between(self, after: int, last: int) -> int:
        """Size of the entries after ``after`` up to ``last``, overhead included."""
        return self._bytes_to(last) - self._bytes_to(after)

    def fit(self, first: int, last: int, bytes_max: int) -> int:
        """The last index, at most ``last``, so that the slice fits; at least one."""
        start = first - self.offset - 1
        limit = self._bytes_to(first - 1) + bytes_max
        position = bisect_right(self._ends, limit, start, last - self.offset)
        return max(self.offset + position, first)

    def last_at_or_before(self, index: int, term: int) -> int:
        """
        The highest index up to ``index`` whose term is at most ``term``.

        If every entry in memory is of a later term, the index before ``offset``: what
        is sought there has been compacted.
        """
        end = min(index, self.last) - self.offset
        if end < 0:
            return index
        position = bisect_right(self.entries, term, 0, end, key=_term)
        if position == 0 and self.offset_term > term:
            return max(self.offset - 1, 0)
        return self.offset + position

    def has_change_between(self, after: int, last: int) -> bool:
        """Whether a membership change stands at an index in (after, last]."""
        return any(after < index <= last for index in self.changes)

    # -- changing ---------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> None:
        """Entries that follow the last one."""
        invariants.entries_follow(self, entries[0])
        self.entries.extend(entries)
        sizes = [len(entry[3]) + ENTRY_OVERHEAD_BYTES for entry in entries]
        sizes[0] += self._ends[-1] if self._ends else self._base
        self._ends.extend(accumulate(sizes))
        self.last += len(entries)
        change = EntryKind.CHANGE
        self.changes.extend([entry[0] for entry in entries if entry[2] is change])

    def truncate(self, index: int) -> None:
        """Drop ``index`` and everything after it."""
        position = index - self.offset - 1
        del self.entries[position:]
        del self._ends[position:]
        while self.changes and self.changes[-1] >= index:
            self.changes.pop()
        self._sliced = (0, 0, ())
        self.last = index - 1
        self.handed = min(self.handed, index - 1)
        self.stable = min(self.stable, index - 1)

    def compact(self, index: int) -> None:
        """Drop everything up to ``index``, which a snapshot holds."""
        if index <= self.offset:
            return
        invariant(index <= self.stable, f"{index} is not durable and cannot go")
        count = index - self.offset
        self.offset_term = self.entries[count - 1][1]
        self._base = self._ends[count - 1]
        self.offset = index
        del self.entries[:count]
        del self._ends[:count]
        self.changes = [change for change in self.changes if change > index]
        self._sliced = (0, 0, ())

    def saved(self, entries: Iterable[Entry]) -> None:
        """What was read back from the disk; durable as it is."""
        found = list(entries)
        for before, entry in pairwise(found):
            invariants.entries_are_neighbours(before, entry)
        if found:
            self.append(found)
        self.handed = self.stable = self.last
