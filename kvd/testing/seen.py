"""What a server did, in a form that can be compared: times, ids and lengths aside."""

from __future__ import annotations

import json
import re
from typing import NamedTuple, cast

from kvd.testing.wire import Answer

TTL_SLACK_SECONDS = 2.0

EXPIRATION = re.compile(
    rb'"expiration":"(-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d)((?:\.\d{0,8}[1-9])?)Z"'
)
_TTL = re.compile(rb'"ttl":(-?[1-9]\d*)')
_START_TIME = re.compile(rb'"startTime":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*[^"]*"')
_UPTIME = re.compile(rb'"uptime":"[0-9hm.]+(?:s|ms|\xc2\xb5s)"')
_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")
LENGTH = re.compile(r"Content-Length: \d+")
_POSITIVE = re.compile(r"[1-9]\d*")


class Seen(NamedTuple):
    """
    What one server did, comparable.

    :ivar numbers: times in seconds from the request, and ttls; compared with slack.
    """

    text: str
    numbers: tuple[float, ...] = ()


def epoch_seconds(stamp: bytes, fraction: bytes) -> float:
    year, rest = stamp.decode().rsplit("-", 2)[0], stamp.decode()
    month, day = int(rest[len(year) + 1 :][:2]), int(rest[len(year) + 4 :][:2])
    clock = rest.rpartition("T")[2].split(":")
    days = _days_from_civil(int(year), month, day)
    seconds = int(clock[0]) * 3600 + int(clock[1]) * 60 + int(clock[2])
    return days * 86400 + seconds + float(b"0" + fraction)


def _days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (any year)."""
    year -= month <= 2
    of_era = year % 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return (
        (year // 400) * 146097
        + of_era * 365
        + of_era // 4
        - of_era // 100
        + of_year
        - 719468
    )


def _sort_nodes(node: dict[str, object]) -> None:
    children = cast("list[dict[str, object]]", node.get("nodes", []))
    children.sort(key=lambda child: str(child.get("key")))
    for child in children:
        _sort_nodes(child)


def normal_body(
    body: bytes, now: float, *, sorted_nodes: bool = True
) -> tuple[str, tuple[float, ...]]:
    """The body without what may differ, and the numbers taken out of it."""
    numbers: list[float] = []

    def expiration(found: re.Match[bytes]) -> bytes:
        numbers.append(epoch_seconds(found[1], found[2]) - now)
        return b'"expiration":"<time>"'

    def ttl(found: re.Match[bytes]) -> bytes:
        numbers.append(float(found[1]))
        return b'"ttl":"<seconds>"'

    body = _TTL.sub(ttl, EXPIRATION.sub(expiration, body))
    body = _START_TIME.sub(b'"startTime":"<time>"', body)
    body = _UPTIME.sub(b'"uptime":"<duration>"', body)
    text = body.decode("utf-8", "backslashreplace")
    if not sorted_nodes and '"nodes":[' in text:
        # Times were taken out in wire order: in an unsorted listing pair them by size.
        numbers.sort()
        parsed = json.loads(text)
        _sort_nodes(parsed["node"])
        text = json.dumps(parsed, separators=(",", ":"), ensure_ascii=False) + (
            "\n" if text.endswith("\n") else ""
        )
    return text, tuple(numbers)


def _normal_header(name: str, value: str, *, moving: bool) -> str:
    if name == "Content-Length" and moving:
        value = "<length>"
    if name == "Date" and _DATE.fullmatch(value):
        value = "<date>"
    if name in {"X-Raft-Index", "X-Raft-Term"} and _POSITIVE.fullmatch(value):
        value = "<number>"
    return f"{name}: {value}"


def seen_answer(answer: Answer, now: float, *, sorted_nodes: bool) -> Seen:
    """A whole answer or, without a body, a head."""
    body, numbers = normal_body(answer.body, now, sorted_nodes=sorted_nodes)
    moving = b"Time" in answer.body or bool(numbers)  # a time's length changes
    lines = [
        answer.status,
        *(_normal_header(*header, moving=moving) for header in answer.headers),
        f"({answer.framing}{'' if answer.complete else ', not complete'})",
        body,
    ]
    return Seen("\n".join(lines), numbers)


def differs(oracle: Seen, subject: Seen) -> str:
    """Why the two are not the same; empty when they are."""
    if oracle.text != subject.text:
        return f"--- etcd\n{oracle.text}\n--- kvd\n{subject.text}"
    for expected, got in zip(oracle.numbers, subject.numbers, strict=True):
        # A huge time is a float that has lost its seconds.
        if abs(expected - got) > TTL_SLACK_SECONDS + abs(expected) * 1e-9:
            return f"{oracle.text}\n--- etcd {expected} --- kvd {got}"
    return ""
