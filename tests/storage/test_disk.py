"""The real disk, on a real file system."""

import errno
import os
import stat
import subprocess
import sys

import pytest
from twisted.internet.defer import Deferred

from kvd.errors import StorageError
from kvd.storage.disk import RealDisk
from kvd.storage.open import StorageSettings, open_storage
from tests.storage.fakes import IDENTITY, FakeWorker, entries, meta_at, state


@pytest.fixture
def disk():
    return RealDisk()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file")


def test_what_is_appended_is_read(disk, path):
    file = disk.create(path)
    file.append(b"hello ")
    file.append(b"")
    file.append(b"world")
    file.sync()
    file.close()
    file.close()
    file = disk.append_to(path)
    file.append(b"!")
    file.sync()
    file.close()
    assert disk.size(path) == 12
    assert disk.read(path, 0, 100) == b"hello world!"
    assert disk.read(path, 6, 3) == b"wor"
    assert disk.read(path, 12, 3) == b""
    disk.truncate(path, 5)
    assert disk.read(path, 0, 100) == b"hello"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_names_change(disk, path):
    disk.create(path).close()
    with pytest.raises(FileExistsError):
        disk.create(path)
    disk.create(path + "2").close()
    disk.rename(path, path + "2")
    folder = os.path.dirname(path)
    disk.sync_folder(folder)
    assert not disk.exists(path)
    assert disk.exists(path + "2")
    assert disk.list(folder) == ["file2"]
    disk.remove(path + "2")
    assert disk.list(folder) == []
    assert disk.free_bytes(folder) > 0


def test_a_held_file_outlives_its_name(disk, path):
    file = disk.create(path)
    file.append(b"hello")
    held = disk.hold(path)
    disk.rename(path, path + "2")
    file.append(b" world")
    disk.remove(path + "2")
    assert held.size() == 11
    assert held.read(0, 5) == b"hello"
    assert held.read(6, 100) == b"world"
    held.close()
    held.close()
    file.close()


def test_what_is_held_is_a_file_and_nothing_it_leads_to(disk, path):
    with pytest.raises(FileNotFoundError):
        disk.hold(path)
    disk.create(path + ".there").close()
    os.symlink(path + ".there", path)
    with pytest.raises(OSError, match="a symbolic link, not a file") as caught:
        disk.hold(path)
    assert caught.value.filename == path
    os.remove(path)
    os.mkfifo(path)  # whose writer nobody waits for
    with pytest.raises(OSError, match="not a file") as caught:
        disk.hold(path)
    assert caught.value.filename == path


def test_a_folder_takes_the_place_of_an_empty_one(disk, path):
    disk.make_folder(path + "/inner")
    disk.create(path + "/inner/file").close()
    disk.make_folder(path + "2")
    disk.rename(path, path + "2")
    assert disk.list(path + "2/inner") == ["file"]
    with pytest.raises(OSError) as caught:
        disk.remove_folder(path + "2/inner")
    assert caught.value.errno == errno.ENOTEMPTY
    disk.remove(path + "2/inner/file")
    disk.remove_folder(path + "2/inner")
    assert disk.list(path + "2") == []


def test_what_may_not_be_looked_at_is_not_called_absent(disk, path):
    disk.create(path).close()
    with pytest.raises(NotADirectoryError):
        disk.exists(path + "/inside")


