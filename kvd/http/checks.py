"""Password checks: few at a time, a limited number waiting, in lanes that take turns."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from kvd.errors import Unavailable, UnavailableReason

_SUSPECTS_MAX = 4096  # addresses and users that had a wrong password lately
_T = TypeVar("_T")


class Threads(Protocol):
    """Where a call does not hold up the reactor."""

    def run(self, call: Callable[[], _T]) -> Deferred[_T]:
        """Fires in the reactor's thread, in a later turn."""
        ...


class Lane(NamedTuple):
    """Whose check it is: an address that asks, the name that it gives."""

    address: str
    user: str


class _Waiting(NamedTuple):
    call: Callable[[], Any]  # whatever the call returns
    answer: Deferred[Any]


class Checks:
    """
    Runs calls that take long, each of them somebody's.

    ::

        lanes of those who made no mistake  --+
                                              +--> running_max threads
        lanes of suspects                   --+   (only while no other lane waits)

    The lanes of each kind take turns. When there is no room, the newest of the lane
    that is worst makes way: a suspect's, then one of the address or user that has most.

    :param waiting_max: calls that wait at one time.
    """

    def __init__(self, *, threads: Threads, running_max: int, waiting_max: int) -> None:
        self._threads = threads
        self._running_max = running_max
        self._waiting_max = waiting_max
        self._running = 0
        self._waiting = 0
        self._lanes: OrderedDict[Lane, deque[_Waiting]] = OrderedDict()
        # How many of them each address and each name has.
        self._shares: Counter[tuple[str, str]] = Counter()
        self._suspects: OrderedDict[tuple[str, str], None] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting

    def run(self, call: Callable[[], _T], lane: Lane) -> Deferred[_T]:
        """
        Fires with what the call returned; cancelling takes back one that waits.

        :raises Unavailable: there is no room.
        """
        turned_away = None
        if self._waiting >= self._waiting_max:
            turned_away = self._make_room(lane)
            if turned_away is None:
                return fail(_no_room())

        def forget(_: Deferred[_T]) -> None:
            waiting = self._lanes.get(lane, ())
            for each in waiting:
                if each.answer is answer:
                    self._take(lane, each)
                    break

        answer: Deferred[_T] = Deferred(forget)
        self._lanes.setdefault(lane, deque()).append(_Waiting(call, answer))
        self._waiting += 1
        self._shares.update(_marks(lane))
        self._begin()
        if turned_away is not None:
            # Last: who is told may ask for something else at once.
            turned_away.answer.errback(_no_room())
        return answer

    def judged(self, lane: Lane, *, right: bool) -> None:
        """What came of a check; it decides who goes first from now on."""
        for mark in _marks(lane):
            self._suspects.pop(mark, None)
            if not right:
                self._suspects[mark] = None
        while len(self._suspects) > _SUSPECTS_MAX:
            self._suspects.popitem(last=False)

    def _suspected(self, lane: Lane) -> bool:
        return any(mark in self._suspects for mark in _marks(lane))

    def _begin(self) -> None:
        while self._running < self._running_max and self._lanes:
            lane = next(
                (each for each in self._lanes if not self._suspected(each)),
                next(iter(self._lanes)),
            )
            waiting = self._lanes[lane][0]
            self._take(lane, waiting)
            if lane in self._lanes:
                self._lanes.move_to_end(lane)
            self._running += 1
            self._threads.run(waiting.call).addBoth(self._ended, waiting.answer)

    def _ended(self, result: object, answer: Deferred[Any]) -> None:
        self._running -= 1
        if not answer.called:
            if isinstance(result, Failure):
                answer.errback(result)
            else:
                answer.callback(result)
        self._begin()

    def _take(self, lane: Lane, waiting: _Waiting) -> None:
        lane_of = self._lanes[lane]
        lane_of.remove(waiting)
        self._waiting -= 1
        for mark in _marks(lane):
            self._shares[mark] -= 1
            if not self._shares[mark]:
                del self._shares[mark]
        if not lane_of:
            del self._lanes[lane]

    def _rank(self, lane: Lane) -> tuple[bool, int]:
        """The higher, the sooner it makes way."""
        return self._suspected(lane), max(self._shares[mark] for mark in _marks(lane))

    def _make_room(self, lane: Lane) -> _Waiting | None:
        """Take one that waits from the others, unless the newcomer is no better."""
        suspected, share = self._rank(lane)
        if suspected and share + 1 >= max(self._shares.values()):
            return None  # no lane can be worse: a flood is not looked at lane by lane
        worst = max(self._lanes, key=self._rank)
        if self._rank(worst) <= (suspected, share + 1):
            return None
        waiting = self._lanes[worst][-1]
        self._take(worst, waiting)
        return waiting


def _marks(lane: Lane) -> tuple[tuple[str, str], tuple[str, str]]:
    """An address and a user of the same name are two suspects."""
    return ("address", lane.address), ("user", lane.user)


def _no_room() -> Unavailable:
    return Unavailable(UnavailableReason.TOO_MANY_REQUESTS, may_take_effect=False)
