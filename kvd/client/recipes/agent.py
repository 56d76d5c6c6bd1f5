"""HTTP to whoever serves under a name: ``service://name/path``."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from kvd.client.errors import ClientError, TooMany
from kvd.client.recipes.answering import Counted, Offered, cancellable
from kvd.client.recipes.balancing import Balancer, Load, Outliers, Picker, RoundRobin
from kvd.client.recipes.instances import Instance, Instances
from kvd.client.recipes.registry import ServiceRegistry
from kvd.client.wire import not_sent

T = TypeVar("T")
SCHEME: Final = b"service"
FAILING: Final = frozenset({502, 503, 504})
"""Statuses with which an instance says that it cannot."""


class NoInstance(ClientError):
    """
    Nobody serves under that name, or who does is not known yet; nothing was sent.

    .. versionadded:: 0.1
    """


@implementer(IAgent)
class ServiceAgent:
    """
    An agent that finds out itself who is asked, for ``treq.client.HTTPClient`` or alone.

    ::

        agent = ServiceAgent(registry, Agent(reactor), picker=LeastUsed)
        treq.client.HTTPClient(agent).get("service://web/users/3")

    What is promised:

    * Each request goes to an instance that is in the list when it is sent, chosen by
      the picker among those that did not fail lately; if all did, among all.
    * It goes to another instance only if the first one has certainly not seen it:
      nobody listens, no connection, a handshake that failed, and no part of the body
      was read. Everything else is the caller's to decide, whatever the method.
    * An instance counts as used until the body of its answer is complete.

    Other URLs go to the agent as they are, so a redirection leads where it says.

    :param agent: what requests are sent with. Its pool should not send again by itself
        (``HTTPConnectionPool.retryAutomatically``), which would be to the same one.
    :param picker: makes one for each name: :class:`RoundRobin`, :class:`LeastUsed`.
    :param outliers: when one that fails is left alone.
    :param failing: statuses that count as failures, too; the caller gets them.
    :param answer_seconds: until an answer begins; then it fails with
        :class:`twisted.internet.defer.TimeoutError`. None: the caller's matter.
    :param ready_seconds: that a request waits for the first list of its service.
    :param tries_max: instances that are tried for one request.
    :param services_max: names that are followed at once.
    :param pending_max: requests whose answers have not begun.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        registry: ServiceRegistry,
        agent: IAgent,
        *,
        picker: Callable[[], Picker] = RoundRobin,
        outliers: Outliers | None = None,
        failing: frozenset[int] = FAILING,
        answer_seconds: float | None = None,
        ready_seconds: float = 5.0,
        tries_max: int = 3,
        services_max: int = 100,
        pending_max: int = 1000,
    ) -> None:
        self._registry = registry
        self._agent = agent
        self._picker = picker
        self._outliers = outliers or Outliers()
        self._failing = failing
        self._answer_seconds = answer_seconds
        self._ready_seconds = ready_seconds
        self._tries_max = tries_max
        self._services_max = services_max
        self._pending_max = pending_max
        self._services: dict[str, _Service] = {}
        self._pending = 0

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """
        Ask; fires when the answer begins.

        :raises NoInstance:
        :raises TooMany: requests, or names.
        :raises Exception: what the agent says of the last instance that was tried.
        """
        if not uri.startswith(SCHEME + b"://"):
            return self._agent.request(method, uri, headers, bodyProducer)
        return Deferred.fromCoroutine(self._bounded(method, uri, headers, bodyProducer))

    def instances(self, service: str) -> tuple[Instance, ...]:
        """Who is known to serve; empty before the first request for them."""
        known = self._services.get(service)
        return () if known is None else known.instances.now

    def close(self) -> None:
        """Follow no list any more; a later request begins anew."""
        services, self._services = self._services, {}
        for each in services.values():
            each.instances.close()

    async def _bounded(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        body: IBodyProducer | None,
    ) -> IResponse:
        if self._pending >= self._pending_max:
            raise TooMany(f"{self._pending} requests are under way already")
        self._pending += 1
        try:
            return await self._in_turn(method, uri, headers, body)
        finally:
            self._pending -= 1

    async def _in_turn(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        body: IBodyProducer | None,
    ) -> IResponse:
        parts = URI.fromBytes(uri)
        name = parts.netloc.decode("ascii")
        service = await self._known(name)
        offered = None if body is None else Offered(body)
        tried: list[Load] = []
        while (load := service.balancer.pick(tried)) is not None:
            tried.append(load)
            url = _base(load.instance) + parts.originForm
            try:
                return await self._asked(load, method, url, headers, offered)
            except CancelledError:
                raise
            except Exception:
                begun = offered is not None and offered.begun
                if begun or len(tried) >= self._tries_max or not not_sent(Failure()):
                    raise
                problem = Failure()
        if tried:
            problem.raiseException()
        raise NoInstance(f"nobody serves {name}")

    async def _asked(
        self,
        load: Load,
        method: bytes,
        url: bytes,
        headers: Headers | None,
        body: IBodyProducer | None,
    ) -> IResponse:
        load.begin()
        try:
            asked = cancellable(self._agent.request(method, url, headers, body))
            if self._answer_seconds is not None:
                asked.addTimeout(self._answer_seconds, self._registry.clock, _too_late)
            response = await asked
        except CancelledError:
            load.end()
            raise
        except Exception:
            load.end()
            load.failed()
            raise
        if response.code in self._failing:
            load.failed()
        else:
            load.succeeded()
        return Counted(response, url, load.end)

    async def _known(self, name: str) -> _Service:
        """The service, once there is a list."""
        service = self._services.get(name)
        if service is None:
            if len(self._services) >= self._services_max:
                raise TooMany(f"{len(self._services)} services are followed already")
            service = self._services[name] = _Service(
                self._registry.instances(name),
                self._picker(),
                self._outliers,
                self._registry.clock,
            )
        try:
            await service.ready(self._ready_seconds)
        except ClientError:
            if service.problem is not None and self._services.get(name) is service:
                del self._services[name]  # the next request begins anew
            raise
        return service


class _Service:
    """One name that is followed."""

    def __init__(
        self,
        instances: Instances,
        picker: Picker,
        outliers: Outliers,
        clock: IReactorTime,
    ) -> None:
        self._clock = clock
        self._waiting: list[Deferred[None]] = []
        self._started = False
        self.instances = instances
        self.balancer = Balancer(lambda: instances.now, picker, outliers, clock)
        self.problem: Failure | None = None
        instances.start().addCallbacks(self._is_ready, self._refused)

    def ready(self, seconds: float) -> Deferred[None]:
        """
        Fires once there is a list.

        :raises NoInstance: not within that time.
        """
        waiting: Deferred[None] = Deferred()
        if self._started:
            waiting.callback(None)
        elif self.problem is not None:
            waiting.errback(self.problem)
        else:
            self._waiting.append(waiting)

        def late(_: object, __: float) -> Failure:
            return Failure(NoInstance("who serves is not known yet"))

        def over(result: T) -> T:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            return result

        return waiting.addTimeout(seconds, self._clock, late).addBoth(over)

    def _is_ready(self, _: object) -> None:
        self._started = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _refused(self, problem: Failure) -> None:
        self.problem = problem
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.errback(problem)


def _base(instance: Instance) -> bytes:
    address = (
        instance.address
        if "://" in instance.address
        else (f"http://{instance.address}")
    )
    return address.rstrip("/").encode()


def _too_late(_: object, seconds: float) -> Failure:
    return Failure(DeferredTimeout(f"no answer within {seconds:g} s"))
