"""What a run applies and saves, shown to the invariants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from kvd.apply.applier import Applier, Outcome
from kvd.apply.machine import Restoring
from kvd.node.interfaces import Persistence, SnapshotReader, SnapshotWriter
from kvd.raft.messages import ConfigChange, Entry, HardState, SnapshotMeta

if TYPE_CHECKING:
    from kvd.testing.member import Run


class Watched:
    """The applier of a run, with what it applies shown to the invariants."""

    def __init__(self, inner: Applier, run: Run, start: int) -> None:
        self._inner = inner
        self._run = run
        self.index = start
        self.due = inner.due
        self.publish = inner.publish

    def apply(self, entry: Entry) -> Outcome:
        outcome = self._inner.apply(entry)
        self._applied(entry, outcome)
        return outcome

    def apply_change(self, entry: Entry, change: ConfigChange) -> Outcome:
        outcome = self._inner.apply_change(entry, change)
        self._run.invariants.configured(entry.index, self._run.membership())
        self._applied(entry, outcome)
        return outcome

    def _applied(self, entry: Entry, outcome: Outcome) -> None:
        before, self.index = self.index, entry.index
        run = self._run
        if run.invariants.applies(run.member_id, entry, before, outcome.value):
            run.host.first_applied(entry, outcome.value)

    def snapshot(self) -> Iterator[bytes]:
        self._run.host.happened("snapshot_made")
        return self._inner.snapshot()

    def restoring(self, chunks: Iterable[bytes]) -> Restoring:
        replace = yield from self._inner.restoring(chunks)

        def replaced() -> None:
            replace()
            self.index = self._run.restored_index
            self._run.host.happened("snapshot_restored")

        return replaced


class Recorded:
    """The persistence of a run, with its saves shown to the invariants."""

    def __init__(self, inner: Persistence, run: Run) -> None:
        self._inner = inner
        self._run = run
        self.create_snapshot: Callable[[SnapshotMeta], SnapshotWriter] = (
            inner.create_snapshot
        )
        self.receive_snapshot: Callable[[SnapshotMeta], SnapshotWriter] = (
            inner.receive_snapshot
        )
        self.compact: Callable[[int], Deferred[None]] = inner.compact
        self.free_bytes: Callable[[], Deferred[int]] = inner.free_bytes

    def save(
        self,
        hard_state: HardState | None,
        entries: Sequence[Entry],
        snapshot: SnapshotMeta | None,
    ) -> Deferred[None]:
        run = self._run
        run.invariants.saving(run.member_id, hard_state, entries, snapshot)
        return self._inner.save(hard_state, entries, snapshot).addCallback(self._saved)

    def _saved(self, _: object) -> None:
        self._run.invariants.saved(self._run.member_id)

    def open_snapshot(self) -> Deferred[SnapshotReader]:
        return self._inner.open_snapshot().addCallback(self._opened)

    def _opened(self, reader: SnapshotReader) -> SnapshotReader:
        self._run.restored_index = reader.meta.index
        return reader
