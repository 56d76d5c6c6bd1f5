"""``/version`` and ``/health`` (V2-SPEC 13)."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kvd.errors import Unavailable
from kvd.http import answers
from kvd.http.counts import RequestCounts
from kvd.http.exchange import Request, Response
from kvd.http.params import all_values
from kvd.http.render import encode, quoted
from kvd.http.store import ClusterView, KeysStore
from kvd.node.interfaces import Member

# What clients that look at versions take us for.
SERVER_VERSION = "3.4.23"
_HEALTH_SECONDS = 1.0
_NO_SPACE = "NOSPACE"  # etcd's alarm for the same


class Status:
    """Whether this member can serve, and as what."""

    def __init__(
        self,
        *,
        member: Member,
        store: KeysStore,
        cluster: ClusterView,
        counts: RequestCounts,
        clock: IReactorTime,
    ) -> None:
        self._member = member
        self._counts = counts
        self._store = store
        self._cluster = cluster
        self._clock = clock

    def version(self) -> Response:
        """Of the server and of the cluster."""
        cluster = self._cluster.version or "not_decided"
        return Response(
            200,
            answers.JSON,
            encode(
                f'{{"etcdserver":"{SERVER_VERSION}","etcdcluster":{quoted(cluster)}}}'
            ),
        )

    def health(self, request: Request) -> Response | Deferred[Response]:
        """Healthy: a leader, room on the disk, and a linearized read within 1 s."""
        status = self._member.status()
        excluded = all_values(request.query).get("exclude", ())
        full = status.out_of_space and _NO_SPACE not in excluded
        if not status.leader or full:
            return self._unhealthy()
        return (
            self._member.read_index()
            .addTimeout(_HEALTH_SECONDS, self._clock)
            .addCallbacks(self._healthy, self._not_read)
        )

    def _healthy(self, _index: int) -> Response:
        self._store.stats.count_get(ok=True)  # as etcd, which gets a key
        self._counts.healthy += 1
        return answers.sniffed_text(b'{"health":"true"}')

    def _unhealthy(self) -> Response:
        self._counts.unhealthy += 1
        return answers.plain_error(503, '{"health":"false"}')

    def _not_read(self, failure: Failure) -> Response:
        if isinstance(failure.value, Unavailable | DeferredTimeoutError):
            return self._unhealthy()
        if isinstance(failure.value, CancelledError):
            return self._unhealthy()  # nobody listens any more
        return failure  # type: ignore[return-value]  # a failure goes on as such
