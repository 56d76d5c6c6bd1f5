"""One leader among programs that do not know each other, and everybody who wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, Closed, KeyNotFound, NoAnswer, Unknown
from kvd.client.recipes.tickets import AGAIN_SECONDS, Held
from kvd.client.recipes.turns import Turns, unique_text
from kvd.client.values import Event, Node
from kvd.client.watching import Relisted, Watch


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


class Election:
    """
    An election: candidates queue for it as for a :class:`Lock`, whoever holds it leads.

    What is promised is what a lock promises, and to those who observe: every leader is
    seen, in the order in which they led, unless history was lost; then the present one is.
    An observer hears of a leader when it reads of it, which may be later than it led.

    :param path: a directory of the election's own.
    :param ttl: seconds; a third of it passes between two refreshes.
    :param margin_seconds: None: a tenth of ``ttl``.
    :param unique: makes texts that nobody else makes.
    :raises ValueError: times that leave nothing to hold.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        ttl: int = 30,
        margin_seconds: float | None = None,
        unique: Callable[[], str] = unique_text,
    ) -> None:
        self._client = client
        self._path = path
        self._turns = Turns(
            client, path, ttl=ttl, margin_seconds=margin_seconds, unique=unique
        )

    def campaign(self, name: str) -> Deferred[Held]:
        """
        Wait to lead; ``held.when_lost()`` says when that is over, ``held.release()``
        resigns. Cancelling gives the candidacy up.

        :param name: what observers are told.
        """
        return self._turns.take(name)

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
        self._client = client
        self._path = "/" + "/".join(each for each in path.split("/") if each)
        self._watch: Watch | None = None
        self._nodes: dict[str, Node] = {}
        self._told: list[Leader | None] = []
        self._closed = False

    def next(self) -> Deferred[Leader | None]:
        """
        The next leader; one at a time.

        :raises Closed: the observer or its client was closed.
        """
        return Deferred.fromCoroutine(self._next())

    def close(self) -> None:
        """Stop; a loop over the observer ends."""
        self._closed = True
        if self._watch is not None:
            self._watch.close()

    def __aiter__(self) -> Observer:
        return self

    async def __anext__(self) -> Leader | None:
        try:
            return await self.next()
        except Closed:
            raise StopAsyncIteration from None

    async def _next(self) -> Leader | None:
        watch = self._watch or await self._begin()
        while True:
            leader = _oldest(self._nodes.values())
            if [leader] != self._told:
                self._told = [leader]
                return leader
            self._take(await watch.next())

    async def _begin(self) -> Watch:
        while self._is_open():
            try:
                listed = await self._client.get(self._path, quorum=True)
            except KeyNotFound as absent:
                index = absent.index
            except BadAnswer:
                raise
            except (NoAnswer, Unknown):
                await deferLater(self._client.clock, AGAIN_SECONDS)
                continue
            else:
                index = listed.etcd_index
                self._list(listed.node)
            self._watch = self._client.watch(
                self._path, recursive=True, after_index=index
            )
            if not self._is_open():
                self._watch.close()
            return self._watch
        raise Closed("the observer is closed")

    def _is_open(self) -> bool:
        """Asked anew each time: it may be closed while somebody waits."""
        return not self._closed

    def _take(self, change: Event | Relisted) -> None:
        if isinstance(change, Relisted):
            self._list(change.node)
        elif change.node.key.rpartition("/")[0] == self._path:
            if change.removed:
                self._nodes.pop(change.node.key, None)
            else:
                self._nodes[change.node.key] = change.node
        elif change.removed and not change.node.key.startswith(f"{self._path}/"):
            self._nodes.clear()  # the directory itself, or one above it

    def _list(self, directory: Node | None) -> None:
        found = directory.nodes if directory is not None else ()
        self._nodes = {each.key: each for each in found}


def _oldest(nodes: Iterable[Node]) -> Leader | None:
    candidates = [each for each in nodes if not each.dir]
    if not candidates:
        return None
    first = min(candidates, key=lambda each: each.created_index)
    return Leader((first.value or "").partition(" ")[2], first.created_index)
