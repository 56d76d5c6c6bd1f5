"""Where requests can be sent: the members' client URLs, and which of them failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger


class Endpoints:
    """
    Client URLs in the order in which they are tried.

    ::

        available -- failed --> held -- failure_wait_seconds later --> available

    :ivar urls: all of them.
    :param shuffle: brings a list into another order, so that proxies do not all burden
        the same member.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        shuffle: Callable[[list[str]], None],
        failure_wait_seconds: float,
    ) -> None:
        self._clock = clock
        self._shuffle = shuffle
        self._failure_wait_seconds = failure_wait_seconds
        self.urls: tuple[str, ...] = ()
        self._held: dict[str, float] = {}  # until when

    def replace(self, urls: Iterable[str]) -> None:
        """These are all; one that is held for its failure stays so."""
        listed = sorted(set(urls))
        if set(listed) != set(self.urls):
            self._log.info("endpoints found: {urls}", urls=", ".join(listed) or "none")
        self._held = {url: end for url, end in self._held.items() if url in listed}
        self._shuffle(listed)
        self.urls = tuple(listed)

    def available(self) -> tuple[str, ...]:
        """Those that are not held, in the order in which they should be tried."""
        now = self._clock.seconds()
        for url in [url for url, end in self._held.items() if end <= now]:
            del self._held[url]
        return tuple(url for url in self.urls if url not in self._held)

    def failed(self, url: str, why: str) -> None:
        """It did not answer: hold it for a while."""
        if url in self._held or url not in self.urls:
            return
        self._held[url] = self._clock.seconds() + self._failure_wait_seconds
        self._log.warn(
            "endpoint {url} is not asked for {seconds:g} s: {why}",
            url=url,
            seconds=self._failure_wait_seconds,
            why=why,
        )
