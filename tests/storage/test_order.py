"""In which order things become durable, seen from the disk."""

import contextlib

import pytest

from kvd.errors import InvariantViolated, StorageError
from kvd.storage.persistence import Storage, Writer
from kvd.storage.snapshots import Draft
from tests.storage.fakes import (
    FOLDER,
    SNAP,
    WAL,
    FakeDisk,
    Machine,
    PowerCut,
    entries,
    meta_at,
    seeded,
    state,
)

MEMBER = f"{FOLDER}/member"


def calls(machine, action):
    machine.disk.calls.clear()
    action()
    return [call for call in machine.disk.calls if call[0] != "close"]


def segment(sequence, index):
    return f"{WAL}/{sequence:016x}-{index:016x}.wal"


def snap(index, suffix="snap"):
    return f"{SNAP}/{index:016x}-{1:016x}.{suffix}"


# -- S09 ----------------------------------------------------------------------------


def check_folder_syncs():
    machine = Machine(segment_bytes=1, snapshots_keep=1)
    first, second, third = segment(0, 1), segment(1, 4), segment(2, 5)
    initialise = calls(machine, machine.open)
    assert initialise == [
        ("create", first + ".tmp"),
        ("append", first + ".tmp"),
        ("sync", first + ".tmp"),
        ("sync_folder", WAL),
        ("rename", first),
        ("sync_folder", WAL),
        ("create", f"{MEMBER}/identity.tmp"),
        ("append", f"{MEMBER}/identity.tmp"),
        ("sync", f"{MEMBER}/identity.tmp"),
        ("rename", f"{MEMBER}/identity"),
        ("sync_folder", MEMBER),
    ]
    assert calls(machine, lambda: machine.save(state(), entries(1, 3))) == [
        ("append", first),
        ("sync", first),
    ]
    assert calls(machine, lambda: machine.save(state(commit=3), entries(4, 4))) == [
        ("create", second + ".tmp"),
        ("append", second + ".tmp"),
        ("sync", second + ".tmp"),
        ("sync_folder", WAL),
        ("append", first),
        ("sync", first),
        ("rename", second),
        ("sync_folder", WAL),
        ("append", second),
        ("sync", second),
    ]
    assert calls(machine, lambda: machine.write_snapshot(meta_at(2), b"12345")) == [
        ("create", snap(2, "1.tmp")),
        ("append", snap(2, "1.tmp")),
        ("append", snap(2, "1.tmp")),
        ("append", snap(2, "1.tmp")),
        ("sync", snap(2, "1.tmp")),
        ("rename", snap(2)),
        ("sync_folder", SNAP),
        *cut(second, third),
        ("append", third),
        ("sync", third),
    ]
    fourth = segment(3, 5)
    assert calls(machine, lambda: machine.write_snapshot(meta_at(3), b"")) == [
        ("create", snap(3, "2.tmp")),
        ("append", snap(3, "2.tmp")),
        ("append", snap(3, "2.tmp")),
        ("sync", snap(3, "2.tmp")),
        ("rename", snap(3)),
        ("sync_folder", SNAP),
        *cut(third, fourth),
        ("append", fourth),
        ("sync", fourth),
        ("remove", snap(2)),
        ("sync_folder", SNAP),
    ]
    assert calls(machine, lambda: machine.do(machine.persistence.compact(3))) == [
        ("remove", first),
        ("sync_folder", WAL),
    ]


def cut(old, new):
    return [
        ("create", new + ".tmp"),
        ("append", new + ".tmp"),
        ("sync", new + ".tmp"),
        ("sync_folder", WAL),
        ("append", old),
        ("sync", old),
        ("rename", new),
        ("sync_folder", WAL),
    ]


def test_directory_fsync_on_create_rename_unlink():
    check_folder_syncs()


@pytest.mark.parametrize("folder", [WAL, SNAP, MEMBER])
def test_a_folder_that_is_not_synced_is_noticed(monkeypatch, folder):
    real = FakeDisk.sync_folder

    def forgetful(self, path):
        if path != folder:
            real(self, path)

    monkeypatch.setattr(FakeDisk, "sync_folder", forgetful)
    with pytest.raises(AssertionError):
        check_folder_syncs()


def test_names_that_a_process_left_unsynced_are_synced_at_the_next_start():
    machine = Machine().open()
    machine.save(state(), entries(1, 1))
    (path,) = machine.segments()
    synced = calls(machine, machine.reopen)
    assert synced[:3] == [
        ("sync_folder", MEMBER),
        ("sync_folder", SNAP),
        ("sync_folder", WAL),
    ]
    assert synced[3:] == [("sync", path), ("append", path), ("sync", path)]


