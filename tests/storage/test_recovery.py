"""What a start finds, and what it refuses to start from."""

import errno
import struct
from zlib import crc32

import attrs
import pytest

from kvd.errors import InvariantViolated, StorageError
from kvd.raft.messages import HardState
from kvd.storage import recovery, replay, segments
from kvd.storage.open import Identity
from kvd.storage.records import (
    SEGMENT_HEADER_BYTES,
    RecordType,
    decode_segment_header,
    encode_record,
    encode_segment_header,
)
from tests.storage.fakes import (
    FOLDER,
    IDENTITY,
    SNAP,
    WAL,
    FakeDisk,
    Machine,
    PowerCut,
    entries,
    entry,
    meta_at,
    seeded,
    state,
)

EIO = OSError(errno.EIO, "Input/output error")


def refused(machine):
    machine.disk.restart()
    with pytest.raises(StorageError) as caught:
        machine.open()
    assert machine.disk.locks == set()
    assert machine.worker.stopped
    return caught.value


def indexes(machine):
    return [each.index for each in machine.recovered.entries]


def with_log(last=6, **settings):
    machine = Machine(**settings).open()
    for index in range(1, last + 1):
        machine.save(state(commit=index), entries(index, index))
    return machine


def snap(index, term=1, suffix="snap"):
    return f"{SNAP}/{index:016x}-{term:016x}.{suffix}"


def test_a_fresh_folder_has_nothing_and_is_made_once():
    machine = Machine()
    found = machine.look()
    assert found == recovery.Recovered(None)
    with pytest.raises(InvariantViolated):
        machine.save(state())
    machine = Machine().open()
    with pytest.raises(InvariantViolated):
        machine.do(machine.persistence.initialise(IDENTITY))


def test_everything_comes_back_as_it_was_saved():
    machine = Machine().open()
    machine.save(state(term=2, vote=7), (entry(1), entry(2, 2, b"")))
    machine.save(None, (entry(3, 2, b"x" * 70_000),))
    machine.save(state(term=2, vote=7, commit=1))
    machine.close()
    machine.open()
    found = machine.recovered
    assert found.identity == IDENTITY
    assert found.hard_state == HardState(term=2, vote=7, commit=1)
    assert found.snapshot is None
    assert found.entries == (
        entry(1),
        entry(2, 2, b""),
        entry(3, 2, b"x" * 70_000),
    )
    assert found.notes == ()


def test_of_entries_written_twice_the_later_count():
    machine = with_log(3)
    machine.save(state(term=2, commit=3), entries(4, 8))
    machine.save(state(term=3, commit=3), entries(6, 7, term=3))
    machine.reopen()
    assert [(e.index, e.term) for e in machine.recovered.entries][3:] == [
        (4, 1),
        (5, 1),
        (6, 3),
        (7, 3),
    ]


def test_restart_with_state_new_keeps_data():
    """A folder that is somebody's is never made anew, whatever the configuration."""
    machine = with_log()
    machine.close()
    machine.look()
    assert machine.recovered.identity == IDENTITY
    with pytest.raises(InvariantViolated):
        machine.do(machine.persistence.initialise(Identity(1, 2)))
    machine.reopen()
    assert indexes(machine) == [1, 2, 3, 4, 5, 6]


def test_a_start_that_was_cut_short_while_making_the_member_is_fresh_again():
    machine = Machine()
    machine.disk.cut_at = 1 << 30
    machine.open()
    total = (1 << 30) - machine.disk.cut_at
    for cut_at in range(total + 1):
        for seed in range(8):
            machine = Machine()
            machine.disk.cut_at = cut_at
            try:
                machine.open()
                assert cut_at == total
            except PowerCut:
                pass
            machine.disk.power_cut(seeded(seed))
            machine.open()
            machine.save(state(), entries(1, 1))
            machine.reopen()
            assert indexes(machine) == [1]


# -- segments -------------------------------------------------------------------------


def test_only_segments_behind_the_snapshot_are_read():
    machine = with_log(9, segment_bytes=1, wals_keep=0)
    machine.write_snapshot(meta_at(5))
    machine.do(machine.persistence.compact(5))
    segments = machine.segments()
    machine.set_bytes(segments[0], b"nobody looks here")
    machine.reopen()
    assert machine.recovered.snapshot == meta_at(5)
    assert indexes(machine) == [6, 7, 8, 9]
    machine.write_snapshot(meta_at(9))
    machine.do(machine.persistence.compact(9))
    machine.reopen()
    assert indexes(machine) == []
    assert machine.recovered.hard_state == state(commit=9)


