"""How much the worker has to do, for those who watch over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Busyness:
    """
    Jobs of one worker; each number is changed by one thread only.

    :ivar given: by the reactor's thread.
    :ivar done: by the worker's.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self.given = 0
        self.done = 0

    def during(self, job: Callable[[], T]) -> T:
        """Run a job on the worker."""
        self._since = self._seconds()
        try:
            return job()
        finally:
            self._since = None
            self.done += 1

    @property
    def jobs(self) -> int:
        """Given and not done."""
        return self.given - self.done

    @property
    def job_seconds(self) -> float:
        """How long the present job has been running, 0 if there is none."""
        since = self._since
        return 0.0 if since is None else max(0.0, self._seconds() - since)
