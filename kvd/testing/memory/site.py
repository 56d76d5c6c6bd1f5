"""The client port of a member in memory: the real one, and what goes wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater

from kvd.config import Config
from kvd.errors import RequestError
from kvd.http.exchange import (
    Answer,
    Client,
    Handler,
    Outlet,
    Request,
    Response,
    Stream,
    Streaming,
)
from kvd.http.fields import HeaderBlock
from kvd.http.keyerrors import RAFT_INTERNAL_ERROR, error_response
from kvd.http.outgoing import Pipe
from kvd.http.site import ClientSite
from kvd.http.targets import RequestLine
from kvd.node.stats import RaftTraffic
from kvd.testing.clock import Process
from kvd.testing.member import Run
from kvd.testing.memory.plans import Kind, Plan, Planned

T = TypeVar("T")
_BCRYPT_COST = 4  # the least there is


class _Connected(Client):
    """A client whose connection can be broken."""

    __slots__ = ("pipe",)

    def __init__(self, client: Client, pipe: Pipe) -> None:
        super().__init__(client.address, client.names)
        self.pipe = pipe


@attrs.frozen(eq=False)
class Underway:
    """
    A request that a member has, and has not answered.

    :ivar began: virtual seconds.
    """

    member: str
    method: str
    target: str
    began: float

    @property
    def is_watch(self) -> bool:
        return self.method == "GET" and "wait=true" in self.target

    def __str__(self) -> str:
        return f"{self.method} {self.target} at {self.member}"


class _Threads:
    """Passwords are checked in a later turn of the member."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def run(self, call: Callable[[], T]) -> Deferred[T]:
        done: Deferred[T] = Deferred()

        def check() -> None:
            maybeDeferred(call).addBoth(done.callback)

        self._process.after(0, check)
        return done


@attrs.frozen
class _Stats:
    """As the server's own: what ``/v2/stats/self`` shows of it."""

    started_ns: int
    traffic: RaftTraffic


class _Diagnosis:
    """A process that is none has no figures."""

    command_line = ("kvd",)

    def metrics(self) -> bytes:
        return b""

    def disk_problem(self) -> str:
        return ""

    def log_from(self, level: str) -> bool:  # noqa: ARG002 -- the seam's
        return False

    def descriptors_max(self) -> int:
        return 0

    def memory(self) -> dict[str, int | bool]:
        return {}


class _Losing:
    """The outlet of a stream whose answer is to be lost."""

    blocked = False

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def send(self, piece: bytes) -> None:  # noqa: ARG002 -- it is lost
        self._outlet.abort()

    def end(self, last: bytes = b"") -> None:  # noqa: ARG002 -- it is lost
        self._outlet.abort()

    def abort(self) -> None:
        self._outlet.abort()


class _Telling:
    """An outlet and its stream, between each other; tells when either ends it."""

    def __init__(self, outlet: Outlet, over: Callable[[], None]) -> None:
        self._outlet = outlet
        self._over = over
        self._stream: Stream | None = None

    def begin(self, begin: Callable[[Outlet], Stream]) -> Stream:
        self._stream = begin(self)
        return self

    @property
    def blocked(self) -> bool:
        return self._outlet.blocked

    def send(self, piece: bytes) -> None:
        self._outlet.send(piece)

    def end(self, last: bytes = b"") -> None:
        self._over()
        self._outlet.end(last)

    def abort(self) -> None:
        self._over()
        self._outlet.abort()

    def taken(self) -> None:
        if self._stream is not None:
            self._stream.taken()

    def stop(self) -> None:
        self._over()
        if self._stream is not None:
            self._stream.stop()

    def finish(self) -> None:
        if self._stream is not None:
            self._stream.finish()


class Surroundings(Protocol):
    """What a site asks of the world in memory."""

    plan: Plan
    underway: dict[Underway, None]


