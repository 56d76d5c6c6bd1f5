"""
kvd beside etcd, on the same machine, in turn.

Run from the root of the project::

    make bench
    .venv/bin/python bench/run.py --quick
    .venv/bin/python bench/run.py --only put --rounds 5

Both are started beside each other on loopback and loaded in interleaved rounds: what
the machine does meanwhile meets both alike, and a ratio is of two runs that followed
each other. The servers' data lies under ``--folder``, which should be on a real disk.
Absolute figures go into the JSON file only; they say more of the machine than of the
servers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from loads import KEYS, fan_out, load_keys, wrk
from table import BenchFailed, Figure, table

from kvd.testing.servers import (
    HOST,
    Make,
    Server,
    ServerFailed,
    cluster,
    free_ports,
    kill_all,
    lone_member,
    missing_tools,
    start_all,
)
from kvd.tls.generate import main as generate

RESULTS = Path(__file__).parent / "results"
NAMES = {1: "one member", 3: "three members"}
LOADS = {
    "PUT": ("PUT", ""),
    "GET": ("GET", ""),
    "quorum GET": ("GET", "?quorum=true"),
}


@attrs.frozen
class Size:
    """How much is measured."""

    rounds: int
    seconds: int
    connections: tuple[int, ...]
    watchers: int
    sets: int
    keys: int


FULL = Size(3, 4, (1, 64, 256), 1000, 10, 100_000)
QUICK = Size(2, 1, (64,), 200, 5, 20_000)


class Bench:
    """Runs the measurements that were asked for, and keeps their figures."""

    def __init__(self, size: Size, only: str, subject: Make, folder: Path) -> None:
        self._size = size
        self._only = only.lower()
        self._makes = {"etcd": Make.ETCD, "kvd": subject}
        self._folder = folder
        self.figures: list[Figure] = []

    def _wanted(self, name: str) -> bool:
        return self._only in name.lower()

    def run(self) -> None:
        for members in NAMES:
            self._requests(members)
        self._secured()
        self._fan_out()
        self._much_data()

    def _requests(self, members: int) -> None:
        rows = [
            (f"{load}, {count} connections, {NAMES[members]}", load, count)
            for load in LOADS
            for count in self._size.connections
        ]
        rows = [row for row in rows if self._wanted(row[0])]
        if not rows:
            return
        with self._servers(members) as servers:
            for server in servers.values():
                load_keys(server, KEYS)
            for name, load, count in rows:
                method, query = LOADS[load]

                def measure(
                    server: Server,
                    method: str = method,
                    query: str = query,
                    count: int = count,
                ) -> float:
                    return wrk(
                        server,
                        self._folder,
                        method,
                        connections=count,
                        seconds=self._size.seconds,
                        query=query,
                    ).rate

                self._rounds(name, "requests/s", servers, measure)

    def _secured(self) -> None:
        """Requests over TLS, and handshakes: a connection for each request."""
        count = 64
        rows = [
            (f"TLS {what}, {count} connections, one member", unit, method, anew)
            for what, unit, method, anew in (
                ("PUT", "requests/s", "PUT", False),
                ("GET", "requests/s", "GET", False),
                ("handshakes and GET", "handshakes/s", "GET", True),
            )
        ]
        rows = [row for row in rows if self._wanted(row[0])]
        if not rows:
            return
        certificates = self._folder / "certificates"
        generate([str(certificates)])
        with self._servers(1, certificates) as servers:
            for server in servers.values():
                load_keys(server, KEYS)
            for name, unit, method, anew in rows:

                def measure(
                    server: Server, method: str = method, anew: bool = anew
                ) -> float:
                    return wrk(
                        server,
                        self._folder,
                        method,
                        connections=count,
                        seconds=self._size.seconds,
                        url=str(server.options["listen-client-urls"]).partition(",")[0],
                        anew=anew,
                    ).rate

                self._rounds(name, unit, servers, measure)

    def _fan_out(self) -> None:
        name = f"one event to {self._size.watchers} long-polls, one member"
        if not self._wanted(name):
            return
        with self._servers(1) as servers:
            self._rounds(
                name,
                "deliveries/s",
                servers,
                lambda server: fan_out(server, self._size.watchers, self._size.sets),
            )

    def _much_data(self) -> None:
        memory = f"resident memory with {self._size.keys} keys, one member"
        restart = f"restart with {self._size.keys} keys, one member"
        if not (self._wanted(memory) or self._wanted(restart)):
            return
        with self._servers(1) as servers:
            for server in servers.values():
                load_keys(server, self._size.keys)
            self._rounds(
                memory,
                "bytes",
                servers,
                lambda server: float(server.resident_bytes()),
                less_is_better=True,
                rounds=1,
            )
            self._rounds(restart, "s", servers, _restart, less_is_better=True)

    def _rounds(
        self,
        name: str,
        unit: str,
        servers: dict[str, Server],
        measure: Callable[[Server], float],
        *,
        less_is_better: bool = False,
        rounds: int | None = None,
    ) -> None:
        figures: dict[str, list[float]] = {who: [] for who in servers}
        for number in range(rounds or self._size.rounds):
            # Who goes second finds a warmer machine: take turns.
            order = sorted(servers, reverse=bool(number % 2))
            for who in order:
                figures[who].append(measure(servers[who]))
        figure = Figure(
            name, unit, tuple(figures["etcd"]), tuple(figures["kvd"]), less_is_better
        )
        self.figures.append(figure)
        print(f"  {name}: {figure.ratio:.2f}", file=sys.stderr, flush=True)

    @contextmanager
    def _servers(
        self, members: int, certificates: Path | None = None
    ) -> Iterator[dict[str, Server]]:
        """
        Both clusters, started; of each the member that leads.

        :param certificates: a lone member has a second client port, over TLS, with
            these.
        """
        started: list[Server] = []
        leaders: dict[str, Server] = {}
        try:
            for who, make in self._makes.items():
                folder = Path(tempfile.mkdtemp(prefix=f"{who}-", dir=self._folder))
                servers = (
                    [lone_member(make, folder)]
                    if members == 1
                    else cluster(make, folder, members)
                )
                if certificates is not None:
                    _secure(servers[0], certificates)
                started.extend(servers)
                start_all(servers)
                leader = servers[0].leader_name()
                leaders[who] = next(each for each in servers if each.name == leader)
            yield leaders
        finally:
            kill_all(started)
            for server in started:
                shutil.rmtree(server.place.folder, ignore_errors=True)


def _secure(server: Server, certificates: Path) -> None:
    (port,) = free_ports(1)
    plain = server.options["listen-client-urls"]
    server.options |= {
        "listen-client-urls": f"https://{HOST}:{port},{plain}",
        "client-transport-security": {
            "cert-file": str(certificates / "server.pem"),
            "key-file": str(certificates / "server.key"),
        },
    }


def _restart(server: Server) -> float:
    index = server.etcd_index()
    server.stop()
    begin = time.perf_counter()
    server.start()
    server.wait_ready(index)
    return time.perf_counter() - begin


def _machine() -> dict[str, object]:
    return {
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="kvd beside etcd: a table of ratios")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--rounds", type=int, help="of each measurement")
    parser.add_argument(
        "--only", default="", metavar="NAME", help="rows with this word"
    )
    parser.add_argument(
        "--json", type=Path, default=RESULTS / "latest.json", metavar="FILE"
    )
    parser.add_argument(
        "--folder", type=Path, default=RESULTS, help="where servers keep their data"
    )
    parser.add_argument(
        "--subject",
        type=Make,
        default=Make.KVD,
        metavar="etcd|kvd",
        help="etcd: measure etcd against itself, to know the noise",
    )
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    missing = missing_tools("etcd", "wrk")
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    size = QUICK if arguments.quick else FULL
    if arguments.rounds:
        size = attrs.evolve(size, rounds=arguments.rounds)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bench = Bench(size, arguments.only, arguments.subject, Path(folder).resolve())
        try:
            bench.run()
        except (BenchFailed, ServerFailed) as failed:
            print(failed, file=sys.stderr)
            return 1
    if not bench.figures:
        print(f"nothing is called {arguments.only!r}", file=sys.stderr)
        return 2
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": _machine(),
        "size": attrs.asdict(size),
        "subject": arguments.subject.value,
        "figures": [figure.as_json() for figure in bench.figures],
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(bench.figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
