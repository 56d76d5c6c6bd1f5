"""A key of one's own that is there only as long as its owner keeps it alive."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import (
    ClientError,
    CompareFailed,
    KeyNotFound,
    NoAnswer,
    NotAFile,
    TooMany,
    Unknown,
)

AGAIN_SECONDS: Final = 0.2
"""Between a request that failed and the next one like it."""
_NOT_REFRESHED: Final = "it could not be kept alive"


def unique_text() -> str:
    """A text that nobody else makes."""
    return secrets.token_hex(16)


class Gone(ClientError):
    """The key is no longer there, or nobody can say that it is."""


@attrs.frozen
class Times:
    """
    How long a key outlives its owner.

    :ivar ttl: seconds that the servers keep it after its last refresh; a third of it
        passes between two refreshes.
    :ivar margin_seconds: that its owner relies on it for a shorter time than that.
    """

    ttl: int
    margin_seconds: float

    @classmethod
    def of(cls, ttl: int, margin_seconds: float | None) -> Times:
        """
        :param margin_seconds: None: a tenth of ``ttl``.
        :raises ValueError: times that leave nothing to hold.
        """
        margin = ttl / 10 if margin_seconds is None else margin_seconds
        if ttl < 1 or not 0 <= margin <= ttl / 2:
            raise ValueError("there must be a ttl, and a margin of at most half of it")
        return cls(ttl, margin)


class Kept:
    """
    Such a key, from when it was made to when it was lost or withdrawn.

    It has a value that nobody else uses, so nothing is refreshed or removed that is
    somebody else's. A refresh says which one it follows: should one whose answer was
    lost come after a later one, it would end the key's time sooner than is relied on.

    :param value: of the key.
    :param lost: called once, with the reason, when it can no longer be relied on.
    """

    def __init__(
        self, client: Client, value: str, times: Times, lost: Callable[[str], None]
    ) -> None:
        self._client = client
        self._clock = client.clock
        self._value = value
        self._times = times
        self._lost = lost
        self._key = ""
        self._index = 0  # of its last change that is known
        self._until_seconds = 0.0
        self._relied_seconds = 0.0
        self._deadline: IDelayedCall | None = None
        self._keeping: Deferred[None] | None = None
        self._refreshing = False

    @property
    def key(self) -> str:
        """Where it is, or may be; empty: nobody has made it."""
        return self._key

    def suspect(self, key: str) -> None:
        """It may have been made there just now, so a withdrawal has to look."""
        self._key = key
        self._until_seconds = self._clock.seconds() + self._times.ttl

    def begin(self, key: str, index: int, begun_seconds: float) -> None:
        """
        It was made; from now on it is kept alive.

        :param index: its modified index.
        :param begun_seconds: when its creation was asked for.
        """
        self._key, self._index = key, index
        self._refreshed(begun_seconds)
        self._keeping = Deferred.fromCoroutine(self._keep())
        self._keeping.addErrback(lambda failure: failure.trap(CancelledError))

    async def withdraw(self) -> None:
        """Remove it; returns at the latest when it has run out by itself."""
        self.stop()
        if not self._key:
            return
        try:
            await self._remove()
        except ClientError:
            # Nobody may remove it any more, or the client is closed: it runs out.
            return

    def check(self) -> None:
        """Notice now if it was lost: who slept may be run before his timers are."""
        if self._deadline is None or not self._deadline.active():
            return
        if self._clock.seconds() >= self._relied_seconds:
            self._lose(_NOT_REFRESHED)

    def stop(self) -> None:
        """Keep it alive no longer, and say nothing of it any more."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self._refreshing:
            self._refreshing = False
            self._may_be_refreshed()
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()

    async def _keep(self) -> None:
        """Refresh until it is withdrawn or lost."""
        ttl = self._times.ttl
        seconds = ttl / 3
        while True:
            await deferLater(self._clock, seconds)
            begun = self._clock.seconds()
            self._refreshing = True
            try:
                made = await self._refresh()
            except (KeyNotFound, NotAFile, Gone):
                self._keeping = None  # that is where we are
                self._refreshing = False
                self._lose("its key is gone")
                return
            except ClientError as problem:
                if isinstance(problem, Unknown):
                    self._may_be_refreshed()
                seconds = AGAIN_SECONDS
            else:
                seconds = ttl / 3 if made else 0.0
                if made:
                    self._refreshed(begun)
            self._refreshing = False

    async def _refresh(self) -> bool:
        """
        Whether it was; else one before it was, whose answer was lost.

        :raises Gone: what is there is not ours.
        """
        try:
            made = await self._client.refresh(
                self._key,
                self._times.ttl,
                prev_value=self._value,
                prev_index=self._index,
            )
        except CompareFailed:
            found = (await self._client.get(self._key, quorum=True)).node
            if found.value != self._value:
                raise Gone("it is somebody else's") from None
            self._index = found.modified_index
            return False
        self._index = made.node.modified_index
        return True

    def _refreshed(self, begun_seconds: float) -> None:
        """The servers have it for ``ttl`` seconds, and that from later on than this."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._until_seconds = begun_seconds + self._times.ttl
        self._relied_seconds = self._until_seconds - self._times.margin_seconds
        self._deadline = self._clock.callLater(
            max(0.0, self._relied_seconds - self._clock.seconds()),
            self._lose,
            _NOT_REFRESHED,
        )

    def _may_be_refreshed(self) -> None:
        """Nobody relies on it, but until then it may be there."""
        until_seconds = self._clock.seconds() + self._times.ttl
        self._until_seconds = max(self._until_seconds, until_seconds)

    def _lose(self, why: str) -> None:
        self.stop()
        self._lost(why)

    async def _remove(self) -> None:
        while True:
            try:
                await self._client.compare_and_delete(self._key, prev_value=self._value)
            except (NoAnswer, Unknown, TooMany):
                if self._clock.seconds() >= self._until_seconds:
                    return
                await deferLater(self._clock, AGAIN_SECONDS)
            except (KeyNotFound, CompareFailed, NotAFile):
                return
            else:
                return