class MemorySite(ClientSite):
    """
    The client port of one run of a member.

    :param name: of the member.
    """

    def __init__(
        self, run: Run, *, name: str, url: str, world: Surroundings, secret: bytes
    ) -> None:
        machine = run.machine
        super().__init__(
            config=Config(
                name=name, advertise_client_urls=(url,), bcrypt_cost=_BCRYPT_COST
            ),
            member=run.node,
            keys=run.v2,
            auth=run.auth,
            threads=_Threads(run.process),
            secret=secret,
            cluster=run.cluster,
            stats=_Stats(machine.clock.wall_time_ns(), run.node.traffic),
            diagnosis=_Diagnosis(),
            clock=run.process,
            wall_time_ns=machine.clock.wall_time_ns,
            randbelow=machine.random.randrange,
        )
        self._name = name
        self._world = world
        self._process = run.process
        self._cluster_id = f"{run.node.cluster_id:x}"

    def recognised(self, client: Client, transport: Any) -> Client:  # noqa: ANN401 -- a Pipe, as the channel knows
        return _Connected(super().recognised(client, transport), transport)

    def route(self, line: RequestLine, fields: HeaderBlock) -> tuple[str, Handler, int]:
        path, handler, limit = super().route(line, fields)
        return path, partial(self._begin, handler), limit

    def _begin(self, handler: Handler, request: Request) -> Answer | Deferred[Answer]:
        planned = self._world.plan.take(self._name, request.method, request.path)
        answer = self._planned(planned, handler, request)
        if isinstance(answer, Response):
            return answer
        return self._noted(request, answer)

    def _planned(
        self, planned: Planned | None, handler: Handler, request: Request
    ) -> Answer | Deferred[Answer]:
        if planned is None:
            return handler(request)
        match planned.kind:
            case Kind.FAIL:
                refusal = RequestError(RAFT_INTERNAL_ERROR, "planned by the test")
                response = error_response(refusal, self._cluster_id)
                return response._replace(status=planned.status)
            case Kind.LOSE_REQUEST:
                _break(request)
                return Deferred()
            case Kind.LOSE_ANSWER:
                return self._losing(handler(request), request)
            case Kind.DELAY:
                later = self._later(planned.seconds, handler, request)
                return Deferred.fromCoroutine(later)

    def _losing(
        self, answer: Answer | Deferred[Answer], request: Request
    ) -> Streaming | Deferred[Answer]:
        if isinstance(answer, Streaming):
            return _lost_stream(answer)
        if isinstance(answer, Deferred):
            # Of its own, so that who cancels it does not take back what was begun.
            answer.addCallback(lambda _: _break(request))
        else:
            _break(request)
        return Deferred()

    async def _later(
        self, seconds: float, handler: Handler, request: Request
    ) -> Answer:
        await deferLater(self._process, seconds)
        answer = handler(request)
        return await answer if isinstance(answer, Deferred) else answer

    # -- what is under way --------------------------------------------------------

    def _noted(
        self, request: Request, answer: Streaming | Deferred[Answer]
    ) -> Answer | Deferred[Answer]:
        target = f"{request.path}?{request.query}" if request.query else request.path
        noted = Underway(self._name, request.method, target, self._process.timeline.now)
        self._world.underway[noted] = None
        if isinstance(answer, Streaming):
            return self._noted_stream(noted, answer)

        def over(result: Answer) -> Answer:
            if isinstance(result, Streaming):
                return self._noted_stream(noted, result)
            self._over(noted)
            return result

        return answer.addBoth(over)

    def _noted_stream(self, noted: Underway, answer: Streaming) -> Streaming:
        begin = answer.begin
        return answer._replace(
            begin=lambda outlet: _Telling(outlet, partial(self._over, noted)).begin(
                begin
            )
        )

    def _over(self, noted: Underway) -> None:
        self._world.underway.pop(noted, None)


def _lost_stream(answer: Streaming) -> Streaming:
    begin = answer.begin
    return answer._replace(begin=lambda outlet: begin(_Losing(outlet)))


def _break(request: Request) -> None:
    """End its connection without a word."""
    if isinstance(request.client, _Connected):
        request.client.pipe.abortConnection()
