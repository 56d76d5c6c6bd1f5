"""Somebody who reads a page and does what stands there, on other ports and folders."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path

import attrs
import pytest

from kvd.testing.servers import HOST, free_ports, missing_tools
from tests.integration.pages import ROOT, Commands, End, File, Line, Step, steps

START_SECONDS = 60
END_SECONDS = 20
CLIENTS = ("2379", "12379", "22379", "32379", "42379")
PEERS = ("2380", "12380", "22380", "32380", "42380")
PORTS = (*CLIENTS, *PEERS)
_PORT = re.compile(r"\b[1-4]?23(?:79|80)\b")
# Without options these take the usual ports, so the environment has to say others. The
# folder of the test is no copy of the project, so there is nothing to install in it.
_ON_DEFAULTS = {"make run": "make run -o .venv/.installed"}


def until(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    """Return once it holds."""
    deadline = time.monotonic() + START_SECONDS
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
            lambda: pattern.fullmatch(_trimmed(self.said())) is not None,
            lambda: f"$ {self.line.command}\n{self.said()}\nnot\n{self.line.shown}",
        )


def _trimmed(text: str) -> str:
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
        _kill(self.process)
        self.process.stdin.close()

    def _said(self) -> str:
        return self.log.read_bytes()[self._read :].decode()


class Reader:
    """Follows pages step by step; ports and folders are the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # In the same order: some answers are sorted.
        ports = map(str, sorted(free_ports(len(PORTS))))
        self.ports = dict(zip(PORTS, ports, strict=True))
        self.servers: list[Running] = []
        self.waiting: list[Running] = []
        self._logs = count()
        shutil.copytree(ROOT / "conf", folder / "conf")
        for file in (folder / "conf").rglob("*.yml"):
            file.write_text(self.elsewhere(file.read_text()))
        for name in (".venv", "Makefile"):
            (folder / name).symlink_to(ROOT / name)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ETCD", "KVD", "KVCTL", "MAKE"))
        } | {
            # As after ". .venv/bin/activate".
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            # Where clients look for a member when they are not told.
            "ETCDCTL_ENDPOINTS": f"http://{HOST}:{self.ports['2379']}",
            # Elections are over sooner than with an operator's patience.
            "KVD_HEARTBEAT_INTERVAL": "50",
            "KVD_ELECTION_TIMEOUT": "500",
        }
        self.terminal = Terminal(folder, self.environment, self._log())

    def _log(self) -> Path:
        return self.folder / f"log{next(self._logs)}"

    def elsewhere(self, text: str) -> str:
        return _PORT.sub(lambda found: self.ports[found[0]], text)

    def follow(self, all_steps: Iterable[Step]) -> None:
        """All of them, and what was waited for has come."""
        for step in all_steps:
            self.do(step)
        for running in self.waiting:
            running.wait_shown()

    def do(self, step: Step) -> None:
        match step:
            case File(name=name, text=text):
                (self.folder / name).write_text(self.elsewhere(text))
            case End(how=how, word=word):
                self.end(word, signal.SIGKILL if how == "killed" else signal.SIGINT)
            case Commands(how="servers", lines=lines):
                for line in lines:
                    self.start(line.command)
                self.wait_ready()
            case Commands(how="runs", lines=lines):
                for line in lines:
                    self.run(line).wait_shown()
            case Commands(how="waits", lines=lines):
                for line in lines:
                    before = self._watches()
                    running = self.run(line)
                    until(lambda: self._watches() > before, running.said)
            case Commands(lines=lines):
                self.type(lines)

    def type(self, lines: Iterable[Line]) -> None:
        """
        One after the other in the first terminal.

        A status that is not 0 must be looked at by the next line (``echo $?``).
        """
        for line in map(self._here, lines):
            assert self.terminal.status == 0 or "$?" in line.command, line
            said = _trimmed(self.terminal.type(line.command))
            assert line.pattern().fullmatch(said), (
                f"$ {line.command}\n{said}\ninstead of\n{line.shown}"
            )
        assert self.terminal.status == 0, lines

    def start(self, command: str, **environment: str) -> Running:
        """A member, in a terminal of its own."""
        if command in _ON_DEFAULTS:
            command = _ON_DEFAULTS[command]
            peer = f"localhost:{self.ports['2380']}"
            environment |= {
                "KVD_LISTEN_CLIENT_URLS": f"http://{HOST}:{self.ports['2379']}",
                "KVD_ADVERTISE_CLIENT_URLS": f"http://localhost:{self.ports['2379']}",
                "KVD_LISTEN_PEER_URLS": f"http://{HOST}:{self.ports['2380']}",
                "KVD_INITIAL_ADVERTISE_PEER_URLS": f"http://{peer}",
                "KVD_INITIAL_CLUSTER": f"default=http://{peer}",
            }
        running = self._run(self._here(Line(command)), environment)
        self.servers.append(running)
        return running

    def run(self, line: Line) -> Running:
        """Another program, in a terminal of its own."""
        running = self._run(self._here(line), {})
        self.waiting.append(running)
        return running

    def _here(self, line: Line) -> Line:
        return Line(self.elsewhere(line.command), self.elsewhere(line.shown))

    def _run(self, line: Line, environment: dict[str, str]) -> Running:
        log = self._log()
        with open(log, "wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {line.command}"],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return Running(line, process, log)

    def _watches(self) -> int:
        """How many watches wait, at all members that are there."""
        found = 0
        for port in CLIENTS:
            connection = HTTPConnection(HOST, int(self.ports[port]), timeout=5)
            try:
                connection.request("GET", "/metrics")
                text = connection.getresponse().read().decode()
            except (OSError, HTTPException):
                continue
            finally:
                connection.close()
            (watches,) = re.findall(r"^kvd_watches (\d+)", text, re.MULTILINE)
            found += int(watches)
        return found

    def wait_ready(self) -> None:
        for running in self.servers:
            running.wait_said("ready to serve")

    def end(self, word: str, how: signal.Signals = signal.SIGINT) -> None:
        """Those with the word in their line, as from the keyboard."""
        waiting = [each for each in self.waiting if word in each.line.command]
        servers = [each for each in self.servers if word in each.line.command]
        assert waiting or servers, word
        for running in waiting:
            running.wait_shown()
        for running in (*waiting, *servers):
            os.killpg(running.process.pid, how)
        for running in waiting:
            running.process.wait(END_SECONDS)
            self.waiting.remove(running)
        for running in servers:
            status = running.process.wait(END_SECONDS)
            self.servers.remove(running)
            # Make says of its own end that it was interrupted.
            if how is signal.SIGINT and not running.line.command.startswith("make"):
                assert status == 0, running.said()

    def stop(self) -> list[int]:
        """SIGTERM to all; their exit statuses."""
        return [self.end_one(running) for running in list(self.servers)]

    def end_one(self, running: Running, how: signal.Signals = signal.SIGTERM) -> int:
        """One of them; its exit status."""
        self.servers.remove(running)
        running.process.send_signal(how)
        return running.process.wait(END_SECONDS)

    def three(self) -> list[Running]:
        """The members of conf/cluster, ready."""
        for number in (1, 2, 3):
            self.start(f"kvd --config conf/cluster/etcd-{number}.yml")
        self.wait_ready()
        return self.servers[-3:]

    def kill(self) -> None:
        for running in (*self.servers, *self.waiting):
            _kill(running.process)
        self.terminal.close()


class Chapter:
    """Steps that a test takes one by one, to look around in between."""

    def __init__(self, reader: Reader, document: str, chapter: str = "") -> None:
        self.left = steps(document, chapter)
        self._reader = reader

    def type(self, word: str) -> None:
        """The next block, which has the word in a command."""
        self._reader.do(self._next(word))

    def start(self, word: str) -> Running:
        """The next block, which starts one member; when that is ready."""
        (line,) = self._next(word).lines
        running = self._reader.start(line.command)
        running.wait_said("ready to serve")
        return running

    def _next(self, word: str) -> Commands:
        step = self.left.pop(0)
        assert isinstance(step, Commands)
        assert any(word in line.command for line in step.lines), step
        return step


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def needs_clients() -> None:
    missing = missing_tools("curl", "etcdctl")
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"needs {', '.join(missing)}")
    assert not missing
