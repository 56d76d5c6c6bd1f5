"""
Members that are killed and frozen under writers, and the book of what was promised.

Every promise is kept: an acknowledged write is there on every member at the end, at the
index that its answer named; an acknowledged compare-and-swap happened once; a quorum
read after an acknowledged write sees it; a watch misses nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote

import attrs

from kvd.testing.servers import FORM, HOST, Server

ANSWER_SECONDS = 4.0
PAUSE_SECONDS = 0.01  # of each writer between two requests


@attrs.frozen
class Answer:
    """What came back; status 0 when nobody knows whether it happened."""

    status: int
    etcd_index: int
    body: dict

    @property
    def node(self) -> dict:
        return self.body["node"]


class Client:
    """One keep-alive connection at a time, hopping to another member on trouble."""

    def __init__(self, ports: Sequence[int], chance: random.Random) -> None:
        self._ports = list(ports)
        self._chance = chance
        self._port = chance.choice(self._ports)
        self._connection: HTTPConnection | None = None

    def hop(self) -> None:
        self.close()
        self._port = self._chance.choice(self._ports)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(
        self, method: str, path: str, seconds: float = ANSWER_SECONDS, **form: object
    ) -> Answer:
        """One try; never a second one, which could do a write twice."""
        body = "&".join(f"{name}={quote(str(form[name]))}" for name in form) or None
        if self._connection is None:
            self._connection = HTTPConnection(HOST, self._port, timeout=seconds)
        try:
            self._connection.request(method, path, body, FORM if body else {})
            answer = self._connection.getresponse()
            content = answer.read()
            parsed = json.loads(content)
        except (OSError, HTTPException, ValueError):
            self.hop()
            return Answer(0, 0, {})
        if answer.status >= 500:
            self.hop()
        index = int(answer.getheader("X-Etcd-Index") or 0)
        return Answer(answer.status, index, parsed)


class Book:
    """What was promised, by whom it was heard, and what was found broken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.writes: dict[str, tuple[str, int]] = {}
        self.tried: dict[str, str] = {}
        self.swaps: dict[int, int] = {}
        self.posts: dict[str, tuple[str, int]] = {}
        self.watched: dict[int, str] = {}
        self.watch_passed = 0
        self.streams: list[tuple[int, list[int]]] = []
        self.problems: list[str] = []
        self.kills = 0
        self.leader_kills = 0
        self.freezes = 0

    def note(self, change: Callable[[Book], None]) -> None:
        with self._lock:
            change(self)

    def problem(self, text: str) -> None:
        self.note(lambda book: book.problems.append(text))


