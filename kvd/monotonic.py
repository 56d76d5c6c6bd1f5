"""Time that does not go back, for a whole reactor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all
# Linux has one that, other than ``time.monotonic``, goes on while the machine sleeps.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _since_boot() -> float:
    return time.clock_gettime(_CLOCK)


def use_monotonic_clock(
    reactor: Reactor, monotonic: Callable[[], float] = _since_boot
) -> None:
    """
    Let the reactor measure time by a clock that nobody sets.

    Twisted takes the wall clock: set back by two minutes, it fires nothing for two
    minutes (twisted #2424), no heartbeat, no election, and no word to who holds a lock
    that it is lost. Nor may a machine that slept believe that no time has passed. What
    is scheduled already keeps its remaining time; a second call does nothing.

    :param reactor: one of Twisted's own.
    :param monotonic: seconds from wherever.

    .. versionadded:: 0.1
    """
    before = reactor.seconds
    if before is monotonic:
        return
    waiting = [(call, call.getTime() - before()) for call in reactor.getDelayedCalls()]
    reactor.seconds = monotonic
    for call, remaining in waiting:
        call.seconds = monotonic
        # A time in the far past of either clock, so that reset moves it for certain.
        call.time, call.delayed_time = float("inf"), 0.0
        call.reset(max(remaining, 0.0))
