"""
Whether what those who follow have noted can be: lists, messages, configurations.

Each judge returns what it finds broken, one sentence for each.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import attrs

from tests.integration.contention.record import Note, Record

EXPIRED_SECONDS = 12.0
"""At most so long after its ttl a key is gone, and everybody who is awake knows it."""


def living(record: Record) -> set[str]:
    """Those who began and were not killed."""
    return {note.who for note in record.of("begun")} - set(record.killed)


# Registry


def lists_of(record: Record, of: str) -> dict[str, list[Note]]:
    """What each process was told, in that order."""
    lists: dict[str, list[Note]] = defaultdict(list)
    for note in record.of("list", of=of):
        lists[note.who].append(note)
    return lists


def converged(record: Record, of: str) -> bool:
    """Whether everybody's list was who is there, before the first one left."""
    alive = living(record)
    left = min((note.at for note in record.of("leaves", of=of)), default=math.inf)
    ends = {
        who: sorted(note["there"])
        for who, lists in lists_of(record, of).items()
        for note in lists
        if note.at < left
    }
    return all(ends.get(who) == sorted(alive) for who in alive)


def may_be_gone(record: Record, who: str, of: str, at: float) -> bool:
    """
    Whether somebody's key may have been gone, for all that he himself has noted.

    Who follows may hear of that late, when the key is already there again.
    """
    since = at - EXPIRED_SECONDS
    if who in record.killed and record.killed[who] <= at:
        return True
    if any(each.begun <= at and since <= each.over for each in record.stalls_of(who)):
        return True
    words = record.of("lost", "leaves", of=of)
    return any(note.who == who and since <= note.at <= at for note in words)


def judge_lists(record: Record, of: str, ttl: float) -> list[str]:
    """
    Who is dead leaves every list in time; who believes to be in it is.

    Told twice of the same list nobody is; at the end all lists are equal, and right.
    """
    problems = []
    for who, lists in lists_of(record, of).items():
        for before, after in pairwise(lists):
            if before["there"] == after["there"]:
                problems.append(f"{of}: {who} was told twice of {after}")
            problems += [
                f"{of}: {gone} is not in {after}, and does not know it"
                for gone in set(before["there"]) - set(after["there"])
                if not may_be_gone(record, gone, of, after.at)
            ]
        problems += _too_late(record, of, who, lists, ttl)
    if not converged(record, of):
        ends = {who: lists[-1] for who, lists in lists_of(record, of).items()}
        problems.append(f"{of}: there are {living(record)}, and the lists {ends}")
    return problems


def _too_late(
    record: Record, of: str, who: str, lists: list[Note], ttl: float
) -> Iterator[str]:
    """The dead who are in a list for longer than a key lives."""
    for place, note in enumerate(lists):
        later = lists[place + 1 : place + 2]
        over = later[0].at if later else record.end_of(who)
        for dead in record.killed.keys() & set(note["there"]):
            seen = record.awake(who, max(note.at, record.killed[dead]), over)
            if seen > ttl + EXPIRED_SECONDS:
                yield f"{of}: {dead} is dead, and {who} saw it for {seen} s"


# Topic


@attrs.define
class Heard:
    """One subscription, from its beginning to its end."""

    who: str
    of: str
    after: int
    offsets: list[int] = attrs.field(factory=list)
    missed: list[tuple[int, int]] = attrs.field(factory=list)
    reached: int = 0

    def was_told(self, offset: int) -> bool:
        """Of it, or that it may be gone."""
        return offset in self.offsets or any(
            after < offset < before for after, before in self.missed
        )


def subscriptions(record: Record, of: str, by: str | None = "") -> Iterator[Heard]:
    """All of a topic, by whom they were noted and when; durable ones by their name."""
    open_now: dict[tuple[str, str], Heard] = {}
    for note in record.of("listens", "heard", "missed", of=of):
        if by is not None and note["by"] != by:
            continue
        key = (note.who, note["by"])
        if note.what == "listens":
            if key in open_now:
                yield open_now[key]
            after = note["after"]
            open_now[key] = Heard(note.who, of, after, reached=after)
        elif note.what == "heard":
            open_now[key].offsets.append(note["offset"])
            open_now[key].reached = note["offset"]
        else:
            open_now[key].missed.append((note["after"], note["before"]))
            open_now[key].reached = note["before"] - 1
    yield from open_now.values()


def said(record: Record, of: str) -> dict[int, str]:
    """What is known to have been published, by offset."""
    return {note["offset"]: note["text"] for note in record.of("said", of=of)}


