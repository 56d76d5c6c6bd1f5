"""SRV and address records through ``twisted.names``."""

# twisted.names has no annotations to speak of:
# mypy: allow-untyped-calls

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.names import dns
from twisted.names.client import Resolver
from twisted.names.common import ResolverBase
from twisted.names.error import DNSNameError, DomainError, ResolverError
from twisted.names.hosts import Resolver as HostsResolver

from kvd.discovery.failures import LookupFailed
from kvd.discovery.srv import Target

TRIES_SECONDS: Final = (1, 3, 6)
"""How long each question may take that is put to a server."""

_RESOLV_CONF: Final = "/etc/resolv.conf"
_HOSTS: Final = b"/etc/hosts"
_FAMILIES: Final = {dns.A: socket.AF_INET, dns.AAAA: socket.AF_INET6}

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all
Payload = Any  # twisted.names does not say which record has what
Answers = tuple[list[dns.RRHeader], list[dns.RRHeader], list[dns.RRHeader]]


class DnsRecords:
    """
    :class:`kvd.discovery.srv.Records`: the hosts file, then name servers.

    :param servers: address and port of each; none: those of ``/etc/resolv.conf``.
    :param resolver: what makes the resolver, with the arguments of Twisted's.
    :param hosts: the hosts file.
    """

    def __init__(
        self,
        reactor: Reactor,
        servers: Sequence[tuple[str, int]] = (),
        *,
        resolver: Callable[..., ResolverBase] = Resolver,
        hosts: bytes = _HOSTS,
    ) -> None:
        self._reactor = reactor
        self._servers = tuple(servers)
        self._make = resolver
        self._hosts = HostsResolver(hosts)

    def targets(self, name: str) -> Deferred[Sequence[Target]]:
        return Deferred.fromCoroutine(self._targets(name))

    def addresses(self, host: str) -> Deferred[frozenset[str]]:
        return Deferred.fromCoroutine(self._addresses(host))

    async def _targets(self, name: str) -> Sequence[Target]:
        with self._resolver() as resolver:
            answers = await _asked(resolver.lookupService(name))
        payloads: list[Payload] = [
            each.payload for each in answers if each.type == dns.SRV
        ]
        targets = [
            Target(
                priority=payload.priority,
                host=payload.target.name.decode("ascii", "backslashreplace").rstrip(
                    "."
                ),
                port=payload.port,
            )
            for payload in payloads
        ]
        found = sorted(target for target in targets if target.host)
        if not found:
            raise LookupFailed("has no SRV records")
        return found

    async def _addresses(self, host: str) -> frozenset[str]:
        with suppress(LookupFailed):
            return await _both_kinds(self._hosts, host)
        with self._resolver() as resolver:
            return await _both_kinds(resolver, host)

    @contextmanager
    def _resolver(self) -> Iterator[ResolverBase]:
        """One for a question or two: it would read resolv.conf every minute."""
        resolver = self._make(
            resolv=None if self._servers else _RESOLV_CONF,
            servers=list(self._servers),
            timeout=TRIES_SECONDS,
            reactor=self._reactor,
        )
        try:
            yield resolver
        finally:
            reading = getattr(resolver, "_parseCall", None)
            if reading is not None and reading.active():
                reading.cancel()


async def _both_kinds(resolver: ResolverBase, host: str) -> frozenset[str]:
    """Of IPv4 and IPv6."""
    found: list[dns.RRHeader] = []
    problem = LookupFailed("has no address")
    for lookup in (resolver.lookupAddress, resolver.lookupIPV6Address):
        try:
            found += await _asked(lookup(host))
        except LookupFailed as error:
            problem = error
    payloads: list[tuple[int, Payload]] = [
        (_FAMILIES[each.type], each.payload) for each in found if each.type in _FAMILIES
    ]
    addresses = frozenset(
        socket.inet_ntop(family, payload.address) for family, payload in payloads
    )
    if not addresses:
        raise problem
    return addresses


async def _asked(lookup: Deferred[Answers]) -> list[dns.RRHeader]:
    try:
        answers, _, _ = await lookup
    except DNSNameError:
        raise LookupFailed("is not known to the DNS") from None
    except (DomainError, ResolverError, DeferredTimeout, OSError) as error:
        raise LookupFailed(f"could not be looked up: {type(error).__name__}") from None
    return answers
