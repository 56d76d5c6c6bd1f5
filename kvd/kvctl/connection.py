"""One connection by ``http.client``, no step of which takes longer than it may."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Protocol

from kvd.kvctl.endpoint import Endpoint


class Dial(Protocol):
    """How a connection comes by its socket."""

    def __call__(self, *, left: Callable[[], float | None]) -> socket.socket:
        """:param left: seconds until it must be there; TimeoutError when it is over."""
        ...


class Connection(HTTPConnection):
    """
    One to one endpoint.

    :ivar way: from which address to which, once there is one.
    :ivar until: when whatever it does now must be done, by the clock; None: never.
    """

    def __init__(
        self, endpoint: Endpoint, dial: Dial, clock: Callable[[], float]
    ) -> None:
        super().__init__(endpoint.host or "localhost", endpoint.port)
        self.default_port = 443 if endpoint.secure else 80
        self.until: float | None = None
        self.way = ""
        self._dial = dial
        self._clock = clock
        # http.client gives it the socket and the method.
        self.response_class = partial(_Response, self)  # type: ignore[assignment]

    def connect(self) -> None:
        self.sock = self._dial(left=self.left)
        self.way = _way(self.sock)

    def send(self, data: Any) -> None:  # noqa: ANN401 -- http.client's
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self.left())
        super().send(data)

    def left(self) -> float | None:
        """
        Seconds until then.

        :raises TimeoutError: it is over.
        """
        if self.until is None:
            return None
        seconds = self.until - self._clock()
        if seconds <= 0:
            raise TimeoutError
        return seconds


def _way(sock: socket.socket) -> str:
    try:
        ends = [sock.getsockname(), sock.getpeername()]
    except OSError:
        return ""
    shown = (
        f"[{end[0]}]:{end[1]}" if ":" in end[0] else f"{end[0]}:{end[1]}"
        for end in ends
        if isinstance(end, tuple)
    )
    return "->".join(shown)


class _Response(HTTPResponse):
    """One that never waits longer than its connection may."""

    def __init__(
        self, connection: Connection, sock: socket.socket, method: str | None = None
    ) -> None:
        super().__init__(sock, method=method)
        raw = self.fp.detach()  # of a BufferedReader
        self.fp = io.BufferedReader(_Timed(raw, sock, connection.left))


class _Timed(io.RawIOBase):
    """A socket's bytes, each waited for until what is left of the time is over."""

    def __init__(
        self, raw: io.RawIOBase, sock: socket.socket, left: Callable[[], float | None]
    ) -> None:
        self._raw = raw
        self._sock = sock
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 -- io's
        self._sock.settimeout(self._left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
