"""Every command of README.rst, run as it stands but on other ports and folders."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvd.testing.servers import free_ports, missing_tools

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 60
PORTS = ("2379", "2380", "12379", "12380", "22379", "22380", "32379", "32380")
_BLOCK = re.compile(
    r"^\.\. test: (?P<kind>\w+)\n\n\.\. code-block:: console\n\n(?P<text>(?:   .*\n)+)",
    re.MULTILINE,
)
_ADDRESS = re.compile(r"(127\.0\.0\.1|localhost):(\d+)")


def blocks() -> list[tuple[str, list[tuple[str, str]]]]:
    """Kind, and pairs of command and expected output."""
    found = []
    for block in _BLOCK.finditer((ROOT / "README.rst").read_text(encoding="utf-8")):
        lines = [line[3:] for line in block["text"].splitlines()]
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
        self.processes: list[tuple[subprocess.Popen[bytes], Path]] = []
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

    def start(self, command: str, **environment: str) -> None:
        log = self.folder / f"log{len(self.processes)}"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.processes.append((process, log))

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        for process, log in self.processes:
            while b"ready to serve" not in log.read_bytes():
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

    def kill(self) -> None:
        for process, _ in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def reader(tmp_path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    yield made
    made.kill()


def needs_clients() -> None:
    missing = missing_tools("curl", "etcdctl")
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"needs {', '.join(missing)}")
    assert not missing


def test_every_block_of_commands_is_marked():
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    assert text.count(".. code-block::") == len(blocks())
    kinds = [kind for kind, _ in blocks()]
    assert kinds == ["member", "suite", "client", "client", "members", "client"]


def test_the_suite_is_a_target_of_make():
    ((command, _),) = blocks()[1][1]
    done = subprocess.run(
        [*command.split(), "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for stage in ("ruff", "mypy", "lint-imports", "coverage", "tests/integration"):
        assert stage in done.stdout


def test_the_first_minute_with_one_member(reader):
    needs_clients()
    ((run, _),) = blocks()[0][1]
    port, peer = reader.ports["2379"], reader.ports["2380"]
    # make run has no options: the environment says where.
    reader.start(
        f"{run} -o .venv/.installed",
        KVD_LISTEN_CLIENT_URLS=f"http://127.0.0.1:{port}",
        KVD_ADVERTISE_CLIENT_URLS=f"http://localhost:{port}",
        KVD_LISTEN_PEER_URLS=f"http://127.0.0.1:{peer}",
    )
    reader.wait_ready()
    for _, pairs in blocks()[2:4]:
        reader.type(pairs)
    assert (reader.folder / "default.kvd").is_dir()


def test_three_members(reader):
    needs_clients()
    for command, _ in blocks()[4][1]:
        reader.start(command)
    reader.wait_ready()
    reader.type(blocks()[5][1])
    assert reader.stop() == [0, 0, 0]


def test_two_starts_of_the_single_example(reader):
    """``twistd -n kvd --config conf/single.yml``, as the issue has it."""
    for _ in range(2):
        reader.start(".venv/bin/twistd -n kvd --config conf/single.yml")
        reader.wait_ready()
        assert (reader.folder / "twistd.pid").exists()
        assert reader.stop() == [0]
        assert not (reader.folder / "twistd.pid").exists()
