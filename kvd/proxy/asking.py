"""
Asking the members' peer ports where all members are.

A kvd is asked by AMP, as every stranger asks it. An etcd speaks HTTP there; a proxy of
kvd's can stand before a cluster of etcd's, too.
"""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from kvd.errors import PeerError
from kvd.peer.asking import ask_members
from kvd.peer.dialling import Connect
from kvd.proxy.documents import BYTES_MAX, Listed, decode_members
from kvd.proxy.upstream import Answered, Lost, Question, Source, Unreached, Upstream

ASK_SECONDS: Final = 3.0
"""For each URL."""

_MEMBERS: Final = Question(method=b"GET", target=b"/members")

_Way: TypeAlias = Callable[[Sequence[str]], Awaitable[Listed]]


class Asking:
    """
    Asks peers as they can be asked, and remembers how that was.

    :param connect: an endpoint for a peer URL.
    """

    def __init__(
        self, *, connect: Connect, clock: IReactorTime, upstream: Upstream
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._upstream = upstream
        self._ways: list[_Way] = [self._ask_kvd, self._ask_etcd]

    async def ask(self, peer_urls: Sequence[str]) -> Listed:
        """
        What the first of these peers knows that knows any members.

        :raises PeerError: none did; with what came of each.
        """
        said = []
        for way in list(self._ways):
            try:
                listed = await way(peer_urls)
            except PeerError as problem:
                said.append(str(problem))
            else:
                self._ways.remove(way)
                self._ways.insert(0, way)
                return listed
        raise PeerError("; ".join(said))

    async def _ask_kvd(self, peer_urls: Sequence[str]) -> Listed:
        facts = await ask_members(
            self._connect, self._clock, peer_urls, seconds=ASK_SECONDS
        )
        return Listed(
            tuple(url for member in facts.members for url in member.peer_urls),
            tuple(url for member in facts.members for url in member.client_urls),
        )

    async def _ask_etcd(self, peer_urls: Sequence[str]) -> Listed:
        said = []
        for url in peer_urls:
            try:
                return await self._ask_one_etcd(url)
            except PeerError as problem:
                said.append(f"{url}/members: {problem}")
        raise PeerError("; ".join(said) or "there is nobody to ask")

    async def _ask_one_etcd(self, url: str) -> Listed:
        collected = Deferred.fromCoroutine(self._collected(url))
        try:
            return await collected.addTimeout(ASK_SECONDS, self._clock)
        except DeferredTimeout:
            raise PeerError(f"no answer within {ASK_SECONDS:g} seconds") from None

    async def _collected(self, url: str) -> Listed:
        try:
            answered = await self._upstream.ask(url, _MEMBERS)
        except (Unreached, Lost) as problem:
            raise PeerError(str(problem)) from None
        body = await _Collector().collect(answered)
        if answered.status != 200:
            raise PeerError(f"status {answered.status}")
        try:
            listed = decode_members(body)
        except ValueError as problem:
            raise PeerError(
                f"a list of members that cannot be read: {problem}"
            ) from None
        if not listed.peer_urls:
            raise PeerError("it does not know the members (yet)")
        return listed


class _Collector:
    """Provides ``Taker``: a whole body, up to a limit."""

    def __init__(self) -> None:
        self._pieces = bytearray()
        self._source: Source | None = None
        self._over = False
        self._body: Deferred[bytes] = Deferred(lambda _: self._drop())

    def collect(self, answered: Answered) -> Deferred[bytes]:
        """Fails with :class:`PeerError`."""
        self._source = answered.deliver(self)
        return self._body

    def piece(self, data: bytes) -> None:
        self._pieces += data
        if len(self._pieces) > BYTES_MAX:
            self._end(PeerError("an endless list of members"))
            self._drop()

    def ended(self) -> None:
        self._end(bytes(self._pieces))

    def broken(self, why: str) -> None:
        self._end(PeerError(why))

    def _end(self, outcome: bytes | PeerError) -> None:
        if self._over:
            return
        self._over = True
        if isinstance(outcome, PeerError):
            self._body.errback(outcome)
        else:
            self._body.callback(outcome)

    def _drop(self) -> None:
        self._over = True
        if self._source is not None:
            self._source.drop()
