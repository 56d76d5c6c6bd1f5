"""A directory that is followed: what is in it, change after change."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import (
    BadAnswer,
    Closed,
    KeyNotFound,
    NoAnswer,
    TooMany,
    Unknown,
)
from kvd.client.recipes.kept import AGAIN_SECONDS
from kvd.client.values import Node
from kvd.client.watching import Change, Relisted, Watch

NODES_MAX: Final = 100_000


class Followed:
    """
    The keys of a directory as they were at one index, and then as of each change.

    ::

        await followed.begin()
        while not wanted(followed.nodes):
            await followed.change()

    Every state is seen, in order, unless history was lost; then the present one is.

    :param deep: everything below it, not only what is directly in it.
    :param nodes_max: more are not followed.
    :ivar nodes: its keys with a value, by their whole names, in no order.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        deep: bool = False,
        nodes_max: int = NODES_MAX,
    ) -> None:
        self._client = client
        self._path = "/" + "/".join(each for each in path.split("/") if each)
        self._deep = deep
        self._nodes_max = nodes_max
        self._listed_seconds = 0.0
        self._watch: Watch | None = None
        self._closed = False
        self.nodes: dict[str, Node] = {}

    @property
    def begun(self) -> bool:
        """Whether there is a state."""
        return self._watch is not None

    @property
    def index(self) -> int:
        """What the state is as of; 0: there is none."""
        index = self._watch.index if self._watch is not None else None
        return index or 0

    @property
    def current_seconds(self) -> float:
        """When it was last known that the cluster had no newer one."""
        seconds = self._watch.current_seconds if self._watch is not None else None
        return self._listed_seconds if seconds is None else seconds

    async def begin(self) -> None:
        """
        Take the state of now, no older than the newest change that anybody was told of.

        :raises Closed: it or its client was closed.
        :raises TooMany: keys.
        """
        while not self._closed:
            begun_seconds = self._client.clock.seconds()
            try:
                listed = await self._client.get(
                    self._path, recursive=self._deep, quorum=True
                )
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
            self._listed_seconds = begun_seconds
            self._watch = self._client.watch(
                self._path, recursive=True, after_index=index
            )
            if self._is_closed():
                self._watch.close()
            return
        raise Closed("it is not followed any more")

    def change(self) -> Deferred[Change]:
        """
        Take the next change in, then fire with it; one at a time.

        :raises Closed: it or its client was closed.
        :raises TooMany: keys; it is of no use any more.
        """
        if self._watch is None:
            raise RuntimeError("it has not begun")
        return self._watch.next().addCallback(self._take)

    def close(self) -> None:
        """Stop; who waits for a change is told so."""
        self._closed = True
        if self._watch is not None:
            self._watch.close()

    def _is_closed(self) -> bool:
        """Asked anew each time: it may be closed while somebody waits."""
        return self._closed

    def _take(self, change: Change) -> Change:
        if isinstance(change, Relisted):
            self._list(change.node)
        elif change.node.dir and change.action == "update":
            pass  # it has another time to live, and in it what it had
        elif change.removed or change.node.dir:
            self._forget(change.node.key)
        elif self._is_seen(change.node):
            self.nodes[change.node.key] = change.node
            self._check()
        return change

    def _forget(self, key: str) -> None:
        """A key, a directory with all below it, or one above; or it became one."""
        if self.nodes.pop(key, None) is None:
            below = f"{key}/" if key != "/" else key
            self.nodes = {
                name: node
                for name, node in self.nodes.items()
                if not name.startswith(below)
            }

    def _list(self, directory: Node | None) -> None:
        found = directory.walk() if directory is not None else ()
        self.nodes = {
            each.key: each for each in found if not each.dir and self._is_seen(each)
        }
        self._check()

    def _check(self) -> None:
        if len(self.nodes) > self._nodes_max:
            raise TooMany(f"there are more than {self._nodes_max} keys")

    def _is_seen(self, node: Node) -> bool:
        return self._deep or node.key.rpartition("/")[0] == self._path
