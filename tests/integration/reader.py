"""Documents whose commands are run as they stand, but on other ports and folders."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kvd.testing.servers import free_ports, missing_tools

Running = tuple[subprocess.Popen[bytes], Path]

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 60
PORTS = (
    *("2379", "2380", "12379", "12380", "22379", "22380"),
    *("32379", "32380", "42379", "42380"),
)
# In a list it is indented as the list is.
_BLOCK = re.compile(
    r"^(?P<indent> *)\.\. test: (?P<kind>\w+)\n\n"
    r"(?P=indent)\.\. code-block:: console\n\n"
    r"(?P<text>(?:(?P=indent)   .*\n|\n(?=(?P=indent)   ))+)",
    re.MULTILINE,
)
_ADDRESS = re.compile(r"(127\.0\.0\.1|localhost):(\d+)")


def text_of(document: str, chapter: str = "") -> str:
    """All of it, or what stands under a heading that is underlined with dashes."""
    text = (ROOT / document).read_text(encoding="utf-8")
    if not chapter:
        return text
    body = text.split(f"\n{chapter}\n{'-' * len(chapter)}\n")[1]
    return re.split(r"^.+\n-{4,}\n", body, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(document: str, chapter: str = "") -> list[tuple[str, list[tuple[str, str]]]]:
    """Kind, and pairs of command and expected output."""
    found = []
    for block in _BLOCK.finditer(text_of(document, chapter)):
        margin = len(block["indent"]) + 3
        lines = [line[margin:] for line in block["text"].splitlines()]
        pairs: list[tuple[str, str]] = []
        for line in lines:
            if line.startswith("$ "):
                pairs.append((line[2:], ""))
            else:
                command, output = pairs[-1]
                pairs[-1] = (command, f"{output}{line}\n")
        found.append((block["kind"], pairs))
    return found


class Reader:
    """Somebody who types what stands there; ports and folders are the test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        self.processes: list[Running] = []
        self._logs = 0
        shutil.copytree(ROOT / "conf", folder / "conf")
        for file in (folder / "conf").rglob("*.yml"):
            file.write_text(self.elsewhere(file.read_text()))
        (folder / ".venv").symlink_to(ROOT / ".venv")
        (folder / "Makefile").symlink_to(ROOT / "Makefile")
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ETCD", "KVD", "MAKE"))
        }

    def elsewhere(self, text: str) -> str:
        return _ADDRESS.sub(
            lambda found: f"{found[1]}:{self.ports.get(found[2], found[2])}", text
        )

    def start(self, command: str, **environment: str) -> Running:
        log = self.folder / f"log{self._logs}"
        self._logs += 1
        with open(log, "wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {self.elsewhere(command)}"],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.processes.append((process, log))
        return process, log

    def wait_ready(self) -> None:
        for running in self.processes:
            self.wait_said("ready to serve", running)

    @staticmethod
    def wait_said(text: str, running: Running) -> None:
        """Return once its log has the text; it must not end before."""
        process, log = running
        deadline = time.monotonic() + START_SECONDS
        while text not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def type(self, pairs: list[tuple[str, str]]) -> None:
        """All commands of a block in one shell, so that exports hold."""
        mark = "-- next --"
        script = "".join(f"{self.elsewhere(c)} 2>&1\necho '{mark}'\n" for c, _ in pairs)
        done = subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        outputs = done.stdout.split(f"{mark}\n")
        assert done.returncode == 0, done.stdout + done.stderr
        for (command, expected), seen in zip(pairs, outputs, strict=False):
            lines = "\n".join(line.rstrip() for line in seen.splitlines())
            assert re.fullmatch(self.pattern(expected), lines.strip()), (
                f"$ {command}\n{seen}\ninstead of\n{expected}"
            )

    def pattern(self, expected: str) -> str:
        """``...`` stands for anything; ids of members follow from their URLs."""
        escaped = re.escape(self.elsewhere(expected).strip())
        escaped = escaped.replace(re.escape("..."), ".*")
        return re.sub(r"\b[0-9a-f]{16}\b", "[0-9a-f]{15,16}", escaped)

    def stop(self) -> list[int]:
        """SIGTERM to all; their exit statuses."""
        for process, _ in self.processes:
            process.send_signal(signal.SIGTERM)
        statuses = []
        for process, log in self.processes:
            try:
                statuses.append(process.wait(timeout=20))
            except subprocess.TimeoutExpired:
                self.kill()
                pytest.fail(log.read_text())
        self.processes.clear()
        return statuses

    def end(self, running: Running, how: signal.Signals = signal.SIGTERM) -> int:
        """One of them; its exit status."""
        self.processes.remove(running)
        running[0].send_signal(how)
        return running[0].wait(timeout=20)

    def kill(self) -> None:
        for process, _ in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def needs_clients() -> None:
    missing = missing_tools("curl", "etcdctl")
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"needs {', '.join(missing)}")
    assert not missing


def every_block_is_marked(document: str, chapter: str = "") -> bool:
    found = blocks(document, chapter)
    return bool(found) and len(found) == text_of(document, chapter).count(
        ".. code-block::"
    )
