"""
The bytes of a log segment: its header, its records, and what a save record says.

All numbers are little-endian and unsigned. ``docs/design/disk-format.rst`` is the
specification; the layouts are repeated here beside the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct, error
from typing import NamedTuple
from zlib import crc32

import attrs

from kvd.errors import InvariantViolated, KvdError, invariant
from kvd.raft.messages import Entry, EntryKind, HardState

FORMAT_VERSION = 1
SEGMENT_MAGIC = b"\x89kvdlog\n"

# magic 8, version 4, member 8, cluster 8, sequence 8, first index 8, last term 8,
# hard state (term, vote, commit) 24, previous 4; then the CRC of all that, 4
_SEGMENT = Struct("<8sIQQQQQQQQI")
_VERSION = Struct("<8sI")
_CRC = Struct("<I")
SEGMENT_HEADER_BYTES = _SEGMENT.size + _CRC.size

# salt 4, position 8, length of the body 4, type 1, zeros 3, previous 4, CRC of the
# body 4; then the CRC of all that, 4, which is what the next record calls "previous"
_RECORD = Struct("<IQIB3sII")
_ZEROS = bytes(3)
RECORD_HEADER_BYTES = _RECORD.size + _CRC.size
BODY_BYTES_MAX = (1 << 32) - 1

_HARD_STATE = Struct("<QQQ")
_MARK = Struct("<QQ")
_ENTRIES = Struct("<QI")  # index of the first, how many
_ENTRY = Struct("<QBI")  # term, kind, length of the data

_HAS_HARD_STATE = 1
_HAS_MARK = 2
_RESETS = 4
_FLAGS = _HAS_HARD_STATE | _HAS_MARK | _RESETS
_KINDS = {int(kind): kind for kind in EntryKind}


class BadBytes(KvdError):
    """These bytes are not what they should be; whoever knows the file says where."""


class RecordType(IntEnum):
    """What a record's body is."""

    SAVE = 1
    SEAL = 2  # the segment ends here, the next one exists


class Mark(NamedTuple):
    """
    A snapshot that is durable.

    :ivar resets: it came from a leader: the log before it is void and goes on after it.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, unused
    term: int
    resets: bool


class Save(NamedTuple):
    """One call of ``save``: a mark, then entries, then a hard state."""

    hard_state: HardState | None
    entries: Sequence[Entry]
    mark: Mark | None


EMPTY_SAVE = Save(None, (), None)


@attrs.frozen
class SegmentHeader:
    """
    What a segment starts with; enough to read it without the segments before it.

    :ivar first_index: of the next entry, if it does not replace an earlier one.
    :ivar last_term: term of the entry before it.
    :ivar hard_state: what was true when the segment began.
    :ivar previous: CRC of the record that ends the segment before, 0 in the first.
    """

    member_id: int
    cluster_id: int
    sequence: int
    first_index: int
    last_term: int
    hard_state: HardState
    previous: int


class RecordHeader(NamedTuple):
    """A record's header that agrees with its own CRC."""

    position: int
    length: int
    type: int
    previous: int
    body_crc: int
    crc: int


def encode_segment_header(header: SegmentHeader) -> tuple[bytes, int]:
    """The bytes, and their CRC, which salts the records of the segment."""
    state = header.hard_state
    head = _SEGMENT.pack(
        SEGMENT_MAGIC,
        FORMAT_VERSION,
        header.member_id,
        header.cluster_id,
        header.sequence,
        header.first_index,
        header.last_term,
        state.term,
        state.vote,
        state.commit,
        header.previous,
    )
    crc = crc32(head)
    return head + _CRC.pack(crc), crc


def decode_segment_header(data: bytes) -> tuple[SegmentHeader, int]:
    """
    The header and its CRC.

    :raises BadBytes: another kind of file, a newer format, or damage.
    """
    check_magic(data, SEGMENT_MAGIC, "a log segment")
    if len(data) != SEGMENT_HEADER_BYTES:
        raise BadBytes("the segment's header is incomplete")
    crc = crc32(data[: _SEGMENT.size])
    if crc != _CRC.unpack_from(data, _SEGMENT.size)[0]:
        raise BadBytes("the segment's header does not agree with its checksum")
    (
        _,
        _,
        member,
        cluster,
        sequence,
        first,
        last_term,
        term,
        vote,
        commit,
        previous,
    ) = _SEGMENT.unpack_from(data)
    return SegmentHeader(
        member_id=member,
        cluster_id=cluster,
        sequence=sequence,
        first_index=first,
        last_term=last_term,
        hard_state=HardState(term=term, vote=vote, commit=commit),
        previous=previous,
    ), crc


