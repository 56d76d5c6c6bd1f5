"""What an instance is asked and answers, until all of it is here."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TypeVar, cast
from urllib.parse import urljoin

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProtocol, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse
from zope.interface import implementer

T = TypeVar("T")


def cancellable(asked: Deferred[T]) -> Deferred[T]:
    """The same, but who cancels it sees just that, and not how an agent wraps it."""
    cancelled = False

    def cancel(_: Deferred[T]) -> None:
        nonlocal cancelled
        cancelled = True
        asked.cancel()

    def over(result: T | Failure) -> None:
        if not cancelled:
            outcome.callback(cast(T, result))

    outcome: Deferred[T] = Deferred(cancel)
    asked.addBoth(over)
    return outcome


@implementer(IResponse)
class Counted:
    """
    An answer as the agent gave it; says when its body is complete, or nobody wants it.

    A place that it sends to is made absolute, for whoever asked knew only the name.

    :param url: what was asked for, of this instance.
    :param over: called once.
    """

    def __init__(
        self, response: IResponse, url: bytes, over: Callable[[], None]
    ) -> None:
        self._response = response
        self.over = weakref.finalize(self, over)
        self.over.atexit = False
        self.version = response.version
        self.code = response.code
        self.phrase = response.phrase
        self.headers = _placed(response.headers, url)
        self.length = response.length
        self.request = response.request
        self.previousResponse = response.previousResponse
        if self.length == 0:
            self.over()

    def deliverBody(self, protocol: IProtocol) -> None:
        self._response.deliverBody(cast(IProtocol, _Passing(protocol, self)))

    def setPreviousResponse(self, response: IResponse) -> None:
        self.previousResponse = response


class _Passing(Protocol):
    """Hands a body on, and says when it has ended; till then the answer is wanted."""

    def __init__(self, protocol: IProtocol, counted: Counted) -> None:
        self._protocol = protocol
        self._counted = counted

    def connectionMade(self) -> None:
        self._protocol.makeConnection(cast(ITransport, self.transport))

    def dataReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._counted.over()
        self._protocol.connectionLost(reason)


@implementer(IBodyProducer)
class Offered:
    """
    A body that may be asked for again, as long as nobody has begun to read it.

    :ivar begun: somebody has.
    """

    def __init__(self, producer: IBodyProducer) -> None:
        self._producer = producer
        self.length = producer.length
        self.begun = False

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.begun = True
        return cast("Deferred[None]", self._producer.startProducing(consumer))

    def pauseProducing(self) -> None:
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()


def _placed(headers: Headers, url: bytes) -> Headers:
    found = headers.getRawHeaders(b"location")
    if not found:
        return headers
    made = headers.copy()
    base = url.decode("latin-1")
    made.setRawHeaders(
        b"location",
        [urljoin(base, each.decode("latin-1")).encode("latin-1") for each in found],
    )
    return made
