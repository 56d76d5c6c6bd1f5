"""The loads: wrk for requests, and small clients of our own for keys and watchers."""

from __future__ import annotations

import selectors
import socket
import subprocess
import time
from pathlib import Path

from table import BenchFailed, Load, read_wrk

from kvd.testing.servers import HOST, Server

KEYS = 10_000
VALUE = "v" * 64
PATIENCE_SECONDS = 60.0
# Requests are made before the clock runs, so that making them costs nothing.
SCRIPT = """
local method, keys, value, query = "{method}", {keys}, "{value}", "{query}"
local requests, headers, body = {{}}, {{}}, nil
function init(args)
  if "{credentials}" ~= "" then
    headers["Authorization"] = "Basic {credentials}"
  end
  if "{connection}" ~= "" then
    headers["Connection"] = "{connection}"
  end
  if method == "PUT" then
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    body = "value=" .. value
  end
  for key = 0, keys - 1 do
    local path = "/v2/keys/bench/" .. (key % 100) .. "/" .. key .. query
    requests[key] = wrk.format(method, path, headers, body)
  end
  math.randomseed(os.time() + tonumber(tostring({{}}):sub(8), 16) % 65536)
end
function request()
  return requests[math.random(0, keys - 1)]
end
"""


def path_of(key: int) -> str:
    """As the script has it: a hundred directories, so that none is very large."""
    return f"/v2/keys/bench/{key % 100}/{key}"


def wrk(
    server: Server,
    folder: Path,
    method: str,
    *,
    connections: int,
    seconds: int,
    query: str = "",
    credentials: str = "",
    url: str = "",
    anew: bool = False,
) -> Load:
    """
    Requests to random keys, as many as it can answer.

    :param credentials: name and password, in base64.
    :param url: in place of the server's own.
    :param anew: each request on a connection of its own.
    """
    script = folder / f"{method.lower()}{len(query)}{len(credentials)}{anew}.lua"
    script.write_text(
        SCRIPT.format(
            method=method,
            keys=KEYS,
            value=VALUE,
            query=query,
            credentials=credentials,
            connection="close" if anew else "",
        ),
        encoding="ascii",
    )
    command = [
        "wrk", "--latency", "--threads", "1", "--connections", str(connections),
        "--duration", f"{seconds}s", "--timeout", "10s", "--script", str(script),
        url or server.url,
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    if done.returncode:
        raise BenchFailed(f"wrk failed:\n{done.stdout}{done.stderr}")
    return read_wrk(done.stdout)


def load_keys(server: Server, count: int, connections: int = 64) -> None:
    """Set every key once."""
    requests = iter(
        (
            f"PUT {path_of(key)} HTTP/1.1\r\nHost: bench\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(VALUE) + 6}\r\n\r\nvalue={VALUE}"
        ).encode()
        for key in range(count)
    )
    clients = Clients(server, min(connections, count))
    try:
        for client in clients.sockets:
            client.sendall(next(requests))
        left = count
        for client, data in clients.answers():
            if not data.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200")):
                raise BenchFailed(f"a key was refused: {data!r}")
            left -= 1
            if not left:
                break
            request = next(requests, None)
            if request is not None:
                client.sendall(request)
    finally:
        clients.close()


def fan_out(server: Server, watchers: int, sets: int) -> float:
    """
    Events delivered a second to long-polls that all wait for one key.

    Timed from each set until the last watcher has its event; making the watchers
    anew between two sets is not.
    """
    poll = b"GET /v2/keys/fan?wait=true HTTP/1.1\r\nHost: bench\r\n\r\n"
    change = (
        b"PUT /v2/keys/fan HTTP/1.1\r\nHost: bench\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 7\r\n\r\nvalue=1"
    )
    clients = Clients(server, watchers)
    writer = socket.create_connection((HOST, server.port), PATIENCE_SECONDS)
    spent = 0.0
    try:
        for _ in range(sets):
            for client in clients.sockets:
                client.sendall(poll)
            clients.until_each(b"\r\n\r\n", count=1)
            begin = time.perf_counter()
            writer.sendall(change)
            clients.until_each(b"0\r\n\r\n", count=1)
            spent += time.perf_counter() - begin
            writer.recv(65536)
    finally:
        clients.close()
        writer.close()
    return watchers * sets / spent


class Clients:
    """Many connections of one thread."""

    def __init__(self, server: Server, count: int, source: str = HOST) -> None:
        self._selector = selectors.DefaultSelector()
        self.sockets: list[socket.socket] = []
        for _ in range(count):
            client = socket.create_connection(
                (HOST, server.port), PATIENCE_SECONDS, (source, 0)
            )
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(client, selectors.EVENT_READ)
            self.sockets.append(client)

    def close(self) -> None:
        self._selector.close()
        for client in self.sockets:
            client.close()

    def answers(self):
        """What comes, piece by piece, with whom it came to, for ever."""
        while True:
            ready = self._selector.select(PATIENCE_SECONDS)
            if not ready:
                raise BenchFailed("no answer came")
            for key, _ in ready:
                data = key.fileobj.recv(65536)
                if not data:
                    raise BenchFailed("a connection was closed")
                yield key.fileobj, data

    def until_each(self, end: bytes, count: int) -> None:
        """Read until everybody has seen ``end`` so often."""
        seen = dict.fromkeys(self.sockets, b"")
        left = len(seen)
        for client, data in self.answers():
            before = seen[client].count(end) >= count
            seen[client] += data
            if not before and seen[client].count(end) >= count:
                left -= 1
                if not left:
                    return
