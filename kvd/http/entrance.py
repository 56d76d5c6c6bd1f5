"""The way in to a port that comes late and goes early."""

from __future__ import annotations

from typing import Protocol

from kvd.http.visits import STOPPING, Visit


class Door(Protocol):
    """A port, or what leads to one."""

    def enter(self, visit: Visit) -> None:
        """Take it in; it is begun now or later, or refused."""
        ...


class Entrance:
    """
    Leads to the port of a member, which comes late and goes early.

    :param waiting_max: visits that wait for the port at one time; more are refused.
    """

    def __init__(self, *, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._waiting: dict[Visit, None] = {}  # in the order in which they came
        self._door: Door | None = None
        self._closed = ""

    def lead_to(self, door: Door) -> None:
        """There is a port."""
        self._door = door
        waiting, self._waiting = self._waiting, {}
        for visit in waiting:
            if not visit.is_over:  # as one before it was answered
                door.enter(visit)

    def close(self, why: str = STOPPING) -> None:
        """
        Refuse everybody who waits or comes; nothing is done to those who are in.

        :param why: what they are told.
        """
        self._closed = why
        waiting, self._waiting = self._waiting, {}
        for visit in waiting:
            visit.refuse(self._closed)

    def enter(self, visit: Visit) -> None:
        """See ``Door.enter``."""
        if self._closed:
            visit.refuse(self._closed)
        elif self._door is not None:
            self._door.enter(visit)
        elif len(self._waiting) >= self._waiting_max:
            visit.refuse(f"{self._waiting_max} requests wait already")
        else:
            self._waiting[visit] = None
            visit.wait(self)

    def left(self, visit: Visit) -> None:
        """See ``Lobby.left``."""
        self._waiting.pop(visit, None)
