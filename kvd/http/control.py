"""Everything beside ``/v2/keys``: routed by Klein, answered by our own values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TypeAlias, cast

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException

from kvd.http import answers, tokens
from kvd.http.auth import BODY_BYTES_MAX as ACCOUNT_BYTES_MAX
from kvd.http.auth import PREFIX as AUTH
from kvd.http.auth import AuthApi
from kvd.http.bridge import BridgedRequest
from kvd.http.counts import RequestCounts
from kvd.http.diagnosis import Diagnosis
from kvd.http.exchange import Answer, Request, Response
from kvd.http.guard import Guard
from kvd.http.loglevel import BODY_BYTES_MAX as LOG_BYTES_MAX
from kvd.http.loglevel import PATH as LOG
from kvd.http.loglevel import LogLevel
from kvd.http.memberform import BODY_BYTES_MAX as MEMBER_BYTES_MAX
from kvd.http.members import PREFIX as MEMBERS
from kvd.http.members import Members
from kvd.http.probes import Probes
from kvd.http.settings import HttpSettings
from kvd.http.stats import Stats
from kvd.http.status import Status
from kvd.http.store import ClusterView, KeysStore, ServerStats
from kvd.http.tokens import Tokens
from kvd.http.variables import Variables
from kvd.node.interfaces import Member

_ACCOUNTS = ("users", "roles")
_BELOW = ("", "/", "/<path:_rest>")
_Handle: TypeAlias = Callable[["Control", Request], Response | Deferred[Response]]


def _route(
    app: Klein, *paths: str, methods: Sequence[str] = ()
) -> Callable[[_Handle], _Handle]:
    """
    Route requests to a method that knows our values only.

    :param methods: others get 405 with these, in this order; empty for all.
    """

    def decorate(handle: _Handle) -> _Handle:
        @wraps(handle)
        def routed(
            self: Control, request: BridgedRequest, _rest: str = ""
        ) -> bytes | Deferred[bytes]:
            given = request.given
            if methods and given.method not in methods:
                return request.answer_with(answers.method_not_allowed(methods))
            response = handle(self, given)
            if isinstance(response, Deferred):
                return response.addCallback(request.answer_with)
            return request.answer_with(response)

        for path in paths:
            app.route(path)(routed)
        return handle

    return decorate


class Control:
    """The control plane of one member."""

    _log = Logger()
    _app = Klein()

    def __init__(
        self,
        *,
        settings: HttpSettings,
        member: Member,
        store: KeysStore,
        cluster: ClusterView,
        stats: ServerStats,
        counts: RequestCounts,
        diagnosis: Diagnosis,
        auth: AuthApi,
        guard: Guard,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
        tokens: Tokens,
    ) -> None:
        self._auth = auth
        self._guard = guard
        self._members = Members(
            member=member,
            cluster=cluster,
            wall_time_ns=wall_time_ns,
            json_depth_max=settings.json_depth_max,
            join_as_voter=settings.join_as_voter,
        )
        self._stats = Stats(
            name=settings.name,
            member=member,
            store=store,
            stats=stats,
            clock=clock,
            wall_time_ns=wall_time_ns,
        )
        self._status = Status(
            member=member, store=store, cluster=cluster, counts=counts, clock=clock
        )
        self._diagnosis = diagnosis
        self._probes = Probes(member=member, diagnosis=diagnosis, clock=clock)
        self._variables = Variables(member=member, diagnosis=diagnosis)
        self._log_level = LogLevel(diagnosis, json_depth_max=settings.json_depth_max)
        self._tokens = tokens
        self._resource = self._app.resource()

    def body_bytes_max(self, method: str, path: str) -> int:
        """How much of the request's body its handler wants to see; 0: nothing."""
        if path == MEMBERS or path.startswith(f"{MEMBERS}/"):
            return MEMBER_BYTES_MAX if method in {"POST", "PUT"} else 0
        if path.startswith(f"{AUTH}/") and method == "PUT":
            return ACCOUNT_BYTES_MAX
        if path == tokens.PATH:
            return tokens.BODY_BYTES_MAX if method in {"POST", "PUT"} else 0
        return LOG_BYTES_MAX if path == LOG and method == "PUT" else 0

    def answer(self, request: Request) -> Deferred[Answer]:
        """The handler of all these routes."""
        bridged = BridgedRequest(request)
        self._resource.render(bridged)
        return bridged.answered

    @_route(_app, "/version", methods=["GET"])
    def _version(self, _request: Request) -> Response:
        return self._status.version()

    @_route(_app, "/health", methods=["GET"])
    def _health(self, request: Request) -> Response | Deferred[Response]:
        return self._status.health(request)

    @_route(_app, "/metrics")
    def _metrics(self, _request: Request) -> Response:
        return Response(200, answers.METRICS, self._diagnosis.metrics())

    @_route(_app, "/livez", methods=["GET", "HEAD"])
    def _alive(self, request: Request) -> Response:
        return self._probes.alive(request)

    @_route(_app, "/readyz", methods=["GET", "HEAD"])
    def _ready(self, request: Request) -> Response | Deferred[Response]:
        return self._probes.ready(request)

    @_route(_app, "/debug/vars", methods=["GET"])
    def _all_variables(self, _request: Request) -> Response:
        return self._variables.get()

    @_route(_app, LOG, methods=["PUT"])
    def _change_log_level(self, request: Request) -> Response:
        return self._log_level.put(request)

    @_route(_app, "/v2/machines", methods=["GET", "HEAD"])
    def _machines(self, _request: Request) -> Response:
        return self._members.machines()

    @_route(_app, MEMBERS, f"{MEMBERS}/", f"{MEMBERS}/<path:_rest>")
    def _all_members(self, request: Request) -> Response | Deferred[Response]:
        if request.method in {"POST", "PUT", "DELETE"}:
            return self._guard.as_root(
                request, lambda asker: self._members.answer(request, asker.user)
            )
        return self._members.answer(request)

    @_route(
        _app,
        f"{AUTH}/enable",
        *(f"{AUTH}/{kind}{rest}" for kind in _ACCOUNTS for rest in _BELOW),
    )
    def _accounts(self, request: Request) -> Response | Deferred[Response]:
        return self._auth.answer(request)

    @_route(_app, "/v2/stats/self", methods=["GET"])
    def _stats_self(self, _request: Request) -> Response:
        return self._stats.myself()

    @_route(_app, "/v2/stats/leader", methods=["GET"])
    def _stats_leader(self, _request: Request) -> Response:
        return self._stats.leader()

    @_route(_app, "/v2/stats/store", methods=["GET"])
    def _stats_store(self, _request: Request) -> Response:
        return self._stats.store()

    @_route(_app, tokens.PATH, methods=tokens.METHODS)
    def _new_token(self, request: Request) -> Response | Deferred[Response]:
        return self._tokens.answer(request)

    @_app.handle_errors
    def _failed(self, request: IRequest, failure: Failure) -> bytes:  # type: ignore[misc]  # Klein types functions only
        bridged = cast(BridgedRequest, request)
        if isinstance(failure.value, HTTPException):
            # Whatever werkzeug has against a path, to etcd it is not there.
            return bridged.answer_with(answers.NOT_FOUND)
        if not isinstance(failure.value, CancelledError):
            path = bridged.given.path
            self._log.failure("while answering {path}", failure, path=path)
        return bridged.answer_with(answers.INTERNAL_ERROR)
