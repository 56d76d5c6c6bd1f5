"""Connections that ask one request after the other, and how long each answer took."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Final, cast

import attrs
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import connectProtocol
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from kvd.kvctl.bench.answers import AnswerReader, Garbled
from kvd.kvctl.bench.latencies import Latencies
from kvd.kvctl.bench.plan import Ask

ERRORS_MAX: Final = 100
PAUSE_SECONDS: Final = 0.1  # after a connection that failed

Source = Callable[[], Ask | None]


@attrs.define
class Result:
    """
    What came of a load.

    :ivar errors: how often each thing went wrong, in words; ``ERRORS_MAX`` different
        ones, the rest together.
    """

    latencies: Latencies = attrs.field(factory=Latencies)
    errors: Counter[str] = attrs.field(factory=Counter)

    def failed(self, why: str) -> None:
        known = why in self.errors or len(self.errors) < ERRORS_MAX
        self.errors[why if known else "other errors"] += 1

    @property
    def done(self) -> int:
        """Requests that have come to an end."""
        return self.latencies.count + self.errors.total()


@attrs.frozen(kw_only=True)
class Place:
    """
    A server.

    :ivar head: what each request has after its first line, with the end of the line.
    """

    endpoint: IStreamClientEndpoint
    head: bytes


class Conversation(Protocol):
    """
    One client's connection: a request, its answer, and the next request.

    :param source: None from it is the end.
    :ivar over: fires with the reason why it ended early, or with nothing.
    """

    def __init__(
        self,
        *,
        source: Source,
        result: Result,
        head: bytes,
        clock: IReactorTime,
        answer_seconds: float,
    ) -> None:
        self._source = source
        self._result = result
        self._head = head
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._reader = AnswerReader()
        self._asked_seconds: float | None = None
        self._late: IDelayedCall | None = None
        self._why = ""
        self.over: Deferred[str] = Deferred()

    def connectionMade(self) -> None:
        self._next()

    def dataReceived(self, data: bytes) -> None:
        try:
            status = self._reader.take(data)
        except Garbled as error:
            self._give_up(str(error))
            return
        if status is None:
            return
        if self._asked_seconds is None:
            self._give_up("an answer to nothing")
            return
        if status in {200, 201}:
            self._result.latencies.add(self._clock.seconds() - self._asked_seconds)
        else:
            self._result.failed(f"status {status}")
        self._asked_seconds = None
        self._next()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
        why = self._why
        if self._asked_seconds is not None:
            why = why or reason.getErrorMessage()
            self._result.failed(why)
        if not self.over.called:
            self.over.callback(why)

    def _next(self) -> None:
        ask = self._source()
        if ask is None:
            cast(ITCPTransport, self.transport).loseConnection()
            return
        self._asked_seconds = self._clock.seconds()
        if self._late is None:
            self._late = self._clock.callLater(self._answer_seconds, self._too_late)
        else:
            self._late.reset(self._answer_seconds)
        cast(ITCPTransport, self.transport).write(rendered(ask, self._head))

    def _too_late(self) -> None:
        self._give_up(f"no answer within {self._answer_seconds:g} s")

    def _give_up(self, why: str) -> None:
        self._why = why
        cast(ITCPTransport, self.transport).abortConnection()


class Load:
    """
    So many clients, spread over the places, until the source ends.

    A client whose connection ends goes on with the next place.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        places: Sequence[Place],
        clients: int,
        answer_seconds: float,
    ) -> None:
        self._clock = clock
        self._places = places
        self._clients = clients
        self._answer_seconds = answer_seconds

    def run(self, source: Source, result: Result) -> Deferred[None]:
        """Fires when every client is done; ``result`` grows meanwhile."""
        clients = [
            Deferred.fromCoroutine(self._client(number, source, result))
            for number in range(self._clients)
        ]
        return gatherResults(clients, consumeErrors=True).addCallback(lambda _: None)

    async def _client(self, number: int, source: Source, result: Result) -> None:
        first = number % len(self._places)
        for place in islice(cycle(self._places), first, None):
            conversation = Conversation(
                source=source,
                result=result,
                head=place.head,
                clock=self._clock,
                answer_seconds=self._answer_seconds,
            )
            try:
                await connectProtocol(place.endpoint, conversation)
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 -- whatever a connection may meet
                why = str(error) or type(error).__name__
                if source() is None:
                    return
                result.failed(why)
            else:
                why = await conversation.over
            if not why:
                return
            await deferLater(self._clock, PAUSE_SECONDS)


def rendered(ask: Ask, head: bytes) -> bytes:
    """The bytes of a request."""
    first = f"{ask.method} {ask.target} HTTP/1.1\r\n".encode("ascii")
    if not ask.form:
        return b"%b%b\r\n" % (first, head)
    return (
        b"%b%bContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (first, head, len(ask.form), ask.form)
    )
