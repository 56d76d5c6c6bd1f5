"""One ticket after the other, until what it is for has come."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import BadAnswer, ClientError, NoAnswer
from kvd.client.recipes.held import Held
from kvd.client.recipes.kept import AGAIN_SECONDS, Gone, Times
from kvd.client.recipes.tickets import Ticket

T = TypeVar("T")
H = TypeVar("H", bound=Held)


class Taking:
    """
    Takes tickets in a directory, each with a value that nobody else makes.

    :param value: makes them.
    """

    def __init__(
        self, client: Client, folder: str, *, value: Callable[[], str], times: Times
    ) -> None:
        self._client = client
        self._folder = folder
        self._value = value
        self._times = times

    # Any, Any: what goes into a coroutine from outside, nobody looks at.
    async def until(
        self,
        wait: Callable[[Ticket], Coroutine[Any, Any, T]],
        hold: Callable[[Ticket, T], H],
    ) -> H:
        """
        Wait with a ticket, and with another one if it was lost; cancelling gives it up.

        :param wait: for what it is for; raises :class:`Gone` if the ticket is lost.
        :param hold: makes what is held then.
        """
        while True:
            try:
                return await self._once(wait, hold)
            except BadAnswer:
                raise
            except (NoAnswer, Gone):
                await deferLater(self._client.clock, AGAIN_SECONDS)

    async def _once(
        self,
        wait: Callable[[Ticket], Coroutine[Any, Any, T]],
        hold: Callable[[Ticket, T], H],
    ) -> H:
        """With one ticket; :raises Gone: it was lost before."""
        held: H | None = None
        lost: list[str] = []
        waiting: Deferred[T] | None = None

        def end(why: str) -> None:
            lost.append(why)
            if held is not None:
                held.end(why)
            elif waiting is not None:
                waiting.cancel()

        ticket = Ticket(
            self._client,
            self._folder,
            value=self._value(),
            times=self._times,
            lost=end,
        )
        try:
            await ticket.enter()
            waiting = Deferred.fromCoroutine(wait(ticket))
            came = await waiting
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
        held = hold(ticket, came)
        return held
