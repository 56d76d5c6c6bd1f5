"""Keeping the list of endpoints current."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.errors import PeerError, StorageError
from kvd.options.values import check_url
from kvd.proxy.documents import Listed
from kvd.proxy.endpoints import Endpoints

_PATIENT_SECONDS: Final = 30.0
_IMPATIENT_SECONDS: Final = 1.0


class Refreshing:
    """
    Asks the peers for all members, again and again.

    An answer replaces the endpoints, and the peers that are asked the next time. When
    nobody answers, or no member has told its client URLs yet, all stays as it is.

    :param ask: what these peers know; fails with :class:`PeerError`.
    :param keep: writes peer URLs down for the next start; may fail with
        :class:`StorageError`.
    :param interval_seconds: between the end of one question and the next; a second as
        long as there is no endpoint, if it is 30 or more, as etcd does.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        endpoints: Endpoints,
        ask: Callable[[tuple[str, ...]], Awaitable[Listed]],
        keep: Callable[[tuple[str, ...]], Awaitable[None]],
        interval_seconds: float,
    ) -> None:
        self._clock = clock
        self._endpoints = endpoints
        self._ask = ask
        self._keep = keep
        self._interval_seconds = interval_seconds
        self._kept: tuple[str, ...] = ()
        self._running: Deferred[None] | None = None
        self._call: IDelayedCall | None = None
        self._stopped = False
        self._troubled = ""
        self.peer_urls: tuple[str, ...] = ()

    def start(
        self, peer_urls: tuple[str, ...], *, kept: tuple[str, ...]
    ) -> Deferred[None]:
        """
        Fires when the peers were asked for the first time, whatever came of it; at
        once after :meth:`stop`.

        :param kept: what was written down last.
        """
        self.peer_urls = peer_urls
        self._kept = kept
        return succeed(None) if self._stopped else self._turn()

    def stop(self) -> Deferred[None]:
        """Fires when nothing is under way any more."""
        self._stopped = True
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        over: Deferred[None] = Deferred()
        running = self._running
        if running is None:
            over.callback(None)
        else:
            running.addBoth(lambda _: over.callback(None))
            running.cancel()
        return over

    def _turn(self) -> Deferred[None]:
        self._call = None
        first: Deferred[None] = Deferred()
        self._running = Deferred.fromCoroutine(self._refresh())
        self._running.addErrback(self._failed)
        self._running.addBoth(self._again)
        self._running.addCallback(first.callback)
        return first

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("while asking for the members", failure)

    def _again(self, _: object) -> None:
        self._running = None
        if not self._stopped:
            self._call = self._clock.callLater(self._wait_seconds(), self._turn)

    def _wait_seconds(self) -> float:
        seconds = self._interval_seconds
        if seconds >= _PATIENT_SECONDS and not self._endpoints.available():
            return _IMPATIENT_SECONDS
        return seconds

    async def _refresh(self) -> None:
        try:
            listed = await self._ask(self.peer_urls)
        except PeerError as problem:
            self._trouble(f"cannot learn where the members are: {problem}")
            return
        self._trouble("")
        client_urls = self._usable(listed.client_urls)
        if client_urls:
            self._endpoints.replace(client_urls)
        peer_urls = self._usable(listed.peer_urls)
        if not peer_urls:
            return
        if set(peer_urls) != set(self.peer_urls):
            self._log.info(
                "peer URLs are {new}, no longer {old}",
                new=", ".join(peer_urls),
                old=", ".join(self.peer_urls),
            )
        self.peer_urls = peer_urls
        if peer_urls != self._kept:
            await self._write(peer_urls)

    async def _write(self, peer_urls: tuple[str, ...]) -> None:
        try:
            await self._keep(peer_urls)
        except StorageError as problem:
            # It matters at the next start only: forwarding goes on.
            self._log.error("cannot write the peer URLs: {why}", why=problem)
        else:
            self._kept = peer_urls

    def _usable(self, urls: tuple[str, ...]) -> tuple[str, ...]:
        usable = []
        for url in urls:
            try:
                check_url(url, bind=False)
            except ValueError as problem:
                self._log.warn("a member's URL is of no use: {why}", why=problem)
            else:
                usable.append(url)
        return tuple(usable)

    def _trouble(self, words: str) -> None:
        """Say so once, not every second."""
        if words and words != self._troubled:
            self._log.warn("{words}", words=words)
        self._troubled = words
