"""A copy of a member's folders, taken while it is at work, and what is found in it."""

import errno

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvd.errors import StorageError
from kvd.storage import backup as backup_module
from kvd.storage import contents as contents_module
from kvd.storage.backup import back_up
from kvd.storage.contents import read_contents
from kvd.storage.data_dir import Identity, StorageSettings
from kvd.storage.snapshots import SnapshotFolder
from kvd.storage.view import View
from tests.storage.fakes import (
    IDENTITY,
    SNAP,
    WAL,
    Machine,
    PowerCut,
    entries,
    entry,
    meta_at,
    seeded,
    state,
)
from tests.storage.test_crash_model import Life

TARGET = "/backups/one"
NEW = Identity(member_id=0x1234, cluster_id=0x5678)


def run(steps):
    """What a generator returns, and what it yields on the way."""
    lines = []
    while True:
        try:
            lines.append(next(steps))
        except StopIteration as end:
            return end.value, lines


def back_up_machine(machine, *, target=TARGET, wal="", pause=lambda _: None, **given):
    return run(
        back_up(
            machine.disk,
            member=machine.settings,
            backup=StorageSettings(data_folder=target, wal_folder=wal, **given),
            identity=NEW,
            pause=pause,
        )
    )


def restored(machine, target=TARGET, wal=""):
    """A storage opened on the backup, as a member's start does it."""
    other = Machine(machine.disk)
    other.settings = StorageSettings(data_folder=target, wal_folder=wal)
    other.look()
    other.content = other.read_snapshot()[1] if other.recovered.snapshot else b""
    other.close()
    return other


def with_log(**given):
    machine = Machine(segment_bytes=300, snapshots_keep=0, wals_keep=0, **given).open()
    for index in range(1, 11):
        machine.save(state(term=2, commit=index - 1), [entry(index, 2)])
    return machine


def leftovers(machine):
    return [path for path in machine.disk.folders if path.startswith("/backups/")]


def test_a_backup_holds_the_snapshot_and_the_whole_log_behind_it():
    machine = with_log()
    machine.write_snapshot(meta_at(4, 2), b"what was there at 4")
    done, _ = back_up_machine(machine)
    other = restored(machine)
    found = other.recovered
    assert found.identity == NEW
    assert found.backup_of == IDENTITY
    assert found.snapshot == meta_at(4, 2)
    assert other.content == b"what was there at 4"
    # Entry 10 was acknowledged, and no save told how far the commit index had come.
    assert found.entries == tuple(entry(index, 2) for index in range(5, 11))
    assert found.hard_state == state(term=2, vote=0, commit=10)
    assert attrs.astuple(done, recurse=False)[2:8] == (4, 19, 6, 103, 10, 2)
    # The member has not noticed: it has its lock, its files and goes on.
    machine.save(None, [entry(11, 2)])
    machine.reopen()
    assert machine.recovered.entries[-1] == entry(11, 2)


def test_without_a_snapshot_the_log_is_copied_from_its_beginning():
    machine = with_log()
    done, _ = back_up_machine(machine)
    found = restored(machine).recovered
    assert found.snapshot is None
    assert found.entries == tuple(entry(index, 2) for index in range(1, 11))
    assert (done.snapshot_index, done.snapshot_bytes, done.entries) == (0, 0, 10)


def test_with_nothing_behind_the_snapshot_the_log_begins_there():
    machine = with_log()
    machine.write_snapshot(meta_at(10, 2), b"all")
    done, _ = back_up_machine(machine)
    found = restored(machine).recovered
    assert (found.snapshot, found.entries) == (meta_at(10, 2), ())
    assert (done.last_index, done.last_term) == (10, 2)


