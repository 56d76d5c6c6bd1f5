"""How slow a disk may be, and which ones are none."""

from __future__ import annotations

import os

import pytest

from kvd.kvctl.check.disk import (
    PROBE_WRITES,
    Probed,
    check_folder,
    check_members_disks,
    judge_probe,
    kind_of,
    percentile_seconds,
    probe,
)
from kvd.kvctl.check.findings import Level
from tests.kvctl.looks import seen

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
proc /proc proc rw 0 0
/dev/sdb1 /srv/my\\040data xfs rw 0 0
server:/x /srv/net nfs4 rw 0 0
bad
tmpfs /srv/twice tmpfs rw 0 0
/dev/sdc1 /srv/twice ext4 rw 0 0
"""


class Ticks:
    """A clock on which every look takes as long as the test says."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.now = 0.0

    def __call__(self):
        self.now += self.seconds
        return self.now


def test_the_probe_writes_so_often_and_leaves_nothing(tmp_path):
    probed = probe(str(tmp_path), Ticks(0.001))
    assert len(probed.seconds) == PROBE_WRITES
    assert os.listdir(tmp_path) == []


def test_the_probe_ends_when_its_time_is_over(tmp_path):
    assert len(probe(str(tmp_path), Ticks(1.0)).seconds) < 5


def test_the_probe_leaves_nothing_when_it_fails(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(OSError, match="No space"):
        probe(str(tmp_path), Ticks(0.001))
    assert os.listdir(tmp_path) == []


def test_what_the_probe_calls_its_file_a_member_leaves_alone(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(os, "fdatasync", lambda _: names.extend(os.listdir(tmp_path)))
    probe(str(tmp_path), Ticks(0.001))
    assert all(name.endswith(".tmp") for name in names)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        probe(str(tmp_path / "none"), Ticks(0.001))


@pytest.mark.parametrize(
    ("slowest", "level"),
    [(0.002, Level.OK), (0.016, Level.OK), (0.05, Level.WARNING), (0.2, Level.PROBLEM)],
)
def test_the_slowest_of_a_hundred_decides(slowest, level):
    probed = Probed((0.001,) * 98 + (slowest, slowest))
    assert judge_probe("/srv", probed).level is level
    assert judge_probe("/srv", Probed((0.001,) * 99 + (slowest,))).level is Level.OK


def test_few_tries_are_judged_by_the_slowest():
    assert Probed((0.3,)).slowest_of_a_hundred == 0.3
    assert Probed((0.1, 0.3)).slowest_of_a_hundred == 0.3


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/run", "tmpfs"),
        ("/run/kvd", "tmpfs"),
        ("/runner", "ext4"),
        ("/srv/my data/kvd", "xfs"),
        ("/srv/twice/x", "ext4"),
    ],
)
def test_the_file_system_of_a_folder_is_found(folder, kind):
    assert kind_of(folder, MOUNTS) == kind
    assert kind_of(folder, "") == ""


@pytest.mark.parametrize(
    ("folder", "free", "levels"),
    [
        ("/var/lib/kvd", 1 << 40, []),
        ("/run/kvd", 1 << 40, [Level.PROBLEM]),
        ("/srv/net/kvd", 1 << 40, [Level.WARNING]),
        ("/var/lib/kvd", 1 << 20, [Level.WARNING]),
    ],
)
def test_memory_is_no_disk_and_a_network_a_slow_one(folder, free, levels):
    assert [each.level for each in check_folder(folder, MOUNTS, free)] == levels


def fsyncs(*counts):
    name = "etcd_disk_wal_fsync_duration_seconds_bucket"
    bounds = ("0.001", "0.016", "0.128", "+Inf")
    return {f"{name}{{le={b}}}": c for b, c in zip(bounds, counts, strict=True)}


@pytest.mark.parametrize(
    ("counts", "level", "words"),
    [
        ((99, 100, 100, 100), Level.OK, "1.0 ms"),
        ((0, 100, 100, 100), Level.OK, "16.0 ms"),
        ((0, 98, 100, 100), Level.PROBLEM, "128.0 ms"),
        ((0, 0, 0, 100), Level.PROBLEM, "more than 8 s"),
    ],
)
def test_what_members_measured_is_judged_by_its_bucket(counts, level, words):
    (finding,) = check_members_disks([seen("m1", metrics=fsyncs(*counts))])
    assert finding.level is level
    assert words in finding.seen


def test_a_member_that_has_not_synced_yet_is_not_judged():
    assert percentile_seconds(seen("m1"), 99) is None
    assert list(check_members_disks([seen("m1", metrics=fsyncs(0, 0, 0, 0))])) == []