def test_whole_segments_are_kept_as_configured():
    for keep in (1, 3, 4):
        machine = with_log(9, segment_bytes=1, wals_keep=keep)
        machine.write_snapshot(meta_at(8))
        machine.do(machine.persistence.compact(8))
        assert len(machine.segments()) == max(keep, 2)
        # What is kept from before is released by a later start as well.
        machine.reopen()
        machine.do(machine.persistence.compact(8))
        assert len(machine.segments()) >= keep
    machine = with_log(9, segment_bytes=1, wals_keep=0)
    machine.write_snapshot(meta_at(8))
    before = machine.segments()
    machine.do(machine.persistence.compact(8))
    assert machine.segments() == before


def test_a_segment_whose_entries_were_replaced_goes_with_its_highest_index():
    machine = Machine(segment_bytes=1).open()
    machine.save(state(), entries(1, 9))
    machine.save(state(term=2, commit=4), entries(5, 5, term=2))
    machine.write_snapshot(meta_at(4))
    machine.do(machine.persistence.compact(4))
    assert len(machine.segments()) == 3
    machine.reopen()
    assert [(e.index, e.term) for e in machine.recovered.entries] == [(5, 2)]


@pytest.mark.parametrize("missing", [0, 1, 2, -1])
def test_a_missing_segment_refuses_to_start(missing):
    machine = with_log(4, segment_bytes=1)
    path = machine.segments()[missing]
    machine.disk.remove(path)
    error = refused(machine)
    if missing == -1:
        assert error.path == path
        assert "gone" in str(error)
    elif missing == 0:
        assert error.path == machine.segments()[0]
        assert "the log begins at index 2" in str(error)
    else:
        assert error.path == machine.segments()[missing]
        assert "is gone" in str(error)


def test_a_missing_log_refuses_to_start():
    machine = with_log(1)
    machine.disk.remove(machine.segments()[0])
    assert refused(machine).path == WAL


def test_a_sealed_segment_whose_follower_has_no_name_yet_goes_on():
    """The power went between the seal and the rename."""
    machine = with_log(2, segment_bytes=1)
    first, second = machine.segments()
    data = bytes(machine.bytes_of(second))[:SEGMENT_HEADER_BYTES]
    machine.disk.remove(second)
    file = machine.disk.create(second + ".tmp")
    file.append(data)
    file.sync()
    machine.reopen()
    assert indexes(machine) == [1]
    assert machine.segments() == [first, second]
    machine.save(None, entries(2, 2))
    machine.reopen()
    assert indexes(machine) == [1, 2]


@pytest.mark.parametrize("name", ["notes.txt", f"{0:016x}-{1:016X}.wax", "x" * 40])
def test_a_strange_file_in_the_log_refuses_to_start(name):
    machine = with_log(1)
    machine.disk.create(f"{WAL}/{name}")
    assert "not part of kvd's log" in str(refused(machine))


def test_what_was_left_unfinished_is_removed():
    machine = with_log(2)
    left = [
        f"{WAL}/{9:016x}-{9:016x}.wal.tmp",
        snap(9, suffix="3.tmp"),
        snap(9, suffix="received"),
    ]
    for path in left:
        machine.disk.create(path)
    machine.reopen()
    assert [path for path in left if machine.disk.exists(path)] == []


def test_data_behind_a_seal_refuses_to_start():
    machine = with_log(2, segment_bytes=1)
    first = machine.segments()[0]
    size = len(machine.bytes_of(first))
    machine.disk.inode(first).data += b"\0"
    error = refused(machine)
    assert (error.path, error.offset) == (first, size)


def test_progress_is_told_while_much_is_read(monkeypatch):
    monkeypatch.setattr(replay, "PROGRESS_BYTES", 300)
    machine = with_log(20, segment_bytes=900)
    machine.reopen()
    assert len(machine.progress) >= 4
    assert "of the log, up to index" in machine.progress[0]


# -- snapshots and the log -------------------------------------------------------------


def received(machine, meta, content=b"theirs"):
    machine.write_snapshot(meta, content, received=True)
    return machine


