"""Everything that happens to a key, once and in order, for as long as anybody listens."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from kvd.client.asking import Asker
from kvd.client.documents import event_of, index_of, response_of
from kvd.client.errors import (
    Attempt,
    BadAnswer,
    ClientError,
    Closed,
    EventIndexCleared,
    KeyNotFound,
    NoAnswer,
    Unknown,
    WatcherCleared,
)
from kvd.client.keys import Text, concerns, reading, watching
from kvd.client.soundness import Soundness
from kvd.client.values import Event, Node
from kvd.client.wire import Answer, Request

T = TypeVar("T")
AGAIN_SECONDS: Final = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Between one failed try and the next, which begins with another endpoint."""

_PROBES_MAX: Final = 10
"""Then it is asked anew, on another connection if that one leads nowhere any more."""


@attrs.frozen
class Relisted:
    """
    History was lost: what happened up to ``index`` is not known, only what is there now.

    It comes instead of the events that were missed; those after it follow.

    :ivar node: the key, with everything below it if the watch is recursive; None: there
        is no such key.
    :ivar unwatched_seconds: how long before it was last known that nothing was missing;
        None: it never was. What was made and removed again within less was not missed.

    .. versionadded:: 0.1
    """

    node: Node | None
    index: int
    unwatched_seconds: float | None = attrs.field(default=None, eq=False)


Change: TypeAlias = Event | Relisted


