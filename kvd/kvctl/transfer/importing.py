"""Many records at one time, so many and no more, and how far it came."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Protocol

import attrs

from kvd.kvctl.transfer.putting import Outcome, Refused
from kvd.kvctl.transfer.reading import Numbered
from kvd.kvctl.transfer.records import Record

_AHEAD = 4  # records handed over for each job that can run
NOTES_MAX = 20


@attrs.define
class Progress:
    """
    How far an import came.

    :ivar line: all lines up to this one are done.
    :ivar notes: of records that are not as they should be; the first ``NOTES_MAX``.
    """

    counts: Counter[Outcome] = attrs.field(factory=Counter)
    line: int = 1
    notes: list[str] = attrs.field(factory=list)

    def note(self, text: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(text)

    @property
    def done(self) -> int:
        return self.counts.total()


class Stopped(Exception):
    """A record that ends the import; the text says which, and why."""


class Puts(Protocol):
    """Who puts records: :class:`kvd.kvctl.transfer.putting.Putting`."""

    def put(self, record: Record) -> Outcome:
        """:raises Refused:"""
        ...

    def key_of(self, record: Record) -> str:
        """Where it goes."""
        ...


class Importing:
    """
    Hands records to an executor, and takes their outcomes in the order of the file.

    :param puts: puts one record; called by the executor's threads.
    :param jobs: how many threads the executor has.
    :param stop_at_conflict: the first one ends it.
    :param done: called with each step of progress, by the thread that calls ``run``.
    """

    def __init__(
        self,
        puts: Puts,
        executor: Executor,
        *,
        jobs: int,
        stop_at_conflict: bool,
        done: Callable[[Progress], object],
    ) -> None:
        self._puts = puts
        self._executor = executor
        self._ahead_max = jobs * _AHEAD
        self._stop_at_conflict = stop_at_conflict
        self._done = done
        self._waiting: deque[tuple[Numbered, Future[Outcome]]] = deque()
        self.progress = Progress()

    def run(self, records: Iterable[Numbered]) -> None:
        """
        All of them. What was begun is waited for, whatever happens.

        :raises Stopped: the cluster refused one, or one is in conflict.
        """
        try:
            for each in records:
                self._begin(each)
            while self._waiting:
                self._take()
        finally:
            self._end()

    def _begin(self, each: Numbered) -> None:
        future = self._executor.submit(self._puts.put, each.record)
        self._waiting.append((each, future))
        # What a directory with a time to live holds must not come before it.
        alone = each.record.value is None and each.record.ttl is not None
        while len(self._waiting) > (0 if alone else self._ahead_max):
            self._take()

    def _take(self) -> None:
        """The outcome of the oldest one."""
        each, future = self._waiting[0]
        try:
            outcome = future.result()
        except Refused as error:
            raise Stopped(f"line {each.number}: {error}") from None
        if self._ends(outcome):
            raise Stopped(
                f"line {each.number}: {self._puts.key_of(each.record)} is there with "
                "something else"
            )
        self._waiting.popleft()
        self._count(each, outcome)

    def _count(self, each: Numbered, outcome: Outcome) -> None:
        progress = self.progress
        progress.counts[outcome] += 1
        progress.line = each.number
        if outcome in {Outcome.CONFLICT, Outcome.LEFT_OUT}:
            key = self._puts.key_of(each.record)
            progress.note(f"line {each.number}: {key}: {outcome.value}")
        self._done(progress)

    def _ends(self, outcome: Outcome) -> bool:
        return self._stop_at_conflict and outcome is Outcome.CONFLICT

    def _end(self) -> None:
        """Wait for what is under way; ``line`` stays where the first gap is."""
        for _, future in self._waiting:
            future.cancel()
        whole = True
        while self._waiting:
            each, future = self._waiting.popleft()
            if future.cancelled() or future.exception() is not None:
                whole = False
                continue
            outcome = future.result()
            self.progress.counts[outcome] += 1
            whole = whole and not self._ends(outcome)
            if whole:
                self.progress.line = each.number
