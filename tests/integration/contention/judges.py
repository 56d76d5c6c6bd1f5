"""
Whether what the processes noted can be, if the recipes keep what they promise.

Each judge returns what it finds broken, one sentence for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import attrs

from tests.integration.contention.chronicle import Happened
from tests.integration.contention.record import Record


@attrs.frozen
class Hold:
    """
    Somebody believed to hold something.

    :ivar over: when that ended: it was told so, or released it, or was killed.
    :ivar why: as it was told; empty if it was killed first.
    """

    who: str
    token: int
    begun: float
    over: float
    why: str
    facts: dict


def holds(record: Record, of: str) -> list[Hold]:
    """All holds of one thing, by token."""
    ends = {
        (note.who, note["token"]): (note.at, note["why"])
        for note in record.of("over", of=of)
    }
    found = [
        Hold(
            note.who,
            note["token"],
            note.at,
            *ends.get((note.who, note["token"]), (record.end_of(note.who), "")),
            note.facts,
        )
        for note in record.of("held", of=of)
    ]
    return sorted(found, key=lambda hold: hold.token)


def at_once(record: Record, of: str) -> Iterator[str]:
    """Two who held it at one time, and the first one was run meanwhile."""
    found = holds(record, of)
    for place, first in enumerate(found):
        for second in found[place + 1 :]:
            if second.token == first.token:
                yield f"{of}: {first} and {second} have one token"
            elif record.awake(first.who, second.begun, first.over) > 0:
                yield f"{of}: {first} held it while {second} did"


def not_told(record: Record, of: str, ttl: float) -> Iterator[str]:
    """Those who slept longer than the key lives, and released it as if it were theirs."""
    for hold in holds(record, of):
        for stall in record.stalls_of(hold.who):
            asleep = min(stall.over, hold.over) - max(stall.begun, hold.begun)
            if asleep > ttl and hold.why == "it was released":
                yield f"{of}: {hold} slept through {stall} and did not notice"


def judge_turns(record: Record, of: str, ttl: float) -> list[str]:
    """
    A lock, or leading.

    No two who are run hold it at one time; tokens rise; who lost it is told.
    """
    problems = [*at_once(record, of), *not_told(record, of, ttl)]
    for hold in holds(record, of):
        if not hold.why and hold.who not in record.killed:
            problems.append(f"{of}: {hold} never ended")
    return problems


def leaders(history: Sequence[Happened], directory: str) -> list[int]:
    """The tokens of those who led in turn, 0 for nobody, by the cluster's history."""
    candidates: dict[str, int] = {}
    led = [0]
    for event in history:
        if event.key.rpartition("/")[0] != directory:
            continue
        if event.removed:
            candidates.pop(event.key, None)
        else:
            candidates[event.key] = event.created_index
        now = min(candidates.values(), default=0)
        if now != led[-1]:
            led.append(now)
    return led


def judge_observers(
    record: Record, history: Sequence[Happened], directory: str
) -> list[str]:
    """
    Each saw every leader from the one it began with, in the order of history, and by
    the name that the leader gave.
    """
    led = leaders(history, directory)
    names = {hold.token: hold.who for hold in holds(record, "election")}
    seen: dict[str, list[int]] = defaultdict(list)
    problems = []
    for note in record.of("saw"):
        token, name = note["token"], note["name"]
        seen[note.who].append(token)
        if name != names.get(token, name):
            problems.append(f"{note.who} saw {name}, and {names[token]} had {token}")
    return problems + [
        f"{who} saw {tokens}, there were {led}"
        for who, tokens in seen.items()
        if not any(
            led[begin : begin + len(tokens)] == tokens for begin in range(len(led))
        )
    ]


def judge_counter(record: Record, of: str, final: int) -> list[str]:
    """
    What was added is there; what may have been added may be, and nothing else.

    Who is told the number is told another one than everybody else, and a greater one
    than who was told before he asked.
    """
    added = record.count("added", of=of)
    unsure = record.count("adding", of=of) - added - record.count("not added", of=of)
    problems = []
    if not added <= final <= added + unsure:
        problems.append(f"{of}: {final} after {added} additions and {unsure} doubts")
    told: dict[int, str] = {}
    greatest = 0
    least: dict[str, int] = {}
    for note in record.of("adding", "added", of=of):
        if note.what == "adding":
            least[note.who] = greatest
        elif "number" in note.facts:
            number = note["number"]
            if number in told:
                problems.append(f"{of}: {number} for {note.who} and {told[number]}")
            if not least[note.who] < number <= final:
                problems.append(
                    f"{of}: {number} for {note.who} after {least[note.who]},"
                    f" {final} at the end"
                )
            told[number] = note.who
            greatest = max(greatest, number)
    return problems


