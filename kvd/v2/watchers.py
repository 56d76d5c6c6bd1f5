"""Who waits for which path, and what they are to be told at the next publish."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from kvd.v2.events import Event
from kvd.v2.history import removes_directory
from kvd.v2.ordered import OrderedSet
from kvd.v2.stats import StoreStats

Callback: TypeAlias = Callable[[Event | None], None]

# Events for one watcher between two publishes. One for which there are more, after a
# snapshot was installed, is dropped (told None): its client asks again with an index,
# and is told what the history holds one event at a time.
PENDING_MAX = 1000


class Watched(NamedTuple):
    """
    An accepted watch.

    :ivar index: the etcd index when it was accepted.
    :ivar event: what the history had, or None. With an event nothing is registered,
        not even for a stream: etcd sends that one event and then nothing, and so do
        we (RELIABILITY W06; V2-SPEC 22 does not list it).
    :ivar cancel: stop listening; may be called again, and after the end.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, unused
    event: Event | None
    cancel: Callable[[], None]


class Watcher:
    """One registered watch; ``callback`` is None once nothing may be told any more."""

    __slots__ = ("callback", "path", "pending", "recursive", "since", "stream")

    def __init__(
        self,
        path: str,
        *,
        recursive: bool,
        stream: bool,
        since: int,
        callback: Callback,
    ) -> None:
        self.path = path
        self.recursive = recursive
        self.stream = stream
        self.since = since
        self.callback: Callback | None = callback
        self.pending = 0


class WatcherHub:
    """
    The registered watchers by path, and the deliveries that wait for ``publish``.

    Events are matched when they are applied, told when the batch is complete. An event
    looks at its own path, at the watched ones among its ancestors, and (removals) at
    the watched paths below it: never at all watchers.
    """

    def __init__(self, stats: StoreStats) -> None:
        self._stats = stats
        self._at: dict[str, dict[Watcher, None]] = {}
        self._paths: OrderedSet[str] = OrderedSet()
        # How many watched paths there are of each length: an ancestor of another
        # length need not be cut out of a path of thousands of segments.
        self._lengths: dict[int, int] = {}
        self._deliveries: list[tuple[Watcher, Event | None]] = []

    def add(self, watcher: Watcher) -> Callable[[], None]:
        """Register; returns what cancels it."""
        path = watcher.path
        here = self._at.get(path)
        if here is None:
            here = self._at[path] = {}
            self._paths.add(path)
            self._lengths[len(path)] = self._lengths.get(len(path), 0) + 1
        here[watcher] = None
        self._stats.watchers += 1

        def cancel() -> None:
            watcher.callback = None
            self._forget(watcher)

        return cancel

    def notify(self, event: Event) -> None:
        """Match a change with watchers of its path and of its ancestors."""
        if not self._at:
            return
        key = event.node.key
        hidden_at = key.rfind("/_")
        for at in self._above(key):
            if hidden_at < at:
                self._tell_recursive(key[:at] or "/", event)
        self._tell_all(key, event)

    def notify_removal(self, event: Event, existed: Callable[[str], bool]) -> None:
        """
        Tell a removed path's watchers, and those of what was below it.

        A stream watcher of the very path hears of it twice, here and by
        :meth:`notify`, as from etcd (V2-SPEC 8.2).

        :param existed: whether there was a node at this watched path below it.
        """
        if not self._at:
            return
        key = event.node.key
        if event.node.dir:
            for path in list(self._below(key + "/")):
                if existed(path):
                    self._tell_all(path, event)
        self._tell_all(key, event)

    def catch_up(self, events: Iterable[Event | None]) -> None:
        """Tell everybody what they would have replayed of these (V2-SPEC 8.3)."""
        for event in events:
            if event is None or event.refresh:
                continue
            key = event.node.key
            for at in self._above(key):
                self._tell_recursive(key[:at] or "/", event)
            if removes_directory(event):
                for path in list(self._below(key)):  # its own is the first of them
                    self._tell_all(path, event)
            else:
                self._tell_all(key, event)

    def drop_before(self, index: int) -> None:
        """Drop those who wait for an index below this one: they have missed events."""
        for here in list(self._at.values()):
            for watcher in list(here):
                if watcher.since < index:
                    self._drop(watcher)

    def publish(self) -> None:
        """Call back; what callbacks cause in turn waits for the next time."""
        deliveries, self._deliveries = self._deliveries, []
        for watcher, _ in deliveries:
            watcher.pending = 0
        for watcher, event in deliveries:
            callback = watcher.callback
            if callback is not None:
                if event is None or not watcher.stream:
                    watcher.callback = None
                callback(event)

    def _above(self, key: str) -> Iterator[int]:
        """Lengths of the ancestors that may be watched, the root's is 0."""
        yield 0
        at = key.find("/", 1)
        while at > 0:
            if at in self._lengths:
                yield at
            at = key.find("/", at + 1)

    def _below(self, prefix: str) -> Iterator[str]:
        for path in self._paths.from_(prefix):
            if not path.startswith(prefix):
                return
            yield path

    def _tell_recursive(self, path: str, event: Event) -> None:
        here = self._at.get(path)
        if here is not None:
            for watcher in list(here):
                if watcher.recursive:
                    self._tell(watcher, event)

    def _tell_all(self, path: str, event: Event) -> None:
        here = self._at.get(path)
        if here is not None:
            for watcher in list(here):
                self._tell(watcher, event)

    def _tell(self, watcher: Watcher, event: Event) -> None:
        if event.node.modified_index < watcher.since:
            return
        if watcher.pending >= PENDING_MAX:
            self._drop(watcher)
            return
        watcher.pending += 1
        self._deliveries.append((watcher, event))
        if not watcher.stream:
            self._forget(watcher)

    def _drop(self, watcher: Watcher) -> None:
        self._forget(watcher)
        self._deliveries.append((watcher, None))

    def _forget(self, watcher: Watcher) -> None:
        path = watcher.path
        here = self._at.get(path)
        if here is None or watcher not in here:
            return
        del here[watcher]
        self._stats.watchers -= 1
        if not here:
            del self._at[path]
            self._paths.discard(path)
            left = self._lengths[len(path)] - 1
            if left:
                self._lengths[len(path)] = left
            else:
                del self._lengths[len(path)]
