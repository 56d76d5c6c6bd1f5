"""Snapshots of a member's own making, written beside its work in small slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.node.interfaces import Persistence, SnapshotWriter
from kvd.raft.messages import SnapshotMeta


class Snapshots:
    """
    One snapshot at a time: captured in one step, then a chunk a turn to the disk.

    The machines promise that a chunk costs about a millisecond and shows the state of
    the moment of capture; the writer fires in a later turn, so that requests are
    served between two chunks.

    :param every: applied entries between two snapshots.
    :param made: told of each durable one, and of the one before it.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        persistence: Persistence,
        every: int,
        newest: SnapshotMeta | None,
        made: Callable[[SnapshotMeta, SnapshotMeta | None], None],
        failed: Callable[[Failure], None],
    ) -> None:
        self._persistence = persistence
        self._every = every
        self._made = made
        self._failed = failed
        self._running: Deferred[None] | None = None
        self._aborted = False
        self.newest = newest

    def due(self, applied_index: int) -> bool:
        """Whether enough was applied since the newest, and none is being written."""
        since = self.newest.index if self.newest is not None else 0
        return self._running is None and applied_index - since > self._every

    def begin(self, meta: SnapshotMeta, chunks: Iterator[bytes]) -> None:
        """Write what was captured; ``chunks`` stays true to that moment."""
        self._aborted = False
        self._running = Deferred.fromCoroutine(self._write(meta, chunks))
        self._running.addErrback(self._failed)

    def installed(self, meta: SnapshotMeta) -> None:
        """A leader's snapshot took the place of ours; one being written is stale."""
        self._aborted = True
        self.newest = meta

    def is_stale(self) -> bool:
        """The one being written is not wanted any more."""
        return self._aborted

    def stop(self) -> Deferred[None]:
        """Fires when nothing is being written any more."""
        self._aborted = True
        done: Deferred[None] = Deferred()
        if self._running is None:
            done.callback(None)
        else:
            self._running.addBoth(lambda _: done.callback(None))
        return done

    async def _write(self, meta: SnapshotMeta, chunks: Iterator[bytes]) -> None:
        self._log.info("snapshot at index {index} begins", index=meta.index)
        writer: SnapshotWriter = self._persistence.create_snapshot(meta)
        size = 0
        try:
            for chunk in chunks:
                if self.is_stale():
                    await writer.abort()
                    return
                size += len(chunk)
                await writer.write(chunk)
            if self.is_stale():
                await writer.abort()
                return
            await writer.commit()
        finally:
            self._running = None
        if self.is_stale():
            return
        before, self.newest = self.newest, meta
        self._log.info(
            "snapshot at index {index} is durable, {size} bytes",
            index=meta.index,
            size=size,
        )
        self._made(meta, before)
