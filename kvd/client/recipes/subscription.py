"""One who hears what is published in a topic."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from kvd.client.client import Client
from kvd.client.errors import (
    BadAnswer,
    ClientError,
    Closed,
    CompareFailed,
    KeyExists,
    KeyNotFound,
    NoAnswer,
    Unknown,
)
from kvd.client.recipes.kept import AGAIN_SECONDS
from kvd.client.recipes.messages import (
    Message,
    Missed,
    Retention,
    listed,
    message_of,
    messages_of,
)
from kvd.client.watching import Change, Relisted, Watch

Heard: TypeAlias = Message | Missed
T = TypeVar("T")


class PositionLost(ClientError):
    """
    The position of a durable subscription is not what it saved: another one with its
    name goes on, or somebody removed it. Or it is none that this cluster has come to.

    .. versionadded:: 0.1
    """


class Subscription:
    """
    The messages of a topic from some point on; made by :meth:`Topic.subscribe`.

    ::

        async for item in subscription:
            match item:
                case Message(): ...
                case Missed(): ...

    Nothing is fetched before it is asked for; only after history was lost, what is
    retained is read at once.

    .. versionadded:: 0.1
    """

    def __init__(
        self, client: Client, path: str, retention: Retention, after: int | None
    ) -> None:
        self._client = client
        self._path = path
        self._retention = retention
        self._after = after
        self._begun_seconds: float | None = None
        self._watch: Watch | None = None
        self._seen = 0
        self._delivered = 0
        self._ready: deque[Heard] = deque()
        self._waiting: Deferred[Any] | None = None  # an item, or where it begins
        self._closed = False

    @property
    def position(self) -> int:
        """Everything up to this offset was delivered, or was missed and said to be."""
        return self._delivered if self._ready else self._seen

    def start(self) -> Deferred[int]:
        """
        Settle from where on messages are delivered; fires with the offset before them.

        A subscription begins here, or with the first message that is asked for.
        """
        return self._alone(self._start())

    def next(self) -> Deferred[Heard]:
        """
        The next message, or that some were missed; one at a time.

        :raises Closed: the subscription or its client was closed.
        :raises KeysError: the server refuses.
        """
        return self._alone(self._next())

    def close(self) -> None:
        """Stop; who waits for a message is told so, a loop over it ends."""
        self._closed = True
        if self._watch is not None:
            self._watch.close()
        if self._waiting is not None:
            self._waiting.cancel()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Heard:
        if self._closed:
            raise StopAsyncIteration
        try:
            return await self.next()
        except Closed:
            raise StopAsyncIteration from None

    # What a coroutine is sent is nobody's business.
    def _alone(self, asked: Coroutine[Any, Any, T]) -> Deferred[T]:
        """One at a time, until it is closed."""
        if self._waiting is not None:
            asked.close()
            raise RuntimeError("somebody waits for the subscription already")
        self._waiting = waiting = Deferred.fromCoroutine(asked)

        def over(result: T | Failure) -> T | Failure:
            self._waiting = None
            if self._closed and isinstance(result, Failure):
                result.trap(CancelledError, Closed)
                raise Closed("the subscription is closed")
            return result

        return cast("Deferred[T]", waiting.addBoth(over))

    async def _next(self) -> Heard:
        if self._closed:
            raise Closed("the subscription is closed")
        watch = self._watch or await self._begun()
        while not self._ready:
            self._take(await watch.next())
        item = self._ready.popleft()
        self._delivered = item.position
        return item

    async def _start(self) -> int:
        if self._watch is None:
            await self._begun()
        return self.position

    async def _begun(self) -> Watch:
        """Find out where it begins."""
        if self._closed:
            raise Closed("the subscription is closed")
        position = await self._first()
        begun_seconds = self._client.clock.seconds()
        if position == 0:
            directory, position = await listed(self._client, self._path)
            self._ready.extend(messages_of(directory))
            self._begun_seconds = begun_seconds
        else:
            self._delivered = position
        self._seen = position
        self._watch = self._client.watch(
            self._path, recursive=True, after_index=position
        )
        return self._watch

    async def _first(self) -> int:
        """After which index it begins; 0: with all that are retained."""
        if self._after is not None:
            return self._after
        # A key that nobody makes: the answer is the index, and no messages.
        begun_seconds = self._client.clock.seconds()
        _, index = await listed(self._client, f"{self._path}/_now")
        self._begun_seconds = begun_seconds
        return index

    def _take(self, change: Change) -> None:
        if isinstance(change, Relisted):
            self._take_all(change)
        elif self._is_message(change.node.key) and not change.removed:
            node = change.node
            # Written once, and not changed: so it is also in a list.
            if not node.dir and node.created_index == node.modified_index:
                self._ready.append(message_of(node))
        self._seen = change.index

    def _take_all(self, relisted: Relisted) -> None:
        retained = messages_of(relisted.node)
        new = [each for each in retained if each.offset > self._seen]
        unseen_seconds = relisted.unwatched_seconds
        if unseen_seconds is None and self._begun_seconds is not None:
            unseen_seconds = self._client.clock.seconds() - self._begun_seconds
        if self._retention.may_have_taken(
            relisted.node, position=self._seen, unseen_seconds=unseen_seconds
        ):
            before = new[0].offset if new else relisted.index + 1
            self._ready.append(Missed(self._seen, before))
        self._ready.extend(new)

    def _is_message(self, key: str) -> bool:
        return key.rpartition("/")[0] == self._path.rstrip("/")


class DurableSubscription(Subscription):
    """
    A subscription whose position is kept in the cluster; made by :meth:`Topic.durable`.

    ::

        async for item in subscription:
            ...  # what is to be done about it
            await subscription.done(item)

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        path: str,
        retention: Retention,
        *,
        key: str,
        oldest: bool,
    ) -> None:
        super().__init__(client, path, retention, None)
        self._key = key
        self._oldest = oldest
        self._saved = 0
        self._saving = DeferredLock()

    @property
    def saved(self) -> int:
        """Up to here everything is done, as the cluster knows."""
        return self._saved

    def done(self, item: Heard) -> Deferred[None]:
        """
        Save that this and all before it need not come again, through failures.

        It costs a write, so it may be said of every hundredth item only.

        :raises PositionLost: somebody else saved another position.
        :raises ClientError: what waiting does not help against.
        """

        def save() -> Deferred[None]:
            return Deferred.fromCoroutine(self._save(item.position))

        return self._saving.run(save)

    async def _first(self) -> int:
        while True:
            begun_seconds = self._client.clock.seconds()
            try:
                found = await self._client.get(self._key, quorum=True)
            except KeyNotFound as absent:
                position = 0 if self._oldest else absent.index
                if not await self._is_created(position):
                    continue
                self._begun_seconds = begun_seconds
            except BadAnswer:
                raise
            except (NoAnswer, Unknown):
                await deferLater(self._client.clock, AGAIN_SECONDS)
                continue
            else:
                position = _number(found.node.value)
                if position > found.etcd_index:
                    raise PositionLost(f"{position} is not of this cluster")
            self._saved = position
            return position

    async def _is_created(self, position: int) -> bool:
        """Whether the position is saved for the first time."""
        try:
            await self._client.create(self._key, str(position))
        except BadAnswer:
            raise
        except KeyExists:
            return False
        except (NoAnswer, Unknown):
            await deferLater(self._client.clock, AGAIN_SECONDS)
            return False
        return True

    async def _save(self, position: int) -> None:
        while position > self._saved:
            try:
                await self._client.compare_and_swap(
                    self._key, str(position), prev_value=str(self._saved)
                )
            except (CompareFailed, KeyNotFound):
                await self._check(position)
            except BadAnswer:
                raise
            except (NoAnswer, Unknown):
                # A second time does nothing that the first has not done.
                await deferLater(self._client.clock, AGAIN_SECONDS)
            else:
                self._saved = position

    async def _check(self, position: int) -> None:
        """Whether it was this one that saved it, and did not hear of it."""
        node, _ = await listed(self._client, self._key)
        found = None if node is None else node.value
        if found == str(position):
            self._saved = position
        elif found != str(self._saved):
            raise PositionLost(f"{self._key} is {found}, and not {self._saved}")


def _number(value: str | None) -> int:
    if value is None or not value.isdecimal():
        raise PositionLost(f"{value!r} is no position")
    return int(value)