def check_snapshot_newer_than_log():
    """The power went between the snapshot's rename and the save that names it."""
    machine = with_log(6)
    meta = meta_at(20, term=3)
    received(machine, meta)
    machine.disk.rename(snap(20, 3, "received"), snap(20, 3))
    machine.disk.sync_folder(SNAP)
    machine.reopen()
    found = machine.recovered
    assert found.snapshot == meta
    assert found.entries == ()
    # The term is the snapshot's; no vote was given in it.
    assert found.hard_state == HardState(term=3, vote=0, commit=20)
    (note,) = found.notes
    assert "newer than the log" in note
    machine.save(state(3, 0, 20), entries(21, 21, term=3))
    machine.reopen()
    assert machine.recovered.notes == ()
    assert indexes(machine) == [21]
    assert machine.read_snapshot() == (meta, b"theirs")


def test_snapshot_newer_than_log_on_start():
    check_snapshot_newer_than_log()


def test_a_snapshot_that_replaces_a_conflicting_end_of_the_log():
    machine = Machine().open()
    machine.save(state(commit=2), entries(1, 9))
    meta = meta_at(5, term=2)
    received(machine, meta)
    machine.disk.rename(snap(5, 2, "received"), snap(5, 2))
    machine.disk.sync_folder(SNAP)
    machine.reopen()
    assert machine.recovered.entries == ()
    assert machine.recovered.hard_state == HardState(term=2, vote=0, commit=5)


def test_a_received_snapshot_that_the_log_already_reaches_leaves_the_log():
    machine = Machine().open()
    machine.save(state(commit=2), entries(1, 9))
    received(machine, meta_at(5))
    machine.disk.rename(snap(5, 1, "received"), snap(5))
    machine.disk.sync_folder(SNAP)
    machine.reopen()
    assert indexes(machine) == [6, 7, 8, 9]
    assert machine.recovered.hard_state.commit == 5


def test_two_committed_stories_refuse_to_start():
    machine = with_log(9)
    received(machine, meta_at(5, term=2))
    machine.disk.rename(snap(5, 2, "received"), snap(5, 2))
    machine.disk.sync_folder(SNAP)
    assert "does not have the entry at index 5, term 2" in str(refused(machine))


def test_a_log_that_ends_before_our_own_snapshot_refuses_to_start():
    """Its entries were durable before the snapshot was made: they were lost."""
    machine = with_log(4)
    (path,) = machine.segments()
    before = bytes(machine.bytes_of(path))
    machine.save(state(commit=6), entries(5, 6))
    machine.write_snapshot(meta_at(6))
    machine.set_bytes(path, before)
    assert "it ends at 4" in str(refused(machine))


def test_an_installed_snapshot_voids_the_log_before_it():
    machine = with_log(6)
    received(machine, meta_at(50, term=2))
    machine.save(state(2, 0, 50), entries(51, 52, term=2), meta_at(50, term=2))
    machine.reopen()
    assert machine.recovered.snapshot == meta_at(50, term=2)
    assert indexes(machine) == [51, 52]
    machine.write_snapshot(meta_at(52, term=2))
    machine.reopen()
    assert machine.recovered.snapshot == meta_at(52, term=2)
    assert indexes(machine) == []


def test_a_vote_in_the_term_of_an_installed_snapshot_stays():
    machine = with_log(6)
    machine.save(state(term=4, vote=3, commit=6))
    received(machine, meta_at(50, term=4))
    machine.save(None, (), meta_at(50, term=4))
    machine.reopen()
    assert machine.recovered.hard_state == HardState(term=4, vote=3, commit=50)


def test_a_save_that_names_a_snapshot_nobody_sent_stops_the_storage():
    machine = with_log(2)
    with pytest.raises(InvariantViolated):
        machine.save(state(commit=9), (), meta_at(9))


def damage(machine, path):
    machine.bytes_of(path)[-30] ^= 1


def test_the_newest_snapshot_that_checks_out_is_taken():
    machine = with_log(6)
    machine.write_snapshot(meta_at(2), b"two")
    machine.write_snapshot(meta_at(4), b"four" * 20)
    damage(machine, snap(4))
    machine.reopen()
    assert machine.recovered.snapshot == meta_at(2)
    assert indexes(machine) == [3, 4, 5, 6]
    first, second = machine.recovered.notes
    assert first.startswith(snap(4))
    assert "not agree with its checksum" in first
    assert "the snapshot at index 4 is missing or damaged" in second
    assert machine.read_snapshot() == (meta_at(2), b"two")
    damage(machine, snap(2))
    machine.reopen()
    assert machine.recovered.snapshot is None
    assert indexes(machine) == [1, 2, 3, 4, 5, 6]
    # The damaged file makes room for a good one of the same index.
    machine.write_snapshot(meta_at(4), b"again")
    machine.reopen()
    assert machine.read_snapshot() == (meta_at(4), b"again")


