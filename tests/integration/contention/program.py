"""
A process that contends with others: ``python -m ...program SETTINGS``.

It plays each of its roles until it is told to end (SIGTERM), and exits.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived
from twisted.web.iweb import IResponse

from kvd.client import Client, Limits
from tests.integration.contention.record import PULSE_SECONDS, STALL_SECONDS, Book

T = TypeVar("T")
LIMITS = Limits(request_seconds=1.5, connect_seconds=1.0)
CALM = "calm"
"""The name of a file that is there once no harm is done any more."""


class Lossy:
    """
    Requests over which some answers to writes are lost, though the write was carried out.

    :param share: of them all.
    """

    def __init__(self, http, chance: random.Random, share: float) -> None:
        self._http = http
        self._chance = chance
        self._share = share

    def request(self, method: str, url: str, **options: object) -> Deferred:
        asked = self._http.request(method, url, **options)
        if method != "GET" and self._chance.random() < self._share:
            asked.addCallback(self._lose)
        return asked

    @staticmethod
    def _lose(response: IResponse) -> None:
        response.deliverBody(Protocol())
        raise ResponseNeverReceived([Failure(ConnectionLost())])


class Over(Exception):
    """The process is to end: nothing is waited for any more."""


class Work:
    """
    What a role is given.

    :ivar over: whether it should come to its end.
    :ivar chance: of its own, from the seed.
    :ivar who: this process; ``name``, and a number for each time it was started.
    :ivar peers: everybody's names, its own, too.
    :ivar root: a directory; below it are all keys.
    """

    def __init__(self, client: Client, book: Book, settings: dict, role: str) -> None:
        self.client = client
        self.reactor = reactor
        self.note = book.note
        self.who = settings["who"]
        self.name = self.who.partition(".")[0]
        self.peers = settings["peers"]
        self.root = settings["root"]
        self.chance = random.Random(f"{settings['seed']} {self.who} {role}")
        self.over = False
        self._calm = Path(settings["folder"]) / CALM
        self._waiting: set[Deferred] = set()

    @property
    def calm(self) -> bool:
        """Whether the faults are over, so that nothing new should be begun."""
        return self._calm.exists()

    def end(self) -> None:
        self.over = True
        for waited in tuple(self._waiting):
            waited.cancel()

    async def until_over(self, waited: Deferred[T]) -> T:
        """
        Wait for it, but not longer than for the end.

        :raises Over: then it was cancelled.
        """
        if self.over:
            waited.cancel()
        self._waiting.add(waited)
        try:
            return await waited
        except BaseException as problem:
            if self.over:
                raise Over from problem
            raise
        finally:
            self._waiting.discard(waited)

    async def pause(self, least_seconds: float, most_seconds: float) -> None:
        seconds = self.chance.uniform(least_seconds, most_seconds)
        await self.until_over(deferLater(reactor, seconds))


Role = Callable[[Work], Awaitable[None]]


async def play(name: str, work: Work) -> None:
    """One role, to its end; what is wrong with it is noted."""
    try:
        module, _, function = name.partition(":")
        role: Role = getattr(importlib.import_module(module), function)
        await role(work)
    except Over:
        pass
    except Exception:
        work.note("broke", role=name, how=traceback.format_exc())


class Pulse:
    """Notices that the process was not run, and that nobody needs it any more."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._parent = os.getppid()
        self._last = time.monotonic()
        self._stalled = False

    def beat(self) -> None:
        last, self._last = self._last, time.monotonic()
        if self._last - last > STALL_SECONDS:
            self._book.note("stalled", since=last)
            self._stalled = True
        elif self._stalled:
            self._book.note("awake")
            self._stalled = False
        if os.getppid() != self._parent:
            os._exit(1)


def main(settings: dict) -> None:
    book = Book(Path(settings["folder"]), settings["who"])
    client = Client(reactor, settings["urls"], limits=LIMITS)
    chance = random.Random(f"{settings['seed']} {settings['who']} answers")
    client._wire._http = Lossy(client._wire._http, chance, settings["lost_share"])
    works = [Work(client, book, settings, role) for role in settings["roles"]]
    ended = []

    def end(*_: object) -> None:
        if not ended:
            ended.append(True)
            for work in works:
                reactor.callFromThread(work.end)

    async def live() -> None:
        book.note("begun")
        await gatherResults(
            Deferred.fromCoroutine(play(role, work))
            for role, work in zip(settings["roles"], works, strict=True)
        )
        await client.close()
        book.note("ended")
        reactor.stop()

    signal.signal(signal.SIGTERM, end)
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(live()))
    LoopingCall(Pulse(book).beat).start(PULSE_SECONDS)
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