def test_member_backup_and_backup_of_the_backup_have_one_checksum():
    machine = with_log()
    machine.write_snapshot(meta_at(4, 2), b"what was there at 4")
    first, _ = back_up_machine(machine)
    again, _ = back_up_machine(machine, target="/backups/two")
    machine.settings = StorageSettings(data_folder=TARGET)
    third, _ = back_up_machine(machine, target="/backups/three")
    assert first.checksum == again.checksum == third.checksum
    assert restored(machine, "/backups/three").recovered.backup_of == NEW
    machine = with_log()
    machine.write_snapshot(meta_at(4, 2), b"what was there at 5")
    assert back_up_machine(machine)[0].checksum != first.checksum
    machine.save(None, [entry(11, 2)])
    other = back_up_machine(machine, target="/backups/two")[0].checksum
    assert other != back_up_machine(with_log())[0].checksum


def test_log_folders_of_their_own_on_both_sides():
    machine = with_log(wal_folder="/log")
    back_up_machine(machine, wal="/backup-log")
    other = restored(machine, wal="/backup-log")
    assert len(other.recovered.entries) == 10
    assert machine.disk.list("/backup-log")[0] == f"{0:016x}-{1:016x}.wal"
    assert f"{TARGET}/member/wal" not in machine.disk.folders


def test_a_long_log_is_copied_in_pieces_and_cut_into_segments(monkeypatch):
    monkeypatch.setattr(backup_module, "SAVE_BYTES", 50)
    machine = with_log()
    back_up_machine(machine, segment_bytes=200)
    assert len(machine.disk.list(f"{TARGET}/member/wal")) > 3
    assert len(restored(machine).recovered.entries) == 10


def test_much_of_it_is_told_on_the_way(monkeypatch):
    machine = with_log()
    machine.write_snapshot(meta_at(4, 2), bytes(200))
    monkeypatch.setattr(contents_module, "READ_BYTES_MAX", 4)
    monkeypatch.setattr(backup_module, "_PROGRESS_PIECES", 20)
    _, lines = back_up_machine(machine)
    path = f"{SNAP}/{4:016x}-{2:016x}.snap"
    assert lines == [
        *[f"copied {number} of 0 MiB of {path}" for number in (20, 40)],
        "reading the backup back",
    ]


def test_an_older_snapshot_is_taken_if_the_newest_is_damaged():
    machine = with_log()
    for index in (2, 4):
        machine.write_snapshot(meta_at(index, 2), b"what was there at %d" % index)
    newest = f"{SNAP}/{4:016x}-{2:016x}.snap"
    machine.bytes_of(newest)[-30] ^= 1
    done, _ = back_up_machine(machine)
    assert restored(machine).recovered.snapshot == meta_at(2, 2)
    assert len(done.notes) == 2
    assert done.notes[0].startswith(newest)


def test_a_leaders_snapshot_that_no_save_names_yet_is_taken():
    machine = with_log()
    machine.write_snapshot(meta_at(50, 3), b"a leader's", received=True)
    received = f"{SNAP}/{50:016x}-{3:016x}.received"
    machine.disk.rename(received, received.replace("received", "snap"))
    back_up_machine(machine)
    other = restored(machine)
    assert other.recovered.snapshot == meta_at(50, 3)
    assert (other.recovered.entries, other.content) == ((), b"a leader's")
    assert other.recovered.hard_state == state(term=3, vote=0, commit=50)


# -- what is not damage, and what is --------------------------------------------------


@pytest.mark.parametrize("rest", [1, 20, 40, 70])
def test_a_write_that_is_not_complete_is_not_damage(rest):
    machine = with_log()
    (*_, path) = machine.segments()
    before = len(machine.bytes_of(path))
    machine.save(None, [entry(11, 2, b"z" * 60)])
    (*_, now) = machine.segments()
    if now != path:
        path, before = now, 84
    whole = bytes(machine.bytes_of(path))
    machine.set_bytes(path, whole[: before + rest])
    back_up_machine(machine)
    assert len(restored(machine).recovered.entries) == 10
    assert bytes(machine.bytes_of(path)) == whole[: before + rest], "left as it was"


def test_damage_in_the_middle_names_file_and_offset_and_leaves_nothing():
    machine = with_log()
    path = machine.segments()[1]
    machine.bytes_of(path)[90] ^= 1
    pauses = []
    with pytest.raises(StorageError) as caught:
        back_up_machine(machine, pause=pauses.append)
    assert (caught.value.path, caught.value.offset) == (path, 84)
    assert len(pauses) == 1, "the same twice is no accident"
    assert leftovers(machine) == []
    assert machine.disk.holding == 0


