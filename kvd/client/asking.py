"""A request to the cluster: endpoint after endpoint, as long as that is safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred

from kvd.client.endpoints import Endpoints
from kvd.client.errors import (
    Attempt,
    BadAnswer,
    Closed,
    NoAnswer,
    TooMany,
    Unknown,
)
from kvd.client.limits import Limits
from kvd.client.wire import Answer, Lost, NotSent, Request, TooLong, Wire

T = TypeVar("T")


class Asker:
    """
    Tries the endpoints in turn.

    ::

        what came of it             a read          a write
        not sent                    next endpoint   next endpoint
        no answer, or half of one   next endpoint   Unknown
        status 500 and up           next endpoint   Unknown
        longer than is taken        BadAnswer       BadAnswer
        any other answer            the answer      the answer

    :param observe: called with endpoint and request before each try.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        endpoints: Endpoints,
        limits: Limits,
        observe: Callable[[str, Request], None] | None,
    ) -> None:
        self._wire = wire
        self._endpoints = endpoints
        self._limits = limits
        self._observe = observe
        self._pending = 0
        self._patient: set[Deferred[Answer]] = set()
        self.closed = False

    @property
    def endpoints(self) -> tuple[str, ...]:
        """In the order in which they would be tried now."""
        return self._endpoints.in_order

    async def ask(self, request: Request, only: Sequence[str] = ()) -> Answer:
        """
        The first answer.

        :param only: these endpoints instead of all.
        :raises NoAnswer: nothing was changed.
        :raises Unknown: something may have been.
        :raises TooMany: too many are asked already.
        :raises Closed:
        """
        if self._pending >= self._limits.pending_max:
            raise TooMany(f"{self._pending} requests are under way already")
        self._pending += 1
        try:
            return await self._in_turn(request, only)
        finally:
            self._pending -= 1

    def patiently(self, request: Request, endpoint: str) -> Deferred[Answer]:
        """
        The same of one endpoint, whose answer may come at any time; ends with the client.

        :raises TooMany: too many wait already.
        """
        if len(self._patient) >= self._limits.watches_max:
            raise TooMany(f"{len(self._patient)} watches wait already")
        asked = Deferred.fromCoroutine(self._in_turn(request, (endpoint,)))
        self._patient.add(asked)

        def over(result: T) -> T:
            self._patient.discard(asked)
            return result

        return asked.addBoth(over)

    def avoid(self, endpoint: str) -> None:
        """To be tried last: it answers, and is of no use."""
        self._endpoints.failed(endpoint)

    def close(self) -> None:
        """Begin nothing any more, and wait for nothing that may never come."""
        self.closed = True
        for asked in tuple(self._patient):
            asked.cancel()

    async def _in_turn(self, request: Request, only: Sequence[str]) -> Answer:
        attempts: list[Attempt] = []
        for endpoint in only or self._endpoints.in_order:
            if self.closed:
                raise Closed("the client is closed")
            if self._observe is not None:
                self._observe(endpoint, request)
            try:
                answer = await self._wire.ask(endpoint, request)
            except NotSent as problem:
                self._endpoints.failed(endpoint)
                attempts.append(Attempt(endpoint, str(problem)))
                continue
            except TooLong as problem:
                raise BadAnswer(endpoint, str(problem)) from None
            except Lost as problem:
                self._endpoints.failed(endpoint)
                attempts.append(Attempt(endpoint, str(problem)))
            else:
                if answer.status < 500 or answer.status in request.final:
                    self._endpoints.answered(endpoint)
                    return answer
                self._endpoints.failed(endpoint)
                said = answer.body[:200].decode(errors="replace").strip()
                attempts.append(Attempt(endpoint, f"status {answer.status}: {said}"))
            if not request.repeatable:
                raise Unknown(attempts)
        raise NoAnswer(attempts)