def test_without_the_snapshot_that_the_log_rests_on_there_is_no_start():
    machine = with_log(6, segment_bytes=1)
    machine.write_snapshot(meta_at(5))
    machine.do(machine.persistence.compact(5))
    damage(machine, snap(5))
    error = refused(machine)
    assert "the log begins at index" in str(error)
    assert "ends at 0" in str(error)


def test_without_an_installed_snapshot_there_is_no_start():
    machine = with_log(6)
    machine.write_snapshot(meta_at(4))
    received(machine, meta_at(50))
    machine.save(state(commit=50), (), meta_at(50))
    damage(machine, snap(50))
    error = refused(machine)
    assert "needs the snapshot at index 50" in str(error)


def spoilt(**change):
    """A start over the segment of a log with one thing in its header changed."""
    machine = with_log(2)
    (path,) = machine.segments()
    data = bytes(machine.bytes_of(path))
    header, _ = decode_segment_header(data[:SEGMENT_HEADER_BYTES])
    new, _ = encode_segment_header(attrs.evolve(header, **change))
    machine.set_bytes(path, new + data[SEGMENT_HEADER_BYTES:])
    return refused(machine)


# -- S13 ----------------------------------------------------------------------------


def check_apply():
    """Snapshot and entries are one story: applied from either, each entry once."""
    for cut_at in range(45):
        for seed in range(3):
            machine = with_log(6, segment_bytes=300)
            machine.disk.cut_at = cut_at
            try:
                machine.write_snapshot(meta_at(4), b"1234")
                machine.save(state(commit=7), entries(7, 7))
                machine.do(machine.persistence.compact(4))
                machine.write_snapshot(meta_at(7), b"1234567")
                machine.do(machine.persistence.compact(7))
            except PowerCut:
                pass
            machine.disk.power_cut(seeded(seed))
            machine.open()
            content = b""
            if machine.recovered.snapshot:
                meta, content = machine.read_snapshot()
                assert meta == machine.recovered.snapshot
            applied = [int(chr(byte)) for byte in content] + indexes(machine)
            assert applied in ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7])


def test_no_duplicate_or_skipped_apply_after_crash():
    check_apply()


def test_entries_that_the_snapshot_already_has_are_noticed(monkeypatch):
    real = replay.Replay._collect

    def twice(self, save):
        base, self._snapshot_index = self._snapshot_index, 0
        real(self, save)
        self._snapshot_index = base
        if base and save.entries and save.entries[-1].index >= base:
            self.term_at_snapshot = 1

    monkeypatch.setattr(replay.Replay, "_collect", twice)
    with pytest.raises(AssertionError):
        check_apply()


# -- S18 ----------------------------------------------------------------------------


def with_body(type_, body):
    """A log that ends in a record that is whole and says this."""
    machine = with_log(2)
    (path,) = machine.segments()
    data = bytes(machine.bytes_of(path))
    reader = segments.SegmentReader(
        machine.disk, segments.Segment(0, 1, path), IDENTITY
    )
    assert len(list(reader.saves(last=True))) == 2
    record, _ = encode_record(
        salt=reader.salt,
        position=len(data),
        type_=type_,
        previous=reader.chain,
        body=body,
    )
    machine.set_bytes(path, data + record)
    error = refused(machine)
    assert (error.path, error.offset) == (path, len(data))
    return str(error)


def test_wrong_or_future_format_refused():
    assert "unknown record type 7" in with_body(7, b"")
    assert "unknown flags 0x80" in with_body(RecordType.SAVE, b"\x80" + bytes(12))
    assert "makes no sense" in with_body(RecordType.SAVE, b"")
    assert "belongs to member 7 of cluster" in str(spoilt(member_id=7))
    assert f"member {IDENTITY.member_id:x} of cluster 5" in str(spoilt(cluster_id=5))
    assert "not the one it is named for" in str(spoilt(sequence=1))
    assert "not the one it is named for" in str(spoilt(first_index=2))
    # Another header salts other records: none of these are its own.
    machine = with_log(2)
    (path,) = machine.segments()
    good = bytes(machine.bytes_of(path))
    for data, why in (
        (b"\x89PNG" + good[4:], "not a log segment of kvd"),
        (good[:8] + struct.pack("<I", 2) + good[12:], "format version 2; this kvd"),
        (good[:20] + b"\xff" + good[21:], "does not agree with its checksum"),
        (good[:50], "incomplete"),
        (good[:9], "too short"),
        (b"", "too short"),
    ):
        machine = with_log(2)
        machine.set_bytes(path, data)
        error = refused(machine)
        assert error.path == path
        assert error.offset == 0
        assert why in str(error)