class Torture:
    """
    :param servers: a started cluster, with ``event-history`` large enough for all.
    :param seed: of everything that is chosen; what the threads make of it is the
        machine's.
    """

    def __init__(self, servers: Sequence[Server], *, seed: int, seconds: float) -> None:
        self.servers = list(servers)
        self.seed = seed
        self.seconds = seconds
        self.book = Book()
        self._ports = [server.port for server in servers]
        self._over = threading.Event()
        self._clients: list[Client] = []

    def chance(self, role: str) -> random.Random:
        return random.Random(f"{self.seed} {role}")

    def run(self) -> Book:
        """Everything; returns when the members are whole and quiet again."""
        roles: list[tuple[str, Callable[[random.Random], None]]] = [
            *((f"writer{number}", self._write(number)) for number in range(4)),
            ("swapper0", self._swap),
            ("swapper1", self._swap),
            ("poster", self._post),
            ("watcher", self._watch),
            ("streamer", self._stream),
        ]
        threads = [
            threading.Thread(target=self._guard, args=(name, act), daemon=True)
            for name, act in roles
        ]
        for thread in threads:
            thread.start()
        try:
            self._disturb(self.chance("nemesis"))
        finally:
            self._over.set()
            for thread in threads:
                thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        for client in self._clients:
            client.close()
        return self.book

    def _guard(self, name: str, act: Callable[[random.Random], None]) -> None:
        try:
            act(self.chance(name))
        except Exception as problem:
            self.book.problem(f"{name} broke: {problem!r}")

    # -- what is done to the members -----------------------------------------------

    def _disturb(self, chance: random.Random) -> None:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and not self.book.problems:
            time.sleep(chance.uniform(0.2, 1.0))
            leader = next(
                (each for each in self.servers if each.leader_name() == each.name), None
            )
            victims = chance.sample(self.servers, 2)
            if leader is not None and chance.random() < 0.75:
                victims.remove(leader) if leader in victims else victims.pop()
                victims.insert(0, leader)
            if chance.random() < 0.2:
                self._freeze(victims[0], chance.uniform(0.3, 3.0))
                continue
            count = 2 if chance.random() < 0.2 else 1
            for victim in victims[:count]:
                victim.kill()
                self.book.kills += 1
                self.book.leader_kills += victim is leader
            time.sleep(chance.uniform(0.0, 1.5))
            for victim in victims[:count]:
                victim.start()
            # Most of the time until it serves, now and then not: killed while it starts.
            if chance.random() < 0.8:
                for victim in victims[:count]:
                    victim.wait_ready()
        for server in self.servers:
            server.wait_ready()

    def _freeze(self, victim: Server, seconds: float) -> None:
        """Stop the process as a hypervisor does; it wakes with an old view."""
        os.kill(victim.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(victim.pid, signal.SIGCONT)
        self.book.freezes += 1

    # -- what clients do -----------------------------------------------------------

    def _client(self, chance: random.Random) -> Client:
        self._clients.append(Client(self._ports, chance))
        return self._clients[-1]

    def _going(self) -> bool:
        return not self._over.wait(PAUSE_SECONDS)

    def _write(self, number: int) -> Callable[[random.Random], None]:
        def write(chance: random.Random) -> None:
            client, other = self._client(chance), self._client(chance)
            serial = 0
            while self._going():
                serial += 1
                key = f"/torture/w{number}/{serial}"
                value = f"{number}-{serial}-" + "x" * chance.randrange(4000)
                self.book.note(lambda book: book.tried.update({key: value}))
                answer = client.ask("PUT", f"/v2/keys{key}", value=value)
                if answer.status not in (200, 201):
                    continue
                index = answer.node["modifiedIndex"]
                self.book.note(lambda book: book.writes.update({key: (value, index)}))
                if serial % 5 == 0:
                    other.hop()
                    seen = other.ask("GET", f"/v2/keys{key}?quorum=true")
                    if seen.status not in (0, 200, 500, 503, 504):
                        self.book.problem(f"{key} acknowledged, then read as {seen}")
                    if seen.status == 200 and seen.node["value"] != value:
                        self.book.problem(f"{key} acknowledged, then read as {seen}")
                if serial % 20 == 0:
                    client.hop()

        return write

    def _swap(self, chance: random.Random) -> None:
        """Count upwards by compare-and-swap; each number is reached once."""
        client = self._client(chance)
        path = "/v2/keys/torture-counter"
        while self._going():
            seen = client.ask("GET", f"{path}?quorum=true")
            if seen.status == 404:
                client.ask("PUT", f"{path}?prevExist=false", value=0)
            if seen.status != 200:
                continue
            now = int(seen.node["value"])
            answer = client.ask("PUT", f"{path}?prevValue={now}", value=now + 1)
            if answer.status == 200:
                index = answer.node["modifiedIndex"]

                def note(
                    book: Book, reached: int = now + 1, index: int = index
                ) -> None:
                    if reached in book.swaps:
                        book.problems.append(f"the counter reached {reached} twice")
                    book.swaps[reached] = index

                self.book.note(note)

    def _post(self, chance: random.Random) -> None:
        client = self._client(chance)
        serial = 0
        while self._going():
            serial += 1
            answer = client.ask("POST", "/v2/keys/torture-queue", value=serial)
            if answer.status == 201:
                key, index = answer.node["key"], answer.node["modifiedIndex"]

                def note(
                    book: Book, key: str = key, index: int = index, value: int = serial
                ) -> None:
                    if key in book.posts:
                        book.problems.append(f"{key} was given out twice")
                    book.posts[key] = (str(value), index)

                self.book.note(note)

    def _watch(self, chance: random.Random) -> None:
        """Follow one writer by long polls, on whichever member answers."""
        client = self._client(chance)
        wanted = 1
        while not self._over.is_set():
            answer = client.ask(
                "GET",
                f"/v2/keys/torture/w0?wait=true&recursive=true&waitIndex={wanted}",
                seconds=1.0,
            )
            if answer.status == 0 or answer.status >= 500:
                continue
            if answer.status != 200:
                self.book.problem(f"the watch from {wanted} was answered {answer}")
                return
            index = answer.node["modifiedIndex"]
            if index < wanted:
                self.book.problem(f"the watch from {wanted} got {index}")
            self.book.watched[index] = answer.node["key"]
            self.book.watch_passed = index
            wanted = index + 1

    def _stream(self, chance: random.Random) -> None:
        """Follow another writer by streams; a new one begins at the present."""
        path = "/v2/keys/torture/w1?wait=true&recursive=true&stream=true"
        while not self._over.wait(PAUSE_SECONDS):
            connection = HTTPConnection(HOST, chance.choice(self._ports), timeout=2)
            with (
                contextlib.closing(connection),
                contextlib.suppress(OSError, HTTPException, ValueError),
            ):
                connection.request("GET", path)
                answer = connection.getresponse()
                if answer.status != 200:
                    continue
                seen: list[int] = []
                start = int(answer.getheader("X-Etcd-Index") or 0)
                self.book.streams.append((start, seen))
                while not self._over.is_set() and (line := answer.readline()):
                    seen.append(json.loads(line)["node"]["modifiedIndex"])


def tree(server: Server) -> tuple[int, dict[str, dict]]:
    """The etcd index and all leaves of one member, by key."""
    connection = HTTPConnection(HOST, server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/v2/keys/?recursive=true&sorted=true")
        answer = connection.getresponse()
        body = json.loads(answer.read())
    leaves: dict[str, dict] = {}
    waiting = [body["node"]]
    while waiting:
        node = waiting.pop()
        if node.get("dir"):
            waiting.extend(node.get("nodes", ()))
        else:
            leaves[node["key"]] = node
    return int(answer.getheader("X-Etcd-Index") or 0), leaves


def settled(
    servers: Sequence[Server], seconds: float = 20.0
) -> list[tuple[int, dict[str, dict]]]:
    """The trees of all members once they are equal; as they are when time is up."""
    end = time.monotonic() + seconds
    while True:
        trees = [tree(server) for server in servers]
        if all(each == trees[0] for each in trees) or time.monotonic() > end:
            return trees
        time.sleep(0.2)


def broken_promises(book: Book, leaves: dict[str, dict]) -> list[str]:
    """What the book says and the tree does not."""
    problems = list(book.problems)
    for key, (value, index) in [*book.writes.items(), *book.posts.items()]:
        node = leaves.get(key)
        if node is None or (node["value"], node["modifiedIndex"]) != (value, index):
            problems.append(
                f"{key}={value} at {index} was acknowledged, there is {node}"
            )
    for key, node in leaves.items():
        if key.startswith("/torture/") and book.tried.get(key) != node["value"]:
            problems.append(f"{node} was never written")
    counter = int(leaves["/torture-counter"]["value"]) if book.swaps else 0
    if book.swaps and counter < max(book.swaps):
        problems.append(f"the counter is {counter}, {max(book.swaps)} was acknowledged")
    indexes = [index for _, index in [*book.writes.values(), *book.posts.values()]]
    indexes += book.swaps.values()
    if len(set(indexes)) != len(indexes):
        problems.append("two acknowledged writes have the same index")
    for key, (_, index) in book.writes.items():
        missed = index <= book.watch_passed and index not in book.watched
        if key.startswith("/torture/w0/") and missed:
            problems.append(f"the watch passed {index} and did not see {key}")
    written = {
        index
        for key, (_, index) in book.writes.items()
        if key.startswith("/torture/w1/")
    }
    for start, seen in book.streams:
        if seen != sorted(set(seen)) or (seen and seen[0] <= start):
            problems.append(f"a stream after {start} went {seen}")
        passed = {each for each in written if start < each <= max(seen, default=0)}
        if passed - set(seen):
            problems.append(f"a stream after {start} did not see {passed - set(seen)}")
    return problems
