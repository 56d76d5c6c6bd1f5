"""Publish and subscribe: what one says, many hear, also those who come back later."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, ClientError, KeyNotFound, Unknown
from kvd.client.recipes.instances import name_of
from kvd.client.recipes.kept import unique_text
from kvd.client.recipes.messages import Retention, listed, written
from kvd.client.recipes.subscription import DurableSubscription, Subscription


class Topic:
    """
    A directory of messages in the order in which they were published.

    What is promised:

    * A message whose ``publish`` has fired is in the topic once, after all that were in
      it before, until its retention is over. If ``publish`` raises :class:`Unknown`, it
      is there once, or will be, or never.
    * A subscription delivers messages in the order of their offsets, none twice, and
      none is left out that is still retained when the subscription gets to it, whichever
      members answer and however often connections break.
    * Members remember the newest 1000 events of the whole store. A subscription that
      falls behind them reads what is retained, and goes on after that. If retention can
      have removed messages that it did not see, it says so by :class:`Missed` in their
      place. It never fails to say so, but may say so when nothing was published that
      long.
    * A durable subscription goes on after what was ``done``; what was delivered and not
      done comes again, with the same offset: each message at least once.

    For that, all who use a topic have to give the same retention, nobody else may remove
    messages, clocks may differ by a tenth of ``retain_seconds``, and the reactor's is not
    set back. All messages that are retained have to fit into one answer
    (``Limits.body_bytes_max``).

    ::

        topic = Topic(client, "/topics/orders", retain_seconds=3600)
        await topic.publish("one more")
        async for item in topic.subscribe(after=0):
            match item:
                case Message(): ...
                case Missed(): ...

    :param path: a directory of the topic's own.
    :param retain_seconds: that a message is kept at least; None: the number decides.
    :param retain_max: of the newest messages are kept at least; the oldest of more are
        removed by those who publish, each after every tenth part of it. None: the time
        decides.
    :param unique: makes texts that nobody else makes.
    :raises ValueError: neither a time nor a number.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        retain_seconds: int | None = 3600,
        retain_max: int | None = None,
        unique: Callable[[], str] = unique_text,
    ) -> None:
        self._client = client
        self._path = "/" + "/".join(each for each in path.split("/") if each)
        self._retention = Retention(retain_seconds, retain_max)
        self._unique = unique
        self._trimming = DeferredLock()
        self._untrimmed: int | None = None

    def publish(self, text: str) -> Deferred[int]:
        """
        Add a message; fires with its offset once it is there.

        Who wants an order among several waits for one before the next. If too many are
        retained, it fires when the oldest are gone, too.

        :raises NoAnswer: nothing was published.
        :raises Unknown: it is not there, and may yet come; to publish it again may make
            two of it.
        :raises ClientError: what the server or a limit refuses.
        """
        return Deferred.fromCoroutine(self._publish(text))

    def subscribe(self, *, after: int | None = None) -> Subscription:
        """
        Hear what is published.

        :param after: an offset, after which the first message comes; 0: with all that
            are retained; None: what is published after it has started.
        :raises ValueError: there is nothing before the beginning.
        """
        if after is not None and after < 0:
            raise ValueError("an offset is a positive number, or 0")
        return Subscription(self._client, self._path, self._retention, after)

    def durable(self, name: str, *, oldest: bool = False) -> DurableSubscription:
        """
        Hear what was published since this name had done the last message.

        One subscription with that name at a time: a :class:`Lock` sees to it.

        :param oldest: if there was none by that name yet, begin with all messages that
            are retained, and not with what is published from now on.
        :raises ValueError: a name that can be no key.
        """
        return DurableSubscription(
            self._client,
            self._path,
            self._retention,
            key=self._position_key(name),
            oldest=oldest,
        )

    def forget(self, name: str) -> Deferred[None]:
        """
        Drop the position that a durable subscription has saved, if there is one.

        :raises ClientError: whatever a deletion raises.
        """
        return Deferred.fromCoroutine(self._forget(self._position_key(name)))

    def _position_key(self, name: str) -> str:
        return f"{self._path}/_subscribers/{name_of(name)}"

    async def _forget(self, key: str) -> None:
        try:
            await self._client.delete(key)
        except KeyNotFound:
            return

    async def _publish(self, text: str) -> int:
        value = written(text, self._unique())
        try:
            made = await self._client.create_in_order(
                self._path, value, ttl=self._retention.seconds
            )
        except BadAnswer:
            raise
        except Unknown:
            offset = await self._found(value)
            if offset is None:
                raise
        else:
            offset = made.node.created_index
        await self._trim_if_due()
        return offset

    async def _found(self, value: str) -> int | None:
        """Where a message is that may have been published."""
        try:
            directory, _ = await listed(self._client, self._path)
        except ClientError:
            # Whatever it is, it does not say that nothing was published.
            return None
        nodes = () if directory is None else directory.nodes
        return next((each.created_index for each in nodes if each.value == value), None)

    async def _trim_if_due(self) -> None:
        """
        See to it that not too many are retained.

        The first time in any case: whoever published before may not have come to it.
        """
        count = self._retention.count
        if count is None:
            return
        if self._untrimmed is not None:
            self._untrimmed += 1
            if self._untrimmed < max(1, count // 10):
                return
        await self._trimming.acquire()
        try:
            if self._untrimmed is None or self._untrimmed >= max(1, count // 10):
                await self._trim(count)
                self._untrimmed = 0
        except ClientError:
            # It was published; whoever publishes next tries this again.
            return
        finally:
            self._trimming.release()

    async def _trim(self, count: int) -> None:
        directory = (await self._client.get(self._path, quorum=True)).node
        messages = [each for each in directory.nodes if not each.dir]
        messages.sort(key=lambda each: each.created_index)
        for each in messages[:-count]:
            # One after the other: what is there begins with the oldest that is left.
            await self._forget(each.key)
