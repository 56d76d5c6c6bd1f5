"""Work that many put and many take, each piece to be done at least once."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, ClientError, KeyNotFound, Unknown
from kvd.client.recipes.claims import Claim, Claiming
from kvd.client.recipes.followed import Followed
from kvd.client.recipes.items import Entry, Full, Item
from kvd.client.recipes.kept import AGAIN_SECONDS, Gone, Times, unique_text
from kvd.client.recipes.looking import look
from kvd.client.values import Node


class Queue:
    """
    A queue: items in the order in which they were put, each claimed by one at a time.

    What is promised:

    * An item whose ``put()`` has fired stays until somebody's ``done()``, or until it was
      claimed ``attempts_max`` times and is set aside. So it is worked on at least once;
      twice if a claim was lost, or if whoever did it died before he could say so.
    * Nobody else can claim an item while its claim is held; whoever loses a claim while
      he runs is told before. As with a :class:`Lock`, members' clocks may differ by less
      than ``margin_seconds``, and one that was stopped cannot be told in time: then his
      ``done()`` fails with :class:`Overtaken` if another one has claimed it. What an item
      changes elsewhere can compare ``claim.token``.
    * First in, first out: in the order of the cluster's log no item is claimed before
      all that were put earlier have been. One that comes again, because its claim was
      released or ran out, is taken before all that were put later, by whoever has heard
      of it.
    * A put that fails with :class:`NoAnswer` or :class:`Full` put nothing; one with
      :class:`Unknown` may have, and whoever puts again may have put twice.

    ::

        await queue.put("sweep")
        claim = await queue.take()
        ...  # claim.item.text, claim.item.attempts, claim.when_lost()
        await claim.done()

    :param path: a directory of its own.
    :param ttl: seconds after which a dead one's claim runs out.
    :param margin_seconds: None: a tenth of ``ttl``.
    :param size_max: items, those set aside among them; a put looks before it puts, so
        there can be as many more as put at one time. None: no limit, and no look.
    :param attempts_max: claims of one item, after which it is set aside. None: no limit.
    :param patience_seconds: how long a put whose answer was lost is looked for.
    :param unique: makes texts that nobody else makes, without a space.
    :raises ValueError: times that leave nothing to hold, or limits below one.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        ttl: int = 30,
        margin_seconds: float | None = None,
        size_max: int | None = 1000,
        attempts_max: int | None = None,
        patience_seconds: float = 10.0,
        unique: Callable[[], str] = unique_text,
    ) -> None:
        for limit in (size_max, attempts_max):
            if limit is not None and limit < 1:
                raise ValueError("a limit has to be at least one")
        self._client = client
        self._path = "/" + "/".join(each for each in path.split("/") if each)
        self._times = Times.of(ttl, margin_seconds)
        self._size_max = size_max
        self._attempts_max = attempts_max
        self._patience_seconds = patience_seconds
        self._unique = unique

    def put(self, text: str) -> Deferred[str]:
        """
        Put an item at the end; fires with its name.

        :raises Full: there are ``size_max`` already.
        :raises NoAnswer: nobody answers; nothing was put.
        :raises Unknown: it is not in the queue now: it was not put, or will be yet, or it
            was done already.
        """
        return Deferred.fromCoroutine(self._put(text))

    def take(self) -> Deferred[Claim]:
        """
        Wait for an item and claim it, through failures; cancelling gives it up.

        :raises ClientError: what waiting does not help against: a :class:`KeysError`,
            :class:`TooMany`, :class:`Closed`.
        """
        return Deferred.fromCoroutine(self._take())

    def items(self) -> Deferred[tuple[Item, ...]]:
        """All that are not done, oldest first, whether they are claimed or not."""
        return Deferred.fromCoroutine(self._items("items"))

    def failed(self) -> Deferred[tuple[Item, ...]]:
        """Those that were set aside, oldest first."""
        return Deferred.fromCoroutine(self._items("failed"))

    def discard(self, item: Item) -> Deferred[None]:
        """
        Forget one that was set aside; fires when it is gone.

        :raises Unknown: it may be.
        """
        return Deferred.fromCoroutine(self._discard(item))

    async def _put(self, text: str) -> str:
        if self._size_max is not None and await self._size() >= self._size_max:
            raise Full(f"there are {self._size_max} items already")
        entry = Entry(0, 0, self._unique(), text)
        try:
            made = await self._client.create_in_order(self._in("items"), entry.value)
        except BadAnswer:
            raise
        except Unknown:
            name = await self._found(entry.mark)
            if name is None:
                raise
            return name
        return made.node.name

    async def _size(self) -> int:
        try:
            listed = await self._client.get(self._path, recursive=True, quorum=True)
        except KeyNotFound:
            return 0
        waiting = (self._in("items"), self._in("failed"))
        return sum(len(each.nodes) for each in listed.node.nodes if each.key in waiting)

    async def _found(self, mark: str) -> str | None:
        """The name of the item that was put so, if it is there."""
        until = self._client.clock.seconds() + self._patience_seconds
        try:
            listed = await look(
                self._client, self._path, recursive=True, until_seconds=until
            )
        except ClientError:
            # Whatever it is, it does not say that nothing was put.
            return None
        for node in listed.node.walk():
            if node.value is not None and Entry.read(node.value).mark == mark:
                return node.name
        return None

    async def _take(self) -> Claim:
        missed = ""
        while True:
            try:
                found = await self._first()
            except Gone:
                await deferLater(self._client.clock, AGAIN_SECONDS)
                continue
            if isinstance(found, Claim):
                return found
            if found == missed:  # it looks free, and cannot be had
                await deferLater(self._client.clock, AGAIN_SECONDS)
            missed = found

    async def _first(self) -> Claim | str:
        """
        The oldest item that is free, or its name if somebody was faster.

        Then what is known is old, and to try the next one of it would be in vain, too:
        one who lags behind has to look anew.
        """
        followed = Followed(self._client, self._path, deep=True)
        await followed.begin()
        while (node := self._free(followed.nodes)) is None:
            await followed.change()
        claiming = Claiming(
            self._client,
            self._path,
            node,
            times=self._times,
            mark=self._unique(),
            attempts_max=self._attempts_max,
        )
        return await claiming.run() or node.name

    def _free(self, nodes: dict[str, Node]) -> Node | None:
        """The oldest item that nobody is known to have claimed."""
        items, claims = self._in("items") + "/", self._in("claims") + "/"
        free = (
            node
            for key, node in nodes.items()
            if key.startswith(items) and claims + node.name not in nodes
        )
        return min(free, key=lambda node: node.created_index, default=None)

    async def _items(self, where: str) -> tuple[Item, ...]:
        try:
            listed = await self._client.get(self._in(where), quorum=True)
        except KeyNotFound:
            return ()
        nodes = [each for each in listed.node.nodes if each.value is not None]
        nodes.sort(key=lambda node: node.created_index)
        return tuple(Entry.read(each.value or "").item(each.name) for each in nodes)

    async def _discard(self, item: Item) -> None:
        try:
            await self._client.delete(f"{self._in('failed')}/{item.name}")
        except KeyNotFound:
            return

    def _in(self, folder: str) -> str:
        return f"{self._path}/{folder}"
