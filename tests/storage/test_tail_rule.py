"""Which ends of a log may be cut, and which damage stops the member."""

import struct
from itertools import pairwise
from zlib import crc32

import pytest

from kvd.errors import StorageError
from kvd.storage import records, segments
from kvd.storage.records import (
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    RecordType,
    decode_record_header,
    decode_segment_header,
    encode_record,
)
from kvd.storage.segments import SegmentReader, find_record
from tests.storage.fakes import WAL, Machine, entries, entry, seeded, state

SAVES = 4  # after the first, which has one entry, each has two


def written():
    """A log of some saves, never closed; the machine, its file and record offsets."""
    machine = Machine().open()
    machine.save(state(term=1), entries(1, 1))
    for number in range(SAVES):
        first = 2 + 2 * number
        machine.save(state(term=1, commit=first - 1), entries(first, first + 1))
    (path,) = machine.segments()
    return machine, path, offsets(machine.bytes_of(path))


def offsets(data):
    """Where each record begins, and the end."""
    _, salt = decode_segment_header(bytes(data[:SEGMENT_HEADER_BYTES]))
    found, at = [], SEGMENT_HEADER_BYTES
    while at < len(data):
        header = decode_record_header(bytes(data[at : at + RECORD_HEADER_BYTES]), salt)
        found.append(at)
        at += RECORD_HEADER_BYTES + header.length
    return [*found, at]


def salt_and_chain(data, starts):
    _, salt = decode_segment_header(bytes(data[:SEGMENT_HEADER_BYTES]))
    last = bytes(data[starts[-2] : starts[-2] + RECORD_HEADER_BYTES])
    return salt, decode_record_header(last, salt).crc


def indexes(machine):
    return [each.index for each in machine.recovered.entries]


def check_goes_on(machine, last):
    """After a cut the log takes new entries, and they come back."""
    commit = machine.recovered.hard_state.commit
    machine.save(state(2, commit=commit), (entry(last + 1, 2), entry(last + 2, 2)))
    machine.reopen()
    assert indexes(machine) == list(range(1, last + 3))
    assert machine.recovered.notes == ()


def check_cut(machine, path, last, offset):
    """The end was cut at the offset, up to that index everything is there."""
    machine.reopen()
    assert indexes(machine) == list(range(1, last + 1))
    (note,) = machine.recovered.notes
    assert note.startswith(f"{path}: cut at offset {offset}:")
    check_goes_on(machine, last)


def check_refused(machine, path, offset=None):
    machine.disk.restart()
    before = {name: bytes(machine.bytes_of(name)) for name in machine.segments()}
    with pytest.raises(StorageError) as caught:
        machine.open()
    assert caught.value.path == path
    if offset is not None:
        assert caught.value.offset == offset
    after = {name: bytes(machine.bytes_of(name)) for name in machine.segments()}
    assert after == before
    assert machine.disk.locks == set()
    assert machine.worker.stopped


# -- S01 ----------------------------------------------------------------------------


def check_torn_tail():
    _, path, starts = written()
    for kept, start, end in zip((5, 7), starts[-3:], starts[-2:], strict=False):
        for cut in range(start + 1, end):
            machine, _, _ = written()
            data = machine.bytes_of(path)
            machine.set_bytes(path, data[:cut])
            check_cut(machine, path, kept, start)


def check_torn_tail_at_record_ends():
    machine, path, starts = written()
    data = bytes(machine.bytes_of(path))
    for number, start in enumerate(starts):
        machine, _, _ = written()
        machine.set_bytes(path, data[:start])
        machine.reopen()
        assert machine.recovered.notes == ()
        assert indexes(machine) == list(range(1, 2 * number))


def test_torn_tail_every_offset():
    check_torn_tail()
    check_torn_tail_at_record_ends()


