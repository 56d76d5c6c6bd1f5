"""How findings are told, and what they make of the exit status."""

from __future__ import annotations

import json

import pytest

from kvd.kvctl.check.findings import as_json, as_text, exit_status, ok, problem, warning

GOOD = ok("quorum", "3 of 3")
ODD = warning("clock", "2 s apart", "NTP")
BAD = problem("disk", "on tmpfs", "a disk")


@pytest.mark.parametrize(
    ("findings", "status"), [([], 0), ([GOOD], 0), ([GOOD, ODD], 0), ([BAD, GOOD], 1)]
)
def test_a_problem_alone_fails_a_check(findings, status):
    assert exit_status(findings) == status


def test_what_to_do_stands_under_what_was_seen():
    assert as_text([GOOD, ODD, BAD]) == [
        "ok       quorum  3 of 3",
        "warning  clock   2 s apart",
        "                 -> NTP",
        "problem  disk    on tmpfs",
        "                 -> a disk",
        "1 ok, 1 warning, 1 problem",
    ]


def test_programs_get_json():
    assert json.loads(as_json([ODD])) == [
        {"level": "warning", "about": "clock", "seen": "2 s apart", "advice": "NTP"}
    ]


def test_what_a_member_says_does_not_reach_the_terminal_as_it_is():
    hostile = "\x1b[31m\x07\n"
    lines = as_text([problem("size", hostile, hostile)])
    assert all(line.isprintable() for line in lines)
