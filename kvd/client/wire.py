"""One request to one endpoint, by treq; what may have arrived is told from what has not."""

# Twisted leaves Failure and parts of its HTTP client without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import base64
from typing import Any, Final, Protocol, cast

import attrs
from OpenSSL.SSL import Error as OpenSslError
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    DNSLookupError,
)
from twisted.internet.interfaces import IConsumer, IDelayedCall, IProtocol, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import RequestNotSent  # client has it, but not in __all__
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from kvd.client.errors import ClientError
from kvd.client.limits import Limits
from kvd.client.tls import TLS, Policy

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

_REJECTIONS: Final = (
    "certificate",
    "unknown ca",
    "handshake",
    "version",
    "unsupported protocol",
    "http request",
)
"""In OpenSSL's words for a connection that never carried a request."""

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


@attrs.frozen
class Request:
    """
    What is asked, of whichever endpoint.

    :ivar target: path and query, escaped.
    :ivar patient: the body of its answer may come at any time, or never.
    :ivar final: statuses from 500 up that are an answer, and not the lack of one.
    """

    method: str
    target: str
    body: bytes = attrs.field(default=b"", repr=False)
    content_type: str = ""
    patient: bool = False
    final: frozenset[int] = frozenset()

    @property
    def repeatable(self) -> bool:
        """Whether it changes nothing, however often it is carried out."""
        return self.method == "GET"


@attrs.frozen
class Answer:
    """What an endpoint said to it."""

    endpoint: str
    status: int
    headers: dict[str, str]
    body: bytes = attrs.field(repr=False)


class NotSent(ClientError):
    """The endpoint has certainly not seen the request."""


class Lost(ClientError):
    """The endpoint may have taken the request; its answer did not come."""


class TooLong(Lost):
    """More of an answer than the client takes; it would be the same a second time."""


class Http(Protocol):
    """What a client wants of treq, so that a test may give it something else."""

    # treq's options have many types.
    def request(
        self,
        method: str,
        url: str,
        **options: Any,  # noqa: ANN401
    ) -> Deferred[IResponse]: ...