@pytest.mark.parametrize("fill", ["zeros", "garbage"])
def test_sectors_of_the_last_record_that_never_arrived_are_a_torn_write(fill):
    _, path, starts = written()
    start, end = starts[-2], starts[-1]
    random = seeded(7)
    for sector in (8, 16, 64):
        for first in range(start, end, sector):
            for last in range(first + sector, end + sector, sector):
                machine, _, _ = written()
                data = machine.bytes_of(path)
                upto = min(last, end)
                size = upto - first
                new = bytes(size) if fill == "zeros" else random.randbytes(size)
                data[first:upto] = new
                check_cut(machine, path, 7, start)


def test_torn_tail_taken_as_valid_is_noticed(monkeypatch):
    def any_body(self, offset, header):
        return self.window.take(offset + RECORD_HEADER_BYTES, header.length)

    monkeypatch.setattr(SegmentReader, "_whole_body", any_body)
    with pytest.raises((AssertionError, StorageError)):
        check_torn_tail()


# -- S02 ----------------------------------------------------------------------------


def check_mid_log_corruption():
    machine, path, starts = written()
    good = bytes(machine.bytes_of(path))
    for start, end in pairwise(starts[:-1]):
        for at in range(start, end):
            machine, _, _ = written()
            bad = bytearray(good)
            bad[at] ^= 0x10
            machine.set_bytes(path, bad)
            check_refused(machine, path, start)


def test_mid_log_corruption_refuses_to_start():
    check_mid_log_corruption()


def test_a_tail_rule_that_does_not_look_behind_the_bad_record_is_noticed(monkeypatch):
    monkeypatch.setattr(segments, "find_record", lambda *_: -1)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_mid_log_corruption()


def test_damage_before_the_mark_of_a_start_refuses_to_start():
    """What a start has read and synced is proven by the record it writes."""
    machine, path, starts = written()
    machine.reopen()
    for at in range(starts[-2], starts[-1]):
        bad = bytearray(machine.bytes_of(path))
        bad[at] ^= 1
        other, _, _ = written()
        other.set_bytes(path, bad)
        check_refused(other, path, starts[-2])


def test_damage_before_the_mark_of_a_clean_end_refuses_to_start():
    machine, path, starts = written()
    machine.close()
    machine.bytes_of(path)[starts[-1] - 1] ^= 1
    check_refused(machine, path, starts[-2])


def test_a_whole_record_with_a_bad_body_and_bytes_behind_it_is_damage():
    """The file never grows beyond a record before that record was synced."""
    machine, path, starts = written()
    data = machine.bytes_of(path)
    data[starts[-1] - 1] ^= 1
    data += b"\0"
    check_refused(machine, path, starts[-2])


def test_damage_in_a_segment_that_is_not_the_last_refuses_to_start():
    machine = Machine(segment_bytes=1).open()
    machine.save(state(), entries(1, 1))
    machine.save(state(), entries(2, 2))
    first, _ = machine.segments()
    data = machine.bytes_of(first)
    # The seal, and the record before it: the tail rule is for the last segment alone.
    for at in (len(data) - 1, SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES):
        other = Machine(segment_bytes=1).open()
        other.save(state(), entries(1, 1))
        other.save(state(), entries(2, 2))
        other.bytes_of(first)[at] ^= 1
        check_refused(other, first)
    machine.set_bytes(first, data[:-RECORD_HEADER_BYTES])
    check_refused(machine, first, len(data) - RECORD_HEADER_BYTES)


# -- S03 ----------------------------------------------------------------------------


