"""What a command runs with: its arguments and flags, streams, and the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from kvd.kvctl.command import Command
from kvd.kvctl.flags import Value
from kvd.kvctl.streams import Streams

if TYPE_CHECKING:
    from kvd.kvctl.cluster import Cluster


class Timeouts(NamedTuple):
    """
    :ivar request_seconds: for an endpoint's headers, 0 for any time.
    :ivar total_seconds: for the command.
    """

    request_seconds: float
    total_seconds: float


class Context:
    """
    One command that was typed.

    :param path: the commands from the program to this one, its name last.
    :param args: the words behind the flags.
    :param values: of the command's flags and of the global ones, by first names.
    :param environ: of the process.
    """

    def __init__(
        self,
        *,
        path: Sequence[Command],
        args: Sequence[str],
        values: Mapping[str, Value],
        streams: Streams,
        environ: Mapping[str, str],
    ) -> None:
        self.path = tuple(path)
        self.args = tuple(args)
        self.streams = streams
        self.environ = environ
        self._values = values
        self._closing = ExitStack()

    def text(self, flag: str) -> str:
        """A flag's text; flags are asked for by their first name, without dashes."""
        value = self._values[flag]
        if not isinstance(value, str):
            raise TypeError(f"--{flag} is no text")
        return value

    def number(self, flag: str) -> int:
        """A flag's whole number."""
        value = self._values[flag]
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"--{flag} is no number")
        return value

    def seconds(self, flag: str) -> float:
        """A flag's duration."""
        value = self._values[flag]
        if not isinstance(value, float):
            raise TypeError(f"--{flag} is no duration")
        return value

    def on(self, flag: str) -> bool:
        """Whether a switch is given."""
        value = self._values[flag]
        if not isinstance(value, bool):
            raise TypeError(f"--{flag} is no switch")
        return value

    def texts(self, flag: str) -> tuple[str, ...]:
        """All texts of a flag that may be given several times."""
        value = self._values[flag]
        if not isinstance(value, tuple):
            raise TypeError(f"--{flag} cannot be given twice")
        return value

    @property
    def output(self) -> str:
        """``simple``, ``extended``, ``json``, or what else was asked for."""
        return self.text("output")

    @property
    def timeouts(self) -> Timeouts:
        return Timeouts(self.seconds("timeout"), self.seconds("total-timeout"))

    @cached_property
    def cluster(self) -> Cluster:
        """
        The cluster, made and synced when it is first asked for: as etcdctl's commands
        do that before anything else, even before they miss an argument.

        :raises Failed: there is none to be reached.
        """
        return self.connect()

    def connect(self, *, sync: bool = True) -> Cluster:
        """
        One more cluster; etcdctl makes some of its commands' for each request.

        :raises Failed:
        """
        from kvd.kvctl.connecting import connect  # noqa: PLC0415 -- help needs none

        return connect(self, sync=sync)

    def when_done(self, close: Callable[[], object]) -> None:
        """To be called at the command's end, however it ends."""
        self._closing.callback(close)

    def close(self) -> None:
        """The command has ended."""
        self._closing.close()

    def say(self, line: str) -> None:
        """A line of the result."""
        self.streams.out.write(f"{line}\n")

    def warn(self, line: str) -> None:
        """A line beside the result."""
        self.streams.out.flush()
        self.streams.err.write(f"{line}\n")
        self.streams.err.flush()
