"""Members asked over HTTP, by Twisted's client and its pool of connections."""

# Twisted leaves Failure and parts of its HTTP client without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import RequestNotSent  # client has it, but not in __all__
from twisted.web.client import URI, Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    UNKNOWN_LENGTH,
    IAgentEndpointFactory,
    IBodyProducer,
    IResponse,
)
from zope.interface import implementer

from kvd.errors import KvdError
from kvd.proxy.fields import answer_fields
from kvd.proxy.upstream import SAFE, Answered, Lost, Question, Source, Taker, Unreached

IDLE_MAX: Final = 64
"""Unused connections kept for each member, and for each of two kinds of request."""

IDLE_SECONDS: Final = 30
"""Kept so long; a member that vanished meanwhile costs whoever is sent there next."""

_BODILESS: Final = frozenset({204, 304})

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class MemberClient:
    """
    Provides :class:`kvd.proxy.upstream.Upstream`.

    Requests that may be sent twice have connections of their own: should one turn out
    to be closed already, Twisted sends the request once more on a new one. Of others it
    would do so with DELETE.

    :param connect: an endpoint for a URL.
    :param prepare: called with the transport of each new connection.
    :param dial_seconds: what ``connect`` takes at most.
    :param read_seconds: without a byte of an answer, after which it is given up; 0: none.
    """

    def __init__(
        self,
        *,
        reactor: Reactor,
        connect: Callable[[str], IStreamClientEndpoint],
        prepare: Callable[[object], None],
        dial_seconds: float,
        read_seconds: float,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._answer_seconds = dial_seconds + read_seconds if read_seconds else 0.0
        self._read_seconds = read_seconds
        self._pools = [HTTPConnectionPool(reactor) for _ in range(2)]
        for pool in self._pools:
            pool.maxPersistentPerHost = IDLE_MAX
            pool.cachedConnectionTimeout = IDLE_SECONDS
        safe, unsafe = self._pools
        unsafe.retryAutomatically = False
        places = _Places(connect, prepare)
        self._safe, self._unsafe = (
            Agent.usingEndpointFactory(reactor, places, pool) for pool in (safe, unsafe)
        )

    def ask(self, url: str, question: Question) -> Deferred[Answered]:
        headers = Headers()
        for name, value in question.fields:
            headers.addRawHeader(name, value)
        agent = self._safe if question.method in SAFE else self._unsafe
        asked = agent.request(
            question.method,
            url.encode("ascii") + question.target,
            headers,
            _Body(question.body) if question.body else None,
        )
        if self._answer_seconds:
            asked.addTimeout(self._answer_seconds, self._clock, _too_late)
        cancelled = False

        def cancel(_: object) -> None:
            nonlocal cancelled
            cancelled = True
            asked.cancel()

        def failed(failure: Failure) -> Failure:
            # Twisted wraps it, and not always in the same way.
            return Failure(CancelledError()) if cancelled else _unanswered(failure)

        outcome: Deferred[Answered] = Deferred(cancel)
        asked.addCallbacks(self._answered, failed, (question.method,))
        asked.addBoth(outcome.callback)
        return outcome

    def close(self) -> Deferred[None]:
        closing = [pool.closeCachedConnections() for pool in self._pools]
        done: Deferred[None] = DeferredList(closing).addCallback(lambda _: None)
        return done

    def _answered(self, response: IResponse, method: bytes) -> Answered:
        length = None if response.length is UNKNOWN_LENGTH else int(response.length)
        bodiless = method == b"HEAD" or response.code in _BODILESS

        def deliver(taker: Taker) -> Source:
            delivery = _Delivery(taker, self._clock, self._read_seconds)
            response.deliverBody(cast(IProtocol, delivery))
            return delivery

        return Answered(
            status=response.code,
            phrase=response.phrase,
            fields=answer_fields(
                (
                    (name, value)
                    for name, values in response.headers.getAllRawHeaders()
                    for value in values
                ),
                length=None if bodiless else length,
            ),
            length=0 if bodiless else length,
            deliver=deliver,
        )


def _too_late(outcome: object, seconds: float) -> object:
    """What becomes of a request that was given up for its time."""
    if isinstance(outcome, Failure):
        return Failure(Lost(f"no answer within {seconds:g} s"))
    return outcome


def _unanswered(failure: Failure) -> Failure:
    if isinstance(failure.value, KvdError):
        return failure
    if isinstance(failure.value, RequestNotSent):
        return Failure(Unreached("its connection had just been closed"))
    return Failure(Lost(_reason(failure)))


def _reason(failure: Failure) -> str:
    """What Twisted wrapped, or what it is itself."""
    reasons = getattr(failure.value, "reasons", None) or [failure]
    return "; ".join(
        f"{each.type.__name__}: {each.getErrorMessage()}" for each in reasons
    )


@implementer(IAgentEndpointFactory)
class _Places:
    """Where a URL leads; a failure to get there is told apart from every other."""

    def __init__(
        self,
        connect: Callable[[str], IStreamClientEndpoint],
        prepare: Callable[[object], None],
    ) -> None:
        self._connect = connect
        self._prepare = prepare

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = b"[%b]" % uri.host if b":" in uri.host else uri.host
        url = f"{uri.scheme.decode('ascii')}://{host.decode('ascii')}:{uri.port}"
        # zope's plugin does not see that a class implements an interface.
        return cast(IStreamClientEndpoint, _Place(url, self._connect, self._prepare))


@implementer(IStreamClientEndpoint)
class _Place:
    """Asked for a connection only where there is none to be used again."""

    def __init__(
        self,
        url: str,
        connect: Callable[[str], IStreamClientEndpoint],
        prepare: Callable[[object], None],
    ) -> None:
        self._url = url
        self._connect = connect
        self._prepare = prepare

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        cast(Factory, protocolFactory).noisy = False
        endpoint = self._connect(self._url)
        attempt: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        cancelled = False

        def cancel(_: object) -> None:
            nonlocal cancelled
            cancelled = True
            attempt.cancel()

        def connected(protocol: IProtocol) -> IProtocol:
            self._prepare(cast(Protocol, protocol).transport)
            return protocol

        def failed(failure: Failure) -> Failure:
            if cancelled:  # an endpoint has an error of its own for it
                return Failure(CancelledError())
            return Failure(Unreached(failure.getErrorMessage()))

        outcome: Deferred[IProtocol] = Deferred(cancel)
        attempt.addCallbacks(connected, failed).addBoth(outcome.callback)
        return outcome


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


class _Delivery(Protocol):
    """
    One body between Twisted's client and who takes it.

    ::

        flowing -- pause --> paused -- resume --> flowing -- end --> over
              `--- drop, or silence for read_seconds --------------> over
    """

    def __init__(self, taker: Taker, clock: IReactorTime, read_seconds: float) -> None:
        self._taker: Taker | None = taker
        self._clock = clock
        self._read_seconds = read_seconds
        self._silence: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._listen()

    def dataReceived(self, data: bytes) -> None:
        if self._taker is not None:
            self._listen()
            self._taker.piece(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        taker, self._taker = self._taker, None
        self._do_not_listen()
        if taker is None:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            taker.ended()
        else:
            taker.broken(_reason(reason))

    def pause(self) -> None:
        self._do_not_listen()
        cast(IPushProducer, self.transport).pauseProducing()

    def resume(self) -> None:
        if self._taker is not None:
            self._listen()
            cast(IPushProducer, self.transport).resumeProducing()

    def drop(self) -> None:
        self._taker = None
        self._do_not_listen()
        if self.transport is not None:
            self.transport.loseConnection()

    def _listen(self) -> None:
        if not self._read_seconds:
            return
        self._do_not_listen()
        self._silence = self._clock.callLater(self._read_seconds, self._silent)

    def _do_not_listen(self) -> None:
        silence, self._silence = self._silence, None
        if silence is not None and silence.active():
            silence.cancel()

    def _silent(self) -> None:
        taker = self._taker
        self.drop()
        if taker is not None:
            taker.broken(f"nothing came for {self._read_seconds:g} s")
