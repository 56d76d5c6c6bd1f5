"""The log being written: one record and one sync a save, cut into segments."""

from __future__ import annotations

import time
from collections.abc import Callable

from kvd.errors import InvariantViolated, StorageError
from kvd.histogram import Histogram, doubling
from kvd.raft.messages import HardState
from kvd.storage.data_dir import TEMPORARY, Identity
from kvd.storage.disk import AppendFile, Disk
from kvd.storage.log_state import LogState
from kvd.storage.records import (
    EMPTY_SAVE,
    SEGMENT_HEADER_BYTES,
    RecordType,
    Save,
    SegmentHeader,
    encode_record,
    encode_save,
    encode_segment_header,
)
from kvd.storage.replay import Replay
from kvd.storage.segments import Segment, segment_name

FSYNC_SECONDS = doubling(0.001, 14)  # etcd's bounds


class Wal:
    """
    Append-only segments; blocking, for the worker.

    :ivar fsync_seconds: how long each sync of a record took.
    :ivar written_bytes: of records, since it was opened.

    ::

        save    append(record) - sync
        cut     create N+1.tmp - append(header) - sync - sync folder
                - append(seal) to N - sync - rename N+1 - sync folder

    A seal says that the next segment exists; from then on it must. The next one is
    whole before that, so that no power cut leaves half of it.
    """

    def __init__(
        self,
        disk: Disk,
        folder: str,
        identity: Identity,
        *,
        segment_bytes: int,
        keep: int,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._disk = disk
        self._seconds = seconds
        self.fsync_seconds = Histogram(FSYNC_SECONDS)
        self.written_bytes = 0
        self._folder = folder
        self.identity = identity
        # A segment holds one record at least.
        self._segment_bytes = max(segment_bytes, SEGMENT_HEADER_BYTES + 1)
        self._keep = keep
        self._segments: list[Segment] = []
        self._file: AppendFile | None = None
        self._size = 0
        self._salt = 0
        self._chain = 0
        self._released_index = 0
        self.state = LogState(HardState(), last_index=0, last_term=0)

    def begin(self) -> None:
        """The first segment of a new member, or of a log that begins in :attr:`state`."""
        first_index = self.state.last_index + 1
        segment, salt = self._create(sequence=0, first_index=first_index, previous=0)
        self._name(segment, salt)

    def resume(self, replay: Replay) -> None:
        """
        Go on behind what was read; a torn end is cut, and a new segment begins.

        Nothing is ever written where something lay before.
        """
        self.state = replay.state
        self._segments = replay.segments
        self._chain, self._salt = replay.chain, replay.salt
        self._size = replay.size
        path = self._segments[-1].path
        if replay.torn_at >= 0:
            self._disk.truncate(path, replay.torn_at)
        self._file = self._disk.append_to(path)
        # It was read, which does not say that it was ever synced; and nothing may be
        # written behind a record that is not.
        self._file.sync()
        if replay.torn_at >= 0:
            self.cut()

    def save(self, save: Save) -> None:
        """Durable when it returns."""
        if self._size >= self._segment_bytes:
            self.cut()
        self.state.advance(save)
        self._write(RecordType.SAVE, encode_save(save))
        if save.entries:
            segment = self._segments[-1]
            segment.max_index = max(segment.max_index, save.entries[-1].index)

    def cut(self) -> None:
        """End this segment and begin the next."""
        old = self._segments[-1]
        seal, chain = encode_record(
            salt=self._salt,
            position=self._size,
            type_=RecordType.SEAL,
            previous=self._chain,
            body=b"",
        )
        segment, salt = self._create(
            sequence=old.sequence + 1,
            first_index=self.state.last_index + 1,
            previous=chain,
        )
        file = self._open_file()
        file.append(seal)
        file.sync()
        file.close()
        self._name(segment, salt)

    def release(self, index: int) -> None:
        """No entry up to ``index`` will be asked for again."""
        self._released_index = max(self._released_index, index)

    def purge(self) -> bool:
        """Remove the oldest segment if it may go; False if it must stay."""
        if self._keep == 0 or len(self._segments) <= max(self._keep, 1):
            return False
        oldest = self._segments[0]
        if oldest.max_index > self._released_index:
            return False
        self._disk.remove(oldest.path)
        # One at a time: a power cut must not bring back one before a missing one.
        self._disk.sync_folder(self._folder)
        del self._segments[0]
        return True

    def close(self) -> None:
        """Say that nothing was lost at the end; never called after a failure."""
        self.save(EMPTY_SAVE)
        self._open_file().close()

    def _write(self, type_: RecordType, body: bytes) -> None:
        data, chain = encode_record(
            salt=self._salt,
            position=self._size,
            type_=type_,
            previous=self._chain,
            body=body,
        )
        file = self._open_file()
        try:
            file.append(data)
            began = self._seconds()
            file.sync()
        except OSError as error:
            raise StorageError(
                error.strerror or str(error),
                path=self._segments[-1].path,
                offset=self._size,
            ) from error
        self.fsync_seconds.observe(self._seconds() - began)
        self.written_bytes += len(data)
        self._chain = chain
        self._size += len(data)

    def _create(
        self, *, sequence: int, first_index: int, previous: int
    ) -> tuple[Segment, int]:
        """A segment under its temporary name, whole and durable; and its salt."""
        header = SegmentHeader(
            member_id=self.identity.member_id,
            cluster_id=self.identity.cluster_id,
            sequence=sequence,
            first_index=first_index,
            last_term=self.state.last_term,
            hard_state=self.state.hard_state,
            previous=previous,
        )
        data, salt = encode_segment_header(header)
        path = f"{self._folder}/{segment_name(sequence, first_index)}"
        file = self._disk.create(path + TEMPORARY)
        file.append(data)
        file.sync()
        file.close()
        self._disk.sync_folder(self._folder)
        return Segment(sequence, first_index, path), salt

    def _name(self, segment: Segment, salt: int) -> None:
        self._disk.rename(segment.path + TEMPORARY, segment.path)
        self._disk.sync_folder(self._folder)
        self._segments.append(segment)
        self._file = self._disk.append_to(segment.path)
        self._size = self._disk.size(segment.path)
        self._salt = self._chain = salt

    def _open_file(self) -> AppendFile:
        if self._file is None:
            raise InvariantViolated("the log is not open")
        return self._file
