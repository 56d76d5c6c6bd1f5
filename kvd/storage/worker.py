"""Where blocking disk work runs: one job after the other, off the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Worker(Protocol):
    """Jobs run one at a time in the order given; simulation has its own."""

    def call(self, job: Callable[[], T]) -> Deferred[T]:
        """Fires, in a later turn of the reactor, with what the job returned."""
        ...

    def stop(self) -> Deferred[None]:
        """Fires when every job given before has run; later ones are refused."""
        ...
