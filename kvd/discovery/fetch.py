"""One HTTP request to a discovery service and its answer, bounded in time and bytes."""

# Twisted leaves its HTTP client and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    ProxyAgent,
    ResponseDone,
    ResponseFailed,
    _HTTP11ClientFactory,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from kvd.discovery.failures import DiscoveryFailed, Late, Unreachable

BYTES_MAX: Final = 1 << 20
"""Of an answer's body: what a hundred members register is a tenth of it."""

REDIRECTS_MAX: Final = 10
"""etcd's."""

CONNECT_SECONDS: Final = 30.0
"""etcd's."""

_MOVED: Final = frozenset({301, 302, 303, 307, 308})

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


@attrs.frozen
class Fetched:
    """
    An answer.

    :ivar index: ``X-Etcd-Index``, 0 when there is none.
    """

    status: int
    index: int
    body: bytes


class Fetch(Protocol):
    """How a registry reaches its service."""

    def __call__(
        self, method: str, url: str, *, form: str = "", seconds: float
    ) -> Deferred[Fetched]:
        """
        Any answer whatever its status. Cancelling gives up at once.

        :raises Late: not within so many seconds.
        :raises Unreachable: no connection, or it was lost.
        :raises DiscoveryFailed: an answer that is too long, or leads nowhere.
        """
        ...


def agent_of(reactor: Reactor, proxy: str) -> IAgent:
    """
    What carries the requests; connections are not kept.

    :param proxy: ``http://host:port`` of an HTTP proxy, empty for none.
    """
    pool = HTTPConnectionPool(reactor, persistent=False)
    pool._factory = _QuietFactory  # noqa: SLF001 -- no public way
    if not proxy:
        agent: IAgent = Agent(reactor, connectTimeout=CONNECT_SECONDS, pool=pool)
        return agent
    parts = urlsplit(proxy)
    endpoint = HostnameEndpoint(
        reactor, parts.hostname or "", parts.port or 80, CONNECT_SECONDS
    )
    proxied: IAgent = ProxyAgent(endpoint, reactor, pool)
    return proxied


class _QuietFactory(_HTTP11ClientFactory):
    noisy = False


class HttpFetch:
    """
    :class:`Fetch` over an agent.

    Redirects are followed with the method that was asked for, as etcd follows them.
    """

    def __init__(self, *, agent: IAgent, clock: IReactorTime) -> None:
        self._agent = agent
        self._clock = clock

    def __call__(
        self, method: str, url: str, *, form: str = "", seconds: float
    ) -> Deferred[Fetched]:
        fetching = Deferred.fromCoroutine(self._follow(method, url, form))
        fetching.addTimeout(seconds, self._clock)

        def failed(failure: Failure) -> Failure:
            if failure.check(DeferredTimeout):
                raise Late(f"no answer within {seconds:g} s")
            return failure

        return fetching.addErrback(failed)

    async def _follow(self, method: str, url: str, form: str) -> Fetched:
        for _ in range(REDIRECTS_MAX + 1):
            response = await self._ask(method, url, form)
            body = await _body(response)
            if response.code not in _MOVED:
                return Fetched(response.code, _index(response), body)
            url = urljoin(url, _header(response, b"location"))
            if urlsplit(url).scheme not in {"http", "https"}:
                raise DiscoveryFailed(f"discovery: redirected to {url}")
        raise DiscoveryFailed(f"discovery: too many redirects, the last one to {url}")

    async def _ask(self, method: str, url: str, form: str) -> IResponse:
        headers = Headers({b"accept": [b"application/json"]})
        producer = None
        if form:
            headers.addRawHeader(b"content-type", b"application/x-www-form-urlencoded")
            producer = _Form(form.encode("ascii"))
        try:
            response: IResponse = await self._agent.request(
                method.encode("ascii"), url.encode("ascii"), headers, producer
            )
        except (ConnectError, ConnectionClosed, DNSLookupError) as error:
            raise Unreachable(str(error)) from None
        except ResponseFailed as error:
            if any(reason.check(CancelledError) for reason in error.reasons):
                raise CancelledError from None
            raise Unreachable(_reasons(error)) from None
        return response


@implementer(IBodyProducer)
class _Form:
    """A request's body, sent in one piece."""

    def __init__(self, form: bytes) -> None:
        self._form = form
        self.length = len(form)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._form)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It has been sent."""

    def resumeProducing(self) -> None:
        """It has been sent."""

    def stopProducing(self) -> None:
        """It has been sent."""


class _Body(TwistedProtocol):
    """Collects an answer's body."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._hang_up())
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        self._pieces.append(data)
        if self._size > BYTES_MAX and not self.done.called:
            self._hang_up()
            self.done.errback(
                DiscoveryFailed(
                    "discovery: bad discovery endpoint: an answer of more than "
                    f"{BYTES_MAX} bytes"
                )
            )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        # The second: it said no length, and closed; what it said must be whole JSON.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(b"".join(self._pieces))
        else:
            error = reason.value
            why = _reasons(error) if isinstance(error, ResponseFailed) else str(error)
            self.done.errback(Unreachable(why))

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


def _body(response: IResponse) -> Deferred[bytes]:
    body = _Body()
    response.deliverBody(body)
    return body.done


def _reasons(error: ResponseFailed) -> str:
    return "; ".join(str(reason.value) for reason in error.reasons)


def _header(response: IResponse, name: bytes) -> str:
    values: list[bytes] = response.headers.getRawHeaders(name) or [b""]
    return values[-1].decode("ascii", "backslashreplace")


def _index(response: IResponse) -> int:
    text = _header(response, b"x-etcd-index")
    return int(text) if text.isdecimal() and len(text) < 20 else 0
