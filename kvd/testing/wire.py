"""A small HTTP/1.1 client that hides nothing: what came over the wire, as it came."""

from __future__ import annotations

import socket
from typing import NamedTuple

HOST = "127.0.0.1"
PROBE = b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"


class Answer(NamedTuple):
    """
    One response.

    :ivar status: the whole first line.
    :ivar headers: in wire order, as spelt.
    :ivar framing: how the end of the body was told: length, chunked, close or none.
    :ivar chunks: the body's pieces (one, unless it was chunked).
    :ivar complete: False when the connection ended, or nothing came, before its end.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    framing: str
    chunks: tuple[bytes, ...]
    complete: bool

    @property
    def code(self) -> int:
        return int(self.status.split()[1])

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def header(self, name: str) -> str | None:
        """The first value of a header, spelt exactly so."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Closed(Exception):
    """The other side ended the connection where an answer was expected."""


class Silent(Exception):
    """Nothing came in time where an answer was expected."""


class Connection:
    """A blocking connection; every read waits ``timeout_seconds`` at most."""

    def __init__(self, port: int, timeout_seconds: float = 10.0) -> None:
        self._socket = socket.create_connection((HOST, port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timeout_seconds = timeout_seconds
        self._held = b""

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return  # what was answered before is still to be read

    def finish_sending(self) -> None:
        """Half-close: no more requests come."""
        self._socket.shutdown(socket.SHUT_WR)

    def _more(self) -> None:
        try:
            data = self._socket.recv(1 << 20)
        except TimeoutError:
            raise Silent(f"only {self._held!r} came") from None
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(f"closed after {self._held!r}")
        self._held += data

    def _line(self) -> bytes:
        while b"\r\n" not in self._held:
            self._more()
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            self._more()
        data, self._held = self._held[:size], self._held[size:]
        return data

    def read_head(self, timeout_seconds: float | None = None) -> Answer:
        """Status line and headers; the body is left to come."""
        self._socket.settimeout(timeout_seconds or self._timeout_seconds)
        status = self._line().decode("latin-1")
        headers: list[tuple[str, str]] = []
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name, value.removeprefix(" ")))
        return Answer(status, tuple(headers), "none", (), complete=False)

    def read_chunk(self, timeout_seconds: float | None = None) -> bytes:
        """The next piece of a chunked body, empty at its end; may be tried again."""
        self._socket.settimeout(timeout_seconds or self._timeout_seconds)
        while True:
            line, found, rest = self._held.partition(b"\r\n")
            if found and len(rest) >= (size := int(line.split(b";")[0], 16)) + 2:
                self._held = rest[size + 2 :]
                return rest[:size]
            self._more()

    def read_answer(self, *, head: bool = False) -> Answer:
        """A whole response (``head``: to a HEAD request, so without a body)."""
        return self.read_body(self.read_head(), head=head)

    def read_body(self, answer: Answer, *, head: bool = False) -> Answer:
        """The rest of a response whose head was read."""
        if head or answer.code < 200 or answer.code in {204, 304}:
            return answer._replace(complete=True)
        names = {name.lower(): value for name, value in answer.headers}
        if "chunked" in names.get("transfer-encoding", ""):
            return self._read_chunked(answer)
        if "content-length" in names:
            try:
                body = self._exactly(int(names["content-length"]))
            except (Closed, Silent):
                return answer._replace(framing="length", chunks=(self._held,))
            return answer._replace(framing="length", chunks=(body,), complete=True)
        complete = self._until_closed()
        body, self._held = self._held, b""
        return answer._replace(framing="close", chunks=(body,), complete=complete)

    def _until_closed(self) -> bool:
        while True:
            try:
                self._more()
            except Closed:
                return True
            except Silent:
                return False

    def _read_chunked(self, answer: Answer) -> Answer:
        chunks: list[bytes] = []
        complete = False
        try:
            while chunk := self.read_chunk():
                chunks.append(chunk)
            complete = True
        except (Closed, Silent):
            pass
        return answer._replace(
            framing="chunked", chunks=tuple(chunks), complete=complete
        )

    def still_open(self) -> bool:
        """Whether another request on this connection is answered."""
        self.send(PROBE)
        try:
            self.read_answer()
        except (Closed, Silent):
            return False
        return True
