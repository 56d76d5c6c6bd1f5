"""
Real servers on loopback, of either make: what the conformance tests and the bench
run against. Each is its own process, started from one configuration, stopped by pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from enum import Enum
from http.client import HTTPConnection, HTTPException
from itertools import islice
from pathlib import Path

import attrs

START_SECONDS = 30.0
STOP_SECONDS = 15.0
HOST = "127.0.0.1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# What a lone member says of itself. Nobody connects to these, so two servers may say
# the same, and then their ids, and every byte that shows one, are equal too.
SAID_PEER_URL = "http://127.0.0.1:12380"
SAID_CLIENT_URL = "http://127.0.0.1:12379"


class Make(Enum):
    """Whose server."""

    ETCD = "etcd"
    KVD = "kvd"


class ServerFailed(Exception):
    """A server did not start, or not stop; its last words are in the text."""


def missing_tools(*tools: str) -> list[str]:
    """Those of the named programs which are not installed."""
    return [tool for tool in tools if shutil.which(tool) is None]


# Below the ports that the system gives to connections by itself, and for each process of
# pytest-xdist other ones, so that nobody takes one between the look and its use.
_PORTS = range(11_000, 31_000)
_PORTS_EACH = 5_000


def _candidates() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _PORTS.start + worker * _PORTS_EACH % len(_PORTS)
    begin = os.getpid() % _PORTS_EACH
    while True:
        yield first + begin
        begin = (begin + 1) % _PORTS_EACH


_next_port = _candidates()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on at the moment, all different."""
    found: list[int] = []
    for port in islice(_next_port, _PORTS_EACH):
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            return found
    raise ServerFailed(f"there are no {count} free ports")


@attrs.frozen
class Place:
    """Where one server runs: its folder and its two ports."""

    folder: Path
    client_port: int
    peer_port: int


class Server:
    """
    One process; ``start`` again after ``stop`` or ``kill`` continues with its data.

    :ivar options: the configuration file's content, the same for both makes.
    """

    def __init__(self, make: Make, place: Place, options: dict[str, object]) -> None:
        self.make = make
        self.place = place
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.place.client_port

    @property
    def name(self) -> str:
        return str(self.options["name"])

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailed(f"{self.make.value} is not running")
        return self._process.pid

    def _command(self, file: Path) -> list[str]:
        if self.make is Make.ETCD:
            return ["etcd", "--config-file", str(file)]
        twistd = "from twisted.scripts.twistd import run; run()"
        return [sys.executable, "-c", twistd, *self._twistd_options(), str(file)]

    def _twistd_options(self) -> list[str]:
        return ["-n", "--pidfile=", "kvd", "--config-file"]

    def start(self) -> None:
        """Start the process; :meth:`wait_ready` says when it can be used."""
        self.place.folder.mkdir(parents=True, exist_ok=True)
        options = dict(self.options)
        if self.make is Make.ETCD:
            options |= {"enable-v2": True, "log-level": "error"}
        file = self.place.folder / "config.json"  # JSON is YAML
        file.write_text(json.dumps(options), encoding="utf-8")
        # The environment would speak for the server too (ETCD_NAME and so on).
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ETCD_", "KVD_"))
        }
        with open(self.place.folder / "log", "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own command line
                self._command(file),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.place.folder,
                env=environment,
            )

    def wait_ready(self, index: int = 0) -> None:
        """Return once it serves and its etcd index has reached ``index``."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            if self.healthy() and self.etcd_index() >= index:
                return
            time.sleep(0.02)
        raise ServerFailed(f"{self.make.value} did not start:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        with open(self.place.folder / "log", "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
            return log.read().decode(errors="replace")

    def ask(
        self, path: str, method: str = "GET", form: str | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own; status 0 when nobody answers."""
        connection = HTTPConnection(HOST, self.port, timeout=2)
        try:
            connection.request(method, path, form, FORM if form else {})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException):
            return 0, {}, b""
        finally:
            connection.close()
        return answer.status, dict(answer.getheaders()), body

    def endpoints(self) -> list[str] | None:
        """Where a proxy forwards to, sorted; None when nobody answers."""
        status, _, body = self.ask("/v2/config/local/proxy")
        return sorted(json.loads(body)["endpoints"]) if status == 200 else None

    def healthy(self) -> bool:
        """Whether ``/health`` says so; False too when nobody answers."""
        return self.ask("/health")[0] == 200

    def etcd_index(self) -> int:
        """The store's index, -1 when nobody answers."""
        return int(self.ask("/v2/keys/")[1].get("X-Etcd-Index", -1))

    def cluster_id(self) -> str:
        """Hexadecimal, as the header shows it; empty when nobody answers."""
        return self.ask("/v2/members")[1].get("X-Etcd-Cluster-Id", "")

    def leader_name(self) -> str:
        """The name of the leader it knows, empty when there is none."""
        status, _, body = self.ask("/v2/members/leader")
        if status != 200:
            return ""
        name: str = json.loads(body)["name"]
        return name

    def processor_seconds(self) -> float:
        """What all its threads have used so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            user, system = stat.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Memory of the process that is resident now."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> int:
        """SIGTERM, wait; the exit status (killed after a while: ServerFailed)."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as when the power goes."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(
                f"{self.make.value} did not stop:\n{self.last_words()}"
            ) from None


