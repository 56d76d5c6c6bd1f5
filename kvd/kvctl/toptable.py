"""Rows of ``top``: what two looks at a member say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from kvd.kvctl.observing import Observation
from kvd.kvctl.tree import printable

NOTHING: Final = "-"
HEADINGS: Final = (
    "MEMBER",
    "STATE",
    "TERM",
    "APPLIED",
    "LAG",
    "READS/S",
    "WRITES/S",
    "WATCHES",
    "INDEX",
    "SNAPSHOT",
    "MEMORY",
    "NOTE",
)
NOTE: Final = len(HEADINGS) - 1
# Columns that go first where there is no room, the last of them first.
_DISPENSABLE: Final = ("MEMORY", "TERM", "WATCHES", "APPLIED", "INDEX", "SNAPSHOT")
_READS: Final = ("GET", "QGET", "HEAD")
_WRITES: Final = ("PUT", "POST", "DELETE")
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


@attrs.frozen
class Row:
    """
    :ivar cells: one for each heading.
    :ivar bad: the member cannot be asked, or says that it is not well.
    """

    cells: tuple[str, ...]
    bad: bool = False


def rows(
    now: Sequence[Observation], before: Mapping[str, Observation] | None = None
) -> list[Row]:
    """
    In the order of the members' names, harmless for a terminal.

    :param before: an earlier look at each, by id; None: there are no rates yet.
    """
    known = before or {}
    ordered = sorted(now, key=lambda each: (each.member.shown, each.member.member_id))
    found = [_row(each, now, known.get(each.member.member_id)) for each in ordered]
    return [Row(tuple(map(printable, each.cells)), each.bad) for each in found]


def lag_of(observed: Observation, all_of_them: Sequence[Observation]) -> int | None:
    """
    Entries that a member is behind the leader.

    The leader knows best; without one that tells, it is what somebody has committed and
    this member has not applied.
    """
    member_id = observed.member.member_id
    if observed.state == "leader":
        return 0
    for each in all_of_them:
        if each.state != "leader":
            continue
        own = each.labelled("kvd_follower_lag_entries", "To").get(member_id)
        if own is not None:
            return int(own)
        if member_id in each.lags:
            return each.lags[member_id]
    commits = [each.commit for each in all_of_them if each.commit is not None]
    if observed.applied is None or not commits:
        return None
    return max(0, max(commits) - observed.applied)


def _row(
    observed: Observation, now: Sequence[Observation], before: Observation | None
) -> Row:
    name = observed.member.shown
    if not observed.answers:
        state = "unreachable" if observed.member.started else "unstarted"
        middle = [NOTHING] * (len(HEADINGS) - 3)
        middle[2] = _number(lag_of(observed, now))
        return Row((name, state, *middle, observed.trouble), bad=True)
    return Row(
        (
            name,
            _state(observed),
            _number(observed.term),
            _number(observed.applied),
            _number(lag_of(observed, now)),
            _rate(observed, before, _READS),
            _rate(observed, before, _WRITES),
            _number(observed.whole("etcd_debugging_store_watchers")),
            _number(observed.whole("kvd_store_index")),
            in_bytes(observed.metric("kvd_snapshot_bytes")),
            in_bytes(observed.metric("process_resident_memory_bytes")),
            _note(observed),
        ),
        bad=observed.healthy is False,
    )


def _state(observed: Observation) -> str:
    if observed.metric("etcd_server_is_learner"):
        return "learner"
    return observed.state or NOTHING


def _note(observed: Observation) -> str:
    if observed.healthy is False:
        return "not healthy" if observed.leader else "not healthy: it knows no leader"
    if observed.metric("kvd_out_of_space"):
        return "out of space: writes are refused"
    return observed.trouble


def _rate(
    observed: Observation, before: Observation | None, methods: Sequence[str]
) -> str:
    if before is None:
        return NOTHING
    newer = observed.total("etcd_http_received_total", method=methods)
    older = before.total("etcd_http_received_total", method=methods)
    seconds = observed.at_seconds - before.at_seconds
    if newer is None or older is None or seconds <= 0 or newer < older:
        return NOTHING  # newer < older: it was started again meanwhile
    return f"{(newer - older) / seconds:.1f}"


def _number(value: int | None) -> str:
    return NOTHING if value is None else str(value)


def in_bytes(value: float | None) -> str:
    """With the unit that leaves three digits or four."""
    if value is None:
        return NOTHING
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return NOTHING


def fitting(found: Sequence[Row], width: int) -> list[int]:
    """
    The columns that have room beside each other, without the note.

    :param width: in characters; a blank stands between two columns.
    """
    columns = list(range(NOTE))
    widths = [
        max(len(HEADINGS[at]), *(len(row.cells[at]) for row in found), 0)
        for at in columns
    ]
    for heading in reversed(_DISPENSABLE):
        if sum(widths[at] + 1 for at in columns) - 1 <= width:
            break
        columns.remove(HEADINGS.index(heading))
    return columns


def notes(found: Sequence[Row]) -> list[str]:
    """What there is to be said of members, a line each."""
    return [f"{row.cells[0]}: {row.cells[NOTE]}" for row in found if row.cells[NOTE]]


def plain(found: Sequence[Row]) -> list[str]:
    """Columns under each other, without anything that a terminal would need."""
    table = [HEADINGS, *(row.cells for row in found)]
    widths = [max(len(cells[at]) for cells in table) for at in range(len(HEADINGS))]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(cells, widths, strict=True)
        ).rstrip()
        for cells in table
    ]
