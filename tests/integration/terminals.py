"""Terminals: one that is typed into, and programs that go on in theirs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import attrs

from tests.integration.pages import Line

SECONDS = 60


def until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Return once it holds."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.03)


@attrs.define
class Running:
    """What a line has started in a terminal of its own."""

    line: Line
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_said(self, text: str) -> None:
        """Return once it has said so; it must not end before."""

        def said() -> bool:
            ended = self.process.poll() is not None
            found = text in self.said()
            assert found or not ended, self.said()
            return found

        until(said, self.said)

    def wait_shown(self) -> None:
        """Return once there is what the page shows."""
        pattern = self.line.pattern()
        until(
            lambda: pattern.fullmatch(trimmed(self.said())) is not None,
            lambda: f"$ {self.line.command}\n{self.said()}\nnot\n{self.line.shown}",
        )


def trimmed(text: str) -> str:
    """Without blanks at the ends of lines and empty lines at both ends."""
    lines = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    return f"{lines}\n" if lines else ""


class Terminal:
    """One shell: what is exported, defined and entered stays so for later lines."""

    def __init__(self, folder: Path, environment: dict[str, str], log: Path) -> None:
        self.log = log
        self.status = 0
        self._numbers = count(1)
        self._read = 0
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                ["bash"],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def type(self, command: str) -> str:
        """Run it to its end; what it said. Its exit status is kept."""
        mark = f"end of line {next(self._numbers)}"
        assert self.process.stdin is not None
        self.process.stdin.write(
            f"(exit {self.status})\n{{ {command}\n}} < /dev/null\n"
            f"printf '\\n-- %s: %d\\n' '{mark}' $?\n".encode()
        )
        self.process.stdin.flush()
        end = re.compile(rf"\n-- {mark}: (\d+)\n")
        until(
            lambda: end.search(self._said()) is not None,
            lambda: f"$ {command}\n{self._said()}",
        )
        said = self._said()
        found = end.search(said)
        assert found is not None
        self._read += len(said[: found.end()].encode())
        self.status = int(found[1])
        return said[: found.start()]

    def close(self) -> None:
        """With whatever was left running in the background."""
        assert self.process.stdin is not None
        kill(self.process)
        self.process.stdin.close()

    def _said(self) -> str:
        return self.log.read_bytes()[self._read :].decode()


def kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
