"""What is to go wrong with the next requests."""

from __future__ import annotations

from enum import Enum

import attrs

PLANNED_MAX = 10_000


class Kind(Enum):
    """What becomes of a request."""

    FAIL = "fail"
    LOSE_REQUEST = "lose the request"
    LOSE_ANSWER = "lose the answer"
    DELAY = "delay"


@attrs.define(eq=False)
class Planned:
    """
    One fault, for the next ``count`` requests that it is for.

    :ivar member: whose; empty: any one's.
    :ivar method: of HTTP; None: any.
    :ivar path: of the URL; None: any.
    :ivar met: whether there was one already.
    """

    kind: Kind
    member: str
    count: int
    method: str | None
    path: str | None
    seconds: float = 0.0
    status: int = 500
    met: bool = False

    def concerns(self, member: str, method: str, path: str) -> bool:
        return (
            self.member in {"", member}
            and self.method in {None, method}
            and self.path in {None, path}
        )

    def __str__(self) -> str:
        what = " ".join(each for each in (self.method, self.path) if each)
        where = f" to {self.member}" if self.member else ""
        return f"{self.kind.value} {self.count} x {what or 'any request'}{where}"


class Plan:
    """All of them, the oldest first."""

    def __init__(self) -> None:
        self.planned: list[Planned] = []

    def add(self, planned: Planned) -> None:
        """:raises ValueError: there is no such count, or there are too many already."""
        if planned.count < 1:
            raise ValueError(f"{planned.count} requests are none")
        if planned.seconds < 0:
            raise ValueError(f"{planned.seconds} s is in the past")
        if len(self.planned) >= PLANNED_MAX:
            raise ValueError(f"{PLANNED_MAX} faults are planned already")
        self.planned.append(planned)

    def take(self, member: str, method: str, path: str) -> Planned | None:
        """What becomes of this request; None: nothing in particular."""
        for place, planned in enumerate(self.planned):
            if planned.concerns(member, method, path):
                planned.met = True
                planned.count -= 1
                if not planned.count:
                    del self.planned[place]
                return planned
        return None


class Faults:
    """
    Faults of single requests, of one member or of whichever is asked next.

    Each is for the next ``count`` requests; with a ``method`` (of HTTP) or a ``key``, for
    those that have it. A watch asks with GET, too.
    """

    _plan: Plan
    _faulty = ""  # the member's name; empty: any one's

    def fail_next(
        self,
        count: int = 1,
        *,
        status: int = 500,
        method: str | None = None,
        key: str | None = None,
    ) -> None:
        """Answer with this status, from 500 to 599, and do nothing."""
        if not 500 <= status <= 599:
            raise ValueError(f"{status} is not the status of a server that fails")
        self._next(Kind.FAIL, count, method, key, status=status)

    def lose_next_request(
        self, count: int = 1, *, method: str | None = None, key: str | None = None
    ) -> None:
        """Break the connection when it arrives, and do nothing."""
        self._next(Kind.LOSE_REQUEST, count, method, key)

    def lose_next_answer(
        self, count: int = 1, *, method: str | None = None, key: str | None = None
    ) -> None:
        """Do what is asked, and break the connection instead of saying so."""
        self._next(Kind.LOSE_ANSWER, count, method, key)

    def delay_next(
        self,
        seconds: float,
        count: int = 1,
        *,
        method: str | None = None,
        key: str | None = None,
    ) -> None:
        """Take it up so much later; not at all if its sender is gone by then."""
        self._next(Kind.DELAY, count, method, key, seconds=seconds)

    def _next(
        self,
        kind: Kind,
        count: int,
        method: str | None,
        key: str | None,
        *,
        seconds: float = 0.0,
        status: int = 500,
    ) -> None:
        path = None if key is None else "/v2/keys/" + key.strip("/")
        self._plan.add(
            Planned(kind, self._faulty, count, method, path, seconds, status)
        )