def tails(machine, data, starts):
    """Ends that a power cut or a file system can leave behind a good record."""
    random = seeded(3)
    salt, chain = salt_and_chain(data, starts)
    end = starts[-1]

    def head(length, *, body_crc=0):
        packed = struct.pack("<IQIB3xII", salt, end, length, 1, chain, body_crc)
        return packed + struct.pack("<I", crc32(packed))

    whole, _ = encode_record(
        salt=salt,
        position=end,
        type_=RecordType.SAVE,
        previous=chain,
        body=b"x" * 1000,
    )
    stranger = Machine().open()
    stranger.save(state(term=3), entries(1, 30, term=3))
    old = bytes(stranger.bytes_of(stranger.segments()[0]))
    old = old.replace(struct.pack("<I", salt), b"\1\2\3\4")
    yield from (bytes(size) for size in (1, 31, 32, 33, 512, 4096, 5000))
    yield from (random.randbytes(size) for size in (1, 31, 32, 33, 512, 4096))
    yield from (old[:512], old[512:1024], old[-700:])  # sectors that were another's
    yield from (whole[:size] for size in (1, 12, 31, 32, 33, 1031))
    yield whole[:512] + bytes(520)
    yield bytes(512) + whole[512:]
    yield from (head(length) for length in (1, 2**31, 2**32 - 1))
    yield head(2**31) + random.randbytes(3000)
    yield head(100) + b"y" * 99
    yield struct.pack("<I", salt) + bytes(600)
    yield struct.pack("<I", salt) * 300


def check_zero_and_garbage_tail():
    machine, path, starts = written()
    good = bytes(machine.bytes_of(path))
    for tail in tails(machine, good, starts):
        machine, _, _ = written()
        machine.set_bytes(path, good + tail)
        check_cut(machine, path, 9, starts[-1])


def test_zero_and_garbage_tail():
    check_zero_and_garbage_tail()


def test_a_length_that_is_believed_beyond_the_file_is_noticed(monkeypatch):
    monkeypatch.setattr(
        SegmentReader,
        "_whole_body",
        lambda self, at, header: self.window.take(at + 32, header.length) or None,
    )
    with pytest.raises((AssertionError, StorageError)):
        check_zero_and_garbage_tail()


def test_a_record_in_a_far_window_is_found():
    """The look behind a bad record goes through the whole file, across windows."""
    machine, path, _ = written()
    data = bytearray(machine.bytes_of(path))
    _, salt = decode_segment_header(bytes(data[:SEGMENT_HEADER_BYTES]))
    for distance in range((1 << 20) - 40, (1 << 20) + 4, 3):
        record, _ = encode_record(
            salt=salt, position=0, type_=RecordType.SAVE, previous=0, body=b""
        )
        machine.set_bytes(path, bytes(distance) + record + bytes(2_000_000))
        window = segments.Window(machine.disk, path)
        assert find_record(window, 0, salt) == distance
        assert find_record(window, distance + 1, salt) == -1


# -- S04 ----------------------------------------------------------------------------


def check_stale_records():
    """Records of an older segment lie, position and all, right behind the end."""
    machine = Machine(segment_bytes=250).open()
    machine.save(state(), entries(1, 3))
    machine.save(state(), entries(4, 6))
    machine.save(state(commit=1), entries(7, 7))
    machine.save(state(commit=2), entries(8, 8))
    old, path = machine.segments()
    old_data = bytes(machine.bytes_of(old))
    starts = offsets(machine.bytes_of(path))
    assert starts[-1] < len(old_data)
    machine.bytes_of(path).extend(old_data[starts[-1] :])
    last_old = old_data[offsets(old_data)[1] :]
    same_place = bytes(machine.bytes_of(path)[: starts[1]]) + last_old
    check_cut(machine, path, 8, starts[-1])
    for index in (4, 5):
        assert [each.term for each in machine.recovered.entries if each.index == index]
    other = Machine(segment_bytes=250).open()
    other.save(state(), entries(1, 3))
    other.save(state(), entries(4, 6))
    other.save(state(commit=1), entries(7, 7))
    other.set_bytes(path, same_place)
    check_cut(other, path, 7, starts[1])


def test_stale_records_of_reused_space_not_replayed():
    check_stale_records()


def test_records_without_a_salt_are_noticed(monkeypatch):
    whole = decode_record_header

    def unsalted(data, salt):
        return whole(data, struct.unpack_from("<I", data)[0]) if len(data) > 3 else None

    monkeypatch.setattr(segments, "decode_record_header", unsalted)
    with pytest.raises((AssertionError, StorageError)):
        check_stale_records()


