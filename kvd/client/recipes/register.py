"""A key that is only ever changed by who has seen what it was."""

from __future__ import annotations

import math
from typing import Final

import attrs
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import (
    BadAnswer,
    ClientError,
    CompareFailed,
    KeyExists,
    KeyNotFound,
    NoAnswer,
    Unknown,
)
from kvd.client.recipes.kept import AGAIN_SECONDS
from kvd.client.recipes.looking import look
from kvd.client.values import Response


class Unclear(Unknown):
    """
    Somebody else changed the key since: before the change was made, or after it.

    It was made or it was not; it will not be made any more.

    .. versionadded:: 0.1
    """


@attrs.frozen
class Seen:
    """
    What the key was.

    :ivar value: None: there was none.
    :ivar index: its modified index, 0 if there was none: it is never the same again.
    :ivar created_index: 0 if there was none.
    :ivar etcd_index: the store's, so what happens afterwards can be watched.
    """

    value: str | None
    index: int
    created_index: int
    etcd_index: int


ABSENT: Final = Seen(None, 0, 0, 0)
"""No key, as far as anybody knows without looking."""


class Register:
    """
    One key. Each change is to a value that nobody else makes, so that a change whose
    answer was lost can be recognized; and it is compared with an index that the key has
    only once, so that it can be sent again and is made at most once all the same. The
    first one, which has nothing to compare with, relies on nobody removing the key.
    """

    def __init__(self, client: Client, key: str) -> None:
        self._client = client
        self._clock = client.clock
        self._key = key

    async def read(self, until_seconds: float = math.inf) -> Seen:
        """
        What it is, no older than the newest change that anybody was told of.

        :param until_seconds: of the client's clock; tried again until then.
        :raises NoAnswer: nobody answered until then.
        """
        try:
            return _seen(
                await look(self._client, self._key, until_seconds=until_seconds)
            )
        except KeyNotFound as absent:
            return attrs.evolve(ABSENT, etcd_index=absent.index)

    async def change(
        self,
        seen: Seen,
        value: str,
        *,
        ttl: int | None = None,
        until_seconds: float = math.inf,
    ) -> Seen | None:
        """
        Give it another value if it still is what was seen; None: it is not.

        :param value: one that nobody else makes.
        :raises Unclear: it may have been made; it will not be made any more.
        :raises NoAnswer: nobody answered until then; it was not made.
        :raises Unknown: nobody answered until then, or what would show it was refused;
            it may have been made, or be made.
        """
        doubt: Unknown | None = None
        while True:
            try:
                return _seen(await self._tried(seen, value, ttl))
            except (CompareFailed, KeyExists, KeyNotFound):
                if doubt is None:
                    return None
            except BadAnswer:
                raise
            except Unknown as problem:
                doubt = problem
            except NoAnswer as problem:
                if self._clock.seconds() >= until_seconds:
                    raise (doubt or problem) from None
                await deferLater(self._clock, AGAIN_SECONDS)
                continue
            except ClientError as problem:
                # Refused now; what was sent before was not, as far as anybody knows.
                raise (doubt or problem) from problem.__cause__
            try:
                now = await self.read(until_seconds)
            except ClientError as problem:
                raise doubt from problem
            if now.value == value:
                return now
            if now.index != seen.index:
                raise Unclear(doubt.attempts)
            if self._clock.seconds() >= until_seconds:
                raise doubt
            await deferLater(self._clock, AGAIN_SECONDS)

    async def _tried(self, seen: Seen, value: str, ttl: int | None) -> Response:
        if seen.value is None:
            return await self._client.create(self._key, value, ttl=ttl)
        return await self._client.compare_and_swap(
            self._key, value, prev_index=seen.index, ttl=ttl
        )


def _seen(response: Response) -> Seen:
    node = response.node
    return Seen(
        value=node.value or "",
        index=node.modified_index,
        created_index=node.created_index,
        etcd_index=response.etcd_index,
    )
