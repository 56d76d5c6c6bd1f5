"""
The files of the log, read one record after the other; and the tail rule.

The tail rule (``docs/design/disk-format.rst``): a record is written only after the one
before it was synced, so that a power cut can spoil the last record and no other. The
end of the last segment is cut only if nothing says that what is spoiled there was
ever followed by anything. All other damage is a :class:`kvd.errors.StorageError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zlib import crc32

import attrs

from kvd.errors import StorageError
from kvd.storage.data_dir import TEMPORARY, Identity, refused
from kvd.storage.disk import Readable
from kvd.storage.records import (
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    BadBytes,
    RecordHeader,
    RecordType,
    Save,
    SegmentHeader,
    decode_record_header,
    decode_save,
    decode_segment_header,
    salt_bytes,
)

WAL_SUFFIX = ".wal"
_WINDOW_BYTES = 1 << 20


@attrs.define
class Segment:
    """
    A file of the log.

    :ivar max_index: the highest index of an entry that was ever written to it.
    """

    sequence: int
    first_index: int
    path: str
    max_index: int = 0


def segment_name(sequence: int, first_index: int) -> str:
    return f"{sequence:016x}-{first_index:016x}{WAL_SUFFIX}"


def list_segments(folder: str, names: Sequence[str]) -> list[Segment]:
    """
    The segments in order, without a look inside.

    :param names: what is in the folder, sorted.

    :raises StorageError: one is missing between two others, or a file is not ours.
    """
    segments: list[Segment] = []
    for name in names:
        if name == "lock" or name.endswith(TEMPORARY):
            continue
        path = f"{folder}/{name}"
        try:
            sequence, first_index = int(name[:16], 16), int(name[17:33], 16)
        except ValueError:
            sequence = first_index = -1
        if sequence < 0 or name != segment_name(sequence, first_index):
            raise StorageError("this file is not part of kvd's log", path=path)
        if segments and sequence != segments[-1].sequence + 1:
            missing = segments[-1].sequence + 1
            raise StorageError(
                f"the segment before it, {missing:x}, is gone", path=path
            )
        segments.append(Segment(sequence, first_index, path))
    return segments


class Window:
    """A file read forward in large pieces; errors name the file and the offset."""

    def __init__(self, disk: Readable, path: str) -> None:
        self._disk = disk
        self.path = path
        self._start = 0
        self._data = b""
        try:
            self.size = disk.size(path)
        except OSError as error:
            raise refused(error, path) from error

    def take(self, offset: int, size: int) -> bytes:
        """``size`` bytes, fewer at the end of the file."""
        at = offset - self._start
        if at >= 0 and at + size <= len(self._data):
            return self._data[at : at + size]
        size = max(0, min(size, self.size - offset))
        if at < 0 or at + size > len(self._data):
            wanted = max(size, min(_WINDOW_BYTES, self.size - offset))
            self._data = self._read(offset, wanted)
            self._start, at = offset, 0
        return self._data[at : at + size]

    def _read(self, offset: int, size: int) -> bytes:
        try:
            data = self._disk.read(self.path, offset, size)
        except OSError as error:
            why = error.strerror or str(error)
            raise StorageError(why, path=self.path, offset=offset) from error
        if len(data) != size:
            raise StorageError("the file ends early", path=self.path, offset=offset)
        return data

    def damaged(self, problem: str, offset: int) -> StorageError:
        return StorageError(problem, path=self.path, offset=offset)


def find_record(window: Window, offset: int, salt: int) -> int:
    """Where, from ``offset`` on, a record header of this segment lies, or -1."""
    mark = salt_bytes(salt)
    overlap = RECORD_HEADER_BYTES - 1
    while offset < window.size:
        piece = window.take(offset, _WINDOW_BYTES)
        at = piece.find(mark)
        while at >= 0:
            head = window.take(offset + at, RECORD_HEADER_BYTES)
            if decode_record_header(head, salt) is not None:
                return offset + at
            at = piece.find(mark, at + 1)
        if offset + len(piece) == window.size:
            break
        offset += len(piece) - overlap
    return -1


class SegmentReader:
    """
    Reads one segment's records.

    :ivar end: offset behind the last good record; what follows is a torn record.
    :ivar chain: CRC of the last good record.
    :ivar sealed: the last good record says that another segment follows.
    """

    def __init__(self, disk: Readable, segment: Segment, identity: Identity) -> None:
        self.window = Window(disk, segment.path)
        self.header, self._salt = self._read_header()
        header = self.header
        if (header.cluster_id, header.member_id) != (
            identity.cluster_id,
            identity.member_id,
        ):
            raise self.window.damaged(
                f"this log belongs to member {header.member_id:x} of cluster"
                f" {header.cluster_id:x}",
                0,
            )
        if (header.sequence, header.first_index) != (
            segment.sequence,
            segment.first_index,
        ):
            raise self.window.damaged("the segment is not the one it is named for", 0)
        self.end = SEGMENT_HEADER_BYTES
        self.chain = self._salt
        self.sealed = False

    @property
    def salt(self) -> int:
        return self._salt

    def saves(self, *, last: bool) -> Iterator[tuple[int, Save]]:
        """
        Each save with its offset; after the end, :attr:`end` says where that is.

        :param last: of all segments: its end may be torn.
        """
        size = self.window.size
        while self.end < size:
            offset = self.end
            header = self._next_header(offset)
            body = None if header is None else self._whole_body(offset, header)
            if header is None or body is None:
                self._judge_tail(offset, header, last=last)
                return
            self.end = offset + RECORD_HEADER_BYTES + header.length
            self.chain = header.crc
            if header.type == RecordType.SEAL:
                self.sealed = True
                if self.end != size:
                    raise self.window.damaged("data after the segment's end", self.end)
            elif header.type == RecordType.SAVE:
                try:
                    yield offset, decode_save(body)
                except BadBytes as error:
                    raise self.window.damaged(str(error), offset) from error
            else:
                raise self.window.damaged(f"unknown record type {header.type}", offset)
        if not last and not self.sealed:
            raise self.window.damaged("the segment's end is missing", self.end)

    def _read_header(self) -> tuple[SegmentHeader, int]:
        try:
            return decode_segment_header(self.window.take(0, SEGMENT_HEADER_BYTES))
        except BadBytes as error:
            raise self.window.damaged(str(error), 0) from error

    def _next_header(self, offset: int) -> RecordHeader | None:
        head = self.window.take(offset, RECORD_HEADER_BYTES)
        header = decode_record_header(head, self._salt)
        if header is not None and (
            header.position != offset or header.previous != self.chain
        ):
            raise self.window.damaged(
                "this record does not follow the one before it", offset
            )
        return header

    def _whole_body(self, offset: int, header: RecordHeader) -> bytes | None:
        body = self.window.take(offset + RECORD_HEADER_BYTES, header.length)
        whole = len(body) == header.length and crc32(body) == header.body_crc
        return body if whole else None

    def _judge_tail(
        self, offset: int, header: RecordHeader | None, *, last: bool
    ) -> None:
        """Return if what lies here can only be a torn write."""
        damaged = self.window.damaged
        if not last:
            raise damaged("a damaged record before the end of the log", offset)
        follower = find_record(self.window, offset + 1, self._salt)
        if follower >= 0:
            raise damaged(
                f"a damaged record, followed by another at offset {follower}", offset
            )
        if header is not None:
            end = offset + RECORD_HEADER_BYTES + header.length
            if end < self.window.size:
                raise damaged("a damaged record, followed by more data", offset)
