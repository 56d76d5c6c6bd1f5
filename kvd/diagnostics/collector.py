"""What a member is asked when its metrics are read; nothing is kept in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import attrs
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IReactorTime

import kvd
from kvd.config import Config
from kvd.diagnostics.exposition import Sample, families
from kvd.diagnostics.table import ETCD, OWN
from kvd.histogram import Histogram
from kvd.http.site import ClientSite
from kvd.http.status import SERVER_VERSION
from kvd.http.store import ClusterView
from kvd.node.node import Node
from kvd.peer.transport import AmpTransport
from kvd.raft.status import RaftStatus
from kvd.storage.persistence import Storage
from kvd.v2.machine import V2
from kvd.v2.stats import StoreStats

# Etcd's word for an operation, and what we count of it.
_WRITES = (
    ("set", "sets"),
    ("delete", "deletes"),
    ("update", "updates"),
    ("create", "creates"),
    ("compareAndSwap", "compare_and_swaps"),
    ("compareAndDelete", "compare_and_deletes"),
)


class Loop(Protocol):
    """The event loop, as somebody looks at it again and again."""

    stalls: int
    longest_seconds: float
    lag_seconds: Histogram


@attrs.frozen(kw_only=True)
class Surroundings:
    """
    What a member does not know of itself.

    :ivar pauses: of the garbage collector, by generation; empty if nobody measures.
    :ivar certificates: name of each TLS certificate that is in use, and the days that
        are left to it.
    """

    loop: Loop
    pauses: Sequence[Histogram] = ()
    certificates: Callable[[], Sequence[tuple[str, float]]] = tuple


@attrs.frozen(kw_only=True)
class MemberCollector(Collector):
    """Provides ``prometheus_client``'s Collector for one member."""

    config: Config
    node: Node
    v2: V2
    cluster: ClusterView
    transport: AmpTransport
    storage: Storage
    site: ClientSite
    surroundings: Surroundings
    clock: IReactorTime

    def collect(self) -> Iterator[Metric]:
        """Everything as it is now."""
        return families((*ETCD, *OWN), self.samples())

    def samples(self) -> Iterator[Sample]:
        """The same, not put together yet."""
        status = self.node.status()
        raft = status.raft
        yield from self._server(raft)
        yield from self._requests()
        yield from self._store()
        yield from self._disk()
        yield from self._network(raft)
        yield from self._queues()
        yield from self._loop()
        yield Sample("kvd_out_of_space", status.out_of_space)

    def _server(self, raft: RaftStatus) -> Iterator[Sample]:
        figures = self.node.figures
        me = raft.member_id
        yield Sample("etcd_server_has_leader", bool(raft.leader))
        yield Sample("etcd_server_is_leader", raft.leader == me)
        yield Sample("etcd_server_is_learner", me in raft.configuration.learners)
        yield Sample("etcd_server_leader_changes_seen_total", figures.leaders_seen)
        yield Sample("etcd_server_proposals_committed_total", raft.commit)
        yield Sample("etcd_server_proposals_applied_total", raft.applied)
        yield Sample("etcd_server_proposals_pending", figures.proposals_pending)
        yield Sample("etcd_server_proposals_failed_total", figures.proposals_expired)
        yield Sample("etcd_server_read_indexes_failed_total", figures.reads_expired)
        yield Sample(
            "etcd_server_snapshot_apply_in_progress_total", figures.is_restoring
        )
        yield Sample("etcd_server_id", 1, (f"{me:x}",))
        yield Sample("etcd_server_version", 1, (SERVER_VERSION,))
        if self.cluster.version:
            shown = self.cluster.version.rpartition(".")[0]
            yield Sample("etcd_cluster_version", 1, (shown,))
        yield Sample("kvd_version", 1, (kvd.__version__,))
        yield Sample("kvd_raft_term", raft.term)

    def _requests(self) -> Iterator[Sample]:
        counts = self.site.counts
        for method, count in counts.received.items():
            if count:
                yield Sample("etcd_http_received_total", count, (method,))
        for (method, status), count in sorted(counts.failed.items()):
            yield Sample("etcd_http_failed_total", count, (method, str(status)))
        for method, taken in counts.taken_seconds.items():
            if any(taken.counts):
                yield Sample("etcd_http_successful_duration_seconds", taken, (method,))
        yield Sample("kvd_health_checks_total", counts.healthy, ("true",))
        yield Sample("kvd_health_checks_total", counts.unhealthy, ("false",))
        yield Sample("kvd_connections", len(self.site.connections))
        yield Sample("kvd_connections_max", self.site.connections_max)
        yield Sample("kvd_watches", self.site.watches.open_now)
        yield Sample("kvd_watches_max", self.config.watchers_max)

    def _store(self) -> Iterator[Sample]:
        stats = self.v2.stats
        gets = stats.gets_success + stats.gets_fail
        for action, count in (
            ("get", gets - stats.recursive_gets),
            ("getRecursive", stats.recursive_gets),
        ):
            if count:
                yield Sample("etcd_debugging_store_reads_total", count, (action,))
        for action, ours in _WRITES:
            count = _written(stats, ours)
            if count:
                yield Sample("etcd_debugging_store_writes_total", count, (action,))
        yield Sample(
            "etcd_debugging_store_expires_total", stats.counted_here("expirations")
        )
        yield Sample("etcd_debugging_store_watch_requests_total", stats.watch_requests)
        yield Sample("etcd_debugging_store_watchers", stats.watchers)
        yield Sample("kvd_store_index", self.v2.index)
        yield Sample("kvd_history_first_index", self.v2.history_first_index)

    def _disk(self) -> Iterator[Sample]:
        figures, log = self.node.figures, self.storage.log
        if log is not None:
            yield Sample("etcd_disk_wal_fsync_duration_seconds", log.fsync_seconds)
            yield Sample("etcd_disk_wal_write_bytes_total", log.written_bytes)
        yield Sample(
            "etcd_debugging_snap_save_total_duration_seconds",
            figures.snapshot_save_seconds,
        )
        yield Sample("kvd_storage_jobs", self.storage.busyness.jobs)
        yield Sample("kvd_storage_job_seconds", self.storage.busyness.job_seconds)
        yield Sample("kvd_save_seconds", figures.saving_seconds)
        if figures.free_bytes is not None:
            yield Sample("kvd_disk_free_bytes", figures.free_bytes)
        yield Sample("kvd_disk_floor_bytes", self.config.disk_floor_bytes)
        newest = figures.snapshot
        if newest is not None:
            yield Sample("kvd_snapshot_index", newest.index)
            yield Sample("kvd_snapshot_bytes", newest.size)
            if newest.since is not None:
                age = self.clock.seconds() - newest.since
                yield Sample("kvd_snapshot_age_seconds", age)
        for file, days in self.surroundings.certificates():
            yield Sample("kvd_certificate_days_left", days, (file,))

    def _network(self, raft: RaftStatus) -> Iterator[Sample]:
        local = f"{raft.member_id:x}"
        for peer in self.transport.peers():
            to = (f"{peer.member_id:x}",)
            both = (local, *to)
            counts = peer.counts
            yield Sample("etcd_network_active_peers", peer.connected, both)
            if counts.disconnections:
                lost = counts.disconnections
                yield Sample("etcd_network_disconnected_peers_total", lost, both)
            yield Sample("etcd_network_peer_sent_bytes_total", counts.sent_bytes, to)
            yield Sample(
                "etcd_network_peer_received_bytes_total", peer.received_bytes, to
            )
            if counts.dropped:
                yield Sample(
                    "etcd_network_peer_sent_failures_total", counts.dropped, to
                )
            trips = counts.round_trip_seconds
            yield Sample("etcd_network_peer_round_trip_time_seconds", trips, to)
            yield Sample("kvd_peer_queue_bytes", peer.waiting_bytes, to)
        if raft.leader == raft.member_id:
            for each in raft.progress:
                lag = raft.last_index - each.match
                to = (f"{each.member_id:x}",)
                yield Sample("kvd_follower_lag_entries", lag, to)

    def _queues(self) -> Iterator[Sample]:
        figures = self.node.figures
        requests, size = figures.outbox
        yield Sample("kvd_outbox_requests", requests)
        yield Sample("kvd_outbox_bytes", size)
        yield Sample("kvd_reads_pending", figures.reads_pending)

    def _loop(self) -> Iterator[Sample]:
        loop = self.surroundings.loop
        yield Sample("kvd_event_loop_lag_seconds", loop.lag_seconds)
        yield Sample("kvd_event_loop_stalls_total", loop.stalls)
        yield Sample("kvd_event_loop_longest_stall_seconds", loop.longest_seconds)
        for generation, paused in enumerate(self.surroundings.pauses):
            yield Sample("kvd_gc_pause_seconds", paused, (str(generation),))


def _written(stats: StoreStats, ours: str) -> int:
    """
    What etcd counts of an operation here.

    A create through a file is two of them to it, and to its statistics a set as well.
    """
    count = stats.counted_here(f"{ours}_success") + stats.counted_here(f"{ours}_fail")
    if ours == "sets":
        return count - stats.creates_through_file
    return count + (stats.creates_through_file if ours == "creates" else 0)
