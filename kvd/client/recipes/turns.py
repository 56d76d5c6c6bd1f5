"""Turns, one after the other: a ticket after a ticket until one holds."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, ClientError, NoAnswer
from kvd.client.recipes.held import Held
from kvd.client.recipes.kept import AGAIN_SECONDS, Gone, Times, unique_text
from kvd.client.recipes.tickets import Ticket


class Turns:
    """
    What passes from one to the next, in the order in which they came.

    :param path: a directory of its own.
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
        unique: Callable[[], str] = unique_text,
    ) -> None:
        self._client = client
        self._path = path
        self._times = Times.of(ttl, margin_seconds)
        self._unique = unique

    def _taken(self, text: str = "") -> Deferred[Held]:
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
                await deferLater(self._client.clock, AGAIN_SECONDS)

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
            times=self._times,
            lost=end,
        )
        try:
            await ticket.enter()
            waiting = Deferred.fromCoroutine(ticket.turn())
            await waiting
            ticket.check()
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
        held = Held(ticket.token, ticket)
        return held