# -- S10 ----------------------------------------------------------------------------


def with_log():
    machine = Machine(segment_bytes=150, snapshots_keep=1).open()
    for index in range(1, 7):
        machine.save(state(commit=index), entries(index, index))
    machine.write_snapshot(meta_at(2), b"old")
    return machine


def own_snapshot(machine):
    machine.write_snapshot(meta_at(5), b"new")
    machine.do(machine.persistence.compact(5))


def install(machine):
    machine.write_snapshot(meta_at(50), b"new", received=True)
    machine.save(state(commit=50), entries(51, 52), meta_at(50))
    machine.do(machine.persistence.compact(50))


def check_crash_points(action, *, before, after):
    machine = with_log()
    machine.disk.cut_at = 1 << 30
    action(machine)
    total = (1 << 30) - machine.disk.cut_at
    assert total > 10
    seen = set()
    for cut_at in range(total + 1):
        for seed in range(4):
            machine = with_log()
            machine.disk.cut_at = cut_at
            with contextlib.suppress(PowerCut):
                action(machine)
            machine.disk.power_cut(seeded(seed))
            machine.open()
            found = machine.recovered
            meta, content = machine.read_snapshot()
            assert meta == found.snapshot
            got = (meta.index, content, [each.index for each in found.entries])
            assert got in (*before, *after)
            if cut_at == total:
                assert got in after
            seen.add(got[0])
            # And it still works: the next one is taken whole.
            last = found.entries[-1].index if found.entries else meta.index
            machine.save(state(commit=last), entries(last + 1, last + 1))
            machine.reopen()
            assert machine.recovered.entries[-1].index == last + 1
    assert len(seen) == 2


def test_snapshot_install_crash_points():
    check_crash_points(
        own_snapshot,
        before=[(2, b"old", [3, 4, 5, 6])],
        after=[(5, b"new", [6])],
    )
    check_crash_points(
        install,
        before=[(2, b"old", [3, 4, 5, 6])],
        after=[(50, b"new", []), (50, b"new", [51, 52])],
    )


def check_own_crash_points():
    check_crash_points(
        own_snapshot,
        before=[(2, b"old", [3, 4, 5, 6])],
        after=[(5, b"new", [6])],
    )


def test_a_rename_before_the_sync_is_noticed(monkeypatch):
    real = Draft.finish

    def hasty(self):
        self._open().sync = lambda: None
        real(self)

    monkeypatch.setattr(Draft, "finish", hasty)
    with pytest.raises((AssertionError, StorageError)):
        check_own_crash_points()


def test_an_old_snapshot_removed_before_the_new_one_is_durable_is_noticed(monkeypatch):
    async def hasty(self):
        storage, run = self._storage, self._storage.run
        draft = await run(self._begun)
        await run(draft.finish)
        await run(self._storage._snapshots._disk.remove, snap(2))
        await run(storage.publish, draft)
        await run(storage.mark, self._meta)
        storage._snapshots.files = storage._snapshots.files[-1:]

    monkeypatch.setattr(Writer, "_commit", hasty)
    with pytest.raises((AssertionError, StorageError)):
        check_own_crash_points()


# -- S11 ----------------------------------------------------------------------------


def check_trim():
    machine = with_log()
    segments = machine.segments()
    writer = machine.persistence.create_snapshot(meta_at(5))
    machine.do(writer.write(b"not yet"))
    machine.do(machine.persistence.compact(2))
    kept = machine.segments()
    assert len(kept) < len(segments)
    # Whole segments only, and none with an entry that is still needed.
    machine.reopen()
    assert [each.index for each in machine.recovered.entries] == [3, 4, 5, 6]
    with pytest.raises(InvariantViolated):
        machine.do(machine.persistence.compact(3))
    assert machine.segments() == kept
    machine.reopen()
    machine.write_snapshot(meta_at(5))
    machine.do(machine.persistence.compact(5))
    assert len(machine.segments()) < len(kept)
    machine.reopen()
    assert [each.index for each in machine.recovered.entries] == [6]


def test_log_trimmed_only_after_durable_snapshot():
    check_trim()


def test_a_log_that_is_trimmed_without_a_snapshot_is_noticed(monkeypatch):
    monkeypatch.setattr(
        Storage, "_release", lambda self, index: self._open_wal().release(index)
    )
    with pytest.raises((pytest.fail.Exception, StorageError)):
        check_trim()
