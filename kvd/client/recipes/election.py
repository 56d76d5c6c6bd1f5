"""One leader among programs that do not know each other, and everybody who wants to know."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from twisted.internet.defer import Deferred

from kvd.client.client import Client
from kvd.client.errors import Closed, KeyNotFound
from kvd.client.recipes.followed import Followed
from kvd.client.recipes.held import Held
from kvd.client.recipes.turns import Turns
from kvd.client.values import Node


@attrs.frozen
class Leader:
    """
    Who leads.

    :ivar name: as the leader gave it.
    :ivar token: greater than that of every leader before.

    .. versionadded:: 0.1
    """

    name: str
    token: int


class Election(Turns):
    """
    An election: candidates queue for it as for a :class:`Lock`, whoever holds it leads.

    What is promised is what a lock promises, and to those who observe: every leader is
    seen, in the order in which they led, unless history was lost; then the present one is.
    An observer hears of a leader when it reads of it, which may be later than it led.

    What it is made with, :class:`Turns` says.

    .. versionadded:: 0.1
    """

    def campaign(self, name: str) -> Deferred[Held]:
        """
        Wait to lead; ``held.when_lost()`` says when that is over, ``held.release()``
        resigns. Cancelling gives the candidacy up.

        :param name: what observers are told.
        """
        return self._taken(name)

    def leader(self) -> Deferred[Leader | None]:
        """Who leads, no older than the newest change that anybody was told of."""
        return Deferred.fromCoroutine(self._leader())

    def observe(self) -> Observer:
        """Everybody who leads from now on, the present leader first."""
        return Observer(self._client, self._path)

    async def _leader(self) -> Leader | None:
        try:
            listed = await self._client.get(self._path, quorum=True)
        except KeyNotFound:
            return None
        return _oldest(listed.node.nodes)


class Observer:
    """
    ``async for leader in election.observe()``: each differs from the one before.

    None: nobody leads.

    .. versionadded:: 0.1
    """

    def __init__(self, client: Client, path: str) -> None:
        self._followed = Followed(client, path)
        self._told: list[Leader | None] = []

    def next(self) -> Deferred[Leader | None]:
        """
        The next leader; one at a time.

        :raises Closed: the observer or its client was closed.
        """
        return Deferred.fromCoroutine(self._next())

    def close(self) -> None:
        """Stop; a loop over the observer ends."""
        self._followed.close()

    def __aiter__(self) -> Observer:
        return self

    async def __anext__(self) -> Leader | None:
        try:
            return await self.next()
        except Closed:
            raise StopAsyncIteration from None

    async def _next(self) -> Leader | None:
        if not self._followed.begun:
            await self._followed.begin()
        while True:
            leader = _oldest(self._followed.nodes.values())
            if [leader] != self._told:
                self._told = [leader]
                return leader
            await self._followed.change()


def _oldest(nodes: Iterable[Node]) -> Leader | None:
    candidates = [each for each in nodes if not each.dir]
    if not candidates:
        return None
    first = min(candidates, key=lambda each: each.created_index)
    return Leader((first.value or "").partition(" ")[2], first.created_index)