def test_a_seal_promises_a_segment_that_must_be_there():
    machine = with_log()
    (*_, last) = machine.segments()
    machine.disk.remove(last)
    with pytest.raises(StorageError, match="this segment of the log is gone") as caught:
        back_up_machine(machine)
    assert caught.value.path == last
    machine.disk.create(last + ".tmp")  # the power went before the rename
    assert back_up_machine(machine)[0].last_index < 10


def test_what_is_no_members_folder_is_refused():
    machine = Machine()
    with pytest.raises(StorageError, match=r"^/data: there is no member's data"):
        back_up_machine(machine)
    machine.open()
    with pytest.raises(StorageError, match=r"^/data: this member has not begun yet"):
        back_up_machine(machine)
    machine.save(state(), entries(1, 1))
    for path in machine.segments():
        machine.disk.remove(path)
    with pytest.raises(StorageError, match=f"^{WAL}: the log is gone"):
        back_up_machine(machine)
    del machine.disk.folders[WAL]
    with pytest.raises(StorageError, match=f"^{WAL}: No such folder"):
        back_up_machine(machine)
    machine.disk.failing["read"] = OSError(errno.EACCES, "Permission denied")
    with pytest.raises(StorageError, match="identity: Permission denied"):
        back_up_machine(machine)
    assert leftovers(machine) == []


@pytest.mark.parametrize("call", ["read", "hold"])
def test_a_disk_that_does_not_answer_is_an_error_not_an_end(monkeypatch, call):
    machine = with_log()

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    for name in ("hold",) if call == "hold" else ():
        monkeypatch.setattr(machine.disk, name, fail, raising=True)
    if call == "read":
        real = machine.disk.hold

        def hold(path):
            held = real(path)
            held.read = fail
            return held

        monkeypatch.setattr(machine.disk, "hold", hold)
    with pytest.raises(StorageError, match=f"{WAL}/.*wal.*: Input/output error"):
        back_up_machine(machine)
    assert leftovers(machine) == []


def test_files_of_another_name_stop_it():
    machine = with_log()
    machine.disk.create(f"{WAL}/stranger")
    with pytest.raises(StorageError, match="this file is not part of kvd's log"):
        back_up_machine(machine)
    machine.disk.remove(f"{WAL}/stranger")
    machine.disk.create(f"{SNAP}/zz.snap")
    assert len(back_up_machine(machine)[0].notes) == 1


# -- a member that is in the way of its own backup --------------------------------------


def test_what_vanished_is_looked_for_anew():
    machine = Machine(segment_bytes=1, snapshots_keep=1, wals_keep=1).open()
    machine.save(state(term=2), [entry(1, 2)])
    looks = []

    def work():
        looks.append(1)
        if len(looks) in {2, 5}:  # between the listing of snapshots and holding one
            index = len(looks)
            machine.disk.before_look = lambda: None
            for each in range(index, index + 3):
                last = machine.persistence._wal.state.last_index
                machine.save(state(term=2, commit=last), [entry(last + 1, 2)])
                machine.write_snapshot(meta_at(last, 2), b"%d" % each)
                machine.do(machine.persistence.compact(last))
            machine.disk.before_look = work

    machine.save(state(term=2, commit=1), [entry(2, 2)])
    machine.write_snapshot(meta_at(1, 2), b"1")
    machine.disk.before_look = work
    pauses = []
    done, _ = back_up_machine(machine, pause=pauses.append)
    assert pauses == [contents_module.PAUSE_SECONDS]
    assert done.last_index >= 5


def test_a_member_that_never_rests_is_given_up(monkeypatch):
    machine = with_log()
    real, tries = View.take, []

    def flicker(self):
        tries.append(1)
        real(self)
        raise StorageError(f"trouble {len(tries)}")

    monkeypatch.setattr(View, "take", flicker)
    with pytest.raises(StorageError, match="trouble 100"):
        back_up_machine(machine)
    assert machine.disk.holding == 0


