"""How long Python's garbage collector stops the process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

from kvd.histogram import Histogram, doubling

PAUSE_SECONDS = doubling(0.0005, 13)
_GENERATIONS = 3


class GcPauses:
    """
    Measured between the two calls that the collector makes around each collection.

    :ivar seconds: of each generation.
    """

    def __init__(self, seconds: Callable[[], float] = time.perf_counter) -> None:
        self._clock = seconds
        self._began = 0.0
        self.seconds = tuple(Histogram(PAUSE_SECONDS) for _ in range(_GENERATIONS))

    def begin(self) -> None:
        """Measure from now on, for the whole process."""
        gc.callbacks.append(self._told)

    def end(self) -> None:
        """Measure no more."""
        if self._told in gc.callbacks:
            gc.callbacks.remove(self._told)

    def _told(self, phase: str, info: Mapping[str, Any]) -> None:  # Any: gc's own
        if phase == "start":
            self._began = self._clock()
        else:
            self.seconds[info["generation"]].observe(self._clock() - self._began)
