"""The process as those who ask a member about it are told."""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence

import attrs

from kvd.histogram import Histogram
from kvd.storage.busyness import Busyness

_SECOND_NS = 1_000_000_000


@attrs.frozen(kw_only=True)
class Host:
    """
    Provides :class:`kvd.http.diagnosis.Diagnosis`.

    :ivar log_from: see there.
    :ivar stuck_seconds: a job for the disk that takes longer is taken for stuck.
    :ivar pauses: of the garbage collector, by generation; empty if nobody measures.
    """

    metrics: Callable[[], bytes]
    log_from: Callable[[str], bool]
    busyness: Busyness
    stuck_seconds: float
    pauses: Sequence[Histogram] = ()
    command_line: Sequence[str] = attrs.field(factory=lambda: tuple(sys.argv))

    def disk_problem(self) -> str:
        """Why the disk cannot be worked with at the moment, empty if it can."""
        seconds = self.busyness.job_seconds
        if seconds <= self.stuck_seconds:
            return ""
        return f"the disk has been at work on one job for {seconds:.0f} s"

    def descriptors_max(self) -> int:
        """File descriptors that the process may have."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def memory(self) -> Mapping[str, int | bool]:
        """
        What Python can say of Go's figures.

        ``Sys`` is resident memory, ``HeapObjects`` are blocks of Python's allocator.
        """
        figures: dict[str, int | bool] = {
            "Sys": _resident_bytes(),
            "HeapObjects": sys.getallocatedblocks(),
            "NumGC": sum(each["collections"] for each in gc.get_stats()),
            "EnableGC": gc.isenabled(),
        }
        if self.pauses:
            paused = sum(histogram.total for histogram in self.pauses)
            figures["PauseTotalNs"] = round(paused * _SECOND_NS)
        return figures


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the most that it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