def check_live(seed, segment_bytes):
    """A life goes on at every look that the backup takes at the disk."""
    random = seeded(seed)
    machine = Machine(
        segment_bytes=segment_bytes,
        snapshots_keep=random.choice([0, 1, 2]),
        wals_keep=random.choice([0, 1, 2]),
    ).open()
    life = Life(random, machine)
    for _ in range(random.randrange(30)):
        life.step()
    if not life.model.last:
        return
    models = [life.model.copy()]
    working = []

    def work():
        if not working and random.randrange(3) == 0:
            working.append(1)
            for _ in range(random.randrange(1, 6)):
                life.step()
                models.append(life.model.copy())
            working.clear()

    machine.disk.before_look = work
    done, _ = back_up_machine(machine)
    machine.disk.before_look = lambda: None
    other = restored(machine)
    found = other.recovered
    index = found.snapshot.index if found.snapshot else 0
    got = [(each.term, each.data) for each in found.entries]
    assert any(
        model.base <= index <= model.last
        and got == model.after(index)
        and (not index or model.term_at(index) == found.snapshot.term)
        for model in models
    ), (got, models)
    if index:
        assert other.content in {b"own %d" % index, b"received %d" % index}
    assert done.last_index == index + len(got)
    # And the member is not the worse for it.
    machine.reopen()
    life.check()
    assert machine.disk.holding == 0


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1 << 32), segment_bytes=st.sampled_from([1, 300, 1 << 20]))
def test_a_backup_is_a_state_that_the_member_had_since_it_began(seed, segment_bytes):
    check_live(seed, segment_bytes)


def test_a_member_that_outruns_many_attempts_is_backed_up_all_the_same():
    check_live(345527, 1)  # it makes and drops snapshots within each of ten attempts


def test_a_backup_of_less_than_the_log_is_noticed(monkeypatch):
    real = contents_module._put_together

    def forgetful(view, data, identity):
        whole = yield from real(view, data, identity)
        if identity != IDENTITY:
            return whole
        return attrs.evolve(whole, entries=whole.entries[:-1])

    monkeypatch.setattr(contents_module, "_put_together", forgetful)
    with pytest.raises((AssertionError, StorageError)):
        for seed in range(50):
            check_live(seed, 300)


# -- the backup's own folders -------------------------------------------------------------


@pytest.mark.parametrize("at", [TARGET, "/backup-log"])
def test_a_folder_with_something_in_it_is_refused(at):
    machine = with_log()
    machine.disk.make_folder(at)
    machine.disk.create(f"{at}/precious")
    with pytest.raises(StorageError, match=f"^{at}: it is not empty"):
        back_up_machine(machine, wal="/backup-log")
    assert machine.disk.list(at) == ["precious"]
    machine.disk.remove(f"{at}/precious")
    back_up_machine(machine, wal="/backup-log")
    assert len(restored(machine, wal="/backup-log").recovered.entries) == 10


