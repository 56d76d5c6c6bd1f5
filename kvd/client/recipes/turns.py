"""Turns, one after the other: a ticket after a ticket until one holds."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, ClientError, NoAnswer
from kvd.client.recipes.tickets import AGAIN_SECONDS, Gone, Held, Ticket


def unique_text() -> str:
    """A text that nobody else makes."""
    return secrets.token_hex(16)


class Turns:
    """
    Takes turns in the queue of a directory.

    :raises ValueError: times that leave nothing to hold.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        ttl: int,
        margin_seconds: float | None,
        unique: Callable[[], str],
    ) -> None:
        margin = ttl / 10 if margin_seconds is None else margin_seconds
        if ttl < 1 or not 0 <= margin <= ttl / 2:
            raise ValueError("there must be a ttl, and a margin of at most half of it")
        self._client = client
        self._clock = client.clock
        self._path = path
        self._ttl = ttl
        self._margin_seconds = margin
        self._unique = unique

    def take(self, text: str = "") -> Deferred[Held]:
        """
        Wait for a turn, through failures; cancelling gives the place up.

        :param text: for others to read in the key's value, after what is unique in it.
        """
        return Deferred.fromCoroutine(self._take(text))

    async def _take(self, text: str) -> Held:
        while True:
            try:
                return await self._once(text)
            except BadAnswer:
                raise
            except (NoAnswer, Gone):
                await deferLater(self._clock, AGAIN_SECONDS)

    async def _once(self, text: str) -> Held:
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
            value=f"{self._unique()} {text}" if text else self._unique(),
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
