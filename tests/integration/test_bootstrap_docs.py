"""The commands of "Bootstrapping a cluster" in docs/operating.rst, on other ports."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvd.testing.servers import Make, free_ports, lone_member, missing_tools
from tests.integration.conftest import require

ROOT = Path(__file__).parent.parent.parent
SECONDS = 60
PORTS = ("2379", "2380", "12379", "12380", "22379", "22380", "32379", "32380")
MARK = "-- next --"
_BLOCK = re.compile(
    r"^\.\. test: (?P<kind>bootstrap\w*)\n\n"
    r"\.\. code-block:: console\n\n(?P<text>(?:   .*\n)+)",
    re.MULTILINE,
)


def blocks() -> dict[str, list[tuple[str, str]]]:
    """For each kind pairs of a command, which may be of several lines, and output."""
    found = {}
    text = (ROOT / "docs" / "operating.rst").read_text(encoding="utf-8")
    for block in _BLOCK.finditer(text):
        pairs: list[tuple[str, str]] = []
        for line in (line[3:] for line in block["text"].splitlines()):
            if line.startswith("$ "):
                pairs.append((line[2:], ""))
            elif pairs[-1][0].endswith("\\"):
                pairs[-1] = (f"{pairs[-1][0]}\n{line}", "")
            else:
                pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}{line}\n")
        found[block["kind"]] = pairs
    return found


@pytest.fixture
def typed(tmp_path):
    """Type a block after the first one, and compare what is answered."""
    require(not missing_tools("curl"), "curl")
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    groups = []

    def elsewhere(text: str) -> str:
        return re.sub(r"\b[123]?23(79|80)\b", lambda found: ports[found[0]], text)

    (tmp_path / "conf").mkdir()
    example = (ROOT / "conf" / "single.yml").read_text(encoding="utf-8")
    (tmp_path / "conf" / "single.yml").write_text(elsewhere(example))
    command = tmp_path / "bin" / "kvd"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "$MAIN" "$@" >> {tmp_path}/log 2>&1\n'
    )
    command.chmod(0o755)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ETCD", "KVD"))
    } | {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MAIN": "from kvd.command import main; main()",
        # Elections are over sooner than with an operator's patience.
        "KVD_HEARTBEAT_INTERVAL": "50",
        "KVD_ELECTION_TIMEOUT": "500",
    }

    def type_block(kind: str, port: str = "") -> None:
        if port:
            ports["2379"] = port
        pairs = [*blocks()["bootstrap"], *blocks()[kind]]
        script = "".join(f"{elsewhere(c)}\necho '{MARK}'\n" for c, _ in pairs)
        with open(tmp_path / "out", "w+b") as out:
            process = subprocess.Popen(
                ["bash", "-eu", "-c", script],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            groups.append(process)
            status = process.wait(SECONDS)
            out.seek(0)
            said = out.read().decode()
        log = tmp_path / "log"
        assert status == 0, said + (log.read_text() if log.exists() else "")
        for (command, expected), seen in zip(
            pairs, said.split(f"{MARK}\n"), strict=False
        ):
            pattern = re.escape(elsewhere(expected).strip()).replace(r"\.\.\.", ".*")
            assert re.fullmatch(pattern, seen.strip()), (command, seen, expected)

    yield type_block
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group.pid, signal.SIGKILL)
        group.wait()


def test_every_block_is_there():
    assert list(blocks()) == [
        "bootstrap",
        "bootstrap_static",
        "bootstrap_discovery",
        "bootstrap_etcd",
    ]


def test_a_static_cluster(typed):
    typed("bootstrap_static")


def test_a_cluster_that_is_discovered_through_kvd(typed, tmp_path):
    typed("bootstrap_discovery")
    log = (tmp_path / "log").read_text(encoding="utf-8")
    for line in (
        "looking for the other founders at the discovery service http://",
        "registered at the discovery service",
        "members are there, waiting for",
        "founders: infra",
    ):
        assert line in log


@pytest.mark.oracle
def test_a_token_of_an_etcd(typed, tmp_path):
    require(not missing_tools("etcd"), "etcd (Debian: etcd-server)")
    etcd = lone_member(Make.ETCD, tmp_path / "etcd")
    try:
        etcd.start()
        etcd.wait_ready()
        typed("bootstrap_etcd", str(etcd.port))
    finally:
        etcd.kill()
