"""Simulated time: one timeline for all, and for each member a clock of its own."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, TypeAlias

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

_Function: TypeAlias = Callable[..., object]

_LATE_SECONDS = 1e-6

_PENDING, _CALLED, _CANCELLED = range(3)


class SimulatedCrash(BaseException):
    """
    The power goes in the middle of a call; nothing after it happens.

    Not an ``Exception``, so that no ``except`` of the member survives it.
    """


@implementer(IDelayedCall)
class Timer:
    """
    A call on the timeline; also what a member gets from ``callLater``.

    :ivar asked_seconds: how long it was to wait, as ``callLater`` was asked; None: it
        was not that, but a message, or the work of a disk.
    """

    __slots__ = (
        "_timeline",
        "args",
        "asked_seconds",
        "function",
        "kwargs",
        "process",
        "sequence",
        "state",
        "time",
    )

    def __init__(
        self,
        timeline: Timeline,
        time: float,
        function: _Function,
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> None:
        self._timeline = timeline
        self.time = time
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.process: Process | None = None
        self.asked_seconds: float | None = None
        self.sequence = 0
        self.state = _PENDING

    def active(self) -> bool:
        return self.state == _PENDING

    def cancel(self) -> None:
        self._check()
        self.state = _CANCELLED

    def getTime(self) -> float:
        return self.time

    def reset(self, secondsFromNow: float) -> None:
        self._check()
        self.time = self._timeline.now + secondsFromNow
        self._timeline.push(self)

    def delay(self, secondsLater: float) -> None:
        self._check()
        self.time += secondsLater
        self._timeline.push(self)

    def _check(self) -> None:
        if self.state == _CANCELLED:
            raise AlreadyCancelled
        if self.state == _CALLED:
            raise AlreadyCalled


class Timeline:
    """
    True time, in seconds from the start of the simulation, and all that will happen.

    Calls of the same moment run in the order in which they were asked for.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0

    def after(
        self,
        seconds: float,
        function: _Function,
        *args: object,
        **kwargs: object,
    ) -> Timer:
        timer = Timer(self, self.now + seconds, function, args, kwargs)
        self.push(timer)
        return timer

    def push(self, timer: Timer) -> None:
        """(Re)place a timer; an older place of the same timer no longer counts."""
        self._sequence = timer.sequence = self._sequence + 1
        heapq.heappush(self._heap, (timer.time, timer.sequence, timer))

    def step(self, until: float) -> bool:
        """Run the next call not later than ``until``; False if there is none."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            time, sequence, timer = heapq.heappop(heap)
            if timer.state != _PENDING or timer.sequence != sequence:
                continue
            process = timer.process
            if process is not None and process.paused:
                process.hold(timer)
                continue
            self.now = time
            timer.state = _CALLED
            timer.function(*timer.args, **timer.kwargs)
            return True
        return False

    def run(self, until: float) -> None:
        """Run everything up to a moment, and be there."""
        while self.step(until):
            pass
        self.now = max(self.now, until)

    def run_while(self, condition: Callable[[], bool], until: float) -> bool:
        """Run as long as a condition holds; False if it still holds at ``until``."""
        while condition():
            if not self.step(until):
                self.now = max(self.now, until)
                return not condition()
        return True

    def is_moving(self) -> bool:
        """Whether there is more to come than calls that were to wait."""
        # What comes soon is near the beginning, so this mostly ends early.
        return any(
            timer.state == _PENDING
            and timer.sequence == sequence
            and not timer.asked_seconds
            and (timer.process is None or timer.process.runs)
            for _, sequence, timer in self._heap
        )

    def pending(self) -> tuple[Timer, ...]:
        return tuple(
            timer
            for _, sequence, timer in sorted(self._heap)
            if timer.state == _PENDING and timer.sequence == sequence
        )


class MachineClock:
    """
    A machine's idea of time; it outlives the processes on it.

    :ivar rate: this machine's seconds in one true second.
    """

    def __init__(self, timeline: Timeline, *, epoch_ns: int) -> None:
        self._timeline = timeline
        self._since = 0.0
        self._seconds = 0.0
        self._epoch_ns = epoch_ns
        self.rate = 1.0

    def seconds(self) -> float:
        """Monotonic, as Linux's: drifts, never steps."""
        return self._seconds + (self._timeline.now - self._since) * self.rate

    def wall_time_ns(self) -> int:
        """Drifts, and steps when somebody sets it."""
        return self._epoch_ns + int(self.seconds() * 1_000_000_000)

    def set_rate(self, rate: float) -> None:
        self._seconds = self.seconds()
        self._since = self._timeline.now
        self.rate = rate

    def step_wall(self, seconds: float) -> None:
        self._epoch_ns += int(seconds * 1_000_000_000)

    def correct(self, epoch_ns: int) -> None:
        """Both right from now on: no drift, and the wall clock shows true time."""
        self.set_rate(1.0)
        error = self._timeline.now - self.seconds()
        self._epoch_ns = epoch_ns + int(error * 1_000_000_000)


