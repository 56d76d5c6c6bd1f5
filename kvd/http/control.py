"""Everything beside ``/v2/keys``."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from kvd.http import answers
from kvd.http.exchange import Request, Response
from kvd.http.settings import HttpSettings
from kvd.http.store import ClusterView, KeysStore, ServerStats
from kvd.node.interfaces import Member


class Control:
    def __init__(
        self,
        *,
        settings: HttpSettings,
        member: Member,
        store: KeysStore,
        cluster: ClusterView,
        stats: ServerStats,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
    ) -> None:
        self._all = (settings, member, store, cluster, stats, clock, wall_time_ns)

    def takes_body(self, method: str, path: str) -> bool:
        return not method and not path

    def answer(self, request: Request) -> Response:
        return answers.NOT_FOUND if request.path else answers.EMPTY