def check_magic(data: bytes, magic: bytes, what: str) -> None:
    """Refuse another kind of file and formats newer than ours, before anything else."""
    if len(data) < _VERSION.size:
        raise BadBytes(f"too short to be {what}")
    found, version = _VERSION.unpack_from(data)
    if found != magic:
        raise BadBytes(f"this is not {what} of kvd")
    if version != FORMAT_VERSION:
        raise BadBytes(
            f"format version {version}; this kvd reads version {FORMAT_VERSION}"
        )


def encode_record(
    *, salt: int, position: int, type_: RecordType, previous: int, body: bytes
) -> tuple[bytes, int]:
    """The bytes of a record, and its CRC, which the next one names."""
    invariant(len(body) <= BODY_BYTES_MAX, "a log record is below 4 GiB")
    head = _RECORD.pack(salt, position, len(body), type_, _ZEROS, previous, crc32(body))
    crc = crc32(head)
    return b"".join((head, _CRC.pack(crc), body)), crc


def decode_record_header(data: bytes, salt: int) -> RecordHeader | None:
    """None if these are not the bytes of a record header of the segment so salted."""
    if len(data) != RECORD_HEADER_BYTES:
        return None
    crc = crc32(data[: _RECORD.size])
    found, position, length, type_, zeros, previous, body_crc = _RECORD.unpack_from(
        data
    )
    if (
        crc != _CRC.unpack_from(data, _RECORD.size)[0]
        or found != salt
        or zeros != _ZEROS
    ):
        return None
    return RecordHeader(position, length, type_, previous, body_crc, crc)


def salt_bytes(salt: int) -> bytes:
    """What every record of the segment begins with."""
    return _CRC.pack(salt)


def encode_save(save: Save) -> bytes:
    """The body of a save record."""
    hard_state, entries, mark = save
    flags = 0
    parts = [b""]
    if hard_state is not None:
        flags |= _HAS_HARD_STATE
        parts.append(
            _HARD_STATE.pack(hard_state.term, hard_state.vote, hard_state.commit)
        )
    if mark is not None:
        flags |= _HAS_MARK | (_RESETS if mark.resets else 0)
        parts.append(_MARK.pack(mark.index, mark.term))
    parts[0] = bytes((flags,))
    first = entries[0].index if entries else 0
    parts.append(_ENTRIES.pack(first, len(entries)))
    pack = _ENTRY.pack
    for expected, (index, term, kind, data) in enumerate(entries, first):
        if index != expected:  # written out: this is the hot path
            raise InvariantViolated("entries do not follow each other")
        parts.append(pack(term, kind, len(data)))
    parts.extend([entry.data for entry in entries])
    return b"".join(parts)


def decode_save(body: bytes) -> Save:
    """
    What :func:`encode_save` was given.

    :raises BadBytes: for anything else.
    """
    try:
        return _decode_save(body)
    except (error, IndexError, KeyError) as reason:
        raise BadBytes("a save record's body makes no sense") from reason


def _decode_save(body: bytes) -> Save:
    flags = body[0]
    at = 1
    hard_state = mark = None
    if flags & ~_FLAGS:
        raise BadBytes(f"a save record has unknown flags {flags:#x}")
    if flags & _HAS_HARD_STATE:
        term, vote, commit = _HARD_STATE.unpack_from(body, at)
        hard_state = HardState(term=term, vote=vote, commit=commit)
        at += _HARD_STATE.size
    if flags & _HAS_MARK:
        index, term = _MARK.unpack_from(body, at)
        mark = Mark(index, term, bool(flags & _RESETS))
        at += _MARK.size
    first, count = _ENTRIES.unpack_from(body, at)
    at += _ENTRIES.size
    data_at = at + count * _ENTRY.size
    if data_at > len(body):
        raise BadBytes("a save record's body is shorter than its entries")
    entries = []
    for offset, (term, kind, length) in enumerate(
        _ENTRY.iter_unpack(memoryview(body)[at:data_at])
    ):
        end = data_at + length
        entries.append(Entry(first + offset, term, _KINDS[kind], body[data_at:end]))
        data_at = end
    if data_at != len(body):
        raise BadBytes("a save record's body is not as long as its entries")
    return Save(hard_state, tuple(entries), mark)
