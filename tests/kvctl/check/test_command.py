"""``check`` where nobody can be asked: it says so, and what it sees all the same."""

from __future__ import annotations

import json

import pytest

from kvd.kvctl.check import command
from tests.kvctl.conftest import typed

NOBODY = ("--endpoints", "http://127.0.0.1:1")


def found(*words):
    ended = typed("-o", "json", *words)
    assert ended.err == ""
    return ended.status, json.loads(ended.out)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--cert-file", "/none"), "KeyFile and CertFile must both be present"),
        (("--ca-file", "/none/such"), "open /none/such: no such file or directory"),
        (("--endpoints", "127.0.0.1:2"), "first path segment in URL"),
    ],
)
def test_flags_that_lead_nowhere_are_a_finding_beside_the_others(tmp_path, flags, said):
    status, findings = found(*flags, "check", "--data-dir", str(tmp_path))
    assert status == 1
    told = {each["about"]: each["seen"] for each in findings}
    assert said in told["flags"]
    assert "a write and its sync take" in told["disk"]


def test_each_endpoint_that_does_not_answer_is_told():
    status, findings = found(*NOBODY, "check")
    assert status == 1
    (told,) = [each["seen"] for each in findings]
    assert told == (
        "http://127.0.0.1:1 does not answer: dial tcp 127.0.0.1:1: connect: connection "
        "refused"
    )


def test_a_folder_that_is_to_be_made_is_judged_by_where_it_would_be(
    tmp_path, monkeypatch
):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nnone {tmp_path} tmpfs rw 0 0\n")
    monkeypatch.setattr(command, "MOUNTS", str(mounts))
    file = tmp_path / "kvd.yml"
    file.write_text(f"data-dir: {tmp_path}/not/there/yet\n")
    _, findings = found(*NOBODY, "check", "--config", str(file))
    (told,) = [each for each in findings if each["about"] == "disk"]
    assert "is on tmpfs" in told["seen"]
    assert told["level"] == "problem"


def test_without_json_it_is_for_reading():
    ended = typed(*NOBODY, "check")
    assert ended.status == 1
    assert ended.out.startswith("problem  quorum  http://127.0.0.1:1 does not answer")
    assert ended.out.endswith("0 ok, 0 warning, 1 problem\n")
