"""A contending process, from outside: started, killed, frozen, ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.integration.reader import ROOT

PROGRAM = "tests.integration.contention.program"
END_SECONDS = 60.0


class Failed(Exception):
    """What the processes were to do they did not do in a long time."""


class Worker:
    """
    One process after the other, each with another name: ``w1.0``, ``w1.1``, ...

    :param settings: what the program is told; ``who`` it is is added.
    """

    def __init__(self, name: str, settings: dict) -> None:
        self._name = name
        self._settings = settings
        self._lives = 0
        self._process: subprocess.Popen | None = None
        self.killed: dict[str, float] = {}
        self.thaw_at: float | None = None

    @property
    def who(self) -> str:
        return f"{self._name}.{self._lives - 1}"

    def start(self) -> None:
        self._lives += 1
        settings = json.dumps({**self._settings, "who": self.who})
        with open(Path(self._settings["folder"]) / f"{self.who}.log", "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, settings],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.killed[self.who] = time.monotonic()

    def freeze(self, seconds: float) -> None:
        self._process.send_signal(signal.SIGSTOP)
        self.thaw_at = time.monotonic() + seconds

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self.thaw_at = None

    def end(self) -> None:
        self._process.terminate()

    def wait(self) -> None:
        """
        Until it has ended by itself.

        :raises Failed: it does not, or not well.
        """
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            status = "not there yet"
        if status != 0:
            log = Path(self._settings["folder"]) / f"{self.who}.log"
            raise Failed(f"{self.who} ended with {status}: {log.read_text()[-2000:]}")

    def sweep(self) -> None:
        """End it whatever it does."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
