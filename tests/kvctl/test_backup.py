"""kvctl backup: kvd backup under another name."""

import os

import pytest

from tests.kvctl.answering import run
from tests.storage.fakes import entries, state
from tests.storage.test_disk import opened


@pytest.fixture
def member(tmp_path):
    """A member that is at work in d."""
    persistence, _, worker = opened(tmp_path)
    worker.finish(persistence.save(state(commit=6), entries(1, 6), None))
    yield tmp_path
    worker.finish(persistence.close())


def test_a_member_is_backed_up(member):
    ended = run(
        f"backup --data-dir {member}/d --backup-dir={member}/b "
        f"--backup-wal-dir {member}/log --with-v3"
    )
    assert ended.status == 0
    assert "6 log entries" in ended.out
    assert "with-v3: there is no v3 data yet" in ended.err
    assert sorted(os.listdir(member)) == ["b", "d", "log"]


def test_folders_are_found_out_to_be_wrong_before_anything_is_written(tmp_path):
    ended = run(f"backup --backup-dir {tmp_path}/b --wal-dir {tmp_path}/w")
    assert (ended.status, ended.out) == (1, "")
    assert "data-dir: expected the data folder of the member" in ended.err
    ended = run(f"backup --data-dir {tmp_path}/d --backup-dir {tmp_path}/b")
    assert ended.status == 1
    assert f"data-dir: {tmp_path}/d" in ended.err
    assert os.listdir(tmp_path) == []
