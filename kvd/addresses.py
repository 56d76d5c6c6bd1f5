"""Names looked up as this system does it: in the hosts file, the DNS, and so on."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from kvd.config import Config

LOOKUP_SECONDS: Final = 30.0
"""etcd's, for all names together."""

AGAIN_SECONDS: Final = 1.0
"""etcd's, after a name that has no address (yet)."""

_LOOPBACK: Final = "127.0.0.1"

Lookup = Callable[[str], Deferred[frozenset[str]]]
_Place = tuple[str, str, int | None]  # scheme, address, port
Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


@implementer(IResolutionReceiver)
class _Receiver:
    """
    Collects the addresses of one name.

    :ivar done: fires with all of them, none for a name that is not known.
    """

    def __init__(self) -> None:
        self.done: Deferred[frozenset[str]] = Deferred()
        self._found: set[str] = set()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing: a lookup in a thread cannot be taken back."""

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, IPv4Address | IPv6Address):
            self._found.add(address.host)

    def resolutionComplete(self) -> None:
        if not self.done.called:
            self.done.callback(frozenset(self._found))


def addresses_of(reactor: Reactor, host: str) -> Deferred[frozenset[str]]:
    """All addresses of a name, in a thread of the reactor's; none if there are none."""
    receiver = _Receiver()
    reactor.nameResolver.resolveHostName(receiver, host)
    return receiver.done


class OwnUrls:
    """
    Compares the advertised peer URLs with this member's of ``initial-cluster``, where
    they are written in different ways and names have to be looked up (V2-SPEC 15.2).
    """

    _log = Logger()

    def __init__(self, *, config: Config, lookup: Lookup, clock: IReactorTime) -> None:
        self._own = dict(config.initial_cluster).get(config.name, ())
        self._advertised = config.initial_advertise_peer_urls
        self._name = config.name
        self._lookup = lookup
        self._clock = clock
        self._deadline = 0.0

    async def problems(self) -> list[str]:
        """What is wrong, in etcd's words: nothing, or one line."""
        if sorted(self._own) == sorted(self._advertised):
            return []
        self._deadline = self._clock.seconds() + LOOKUP_SECONDS
        own = [await self._places(url) for url in self._own]
        advertised = [await self._places(url) for url in self._advertised]
        missing = [
            (url, places)
            for url, places in zip(self._own, own, strict=True)
            if not any(places & others for others in advertised)
        ]
        if missing:
            entries = ",".join(f"{self._name}={url}" for url, _ in missing)
            return [
                (
                    f"initial-advertise-peer-urls: --initial-cluster has {entries} but "
                    "missing from --initial-advertise-peer-urls="
                    f"{','.join(self._advertised)} ({_shown(missing)})"
                )
            ]
        extra = [
            (url, places)
            for url, places in zip(self._advertised, advertised, strict=True)
            if not any(places & others for others in own)
        ]
        if extra:
            entries = ",".join(f"{self._name}={url}" for url in self._own)
            return [
                (
                    "initial-cluster: --initial-advertise-peer-urls has "
                    f"{','.join(url for url, _ in extra)} but missing from "
                    f"--initial-cluster={entries} ({_shown(extra)})"
                )
            ]
        return []

    async def _places(self, url: str) -> frozenset[_Place]:
        """None for a name that nobody knows in time."""
        parts = urlsplit(url)
        host = parts.hostname or ""

        def place(address: str) -> _Place:
            return parts.scheme, address, parts.port

        if host == "localhost":
            return frozenset({place(_LOOPBACK)})
        try:
            return frozenset({place(str(ipaddress.ip_address(host)))})
        except ValueError:
            pass
        while True:
            addresses = await self._lookup(host)
            if addresses:
                return frozenset(map(place, addresses))
            if self._clock.seconds() + AGAIN_SECONDS > self._deadline:
                return frozenset()
            self._log.warn(
                "{host} of peer URL {url} has no address; looking again in {seconds:g} s",
                host=host,
                url=url,
                seconds=AGAIN_SECONDS,
            )
            await deferLater(self._clock, AGAIN_SECONDS)


def _shown(urls: Sequence[tuple[str, frozenset[_Place]]]) -> str:
    """What the names were found to be."""
    shown = []
    for url, places in urls:
        hosts = sorted(address for _, address, _ in places)
        shown.append(f"{url} is at {', '.join(hosts) or 'no address'}")
    return "; ".join(shown)
