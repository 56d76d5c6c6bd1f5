"""What may be read of a running node, for those who watch over it."""

from __future__ import annotations

import attrs

from kvd.histogram import Histogram
from kvd.node.driver import Driver
from kvd.node.lateness import Lateness
from kvd.node.proposals import Proposals
from kvd.node.reads import Reads
from kvd.node.snapshots import Snapshots
from kvd.node.upkeep import Upkeep


@attrs.frozen
class SnapshotFigures:
    """
    The newest durable snapshot.

    :ivar since: the clock's seconds when it came, None if it is of an earlier life.
    """

    index: int
    size: int
    since: float | None


@attrs.frozen
class Figures:
    """A node's parts, read only; every property is cheap and of this very moment."""

    _driver: Driver
    _proposals: Proposals
    _reads: Reads
    _snapshots: Snapshots
    _upkeep: Upkeep
    _lateness: Lateness

    @property
    def leaders_seen(self) -> int:
        """How often somebody began to lead."""
        return self._lateness.leaders_seen

    @property
    def proposals_pending(self) -> int:
        """Requests that wait for their answer."""
        return len(self._proposals)

    @property
    def proposals_expired(self) -> int:
        """Requests that were given up on."""
        return self._proposals.expired

    @property
    def outbox(self) -> tuple[int, int]:
        """Requests that no leader has taken yet, and their bytes."""
        return self._proposals.outbox

    @property
    def reads_pending(self) -> int:
        """Linearizable reads that wait."""
        return len(self._reads)

    @property
    def reads_expired(self) -> int:
        """Linearizable reads that were given up on."""
        return self._reads.expired

    @property
    def is_restoring(self) -> bool:
        """Whether a leader's snapshot is being taken over."""
        return self._driver.is_restoring

    @property
    def saving_seconds(self) -> float:
        """For how long the disk has been at work on a save; 0 if there is none."""
        return self._driver.saving_seconds

    @property
    def free_bytes(self) -> int | None:
        """Of the disk, as last seen; None before the first look."""
        return self._upkeep.free_bytes

    @property
    def snapshot(self) -> SnapshotFigures | None:
        """The newest durable one, None if there is none."""
        newest = self._snapshots.newest
        if newest is None:
            return None
        return SnapshotFigures(
            newest.index, self._snapshots.newest_bytes, self._snapshots.newest_since
        )

    @property
    def snapshot_save_seconds(self) -> Histogram:
        """How long our own ones took, from capture to durable."""
        return self._snapshots.save_seconds
