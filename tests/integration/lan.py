"""
A small network of its own: three hosts at one switch, in network namespaces.

::

    ns <name>-lan: bridge br0, 10.10.0.254
      |port1          |port2          |port3
      |eth0           |eth0           |eth0
    ns <name>-1     ns <name>-2     ns <name>-3
    10.10.0.1       10.10.0.2       10.10.0.3

Nothing of it exists outside of these namespaces, and deleting them deletes all of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

HOSTS = (1, 2, 3)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


class Lan:
    """Make it with :meth:`up`, and call :meth:`down` whatever happens."""

    def __init__(self) -> None:
        self.name = f"kvdt-{os.getpid()}"
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def host(self, number: int) -> str:
        return f"{self.name}-{number}"

    @property
    def switch(self) -> str:
        return f"{self.name}-lan"

    def up(self) -> None:
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        ip("-n", self.switch, "addr", "add", "10.10.0.254/24", "dev", "br0")
        ip("-n", self.switch, "link", "set", "br0", "up")
        for number in HOSTS:
            host = self.host(number)
            ip("netns", "add", host)
            ip(
                *("-n", self.switch, "link", "add", f"port{number}"),
                *("type", "veth", "peer", "name", "eth0", "netns", host),
            )
            ip("-n", self.switch, "link", "set", f"port{number}", "master", "br0", "up")
            ip("-n", host, "addr", "add", f"10.10.0.{number}/24", "dev", "eth0")
            ip("-n", host, "link", "set", "eth0", "up")
            ip("-n", host, "link", "set", "lo", "up")

    def down(self) -> None:
        for number in list(self._processes):
            self.stop(number, signal.SIGKILL)
        for name in (*map(self.host, HOSTS), self.switch):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)

    def pull_cable(self, number: int) -> None:
        """The host hears nobody and nobody hears it; no connection is told."""
        ip("-n", self.switch, "link", "set", f"port{number}", "down")

    def plug_in(self, number: int) -> None:
        ip("-n", self.switch, "link", "set", f"port{number}", "up")

    def start(self, number: int, command: Sequence[str], log: Path, cwd: Path) -> None:
        """Run a server on a host; its output goes to ``log``."""
        with log.open("ab") as output:
            self._processes[number] = subprocess.Popen(
                ["ip", "netns", "exec", self.host(number), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env={
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(("ETCD_", "KVD_"))
                },
            )

    def stop(self, number: int, how: signal.Signals = signal.SIGTERM) -> int:
        """``ip netns exec`` became the server itself, so this is its status."""
        process = self._processes.pop(number)
        process.send_signal(how)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def run(
        self, where: str, *command: str, seconds: float = 20.0
    ) -> subprocess.CompletedProcess[str]:
        """A client program in a namespace, to its end."""
        return subprocess.run(
            ["ip", "netns", "exec", where, *command],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "ETCDCTL_API": "2"},
        )

    def curl(self, where: str, url: str, *options: str) -> tuple[int, str]:
        """Status and body; status 0 when nobody answered in time."""
        done = self.run(
            where, "curl", "-s", "-m", "12", "-w", "\n%{http_code}", *options, url
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    def wait(self, what: str, condition, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, what
            time.sleep(0.1)
