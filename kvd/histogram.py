"""How many values fell into each of a few ranges; cheap enough for every request."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable


class Histogram:
    """
    Counts of observed values, by the lowest bound that is not below them.

    One thread writes; another may read meanwhile, and misses the newest at most.

    :ivar counts: one for each bound, and a last one for what is above all of them.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observer(self) -> Callable[[float], None]:
        """What does the same in two thirds of the time, for every request."""
        bounds, counts, first = self.bounds, self.counts, self.bounds[0]

        def observe(value: float) -> None:
            if value <= first:
                counts[0] += 1
            else:
                counts[bisect_left(bounds, value)] += 1
            self.total += value

        return observe


def doubling(first: float, count: int) -> tuple[float, ...]:
    """So many bounds, each twice the one before."""
    return tuple(first * (1 << step) for step in range(count))