def judge_barriers(record: Record) -> list[str]:
    """
    Nobody passes while it is blocked, everybody passes in the end.

    Blocked it is from when somebody knew that it was to when somebody asked for its
    release.
    """
    problems = []
    waiting: dict[str, tuple[str, int]] = {}
    blocked: dict[str, bool] = defaultdict(bool)
    releases: dict[str, int] = defaultdict(int)
    for note in record.of("blocked", "releasing", "waiting", "passed"):
        gate = note["gate"]
        if note.what == "blocked":
            blocked[gate] = True
        elif note.what == "releasing":
            blocked[gate] = False
            releases[gate] += 1
        elif note.what == "waiting":
            waiting[note.who] = (gate, releases[gate] if blocked[gate] else -1)
        else:
            _, since = waiting.pop(note.who)
            if since == releases[gate]:
                problems.append(f"{note.who} passed {gate} at {note.at}, it is blocked")
    for who, (gate, _) in waiting.items():
        if who not in record.killed:
            problems.append(f"{who} never passed {gate}")
    return problems


def judge_queue(
    record: Record,
    history: Sequence[Happened],
    directory: str,
    failed: dict[str, int],
    attempts_max: int,
) -> list[str]:
    """
    What was put is worked on, one at a time, and not any more once it is done.

    By history, items are claimed for the first time in the order in which they were
    put, and none is gone that nobody worked on.

    :param failed: what was set aside, with its attempts, which have to be too many.
    """
    problems = [
        f"{text} was set aside after {attempts} attempts"
        for text, attempts in failed.items()
        if attempts != attempts_max
    ]
    worked = {note["text"] for note in record.of("worked")} | set(failed)
    put = {note["text"] for note in record.of("put")}
    tried = {note["text"] for note in record.of("putting")}
    problems += [f"{text} was put, and never done" for text in put - worked]
    problems += [f"{text} was done, and never put" for text in worked - tried]
    done: dict[str, float] = {}
    for note in record.of("done"):
        done.setdefault(note["text"], note.at)
    for text in worked | put:
        of = f"item {text}"
        problems += at_once(record, of)
        attempts = [hold.facts["attempts"] for hold in holds(record, of)]
        if attempts != sorted(set(attempts)) or max(attempts, default=0) > attempts_max:
            problems.append(f"{text} was tried {attempts}")
        again = [
            each for each in holds(record, of) if each.begun > done.get(text, 1e99)
        ]
        if again:
            problems.append(f"{text} was done, and came again: {again}")
    return [*problems, *_in_order(history, directory, worked)]


def _in_order(
    history: Sequence[Happened], directory: str, worked: set[str]
) -> Iterator[str]:
    texts: dict[str, str] = {}
    claimed: dict[str, int] = {}
    for event in history:
        folder, _, name = event.key.rpartition("/")
        if folder == f"{directory}/items" and event.action == "create":
            texts[name] = (event.value or "").rpartition(" ")[2]
        elif folder == f"{directory}/items" and event.removed:
            if texts[name] not in worked:
                yield f"{texts[name]} is gone, and nobody worked on it"
        elif folder == f"{directory}/claims" and not event.removed:
            claimed.setdefault(name, len(claimed))
    if list(claimed) != sorted(claimed):
        yield f"claimed in the order {[texts[name] for name in claimed]}"


def judge_meetings(record: Record, size: int) -> list[str]:
    """
    Nobody is in before all of them have come, and nobody out before all are.

    Out is who has left, or was killed, or was told that he is taken to have left; one
    who slept is told late.
    """
    rounds: dict[int, list[Hold]] = defaultdict(list)
    for hold in holds(record, "meeting"):
        rounds[hold.facts["round"]].append(hold)
    problems = []
    for number, members in rounds.items():
        if len(members) > size:
            problems.append(f"{len(members)} met in round {number}")
        first = min(members, key=lambda hold: hold.begun)
        for hold in members:
            came = max(
                note.at
                for note in record.of("entering")
                if note.who == hold.who and note.at <= hold.begun
            )
            if came > first.begun:
                problems.append(f"{first} went on before {hold.who} came at {came}")
    for note in record.of("left"):
        problems += [
            f"{note.who} left {note['round']} at {note.at}, and {hold} did not"
            for hold in rounds[note["round"]]
            if record.awake(hold.who, note.at, hold.over) > 0
        ]
    return problems
