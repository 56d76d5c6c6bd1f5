"""Snapshots of a member's own making, written beside its work in small slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.histogram import Histogram, doubling
from kvd.node.interfaces import Persistence, SnapshotWriter
from kvd.node.settled import settled
from kvd.raft.messages import SnapshotMeta

SAVE_SECONDS = doubling(0.001, 14)  # etcd's bounds


class Snapshots:
    """
    One snapshot at a time: captured in one step, then a chunk a turn to the disk.

    The machines promise that a chunk costs about a millisecond and shows the state of
    the moment of capture; the writer fires in a later turn, so that requests are
    served between two chunks.

    :param every: applied entries between two snapshots.
    :param has_room: whether so many bytes more may be written; without room a snapshot
        waits, and one that is being written is given up.
    :param made: told of each durable one, and of the one before it.
    :ivar save_seconds: from capture to durable, of those that were completed.
    :ivar newest_since: when the newest came, None if it is of an earlier life.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        persistence: Persistence,
        clock: IReactorTime,
        every: int,
        newest: SnapshotMeta | None,
        has_room: Callable[[int], bool],
        made: Callable[[SnapshotMeta, SnapshotMeta | None], None],
        failed: Callable[[Failure], None],
    ) -> None:
        self._persistence = persistence
        self._clock = clock
        self._every = every
        self._has_room = has_room
        self._made = made
        self._failed = failed
        self._running: Deferred[None] | None = None
        self._aborted = False
        self._postponed = False
        self.newest = newest
        self.newest_bytes = 0
        self.newest_since: float | None = None
        self.save_seconds = Histogram(SAVE_SECONDS)

    def due(self, applied_index: int) -> bool:
        """Whether enough was applied since the newest, and none is being written."""
        since = self.newest.index if self.newest is not None else 0
        if self._running is not None or applied_index - since <= self._every:
            return False
        if self._has_room(self.newest_bytes):
            self._postponed = False
            return True
        self._postpone()
        return False

    def _postpone(self) -> None:
        if not self._postponed:
            self._postponed = True
            self._log.warn(
                "a snapshot waits for room on the disk; the last one had {size} bytes",
                size=self.newest_bytes,
            )

    def begin(self, meta: SnapshotMeta, chunks: Iterator[bytes]) -> None:
        """Write what was captured; ``chunks`` stays true to that moment."""
        self._aborted = False
        self._running = Deferred.fromCoroutine(self._write(meta, chunks))
        self._running.addErrback(self._failed)

    def installed(self, meta: SnapshotMeta) -> None:
        """A leader's snapshot took the place of ours; one being written is stale."""
        self._aborted = True
        self.newest = meta
        self.newest_since = self._clock.seconds()

    def is_stale(self) -> bool:
        """The one being written is not wanted any more."""
        return self._aborted

    def stop(self) -> Deferred[None]:
        """Fires when nothing is being written any more."""
        self._aborted = True
        return succeed(None) if self._running is None else settled(self._running)

    async def _write(self, meta: SnapshotMeta, chunks: Iterator[bytes]) -> None:
        self._log.info("snapshot at index {index} begins", index=meta.index)
        began = self._clock.seconds()
        writer: SnapshotWriter = self._persistence.create_snapshot(meta)
        size = 0
        try:
            for chunk in chunks:
                if self.is_stale():
                    await writer.abort()
                    return
                size += len(chunk)
                await writer.write(chunk)
                if not self._has_room(0):
                    self.newest_bytes = max(self.newest_bytes, size)
                    self._postpone()
                    await writer.abort()
                    return
            if self.is_stale():
                await writer.abort()
                return
            await writer.commit()
        finally:
            self._running = None
        if self.is_stale():
            return
        before, self.newest = self.newest, meta
        self.newest_bytes = size
        self.newest_since = now = self._clock.seconds()
        self.save_seconds.observe(now - began)
        self._log.info(
            "snapshot at index {index} is durable, {size} bytes",
            index=meta.index,
            size=size,
        )
        self._made(meta, before)