# -- S05 ----------------------------------------------------------------------------


def votes():
    """Records that say only who was voted for; each looks fine in any place."""
    machine = Machine().open()
    for term in (1, 2, 3, 4):
        machine.save(state(term=term, vote=term))
    (path,) = machine.segments()
    data = bytes(machine.bytes_of(path))
    starts = offsets(data)
    pieces = [data[a:b] for a, b in pairwise(starts)]
    return machine, path, data[:SEGMENT_HEADER_BYTES], pieces


def check_order():
    for spoil in (
        lambda p: [p[0], p[2], p[1], p[3]],  # swapped
        lambda p: [p[0], p[1], p[3], p[2]],
        lambda p: [p[0], p[1], p[1], p[2], p[3]],  # repeated
        lambda p: [*p, p[3]],
        lambda p: [*p, p[0]],
        lambda p: [p[0], p[2], p[3]],  # dropped
        lambda p: p[1:],
        lambda p: p[3:],
        lambda p: [p[0], p[1], p[3]],
        lambda p: [p[0][:40], p[1], p[2], p[3]],  # part of one dropped
        lambda p: [p[0], p[1], p[2][:40], p[3]],
        lambda p: [p[0], b"1234567", p[1], p[2], p[3]],  # something put between
    ):
        machine, path, head, pieces = votes()
        machine.set_bytes(path, head + b"".join(spoil(pieces)))
        check_refused(machine, path)


def check_header_is_covered():
    """Any byte of a record's header changed, with a good record behind it."""
    machine, path, head, pieces = votes()
    for at in range(RECORD_HEADER_BYTES):
        machine, path, head, pieces = votes()
        bad = bytearray(pieces[1])
        bad[at] ^= 0xFF
        machine.set_bytes(path, head + pieces[0] + bytes(bad) + pieces[2] + pieces[3])
        check_refused(machine, path, len(head) + len(pieces[0]))


def test_crc_covers_header_and_order():
    check_order()
    check_header_is_covered()


def test_checksums_that_are_not_chained_are_noticed(monkeypatch):
    def unchained(self, offset):
        head = self.window.take(offset, RECORD_HEADER_BYTES)
        return decode_record_header(head, self.salt)

    monkeypatch.setattr(SegmentReader, "_next_header", unchained)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_order()


def test_a_header_outside_the_checksum_is_noticed(monkeypatch):
    def careless(data, salt):
        if len(data) != RECORD_HEADER_BYTES:
            return None
        fields = records._RECORD.unpack_from(data)
        if fields[0] != salt:
            return None
        return records.RecordHeader(*fields[1:4], *fields[5:], crc32(data[:28]))

    monkeypatch.setattr(segments, "decode_record_header", careless)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_header_is_covered()


def test_segments_that_changed_places_refuse_to_start():
    machine = Machine(segment_bytes=1).open()
    for index in range(1, 5):
        machine.save(state(), entries(index, index))
    _, second, third, _ = machine.segments()
    two, three = bytes(machine.bytes_of(second)), bytes(machine.bytes_of(third))
    machine.set_bytes(second, three)
    machine.set_bytes(third, two)
    check_refused(machine, second, 0)


def test_a_segment_of_another_history_refuses_to_start():
    """The same member, sequence and first index, but not what followed here."""
    machines = [Machine(segment_bytes=1).open() for _ in range(2)]
    for number, machine in enumerate(machines):
        machine.save(state(), (entry(1, data=b"%d" % number),))
        machine.save(state(), entries(2, 2))
        machine.save(state(), entries(3, 3))
    one, other = machines
    _, second, _ = one.segments()
    one.set_bytes(second, other.bytes_of(second))
    check_refused(one, second, 0)
    assert one.segments()[0].startswith(WAL)
