"""Virtual time, turned call by call and never for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutine

from twisted.internet.defer import Deferred

from kvd.testing.clock import Process, Timeline, Timer
from kvd.testing.memory.errors import TooManyTurns

_SHOWN_MAX = 5
_LOOKED_AT = 200  # of the last turns, when there are too many


def name_of(timer: Timer) -> str:
    """The function that it will call, as a program's author would know it."""
    function: object = timer.function
    process = timer.process
    if process is not None and function == process.run:
        function = timer.args[0]
    while isinstance(function, partial):
        function = function.func
    deferred = getattr(function, "__self__", None)
    if isinstance(deferred, Deferred):
        for coroutine in _awaiting(deferred):
            return place_of(coroutine)
    module = getattr(function, "__module__", "")
    name = getattr(function, "__qualname__", repr(function))
    return f"{module}.{name}" if module else name


def _awaiting(deferred: Deferred[object]) -> Iterator[object]:
    """Coroutines that go on when this fires, as far as Twisted lets us see."""
    own = vars(deferred)
    for pair in own.get("_callbacks", own.get("callbacks", ())):
        for _, arguments, *_ in pair:
            yield from filter(iscoroutine, arguments)


def place_of(coroutine: object) -> str:
    """Where it waits, from the outside to the inside."""
    places: list[str] = []
    while iscoroutine(coroutine) and coroutine.cr_frame is not None:
        frame = coroutine.cr_frame
        places.append(f"{frame.f_code.co_qualname} (line {frame.f_lineno})")
        coroutine = coroutine.cr_await
    return " > ".join(places) or "its end"


class Turning:
    """
    Runs a timeline, and nothing else at the same time.

    :param turns_max: calls in one second of virtual time.
    :param after_each: called after every call; may raise.
    """

    def __init__(
        self, timeline: Timeline, *, turns_max: int, after_each: Callable[[], None]
    ) -> None:
        self._timeline = timeline
        self._turns_max = turns_max
        self._after_each = after_each
        self._second = 0.0
        self._turns = 0
        self._running = False

    @property
    def is_running(self) -> bool:
        """Whether this is asked by something that it has called."""
        return self._running

    def run_while(self, condition: Callable[[], bool], until: float) -> bool:
        """
        Go on as long as this holds, at most until then; whether it ended before.

        :raises TooManyTurns:
        :raises RuntimeError: called by something that it has called.
        """
        timeline = self._timeline
        with self._alone():
            while condition():
                self._count()
                if not timeline.step(until):
                    timeline.now = max(timeline.now, until)
                    return not condition()
                self._after_each()
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._running:
            raise RuntimeError(
                "virtual time is passing already: what it calls cannot turn it"
            )
        self._running = True
        try:
            yield
        finally:
            self._running = False

    def _count(self) -> None:
        now = self._timeline.now
        if now >= self._second + 1:
            self._second, self._turns = now, 0
        self._turns += 1
        if self._turns > self._turns_max:
            self._turns = 0
            raise TooManyTurns(
                f"{self._turns_max} turns within a second of virtual time, at "
                f"{now:.3f} s; the next {_LOOKED_AT} were {self._look()}"
            )

    def _look(self) -> str:
        """Which calls come again and again."""
        calls: Counter[str] = Counter()
        for _ in range(_LOOKED_AT):
            pending = self._timeline.pending()
            if not pending:
                break
            calls[name_of(pending[0])] += 1
            self._timeline.step(pending[0].time)
        return ", ".join(
            f"{count} x {name}" for name, count in calls.most_common(_SHOWN_MAX)
        )


def waiting_calls(process: Process) -> list[str]:
    """What the program under test has put off, soonest first."""
    return [
        f"{name_of(timer)} in {timer.time - process.timeline.now:.3g} s"
        for timer in process.getDelayedCalls()
    ]
