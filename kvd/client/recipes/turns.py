"""Turns, one after the other."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from kvd.client.client import Client
from kvd.client.recipes.held import Held
from kvd.client.recipes.kept import Times, unique_text
from kvd.client.recipes.taking import Taking


class Turns:
    """
    What passes from one to the next, in the order in which they came.

    :param path: a directory of its own.
    :param ttl: seconds; a third of it passes between two refreshes. At least twice the
        client's ``request_seconds``, or a member that hangs can cost it.
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
        taking = Taking(
            self._client,
            self._path,
            value=lambda: f"{self._unique()} {text}" if text else self._unique(),
            times=self._times,
        )
        return Deferred.fromCoroutine(
            taking.until(
                lambda ticket: ticket.turn(),
                lambda ticket, _: Held(ticket.token, ticket),
            )
        )
