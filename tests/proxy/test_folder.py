"""What a proxy keeps on its disk."""

from __future__ import annotations

from random import Random

import pytest

from kvd.errors import StorageError
from kvd.proxy.documents import encode_peer_urls
from kvd.proxy.folder import ProxyFolder
from kvd.storage.disk import RealDisk
from kvd.testing.clock import SimulatedCrash
from kvd.testing.disk import SimulatedDisk

URLS = ("http://p1:2380", "http://p2:2380")
PATH = "/data/proxy/cluster"


@pytest.fixture
def disk():
    return SimulatedDisk(Random(1))


def opened(disk):
    folder = ProxyFolder(disk, "/data")
    return folder, folder.open()


def test_a_new_folder_is_made_and_has_no_peers(disk):
    _, urls = opened(disk)
    assert urls == ()
    assert disk.list("/data") == ["lock", "proxy"]
    assert disk.list("/data/proxy") == []


def test_what_was_written_is_there_at_the_next_start(disk):
    folder, _ = opened(disk)
    folder.write(URLS[:1])
    folder.write(URLS)
    folder.release()
    assert opened(disk)[1] == URLS
    assert disk.read(PATH, 0, 1000) == encode_peer_urls(URLS)


def test_nobody_else_may_read_it(tmp_path):
    folder = ProxyFolder(RealDisk(), str(tmp_path / "data"))
    folder.open()
    folder.write(URLS)
    folder.release()
    assert (tmp_path / "data" / "proxy" / "cluster").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data" / "proxy").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("seed", range(20))
def test_after_a_power_cut_there_is_the_old_one_or_the_new_one(seed):
    step, finished = 0, False
    while not finished:
        disk = SimulatedDisk(Random(seed))
        folder, _ = opened(disk)
        folder.write(URLS[:1])
        disk.crash_after = step
        try:
            folder.write(URLS)
        except SimulatedCrash:
            step += 1
        else:
            finished = True
        disk.power_cut()
        assert opened(disk)[1] in ({URLS} if finished else {URLS[:1], URLS})
    assert step > 3


def test_what_a_crash_left_is_written_over(disk):
    folder, _ = opened(disk)
    disk.create(f"{PATH}.tmp").close()
    folder.write(URLS)
    assert disk.list("/data/proxy") == ["cluster"]


def test_data_dir_lock(disk):
    # S16: a proxy, like a member, keeps every other kvd out.
    folder, _ = opened(disk)
    with pytest.raises(StorageError, match="another kvd"):
        opened(disk)
    folder.release()
    folder.release()
    opened(disk)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"PeerURLs":["x"]}', b" " * (1 << 21)])
def test_a_file_that_cannot_be_read_is_named_and_locks_nobody_out(disk, data):
    folder, _ = opened(disk)
    folder.release()
    file = disk.create(PATH)
    file.append(data)
    file.close()
    with pytest.raises(StorageError, match="begins anew") as caught:
        opened(disk)
    assert caught.value.path == PATH
    disk.remove(PATH)
    assert opened(disk)[1] == ()


def test_a_disk_that_says_no_is_an_error_of_ours(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError, match="data"):
        ProxyFolder(RealDisk(), str(tmp_path / "data")).open()
    folder = ProxyFolder(RealDisk(), str(tmp_path / "other"))
    folder.open()
    (tmp_path / "other" / "proxy").rmdir()
    with pytest.raises(StorageError, match="cluster"):
        folder.write(URLS)
    folder.release()
