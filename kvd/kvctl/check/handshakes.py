"""What an endpoint shows when TLS begins."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from typing import Final

from kvd.kvctl import words
from kvd.kvctl.check.certificates import Shown
from kvd.kvctl.endpoint import endpoint_of
from kvd.kvctl.tls import Files

SECONDS: Final = 5.0


def secure_urls(urls: Iterable[str]) -> list[str]:
    """Those that TLS is spoken at, each once; without those that are no URLs."""
    found: dict[str, None] = {}
    for url in urls:
        try:
            endpoint = endpoint_of(url)
        except ValueError:
            continue
        if endpoint.scheme == "https" and endpoint.host:
            found[endpoint.url] = None
    return list(found)


def handshake(url: str, files: Files) -> Shown:
    """Connect, trusting as the flags say; once more without, to see who it is."""
    try:
        return Shown(_shown(url, files, files.context()))
    except ssl.SSLCertVerificationError as error:
        trouble = words.of(error, "")[0]
    except (OSError, ValueError) as error:
        known = words.of(error, "")[0] if isinstance(error, OSError) else str(error)
        return Shown(trouble=known)
    anyone = files.context()
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    try:
        return Shown(_shown(url, files, anyone), trouble)
    except (OSError, ValueError):
        return Shown(trouble=trouble)


def _shown(url: str, files: Files, context: ssl.SSLContext) -> bytes:
    endpoint = endpoint_of(url)
    with (
        socket.create_connection((endpoint.host, endpoint.port), SECONDS) as plain,
        context.wrap_socket(
            plain, server_hostname=files.server_name or endpoint.host
        ) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""
