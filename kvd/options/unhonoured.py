"""The options of etcd's that kvd knows and does not act on, each with the reason."""

from __future__ import annotations

from typing import Final

import attrs

from kvd.options.values import Boolean, Choice, Duration, Kind, Text, Whole

_ANY: Final = Text()


@attrs.frozen
class Unhonoured:
    """
    An option of etcd's that kvd knows but does not act on.

    :ivar inert: values with which etcd behaves as kvd does anyway: no warning.
    :ivar kind: what may stand there at all: etcd refuses anything else, so do we.
    :ivar refused: another value would change what the cluster is, so the member does
        not start rather than do something else than asked.
    :ivar noted: there is nothing yet that it could change; one line names all of them.
    """

    name: str
    why: str
    inert: tuple[str, ...] = ("",)
    boolean: bool = False
    kind: Kind = _ANY
    refused: bool = False
    noted: bool = False

    @property
    def default_text(self) -> str:
        """As etcd has it."""
        return self.inert[1] if len(self.inert) > 1 else self.inert[0]

    def changes_nothing(self, text: str) -> bool:
        """
        Whether etcd, too, would behave with it as kvd does.

        :raises ValueError: it may not stand there.
        """
        return not text or self.kind.read(text) in map(
            self.kind.read, filter(None, self.inert)
        )

    @property
    def otherwise(self) -> str:
        """What comes of a value with which etcd would do something else."""
        if self.noted:
            return "noted"
        return "refused" if self.refused else "warning"


V3: Final = "etcd's v3 API is not served yet"
_CHECKED = "records and snapshots are checked whenever they are read"
_OLD = "etcd ignores it too, since 0.5"
_NO = ("", "false")
_COUNT = Whole(0, 10**18 - 1)


def _switch(
    name: str, why: str, *, inert: tuple[str, ...] = _NO, refused: bool = False
) -> Unhonoured:
    return Unhonoured(name, why, inert, boolean=True, kind=Boolean(), refused=refused)


def _v3(name: str, kind: Kind, *default: str) -> Unhonoured:
    boolean = isinstance(kind, Boolean)
    return Unhonoured(name, V3, ("", *default), boolean=boolean, kind=kind, noted=True)


UNHONOURED: Final = (
    _switch(
        "enable-v2",
        "the v2 API is the one that kvd serves: without it nothing would be served",
        inert=("", "true"),
        refused=True,
    ),
    # With both of its values: what it shortens is over sooner than anybody connects.
    _switch(
        "initial-election-tick-advance",
        "the first election of several members waits its whole time-out, of a lone one "
        "none; both values are taken",
        inert=("", "true", "false"),
    ),
    _v3("quota-backend-bytes", Whole(-(10**18) + 1, 10**18 - 1), "0"),
    _v3("backend-batch-interval", Duration(), "0", "0s"),
    _v3("backend-batch-limit", _COUNT, "0"),
    _v3("max-txn-ops", _COUNT, "128"),
    # v2 requests have request-bytes-max.
    _v3("max-request-bytes", _COUNT, "1572864"),
    _v3("max-concurrent-streams", _COUNT, "4294967295"),
    _v3("grpc-keepalive-min-time", Duration(), "5s"),
    _v3("grpc-keepalive-interval", Duration(), "2h0m0s", "2h"),
    _v3("grpc-keepalive-timeout", Duration(), "20s"),
    _v3("enable-grpc-gateway", Boolean(), "true", "false"),
    _v3("auto-compaction-retention", Duration(plain=True), "0"),
    _v3(
        "auto-compaction-mode",
        Choice(("periodic", "revision"), unknown="unknown auto-compaction-mode"),
        "periodic",
    ),
    _v3("auth-token", Text(), "simple"),
    _v3("auth-token-ttl", _COUNT, "300"),
    _v3("experimental-enable-v2v3", Text()),
    _v3("experimental-backend-bbolt-freelist-type", Text(), "array"),
    _v3("experimental-enable-lease-checkpoint", Boolean(), "false"),
    _v3("experimental-enable-lease-checkpoint-persist", Boolean(), "false"),
    _v3("experimental-compaction-batch-limit", _COUNT, "1000"),
    _v3("experimental-watch-progress-notify-interval", Duration(), "10m0s", "10m"),
    _switch("experimental-initial-corrupt-check", _CHECKED),
    Unhonoured(
        "experimental-corrupt-check-time", _CHECKED, ("", "0s", "0"), kind=Duration()
    ),
    _switch(
        "experimental-peer-skip-client-san-verification",
        "names of members that dial are looked at only if peer-cert-allowed-* say so",
    ),
    Unhonoured(
        "experimental-warning-apply-duration",
        "kvd says when its event loop stands still, for a quarter of election-timeout",
        ("", "100ms"),
        kind=Duration(),
    ),
    _switch("unsafe-no-fsync", "an acknowledged write is on the disk"),
    _switch("enable-pprof", "it is a profiler for Go programs"),
    Unhonoured(
        "log-rotation-config-json",
        "etcd 3.4 does not have it; twistd's --logfile rotates",
        ("", "{}"),
    ),
    *(
        Unhonoured(name, _OLD, boolean=True)
        for name in (
            "cluster-active-size",
            "cluster-remove-delay",
            "cluster-sync-interval",
            "force",
            "max-result-buffer",
            "max-retry-attempts",
            "peer-heartbeat-interval",
            "peer-election-timeout",
            "retry-interval",
            "snapshot",
            "v",
            "vv",
            "test.coverprofile",
            "test.outputdir",
        )
    ),
)

UNHONOURED_BY_NAME: Final = {option.name: option for option in UNHONOURED}
EXPERIMENTAL: Final = "experimental-"
