"""
What authentication costs kvd, and what a flood of wrong passwords costs the others.

Run from the root of the project::

    .venv/bin/python bench/auth.py --rounds 9

Each ratio is of two runs that followed each other, as in ``run.py``; here both are
kvd's. What a password costs is counted in requests for each second of the server's
processor time, which other programs disturb least. The flood comes from one address (127.0.0.2) and guesses at one user.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

from loads import KEYS, Clients, load_keys, wrk

from kvd.testing.servers import (
    HOST,
    Make,
    Server,
    kill_all,
    lone_member,
    missing_tools,
    start_all,
)

CONNECTIONS = 64
GUESSERS = 32
FLOOD_ADDRESS = "127.0.0.2"
SETTLE_SECONDS = 0.3


def basic(user: str, password: str = "pw") -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


def ask(
    server: Server, method: str, target: str, body: object = None, user: str = ""
) -> int:
    """The status of the answer."""
    connection = HTTPConnection(HOST, server.port, timeout=30)
    headers = {"Authorization": f"Basic {basic(user)}"} if user else {}
    data = None if body is None else json.dumps(body)
    connection.request(method, target, data, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def turn_on(server: Server, users: int) -> None:
    """Users who may read everything by a role of theirs, and the switch."""
    permissions = {"kv": {"read": ["/other/*", "/bench/*"], "write": []}}
    role = {"role": "reader", "permissions": permissions}
    ask(server, "PUT", "/v2/auth/roles/reader", role)
    for name in ["root", "ann", *(f"u{number}" for number in range(users))]:
        user = {"user": name, "password": "pw", "roles": ["reader"]}
        ask(server, "PUT", f"/v2/auth/users/{name}", user)
    assert ask(server, "PUT", "/v2/auth/enable") == 200


def guess(port: int, stop: object) -> None:
    """Wrong passwords for one user, each another, as many as are answered."""

    class Place:
        pass

    place = Place()
    place.port = port
    clients = Clients(place, GUESSERS, source=FLOOD_ADDRESS)
    number = 0

    def next_guess() -> bytes:
        nonlocal number
        number += 1
        field = basic("root", f"wrong{number}")
        return (
            "GET /v2/keys/bench/1/1 HTTP/1.1\r\nHost: bench\r\n"
            f"Authorization: Basic {field}\r\n\r\n"
        ).encode()

    for client in clients.sockets:
        client.sendall(next_guess())
    for client, data in clients.answers():
        if stop.is_set():
            break
        assert data.startswith((b"HTTP/1.1 401", b"HTTP/1.1 500")), data
        client.sendall(next_guess())
    clients.close()


class Flood:
    """A process that guesses while it is told to; in a ``with``."""

    def __init__(self, server: Server) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._process = context.Process(target=guess, args=(server.port, self._stop))

    def __enter__(self) -> Self:
        self._process.start()
        time.sleep(2)
        self.rest()
        return self

    def rest(self) -> None:
        os.kill(self._process.pid or 0, signal.SIGSTOP)
        time.sleep(SETTLE_SECONDS)

    def rage(self) -> None:
        os.kill(self._process.pid or 0, signal.SIGCONT)
        time.sleep(SETTLE_SECONDS)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.rage()
        self._process.join(30)


def first_look(server: Server, user: str) -> float:
    """Seconds until a right password that nobody has checked yet is believed."""
    began = time.perf_counter()
    assert ask(server, "GET", "/v2/keys/bench/1/1", user=user) in {200, 404}
    return time.perf_counter() - began


def row(name: str, ratios: list[float]) -> str:
    spread = f"{min(ratios):.2f} .. {max(ratios):.2f}"
    return f"{name:55}  {statistics.median(ratios):5.2f}  {spread}"


def measure(rounds: int, seconds: int, folder: Path) -> list[str]:
    off, on = (lone_member(Make.KVD, folder / name) for name in ("off", "on"))
    try:
        for server in (off, on):
            start_all([server])
            load_keys(server, KEYS)
        turn_on(on, 2 * rounds)
        first_look(on, "ann")

        def rate(server: Server, user: str = "", *, processor: bool = False) -> float:
            began = server.processor_seconds()
            load = wrk(
                server,
                folder,
                "GET",
                connections=CONNECTIONS,
                seconds=seconds,
                credentials=basic(user) if user else "",
            )
            if not processor:
                return load.rate
            return load.rate * seconds / (server.processor_seconds() - began)

        cost: list[float] = []
        for number in range(rounds):
            one, other = ((on, "ann"), (off, ""))[:: -1 if number % 2 else 1]
            got = {each[0]: rate(*each, processor=True) for each in (one, other)}
            cost.append(got[on] / got[off])
        flooded: list[float] = []
        first: list[float] = []
        with Flood(on) as flood:
            for number in range(rounds):
                calm, calm_first = rate(on, "ann"), first_look(on, f"u{2 * number}")
                flood.rage()
                flooded.append(rate(on, "ann") / calm)
                first.append(first_look(on, f"u{2 * number + 1}") / calm_first)
                flood.rest()
    finally:
        kill_all([off, on])
    return [
        row("GETs a processor second: with a password / switch off", cost),
        row("GETs with a password: during a flood / before", flooded),
        row("time for somebody's first password: the same", first),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="what authentication costs")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=1)
    arguments = parser.parse_args()
    missing = missing_tools("wrk")
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(arguments.rounds, arguments.seconds, Path(folder))
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
