"""Snapshot files: their bytes, who keeps them, and how they are read."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd.errors import InvariantViolated, StorageError
from kvd.raft.messages import Configuration, SnapshotMeta
from kvd.storage import newest, snapshots
from kvd.storage.data_dir import Identity
from kvd.storage.records import BadBytes
from kvd.storage.snapshots import decode_header, encode_header, load, verify
from tests.storage.fakes import IDENTITY, SNAP, Machine, entries, meta_at, state

U64 = st.integers(0, 2**64 - 1)
METAS = st.builds(
    SnapshotMeta,
    index=U64,
    term=U64,
    configuration=st.builds(
        Configuration,
        voters=st.frozensets(U64, max_size=5),
        learners=st.frozensets(U64, max_size=5),
    ),
)


def with_log(**settings):
    machine = Machine(**settings).open()
    machine.save(state(commit=9), entries(1, 9))
    return machine


def snap(index, suffix="snap"):
    return f"{SNAP}/{index:016x}-{1:016x}.{suffix}"


@given(meta=METAS, member=U64, own=st.booleans(), at=st.integers(0, 200))
def test_a_header_comes_back_whole_or_not_at_all(meta, member, own, at):
    identity = Identity(member_id=member, cluster_id=7)
    data = encode_header(meta, identity, own=own)
    assert decode_header(data) == (meta, identity, own)
    bad = bytearray(data)
    bad[at % len(data)] ^= 2
    with pytest.raises(BadBytes):
        decode_header(bytes(bad))
    with pytest.raises(BadBytes):
        decode_header(data[: at % len(data)])


def test_a_header_whose_counts_do_not_fit_is_refused():
    data = bytearray(encode_header(meta_at(1), IDENTITY, own=True)[:-4])
    struct.pack_into("<I", data, 52, 9)
    crc = struct.pack("<I", snapshots.crc32(bytes(data)))
    with pytest.raises(BadBytes, match="configuration"):
        decode_header(bytes(data) + crc)


def test_these_bytes_are_the_format():
    machine = with_log()
    configuration = Configuration(voters=frozenset({2, 1}), learners=frozenset({3}))
    meta = SnapshotMeta(index=5, term=1, configuration=configuration)
    machine.write_snapshot(meta, b"content")
    data = bytes(machine.bytes_of(snap(5)))
    crc = snapshots.crc32
    header_crc = struct.pack("<I", crc(data[:84]))
    trailer = struct.pack("<QI", 7, crc(b"content")) + header_crc
    assert data.hex() == (
        "896b7664736e700a"  # magic
        "01000000"
        "58000000"  # version, bytes of the header
        f"{IDENTITY.member_id.to_bytes(8, 'little').hex()}"
        f"{IDENTITY.cluster_id.to_bytes(8, 'little').hex()}"
        "0500000000000000"
        "0100000000000000"  # index, term
        "00"
        "000000"  # our own
        "02000000"
        "01000000"  # voters, learners
        "0100000000000000"
        "0200000000000000"
        "0300000000000000"
        + header_crc.hex()
        + b"content".hex()
        + trailer.hex()
        + struct.pack("<I", crc(trailer)).hex()
    )


def test_every_damaged_byte_and_every_cut_is_found():
    machine = with_log()
    machine.write_snapshot(meta_at(4), b"some content")
    good = bytes(machine.bytes_of(snap(4)))

    def check():
        for _ in verify(machine.disk, load(machine.disk, snap(4), IDENTITY)):
            pass

    check()
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 8
        machine.set_bytes(snap(4), bad)
        # The version is looked at before all sums.
        expected = StorageError if 8 <= at < 12 else BadBytes
        with pytest.raises(expected):
            check()
        machine.set_bytes(snap(4), good[:at])
        with pytest.raises(BadBytes):
            check()
    machine.set_bytes(snap(4), good + b"\0")
    with pytest.raises(BadBytes):
        check()


def test_a_snapshot_is_read_back_in_pieces():
    machine = with_log()
    with pytest.raises(StorageError, match="there is no snapshot"):
        machine.do(machine.persistence.open_snapshot())
    machine.write_snapshot(meta_at(5), b"0123456789abcdef")
    assert machine.read_snapshot() == (meta_at(5), b"0123456789abcdef")
    machine.write_snapshot(meta_at(6), b"")
    assert machine.read_snapshot() == (meta_at(6), b"")


def test_an_older_snapshot_is_not_the_newest_though_it_is_made_later():
    machine = with_log()
    late = machine.persistence.create_snapshot(meta_at(4))
    machine.do(late.write(b"late"))
    machine.write_snapshot(meta_at(50), b"theirs", received=True)
    machine.save(state(commit=50), (), meta_at(50))
    machine.do(late.commit())
    assert machine.read_snapshot() == (meta_at(50), b"theirs")
    machine.reopen()
    assert machine.recovered.snapshot == meta_at(50)


def test_a_snapshot_written_twice_is_one():
    machine = with_log(snapshots_keep=2)
    for content in (b"one", b"two"):
        machine.write_snapshot(meta_at(3), content)
    machine.write_snapshot(meta_at(5), b"five")
    assert machine.disk.list(SNAP) == [
        snap(3)[len(SNAP) + 1 :],
        snap(5)[len(SNAP) + 1 :],
    ]


def test_a_snapshot_beyond_the_log_stops_the_storage():
    machine = with_log()
    with pytest.raises(InvariantViolated, match="not in the log"):
        machine.write_snapshot(meta_at(10))


def test_so_many_snapshots_are_kept():
    for keep, kept in ((1, [6]), (2, [5, 6]), (0, [2, 3, 4, 5, 6])):
        machine = with_log(snapshots_keep=keep)
        for index in range(2, 7):
            machine.write_snapshot(meta_at(index))
        found = [int(name[:16], 16) for name in machine.disk.list(SNAP)]
        assert found == kept


def test_a_snapshot_that_is_being_read_stays():
    machine = with_log(snapshots_keep=1)
    machine.write_snapshot(meta_at(2), b"two")
    reader = machine.do(machine.persistence.open_snapshot())
    machine.write_snapshot(meta_at(3), b"three")
    assert machine.do(reader.read(100)) == b"two"
    reader.close()
    reader.close()
    assert machine.disk.exists(snap(2))
    machine.do(machine.persistence.compact(2))
    assert not machine.disk.exists(snap(2))


def test_received_snapshots_that_nobody_named_go():
    machine = with_log()
    machine.write_snapshot(meta_at(7), b"x", received=True)
    machine.write_snapshot(meta_at(20), b"x", received=True)
    assert machine.disk.exists(snap(7, "received"))
    machine.write_snapshot(meta_at(8), b"x")
    assert not machine.disk.exists(snap(7, "received"))
    assert machine.disk.exists(snap(20, "received"))
    machine.save(state(commit=20), (), meta_at(20))
    assert machine.read_snapshot() == (meta_at(20), b"x")


def test_an_aborted_snapshot_leaves_nothing():
    machine = with_log()
    names = machine.disk.list(SNAP)
    writer = machine.persistence.create_snapshot(meta_at(3))
    machine.do(writer.abort())
    writer = machine.persistence.receive_snapshot(meta_at(3))
    machine.do(writer.write(b"x"))
    other = machine.persistence.receive_snapshot(meta_at(3))
    machine.do(other.write(b"y"))
    assert len(machine.disk.list(SNAP)) == 2
    machine.do(writer.abort())
    machine.do(other.abort())
    machine.do(other.abort())
    assert machine.disk.list(SNAP) == names
    machine.close()
    machine.do(other.abort())


def test_a_snapshot_that_is_damaged_on_the_disk_is_not_handed_out():
    machine = with_log()
    machine.write_snapshot(meta_at(3), b"abc")
    machine.bytes_of(snap(3))[-22] ^= 1
    with pytest.raises(StorageError, match="does not agree with its checksum"):
        machine.do(machine.persistence.open_snapshot())


def test_a_snapshot_that_changes_while_it_is_read_is_found():
    machine = with_log()
    machine.write_snapshot(meta_at(3), b"abcdef")
    reader = machine.do(machine.persistence.open_snapshot())
    machine.do(reader.read(2))
    machine.bytes_of(snap(3))[-22] ^= 1
    with pytest.raises(StorageError, match="changed while it was read"):
        machine.do(reader.read(100))


def test_a_snapshot_that_shrinks_while_it_is_read_is_found():
    machine = with_log()
    machine.write_snapshot(meta_at(3), b"abcdef")
    reader = machine.do(machine.persistence.open_snapshot())
    del machine.bytes_of(snap(3))[70:]
    with pytest.raises(StorageError, match="ends early"):
        machine.do(reader.read(100))


def test_a_save_waits_for_one_chunk_at_most(monkeypatch):
    """Other jobs stand between two chunks, and syncs come now and then."""
    monkeypatch.setattr(snapshots, "SYNC_BYTES", 100)
    machine = with_log()
    writer = machine.persistence.create_snapshot(meta_at(5))
    for number in range(10):
        writing = writer.write(b"x" * 50)
        saving = machine.persistence.save(None, entries(10 + number, 10 + number), None)
        assert len(machine.worker.jobs) == 2
        machine.disk.calls.clear()
        machine.worker.run_one()
        syncs = [call for call in machine.disk.calls if call[0] == "sync"]
        assert len(syncs) == number % 2
        machine.do(saving)
        machine.do(writing)
    commit = writer.commit()
    steps = 0
    while not commit.called:
        assert len(machine.worker.jobs) == 1
        machine.disk.calls.clear()
        machine.worker.run_one()
        assert sum("sync" in name for name, _ in machine.disk.calls) <= 1
        steps += 1
    assert steps >= 4


def test_much_of_a_snapshot_is_checked_in_steps_with_progress(monkeypatch):
    monkeypatch.setattr(snapshots, "READ_BYTES_MAX", 4)
    monkeypatch.setattr(newest, "READ_BYTES_MAX", 4)
    machine = with_log()
    machine.write_snapshot(meta_at(3), b"z" * 300)
    machine.reopen()
    assert len(machine.progress) == 2
    assert snap(3) in machine.progress[0]


def test_closing_twice_and_using_it_afterwards():
    machine = with_log()
    machine.close()
    machine.close()
    with pytest.raises(StorageError, match="closed"):
        machine.save(state(commit=9))
    machine = Machine()
    machine.look()
    machine.close()
