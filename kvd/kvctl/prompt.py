"""A question whose answer nobody should see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kvd.kvctl.streams import Streams


def ask_password(streams: Streams, prompt: str) -> str:
    """A line of standard input, not shown where it is typed; empty at its end."""
    streams.out.write(prompt)
    streams.out.flush()
    try:
        with _unseen(streams):
            line = streams.stdin.readline()
    finally:
        streams.out.write("\n")
    return (
        line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
    )


@contextmanager
def _unseen(streams: Streams) -> Iterator[None]:
    """While the terminal, if there is one, does not show what is typed."""
    if not streams.stdin.isatty():
        yield
        return
    import termios  # noqa: PLC0415 -- there may be none

    number = streams.stdin.fileno()
    before = termios.tcgetattr(number)
    silent = list(before)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(number, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSAFLUSH, before)