class Watch:
    """
    The changes of one key, or of all below it; made by :meth:`Client.watch`.

    ::

        async for change in watch:
            match change:
                case Event(): ...
                case Relisted(): ...

    Each event comes once and in the order of its index, whichever members answer and
    however often connections break. A member keeps the newest 1000 events of the whole
    store: who falls behind that gets one :class:`Relisted` in their place. Nothing is
    fetched before it is asked for, so nothing piles up here.

    Hidden keys below the key are left out, as a member that has to look nothing up
    leaves them out.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        *,
        asker: Asker,
        clock: IReactorTime,
        key: Text,
        recursive: bool,
        after_index: int | None,
        silent_seconds: float,
    ) -> None:
        self._asker = asker
        self._clock = clock
        self._key = key
        self._recursive = recursive
        self._index = after_index
        self._current_seconds: float | None = None
        self._silent_seconds = silent_seconds
        self._closed = False
        self._waiting: Deferred[Change] | None = None
        self._running: set[Deferred[Any]] = set()  # changes, or where it begins
        self._failures = 0
        self._soundness = Soundness(asker, clock)

    @property
    def index(self) -> int | None:
        """All events up to this one were delivered; None: it has not begun."""
        return self._index

    @property
    def current_seconds(self) -> float | None:
        """
        When it was last known that nothing newer than ``index`` had happened, by the
        client's clock; None: never yet. While all is well somebody waits and that is at
        most twice ``silent_seconds`` ago.
        """
        return self._current_seconds

    def start(self) -> Deferred[int]:
        """
        Settle from where on events are delivered; fires with the index before them.

        A watch that was given no index begins here, or with the first change asked for.

        :raises KeysError: the server refuses, :class:`Unauthorized` for instance.
        :raises Closed: the watch or its client was closed.
        """
        return self._until_closed(self._start())

    def next(self) -> Deferred[Change]:
        """
        The next change; one at a time.

        :raises Closed: the watch or its client was closed.
        :raises KeysError: the server refuses.
        :raises TooMany: more watches wait than the client's limit.
        """
        if self._waiting is not None:
            raise RuntimeError("somebody waits for the next change already")
        self._waiting = waiting = self._until_closed(self._next())

        def over(result: T) -> T:
            self._waiting = None
            return result

        return waiting.addBoth(over)

    def each(
        self, callback: Callable[[Change], Awaitable[object] | None]
    ) -> Deferred[None]:
        """
        Call back for each change until the watch is closed, then fire.

        What the callback returns, if anything, is awaited before the next change. An
        error of the callback, or of the watch, ends it: the Deferred fails with it.
        """
        return Deferred.fromCoroutine(self._each(callback))

    def close(self) -> None:
        """Stop; who waits for a change is told so, a loop over the watch ends."""
        self._closed = True
        for running in tuple(self._running):
            running.cancel()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Change:
        if self._closed:
            raise StopAsyncIteration
        try:
            return await self.next()
        except Closed:
            raise StopAsyncIteration from None

    async def _each(
        self, callback: Callable[[Change], Awaitable[object] | None]
    ) -> None:
        async for change in self:
            done = callback(change)
            if done is not None:
                await done

    # What a coroutine is sent is nobody's business.
    def _until_closed(self, asked: Coroutine[Any, Any, T]) -> Deferred[T]:
        """Whose waiting a close ends, and says so."""
        running = Deferred.fromCoroutine(asked)
        self._running.add(running)

        def over(result: T | Failure) -> T | Failure:
            self._running.discard(running)
            if isinstance(result, Failure) and result.check(CancelledError):
                self._check_open()
            return result

        return running.addBoth(over)

    def _check_open(self) -> None:
        if self._closed or self._asker.closed:
            raise Closed("the watch is closed")

    async def _start(self) -> int:
        while self._index is None:
            self._check_open()
            try:
                _, self._index = await self._listed(quorum=False)
            except BadAnswer:
                raise
            except (NoAnswer, Unknown):
                await self._later()
        return self._index

    async def _next(self) -> Change:
        while True:
            change = await self._once(await self._start())
            if change is not None:
                return change

    async def _once(self, index: int) -> Change | None:
        """What one question brings; None: it has to be asked again."""
        self._check_open()
        request = watching(self._key, recursive=self._recursive, index=index + 1)
        accepted, endpoint = 0, self._asker.endpoints[0]
        try:
            answer = await self._patiently(request, endpoint)
            event, accepted = event_of(answer), index_of(answer)
        except EventIndexCleared:
            return await self._relisted()
        except BadAnswer:
            raise
        except (NoAnswer, Unknown, WatcherCleared):
            event = None
            self._soundness.doubt()
        if event is None or event.index <= index:
            # Nothing, or what was delivered: the member let go of the watch.
            await self._later()
            return None
        self._failures = 0
        self._index = event.index
        if 0 < accepted <= event.index:
            # It did not come from a history in which there may be more.
            self._is_known_to(endpoint)
        return event if concerns(self._key, event.node.key) else None

    async def _relisted(self) -> Relisted | None:
        before_seconds = self._current_seconds
        try:
            node, index = await self._listed(quorum=True)
        except BadAnswer:
            raise
        except (NoAnswer, Unknown):
            await self._later()
            return None
        self._failures = 0
        self._index = index
        if before_seconds is None:
            return Relisted(node, index)
        return Relisted(node, index, self._clock.seconds() - before_seconds)

    async def _listed(self, *, quorum: bool) -> tuple[Node | None, int]:
        """What is there, and as of which index."""
        found: tuple[Node | None, int]
        begun_seconds = self._clock.seconds()
        fields: dict[str, bool] = {"quorum": True} if quorum else {}
        if self._recursive and quorum:
            fields |= {"recursive": True, "sorted": True}
        try:
            answer = await self._asker.ask(reading(self._key, **fields))
            response = response_of(answer)
            found = response.node, response.etcd_index
        except KeyNotFound as absent:
            found = None, absent.index
        if quorum:
            self._current_seconds = begun_seconds
        return found

    async def _patiently(self, request: Request, endpoint: str) -> Answer:
        """
        An answer at any time, unless the member that owes it is gone.

        A connection whose other end vanished is as silent as one on which nothing
        happens, and so is a member that hears nothing of the others. So it is asked now
        and then whether it could serve a write.
        """
        gone: list[Attempt] = []
        if self._soundness.is_due(self._silent_seconds / 2):
            # Who is told often is never silent, and has to look all the same.
            gone.extend(await self._soundness.look(endpoint))
        if gone:
            raise NoAnswer(gone)
        asked = self._asker.patiently(request, endpoint)

        async def look() -> None:
            probes = 0
            while not gone:
                await deferLater(self._clock, self._silent_seconds)
                gone.extend(await self._soundness.look(endpoint))
                self._is_known_to(endpoint)
                probes += 1
                if probes == _PROBES_MAX:
                    gone.append(Attempt(endpoint, "it was silent for long"))
            asked.cancel()

        looking = Deferred.fromCoroutine(look())
        looking.addErrback(lambda failure: failure.trap(CancelledError, ClientError))

        def over(result: T) -> T:
            # Not in a finally, which the garbage collector may run, too.
            looking.cancel()
            return result

        try:
            return await asked.addBoth(over)
        except CancelledError:
            if gone:
                raise NoAnswer(gone) from None
            raise

    def _is_known_to(self, endpoint: str) -> None:
        """
        A member tells of nothing more, live: so until it was last found to be sound,
        nothing more had happened. One that was not may lag behind by any time.
        """
        seconds = self._soundness.since(endpoint)
        if seconds is not None:
            self._failures = 0
            self._current_seconds = max(self._current_seconds or seconds, seconds)

    async def _later(self) -> None:
        seconds = AGAIN_SECONDS[min(self._failures, len(AGAIN_SECONDS) - 1)]
        self._failures += 1
        await deferLater(self._clock, seconds)
