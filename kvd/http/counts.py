"""What is counted of requests: plain numbers, for every request has to pass here."""

from __future__ import annotations

from kvd.histogram import Histogram, doubling

METHODS = ("GET", "QGET", "HEAD", "PUT", "POST", "DELETE")
"""Etcd's words; QGET is a GET with ``quorum=true``."""

TAKEN_SECONDS = doubling(0.0005, 13)  # etcd's bounds


class RequestCounts:
    """
    Keys requests that were understood and allowed, and answers about the health.

    :ivar received: by method, watches aside.
    :ivar failed: by method and status.
    :ivar taken_seconds: by method, of those that succeeded, watches aside.
    :ivar succeeded: what observes the seconds, by method.
    """

    __slots__ = (
        "failed",
        "healthy",
        "received",
        "succeeded",
        "taken_seconds",
        "unhealthy",
    )

    def __init__(self) -> None:
        self.received = dict.fromkeys(METHODS, 0)
        self.failed: dict[tuple[str, int], int] = {}
        self.taken_seconds = {method: Histogram(TAKEN_SECONDS) for method in METHODS}
        self.succeeded = {
            method: histogram.observer()
            for method, histogram in self.taken_seconds.items()
        }
        self.healthy = 0
        self.unhealthy = 0

    def count_failed(self, method: str, status: int) -> None:
        """A request that had been received was refused, or nobody answered it."""
        self.failed[method, status] = self.failed.get((method, status), 0) + 1
