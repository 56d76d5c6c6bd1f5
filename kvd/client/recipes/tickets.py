"""Places in a queue: a key of one's own in a directory, kept alive; the oldest holds."""

from __future__ import annotations

import math
from collections.abc import Callable

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, ClientError, KeyNotFound, Unknown
from kvd.client.recipes.kept import Gone, Kept, Times
from kvd.client.recipes.looking import look
from kvd.client.values import Event, Node


class Ticket:
    """
    One place in the queue of a directory.

    ::

        new -- enter --> waiting -- turn --> held -- withdraw --> over
                            `------ lost, withdraw -----------------^

    The key has a value that nobody else uses, so that a creation whose answer was lost
    can be found.

    :param value: of the key.
    :param lost: called once, with the reason, when it can no longer be relied on.
    """

    def __init__(
        self,
        client: Client,
        folder: str,
        *,
        value: str,
        times: Times,
        lost: Callable[[str], None],
    ) -> None:
        self._client = client
        self._clock = client.clock
        self._folder = folder
        self._value = value
        self._times = times
        self._kept = Kept(client, value, times, lost)
        self.token = 0

    @property
    def name(self) -> str:
        """Of its key in the directory, once it was entered."""
        return self._kept.key.rpartition("/")[2]

    async def enter(self) -> None:
        """
        Take the place.

        :raises Gone: whether there is one is not known, and it would be unused; should
            it come to be, it runs out by itself.
        """
        begun = self._clock.seconds()
        try:
            made = await self._client.create_in_order(
                self._folder, self._value, ttl=self._times.ttl
            )
        except BadAnswer:
            raise
        except Unknown:
            node = await self._own()
            if node is None:
                raise Gone("nobody knows whether it was created") from None
        else:
            node = made.node
        self.token = node.created_index
        self._kept.begin(node.key, node.modified_index, begun)

    async def turn(self) -> None:
        """
        Wait until nobody is before it.

        :raises Gone: it is not there any more.
        """
        while True:
            try:
                listed = await look(self._client, self._folder)
            except KeyNotFound:
                raise Gone("its directory is gone") from None
            nodes = [each for each in listed.node.nodes if not each.dir]
            if not any(map(self._is_own, nodes)):
                raise Gone("its key is gone")
            before = [each for each in nodes if each.created_index < self.token]
            if not before:
                return
            last = max(before, key=lambda each: each.created_index)
            await self._removed(last, listed.etcd_index)

    def check(self) -> None:
        """Notice now if it was lost."""
        self._kept.check()

    async def withdraw(self) -> None:
        """Give the place up; returns at the latest when it has run out by itself."""
        if not self._kept.key:
            until = self._clock.seconds() + self._times.ttl
            try:
                node = await self._own(until)
            except ClientError:
                # Nobody may look any more, or the client is closed: it runs out.
                return
            if node is not None:
                self._kept.suspect(node.key)
        await self._kept.withdraw()

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

    async def _own(self, until_seconds: float = math.inf) -> Node | None:
        """Its key; None: there is none now."""
        try:
            found = await look(self._client, self._folder, until_seconds=until_seconds)
            nodes = found.node.nodes
        except KeyNotFound:
            return None
        return next(filter(self._is_own, nodes), None)
