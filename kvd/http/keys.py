"""``/v2/keys``: from a request to a store operation and back (V2-SPEC 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.errors import RequestError, Unavailable, invariant
from kvd.http.answers import method_not_allowed
from kvd.http.counts import RequestCounts
from kvd.http.exchange import Answer, Request, Response
from kvd.http.guard import Guard
from kvd.http.keyerrors import UNAUTHORISED, error_response, unavailable_response
from kvd.http.params import KeyParams, read_params
from kvd.http.pathlimits import PathLimits
from kvd.http.render import event_json
from kvd.http.store import AuthView, KeysStore
from kvd.http.watches import Watches
from kvd.node.interfaces import Applied, Member
from kvd.v2.auth import INSUFFICIENT
from kvd.v2.commands import Asker, Command, Op, encode_command
from kvd.v2.events import Event
from kvd.v2.expiry import expiration_from_ttl

PREFIX = "/v2/keys"
_ALLOWED = ("HEAD", "GET", "PUT", "POST", "DELETE")
_NO_VALUE_ACTIONS = frozenset(("set", "create", "update", "compareAndSwap"))


class _Asked(NamedTuple):
    """A request that is in order; ``began`` in the clock's seconds."""

    method: str
    path: str
    params: KeyParams
    began: float


class Keys:
    """The keys API of one member."""

    def __init__(
        self,
        *,
        member: Member,
        store: KeysStore,
        auth: AuthView,
        guard: Guard,
        watches: Watches,
        paths: PathLimits,
        counts: RequestCounts,
        seconds: Callable[[], float],
        wall_time_ns: Callable[[], int],
    ) -> None:
        self._member = member
        self._counts = counts
        self._received = counts.received
        self._succeeded = counts.succeeded
        self._seconds = seconds
        self._store = store
        self._auth = auth
        self._guard = guard
        self._watches = watches
        self._paths = paths
        self._wall_time_ns = wall_time_ns
        self._cluster_id = f"{member.cluster_id:x}"
        self._headers = (
            b"Content-Type: application/json\r\n"
            b"X-Etcd-Cluster-Id: %b\r\n" % self._cluster_id.encode("ascii")
        ) + b"X-Etcd-Index: %d\r\nX-Raft-Index: %d\r\nX-Raft-Term: %d\r\n"

    def answer(self, request: Request) -> Answer | Deferred[Answer]:
        """The handler of this API."""
        method = request.method
        if method not in _ALLOWED:
            return method_not_allowed(_ALLOWED)
        began = self._seconds()
        try:
            params = read_params(request)
            path = request.path[len(PREFIX) :].removesuffix("/") or "/"
            if len(path) > self._paths.usual:
                self._paths.check(path)
        except RequestError as error:
            return error_response(error, self._cluster_id)
        auth = self._auth
        # Every keys request looks at etcd's auth switch.
        self._store.stats.count_get(ok=auth.written)
        if method == "GET" and not (auth.enabled or params.quorum or params.wait):
            self._received["GET"] += 1  # the usual request, without further ado
            return self._read("GET", path, params, began)
        asked = _Asked(method, path, params, began)
        if params.quorum and method == "GET":
            return self._quorum_get(request, asked)
        if auth.enabled:
            return self._guarded(request, asked)
        return self._carry_out(request, asked, None)

    def _guarded(self, request: Request, asked: _Asked) -> Answer | Deferred[Answer]:
        """Find out who asks, which may take a while, then whether he may."""
        asker = self._guard.asker(request)
        if not isinstance(asker, Deferred):
            return self._judged(asker, request, asked)
        answer: Deferred[Answer] = asker.addCallback(self._judged, request, asked)
        return answer.addErrback(self._failed, asked.method)

    def _judged(
        self, asker: Asker | None, request: Request, asked: _Asked
    ) -> Answer | Deferred[Answer]:
        allowed = self._guard.allows(
            asker,
            request.path[len(PREFIX) :],
            write=asked.method not in {"GET", "HEAD"},
            recursive=asked.params.recursive,
        )
        if allowed:
            return self._carry_out(request, asked, asker)
        refused = RequestError(UNAUTHORISED, INSUFFICIENT)
        return error_response(refused, self._cluster_id)

    def _carry_out(
        self, request: Request, asked: _Asked, asker: Asker | None
    ) -> Answer | Deferred[Answer]:
        """:param asker: None: nobody was asked who he is."""
        method, path, params, began = asked
        if method == "GET":
            if params.quorum:
                if asker is not None and not params.wait:
                    self._received["QGET"] += 1  # whoever was refused is not counted
                return self._read("QGET", path, params, began)
            if params.wait:
                return self._watch(path, params)
        self._received[method] += 1
        if method in {"GET", "HEAD"}:
            return self._read(method, path, params, began)
        return self._change(asked, asker, slash=request.path.endswith("/"))

    def _read(
        self, method: str, path: str, params: KeyParams, began: float
    ) -> Response:
        try:
            response = self._get(path, params)
        except RequestError as error:
            return self._refused(method, error)
        self._succeeded[method](self._seconds() - began)
        return response

    def _get(self, path: str, params: KeyParams) -> Response:
        event = self._store.get(path, recursive=params.recursive, sorted=params.sorted)
        return Response(
            200,
            self._raft_headers(event.etcd_index),
            event_json(event, now_ns=self._wall_time_ns()),
        )

    def _quorum_get(self, request: Request, asked: _Asked) -> Deferred[Answer]:
        """What may be read is decided, as what is read, once the read is confirmed."""
        if not (asked.params.wait or self._auth.enabled):
            self._received["QGET"] += 1

        def confirmed(_index: int) -> Answer | Deferred[Answer]:
            if self._auth.enabled:
                return self._guarded(request, asked)
            return self._carry_out(request, asked, None)

        answer: Deferred[Answer] = self._member.read_index().addCallback(confirmed)
        return answer.addErrback(self._failed, "QGET")

    def _watch(self, path: str, params: KeyParams) -> Answer:
        try:
            return self._watches.open(
                path,
                recursive=params.recursive,
                stream=params.stream,
                since=params.wait_index,
                headers=self._raft_headers,
            )
        except RequestError as error:
            return self._refused("GET", error)

    def _change(
        self, asked: _Asked, asker: Asker | None, *, slash: bool
    ) -> Answer | Deferred[Answer]:
        method, path, params, began = asked
        ttl = params.ttl
        command = Command(
            _operation(method, params),
            path,
            params.value,
            params.dir,
            None if ttl is None else expiration_from_ttl(self._wall_time_ns(), ttl),
            params.refresh,
            params.prev_value,
            params.prev_index,
            params.recursive,
            by=asker,
            slash=slash,
        )
        try:
            body = encode_command(command)
        except RequestError as error:
            return self._refused(method, error)
        return self._member.propose("v2", body).addCallbacks(
            self._applied,
            self._failed,
            callbackArgs=(params, method, began),
            errbackArgs=(method,),
        )

    def _applied(
        self, applied: Applied, params: KeyParams, method: str, began: float
    ) -> Answer:
        event = applied.value
        if isinstance(event, Event):
            self._succeeded[method](self._seconds() - began)
            return self._success(event, brief=params.no_value_on_success)
        invariant(isinstance(event, RequestError), "v2 answers with event or refusal")
        assert isinstance(event, RequestError)  # noqa: S101 -- for the type checker
        return self._refused(method, event)

    def _failed(self, failure: Failure, method: str) -> Answer:
        error = failure.value
        if isinstance(error, RequestError):
            return self._refused(method, error)
        if isinstance(error, Unavailable):
            response = unavailable_response(error, self._cluster_id)
            self._counts.count_failed(method, response.status)
            return response
        return failure  # type: ignore[return-value]  # a failure goes on as such

    def _refused(self, method: str, error: RequestError) -> Response:
        response = error_response(error, self._cluster_id)
        self._counts.count_failed(method, response.status)
        return response

    def _success(self, event: Event, *, brief: bool = False) -> Response:
        action = event.action
        if brief and action in _NO_VALUE_ACTIONS:
            body = b'{"action":"%b"}\n' % action.encode("ascii")
        else:
            body = event_json(event, now_ns=self._wall_time_ns())
        created = action == "create" or (action == "set" and event.prev is None)
        return Response(
            201 if created else 200, self._raft_headers(event.etcd_index), body
        )

    def _raft_headers(self, etcd_index: int) -> bytes:
        member = self._member
        return self._headers % (etcd_index, member.commit_index, member.applied_term)


def _operation(method: str, params: KeyParams) -> Op:
    """The table of V2-SPEC 4.1."""
    compares = params.prev_value is not None or params.prev_index > 0
    if method == "PUT":
        if params.prev_exist is False:
            return Op.CREATE
        if compares:
            return Op.COMPARE_AND_SWAP
        return Op.UPDATE if params.prev_exist else Op.SET
    if method == "POST":
        return Op.CREATE_IN_ORDER
    return Op.COMPARE_AND_DELETE if compares else Op.DELETE
