"""Claims on the items of a queue: a key of one's own beside each, kept alive."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import (
    BadAnswer,
    ClientError,
    CompareFailed,
    KeyNotFound,
    NoAnswer,
    Unknown,
)
from kvd.client.recipes.held import Held, Place
from kvd.client.recipes.items import Entry, Item, Overtaken
from kvd.client.recipes.kept import AGAIN_SECONDS, Gone, Kept, Times
from kvd.client.recipes.register import ABSENT, Register, Seen, Unclear
from kvd.client.values import Node


class Claim(Held):
    """
    An item that is one's own to work on, for as long as the claim is not lost.

    ``release()`` gives it back: it is the next one that is taken, unless older ones are.

    :ivar item: with the number of attempts, this one among them.
    :ivar token: the claim's; each later claim on the same item has a greater one.

    .. versionadded:: 0.1
    """

    # Any, Any: what goes into a coroutine from outside, nobody looks at.
    def __init__(
        self,
        token: int,
        item: Item,
        place: Place,
        remove: Callable[[Callable[[], bool]], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(token, place)
        self._remove = remove
        self.item = item

    def done(self) -> Deferred[None]:
        """
        It was worked on; fires when it is out of the queue, and will not come again.

        Tried as long as the claim is held, and once if it is not.

        :raises Overtaken: the claim was lost; somebody else works on it, too.
        :raises Unknown: nobody can say, and the claim was lost; it may come again.
        :raises NoAnswer: the claim was lost; it will come again.
        """
        return Deferred.fromCoroutine(self._done())

    async def _done(self) -> None:
        try:
            await self._remove(lambda: self.is_held)
        except Overtaken:
            self.end("somebody else claimed it")
            raise
        else:
            self.end("it was done")
        finally:
            if not self.is_held:
                await self._place.withdraw()


class Claiming:
    """
    One try to claim one item. ::

        claim --> count the attempt --> held --> remove --> withdraw
          `- somebody's    `- there is no item any more, or too many attempts: withdraw

    First comes the claim's key, which one can make; then the item says whose claim is
    the latest, so whoever lost his cannot remove an item that another one works on.

    :param path: of the queue.
    :param node: the item's, as it was seen.
    :param mark: the value of the claim's key, that nobody else makes.
    :param attempts_max: after so many, the item is set aside; None: never.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        node: Node,
        *,
        times: Times,
        mark: str,
        attempts_max: int | None,
    ) -> None:
        self._client = client
        self._path = path
        self._node = node
        self._times = times
        self._mark = mark
        self._attempts_max = attempts_max
        self._kept = Kept(client, mark, times, self._lose)
        self._why = ""
        self._claim: Claim | None = None

    async def run(self) -> Claim | None:
        """
        Claim it; None: it is somebody else's, or there is nothing to claim.

        :raises Gone: the claim was lost meanwhile.
        """
        try:
            return await self._run()
        except CancelledError:
            Deferred.fromCoroutine(self._kept.withdraw())
            raise
        except ClientError:
            await self._kept.withdraw()
            raise

    async def _run(self) -> Claim | None:
        key = f"{self._path}/claims/{self._node.name}"
        begun_seconds = self._client.clock.seconds()
        self._kept.suspect(key)
        try:
            made = await Register(self._client, key).change(
                ABSENT, self._mark, ttl=self._times.ttl
            )
        except Unclear:
            made = None
        if made is None:
            return None
        token = made.created_index
        self._kept.begin(key, made.index, begun_seconds)
        counted = await self._counted(token)
        if counted is None:
            await self._kept.withdraw()
            return None
        entry, index, is_attempt = counted
        if not is_attempt:
            await self._set_aside(entry, index)
            return None

        async def remove(goes_on: Callable[[], bool]) -> None:
            await self._removed(index, goes_on)

        item = entry.item(self._node.name)
        self._claim = Claim(token, item, self._kept, remove)
        return self._claim

    def _lose(self, why: str) -> None:
        self._why = why
        if self._claim is not None:
            self._claim.end(why)

    async def _counted(self, token: int) -> tuple[Entry, int, bool] | None:
        """
        Say in the item whose claim is the latest; None: there is no item.

        Then what it says, its index, and whether that was one more attempt: of one that
        had all it may have, it is not.

        :raises Gone: it is not this one, or this one was lost.
        """
        node = self._node
        register = Register(self._client, node.key)
        seen = Seen(node.value, node.modified_index, node.created_index, 0)
        while seen.value is not None:
            before = Entry.read(seen.value)
            # One that is no older than the item itself is of another cluster.
            if token < before.token < seen.index:
                raise Gone("somebody else claimed it")
            is_attempt = (
                self._attempts_max is None or before.attempts < self._attempts_max
            )
            after = before.claimed(token, counts=is_attempt)
            try:
                made = await register.change(seen, after.value)
            except Unclear:
                made = None
            self._kept.check()
            if self._why:
                raise Gone(self._why)
            if made is not None:
                return after, made.index, is_attempt
            # Somebody whose claim was lost before this one, or it is done.
            seen = await register.read()
        return None

    async def _set_aside(self, entry: Entry, index: int) -> None:
        """
        It is kept where nobody takes it.

        :raises Gone: the claim was lost; whoever has it next will do so.
        """
        register = Register(self._client, f"{self._path}/failed/{self._node.name}")
        try:
            await register.change(ABSENT, entry.value)
            await self._removed(index, lambda: not self._why)
        except BadAnswer:
            raise
        except (Overtaken, NoAnswer, Unknown):
            raise Gone("it was lost while it was set aside") from None
        await self._kept.withdraw()

    async def _removed(self, index: int, goes_on: Callable[[], bool]) -> None:
        """Remove the item if this claim is the latest on it; done if it is gone."""
        doubt: Unknown | None = None
        while True:
            try:
                await self._client.compare_and_delete(self._node.key, prev_index=index)
            except KeyNotFound:
                return
            except CompareFailed:
                raise Overtaken("somebody else has claimed it since") from None
            except BadAnswer:
                raise
            except (NoAnswer, Unknown) as problem:
                if isinstance(problem, Unknown):
                    doubt = problem
                if not goes_on():
                    raise (doubt or problem) from None
                await deferLater(self._client.clock, AGAIN_SECONDS)
            else:
                return
