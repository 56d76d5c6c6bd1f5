"""What a check found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import Enum

import attrs

from kvd.kvctl.tree import printable


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@attrs.frozen
class Finding:
    """
    :ivar about: the part that was looked at, one word.
    :ivar seen: what was found there.
    :ivar advice: what to do; empty if there is nothing to be done.
    """

    level: Level
    about: str
    seen: str
    advice: str = ""


def ok(about: str, seen: str) -> Finding:
    """Nothing to be done."""
    return Finding(Level.OK, about, seen)


def warning(about: str, seen: str, advice: str) -> Finding:
    """It works, but not as it should, or not for long."""
    return Finding(Level.WARNING, about, seen, advice)


def problem(about: str, seen: str, advice: str) -> Finding:
    """It does not work, or data is in danger."""
    return Finding(Level.PROBLEM, about, seen, advice)


def exit_status(findings: Iterable[Finding]) -> int:
    """1 if there is a problem, else 0: warnings alone do not fail a check."""
    return int(any(each.level is Level.PROBLEM for each in findings))


def as_text(findings: Sequence[Finding]) -> list[str]:
    """Lines for reading; what to do stands under what was seen, harmless for a terminal."""
    wide = max((len(each.about) for each in findings), default=0)
    lines: list[str] = []
    for each in findings:
        lines.append(
            f"{each.level.value:<8} {each.about:<{wide}}  {printable(each.seen)}"
        )
        if each.advice:
            lines.append(f"{'':<8} {'':<{wide}}  -> {printable(each.advice)}")
    counts = ", ".join(f"{_count(findings, level)} {level.value}" for level in Level)
    return [*lines, counts]


def as_json(findings: Sequence[Finding]) -> str:
    """One line."""
    return json.dumps(
        [
            {
                "level": each.level.value,
                "about": each.about,
                "seen": each.seen,
                "advice": each.advice,
            }
            for each in findings
        ],
        separators=(",", ":"),
    )


def _count(findings: Iterable[Finding], level: Level) -> int:
    return sum(each.level is level for each in findings)
