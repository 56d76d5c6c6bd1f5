"""Finding the other founders through a discovery service (V2-SPEC 16.1)."""

# Twisted leaves deferLater without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kvd.discovery.failures import (
    AlreadyRegistered,
    ClusterIsFull,
    DiscoveryFailed,
    DuplicateName,
    Founders,
    Unreachable,
)
from kvd.discovery.registry import Entries, Entry, Registry

RETRY_EXPONENT_MAX: Final = 8
"""Pauses are 2, 4, ... seconds, and 256 from the eighth on, as etcd's."""

AGAIN_SECONDS: Final = 1.0
"""Before a look at keys that have not changed though the watch ended."""


class TokenDiscovery:
    """
    One member's way through the discovery of its cluster.

    ::

        size -> who is there? -- N others --> ClusterIsFull
                   | room
                register -- id is taken --> DiscoveryFailed
                   |
                who is there? -- N, one of them not us --> ClusterIsFull
                   |      ^
                fewer     | something changed, or a minute has passed
                   +-> watch
                   |
                   N, one of them us --> the founders

    Whenever the service cannot be reached it begins again after a pause, as often as
    that takes.

    :param url: for the log, and for what the operator is told.
    :param member_id: ours, in hexadecimal.
    :param again: our entry may be there from an attempt that was cut short.
    :param before: called before anything is registered.
    :param value: ``name=url1,name=url2``: what the others shall know of us.
    :param read: text as ``initial-cluster`` has it; a ValueError says what is wrong.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        registry: Registry,
        clock: IReactorTime,
        url: str,
        member_id: str,
        value: str,
        read: Callable[[str], Founders],
        again: bool = False,
        before: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._url = url
        self._member_id = member_id
        self._value = value
        self._read = read
        self._before = before
        self._retries = 0
        # An answer may be lost after the entry was made: then it is there, and ours.
        self._may_be_ours = again
        self._registered = False
        self._created_index = 0  # of our entry, 0 when we were not told

    async def join(self) -> Founders:
        """
        Returns once all are there. Cancelling takes nothing back.

        :raises ClusterIsFull: others took all places.
        :raises DiscoveryFailed: the id is taken, or what is registered is unusable.
        """
        return await self._patiently(self._join)

    async def look(self) -> Founders:
        """
        The same without being one of them.

        :raises DiscoveryFailed: what is registered is unusable.
        """
        return await self._patiently(self._look)

    async def _patiently(
        self, attempt: Callable[[], Coroutine[Deferred[None], Any, Founders]]
    ) -> Founders:
        while True:
            try:
                return await attempt()
            except Unreachable as error:
                self._retries += 1
                seconds = 2 ** min(self._retries, RETRY_EXPONENT_MAX)
                self._log.warn(
                    "discovery service at {url}: {error}; asking again in {seconds} s",
                    url=self._url,
                    error=error,
                    seconds=seconds,
                )
                await deferLater(self._clock, seconds)

    async def _look(self) -> Founders:
        size = await self._registry.size()
        found = await self._registry.entries()
        while len(found.entries) < size:
            found = await self._changed(found, size)
        return self._distinct(found.entries[:size])

    async def _join(self) -> Founders:
        size = await self._registry.size()
        found = await self._registry.entries()
        if not self._registered:
            await self._register(found, size)
            found = await self._registry.entries()
        while True:
            founders = self._complete(found, size)
            if founders is not None:
                return founders
            found = await self._changed(found, size)

    async def _changed(self, found: Entries, size: int) -> Entries:
        """The entries after the next change, or after a while without any."""
        self._say_who_is_there(found, size)
        await self._registry.wait(self._next_index(found))
        now = await self._registry.entries()
        if now != found:
            return now
        await deferLater(self._clock, AGAIN_SECONDS)
        return await self._registry.entries()

    async def _register(self, found: Entries, size: int) -> None:
        own = self._own(found)
        if own is None:
            if len(found.entries) >= size:
                raise self._full(found, size)
            await self._before()
            ours_if_taken, self._may_be_ours = self._may_be_ours, True
            try:
                self._created_index = await self._registry.register(
                    self._member_id, self._value
                )
            except AlreadyRegistered:
                if not ours_if_taken:
                    raise
        elif not self._may_be_ours or own.value != self._value:
            raise AlreadyRegistered
        self._registered = True
        self._log.info(
            "registered at the discovery service {url} as {member_id}",
            url=self._url,
            member_id=self._member_id,
        )

    def _complete(self, found: Entries, size: int) -> Founders | None:
        """The founders, if all are there."""
        first = found.entries[:size]
        own = self._own(found)
        if own in first and len(first) == size:
            return self._distinct(first)
        if len(first) == size and (own is not None or self._is_current(found)):
            raise self._full(found, size)
        if own is None and self._created_index and self._is_current(found):
            raise DiscoveryFailed(
                f"discovery: the entry of this member ({self._member_id}) was removed"
            )
        return None

    def _is_current(self, found: Entries) -> bool:
        """A member of the service that lags may not have our entry yet."""
        return found.index >= self._created_index

    def _next_index(self, found: Entries) -> int:
        if self._is_current(found):
            return found.index + 1
        return self._created_index

    def _full(self, found: Entries, size: int) -> ClusterIsFull:
        try:
            founders = self._founders(found.entries[:size])
        except DiscoveryFailed:
            founders = ()
        return ClusterIsFull(founders)

    def _distinct(self, entries: Sequence[Entry]) -> Founders:
        founders = self._founders(entries)
        if len(founders) != len(entries):
            raise DuplicateName
        return founders

    def _founders(self, entries: Sequence[Entry]) -> Founders:
        try:
            return self._read(",".join(entry.value for entry in entries))
        except ValueError as error:
            raise DiscoveryFailed(f"discovery: invalid URL: {error}") from None

    def _own(self, found: Entries) -> Entry | None:
        for entry in found.entries:
            if entry.member_id == self._member_id:
                return entry
        return None

    def _say_who_is_there(self, found: Entries, size: int) -> None:
        there = len(found.entries)
        self._log.info(
            "discovery service {url}: {there} of {size} members are there, waiting for "
            "{missing} more",
            url=self._url,
            there=there,
            size=size,
            missing=size - there,
        )
