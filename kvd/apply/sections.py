"""
A snapshot as a stream of frames: named, versioned sections of opaque bytes.

Each frame carries a CRC-32 that goes on from the frame before it, so that a frame
that is damaged, missing, repeated or out of place is found where it is read
(``docs/design/snapshots.rst``)::

    frame   kind:1 payload_bytes:4 payload crc:4

    1 head     "kvd-snap" format:2 applied_index:8      first, once
    2 begin    version:2 name
    3 data     1 to 64 KiB of the section
    4 end      bytes of data in the section:8
    5 finish   number of sections:4                      last, once
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from kvd.errors import StorageError
from kvd.state import Section

_MAGIC = b"kvd-snap"
_FORMAT = 1
_FRAME = struct.Struct(">BI")
_CRC = struct.Struct(">I")
_HEAD = struct.Struct(">8sHQ")
_BEGIN = struct.Struct(">H")
_END = struct.Struct(">Q")
_FINISH = struct.Struct(">I")
_HEAD_KIND, _BEGIN_KIND, _DATA_KIND, _END_KIND, _FINISH_KIND = 1, 2, 3, 4, 5
_OVERHEAD = _FRAME.size + _CRC.size
PAYLOAD_MAX = 64 << 10
# A frame is handed out whole, and no chunk is longer than 64 KiB.
DATA_MAX = PAYLOAD_MAX - _OVERHEAD


def encode_sections(
    *, applied_index: int, sections: Iterable[Section]
) -> Iterator[bytes]:
    """Frames, one for each chunk of the sections; lazy as they are."""
    crc = 0

    def frame(kind: int, payload: bytes) -> bytes:
        nonlocal crc
        head = _FRAME.pack(kind, len(payload))
        crc = crc32(payload, crc32(head, crc))
        return b"".join((head, payload, _CRC.pack(crc)))

    yield frame(_HEAD_KIND, _HEAD.pack(_MAGIC, _FORMAT, applied_index))
    count = 0
    for section in sections:
        yield frame(_BEGIN_KIND, _BEGIN.pack(section.version) + section.name.encode())
        size = 0
        for chunk in section.chunks:
            size += len(chunk)
            for at in range(0, len(chunk), DATA_MAX):
                yield frame(_DATA_KIND, chunk[at : at + DATA_MAX])
        yield frame(_END_KIND, _END.pack(size))
        count += 1
    yield frame(_FINISH_KIND, _FINISH.pack(count))


class StoredSection(NamedTuple):
    """A section being read; its chunks must be taken before the next one is."""

    name: str
    version: int
    chunks: Iterator[bytes]


class SectionReader:
    """
    Reads what :func:`encode_sections` wrote, out of chunks with arbitrary borders.

    Everything handed out has been checked; whatever is wrong is a StorageError.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._data = b""
        self._at = 0
        self._crc = 0
        kind, payload = self._frame()
        if kind != _HEAD_KIND or len(payload) != _HEAD.size:
            raise StorageError("not a snapshot")
        magic, version, self.applied_index = _HEAD.unpack(payload)
        if magic != _MAGIC or version != _FORMAT:
            raise StorageError("not a snapshot of a known format")

    def sections(self) -> Iterator[StoredSection]:
        """In the order in which they were written, once."""
        count = 0
        while True:
            kind, payload = self._frame()
            if kind != _BEGIN_KIND:
                break
            count += 1
            name_bytes = payload[_BEGIN.size :]
            if not name_bytes or not name_bytes.isascii():
                raise StorageError("snapshot section without a name")
            name = name_bytes.decode("ascii")
            chunks = self._section(name)
            yield StoredSection(name, _BEGIN.unpack_from(payload)[0], chunks)
            for _ in chunks:
                raise StorageError(f"snapshot section {name} was not read to its end")
        if kind != _FINISH_KIND or payload != _FINISH.pack(count):
            raise StorageError("snapshot does not finish as it should")
        if self._at < len(self._data) or any(self._chunks):
            raise StorageError("snapshot goes on after its end")

    def _section(self, name: str) -> Iterator[bytes]:
        size = 0
        while True:
            kind, payload = self._frame()
            if kind != _DATA_KIND:
                break
            size += len(payload)
            yield payload
        if kind != _END_KIND or payload != _END.pack(size):
            raise StorageError(f"snapshot section {name} is incomplete")

    def _frame(self) -> tuple[int, bytes]:
        head = self._take(_FRAME.size)
        kind, size = _FRAME.unpack(head)
        if size > PAYLOAD_MAX:
            raise StorageError("snapshot frame is too long")
        payload = self._take(size)
        self._crc = crc32(payload, crc32(head, self._crc))
        if self._take(_CRC.size) != _CRC.pack(self._crc):
            raise StorageError("snapshot frame has a wrong checksum")
        return kind, payload

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            parts = [self._data[self._at :]]
            have = len(parts[0])
            while have < size:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise StorageError("snapshot ends too early")
                parts.append(chunk)
                have += len(chunk)
            self._data = b"".join(parts)
            self._at = 0
        at = self._at
        self._at = at + size
        return self._data[at : self._at]
