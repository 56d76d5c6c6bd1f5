"""How a connection to an endpoint is made: names, addresses, TLS, sockets in files."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kvd.kvctl.endpoint import Endpoint

if TYPE_CHECKING:
    import ssl

KEEPALIVE_SECONDS: Final = 30
"""After which a silent connection is probed: a watch finds out that its member is gone."""
PORT_MAX: Final = 65_535

Left = Callable[[], float | None]
Address = tuple[Any, ...]  # what getaddrinfo gives


class NotDialled(OSError):
    """There is no connection; worded as Go does."""


def dial(
    endpoint: Endpoint,
    *,
    tls: ssl.SSLContext | None,
    server_name: str,
    seconds_max: float,
    left: Left,
) -> socket.socket:
    """
    A connected socket.

    :param tls: None without.
    :param seconds_max: for one address.
    :param left: seconds that there are in all, None for any number.
    :raises NotDialled:
    :raises TimeoutError: what was left is over.
    :raises OSError: TLS did not come about.
    """
    if endpoint.scheme not in {"http", "https", "unix", "unixs"}:
        raise Unspeakable(f'unsupported protocol scheme "{endpoint.scheme}"')
    if endpoint.socket_path:
        made = _dial_file(endpoint.socket_path, left)
    elif not endpoint.host:
        raise Unspeakable("http: no Host in request URL")
    else:
        made = _dial_host(endpoint, seconds_max, left)
    if tls is None:
        return made
    try:
        made.settimeout(left())
        return tls.wrap_socket(made, server_hostname=server_name)
    except BaseException:
        made.close()
        raise


class Unspeakable(OSError):
    """An endpoint that cannot be asked at all."""


def _dial_file(path: str, left: Left) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(left())
        made.connect(path)
    except OSError as error:
        made.close()
        if isinstance(error, TimeoutError):
            raise
        raise NotDialled(f"dial unix {path}: connect: {_why(error)}") from None
    return made


def _dial_host(endpoint: Endpoint, seconds_max: float, left: Left) -> socket.socket:
    """Each address of the host in turn; the first one's problem is told."""
    if endpoint.port > PORT_MAX:  # the system would take the last 16 bits of it
        raise NotDialled(f"dial tcp: address {endpoint.port}: invalid port")
    first: NotDialled | None = None
    for family, _, _, _, address in _addresses(endpoint.host, endpoint.port, left):
        shown = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
        began = time.monotonic()
        made = socket.socket(family)
        try:
            seconds = left()
            made.settimeout(
                seconds_max if seconds is None else min(seconds, seconds_max)
            )
            made.connect(address)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(made)
            return made
        except OSError as error:
            made.close()
            if (
                isinstance(error, TimeoutError)
                and time.monotonic() - began < seconds_max
            ):
                raise  # the time for all of it was shorter
            late = isinstance(error, TimeoutError)
            why = "i/o timeout" if late else f"connect: {_why(error)}"
            first = first or NotDialled(f"dial tcp {shown}:{endpoint.port}: {why}")
    raise first or NotDialled(f"dial tcp: lookup {endpoint.host}: no such host")


def _keep_alive(made: socket.socket) -> None:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, name):
            made.setsockopt(
                socket.IPPROTO_TCP, getattr(socket, name), KEEPALIVE_SECONDS
            )


def _addresses(host: str, port: int, left: Left) -> list[Address]:
    """
    Those of a name, which is asked for in a thread: the system takes any time for it.

    :raises NotDialled: it has none.
    """
    if ":" in host or host.replace(".", "").isdigit():
        return _looked_up(host, port)
    found: list[list[Address]] = []
    problems: list[NotDialled] = []

    def look() -> None:
        try:
            found.append(_looked_up(host, port))
        except NotDialled as problem:
            problems.append(problem)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(left())
    for problem in problems:
        raise problem
    if not found:
        raise TimeoutError
    return found[0]


def _looked_up(host: str, port: int) -> list[Address]:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except socket.gaierror as error:
        known = error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}
        why = "no such host" if known else (error.strerror or "failed").lower()
    except (OSError, UnicodeError) as error:
        why = str(error)
    raise NotDialled(f"dial tcp: lookup {host}: {why}")


def _why(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
