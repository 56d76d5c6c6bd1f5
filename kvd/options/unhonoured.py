"""The options of etcd's that kvd knows and does not act on, each with the reason."""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen
class Unhonoured:
    """
    An option of etcd's that kvd knows but does not act on.

    :ivar inert: values with which etcd behaves as kvd does anyway: no warning.
    :ivar refused: another value would change what the cluster is, so the member does
        not start rather than do something else than asked.
    """

    name: str
    why: str
    inert: tuple[str, ...] = ("",)
    boolean: bool = False
    refused: bool = False

    @property
    def default_text(self) -> str:
        """As etcd has it."""
        return self.inert[1] if len(self.inert) > 1 else self.inert[0]

    @property
    def otherwise(self) -> str:
        """What comes of a value with which etcd would do something else."""
        return "refused" if self.refused else "warning"


_TLS = "TLS is not supported yet"
_V3 = "it concerns etcd's v3 API, which kvd does not serve"
_DISCOVERY = "discovery is not supported yet, name the members in initial-cluster"
_PROXY = "the v2 proxy is not supported yet"
_OLD = "etcd ignores it too, since 0.5"
_NO = ("", "false")


def _switch(name: str, why: str, *, refused: bool = False) -> Unhonoured:
    return Unhonoured(name, why, _NO, boolean=True, refused=refused)


UNHONOURED: Final = (
    Unhonoured("discovery", _DISCOVERY, refused=True),
    Unhonoured("discovery-srv", _DISCOVERY, refused=True),
    Unhonoured("discovery-srv-name", _DISCOVERY),
    Unhonoured("discovery-proxy", _DISCOVERY),
    Unhonoured("discovery-fallback", _DISCOVERY, ("", "proxy")),
    Unhonoured("proxy", _PROXY, ("", "off"), refused=True),
    Unhonoured("proxy-failure-wait", _PROXY, ("", "5000")),
    Unhonoured("proxy-refresh-interval", _PROXY, ("", "30000")),
    Unhonoured("proxy-dial-timeout", _PROXY, ("", "1000")),
    Unhonoured("proxy-write-timeout", _PROXY, ("", "5000")),
    Unhonoured("proxy-read-timeout", _PROXY, ("", "0")),
    _switch(
        "force-new-cluster", "disaster recovery is not supported yet", refused=True
    ),
    Unhonoured("cert-file", _TLS),
    Unhonoured("key-file", _TLS),
    Unhonoured("trusted-ca-file", _TLS),
    Unhonoured("ca-file", _TLS),
    Unhonoured("client-crl-file", _TLS),
    Unhonoured("client-cert-allowed-hostname", _TLS),
    _switch("client-cert-auth", _TLS),
    _switch("auto-tls", _TLS),
    Unhonoured("peer-cert-file", _TLS),
    Unhonoured("peer-key-file", _TLS),
    Unhonoured("peer-trusted-ca-file", _TLS),
    Unhonoured("peer-ca-file", _TLS),
    Unhonoured("peer-crl-file", _TLS),
    Unhonoured("peer-cert-allowed-cn", _TLS),
    Unhonoured("peer-cert-allowed-hostname", _TLS),
    _switch("peer-client-cert-auth", _TLS),
    _switch("peer-auto-tls", _TLS),
    Unhonoured("cipher-suites", _TLS),
    Unhonoured("client-transport-security", _TLS),
    Unhonoured("peer-transport-security", _TLS),
    Unhonoured(
        "enable-v2",
        "the v2 API is the one that kvd serves",
        ("", "true"),
        boolean=True,
    ),
    Unhonoured(
        "initial-election-tick-advance",
        "kvd never shortens the first election timeout",
        _NO,
        boolean=True,
    ),
    Unhonoured("quota-backend-bytes", _V3, ("", "0")),
    Unhonoured("backend-batch-interval", _V3, ("", "0")),
    Unhonoured("backend-batch-limit", _V3, ("", "0")),
    Unhonoured("max-txn-ops", _V3, ("", "128")),
    Unhonoured(
        "max-request-bytes",
        "it bounds v3 requests; request-bytes-max bounds v2 ones",
        ("", "1572864"),
    ),
    Unhonoured("max-concurrent-streams", _V3, ("", "4294967295")),
    Unhonoured("grpc-keepalive-min-time", _V3, ("", "5s")),
    Unhonoured("grpc-keepalive-interval", _V3, ("", "2h", "2h0m0s")),
    Unhonoured("grpc-keepalive-timeout", _V3, ("", "20s")),
    Unhonoured("auto-compaction-retention", _V3, ("", "0")),
    Unhonoured("auto-compaction-mode", _V3, ("", "periodic")),
    Unhonoured("auth-token", _V3, ("", "simple")),
    Unhonoured("auth-token-ttl", _V3, ("", "300")),
    Unhonoured("bcrypt-cost", "authentication is not supported yet", ("", "10")),
    _switch("enable-pprof", "it is a profiler for Go programs"),
    Unhonoured("metrics", "/metrics is not supported yet", ("", "basic")),
    Unhonoured("listen-metrics-urls", "/metrics is not supported yet"),
    Unhonoured("logger", "twistd's --logger names a log observer", ("", "capnslog")),
    Unhonoured(
        "log-outputs", "twistd's --logfile says where lines go", ("", "default")
    ),
    Unhonoured("log-output", "twistd's --logfile says where lines go", ("", "default")),
    Unhonoured("log-package-levels", "log-level sets the level of all lines"),
    _switch("debug", "log-level: debug is the same"),
    Unhonoured(
        "log-rotation-config-json", "twistd's --logfile says where lines go", ("", "{}")
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
        )
    ),
)

UNHONOURED_BY_NAME: Final = {option.name: option for option in UNHONOURED}
EXPERIMENTAL: Final = "experimental-"
