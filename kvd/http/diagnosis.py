"""What this room asks of the process, and of those who watch over the member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Diagnosis(Protocol):
    """The figures that no other part here could know."""

    def metrics(self) -> bytes:
        """Everything in the text format of Prometheus."""
        ...

    def disk_problem(self) -> str:
        """Why the disk cannot be worked with at the moment, empty if it can."""
        ...

    def log_from(self, level: str) -> bool:
        """
        Log nothing less severe than this from now on.

        :param level: a value of the option ``log-level``.
        :returns: False if the log is not this member's to change.
        """
        ...

    @property
    def command_line(self) -> Sequence[str]: ...

    def descriptors_max(self) -> int:
        """File descriptors that the process may have."""
        ...

    def memory(self) -> Mapping[str, int | bool]:
        """What is known of Python's memory, by the names of Go's ``MemStats``."""
        ...
