"""
Those who mean no good, or do not know better: each bothers one port, again and again.

An attack is one visit; it returns what came of it, one word for the counts. Whatever
a server says to it must be HTTP with a status of 200 to 499 (or 501, 503, 505), an AMP
or TLS refusal, or nothing.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable

HOST = "127.0.0.1"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d)")
_FINE = {*range(100, 500), 501, 503, 505}
LINE = b"PUT /v2/keys/fuzz HTTP/1.1\r\nHost: h\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
GET = b"GET /v2/keys/ HTTP/1.1\r\nHost: h\r\n\r\n"

Attack = Callable[["Visit"], str]


class Visit:
    """One connection to a port, with a source of chance."""

    def __init__(self, port: int, chance: random.Random, seconds: float = 3.0) -> None:
        self.chance = chance
        self.socket = socket.create_connection((HOST, port), timeout=seconds)

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def hear(self, size: int = 4096) -> bytes:
        """What comes until the other side closes, has said enough, or says nothing."""
        heard = b""
        try:
            while len(heard) < size:
                data = self.socket.recv(4096)
                if not data:
                    break
                heard += data
        except (TimeoutError, ConnectionError):
            pass
        return heard

    def answer(self) -> str:
        """What an HTTP server said: its statuses must be what clients deserve."""
        heard = self.hear()
        for status in map(int, _STATUS.findall(heard)):
            if status not in _FINE:
                raise AssertionError(f"status {status}: {heard[:300]!r}")
        found = _STATUS.search(heard)
        return found[1].decode() if found else "closed"


# -- the clients' port ------------------------------------------------------------------


def random_bytes(visit: Visit) -> str:
    visit.say(visit.chance.randbytes(visit.chance.randrange(1, 5000)))
    visit.socket.shutdown(socket.SHUT_WR)
    return visit.answer()


def smuggled(visit: Visit) -> str:
    head = visit.chance.choice(
        [
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: 5\r\nContent-Length: 6\r\n",
            b"Content-Length: +5\r\n",
            b"Content-Length: 5, 5\r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: 18446744073709551616\r\n",
            b"Transfer-Encoding: chunked, identity\r\n",
            b"Transfer-Encoding : chunked\r\n",
            b"Transfer-Encoding:\x0bchunked\r\n",
        ]
    )
    visit.say(
        LINE, FORM, head, b"\r\n", b"0\r\n\r\nDELETE /v2/keys/kept HTTP/1.1\r\n\r\n"
    )
    visit.socket.shutdown(socket.SHUT_WR)
    return visit.answer()


def strange_target(visit: Visit) -> str:
    chance = visit.chance
    target = chance.choice(
        [
            b"/v2/keys/%zz",
            b"/v2/keys/%00%ff%fe",
            b"/v2/keys/\xff\xfe\x00",
            b"/v2/keys" + b"/d" * chance.randrange(1, 20_000),
            b"/v2/keys/" + b"x" * chance.randrange(1, 60_000),
            b"/v2/keys/..%2f..%2f..%2fetc/passwd",
            b"/v2/keys/a?ttl=" + b"9" * 6000,
            b"/v2/keys/a?prevIndex=1_000&waitIndex=%EF%BC%91",
            b"*",
            b"http://[::1/v2/keys",
        ]
    )
    method = chance.choice([b"GET", b"PUT", b"DELETE", b"POST", b"HEAD", b"BREW"])
    visit.say(
        method, b" ", target, b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )
    return visit.answer()


def endless_headers(visit: Visit) -> str:
    try:
        visit.say(LINE)
        for number in range(40_000):
            visit.say(b"X-%d: %s\r\n" % (number, b"y" * 90))
    except (TimeoutError, ConnectionError):
        return "cut"
    return visit.answer()


def slow_header(visit: Visit) -> str:
    """A byte now and then, past the deadline; the socket's time-out ends it."""
    try:
        for byte in LINE * 3:
            visit.say(bytes([byte]))
            visit.socket.settimeout(0.2)
            try:
                if not visit.socket.recv(4096):
                    return "closed"
                return "408"
            except TimeoutError:
                continue
    except ConnectionError:
        return "closed"
    raise AssertionError("a slow header was waited for")


def half_a_body(visit: Visit) -> str:
    visit.say(LINE, FORM, b"Content-Length: 1000\r\n\r\nvalue=half")
    return visit.answer()


