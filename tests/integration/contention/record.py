"""
What each contending process believed, and when: lines of JSON that a killed one leaves.

All of them read one clock, the machine's monotonic one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

# A process that was not run for less than this is not called stalled. What recipes
# promise to one that runs must allow for it: their margin is larger.
STALL_SECONDS = 0.35
PULSE_SECONDS = 0.1


@attrs.frozen
class Note:
    """One line: whose, when, what, and whatever else there is to say of it."""

    who: str
    at: float
    what: str
    facts: dict

    def __getitem__(self, name: str):
        return self.facts[name]


class Book:
    """A process's own file; each note is with the kernel before anything else is done."""

    def __init__(self, folder: Path, who: str) -> None:
        self._who = who
        self._file = os.open(folder / f"{who}.notes", os.O_WRONLY | os.O_CREAT, 0o600)

    def note(self, what: str, **facts: object) -> None:
        line = json.dumps([self._who, time.monotonic(), what, facts])
        os.write(self._file, line.encode() + b"\n")


@attrs.frozen
class Stall:
    """A time in which a process was not run, as far as it knows itself."""

    begun: float
    over: float


class Record:
    """
    Everybody's notes.

    :param killed: when whom; its last notes may speak of what did not end.
    """

    def __init__(self, notes: list[Note], killed: dict[str, float]) -> None:
        self.notes = sorted(notes, key=lambda note: note.at)
        self.killed = killed

    @classmethod
    def read(cls, folder: Path, killed: dict[str, float]) -> Record:
        notes = []
        for path in folder.glob("*.notes"):
            for line in path.read_bytes().split(b"\n")[:-1]:
                notes.append(Note(*json.loads(line)))
        return cls(notes, killed)

    def of(self, *whats: str, **facts: object) -> Iterator[Note]:
        """Notes with one of these words, which say this."""
        for note in self.notes:
            if note.what in whats and facts.items() <= note.facts.items():
                yield note

    def count(self, *whats: str, **facts: object) -> int:
        return sum(1 for _ in self.of(*whats, **facts))

    def holders(self) -> set[str]:
        """Who has noted that something is held, and not yet that it is over."""
        open_holds: dict[tuple, str] = {}
        for note in self.of("held", "over"):
            hold = (note.who, note["of"], note["token"])
            if note.what == "held":
                open_holds[hold] = note.who
            else:
                open_holds.pop(hold, None)
        return set(open_holds.values())

    def end_of(self, who: str) -> float:
        """When it was killed, or wrote its last note."""
        last = max(note.at for note in self.notes if note.who == who)
        return self.killed.get(who, last)

    def stalls_of(self, who: str) -> list[Stall]:
        """
        When it was not run.

        All that was due meanwhile it finds when it wakes up, in an order of its own, so
        a stall is over when it has been through that once.
        """
        stalls: list[Stall] = []
        begun: float | None = None
        for note in self.of("stalled", "awake"):
            if note.who == who and note.what == "stalled":
                begun = note["since"] if begun is None else begun
            elif note.who == who and begun is not None:
                stalls.append(Stall(begun, note.at))
                begun = None
        if begun is not None:
            stalls.append(Stall(begun, self.end_of(who)))
        return stalls

    def awake(self, who: str, begun: float, over: float) -> float:
        """How many of these seconds it was run."""
        asleep = 0.0
        reached = begun
        for stall in sorted(self.stalls_of(who), key=lambda each: each.begun):
            first, last = max(stall.begun, reached), min(stall.over, over)
            if last > first:
                asleep += last - first
                reached = last
        return max(0.0, over - begun - asleep)

    def broken(self) -> list[str]:
        """Roles that ended with an error, which no role does."""
        return [f"{note.who}: {note.facts}" for note in self.of("broke")]
