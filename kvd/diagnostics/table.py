"""Every metric: its name, its type, its labels and what it means."""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs


class Kind(Enum):
    """As Prometheus has it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@attrs.frozen
class Described:
    """:ivar labels: in the order in which values are given."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_PEERS = ("Local", "Remote")
_TO = ("To",)

ETCD: Final = (
    Described("etcd_server_has_leader", _G, "1 if this member knows a leader"),
    Described("etcd_server_is_leader", _G, "1 if this member leads"),
    Described("etcd_server_is_learner", _G, "1 if this member has no vote"),
    Described(
        "etcd_server_leader_changes_seen_total",
        _C,
        "how often somebody began to lead, as seen by this member",
    ),
    Described(
        "etcd_server_proposals_committed_total",
        _G,
        "the commit index: entries that a majority has",
    ),
    Described(
        "etcd_server_proposals_applied_total",
        _G,
        "the applied index: entries that are in this member's store",
    ),
    Described("etcd_server_proposals_pending", _G, "writes that wait for their answer"),
    Described(
        "etcd_server_proposals_failed_total",
        _C,
        "writes that were given up on: no answer in time",
    ),
    Described(
        "etcd_server_read_indexes_failed_total",
        _C,
        "linearizable reads that were given up on",
    ),
    Described(
        "etcd_server_snapshot_apply_in_progress_total",
        _G,
        "1 while a leader's snapshot takes the place of the store",
    ),
    Described("etcd_server_id", _G, "always 1; the member's id", ("server_id",)),
    Described(
        "etcd_server_version",
        _G,
        "always 1; the version of etcd that clients take this member for",
        ("server_version",),
    ),
    Described(
        "etcd_cluster_version",
        _G,
        "always 1; the cluster's version, once it is decided",
        ("cluster_version",),
    ),
    Described(
        "etcd_http_received_total",
        _C,
        "requests for keys that were understood and allowed, without watches",
        ("method",),
    ),
    Described(
        "etcd_http_failed_total",
        _C,
        "those of them that failed, and watches that were refused",
        ("method", "code"),
    ),
    Described(
        "etcd_http_successful_duration_seconds",
        _H,
        "how long those that succeeded took, from the head to the answer",
        ("method",),
    ),
    Described(
        "etcd_debugging_store_reads_total",
        _C,
        "gets, failed ones too, served by this member since its start",
        ("action",),
    ),
    Described(
        "etcd_debugging_store_writes_total",
        _C,
        "writes, refused ones too, applied by this member since its start",
        ("action",),
    ),
    Described(
        "etcd_debugging_store_expires_total", _C, "keys whose time to live ended"
    ),
    Described(
        "etcd_debugging_store_watch_requests_total",
        _C,
        "watches that were asked for, also those that the history answers",
    ),
    Described("etcd_debugging_store_watchers", _G, "watches that wait for an event"),
    Described(
        "etcd_disk_wal_fsync_duration_seconds",
        _H,
        "how long it took to make log records durable",
    ),
    Described(
        "etcd_disk_wal_write_bytes_total", _G, "bytes of log records since the start"
    ),
    Described(
        "etcd_debugging_snap_save_total_duration_seconds",
        _H,
        "how long own snapshots took, written in slices beside the work",
    ),
    Described(
        "etcd_network_active_peers",
        _G,
        "1 for each other member that messages can be sent to",
        _PEERS,
    ),
    Described(
        "etcd_network_disconnected_peers_total",
        _C,
        "connections to other members that were lost",
        _PEERS,
    ),
    Described(
        "etcd_network_peer_sent_bytes_total",
        _C,
        "bytes of messages and snapshots sent to a member",
        _TO,
    ),
    Described(
        "etcd_network_peer_received_bytes_total",
        _C,
        "bytes that came from a member",
        ("From",),
    ),
    Described(
        "etcd_network_peer_sent_failures_total",
        _C,
        "messages to a member that found no connection or no room",
        _TO,
    ),
    Described(
        "etcd_network_peer_round_trip_time_seconds",
        _H,
        "from a ping of a member to its answer",
        _TO,
    ),
)

OWN: Final = (
    Described("kvd_version", _G, "always 1; kvd's own version", ("version",)),
    Described("kvd_raft_term", _G, "the term"),
    Described(
        "kvd_follower_lag_entries",
        _G,
        "entries that a follower lacks; told by the leader alone",
        _TO,
    ),
    Described(
        "kvd_event_loop_lag_seconds",
        _H,
        "how much too late the event loop came to a timer, measured 20 times a second",
    ),
    Described(
        "kvd_event_loop_stalls_total",
        _C,
        "how often it was late by a quarter of election-timeout or more",
    ),
    Described("kvd_event_loop_longest_stall_seconds", _G, "the longest of these"),
    Described(
        "kvd_gc_pause_seconds",
        _H,
        "how long Python's garbage collector stopped the process; not if embedded",
        ("generation",),
    ),
    Described("kvd_outbox_requests", _G, "writes that no leader has taken yet"),
    Described("kvd_outbox_bytes", _G, "their bytes; limited by outbox-bytes-max"),
    Described("kvd_reads_pending", _G, "linearizable reads that wait"),
    Described(
        "kvd_peer_queue_bytes",
        _G,
        "bytes that wait to be sent to a member; limited by peer-queue-bytes-max",
        _TO,
    ),
    Described("kvd_storage_jobs", _G, "jobs for the disk that are not done"),
    Described("kvd_storage_job_seconds", _G, "for how long the present one has run"),
    Described(
        "kvd_save_seconds", _G, "for how long the disk has been at work on a save"
    ),
    Described("kvd_connections", _G, "open client connections"),
    Described("kvd_connections_max", _G, "connections-max"),
    Described("kvd_watches", _G, "open watches"),
    Described("kvd_watches_max", _G, "watchers-max"),
    Described("kvd_store_index", _G, "the etcd index"),
    Described(
        "kvd_history_first_index", _G, "the oldest index that a watch can begin at"
    ),
    Described("kvd_snapshot_index", _G, "the log index of the newest snapshot"),
    Described("kvd_snapshot_bytes", _G, "its size"),
    Described(
        "kvd_snapshot_age_seconds", _G, "its age; not if it was made before the start"
    ),
    Described("kvd_disk_free_bytes", _G, "free on the fuller of the file systems"),
    Described("kvd_disk_floor_bytes", _G, "disk-floor-bytes"),
    Described("kvd_out_of_space", _G, "1 while writes are refused for lack of room"),
    Described(
        "kvd_health_checks_total", _C, "answers of /health, by outcome", ("healthy",)
    ),
    Described(
        "kvd_certificate_days_left", _G, "until a TLS certificate ends", ("file",)
    ),
)

# What prometheus_client finds out of the process, and etcd's two of the same.
PROCESS: Final = (
    Described("process_virtual_memory_bytes", _G, "virtual memory"),
    Described("process_resident_memory_bytes", _G, "resident memory"),
    Described("process_start_time_seconds", _G, "when it started, since 1970"),
    Described("process_cpu_seconds_total", _C, "processor time, user and system"),
    Described("process_open_fds", _G, "open file descriptors"),
    Described("process_max_fds", _G, "file descriptors that it may have"),
    Described("os_fd_used", _G, "as process_open_fds, by etcd's name"),
    Described("os_fd_limit", _G, "as process_max_fds, by etcd's name"),
)
