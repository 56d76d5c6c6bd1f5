"""How far members' clocks are from each other, as far as ``Date`` tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import attrs

from kvd.kvctl.check.findings import Finding, ok, problem, warning

ABOUT: Final = "clock"
NOTABLE_SECONDS: Final = 0.5
BAD_SECONDS: Final = 5.0


@attrs.frozen
class Glimpse:
    """
    One answer's ``Date``: whole seconds, so its clock stood there or up to one later.

    :ivar asked: our clock when the request left.
    :ivar answered: our clock when the answer was here.
    """

    asked: float
    answered: float
    date: float


@attrs.frozen
class Between:
    """A clock is ahead of ours by something between these, in seconds."""

    least: float
    most: float

    def minus(self, other: Between) -> Between:
        """How far this clock is ahead of the other one."""
        return Between(self.least - other.most, self.most - other.least)

    @property
    def certainly(self) -> float:
        """It is off by this at least, whichever way."""
        return max(0.0, self.least, -self.most)


def date_of(headers: Mapping[str, str]) -> float | None:
    """The time of an answer; None if it has none that can be read."""
    found = {name.lower(): text for name, text in headers.items()}.get("date")
    try:
        return None if found is None else parsedate_to_datetime(found).timestamp()
    except (ValueError, TypeError):
        return None


def ahead(glimpses: Sequence[Glimpse]) -> Between | None:
    """
    What several answers of one member say together; the more, the closer.

    None if they contradict each other, or there is none: somebody set a clock.
    """
    if not glimpses:
        return None
    least = max(each.date - each.answered for each in glimpses)
    most = min(each.date + 1 - each.asked for each in glimpses)
    return Between(least, most) if least <= most else None


def check_clocks(members: Mapping[str, Sequence[Glimpse]]) -> Iterator[Finding]:
    """
    Compare them with ours and with each other.

    :param members: what was seen of each, by name.
    """
    known: dict[str, Between] = {}
    for name, glimpses in members.items():
        found = ahead(glimpses)
        if found is not None:
            known[name] = found
        elif glimpses:
            yield warning(
                ABOUT,
                f"{name}: its clock or ours was set while we looked",
                "keep clocks in step with NTP, which does not set them in steps",
            )
    apart = [
        (name, other, known[name].minus(known[other]))
        for number, name in enumerate(known)
        for other in list(known)[:number]
    ]
    worst = max(apart, key=lambda each: each[2].certainly, default=None)
    if worst is not None:
        yield _judged("members'", f"{worst[0]} and {worst[1]} are", worst[2], known)
    if known:
        name, ours = max(known.items(), key=lambda each: each[1].certainly)
        yield _judged("this machine's", f"{name} and this machine are", ours, known)


def _judged(
    whose: str, who: str, between: Between, known: Mapping[str, Between]
) -> Finding:
    exact = max(each.most - each.least for each in known.values()) / 2
    bound = f"seen to within {exact:.1f} s"
    if between.certainly >= NOTABLE_SECONDS:
        seen = f"{who} {between.certainly:.1f} s apart or more ({bound})"
        advice = "let NTP keep their clocks; a time to live is as wrong as the leader's"
        judge = problem if between.certainly >= BAD_SECONDS else warning
        return judge(ABOUT, seen, advice)
    return ok(ABOUT, f"{whose} clocks show no difference ({bound})")
