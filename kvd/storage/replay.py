"""Putting the log behind a snapshot together."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from kvd.errors import InvariantViolated, StorageError
from kvd.raft.messages import Entry, HardState
from kvd.storage.data_dir import TEMPORARY, Identity
from kvd.storage.disk import Disk, Readable
from kvd.storage.log_state import LogState
from kvd.storage.records import Save
from kvd.storage.segments import Segment, SegmentReader, segment_name

PROGRESS_BYTES = 32 << 20


class Replay:
    """
    The log behind a snapshot, put together.

    :param writable: where the segment that a seal promises is given its name; None to
        read only: there the log ends with the seal.
    :ivar entries: those after the snapshot.
    :ivar term_at_snapshot: the log's term at the snapshot's index, -1: not in it.
    :ivar torn_at: where the last segment must be cut, -1: nowhere.
    :ivar promised: the segment's path that the seal at the end promises, empty if
        there is none.
    """

    def __init__(
        self,
        disk: Readable,
        folder: str,
        identity: Identity,
        segments: Sequence[Segment],
        *,
        snapshot_index: int,
        writable: Disk | None,
    ) -> None:
        self._disk = disk
        self._folder = folder
        self._identity = identity
        self._snapshot_index = snapshot_index
        self._writable = writable
        self._read_bytes = 0
        self.segments = list(segments)
        self.entries: list[Entry] = []
        self.term_at_snapshot = -1
        self.torn_at = -1
        self.promised = ""
        self.chain = 0
        self.salt = 0
        self.size = 0
        self.state = LogState(HardState(), last_index=0, last_term=0)

    def run(self) -> Iterator[str]:
        """Read all that is needed; yields a line now and then when there is much."""
        position = self._first_needed()
        for segment in self.segments[:position]:
            # All that can be said without a look: nothing in it is newer than this.
            segment.max_index = self._snapshot_index
        first = True
        while position < len(self.segments):
            last = position == len(self.segments) - 1
            sealed = yield from self._read(self.segments[position], first, last)
            if sealed and last:
                self._adopt(self._writable)
            first = False
            position += 1

    def _first_needed(self) -> int:
        wanted = self._snapshot_index + 1
        for position in range(len(self.segments) - 1, -1, -1):
            if self.segments[position].first_index <= wanted:
                return position
        oldest = self.segments[0]
        raise StorageError(
            f"the log begins at index {oldest.first_index}, but the newest snapshot"
            f" that can be read ends at {self._snapshot_index}",
            path=oldest.path,
        )

    def _read(
        self, segment: Segment, first: bool, last: bool
    ) -> Generator[str, None, bool]:
        reader = SegmentReader(self._disk, segment, self._identity)
        header = reader.header
        if first:
            self.state = LogState(
                header.hard_state,
                last_index=header.first_index - 1,
                last_term=header.last_term,
            )
            if header.first_index == self._snapshot_index + 1:
                self.term_at_snapshot = header.last_term
        elif (
            header.previous != self.chain
            or header.first_index != self.state.last_index + 1
        ):
            raise reader.window.damaged("it does not continue the segment before", 0)
        next_progress = PROGRESS_BYTES
        for offset, save in reader.saves(last=last):
            try:
                self.state.advance(save)
            except InvariantViolated as error:
                raise reader.window.damaged(str(error), offset) from error
            self._collect(save)
            if save.entries:
                segment.max_index = max(segment.max_index, save.entries[-1].index)
            if offset >= next_progress:
                next_progress = offset + PROGRESS_BYTES
                yield self._progress(offset)
        self._read_bytes += reader.end
        self.chain, self.salt, self.size = reader.chain, reader.salt, reader.end
        if reader.end < reader.window.size:
            self.torn_at = reader.end
        return reader.sealed

    def _progress(self, offset: int) -> str:
        mebibytes = (self._read_bytes + offset) >> 20
        return f"read {mebibytes} MiB of the log, up to index {self.state.last_index}"

    def _collect(self, save: Save) -> None:
        base = self._snapshot_index
        if save.mark is not None and save.mark.resets:
            self.entries.clear()
            self.term_at_snapshot = save.mark.term if save.mark.index == base else -1
        if not save.entries:
            return
        first = save.entries[0].index
        if first > base:
            del self.entries[first - base - 1 :]
            self.entries.extend(save.entries)
            return
        self.entries.clear()
        self.term_at_snapshot = -1
        if save.entries[-1].index >= base:
            self.term_at_snapshot = save.entries[base - first].term
            self.entries.extend(save.entries[base - first + 1 :])

    def _adopt(self, disk: Disk | None) -> None:
        """The segment was sealed, so the next one is there, if not yet by its name."""
        sealed = self.segments[-1]
        sequence, first_index = sealed.sequence + 1, self.state.last_index + 1
        path = f"{self._folder}/{segment_name(sequence, first_index)}"
        if disk is None:
            self.promised = path
            return
        if not disk.exists(path + TEMPORARY):
            raise StorageError("this segment of the log is gone", path=path)
        # The seal was read, which does not say that it was ever synced.
        file = disk.append_to(sealed.path)
        file.sync()
        file.close()
        disk.rename(path + TEMPORARY, path)
        disk.sync_folder(self._folder)
        self.segments.append(Segment(sequence, first_index, path))
