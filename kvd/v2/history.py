"""The last events of a whole store, for watches that begin in the past."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from kvd.errors import RequestError
from kvd.v2.events import Event

_CLEARED = 401


class EventHistory:
    """
    One place for each step of the etcd index, the newest ``events_max`` of them.

    A place is None where the step was the cluster's own bookkeeping: it is no client's
    business, but it pushes an older event out, as in etcd (V2-SPEC 8.3).
    """

    def __init__(self, events_max: int) -> None:
        self._events: deque[Event | None] = deque(maxlen=events_max)

    def __len__(self) -> int:
        return len(self._events)

    def append(self, event: Event | None) -> None:
        """The caller has just made the etcd index one more."""
        self._events.append(event)

    def all(self) -> tuple[Event | None, ...]:
        return tuple(self._events)

    def replace(self, events: Iterable[Event | None]) -> None:
        """Keep the newest of these, as many as fit."""
        self._events.clear()
        self._events.extend(events)

    def since(self, index: int, *, last: int) -> Iterable[Event | None]:
        """
        Events from ``index`` on, ascending; nothing if it lies in the future.

        :param last: the present etcd index, which is the newest event's.
        :raises RequestError: 401, the event of that index is gone.
        """
        if index > last:
            return ()
        first = last + 1 - len(self._events)
        if index < first or not self._events:
            raise RequestError(
                _CLEARED,
                f"the requested history has been cleared [{first}/{index}]",
                last,
            )
        return islice(self._events, index - first, None)

    def search(
        self, path: str, *, recursive: bool, since: int, last: int
    ) -> Event | None:
        """The first event from ``since`` on that a watcher replays, or None."""
        below = path if path == "/" else path + "/"
        for event in self.since(since, last=last):
            if event is None or event.refresh:
                continue
            key = event.node.key
            if (
                key == path
                or (recursive and key.startswith(below))
                or (removes_directory(event) and path.startswith(key))
            ):
                return event
        return None


def removes_directory(event: Event) -> bool:
    """Whether replay shows it to every path that it is a plain prefix of."""
    return event.node.dir and event.action in ("delete", "expire")
