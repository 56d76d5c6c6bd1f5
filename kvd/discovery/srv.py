"""Finding the founders in the DNS: which SRV record is whom (V2-SPEC 16.2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final, Protocol
from urllib.parse import urlsplit

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kvd.discovery.failures import DiscoveryFailed, Founders, LookupFailed

TARGETS_MAX: Final = 100
"""Members that a domain may name."""

_KINDS: Final = (("https", "etcd-server-ssl"), ("http", "etcd-server"))


@attrs.frozen(order=True)
class Target:
    """Where an SRV record points; the host without its last dot."""

    priority: int
    host: str
    port: int


class Records(Protocol):
    """The DNS, as far as it is asked."""

    def targets(self, name: str) -> Deferred[Sequence[Target]]:
        """:raises LookupFailed: none, or nobody could tell."""
        ...

    def addresses(self, host: str) -> Deferred[frozenset[str]]:
        """:raises LookupFailed: none, or nobody could tell."""
        ...


class SrvDiscovery:
    """
    Reads a domain's records.

    Each target is a member of one URL. Which of them is this one is found by its
    address and port; what the others are called it cannot know, so it calls them by
    numbers.

    :param suffix: ``discovery-srv-name``.
    :param name: this member's.
    :param advertised: its peer URLs.
    :param read: text as ``initial-cluster`` has it; a ValueError says what is wrong.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        domain: str,
        suffix: str,
        name: str,
        advertised: Sequence[str],
        read: Callable[[str], Founders],
    ) -> None:
        self._records = records
        self._domain = domain
        self._suffix = f"-{suffix}" if suffix else ""
        self._name = name
        self._advertised = advertised
        self._read = read

    async def join(self) -> Founders:
        """
        The founders, this member among them.

        :raises DiscoveryFailed: there are none, or this one is not among them.
        """
        founders = await self._founders(await self._own_addresses())
        if self._name not in dict(founders):
            raise DiscoveryFailed(
                f'cannot find local etcd member "{self._name}" in SRV records'
            )
        return founders

    async def look(self) -> Founders:
        """The founders, for one that is none of them."""
        return await self._founders({})

    async def _founders(self, own: dict[tuple[str, int], str]) -> Founders:
        pieces: list[str] = []
        problems = []
        numbers = (str(n) for n in count() if str(n) != self._name)
        for scheme, service in _KINDS:
            service = f"_{service}{self._suffix}"  # noqa: PLW2901 -- with its suffix
            try:
                targets = await self._records.targets(f"{service}._tcp.{self._domain}")
            except LookupFailed as error:
                problems.append(f"error querying DNS SRV records for {service} {error}")
                continue
            for target in targets:
                pieces.append(await self._piece(target, scheme, own, numbers))
                self._log.info("the DNS names {piece}", piece=pieces[-1])
        if not pieces:
            raise DiscoveryFailed("; ".join(problems))
        if len(pieces) > TARGETS_MAX:
            raise DiscoveryFailed(
                f"the SRV records of {self._domain} name {len(pieces)} members, "
                f"expected {TARGETS_MAX} at most"
            )
        try:
            return self._read(",".join(pieces))
        except ValueError as error:
            raise DiscoveryFailed(
                f"the SRV records of {self._domain}: {error}"
            ) from None

    async def _piece(
        self,
        target: Target,
        scheme: str,
        own: dict[tuple[str, int], str],
        numbers: Iterator[str],
    ) -> str:
        """
        One member as ``initial-cluster`` has it.

        A target without address is a member all the same: its host may only not be up
        yet, and who left it out would found another cluster than the others.
        """
        host = f"[{target.host}]" if ":" in target.host else target.host
        url = f"{scheme}://{host}:{target.port}"
        try:
            addresses = await self._addresses(target.host)
        except LookupFailed as error:
            self._log.warn("{host} {error}", host=target.host, error=error)
            addresses = frozenset()
        mine = [
            own[each, target.port] for each in addresses if (each, target.port) in own
        ]
        if mine and urlsplit(mine[0]).scheme != scheme:
            raise DiscoveryFailed(
                f"bootstrap at {url} from DNS has scheme mismatch with expected peer "
                f"{mine[0]}"
            )
        return f"{self._name if mine else next(numbers)}={url}"

    async def _own_addresses(self) -> dict[tuple[str, int], str]:
        own: dict[tuple[str, int], str] = {}
        for url in self._advertised:
            parts = urlsplit(url)
            try:
                addresses = await self._addresses(parts.hostname or "")
            except LookupFailed as error:
                raise DiscoveryFailed(
                    f"initial-advertise-peer-urls: {url}: {parts.hostname} {error}"
                ) from None
            own |= {(each, parts.port or 0): url for each in addresses}
        return own

    async def _addresses(self, host: str) -> frozenset[str]:
        if host == "localhost":
            return frozenset({"127.0.0.1"})
        try:
            return frozenset({str(ipaddress.ip_address(host))})
        except ValueError:
            return await self._records.addresses(host)
