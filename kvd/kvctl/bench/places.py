"""From endpoints and TLS files to connections of Twisted's."""

# Twisted leaves parts of its endpoints without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint

from kvd.client.tls import TLS, Policy
from kvd.kvctl.bench.load import Place
from kvd.kvctl.endpoint import Endpoint
from kvd.kvctl.wire import Settings

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


def place_of(reactor: Reactor, endpoint: Endpoint, settings: Settings) -> Place:
    """
    Where a client connects to, and what it says of itself.

    :raises ValueError: TLS files that cannot be used.
    :raises OSError: or that cannot be read.
    """
    host = endpoint.host or "localhost"
    connecting: IStreamClientEndpoint
    if endpoint.socket_path:
        connecting = UNIXClientEndpoint(reactor, endpoint.socket_path)
    else:
        seconds = settings.dial_seconds
        connecting = HostnameEndpoint(reactor, host.encode(), endpoint.port, seconds)
    if endpoint.secure:
        files = settings.files
        tls = TLS.from_files(
            ca_file=files.ca, cert_file=files.certificate, key_file=files.key
        )
        name = (files.server_name or host).encode()
        creator = Policy(tls).creatorForNetloc(name, endpoint.port)
        connecting = wrapClientTLS(creator, connecting)
    shown = f"[{host}]" if ":" in host else host
    head = f"Host: {shown}:{endpoint.port}\r\nUser-Agent: kvctl\r\n"
    if settings.auth is not None:
        named = ":".join(settings.auth).encode("utf-8", "surrogateescape")
        head += f"Authorization: Basic {base64.b64encode(named).decode('ascii')}\r\n"
    return Place(endpoint=connecting, head=head.encode("ascii"))