def large_body(visit: Visit) -> str:
    try:
        visit.say(LINE, FORM, b"Content-Length: 12000000\r\n\r\n")
        for _ in range(120):
            visit.say(b"v" * 100_000)
    except (TimeoutError, ConnectionError):
        pass
    return visit.answer()


def deep_json(visit: Visit) -> str:
    body = b"[" * 20_000
    visit.say(
        b"POST /v2/members HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body),
        body,
    )
    return visit.answer()


def pipelined(visit: Visit) -> str:
    """Many requests, and no wish to read what they bring."""
    try:
        for _ in range(50):
            visit.say(GET * 40)
    except (TimeoutError, ConnectionError):
        return "held back"
    return visit.answer()


def wrong_password(visit: Visit) -> str:
    visit.say(
        b"GET /v2/keys/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        b"Authorization: Basic %b\r\n\r\n" % visit.chance.randbytes(40).hex().encode()
    )
    return visit.answer()


# -- the port with TLS ------------------------------------------------------------------


def no_handshake(visit: Visit) -> str:
    visit.say(visit.chance.randbytes(visit.chance.randrange(1, 2000)))
    return "closed" if len(visit.hear()) < 100 else "told"


def half_a_hello(visit: Visit) -> str:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + visit.chance.randbytes(
        200
    )
    visit.say(hello[: visit.chance.randrange(1, len(hello))])
    visit.socket.shutdown(socket.SHUT_WR)
    visit.hear()
    return "closed"


# -- the members' port ------------------------------------------------------------------


def _box(**values: bytes) -> bytes:
    parts = [
        struct.pack(">H", len(part)) + part
        for name, value in values.items()
        for part in (name.encode(), value)
    ]
    return b"".join(parts) + b"\0\0"


def strange_box(visit: Visit) -> str:
    chance = visit.chance
    number = struct.pack(">Q", chance.randrange(1 << 64))
    box = chance.choice(
        [
            _box(_command=b"Hello", _ask=b"1"),
            _box(_command=b"Hello", _ask=b"1", newest=b"x", oldest=b""),
            _box(
                _command=b"Hello",
                _ask=b"1",
                newest=struct.pack(">Q", 1),
                oldest=struct.pack(">Q", 1),
                cluster=number,
                member=number,
                expected=number,
                purpose=b"messages",
                ping_milliseconds=number,
            ),
            _box(_command=b"Batch", piece=chance.randbytes(100)),
            _box(_command=b"SnapshotStart", _ask=b"2", message=b"", size=number),
            _box(_answer=b"1", _error=b"x"),
            _box(**{f"k{n}": b"v" for n in range(60)}),
            b"\x01\x00" + b"k" * 256,
            b"\xff\xff" * 10,
        ]
    )
    visit.say(box, chance.randbytes(chance.randrange(200)))
    visit.hear()
    return "closed"


CLIENT: tuple[Attack, ...] = (
    random_bytes,
    smuggled,
    strange_target,
    endless_headers,
    slow_header,
    half_a_body,
    large_body,
    deep_json,
    pipelined,
    wrong_password,
)
SECURE: tuple[Attack, ...] = (no_handshake, half_a_hello)
PEER: tuple[Attack, ...] = (strange_box, no_handshake)


class Attacker(threading.Thread):
    """Visits a port with the given attacks until it is told to end."""

    def __init__(self, port: int, attacks: tuple[Attack, ...], seed: int) -> None:
        super().__init__()
        self._port = port
        self._attacks = attacks
        self._chance = random.Random(seed)
        self._ending = threading.Event()
        self.counts: Counter[str] = Counter()
        self.trouble: list[str] = []

    def run(self) -> None:
        while not self._ending.is_set() and not self.trouble:
            attack = self._chance.choice(self._attacks)
            try:
                visit = Visit(self._port, self._chance)
            except OSError:
                self.counts["not let in"] += 1
                continue
            try:
                self.counts[f"{attack.__name__}: {attack(visit)}"] += 1
            except (TimeoutError, ConnectionError, BrokenPipeError):
                self.counts[f"{attack.__name__}: cut"] += 1
            except OSError as problem:
                self.counts[f"{attack.__name__}: {problem.strerror}"] += 1
            except AssertionError as problem:
                self.trouble.append(f"{attack.__name__}: {problem}")
            finally:
                visit.socket.close()

    def end(self) -> None:
        self._ending.set()
        self.join(60)