def test_folders_are_made_with_their_parents_each_synced(disk, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(RealDisk, "sync_folder", lambda _, path: synced.append(path))
    disk.make_folder(f"{tmp_path}/a/b/c")
    assert synced == [f"{tmp_path}", f"{tmp_path}/a", f"{tmp_path}/a/b"]
    assert stat.S_IMODE(os.stat(f"{tmp_path}/a/b").st_mode) == 0o700
    disk.make_folder(f"{tmp_path}/a/b/c")
    assert len(synced) == 3


# -- S08 ----------------------------------------------------------------------------


def test_short_write_and_eintr(disk, path, monkeypatch):
    """The system may take less than it was given, any number of times."""
    real, sizes = os.write, []

    def short(descriptor, data):
        sizes.append(len(data))
        return real(descriptor, bytes(data[: max(1, len(data) // 3)]))

    monkeypatch.setattr(os, "write", short)
    data = bytes(range(256)) * 5
    file = disk.create(path)
    file.append(data)
    file.close()
    assert disk.read(path, 0, 5000) == data
    assert len(sizes) > 5
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 7), at))
    assert disk.read(path, 0, 5000) == data


def test_a_signal_in_the_middle_of_a_write_is_no_error(disk, path):
    """A child is sent signals while its writes to a slow pipe wait (PEP 475)."""
    code = """
import os, signal, sys, threading
from kvd.storage.disk import _RealFile
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
read, write = os.pipe()
got = []
def drain():
    while piece := os.read(read, 1000):
        got.append(piece)
reader = threading.Thread(target=drain)
reader.start()
file = _RealFile(write, "pipe")
data = bytes(range(256)) * 8000
file.append(data)
signal.setitimer(signal.ITIMER_REAL, 0)
file.close()
reader.join()
sys.exit(b"".join(got) != data)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=20)
    assert done.returncode == 0


def held_read(disk, path):
    held = disk.hold(path)
    try:
        held.read(0, 1)
    finally:
        held.close()


@pytest.mark.parametrize(
    ("call", "act"),
    [
        ("write", lambda disk, path: disk.append_to(path).append(b"x")),
        ("fdatasync", lambda disk, path: disk.append_to(path).sync()),
        ("pread", lambda disk, path: disk.read(path, 0, 1)),
        ("pread", held_read),
        ("ftruncate", lambda disk, path: disk.truncate(path, 0)),
        ("fsync", lambda disk, path: disk.sync_folder(os.path.dirname(path))),
    ],
)
def test_an_error_names_the_file(disk, path, monkeypatch, call, act):
    disk.create(path).close()

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    opened = []
    real_open = os.open

    def note(*args):
        opened.append(real_open(*args))
        return opened[-1]

    monkeypatch.setattr(os, "open", note)
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError) as caught:
        act(disk, path)
    assert caught.value.filename in {path, os.path.dirname(path)}
    if call in {"pread", "ftruncate", "fsync"}:
        with pytest.raises(OSError):
            os.fstat(opened[0])
    else:
        os.close(opened[0])


def test_files_are_not_inherited(disk, path, monkeypatch):
    flags = []
    real = os.open

    def note(path, flag, *rest):
        flags.append(flag)
        return real(path, flag, *rest)

    monkeypatch.setattr(os, "open", note)
    file = disk.create(path)
    file.append(b"x")
    file.close()
    disk.append_to(path).close()
    disk.read(path, 0, 1)
    disk.truncate(path, 0)
    disk.sync_folder(os.path.dirname(path))
    disk.lock(path + ".lock").release()
    assert len(flags) == 6
    assert all(flag & os.O_CLOEXEC for flag in flags)
    assert all(flag & os.O_APPEND for flag in flags[:2])


def test_a_lock_says_who_has_it_and_keeps_others_out(disk, path):
    lock = disk.lock(path)
    assert disk.read(path, 0, 64) == b"%d\n" % os.getpid()
    with pytest.raises(BlockingIOError) as caught:
        RealDisk().lock(path)
    assert caught.value.filename == path
    code = "import sys; from kvd.storage.disk import RealDisk; RealDisk().lock(sys.argv[1])"
    command = [sys.executable, "-c", code, path]
    done = subprocess.run(command, check=False, capture_output=True, timeout=20)
    assert done.returncode != 0
    assert b"BlockingIOError" in done.stderr
    lock.release()
    lock.release()
    assert subprocess.run(command, check=False, timeout=20).returncode == 0


# -- the whole storage on it ------------------------------------------------------------


def opened(tmp_path, disk=None, **settings):
    worker = FakeWorker()
    opening: Deferred = open_storage(
        disk=disk or RealDisk(),
        worker=worker,
        settings=StorageSettings(data_folder=str(tmp_path / "d"), **settings),
        progress=print,
    )
    found = worker.finish(opening)
    if found.recovered.identity is None:
        worker.finish(found.persistence.initialise(IDENTITY))
    return found.persistence, found.recovered, worker


def test_a_storage_on_a_real_file_system(tmp_path):
    settings = {
        "segment_bytes": 3000,
        "snapshots_keep": 1,
        "wals_keep": 1,
        "wal_folder": str(tmp_path / "w"),
    }
    persistence, _, worker = opened(tmp_path, **settings)
    for index in range(1, 101):
        saving = persistence.save(state(commit=index), entries(index, index), None)
        worker.finish(saving)
    for index in (50, 90):
        writer = persistence.create_snapshot(meta_at(index))
        for _ in range(40):
            worker.finish(writer.write(b"z" * 65536))
        worker.finish(writer.commit())
    worker.finish(persistence.compact(90))
    with pytest.raises(StorageError, match=f"another kvd .process {os.getpid()}."):
        opened(tmp_path, **settings)
    worker.finish(persistence.close())
    persistence, recovered, worker = opened(tmp_path, **settings)
    assert recovered.snapshot == meta_at(90)
    assert recovered.entries == entries(91, 100)
    assert recovered.hard_state == state(commit=100)
    reader = worker.finish(persistence.open_snapshot())
    size = 0
    while piece := worker.finish(reader.read(1 << 22)):
        assert len(piece) <= 1 << 20
        size += len(piece)
    assert size == reader.size == 40 * 65536
    reader.close()
    assert worker.finish(persistence.free_bytes()) > 0
    worker.finish(persistence.close())
    assert len(os.listdir(tmp_path / "w")) < 5


def test_a_torn_end_of_a_real_file_is_cut(tmp_path):
    persistence, _, worker = opened(tmp_path)
    worker.finish(persistence.save(state(), entries(1, 5), None))
    worker.finish(persistence.close())
    (name,) = os.listdir(tmp_path / "d/member/wal")
    with open(tmp_path / "d/member/wal" / name, "ab") as file:
        file.write(b"\x17" * 777)
    persistence, recovered, worker = opened(tmp_path)
    assert recovered.entries == entries(1, 5)
    assert len(recovered.notes) == 1
    worker.finish(persistence.close())


def test_a_failing_sync_of_a_real_file_stops_the_storage(tmp_path, monkeypatch):
    persistence, _, worker = opened(tmp_path)
    worker.finish(persistence.save(state(), entries(1, 1), None))

    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        with pytest.raises(StorageError, match=r"wal at offset .*Input/output error"):
            worker.finish(persistence.save(None, entries(2, 2), None))
    with pytest.raises(StorageError, match="stopped before"):
        worker.finish(persistence.save(None, entries(2, 2), None))
    worker.finish(persistence.close())


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="Linux has a device that is always full"
)
def test_a_full_disk_is_an_error(disk):
    file = disk.append_to("/dev/full")
    with pytest.raises(OSError) as caught:
        file.append(b"x")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "/dev/full"
    file.close()
