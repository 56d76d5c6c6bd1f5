"""Whether a member hears of everything that happens, as far as it was looked into."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from kvd.client.asking import Asker
from kvd.client.errors import Attempt, NoAnswer, TooMany
from kvd.client.wire import Request

_PROBE: Final = Request("GET", "/health", final=frozenset({503}))
_NOBODY: Final = "", 0.0


class Soundness:
    """
    Asks a member now and then whether it could serve a write.

    One that answers so has applied all that had happened until it was asked; any other
    may lag behind by any time, and nothing that it tells shows that.
    """

    def __init__(self, asker: Asker, clock: IReactorTime) -> None:
        self._asker = asker
        self._clock = clock
        self._sound = _NOBODY
        self._looked_seconds: float | None = None

    def is_due(self, seconds: float) -> bool:
        """Whether nobody has looked for so long, since this was first asked."""
        now = self._clock.seconds()
        if self._looked_seconds is None:
            self._looked_seconds = now
        return now - self._looked_seconds >= seconds

    def since(self, endpoint: str) -> float | None:
        """When a member, with which nothing failed since, was last found to be sound."""
        sound, seconds = self._sound
        return seconds if sound == endpoint else None

    def doubt(self) -> None:
        """Something failed, so whoever answers now may know less."""
        self._sound = _NOBODY

    async def look(self, endpoint: str) -> tuple[Attempt, ...]:
        """Why a member is of no use; empty: it may be."""
        self._looked_seconds = begun_seconds = self._clock.seconds()
        try:
            answer = await self._asker.ask(_PROBE, (endpoint,))
        except TooMany:
            return ()  # the client has much to do; so it is asked later
        except NoAnswer as problem:
            return problem.attempts
        if answer.status == 503:
            self._asker.avoid(endpoint)
            return (Attempt(endpoint, "it has no quorum"),)
        if answer.status == 200:
            self._sound = endpoint, begun_seconds
        return ()
