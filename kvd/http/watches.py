"""Watches as answers: one event or a stream of them, pushed piece by piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

from kvd.errors import RequestError
from kvd.http.exchange import Outlet, Response, Streaming
from kvd.http.keyerrors import RAFT_INTERNAL_ERROR, error_response
from kvd.http.render import event_json
from kvd.http.store import KeysStore, Watched
from kvd.v2.events import Event


class Watches:
    """
    All open watches of a member.

    :param watchers_max: open at one time; more are refused.
    :param backlog_max: events that wait for one client which does not read.
    """

    def __init__(
        self,
        *,
        store: KeysStore,
        cluster_id: str,
        wall_time_ns: Callable[[], int],
        watchers_max: int,
        backlog_max: int,
    ) -> None:
        self._store = store
        self._cluster_id = cluster_id
        self._wall_time_ns = wall_time_ns
        self._watchers_max = watchers_max
        self.backlog_max = backlog_max
        self.open_now = 0
        # The event that was rendered last: its other watchers take the same bytes.
        self._rendered: Event | None = None
        self._rendered_json = b""

    def open(
        self,
        path: str,
        *,
        recursive: bool,
        stream: bool,
        since: int,
        headers: Callable[[int], bytes],
    ) -> Streaming | Response:
        """
        Begin to watch; nothing that happens from now on is missed.

        :param headers: of the answer, given the etcd index at which it was accepted.
        :raises RequestError: 401.
        """
        if self.open_now >= self._watchers_max:
            cause = f"etcdserver: too many watchers, watchers-max={self._watchers_max}"
            refused = RequestError(RAFT_INTERNAL_ERROR, cause)
            return error_response(refused, self._cluster_id)
        watch = Watch(self, stream=stream)
        watch.watched = self._store.watch(
            path,
            recursive=recursive,
            stream=stream,
            since=since,
            callback=watch.happened,
        )
        self.open_now += 1
        return Streaming(200, headers(watch.watched.index), watch.begin)

    def json(self, event: Event) -> bytes:
        """The event as every watcher is told of it."""
        if event is not self._rendered:
            self._rendered_json = event_json(event, now_ns=self._wall_time_ns())
            self._rendered = event
        return self._rendered_json


class Watch:
    """One open watch: between the store's callback and a client's outlet."""

    __slots__ = ("_backlog", "_outlet", "_stream", "_watches", "watched")

    _log = Logger()
    watched: Watched

    def __init__(self, watches: Watches, *, stream: bool) -> None:
        self._watches = watches
        self._stream = stream
        self._outlet: Outlet | None = None
        # Events not yet sent, None for the end; made only when one has to wait.
        self._backlog: deque[Event | None] | None = None

    def begin(self, outlet: Outlet) -> Watch:
        """The head of the answer has left."""
        self._outlet = outlet
        hit = self.watched.event
        if hit is not None:
            # After a hit out of the history nothing else comes, also on a stream:
            # that then just stays open (V2-SPEC 8.3).
            self._tell(outlet, hit)
        elif self._backlog is not None:
            self.taken()
        return self

    def happened(self, event: Event | None) -> None:
        """
        An event, or None when the store dropped this watcher.

        Never raises: a bug of ours, even one in what the client has asked for next,
        costs it its connection. The member's state is sound, and others wait.
        """
        outlet = self._outlet
        try:
            self._happened(outlet, event)
        except Exception:  # noqa: BLE001 -- whatever it is
            self._log.failure("while telling a watcher")
            self.stop()
            if outlet is not None:
                outlet.abort()

    def _happened(self, outlet: Outlet | None, event: Event | None) -> None:
        if outlet is not None and not outlet.blocked and not self._backlog:
            self._tell(outlet, event)
            return
        backlog = self._backlog
        if backlog is None:
            backlog = self._backlog = deque()
        if len(backlog) < self._watches.backlog_max or event is None:
            backlog.append(event)
        else:
            # The client does not keep up. It finds its body ended, and asks again
            # with the index after the last event it got.
            backlog.clear()
            if outlet is not None:
                self._end(outlet)
            else:
                backlog.append(None)

    def taken(self) -> None:
        backlog = self._backlog
        while backlog and self._outlet is not None and not self._outlet.blocked:
            self._tell(self._outlet, backlog.popleft())

    def stop(self) -> None:
        if self._outlet is not None:
            self._outlet = None
            self._release()

    def finish(self) -> None:
        if self._outlet is not None:
            self._end(self._outlet)

    def _tell(self, outlet: Outlet, event: Event | None) -> None:
        if event is None:
            self._end(outlet)
        elif self._stream:
            outlet.send(self._watches.json(event))
        else:
            self._end(outlet, self._watches.json(event))

    def _end(self, outlet: Outlet, last: bytes = b"") -> None:
        self._outlet = None
        self._release()
        outlet.end(last)

    def _release(self) -> None:
        self._backlog = None
        self._watches.open_now -= 1
        self.watched.cancel()
