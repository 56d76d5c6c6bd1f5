"""What a disk that fails, fills up or is slow may do to a promise."""

import contextlib
import errno

import pytest

from kvd.errors import InvariantViolated, StorageError
from kvd.storage.persistence import Storage
from kvd.storage.records import EMPTY_SAVE, RecordType, Save, encode_save
from kvd.storage.wal import Wal
from tests.storage.fakes import (
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


def started(**settings):
    machine = Machine(**settings).open()
    machine.save(state(), entries(1, 3))
    return machine


def refused(machine, deferred):
    with pytest.raises(StorageError) as caught:
        machine.do(deferred)
    return caught.value


def everything(machine):
    """Every call that a member may make."""
    persistence = machine.persistence
    yield lambda: persistence.save(state(), (), None)
    yield lambda: persistence.create_snapshot(meta_at(1)).write(b"x")
    yield lambda: persistence.create_snapshot(meta_at(1)).commit()
    yield lambda: persistence.receive_snapshot(meta_at(9)).commit()
    yield persistence.open_snapshot
    yield lambda: persistence.compact(0)
    yield persistence.free_bytes
    yield lambda: persistence.initialise(IDENTITY)


# -- S06 ----------------------------------------------------------------------------


def check_fsync_failure():
    machine = started()
    (path,) = machine.segments()
    size = len(machine.bytes_of(path))
    machine.disk.failing = {"sync": EIO}
    machine.disk.calls.clear()
    error = refused(machine, machine.persistence.save(None, entries(4, 4), None))
    assert (error.path, error.offset) == (path, size)
    assert "Input/output error" in error.problem
    assert machine.disk.calls == [("append", path), ("sync failed", path)]
    machine.disk.failing = {}
    machine.disk.calls.clear()
    for call in everything(machine):
        assert "Input/output error" in str(refused(machine, call()))
    machine.close()
    assert machine.disk.calls == []


def test_fsync_failure_exits_never_retries():
    check_fsync_failure()


def test_a_sync_that_is_tried_again_is_noticed(monkeypatch):
    once = Wal._write

    def stubborn(self, type_, body):
        try:
            once(self, type_, body)
        except StorageError:
            self._file.disk.failing = {}
            self._file.sync()

    monkeypatch.setattr(Wal, "_write", stubborn)
    with pytest.raises(pytest.fail.Exception):
        check_fsync_failure()


def test_a_storage_that_goes_on_after_a_failure_is_noticed(monkeypatch):
    monkeypatch.setattr(Storage, "_guarded", lambda _, job, args: job(*args))
    with pytest.raises((pytest.fail.Exception, AssertionError, InvariantViolated)):
        check_fsync_failure()


@pytest.mark.parametrize("call", ["append", "sync", "rename", "sync_folder", "create"])
def test_any_failing_call_of_a_snapshot_is_final(call):
    machine = started()
    machine.disk.failing = {call: EIO}
    writer = machine.persistence.create_snapshot(meta_at(2))
    error = refused(machine, writer.commit())
    assert "Input/output error" in str(error)
    machine.disk.failing = {}
    refused(machine, machine.persistence.save(state(), (), None))
    machine.do(writer.abort())
    machine.reopen()
    assert [each.index for each in machine.recovered.entries][-1] == 3
    assert [n for n in machine.disk.list(SNAP) if n.endswith(".tmp")] == []


def test_any_failing_call_of_a_new_segment_is_final():
    for call in ("append", "sync", "rename", "sync_folder", "create"):
        machine = started(segment_bytes=1)
        machine.disk.failing = {call: EIO}
        refused(machine, machine.persistence.save(None, entries(4, 4), None))
        machine.disk.failing = {}
        refused(machine, machine.persistence.save(None, entries(4, 4), None))
        machine.reopen()
        assert [each.index for each in machine.recovered.entries] == [1, 2, 3]
        machine.save(None, entries(4, 4))


def test_an_error_of_our_own_is_final_too():
    machine = started()
    with pytest.raises(InvariantViolated):
        machine.save(None, entries(7, 7))
    assert "gap" in str(refused(machine, machine.persistence.save(None, (), None)))


def test_a_log_that_was_never_begun_takes_nothing():
    wal = Wal(FakeDisk(), WAL, IDENTITY, segment_bytes=1 << 20, keep=1)
    with pytest.raises(InvariantViolated, match="not open"):
        wal.save(EMPTY_SAVE)


def test_syncs_bytes_and_jobs_are_counted():
    machine = Machine()
    machine.look()
    assert machine.persistence.log is None
    machine = started()
    log = machine.persistence.log
    before = sum(log.fsync_seconds.counts), log.written_bytes
    machine.save(None, entries(4, 5))
    assert sum(log.fsync_seconds.counts) == before[0] + 1
    (path,) = machine.segments()
    assert log.written_bytes > before[1]
    assert log.written_bytes < len(machine.bytes_of(path))
    assert machine.persistence.busyness.jobs == 0
    machine.persistence.save(None, entries(6, 6), None)
    assert machine.persistence.busyness.jobs == 1
    machine.worker.run_one()
    assert machine.persistence.busyness.jobs == 0


def test_an_error_without_words_is_final_too():
    machine = started()
    machine.disk.failing = {"free_bytes": OSError()}
    assert "failed" in str(refused(machine, machine.persistence.free_bytes()))
    machine = started()
    machine.disk.failing = {"free_bytes": ValueError()}
    with pytest.raises(ValueError):
        machine.do(machine.persistence.free_bytes())
    assert "ValueError()" in str(refused(machine, machine.persistence.free_bytes()))


# -- S07 ----------------------------------------------------------------------------


def check_enospc_in_save():
    machine = started()
    (path,) = machine.segments()
    used = machine.disk.used
    for room in range(len(machine.bytes_of(path))):
        machine = started()
        machine.disk.capacity = used + room
        saving = machine.persistence.save(None, (entry(4, data=b"x" * 5000),), None)
        error = refused(machine, saving)
        assert error.path == path
        assert "No space left" in error.problem
        refused(machine, machine.persistence.save(None, (), None))
        machine.close()
        machine.disk.capacity = 1 << 40
        machine.reopen()
        assert [each.index for each in machine.recovered.entries] == [1, 2, 3]
        machine.save(None, entries(4, 4))
        machine.reopen()
        assert [each.index for each in machine.recovered.entries] == [1, 2, 3, 4]


def check_enospc_in_snapshot():
    machine = started()
    used = machine.disk.used
    machine.write_snapshot(meta_at(2), b"z" * 100)
    for room in range(0, machine.disk.used - used, 7):
        machine = started()
        machine.disk.capacity = used + room
        with pytest.raises(StorageError):
            machine.write_snapshot(meta_at(2), b"z" * 100)
        refused(machine, machine.persistence.save(None, (), None))
        machine.disk.capacity = 1 << 40
        machine.reopen()
        found = machine.recovered
        first = found.snapshot.index + 1 if found.snapshot else 1
        assert [each.index for each in found.entries] == list(range(first, 4))
        machine.write_snapshot(meta_at(3), b"z" * 100)
        assert machine.read_snapshot() == (meta_at(3), b"z" * 100)


def check_enospc_in_repair():
    def torn():
        machine = started()
        (path,) = machine.segments()
        machine.disk.inode(path).data += b"torn"
        machine.disk.restart()
        return machine

    used = torn().disk.used
    machine = torn()
    machine.look()
    for room in range(machine.disk.used - used):
        machine = torn()
        machine.disk.capacity = used - 4 + room
        with pytest.raises(StorageError) as caught:
            machine.open()
        assert "No space left" in str(caught.value)
        assert machine.disk.locks == set()
        machine.disk.capacity = 1 << 40
        machine.reopen()
        assert [each.index for each in machine.recovered.entries] == [1, 2, 3]
        machine.save(None, entries(4, 4))


def test_enospc_exits_before_ack_and_restarts():
    check_enospc_in_save()
    check_enospc_in_snapshot()
    check_enospc_in_repair()


def test_an_ack_without_the_bytes_is_noticed(monkeypatch):
    def careless(self, type_, body):
        with contextlib.suppress(StorageError):
            whole(self, type_, body)

    whole = Wal._write
    monkeypatch.setattr(Wal, "_write", careless)
    with pytest.raises(pytest.fail.Exception):
        check_enospc_in_save()


# -- acknowledgements and syncs -------------------------------------------------------


def check_acks():
    machine = started()
    (path,) = machine.segments()
    inode = machine.disk.inode(path)
    acked = []

    def note(_, number):
        acked.append(number)
        assert len(acked) == number
        assert inode.synced == len(inode.data)

    saves = [
        machine.persistence.save(None, entries(index, index), None)
        for index in range(4, 10)
    ]
    for number, saving in enumerate(saves, 1):
        saving.addCallback(note, number)
    assert acked == []
    for number, saving in enumerate(saves, 1):
        size = len(inode.data)
        machine.worker.run_one()
        assert len(acked) == number
        assert not isinstance(saving.result, Exception)
        machine.do(saving)
        assert len(inode.data) > size


def test_acks_follow_fsync_thread_order():
    check_acks()


def unsynced(self, type_, body):
    """A write that forgets the sync."""
    self._file.sync, real = (lambda: None), self._file.sync
    try:
        real_write(self, type_, body)
    finally:
        self._file.sync = real


real_write = Wal._write


def test_an_ack_before_its_sync_is_noticed(monkeypatch):
    monkeypatch.setattr(Wal, "_write", unsynced)
    with pytest.raises(AssertionError):
        check_acks()


def check_single_node():
    for cut in range(8):
        for seed in range(6):
            machine = started()
            machine.disk.cut_at = cut
            acked = 3
            try:
                for index in range(4, 8):
                    machine.save(state(commit=index), entries(index, index))
                    acked = index
            except PowerCut:
                pass
            machine.disk.power_cut(seeded(seed))
            machine.open()
            got = [each.index for each in machine.recovered.entries]
            assert got in (list(range(1, acked + 1)), list(range(1, acked + 2)))


def test_single_node_write_survives_crash_before_save():
    check_single_node()


def test_a_single_node_that_answers_before_its_sync_is_noticed(monkeypatch):
    monkeypatch.setattr(Wal, "_write", unsynced)
    with pytest.raises((AssertionError, StorageError)):
        check_single_node()


# -- S17 ----------------------------------------------------------------------------


def check_hard_state_order():
    machine = Machine().open()
    machine.save(state(term=1, vote=1), entries(1, 2))
    (path,) = machine.segments()
    before = len(machine.bytes_of(path))
    machine.save(state(term=5, vote=3, commit=2), entries(3, 4, term=5))
    data = bytes(machine.bytes_of(path))
    for end in range(before, len(data) + 1):
        other = Machine().open()
        other.set_bytes(path, data[:end])
        other.reopen()
        found = other.recovered
        last = found.entries[-1]
        assert last.term <= found.hard_state.term
        whole = end == len(data)
        assert found.hard_state == (state(5, 3, 2) if whole else state(1, 1))
        assert last.index == (4 if whole else 2)


def test_hard_state_and_entries_ordering():
    check_hard_state_order()


def test_a_hard_state_behind_its_entries_is_noticed(monkeypatch):
    def two_records(self, save):
        hard_state, new, mark = save
        self._write(RecordType.SAVE, encode_save(Save(None, new, mark)))
        self._write(RecordType.SAVE, encode_save(Save(hard_state, (), None)))

    monkeypatch.setattr(Wal, "save", two_records)
    with pytest.raises((AssertionError, StorageError)):
        check_hard_state_order()


def test_free_bytes_are_those_of_the_fuller_file_system(monkeypatch):
    machine = Machine(wal_folder="/log").open()
    free = {"/data": 10, "/log": 20}
    monkeypatch.setattr(machine.disk, "free_bytes", free.__getitem__)
    assert machine.do(machine.persistence.free_bytes()) == 10
    free["/log"] = 3
    assert machine.do(machine.persistence.free_bytes()) == 3
    assert not any(call[1].startswith(WAL) for call in machine.disk.calls)
