"""What a simulated disk keeps and what it forgets."""

import errno
from random import Random

import pytest

from kvd.testing.clock import SimulatedCrash
from kvd.testing.disk import SimulatedDisk


@pytest.fixture
def disk():
    disk = SimulatedDisk(Random(1))
    disk.make_folder("/d")
    return disk


def content(disk, path):
    return disk.read(path, 0, 1 << 20)


def fresh(seed):
    disk = SimulatedDisk(Random(seed))
    disk.make_folder("/d")
    return disk


def test_what_was_written_is_read_back_before_any_sync(disk):
    file = disk.create("/d/a")
    file.append(b"hello")
    assert content(disk, "/d/a") == b"hello"
    assert disk.read("/d/a", 1, 2) == b"el"
    assert disk.size("/d/a") == 5
    assert disk.list("/d") == ["a"]
    assert disk.exists("/d/a")
    assert disk.exists("/d")
    assert not disk.exists("/d/b")
    with pytest.raises(FileExistsError):
        disk.create("/d/a")
    with pytest.raises(FileNotFoundError):
        disk.append_to("/d/b")
    with pytest.raises(FileNotFoundError):
        disk.create("/nowhere/b")


def test_synced_bytes_under_a_synced_name_survive_every_power_cut():
    for seed in range(50):
        disk = fresh(seed)
        file = disk.create("/d/a")
        file.append(b"kept")
        file.sync()
        disk.sync_folder("/d")
        file.append(b"perhaps")
        disk.power_cut()
        assert content(disk, "/d/a").startswith(b"kept")


def test_unsynced_bytes_are_kept_up_to_any_byte_or_as_zeros():
    ends = set()
    zeros = 0
    for seed in range(400):
        disk = fresh(seed)
        file = disk.create("/d/a")
        disk.sync_folder("/d")
        file.append(b"abcdefgh")
        disk.power_cut()
        left = content(disk, "/d/a")
        end = len(left.rstrip(b"\0"))
        assert left[:end] == b"abcdefgh"[:end]
        zeros += len(left) > end
        ends.add(end)
    assert ends == set(range(9))
    assert 0 < zeros < 100


def test_a_name_that_was_not_synced_may_be_gone():
    seen = set()
    for seed in range(40):
        disk = fresh(seed)
        file = disk.create("/d/a")
        file.append(b"x")
        file.sync()
        disk.power_cut()
        seen.add(disk.exists("/d/a"))
    assert seen == {True, False}


def test_a_rename_is_done_or_undone_and_never_half():
    seen = set()
    for seed in range(40):
        disk = fresh(seed)
        for name in ("a", "b"):
            file = disk.create("/d/" + name)
            file.append(name.encode())
            file.sync()
        disk.sync_folder("/d")
        disk.rename("/d/a", "/d/b")
        assert content(disk, "/d/b") == b"a"
        disk.power_cut()
        names = tuple(disk.list("/d"))
        if names == ("b",):
            assert content(disk, "/d/b") == b"a"
        else:
            assert names == ("a", "b")
            assert content(disk, "/d/b") == b"b"
        seen.add(names)
    assert len(seen) == 2


def test_a_removed_file_may_come_back():
    seen = set()
    for seed in range(40):
        disk = fresh(seed)
        disk.create("/d/a").sync()
        disk.sync_folder("/d")
        disk.remove("/d/a")
        assert not disk.exists("/d/a")
        disk.power_cut()
        seen.add(disk.exists("/d/a"))
    assert seen == {True, False}


def test_steps_of_a_folder_are_kept_in_their_order():
    for seed in range(60):
        disk = fresh(seed)
        for name in "abc":
            disk.create("/d/" + name)
        disk.power_cut()
        assert disk.list("/d") == list("abc")[: len(disk.list("/d"))]


def test_the_end_of_a_process_alone_loses_nothing(disk):
    file = disk.create("/d/a")
    file.append(b"x")
    disk.process_end()
    assert content(disk, "/d/a") == b"x"
    with pytest.raises(SimulatedCrash):
        file.append(b"y")


def test_after_a_failed_sync_later_ones_lie():
    lost = 0
    for seed in range(40):
        disk = fresh(seed)
        file = disk.create("/d/a")
        disk.sync_folder("/d")
        file.append(b"abcd")
        disk.failing_syncs = 1
        with pytest.raises(OSError, match="input/output") as caught:
            file.sync()
        assert caught.value.errno == errno.EIO
        file.sync()
        disk.process_end()
        lost += content(disk, "/d/a") != b"abcd"
    assert lost > 10


