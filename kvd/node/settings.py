"""What a node needs to know of its configuration."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class NodeSettings:
    """
    :ivar tick_seconds: one Raft tick, the heartbeat interval.
    :ivar request_timeout_seconds: etcd's 5 s and two election timeouts.
    :ivar snapshot_count: applied entries between two snapshots.
    :ivar catchup_entries: kept in memory behind a snapshot for slow followers.
    :ivar proposals_pending_max: requests waiting for their answer at one time.
    :ivar outbox_bytes_max: of requests that no leader has taken yet.
    :ivar promote_learners: a leader makes voters of those that have caught up.
    :ivar disk_floor_bytes: with less free than this, writes are refused.
    """

    member_id: int
    cluster_id: int
    name: str
    client_urls: tuple[str, ...]
    cluster_version: str
    tick_seconds: float = 0.1
    election_ticks: int = 10
    request_timeout_seconds: float = 7.0
    snapshot_count: int = 100_000
    catchup_entries: int = 5_000
    proposals_pending_max: int = 20_000
    outbox_bytes_max: int = 256 << 20
    request_bytes_max: int = 12 << 20
    promote_learners: bool = True
    disk_floor_bytes: int = 64 << 20
    disk_check_seconds: float = 1.0
    expiry_seconds: float = 0.5

    @property
    def election_seconds(self) -> float:
        """The shortest election timeout."""
        return self.tick_seconds * self.election_ticks
