"""What can be done to keys, each operation one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred

from kvd.client.documents import response_of
from kvd.client.keys import Text, reading, removing, writing
from kvd.client.values import Node, Response
from kvd.client.wire import Answer, Request


class Operations:
    """
    The operations on keys that a client has.

    :param ask: puts one request to the cluster.
    """

    def __init__(self, ask: Callable[[Request], Awaitable[Answer]]) -> None:
        self._ask = ask

    # Reading

    def get(
        self,
        key: Text,
        *,
        recursive: bool = False,
        in_order: bool = False,
        quorum: bool = False,
    ) -> Deferred[Response]:
        """
        A key, or a directory with what is in it.

        :param in_order: sort directories by key.
        :param quorum: no older than the newest write that anybody was told of; without
            it one member says what it knows.
        :raises KeyNotFound:
        """
        fields = _flags(recursive=recursive, sorted=in_order, quorum=quorum)
        return self._keys(reading(key, **fields))

    def ls(
        self, key: Text = "/", *, recursive: bool = False, quorum: bool = False
    ) -> Deferred[tuple[Node, ...]]:
        """
        What is in a directory, sorted; each directory before what is in it.

        A key with a value is listed itself.

        :raises KeyNotFound:
        """
        fields = _flags(recursive=recursive, quorum=quorum)
        request = reading(key, sorted=True, **fields)
        return Deferred.fromCoroutine(self._ls(request))

    # Writing

    def set(
        self, key: Text, value: Text, *, ttl: int | None = None
    ) -> Deferred[Response]:
        """
        Give a key this value, whether it is there or not.

        :param ttl: seconds after which it vanishes; None: it stays.
        :raises NotAFile: a directory.
        """
        return self._keys(writing(key, value=value, ttl=ttl))

    def create(
        self, key: Text, value: Text, *, ttl: int | None = None
    ) -> Deferred[Response]:
        """
        A new key.

        :raises KeyExists:
        """
        return self._keys(writing(key, value=value, ttl=ttl, prevExist=False))

    def update(
        self, key: Text, value: Text, *, ttl: int | None = None
    ) -> Deferred[Response]:
        """
        Another value for a key that is there; without a ``ttl`` it stays.

        :raises KeyNotFound:
        """
        return self._keys(writing(key, value=value, ttl=ttl, prevExist=True))

    def refresh(
        self,
        key: Text,
        ttl: int,
        *,
        prev_value: Text | None = None,
        prev_index: int | None = None,
    ) -> Deferred[Response]:
        """
        Another time to live for a key that is there; no watch is told.

        :param prev_value: only if the key has this value.
        :param prev_index: only if this is its modified index.
        :raises KeyNotFound:
        :raises CompareFailed:
        """
        return self._keys(
            writing(
                key,
                ttl=ttl,
                refresh=True,
                prevExist=True,
                prevValue=prev_value,
                prevIndex=prev_index,
            )
        )

    def delete(self, key: Text, *, recursive: bool = False) -> Deferred[Response]:
        """
        Remove a key; ``recursive``: or a directory with all that is in it.

        :raises KeyNotFound:
        :raises NotAFile: a directory, and not ``recursive``.
        """
        return self._keys(removing(key, **_flags(recursive=recursive)))

    def compare_and_swap(
        self,
        key: Text,
        value: Text,
        *,
        prev_value: Text | None = None,
        prev_index: int | None = None,
        ttl: int | None = None,
    ) -> Deferred[Response]:
        """
        Another value, if the key has that value, or that modified index, or both.

        :raises CompareFailed: it has not.
        :raises KeyNotFound:
        :raises ValueError: nothing to compare with.
        """
        compared = _compared(prev_value, prev_index)
        return self._keys(writing(key, value=value, ttl=ttl, **compared))

    def compare_and_delete(
        self,
        key: Text,
        *,
        prev_value: Text | None = None,
        prev_index: int | None = None,
    ) -> Deferred[Response]:
        """
        Remove the key, if it has that value, or that modified index, or both.

        :raises CompareFailed: it has not.
        :raises KeyNotFound:
        :raises ValueError: nothing to compare with.
        """
        return self._keys(removing(key, **_compared(prev_value, prev_index)))

    def create_in_order(
        self, directory: Text, value: Text, *, ttl: int | None = None
    ) -> Deferred[Response]:
        """A new key in the directory, whose name sorts after all that were made so."""
        return self._keys(writing(directory, method="POST", value=value, ttl=ttl))

    def mkdir(self, key: Text, *, ttl: int | None = None) -> Deferred[Response]:
        """
        A new directory.

        :raises KeyExists:
        """
        return self._keys(writing(key, dir=True, prevExist=False, ttl=ttl))

    def set_dir(self, key: Text, *, ttl: int | None = None) -> Deferred[Response]:
        """
        A directory, in place of a key that may be there.

        :raises NotAFile: a directory is there.
        """
        return self._keys(writing(key, dir=True, ttl=ttl))

    def update_dir(self, key: Text, *, ttl: int | None = None) -> Deferred[Response]:
        """
        Another time to live for a directory; None: it stays.

        :raises KeyNotFound:
        """
        return self._keys(writing(key, dir=True, prevExist=True, ttl=ttl))

    def rmdir(self, key: Text) -> Deferred[Response]:
        """
        Remove an empty directory; a key with a value is removed, too.

        :raises DirectoryNotEmpty:
        """
        return self._keys(removing(key, dir=True))

    def _keys(self, request: Request) -> Deferred[Response]:
        return Deferred.fromCoroutine(self._ask_keys(request))

    async def _ask_keys(self, request: Request) -> Response:
        return response_of(await self._ask(request))

    async def _ls(self, request: Request) -> tuple[Node, ...]:
        node = (await self._ask_keys(request)).node
        return tuple(node.walk()) if node.dir else (node,)


def _flags(**given: bool) -> dict[str, bool]:
    """Those that are set; a server knows the others' meaning."""
    return {name: value for name, value in given.items() if value}


def _compared(prev_value: Text | None, prev_index: int | None) -> dict[str, Any]:
    """What to compare with; Any: fields of a form, by name."""
    if prev_value is None and not prev_index:
        raise ValueError("nothing to compare with")
    if prev_value is not None and not prev_value:
        raise ValueError("a server cannot compare with an empty value")
    return {"prevValue": prev_value, "prevIndex": prev_index}
