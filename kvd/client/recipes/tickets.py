"""Places in a queue: a key of one's own in a directory, kept alive; the oldest holds."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import (
    BadAnswer,
    ClientError,
    CompareFailed,
    KeyNotFound,
    NoAnswer,
    NotAFile,
    Unknown,
)
from kvd.client.values import Event, Node

AGAIN_SECONDS: Final = 0.2
"""Between a request that failed and the next one like it."""


class Gone(ClientError):
    """The key of a ticket is no longer there, or nobody can say that it is."""


class Ticket:
    """
    One place in the queue of a directory.

    ::

        new -- enter --> waiting -- turn --> held -- withdraw --> over
                            `------ lost, withdraw -----------------^

    The key has a value that nobody else uses, so that a creation whose answer was lost
    can be found, and nothing is refreshed or removed that is somebody else's.

    :param value: of the key.
    :param ttl: seconds that the key outlives its last refresh.
    :param margin_seconds: that it is believed to be there for a shorter time than that.
    :param lost: called once, with the reason, when it can no longer be relied on.
    """

    def __init__(
        self,
        client: Client,
        folder: str,
        *,
        value: str,
        ttl: int,
        margin_seconds: float,
        lost: Callable[[str], None],
    ) -> None:
        self._client = client
        self._clock = client.clock
        self._folder = folder
        self._value = value
        self._ttl = ttl
        self._margin_seconds = margin_seconds
        self._lost = lost
        self._key = ""
        self._until_seconds = 0.0
        self._deadline: IDelayedCall | None = None
        self._keeping: Deferred[None] | None = None
        self.token = 0

    async def enter(self) -> None:
        """
        Take the place.

        :raises Gone: whether there is one is not known, and it would be unused; should
            it come to be, it runs out by itself.
        """
        begun = self._clock.seconds()
        try:
            made = await self._client.create_in_order(
                self._folder, self._value, ttl=self._ttl
            )
        except BadAnswer:
            raise
        except Unknown:
            node = next(
                (each for each in await self._all() if self._is_own(each)), None
            )
            if node is None:
                raise Gone("nobody knows whether it was created") from None
        else:
            node = made.node
        self._key, self.token = node.key, node.created_index
        self._kept(begun)
        self._keeping = Deferred.fromCoroutine(self._keep())
        self._keeping.addErrback(lambda failure: failure.trap(CancelledError))

    async def turn(self) -> None:
        """
        Wait until nobody is before it.

        :raises Gone: it is not there any more.
        """
        while True:
            try:
                listed = await self._client.get(self._folder, quorum=True)
            except KeyNotFound:
                raise Gone("its directory is gone") from None
            except BadAnswer:
                raise
            except (NoAnswer, Unknown):
                await deferLater(self._clock, AGAIN_SECONDS)
                continue
            nodes = [each for each in listed.node.nodes if not each.dir]
            if not any(map(self._is_own, nodes)):
                raise Gone("its key is gone")
            before = [each for each in nodes if each.created_index < self.token]
            if not before:
                return
            last = max(before, key=lambda each: each.created_index)
            await self._removed(last, listed.etcd_index)

    async def withdraw(self) -> None:
        """Give the place up; returns at the latest when it has run out by itself."""
        self._stop()
        try:
            await self._remove()
        except ClientError:
            # Nobody may remove it any more, or the client is closed: it runs out.
            return

    def _is_own(self, node: Node) -> bool:
        return node.value == self._value

    async def _removed(self, node: Node, after_index: int) -> None:
        """Wait until this key is removed, or at least is not what it was."""
        watch = self._client.watch(node.key, after_index=after_index)
        while True:
            change = await watch.next()
            if not isinstance(change, Event) or change.removed:
                return
            if change.action == "set":
                return

    async def _all(self) -> tuple[Node, ...]:
        while True:
            try:
                return (await self._client.get(self._folder, quorum=True)).node.nodes
            except KeyNotFound:
                return ()
            except BadAnswer:
                raise
            except (NoAnswer, Unknown):
                await deferLater(self._clock, AGAIN_SECONDS)

    async def _keep(self) -> None:
        """Refresh until the place is given up or lost."""
        seconds = self._ttl / 3
        while True:
            await deferLater(self._clock, seconds)
            begun = self._clock.seconds()
            try:
                # It may be sent twice: what it does, it does only to our own key.
                await self._client.refresh(self._key, self._ttl, prev_value=self._value)
            except (KeyNotFound, CompareFailed, NotAFile):
                self._keeping = None  # that is where we are
                self._lose("its key is gone")
                return
            except ClientError:
                seconds = AGAIN_SECONDS
            else:
                seconds = self._ttl / 3
                self._kept(begun)

    def _kept(self, begun_seconds: float) -> None:
        """The servers have it for ``ttl`` seconds, and that from later on than this."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._until_seconds = begun_seconds + self._ttl
        left = self._until_seconds - self._margin_seconds - self._clock.seconds()
        self._deadline = self._clock.callLater(
            max(0.0, left), self._lose, "it could not be kept alive"
        )

    def _lose(self, why: str) -> None:
        self._stop()
        self._lost(why)

    def _stop(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()

    async def _remove(self) -> None:
        if not self._key:
            own = [each for each in await self._all() if self._is_own(each)]
            if not own:
                return
            self._key = own[0].key
            self._until_seconds = self._clock.seconds() + self._ttl
        while True:
            try:
                await self._client.compare_and_delete(self._key, prev_value=self._value)
            except (NoAnswer, Unknown):
                if self._clock.seconds() >= self._until_seconds:
                    return
                await deferLater(self._clock, AGAIN_SECONDS)
            except (KeyNotFound, CompareFailed, NotAFile):
                return
            else:
                return


class Held:
    """
    Somebody's turn, for as long as it is not lost and not released.

    :ivar token: the key's created index; each holder's is greater than all before it,
        so what is guarded can refuse whoever comes with a smaller one than it has seen.

    .. versionadded:: 0.1
    """

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._why: str | None = None
        self._listeners: list[Deferred[str]] = []
        self.token = ticket.token

    @property
    def is_held(self) -> bool:
        """Whether it is still held, as far as can be known here."""
        return self._why is None

    def when_lost(self) -> Deferred[str]:
        """Fires with the reason when it is no longer held, or when it was released."""
        heard: Deferred[str] = Deferred()
        if self._why is not None:
            heard.callback(self._why)
        else:
            self._listeners.append(heard)
        return heard

    def release(self) -> Deferred[None]:
        """Let the next one have it; fires when the key is gone. Never fails."""
        self.end("it was released")
        return Deferred.fromCoroutine(self._ticket.withdraw())

    def end(self, why: str) -> None:
        """It is over; who listens is told so, once."""
        if self._why is not None:
            return
        self._why = why
        listeners, self._listeners = self._listeners, []
        for heard in listeners:
            if not heard.called:
                heard.callback(why)
