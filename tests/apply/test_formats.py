"""The envelope and the frames of a snapshot."""

from __future__ import annotations

import struct
from contextlib import suppress
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.apply.request import (
    Request,
    RequestId,
    decode_request,
    encode_request,
    peek_request_id,
)
from kvd.apply.sections import DATA_MAX, SectionReader, encode_sections
from kvd.errors import RequestError, StorageError
from kvd.state import Section

unsigned = st.integers(min_value=0, max_value=2**64 - 1)


@given(
    st.text(st.characters(max_codepoint=127), max_size=255),
    unsigned,
    unsigned,
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.binary(max_size=50),
)
@settings(max_examples=60, deadline=None)
def test_an_envelope_is_decoded_to_what_was_encoded(name, member, sequence, now, body):
    request = Request(name, RequestId(member, sequence), now, body)
    data = encode_request(request)
    assert decode_request(data) == request
    assert peek_request_id(data) == request.request_id


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_garbage_gets_through_or_stops_anything(data):
    for decode in (decode_request, peek_request_id):
        with suppress(RequestError):
            decode(data)


def test_other_versions_and_cut_or_foreign_names_are_refused():
    good = encode_request(Request("v2", RequestId(1, 2), 3, b""))
    bad = [b"\x02" + good[1:], good[:-1], good[:10], good[:-1] + b"\xff", b""]
    for data in bad:
        with pytest.raises(RequestError):
            decode_request(data)
    for data in (bad[0], bad[2], b""):
        with pytest.raises(RequestError):
            peek_request_id(data)


def sections(*parts: tuple[str, int, list[bytes]]) -> bytes:
    made = [Section(name, version, iter(chunks)) for name, version, chunks in parts]
    return b"".join(encode_sections(applied_index=7, sections=made))


def read(chunks: list[bytes]) -> tuple[int, list[tuple[str, int, bytes]]]:
    reader = SectionReader(chunks)
    found = [(s.name, s.version, b"".join(s.chunks)) for s in reader.sections()]
    return reader.applied_index, found


EXAMPLE = sections(("v2", 1, [b"a" * 100, b"b"]), ("cluster", 65_535, []))


@given(st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_chunk_borders_do_not_matter(size):
    chunks = [EXAMPLE[at : at + size] for at in range(0, len(EXAMPLE), size)]
    found = [("v2", 1, b"a" * 100 + b"b"), ("cluster", 65_535, b"")]
    assert read(chunks) == (7, found)


def test_frames_are_at_most_64_kib_and_lazy():
    made = []

    def chunks():
        for n in range(3):
            made.append(n)
            yield bytes(DATA_MAX + 1)

    frames = encode_sections(applied_index=0, sections=[Section("v2", 1, chunks())])
    assert made == []
    sizes = [len(frame) for frame in frames]
    assert max(sizes) <= 64 << 10
    assert made == [0, 1, 2]


def test_every_truncation_is_refused():
    for size in range(len(EXAMPLE)):
        with pytest.raises(StorageError):
            read([EXAMPLE[:size]])
    with pytest.raises(StorageError, match="goes on"):
        read([EXAMPLE + b"x"])
    with pytest.raises(StorageError, match="goes on"):
        read([EXAMPLE, b"", b"x"])


def test_every_flipped_bit_is_noticed():
    for at in range(len(EXAMPLE)):
        for bit in (1, 128):
            bad = bytearray(EXAMPLE)
            bad[at] ^= bit
            with pytest.raises(StorageError):
                read([bytes(bad)])


def frames_of(data: bytes) -> list[bytes]:
    found = []
    while data:
        size = 9 + struct.unpack_from(">BI", data)[1]
        found.append(data[:size])
        data = data[size:]
    return found


def test_frames_that_are_swapped_left_out_or_repeated_are_noticed():
    frames = frames_of(EXAMPLE)
    for n in range(len(frames) - 1):
        for bad in (
            frames[:n] + frames[n + 1 :],
            frames[: n + 1] + frames[n:],
            [*frames[:n], frames[n + 1], frames[n], *frames[n + 2 :]],
        ):
            with pytest.raises(StorageError):
                read(bad)


def stream(*frames: tuple[int, bytes]) -> list[bytes]:
    """Frames with the right checksums, whatever they say."""
    crc, out = 0, []
    for kind, payload in frames:
        head = struct.pack(">BI", kind, len(payload))
        crc = crc32(payload, crc32(head, crc))
        out.append(head + payload + struct.pack(">I", crc))
    return out


HEAD = (1, b"kvd-snap" + struct.pack(">HQ", 1, 7))
BEGIN = (2, struct.pack(">H", 1) + b"v2")
END = (4, struct.pack(">Q", 0))


@pytest.mark.parametrize(
    "frames",
    [
        [BEGIN],
        [(1, b"short")],
        [(1, b"kvd-snip" + struct.pack(">HQ", 1, 7))],
        [(1, b"kvd-snap" + struct.pack(">HQ", 2, 7))],
        [HEAD, (2, b"\0\1"), END, (5, struct.pack(">I", 1))],
        [HEAD, (2, b"x"), END, (5, struct.pack(">I", 1))],
        [HEAD, (2, b"\0\1\xff"), END, (5, struct.pack(">I", 1))],
        [HEAD, BEGIN, END, (5, struct.pack(">I", 2))],
        [HEAD, BEGIN, (3, b"x"), END, (5, struct.pack(">I", 1))],
        [HEAD, BEGIN, BEGIN, END, (5, struct.pack(">I", 1))],
        [HEAD, END],
        [HEAD, (3, bytes(70_000))],
    ],
)
def test_frames_that_make_no_sense_are_refused(frames):
    with pytest.raises(StorageError):
        read(stream(*frames))


def test_a_machine_that_does_not_read_its_section_is_noticed():
    reader = SectionReader([EXAMPLE])
    with pytest.raises(StorageError, match="not read to its end"):
        list(reader.sections())