class Wire:
    """
    The HTTP side of one client.

    :param http: None: treq on a pool of the client's own.
    :param auth: a user's name and password, for Basic authentication.
    """

    def __init__(
        self,
        *,
        reactor: Reactor,
        limits: Limits,
        tls: TLS | None,
        auth: tuple[str, str] | None,
        http: Http | None,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._limits = limits
        self._headers = {"User-Agent": "kvd-client", "Accept": JSON}
        if auth is not None:
            named = base64.b64encode(":".join(auth).encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {named}"
        self._pool: HTTPConnectionPool | None = None
        self._http: Http = self._treq(reactor, tls or TLS()) if http is None else http

    def _treq(self, reactor: Reactor, tls: TLS) -> Http:
        pool = self._pool = HTTPConnectionPool(reactor)
        # Whether a request may be sent again is decided here, and not by its method.
        pool.retryAutomatically = False
        pool.maxPersistentPerHost = self._limits.idle_max
        pool.cachedConnectionTimeout = cast(int, self._limits.idle_seconds)
        agent = Agent(
            reactor,
            contextFactory=cast(IPolicyForHTTPS, Policy(tls)),
            connectTimeout=self._limits.connect_seconds,
            pool=pool,
        )
        return cast(Http, HTTPClient(agent, data_to_body_producer=_producer))

    async def ask(self, endpoint: str, request: Request) -> Answer:
        """
        One try.

        :raises NotSent:
        :raises Lost: also an answer that is cut off, too late, or too long.
        """
        clock = self._clock
        deadline = clock.seconds() + self._limits.request_seconds
        headers = dict(self._headers)
        if request.content_type:
            headers["Content-Type"] = request.content_type
        asked = self._http.request(
            request.method,
            endpoint + request.target,
            headers=headers,
            data=request.body or None,
            allow_redirects=False,
            unbuffered=True,
            reactor=clock,
        )
        response = await self._within(asked, self._limits.request_seconds)
        collecting = _Collector(self._limits.body_bytes_max)
        response.deliverBody(cast(IProtocol, collecting))
        body = await self._within(
            collecting.body,
            None if request.patient else max(0.0, deadline - clock.seconds()),
        )
        return Answer(endpoint, response.code, _fields(response), body)

    def close(self) -> Deferred[None]:
        """Drop connections that nobody uses; fires when they are gone."""
        if self._pool is None:
            return succeed(None)
        closing = self._pool.closeCachedConnections()
        return cast("Deferred[None]", closing.addCallback(lambda _: None))

    def _within(self, asked: Deferred[Any], seconds: float | None) -> Deferred[Any]:
        """
        Its outcome, or the reason why there is none, as one of our two.

        Twisted wraps a cancellation, and not always in the same way; who cancels this
        one sees just that.
        """
        why = ""
        late: IDelayedCall | None = None

        def too_late() -> None:
            nonlocal why
            why = f"no answer within {self._limits.request_seconds:g} s"
            asked.cancel()

        def cancel(_: object) -> None:
            nonlocal why
            why = "cancelled"
            asked.cancel()

        def over(result: object) -> object:
            if late is not None and late.active():
                late.cancel()
            if not isinstance(result, Failure) or outcome.called:
                return result
            if why == "cancelled":
                return Failure(CancelledError())
            return Failure(_trouble(result, why))

        outcome: Deferred[Any] = Deferred(cancel)
        if seconds is not None:
            late = self._clock.callLater(seconds, too_late)
        asked.addBoth(over)
        asked.addBoth(outcome.callback)
        return outcome


def _fields(response: IResponse) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }


def _trouble(failure: Failure, why: str) -> ClientError:
    """Whether the endpoint may have seen it, judged by what Twisted has wrapped."""
    if isinstance(failure.value, ClientError):
        return failure.value
    reasons = getattr(failure.value, "reasons", None) or [failure]
    text = why or "; ".join(map(_words, reasons))
    return NotSent(text) if not_sent(failure) else Lost(text)


def not_sent(failure: Failure) -> bool:
    """Whether the other end has certainly not seen a request that failed so."""
    reasons = getattr(failure.value, "reasons", None) or [failure]
    causes = [failure.value, *(each.value for each in reasons)]
    return any(map(_is_before_sending, causes))


def _words(failure: Failure) -> str:
    if isinstance(failure.value, OpenSslError):
        return _openssl(failure.value)
    return failure.getErrorMessage() or type(failure.value).__name__


def _is_before_sending(cause: BaseException) -> bool:
    if isinstance(cause, OpenSslError):
        text = _openssl(cause).lower()
        return any(each in text for each in _REJECTIONS)
    return isinstance(
        cause,
        ConnectError
        | ConnectingCancelledError
        | DNSLookupError
        | VerificationError
        | RequestNotSent,
    )


def _openssl(error: OpenSslError) -> str:
    try:
        return "TLS: " + ", ".join(reason for _, _, reason in error.args[0])
    except (IndexError, TypeError, ValueError):
        return f"TLS: {error!r}"


@implementer(IBodyProducer)
class _Body:
    """All of it at once: it is in memory anyway."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


def _producer(data: bytes) -> IBodyProducer:
    return cast(IBodyProducer, _Body(data))


class _Collector(TwistedProtocol):
    """A whole body, up to a limit; whoever cancels it ends the connection."""

    def __init__(self, bytes_max: int) -> None:
        self._max = bytes_max
        self._pieces = bytearray()
        self.body: Deferred[bytes] = Deferred(lambda _: self._drop())

    def dataReceived(self, data: bytes) -> None:
        if self.body.called:
            return
        self._pieces += data
        if len(self._pieces) > self._max:
            self.body.errback(TooLong(f"an answer of more than {self._max} bytes"))
            self._drop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.body.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.body.callback(bytes(self._pieces))
        else:
            self.body.errback(reason)

    def _drop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
