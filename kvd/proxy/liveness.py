"""Noticing that the machine at the other end is gone, which TCP by itself hardly does."""

from __future__ import annotations

import socket
from typing import Final

from twisted.internet.interfaces import ITCPTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol

IDLE_SECONDS: Final = 30
"""Of silence, after which the other side is asked whether it is there; as Go does."""

PROBES_MAX: Final = 9
_AGAIN_SECONDS: Final = 5


def watch_over(transport: object, *, write_milliseconds: int) -> None:
    """
    Let the kernel end a connection whose other end is gone.

    A watch may be silent for days, so nothing but this would ever end it.

    :param write_milliseconds: for what was sent to be acknowledged; 0: what the system
        thinks right, about a quarter of an hour.
    """
    if isinstance(transport, TLSMemoryBIOProtocol):
        transport = transport.transport
    if not ITCPTransport.providedBy(transport):
        return
    transport.setTcpKeepAlive(True)
    handle = transport.getHandle()  # type: ignore[attr-defined]  # in no interface
    options = [
        (socket.TCP_KEEPIDLE, IDLE_SECONDS),
        (socket.TCP_KEEPINTVL, _AGAIN_SECONDS),
        (socket.TCP_KEEPCNT, PROBES_MAX),
    ]
    if write_milliseconds:
        options.append((socket.TCP_USER_TIMEOUT, write_milliseconds))
    for option, value in options:
        handle.setsockopt(socket.IPPROTO_TCP, option, value)
