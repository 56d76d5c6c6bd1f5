"""One at a time, among programs that do not know each other."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import secrets
from collections.abc import Callable
from types import TracebackType

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, ClientError, NoAnswer
from kvd.client.recipes.tickets import AGAIN_SECONDS, Gone, Held, Ticket


def _unique() -> str:
    return secrets.token_hex(16)


class Lock:
    """
    A lock: a directory in which everybody who wants it has a key, the oldest holds it.

    What is promised:

    * Two holders' tokens are different, and the later one's is greater; in the order of
      the cluster's log, one's key was gone before the other one held the lock.
    * A holder that runs is told that the lock is lost before anybody else can have it,
      as long as the members' clocks differ by less than ``margin_seconds``, all clocks
      run at the same pace, and nobody else removes its key. One that was stopped (a
      debugger, a sleeping machine) cannot be told in time, and one whose key was removed
      is told at the next refresh; against that, what is guarded has to compare tokens.
    * Who waits is served in the order of arrival. Who dies is passed over ``ttl`` seconds
      after it was last heard of.

    ::

        async with Lock(client, "/locks/report") as held:
            ...  # held.token, held.when_lost()

    :param path: a directory of the lock's own.
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
        unique: Callable[[], str] = _unique,
    ) -> None:
        margin = ttl / 10 if margin_seconds is None else margin_seconds
        if ttl < 1 or not 0 <= margin <= ttl / 2:
            raise ValueError("a lock needs a ttl, and a margin of at most half of it")
        self._client = client
        self._clock = client.clock
        self._path = path
        self._ttl = ttl
        self._margin_seconds = margin
        self._unique = unique
        self._entered: Held | None = None

    def acquire(self) -> Deferred[Held]:
        """
        Wait for it, through failures of members too; cancelling gives the place up.

        :raises ClientError: what waiting does not help against: a :class:`KeysError`,
            :class:`TooMany`, :class:`Closed`.
        """
        return Deferred.fromCoroutine(self._acquire())

    async def __aenter__(self) -> Held:
        held = await self.acquire()
        if self._entered is not None:
            await held.release()
            raise RuntimeError("this lock is entered already; it needs another one")
        self._entered = held
        return held

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        held, self._entered = self._entered, None
        if held is not None:
            await held.release()

    async def _acquire(self) -> Held:
        while True:
            try:
                return await self._once()
            except BadAnswer:
                raise
            except (NoAnswer, Gone):
                await deferLater(self._clock, AGAIN_SECONDS)

    async def _once(self) -> Held:
        """With one ticket; :raises Gone: it was lost before its turn."""
        held: Held | None = None
        lost: list[str] = []
        waiting: Deferred[None] | None = None

        def end(why: str) -> None:
            lost.append(why)
            if held is not None:
                held.end(why)
            elif waiting is not None:
                waiting.cancel()

        ticket = Ticket(
            self._client,
            self._path,
            value=self._unique(),
            ttl=self._ttl,
            margin_seconds=self._margin_seconds,
            lost=end,
        )
        try:
            await ticket.enter()
            waiting = Deferred.fromCoroutine(ticket.turn())
            await waiting
            if lost:
                raise Gone(lost[0])
        except NoAnswer:  # nothing was created
            raise
        except CancelledError:
            giving_up = Deferred.fromCoroutine(ticket.withdraw())
            if not lost:
                raise
            await giving_up
            raise Gone(lost[0]) from None
        except ClientError:
            await ticket.withdraw()
            raise
        held = Held(ticket)
        return held