def lone_member(make: Make, folder: Path, **options: object) -> Server:
    """A one-member cluster, not started yet; says the same of itself as any other."""
    client_port, peer_port = free_ports(2)
    return Server(
        make,
        Place(folder, client_port, peer_port),
        {
            "name": "alone",
            "data-dir": str(folder / "data"),
            "listen-client-urls": f"http://{HOST}:{client_port}",
            "advertise-client-urls": SAID_CLIENT_URL,
            "listen-peer-urls": f"http://{HOST}:{peer_port}",
            "initial-advertise-peer-urls": SAID_PEER_URL,
            "initial-cluster": f"alone={SAID_PEER_URL}",
            **options,
        },
    )


def cluster(make: Make, folder: Path, size: int, **options: object) -> list[Server]:
    """Members ``m1``, ``m2``, ... of one cluster, not started yet."""
    ports = free_ports(2 * size)
    names = [f"m{number}" for number in range(1, size + 1)]
    peers = {
        name: f"http://{HOST}:{port}"
        for name, port in zip(names, ports[size:], strict=True)
    }
    return [
        Server(
            make,
            Place(folder / name, ports[number], ports[size + number]),
            {
                "name": name,
                "data-dir": str(folder / name / "data"),
                "listen-client-urls": f"http://{HOST}:{ports[number]}",
                "advertise-client-urls": f"http://{HOST}:{ports[number]}",
                "listen-peer-urls": peers[name],
                "initial-advertise-peer-urls": peers[name],
                "initial-cluster": ",".join(f"{n}={u}" for n, u in peers.items()),
                **options,
            },
        )
        for number, name in enumerate(names)
    ]


def proxy_before(
    make: Make, folder: Path, peer_urls: Sequence[str], **options: object
) -> Server:
    """A proxy before the members with these peer URLs, not started yet."""
    client_port, peer_port = free_ports(2)
    return Server(
        make,
        Place(folder, client_port, peer_port),
        {
            "name": "proxy",
            "proxy": "on",
            "data-dir": str(folder / "data"),
            "listen-client-urls": f"http://{HOST}:{client_port}",
            "initial-cluster": ",".join(
                f"m{number}={url}" for number, url in enumerate(peer_urls)
            ),
            **options,
        },
    )


def start_all(servers: Sequence[Server]) -> None:
    """Start the members of one cluster; return when each serves, all settled."""
    try:
        for server in servers:
            server.start()
        for server in servers:
            # One event for each member added and published, one for the version.
            server.wait_ready(index=2 * len(servers) + 1)
    except BaseException:
        kill_all(servers)
        raise


def kill_all(servers: Sequence[Server]) -> None:
    """End whatever still runs."""
    for server in servers:
        server.kill()