@implementer(IReactorTime)
class Process:
    """
    One run of a member on its machine: the reactor's clock as the member sees it.

    A call is dropped when the process is gone, and waits while it is stopped
    (SIGSTOP, or a pause of the garbage collector).

    :param crashed: told when a call ran into :class:`SimulatedCrash`.
    :param turned: told after each call, when everything is at rest again.
    """

    def __init__(
        self,
        timeline: Timeline,
        machine: MachineClock,
        *,
        crashed: Callable[[], object],
        turned: Callable[[], object] = lambda: None,
    ) -> None:
        self.timeline = timeline
        self.machine = machine
        self.alive = True
        self.paused = False
        self._crashed = crashed
        self._turned = turned
        self._held: list[tuple[Timer, int]] = []

    @property
    def runs(self) -> bool:
        """Whether anything can happen in it."""
        return self.alive and not self.paused

    def seconds(self) -> float:
        return self.machine.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002 -- Twisted's name; Any: as Twisted has it
        *args: object,
        **kwargs: object,
    ) -> Timer:
        # Never early, as in a real reactor: a LoopingCall that is woken a rounding
        # error too soon would run twice, or for ever.
        seconds = delay / self.machine.rate + _LATE_SECONDS if delay else 0.0
        timer = self.after(seconds, callable, *args, **kwargs)
        timer.asked_seconds = delay
        return timer

    def getDelayedCalls(self) -> tuple[Timer, ...]:
        return tuple(
            timer for timer in self.timeline.pending() if timer.function == self.run
        )

    def after(
        self,
        seconds: float,
        function: _Function,
        *args: object,
        **kwargs: object,
    ) -> Timer:
        """As callLater, in true seconds."""
        timeline = self.timeline
        timer = Timer(
            timeline, timeline.now + seconds, self.run, (function, *args), kwargs
        )
        timer.process = self
        timeline.push(timer)
        return timer

    def run(
        self,
        function: _Function,
        *args: object,
        **kwargs: object,
    ) -> None:
        """Call now, or when the process goes on, or never."""
        if not self.alive:
            return
        if self.paused:
            self.after(0, function, *args, **kwargs)
            return
        try:
            function(*args, **kwargs)
        except SimulatedCrash:
            self._crashed()
        else:
            self._turned()

    def pause(self) -> None:
        self.paused = True

    def hold(self, timer: Timer) -> None:
        """A timer that came due while the process is paused; it is still active."""
        self._held.append((timer, timer.sequence))

    def resume(self) -> None:
        """Everything that came due meanwhile happens now, in its order."""
        self.paused = False
        held, self._held = self._held, []
        for timer, sequence in held:
            if timer.active() and timer.sequence == sequence:
                timer.reset(0)

    def end(self) -> None:
        self.alive = False
        self.paused = False
        self._held.clear()
