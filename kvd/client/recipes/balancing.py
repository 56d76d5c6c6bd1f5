"""Which of several instances is asked next, and which ones are left alone for a while."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import attrs
from twisted.internet.interfaces import IReactorTime

from kvd.client.recipes.instances import Instance


@attrs.frozen
class Outliers:
    """
    When an instance that fails is left alone, and for how long.

    After that many failures in a row it is not asked for ``first_seconds``; then one
    request at a time is tried on it. If that fails, too, it is left alone for twice as
    long, and so on; one success makes it as good as any other.

    :ivar failures_max: from 1 on.
    :ivar most_seconds: no longer than that.
    :raises ValueError: numbers that make no sense.

    .. versionadded:: 0.1
    """

    failures_max: int = 1
    first_seconds: float = 1.0
    most_seconds: float = 60.0

    def __attrs_post_init__(self) -> None:
        if self.failures_max < 1 or not 0 < self.first_seconds <= self.most_seconds:
            raise ValueError("outliers need a failure, and a time to be left alone")

    def seconds(self, failures: int) -> float:
        """How long after so many; 0: not at all."""
        beyond = failures - self.failures_max
        if beyond < 0:
            return 0.0
        return min(self.first_seconds * 2.0 ** min(beyond, 64), self.most_seconds)


class Load:
    """
    An instance, and what it has to do for this program.

    :ivar in_flight: requests whose answers are not complete.

    .. versionadded:: 0.1
    """

    def __init__(
        self, instance: Instance, outliers: Outliers, clock: IReactorTime
    ) -> None:
        self._outliers = outliers
        self._clock = clock
        self._failures = 0
        self._until_seconds = 0.0
        self._is_tried = False
        self.instance = instance
        self.in_flight = 0

    @property
    def is_left_alone(self) -> bool:
        """Whether it failed lately, or is being tried after that."""
        return self._is_tried or self._clock.seconds() < self._until_seconds

    def begin(self) -> None:
        """It is asked something."""
        self.in_flight += 1
        self._is_tried = self._outliers.seconds(self._failures) > 0.0

    def end(self) -> None:
        """That is over; how it went is said apart."""
        self.in_flight -= 1
        self._is_tried = False

    def succeeded(self) -> None:
        """It answered."""
        self._failures, self._until_seconds, self._is_tried = 0, 0.0, False

    def failed(self) -> None:
        """
        It did not; whoever asked it before it was left alone says nothing new by that.
        """
        now = self._clock.seconds()
        if now < self._until_seconds:
            return
        self._failures += 1
        self._until_seconds = now + self._outliers.seconds(self._failures)


class Picker(Protocol):
    """
    Chooses among those that can be asked.

    .. versionadded:: 0.1
    """

    def pick(self, loads: Sequence[Load]) -> Load:
        """One of them; there is at least one, and they are in the order of their ids."""


class RoundRobin:
    """
    One after the other, also when some come and go.

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self._last = ""

    def pick(self, loads: Sequence[Load]) -> Load:
        later = (each for each in loads if each.instance.id > self._last)
        picked = next(later, loads[0])
        self._last = picked.instance.id
        return picked


class LeastUsed:
    """
    Whoever has the fewest answers to complete; among those, one after the other.

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self._among = RoundRobin()

    def pick(self, loads: Sequence[Load]) -> Load:
        fewest = min(each.in_flight for each in loads)
        return self._among.pick([each for each in loads if each.in_flight == fewest])


class Balancer:
    """
    The loads of a list of instances that changes.

    :param instances: who is there now.
    """

    def __init__(
        self,
        instances: Callable[[], Sequence[Instance]],
        picker: Picker,
        outliers: Outliers,
        clock: IReactorTime,
    ) -> None:
        self._instances = instances
        self._picker = picker
        self._outliers = outliers
        self._clock = clock
        self._loads: dict[tuple[str, str], Load] = {}

    def pick(self, tried: Collection[Load] = ()) -> Load | None:
        """
        Who is asked next; None: there is nobody but those.

        If all are left alone, they are asked all the same: better a try than none.
        """
        loads = [each for each in self._current() if each not in tried]
        fit = [each for each in loads if not each.is_left_alone]
        return self._picker.pick(fit or loads) if loads else None

    def _current(self) -> list[Load]:
        """Those that are there; what the others had is forgotten when it is done."""
        there = {(each.id, each.address): each for each in self._instances()}
        self._loads = {
            key: load
            for key, load in self._loads.items()
            if key in there or load.in_flight
        }
        for key, instance in there.items():
            if key not in self._loads:
                self._loads[key] = Load(instance, self._outliers, self._clock)
        return [self._loads[key] for key in there]