def all_heard(record: Record, of: str, names: set[str]) -> bool:
    """Whether everybody, and every name, has heard what was said last."""
    last = max(said(record, of), default=0)
    reached: dict[str, int] = defaultdict(int)
    for each in subscriptions(record, of):
        reached[each.who] = max(reached[each.who], each.reached)
    for name in names:
        for each in subscriptions(record, of, name):
            reached[name] = max(reached[name], each.reached)
    return all(reached[who] >= last for who in living(record) | names)


def judge_messages(record: Record, of: str) -> list[str]:
    """
    Every subscription hears all that was published after it began, once and in order,
    but for what it is told that it may have missed; and nothing that nobody said.
    """
    known = said(record, of)
    tried = {note["text"] for note in record.of("saying", of=of)}
    problems = [
        f"{of}: {note} was not said"
        for note in record.of("heard", of=of)
        if note["text"] not in tried
        or known.get(note["offset"], note["text"]) != note["text"]
    ]
    for each in subscriptions(record, of, None):
        if each.offsets != sorted(set(each.offsets)):
            problems.append(f"{of}: {each.who} heard {each.offsets}")
        skipped = [
            offset
            for offset in known
            if each.after < offset <= each.reached and not each.was_told(offset)
        ]
        if skipped and each.after:
            problems.append(f"{of}: {each.who} did not hear {sorted(skipped)}")
        problems += _skipped_since_oldest(each, skipped)
    return problems


def _skipped_since_oldest(each: Heard, skipped: list[int]) -> Iterator[str]:
    """One that began with the oldest that were kept hears all from the first one on."""
    first = min(each.offsets, default=0)
    late = [offset for offset in skipped if offset > first]
    if not each.after and late:
        yield f"{each.of}: {each.who} did not hear {late}"


def judge_nothing_missed(record: Record, of: str) -> list[str]:
    """Where nothing is removed nobody is told so, once there is something."""
    first = min(said(record, of), default=0)
    return [
        f"{of}: {note} though nothing was removed"
        for note in record.of("missed", of=of)
        if note["after"] >= first
    ]


def judge_durable(record: Record, of: str, name: str) -> list[str]:
    """
    Whoever has this name goes on where one before said that it was done: not later,
    and not before what is known to be saved.
    """
    problems = []
    finishing = finished = None
    for note in record.of("listens", "finishing", "finished", by=name):
        if note.what == "finishing":
            finishing = note["position"]
        elif note.what == "finished":
            finished = note["position"]
        elif finishing is not None and note["after"] > finishing:
            problems.append(f"{of}: {name} skips from {finishing} to {note['after']}")
        elif finished is not None and note["after"] < finished:
            problems.append(f"{of}: {name} goes back from {finished} in {note}")
    heard = list(subscriptions(record, of, name))
    offsets = {offset for each in heard for offset in each.offsets}
    if heard:
        reached = max(each.reached for each in heard)
        begun = min(each.after for each in heard)
        problems += [
            f"{of}: {name} never heard {offset}"
            for offset in said(record, of)
            if begun < offset <= reached and offset not in offsets
        ]
    return problems


# Configuration


def judge_config(record: Record) -> list[str]:
    """Indexes go up; all values of a state are those of its index."""
    writes: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
    doubts: dict[str, Counter[str | None]] = defaultdict(Counter)
    for note in record.of("setting"):
        doubts[note["key"]][note["value"]] += 1
    for note in record.of("set"):
        writes[note["key"]].append((note["index"], note["value"]))
        doubts[note["key"]][note["value"]] -= 1
    for each in writes.values():
        each.sort(key=lambda write: write[0])
    problems = []
    last: dict[str, int] = {}
    for note in record.of("config"):
        if note["index"] <= last.get(note.who, -1):
            problems.append(f"{note.who} went from {last[note.who]} to {note['index']}")
        last[note.who] = note["index"]
        for key in writes.keys() | note["values"].keys():
            done = [value for at, value in writes[key] if at <= note["index"]]
            # Of what may have been done, nobody knows when.
            right = {done[-1] if done else None, *+doubts[key]}
            if note["values"].get(key) not in right:
                problems.append(f"{note.who} saw {key} as none of {right} in {note}")
    return problems


def last_config(record: Record, who: str) -> dict[str, str]:
    """The state that somebody was told of last."""
    return [note for note in record.of("config") if note.who == who][-1]["values"]


def config_reached(record: Record) -> bool:
    """Whether everybody's state is as new as the last write that is known."""
    newest = max(
        (note["index"] for note in record.of("set") if note["value"]), default=0
    )
    reached = {note.who: note["index"] for note in record.of("config reached")}
    return all(reached.get(who, -1) >= newest for who in living(record))
