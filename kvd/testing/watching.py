"""The one true order of events, and everybody's view of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from kvd.errors import RequestError
from kvd.testing.invariants import Violated
from kvd.testing.linearizability import NOT_FOUND
from kvd.v2.events import Event
from kvd.v2.machine import V2

if TYPE_CHECKING:
    from kvd.testing.cluster import SimulatedCluster
    from kvd.testing.member import Run

HOP_SECONDS = 0.0005
"""From a client to its member."""

REMOVALS = frozenset(("delete", "compareAndDelete", "expire"))


class Glance(NamedTuple):
    """A local read: stale it may be, but it shows some moment of the true past."""

    key: str
    etcd_index: int
    modified: int
    value: str | None


class Chronicle:
    """
    All events in their order, as the first member told them.

    :meth:`follow` makes a member tell its events from the very first; they must be
    the same, in the same order, with none left out, over restarts and snapshots.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.indexes: list[int] = []
        self._keys: defaultdict[str, list[tuple[int, str | None]]] = defaultdict(list)

    def follow(self, v2: V2, name: str) -> None:
        """Register as a stream watcher of everything; ``v2`` must still be empty."""
        position = 0

        def told(event: Event | None) -> None:
            nonlocal position
            if event is None:
                raise Violated(f"{name} dropped a watcher that takes everything")
            if position == len(self.events):
                self._add(event, name)
            elif self.events[position] != event:
                raise Violated(
                    f"{name} tells {event} where another told {self.events[position]}"
                )
            position += 1

        v2.watch("/", recursive=True, stream=True, since=0, callback=told)

    def _add(self, event: Event, name: str) -> None:
        index = event.node.modified_index
        if self.indexes and index <= self.indexes[-1]:
            raise Violated(f"{name} tells index {index} after {self.indexes[-1]}")
        self.events.append(event)
        self.indexes.append(index)
        removed = event.action in REMOVALS
        self._keys[event.node.key].append(
            (index, None if removed else event.node.value)
        )

    def check_answer(self, since: int, index: int, *, who: str) -> None:
        """A watch from ``since`` was told of ``index``: nothing lies between."""
        place = bisect_left(self.indexes, since)
        if place == len(self.indexes) or self.indexes[place] != index:
            due = self.indexes[place : place + 1]
            raise Violated(f"{who} watched from {since}, got {index}, due was {due}")

    def check_silence(self, since: int, until: int, *, who: str) -> None:
        """A watch from ``since`` has heard nothing: there was nothing to hear."""
        place = bisect_left(self.indexes, since)
        if place < len(self.indexes) and self.indexes[place] <= until:
            raise Violated(
                f"{who} watched from {since} and was not told of {self.indexes[place]}"
            )

    def check_glance(self, glance: Glance) -> None:
        history = self._keys.get(glance.key, [])
        place = bisect_right(history, glance.etcd_index, key=lambda item: item[0])
        true = history[place - 1] if place else (0, None)
        shown = (glance.modified, glance.value)
        if (true[1] is None and shown[1] is not None) or (
            true[1] is not None and shown != true
        ):
            raise Violated(f"a local read that never was true: {glance}, but {true}")

    def actions(self, key: str) -> list[str]:
        return [event.action for event in self.events if event.node.key == key]


def glance(v2: V2, key: str) -> Glance:
    """Read a key on this member, now."""
    try:
        event = v2.get(key, recursive=False, sorted=False)
    except RequestError as refusal:
        if refusal.code != NOT_FOUND:
            raise
        return Glance(key, refusal.index, 0, None)
    return Glance(key, event.etcd_index, event.node.modified_index, event.node.value)


class OpenWatch:
    """One watch of a client on one member."""

    def __init__(
        self,
        v2: V2,
        *,
        since: int,
        stream: bool,
        told: Callable[[OpenWatch, Event | None], None],
    ) -> None:
        self.v2 = v2
        self.since = since
        self.stream = stream
        self._told = told
        self.over = False
        watched = v2.watch(
            "/", recursive=True, stream=stream, since=since, callback=self._event
        )
        self.cancel = watched.cancel
        if watched.event is not None:
            # A stream that begins in the past gets this one event (V2-SPEC 8.3).
            self.over = True
            told(self, watched.event)

    def _event(self, event: Event | None) -> None:
        if not self.stream or event is None:
            self.over = True
        self._told(self, event)


class WatchingClient:
    """Follows all events with waitIndex, from one member to the next."""

    def __init__(self, number: int, cluster: SimulatedCluster, random: Random) -> None:
        self.name = f"watcher {number}"
        self._cluster = cluster
        self._random = random
        self._next_index = 1
        self._turn = 0
        self.watch: OpenWatch | None = None
        self.stopped = False

    def start(self) -> None:
        self._hop()

    def stop(self) -> None:
        self.stopped = True

    def _hop(self) -> None:
        """Leave this member for another."""
        self._turn += 1
        if self.watch is not None and not self.watch.over:
            self._check_silence(self.watch)
            self.watch.cancel()
        self.watch = None
        if self.stopped:
            return
        runs = self._cluster.serving()
        if runs:
            run = self._random.choice(runs)
            run.process.after(HOP_SECONDS, self._begin, run, self._turn)
        self._cluster.timeline.after(0.2 + self._random.random(), self._hop)

    def _check_silence(self, watch: OpenWatch) -> None:
        since = max(self._next_index, watch.since)
        self._cluster.chronicle.check_silence(since, watch.v2.index, who=self.name)

    def _begin(self, run: Run, turn: int) -> None:
        if turn != self._turn:
            return
        stream = self._random.random() < 0.4
        watch = OpenWatch(
            run.v2,
            since=self._next_index,
            stream=stream,
            told=lambda _, event: self._told(run, turn, event),
        )
        if not watch.over:
            self.watch = watch

    def _told(self, run: Run, turn: int, event: Event | None) -> None:
        if turn != self._turn or event is None:
            return
        index = event.node.modified_index
        self._cluster.histories.answers.append((self.name, self._next_index, index))
        self._next_index = index + 1
        if self.watch is None or not self.watch.stream:
            self.watch = None
            run.process.after(HOP_SECONDS, self._begin, run, turn)
