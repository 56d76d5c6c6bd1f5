"""A client of a member in the same process."""

from __future__ import annotations

from collections.abc import Callable

from kvd.client import Client, Limits, Request
from kvd.client.endpoints import endpoint_of
from kvd.embedding.inprocess import ENDPOINT, InProcess
from kvd.service import KvdService
from kvd.v2.accounts import ROOT


def local_client(
    service: KvdService,
    *,
    user: str | None = ROOT,
    auth: tuple[str, str] | None = None,
    limits: Limits | None = None,
    observe: Callable[[str, Request], None] | None = None,
) -> Client:
    """
    The client of a member that runs, or will run, in this process.

    Nothing goes over a socket. Requests wait until the member serves, for as long as
    ``limits`` let them; :class:`kvd.client.NoAnswer` says that the member does not serve
    yet, or has stopped.

    :param user: who asks, while authentication is on, without a password: this process
        has the member's files and memory anyway. None: a guest.
    :param auth: a name and a password instead, which are checked as anybody's.

    .. versionadded:: 0.1
    """
    endpoints = _endpoints(service.config.advertise_client_urls)
    door = InProcess(
        service.entrance, clock=service.reactor, endpoints=endpoints, user=user
    )
    return Client(
        service.reactor,
        endpoints,
        auth=auth,
        limits=limits,
        http=door,
        observe=observe,
    )


def _endpoints(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the member, so that whoever asks for the members finds it among them."""
    found = []
    for url in urls:
        try:
            found.append(endpoint_of(url))
        except ValueError:  # a socket in the file system
            continue
    return tuple(dict.fromkeys(found)) or (ENDPOINT,)