def test_a_folder_that_cannot_be_looked_into_is_refused(monkeypatch):
    machine = with_log()
    real = machine.disk.list

    def forbidden(folder):
        if folder == TARGET:
            raise OSError(errno.EACCES, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr(machine.disk, "list", forbidden)
    with pytest.raises(StorageError, match=f"{TARGET}: Permission denied"):
        back_up_machine(machine)


def test_two_backups_into_one_folder_do_not_meet():
    machine = with_log()
    lock = f"{TARGET}.unfinished/lock"
    machine.disk.make_folder(f"{TARGET}.unfinished")
    held = machine.disk.lock(lock)
    with pytest.raises(StorageError, match=r"another kvd .process 4242. is using it"):
        back_up_machine(machine)
    assert machine.disk.list(f"{TARGET}.unfinished") == ["lock"]
    held.release()
    back_up_machine(machine)


def backup_crash_points(wal):
    def start():
        machine = with_log()
        machine.write_snapshot(meta_at(4, 2), b"what was there at 4")
        return machine

    machine = start()
    machine.disk.cut_at = 1 << 30
    back_up_machine(machine, wal=wal)
    total = (1 << 30) - machine.disk.cut_at
    assert total > 20
    return start, total


@pytest.mark.parametrize("wal", ["", "/backup-log"])
def test_a_power_cut_leaves_a_whole_backup_or_an_unfinished_one(wal):
    start, total = backup_crash_points(wal)
    for cut_at in range(total + 1):
        machine = start()
        machine.disk.cut_at = cut_at
        try:
            back_up_machine(machine, wal=wal)
        except PowerCut:
            machine.disk.power_cut(seeded(cut_at))
        machine.disk.restart()
        machine.disk.failing = {}
        if TARGET not in machine.disk.folders:
            if "/backup-log" in machine.disk.folders:
                # Between the two names: an operator has to say that it may go.
                with pytest.raises(StorageError, match="it is not empty"):
                    back_up_machine(machine, wal=wal)
                continue
            back_up_machine(machine, wal=wal)  # clears what is unfinished
        other = restored(machine, wal=wal)
        assert len(other.recovered.entries) == 6
        assert other.content == b"what was there at 4"
    assert cut_at == total


@pytest.mark.parametrize("call", ["create", "append", "sync", "sync_folder", "rename"])
@pytest.mark.parametrize("wal", ["", "/backup-log"])
def test_a_disk_that_refuses_leaves_nothing_half_written(call, wal):
    machine = with_log()
    machine.write_snapshot(meta_at(4, 2), b"what was there at 4")
    for calls in range(2 if call == "create" else 3):
        machine.disk.failing.clear()
        real, seen = machine.disk.called, []

        def count(name, path, real=real, seen=seen, calls=calls):
            if name == call and path.startswith("/backup"):
                seen.append(1)
                if len(seen) > calls:
                    machine.disk.failing[call] = OSError(28, "No space left on device")
            try:
                real(name, path)
            finally:
                machine.disk.failing.clear()

        machine.disk.called = count
        with pytest.raises(StorageError, match="No space left on device"):
            back_up_machine(machine, wal=wal)
        machine.disk.called = real
        assert leftovers(machine) == []
        assert not machine.disk.locks - {"/data/lock"}
    machine.save(None, [entry(11, 2)])


def test_a_second_name_that_is_refused_takes_the_first_one_back():
    machine = with_log()
    real = machine.disk.called

    def called(name, path):
        if (name, path) == ("rename", TARGET):
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)
        real(name, path)

    machine.disk.called = called
    with pytest.raises(StorageError, match="Directory not empty"):
        back_up_machine(machine, wal="/backup-log")
    assert leftovers(machine) == []
    assert "/backup-log" not in machine.disk.folders


def test_a_copy_that_is_not_what_was_read_is_thrown_away(monkeypatch):
    machine = with_log()
    machine.write_snapshot(meta_at(4, 2), b"what was there at 4")
    real = SnapshotFolder.publish

    def spoil(self, draft):
        real(self, draft)
        self.files = [attrs.evolve(file, crc=file.crc ^ 1) for file in self.files]

    with monkeypatch.context() as patched:
        patched.setattr(SnapshotFolder, "publish", spoil)
        with pytest.raises(StorageError, match="it changed while it was copied"):
            back_up_machine(machine)
    assert leftovers(machine) == []
    other = [entry(index, 2, b"other") for index in range(5, 11)]
    monkeypatch.setattr(backup_module, "_batches", lambda _: [other])
    with pytest.raises(StorageError, match=r"unfinished: what was written here is not"):
        back_up_machine(machine)
    assert leftovers(machine) == []


def test_a_snapshot_that_became_shorter_is_not_copied():
    machine = with_log()
    machine.write_snapshot(meta_at(4, 2), b"what was there at 4")
    steps = read_contents(machine.disk, machine.settings, pause=lambda _: None)
    contents, _ = run(steps)
    machine.set_bytes(contents.snapshot.path, b"")
    with pytest.raises(StorageError, match="the file ends early"):
        list(contents.pieces())
    contents.close()
