"""``/v2/stats``: what a member counts of itself (V2-SPEC 12)."""

from __future__ import annotations

import json
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from kvd import golang
from kvd.http import answers
from kvd.http.exchange import Response
from kvd.http.render import encode, quoted, rfc3339_nano
from kvd.http.store import KeysStore, ServerStats
from kvd.node.interfaces import Member
from kvd.node.stats import Latency, Rate

_SECOND_NS = 1_000_000_000
_COUNTERS = (
    "getsSuccess",
    "getsFail",
    "setsSuccess",
    "setsFail",
    "deleteSuccess",
    "deleteFail",
    "updateSuccess",
    "updateFail",
    "createSuccess",
    "createFail",
    "compareAndSwapSuccess",
    "compareAndSwapFail",
    "compareAndDeleteSuccess",
    "compareAndDeleteFail",
    "expireCount",
    "watchers",
)


class Stats:
    """The three documents."""

    def __init__(
        self,
        *,
        name: str,
        member: Member,
        store: KeysStore,
        stats: ServerStats,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
    ) -> None:
        self._name = name
        self._member = member
        self._store = store
        self._stats = stats
        self._clock = clock
        self._wall_time_ns = wall_time_ns

    def myself(self) -> Response:
        """Of this member."""
        status = self._member.status()
        traffic = self._stats.traffic
        uptime_ns = 0
        if status.leader:
            uptime_ns = round(
                (self._clock.seconds() - status.leader_since) * _SECOND_NS
            )
        state = "StateLeader" if status.is_leader else "StateFollower"
        leader = f"{status.leader:x}" if status.leader else ""
        return _json(
            f'{{"name":{quoted(self._name)},"id":"{self._member.member_id:x}",'
            f'"state":"{state}",'
            f'"startTime":"{rfc3339_nano(self._stats.started_ns)}",'
            f'"leaderInfo":{{"leader":"{leader}",'
            f'"uptime":"{golang.duration(uptime_ns)}",'
            f'"startTime":"{rfc3339_nano(self._wall_time_ns() - uptime_ns)}"}},'
            f"{self._appends('recv', traffic.received_appends)},"
            f"{self._appends('send', traffic.sent_appends)}}}"
        )

    def leader(self) -> Response:
        """Of the others, by the leader."""
        if not self._member.status().is_leader:
            return answers.message(403, "not current leader")
        followers = {
            f"{member_id:x}": _latency(latency)
            for member_id, latency in self._stats.traffic.followers.items()
        }
        document = {
            "leader": f"{self._member.member_id:x}",
            "followers": dict(sorted(followers.items())),
        }
        return _json(json.dumps(document, separators=(",", ":")))

    def store(self) -> Response:
        """Of the v2 store."""
        counted = zip(_COUNTERS, self._store.stats.values(), strict=True)
        return _json("{" + ",".join(f'"{name}":{n}' for name, n in counted) + "}")

    def _appends(self, way: str, rate: Rate) -> str:
        """Count and, unless 0, the rates of appends in one direction."""
        packages, size = rate.rates(now=self._clock.seconds())
        shown = [f'"{way}AppendRequestCnt":{rate.count}']
        if packages:
            shown.append(f'"{way}PkgRate":{packages!r}')
        if size:
            shown.append(f'"{way}BandwidthRate":{size!r}')
        return ",".join(shown)


def _latency(latency: Latency) -> dict[str, dict[str, float]]:
    return {
        "latency": {
            "current": latency.current,
            "average": latency.average,
            "standardDeviation": latency.standard_deviation,
            "minimum": latency.minimum,
            "maximum": latency.maximum,
        },
        "counts": {"fail": latency.fail, "success": latency.success},
    }


def _json(document: str) -> Response:
    return Response(200, answers.JSON, encode(document))
