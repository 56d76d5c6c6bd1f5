"""The bytes of segments and records."""

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd.errors import InvariantViolated
from kvd.raft.messages import Entry, EntryKind, HardState
from kvd.storage import records
from kvd.storage.records import (
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    BadBytes,
    Mark,
    RecordHeader,
    RecordType,
    Save,
    SegmentHeader,
    decode_record_header,
    decode_save,
    decode_segment_header,
    encode_record,
    encode_save,
    encode_segment_header,
)
from tests.storage.fakes import entries, entry, state

U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)
HARD_STATES = st.builds(HardState, term=U64, vote=U64, commit=U64)


@st.composite
def saves(draw):
    first = draw(st.integers(1, 2**62))
    made = tuple(
        Entry(first + offset, draw(U64), draw(st.sampled_from(EntryKind)), data)
        for offset, data in enumerate(
            draw(st.lists(st.binary(max_size=40), max_size=6))
        )
    )
    mark = st.builds(Mark, U64, U64, st.booleans())
    return Save(draw(st.none() | HARD_STATES), made, draw(st.none() | mark))


@given(save=saves())
def test_a_save_comes_back(save):
    found = decode_save(encode_save(save))
    assert found == save
    assert all(type(each.kind) is EntryKind for each in found.entries)


@given(save=saves(), data=st.data())
def test_a_body_that_is_cut_or_longer_is_refused(save, data):
    body = encode_save(save)
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(BadBytes):
        decode_save(body[:cut])
    with pytest.raises(BadBytes):
        decode_save(body + b"x")


@given(body=st.binary(max_size=120))
def test_any_bytes_are_a_save_or_refused(body):
    try:
        save = decode_save(body)
    except BadBytes:
        return
    assert decode_save(encode_save(save)) == save


def test_an_unknown_kind_of_entry_is_refused():
    body = bytearray(encode_save(Save(None, (entry(1),), None)))
    body[1 + 12 + 8] = 9
    with pytest.raises(BadBytes):
        decode_save(bytes(body))


def test_a_count_beyond_the_body_is_refused_before_anything_is_made():
    with pytest.raises(BadBytes):
        decode_save(b"\0" + struct.pack("<QI", 1, 2**32 - 1))


def test_entries_with_a_gap_are_not_written():
    with pytest.raises(InvariantViolated):
        encode_save(Save(None, (entry(1), entry(3)), None))


HEADERS = st.builds(
    SegmentHeader,
    member_id=U64,
    cluster_id=U64,
    sequence=U64,
    first_index=U64,
    last_term=U64,
    hard_state=HARD_STATES,
    previous=U32,
)


@given(header=HEADERS, at=st.integers(0, SEGMENT_HEADER_BYTES - 1))
def test_a_segment_header_comes_back_whole_or_not_at_all(header, at):
    data, crc = encode_segment_header(header)
    assert len(data) == SEGMENT_HEADER_BYTES == 84
    assert decode_segment_header(data) == (header, crc)
    bad = bytearray(data)
    bad[at] ^= 0x40
    with pytest.raises(BadBytes):
        decode_segment_header(bytes(bad))
    with pytest.raises(BadBytes):
        decode_segment_header(data[:at])


@given(
    salt=U32,
    position=U64,
    previous=U32,
    body=st.binary(max_size=50),
    at=st.integers(0, RECORD_HEADER_BYTES - 1),
    bit=st.integers(0, 7),
)
def test_a_record_header_comes_back_whole_or_not_at_all(
    salt, position, previous, body, at, bit
):
    data, crc = encode_record(
        salt=salt,
        position=position,
        type_=RecordType.SAVE,
        previous=previous,
        body=body,
    )
    assert data[RECORD_HEADER_BYTES:] == body
    head = data[:RECORD_HEADER_BYTES]
    assert decode_record_header(head, salt) == RecordHeader(
        position, len(body), RecordType.SAVE, previous, crc32(body), crc
    )
    assert decode_record_header(head, salt ^ 1) is None
    assert decode_record_header(head[:at], salt) is None
    bad = bytearray(head)
    bad[at] ^= 1 << bit
    assert decode_record_header(bytes(bad), salt) is None


def test_bytes_kept_for_later_must_be_zero():
    head = struct.pack("<IQIB3sII", 5, 0, 0, 1, b"\0\1\0", 0, 0)
    assert decode_record_header(head + struct.pack("<I", crc32(head)), 5) is None


def test_a_record_has_a_size_that_its_header_can_say(monkeypatch):
    monkeypatch.setattr(records, "BODY_BYTES_MAX", 10)
    with pytest.raises(InvariantViolated):
        encode_record(
            salt=0, position=0, type_=RecordType.SAVE, previous=0, body=b"x" * 11
        )


def test_these_bytes_are_the_format():
    """A change of these is a change of ``disk-format.rst`` and of the version."""
    header = SegmentHeader(
        member_id=1,
        cluster_id=2,
        sequence=3,
        first_index=4,
        last_term=5,
        hard_state=state(6, 7, 8),
        previous=9,
    )
    data, crc = encode_segment_header(header)
    assert data.hex() == (
        "896b76646c6f670a"  # magic
        "01000000"  # version
        "0100000000000000"
        "0200000000000000"  # member, cluster
        "0300000000000000"
        "0400000000000000"  # sequence, first index
        "0500000000000000"  # last term
        "0600000000000000"
        "0700000000000000"
        "0800000000000000"  # hard state
        "09000000" + crc.to_bytes(4, "little").hex()  # previous
    )
    body = encode_save(
        Save(state(1, 2, 3), entries(4, 5, term=6)[:1], Mark(7, 8, resets=True))
    )
    assert body.hex() == (
        "07"  # hard state, mark, resets
        "0100000000000000"
        "0200000000000000"
        "0300000000000000"
        "0700000000000000"
        "0800000000000000"  # mark
        "0400000000000000"
        "01000000"  # first index, count
        "0600000000000000"
        "00"
        "11000000" + b"entry 4 of term 6".hex()  # term, kind, length
    )
    record, crc = encode_record(
        salt=1, position=2, type_=RecordType.SEAL, previous=3, body=b"\x01"
    )
    assert record.hex() == (
        "01000000"
        "0200000000000000"
        "01000000"
        "02"
        "000000"
        "03000000"
        "1bdf05a5" + crc.to_bytes(4, "little").hex() + "01"  # CRC-32 of the body
    )
