"""
Servers that answer as no v2 server does: what clients make of them.

The first segment of a path says how; behind it is what was asked for.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON = "application/json"
EVENT = b'{"action":"get","node":{"key":"/odd","value":"v"}}\n'
# Status, headers, body.
PLAIN = {
    "500": (500, {}, b'{"errorCode":300,"message":"Raft Internal Error","index":1}'),
    "502": (502, {}, b"<html>bad gateway</html>"),
    "503": (503, {}, b""),
    "599": (599, {}, b""),
    "404": (404, {}, b"404 page not found\n"),
    "401": (401, {}, b'{"message":"Insufficient credentials"}'),
    "403": (403, {}, b'{"errorCode":"x"}'),
    "418": (418, {}, b"{}"),
    "200": (200, {}, EVENT),
    "201": (201, {"X-Etcd-Index": "7"}, EVENT),
    "204": (204, {}, b""),
    "empty": (200, {}, b""),
    "text": (200, {}, b"not json"),
    "list": (200, {}, b"[]"),
    "null": (200, {}, b"null"),
    "half": (200, {}, b'{"action":"get","node":{"key":'),
    "numbers": (200, {}, b'{"action":5,"node":{"key":"/odd"}}'),
    "surrogate": (200, {}, b'{"action":"get","node":{"key":"/o","value":"\\ud800"}}'),
    "raw": (200, {}, b'{"action":"get","node":{"key":"/o","value":"\xff\xfe"}}'),
    "more": (
        200,
        {"X-Etcd-Index": "9"},
        b'{"action":"get","other":[],"node":{"key":"/o","value":"v","extra":{}}}',
    ),
    "lost": (302, {}, b""),
    "circle": (302, {"Location": "{base}/circle/again"}, b""),
    "here": (307, {"Location": "/whoami"}, b""),
    "there": (307, {"Location": "{base}/whoami"}, b""),
    "moved": (307, {"Location": "{base}/200/moved"}, b""),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        how = self.path.split("/")[1]
        if how in PLAIN:
            self._plain(*PLAIN[how])
        else:
            getattr(self, f"_{how}")()

    do_PUT = do_POST = do_DELETE = do_GET

    def _plain(self, status: int, headers: dict[str, str], body: bytes) -> None:
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        if self.path.startswith("/there"):
            base = base.replace("127.0.0.1", "localhost")
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text.replace("{base}", base))
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def _closes(self) -> None:
        self.close_connection = True

    def _cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(EVENT)
        self.close_connection = True

    def _chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (EVENT[:10], EVENT[10:], b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _torn(self) -> None:
        """Chunks without an end."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
        self.close_connection = True

    def _old(self) -> None:
        """HTTP/1.0, whose body ends with the connection."""
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + EVENT)
        self.close_connection = True

    def _garbage(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH\r\n")
        self.close_connection = True

    def _silent(self) -> None:
        """Headers, but no body."""
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.server.ending.wait()

    def _whoami(self) -> None:
        """The credentials that came with it are the value."""
        given = self.headers.get("Authorization", "nobody")
        document = {"action": "get", "node": {"key": "/who", "value": given}}
        self._plain(200, {}, json.dumps(document).encode())

    def _never(self) -> None:
        self.server.ending.wait()

    def log_message(self, *_: object) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self) -> None:
        self.ending = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: object) -> None:
        """A client went away."""

    def shutdown_request(self, request: socket.socket) -> None:
        self.close_request(request)


@contextmanager
def odd_server() -> Iterator[str]:
    """Its URL, while it runs."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.ending.set()
            server.shutdown()
            thread.join()
