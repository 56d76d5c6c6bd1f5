"""Clusters whose members come, move and go, and a writer that keeps book meanwhile."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import attrs

from kvd.testing.servers import (
    HOST,
    Make,
    Place,
    Server,
    cluster,
    free_ports,
    kill_all,
    start_all,
)

CHANGE_SECONDS = 30.0
_AGAIN_SECONDS = 0.1
_PAUSE_SECONDS = 0.005  # of the writer between two writes


def until(done: Callable[[], bool], what: str, seconds: float = CHANGE_SECONDS) -> None:
    """Wait for it, or fail."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)


class Growing:
    """
    One cluster.

    :ivar servers: by name, the members that belong to it.
    :ivar serving: those of them that serve clients.
    """

    def __init__(self, make: Make, folder: Path, size: int, **options: object) -> None:
        self._make = make
        self._folder = folder
        self._options = options
        self.servers = {
            server.name: server for server in cluster(make, folder, size, **options)
        }
        self.serving: list[Server] = []
        self.gone: list[Server] = []

    def start(self) -> None:
        start_all(list(self.servers.values()))
        self.serving = list(self.servers.values())

    def kill(self) -> None:
        kill_all([*self.servers.values(), *self.gone])

    # -- what its members say -------------------------------------------------------------

    def members(self, by: Server | None = None) -> dict[str, dict]:
        """By id, from this server or from any."""
        _, _, body = (by or self.anybody()).ask("/v2/members")
        return {each["id"]: each for each in json.loads(body)["members"]}

    def anybody(self, but: Sequence[Server] = ()) -> Server:
        """Some server that runs."""
        return next(
            each for each in self.servers.values() if each.running and each not in but
        )

    def id_of(self, name: str) -> str:
        (found,) = (
            member_id
            for member_id, member in self.members().items()
            if member["name"] == name
        )
        return found

    def leader(self) -> Server:
        """Waits until there is one that everybody sees."""
        names: list[str] = []

        def agreed() -> bool:
            names[:] = [s.leader_name() for s in self.servers.values() if s.running]
            return len(set(names)) == 1 and names[0] in self.servers

        until(agreed, "a leader")
        return self.servers[names[0]]

    def followers(self) -> list[Server]:
        leader = self.leader()
        return [server for server in self.servers.values() if server is not leader]

    # -- changes --------------------------------------------------------------------------

    def change(
        self,
        method: str,
        path: str,
        urls: Sequence[str] = (),
        but: Sequence[Server] = (),
    ) -> tuple[int, dict]:
        """
        Ask until it is not refused.

        While another change is under way, as a promotion may be, a change is refused
        with 500, and an operator asks again.
        """
        # What is passed on to a leader that is just going is waited for in vain.
        self.leader()
        answers: list[tuple[int, dict]] = []

        def answered() -> bool:
            answers.append(ask_change(self.anybody(but), method, path, urls))
            return answers[-1][0] != 500

        until(answered, f"{method} {path} {urls}")
        return answers[-1]

    def add(self, name: str, *, urls: Sequence[str] = ()) -> Server:
        """Add a member at a free address, or at these URLs; it is not started."""
        client_port, peer_port = free_ports(2)
        own = f"http://{HOST}:{peer_port}"
        status, told = self.change("POST", "/v2/members", urls or [own])
        assert status == 201, told
        known = [
            f"{member['name'] or name}={url}"
            for member in self.members().values()
            for url in member["peerURLs"]
            if member["name"] or member["id"] == told["id"]
        ]
        server = Server(
            self._make,
            Place(self._folder / name, client_port, peer_port),
            {
                "name": name,
                "data-dir": str(self._folder / name / "data"),
                "listen-client-urls": f"http://{HOST}:{client_port}",
                "advertise-client-urls": f"http://{HOST}:{client_port}",
                "listen-peer-urls": own,
                "initial-advertise-peer-urls": own,
                "initial-cluster": ",".join(known),
                "initial-cluster-state": "existing",
                **self._options,
            },
        )
        self.servers[name] = server
        return server

    def join(self, name: str) -> Server:
        """Add a member, start it, and wait until it serves and votes."""
        server = self.add(name)
        server.start()
        server.wait_ready()
        self.serving.append(server)
        until(lambda: votes(server), f"{name} votes")
        return server

    def remove(self, name: str) -> Server:
        """Take a member out; whether it stops by itself is for the caller to see."""
        server = self.servers[name]
        member_id = self.id_of(name)
        if server in self.serving:
            self.serving.remove(server)
        status, told = self.change("DELETE", f"/v2/members/{member_id}", but=[server])
        assert status == 204, told
        del self.servers[name]
        self.gone.append(server)
        return server


def ask_change(
    server: Server, method: str, path: str, urls: Sequence[str] = ()
) -> tuple[int, dict]:
    """Status and document; 500 when nobody answers."""
    body = json.dumps({"peerURLs": urls}) if urls else None
    kind = {"Content-Type": "application/json"} if urls else {}
    connection = HTTPConnection(HOST, server.port, timeout=CHANGE_SECONDS)
    try:
        connection.request(method, path, body, kind)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException):
        return 500, {}
    finally:
        connection.close()
    return answer.status, json.loads(content) if content else {}


def votes(server: Server) -> bool:
    """Whether it is no learner any more."""
    _, _, body = server.ask("/metrics")
    return b"\netcd_server_is_learner 0" in body


def exit_status(server: Server, seconds: float = CHANGE_SECONDS) -> int:
    """Of a member that ends by itself."""
    assert server._process is not None
    return server._process.wait(seconds)


@attrs.define
class Written:
    """What a writer saw: acknowledged values by key, and every status."""

    values: dict[str, str] = attrs.Factory(dict)
    statuses: dict[int, int] = attrs.Factory(dict)


@contextlib.contextmanager
def writing(servers: Sequence[Server]) -> Iterator[Written]:
    """
    One key after the other, at one server after the other, until the block ends.

    :param servers: may change meanwhile, but is never empty.
    """
    written = Written()
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            server = servers[number % len(servers)]
            key, value = f"/w/{number % 300}", str(number)
            status, _, _ = server.ask(f"/v2/keys{key}", "PUT", f"value={value}")
            written.statuses[status] = written.statuses.get(status, 0) + 1
            if status in {200, 201}:
                written.values[key] = value
            else:
                written.values.pop(key, None)  # nobody knows which one is there
            number += 1
            time.sleep(_PAUSE_SECONDS)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield written
    finally:
        stop.set()
        writer.join()


def check_all_there(written: Written, server: Server) -> None:
    """Everything that was acknowledged, by a linearized read."""
    status, _, body = server.ask("/v2/keys/w?quorum=true")
    assert status == 200
    nodes = json.loads(body)["node"]["nodes"]
    there = {node["key"]: node["value"] for node in nodes}
    lost = {k: v for k, v in written.values.items() if there.get(k) != v}
    assert not lost
    assert len(written.values) > 20
    # 500: nobody led for a moment; 0: a member that died did not answer.
    assert not set(written.statuses) - {0, 200, 201, 500}, written.statuses