def test_a_snapshot_of_another_format_or_member_is_refused():
    machine = with_log(4)
    machine.write_snapshot(meta_at(3), b"three")
    good = bytes(machine.bytes_of(snap(3)))
    future = good[:8] + struct.pack("<I", 9) + good[12:]
    machine.set_bytes(snap(3), future)
    error = refused(machine)
    assert error.path == snap(3)
    assert "format version 9" in str(error)
    length = struct.unpack_from("<I", good, 12)[0]
    head = bytearray(good[: length - 4])
    head[16] ^= 1
    other = bytes(head) + struct.pack("<I", crc32(bytes(head))) + good[length:]
    machine.set_bytes(snap(3), other)
    assert "this snapshot belongs to member" in str(refused(machine))


def test_a_future_or_foreign_identity_is_refused():
    path = f"{FOLDER}/member/identity"
    for data, why in (
        (b"kvd 2\nmember 1\n", "format version 2"),
        (b"etcd\n", "not a data folder of kvd"),
        (b"kvd 1\nmember 1\ncluster 2\ncrc32 00000000\n", "identity is damaged"),
        (b"kvd 1\n", "identity is damaged"),
        (b"", "not a data folder of kvd"),
    ):
        machine = with_log(1)
        machine.set_bytes(path, data)
        error = refused(machine)
        assert error.path == path
        assert why in str(error)


def test_a_log_or_a_snapshot_without_an_identity_is_refused():
    machine = with_log(3)
    machine.write_snapshot(meta_at(2))
    machine.disk.remove(f"{FOLDER}/member/identity")
    assert refused(machine).path == snap(2)
    machine.disk.remove(snap(2))
    assert refused(machine).path == machine.segments()[0]
    machine.disk.remove(machine.segments()[0])
    # Another program's, which has names of its own for what is temporary.
    machine.disk.create(f"{WAL}/0.tmp")
    assert refused(machine).path == f"{WAL}/0.tmp"
    assert machine.disk.exists(f"{WAL}/0.tmp")


# -- S20 ----------------------------------------------------------------------------


def failing_reads(machine, name, at):
    """Reads of the file fail if they touch the byte at that offset."""
    real = machine.disk.read

    def read(path, offset, size):
        if path == name and offset <= at < offset + size:
            raise EIO
        return real(path, offset, size)

    machine.disk.read = read


def test_read_error_is_not_end_of_log():
    machine = with_log(6)
    (path,) = machine.segments()
    size = len(machine.bytes_of(path))
    for at in (0, 50, SEGMENT_HEADER_BYTES, size // 2, size - 1):
        machine = with_log(6)
        failing_reads(machine, path, at)
        error = refused(machine)
        assert error.path == path
        assert 0 <= error.offset <= at
        assert "Input/output error" in str(error)
        machine.disk.read = FakeDisk.read.__get__(machine.disk)
        machine.reopen()
        assert indexes(machine) == [1, 2, 3, 4, 5, 6]
        assert machine.recovered.notes == ()


def test_a_read_error_in_a_snapshot_is_not_damage():
    machine = with_log(6)
    machine.write_snapshot(meta_at(4))
    for at in (0, len(machine.bytes_of(snap(4))) - 25):
        failing_reads(machine, snap(4), at)
        assert refused(machine).path == snap(4)
        machine.disk.read = FakeDisk.read.__get__(machine.disk)


def test_other_errors_of_the_disk_stop_the_start():
    machine = with_log(2)
    machine.disk.restart()
    machine.disk.failing = {"size": OSError(errno.EACCES, "Permission denied")}
    with pytest.raises(StorageError) as caught:
        machine.open()
    assert caught.value.path == machine.segments()[0]
    machine.disk.failing = {"sync_folder": EIO}
    with pytest.raises(StorageError):
        machine.open()
    assert machine.disk.locks == set()


def test_a_file_that_shrinks_while_it_is_read_stops_the_start():
    machine = with_log(2)
    (path,) = machine.segments()
    real = machine.disk.read
    machine.disk.read = lambda name, offset, size: real(name, offset, size)[
        : 20 if name == path else None
    ]
    error = refused(machine)
    assert (error.path, error.problem) == (path, "the file ends early")
