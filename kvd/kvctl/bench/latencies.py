"""Times of answers, each kept to within a hundredth of itself, in little room."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

_STEP: Final = math.log(1.01)
_SHORTEST_SECONDS: Final = 1e-6


class Latencies:
    """Any number of times; takes the room of a few thousand at most."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.sum_seconds = 0.0
        self.longest_seconds = 0.0

    def add(self, seconds: float) -> None:
        """One answer's time."""
        self._counts[_bucket(seconds)] += 1
        self.count += 1
        self.sum_seconds += seconds
        self.longest_seconds = max(self.longest_seconds, seconds)

    @property
    def average_seconds(self) -> float:
        """0 when there was none."""
        return self.sum_seconds / self.count if self.count else 0.0

    def percentile_seconds(self, percent: float) -> float:
        """
        So many of a hundred answers took no longer; up to a hundredth too much.

        0 when there was none.
        """
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return min(_upper_seconds(bucket), self.longest_seconds)
        return self.longest_seconds


def _bucket(seconds: float) -> int:
    if seconds <= _SHORTEST_SECONDS:
        return 0
    return math.ceil(math.log(seconds / _SHORTEST_SECONDS) / _STEP)


def _upper_seconds(bucket: int) -> float:
    return _SHORTEST_SECONDS * math.exp(bucket * _STEP)