def test_a_full_disk_takes_a_part_and_says_so(disk):
    file = disk.create("/d/a")
    disk.capacity = 3
    with pytest.raises(OSError, match="no space") as caught:
        file.append(b"abcd")
    assert caught.value.errno == errno.ENOSPC
    assert content(disk, "/d/a") == b"abc"
    assert disk.free_bytes("/d") == 0
    with pytest.raises(OSError, match="no space"):
        disk.create("/d/b")
    disk.remove("/d/a")
    assert disk.free_bytes("/d") == 3


def test_space_is_counted_over_renames_truncation_and_restarts(disk):
    for name in ("a", "b"):
        file = disk.create("/d/" + name)
        file.append(b"abcd")
        file.sync()
    assert disk.used == 8
    disk.rename("/d/a", "/d/b")
    assert disk.used == 4
    disk.truncate("/d/b", 1)
    assert disk.used == 1
    disk.sync_folder("/d")
    disk.power_cut()
    assert disk.used == 1
    with pytest.raises(ValueError, match="longer"):
        disk.truncate("/d/b", 9)


def test_the_power_goes_before_any_chosen_change():
    for calls in range(4):
        disk = fresh(calls)
        disk.crash_after = calls
        done = []
        with pytest.raises(SimulatedCrash):
            for step in (
                lambda: disk.create("/d/a"),
                lambda: disk.append_to("/d/a").append(b"0123456789"),
                lambda: disk.append_to("/d/a").sync(),
                lambda: disk.sync_folder("/d"),
            ):
                step()
                done.append(step)
        assert len(done) == calls
        with pytest.raises(SimulatedCrash):
            disk.list("/d")
        disk.power_cut()
        disk.list("/d")


def test_a_lock_is_held_until_released_or_the_process_is_gone(disk):
    lock = disk.lock("/d/lock")
    with pytest.raises(BlockingIOError):
        disk.lock("/d/lock")
    lock.release()
    disk.lock("/d/lock")
    disk.process_end()
    disk.lock("/d/lock")
    lock.release()
    with pytest.raises(BlockingIOError):
        disk.lock("/d/lock")


def test_reads_fail_when_told_to(disk):
    disk.create("/d/a")
    disk.failing_reads = 1
    with pytest.raises(OSError, match="input/output"):
        disk.read("/d/a", 0, 1)
    assert disk.read("/d/a", 0, 1) == b""


def test_folders_within_folders_are_listed(disk):
    disk.make_folder("/d/e/f")
    disk.make_folder("/d/e")
    assert disk.list("/d") == ["e"]
    assert disk.list("/d/e") == ["f"]


def test_calls_are_recorded_when_asked(disk):
    disk.calls = []
    disk.create("/d/a").sync()
    disk.sync_folder("/d")
    assert disk.calls == [("create", "/d/a"), ("sync_folder", "/d")]


def test_a_closed_file_refuses(disk):
    file = disk.create("/d/a")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.append(b"x")


def test_a_held_file_outlives_its_name_but_not_the_power(disk):
    file = disk.create("/d/a")
    file.append(b"hello")
    held = disk.hold("/d/a")
    disk.remove("/d/a")
    assert held.size() == 5
    assert held.read(1, 3) == b"ell"
    disk.failing_reads = 1
    with pytest.raises(OSError, match="input/output error"):
        held.read(0, 1)
    held.close()
    with pytest.raises(FileNotFoundError):
        disk.hold("/d/a")


def test_a_folder_is_renamed_with_all_that_is_in_it(disk):
    disk.make_folder("/d/inner")
    disk.create("/d/inner/a").append(b"hello")
    disk.make_folder("/e")
    disk.rename("/d", "/e")
    assert content(disk, "/e/inner/a") == b"hello"
    assert not disk.exists("/d")
    disk.make_folder("/f/g")
    for act in (lambda: disk.rename("/e", "/f"), lambda: disk.remove_folder("/f")):
        with pytest.raises(OSError, match="directory not empty"):
            act()
    disk.remove_folder("/f/g")
    assert disk.list("/f") == []
