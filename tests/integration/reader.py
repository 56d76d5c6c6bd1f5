"""Somebody who reads a page and does what stands there, on other ports and folders."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path

import pytest

from kvd.testing.servers import HOST, free_ports, missing_tools
from tests.integration.pages import ROOT, Commands, File, Line, Step, Told, steps
from tests.integration.terminals import Running, Terminal, kill, trimmed, until

END_SECONDS = 20
CLIENTS = ("2379", "12379", "22379", "32379", "42379")
PEERS = ("2380", "12380", "22380", "32380", "42380")
PORTS = (*CLIENTS, *PEERS)
_PORT = re.compile(r"\b[1-4]?23(?:79|80)\b")
_WATCHES = re.compile(r"^etcd_debugging_store_watch_requests_total (\S+)", re.MULTILINE)
# Without options these take the usual ports, so the environment has to say others. The
# folder of the test is no copy of the project, so there is nothing to install in it.
_ON_DEFAULTS = {"make run": "make run -o .venv/.installed"}


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
            case Told(how="seen", word=word):
                for running in self._named(self.waiting, word):
                    running.wait_shown()
            case Told(how=how, word=word):
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
            said = trimmed(self.terminal.type(line.command))
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
        """How many watches were asked for so far, of all members that are there."""
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
            found += sum(int(float(each)) for each in _WATCHES.findall(text))
        return found

    def wait_ready(self) -> None:
        for running in self.servers:
            running.wait_said("ready to serve")

    def end(self, word: str, how: signal.Signals = signal.SIGINT) -> None:
        """Those with the word in their line, as from the keyboard."""
        waiting = self._named(self.waiting, word)
        servers = self._named(self.servers, word)
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
                # Somebody else's program ends as Twisted lets it: by the signal.
                theirs = " -y " in running.line.command
                assert status == (-how if theirs else 0), running.said()

    @staticmethod
    def _named(programs: list[Running], word: str) -> list[Running]:
        return [each for each in programs if word in each.line.command]

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
            kill(running.process)
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


def needs_clients() -> None:
    missing = missing_tools("curl", "etcdctl", "etcd")
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"needs {', '.join(missing)}")
    assert not missing
