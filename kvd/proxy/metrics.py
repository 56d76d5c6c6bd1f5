"""What a proxy is asked when its metrics are read; nothing is kept in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import kvd
from kvd.diagnostics.exposition import Sample, families
from kvd.diagnostics.table import OWN, Described, Kind
from kvd.process import StallWatchdog
from kvd.proxy.counts import Counts
from kvd.proxy.endpoints import Endpoints

PROXY: Final = (
    Described(
        "etcd_proxy_requests_total",
        Kind.COUNTER,
        "requests that came to be forwarded",
        ("method",),
    ),
    Described(
        "etcd_proxy_handled_total",
        Kind.COUNTER,
        "those of them that a member has answered",
        ("method", "code"),
    ),
    Described(
        "etcd_proxy_dropped_total",
        Kind.COUNTER,
        "attempts to send one that failed, and requests that got no answer",
        ("method", "proxying_error"),
    ),
    Described(
        "etcd_proxy_handling_duration_seconds",
        Kind.HISTOGRAM,
        "how long it took until a member had answered, without watches",
        ("method",),
    ),
    Described("kvd_proxy_endpoints", Kind.GAUGE, "client URLs of members"),
    Described(
        "kvd_proxy_endpoints_available",
        Kind.GAUGE,
        "those of them that are not left alone for a failure",
    ),
    Described(
        "kvd_proxy_bodies_bytes",
        Kind.GAUGE,
        "bodies of requests that wait for an answer; limited by outbox-bytes-max",
    ),
)


@attrs.frozen(kw_only=True)
class ProxyCollector(Collector):
    """Provides ``prometheus_client``'s Collector for one proxy."""

    counts: Counts
    endpoints: Endpoints
    bodies_bytes: Callable[[], int]
    connections: Callable[[], int]
    connections_max: Callable[[], int]
    loop: StallWatchdog

    def collect(self) -> Iterator[Metric]:
        """Everything as it is now."""
        return families((*PROXY, *OWN), self.samples())

    def samples(self) -> Iterator[Sample]:
        """The same, not put together yet."""
        counts = self.counts
        for method, count in sorted(counts.requests.items()):
            yield Sample("etcd_proxy_requests_total", count, (method,))
        for (method, status), count in sorted(counts.handled.items()):
            yield Sample("etcd_proxy_handled_total", count, (method, str(status)))
        for (method, why), count in counts.dropped.items():
            yield Sample("etcd_proxy_dropped_total", count, (method, why.value))
        for method, taken in sorted(counts.taken_seconds.items()):
            yield Sample("etcd_proxy_handling_duration_seconds", taken, (method,))
        yield Sample("kvd_proxy_endpoints", len(self.endpoints.urls))
        available = len(self.endpoints.available())
        yield Sample("kvd_proxy_endpoints_available", available)
        yield Sample("kvd_proxy_bodies_bytes", self.bodies_bytes())
        yield Sample("kvd_version", 1, (kvd.__version__,))
        yield Sample("kvd_connections", self.connections())
        yield Sample("kvd_connections_max", self.connections_max())
        yield Sample("kvd_event_loop_lag_seconds", self.loop.lag_seconds)
        yield Sample("kvd_event_loop_stalls_total", self.loop.stalls)
        longest = self.loop.longest_seconds
        yield Sample("kvd_event_loop_longest_stall_seconds", longest)
