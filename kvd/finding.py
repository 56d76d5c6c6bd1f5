"""Who founds the cluster, when the configuration says only where to find out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from kvd.cluster.ids import member_id_of
from kvd.compose import token_of
from kvd.config import Config
from kvd.discovery.failures import (
    AlreadyRegistered,
    DiscoveryFailed,
    DuplicateName,
    Founders,
)
from kvd.discovery.fetch import Fetch, HttpFetch, agent_of
from kvd.discovery.names import DnsRecords
from kvd.discovery.registry import Registry
from kvd.discovery.srv import Records, SrvDiscovery
from kvd.discovery.token import TokenDiscovery
from kvd.errors import ConfigError
from kvd.options.values import Members

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class Notes(Protocol):
    """What a member that is not yet one keeps on its disk."""

    def has_registered(self, place: str) -> Deferred[bool]:
        """Whether it did there, or was about to, when it was stopped."""
        ...

    def register(self, place: str) -> Deferred[None]:
        """Write down that it is about to; fires once that is durable."""
        ...


class Finding:
    """
    Asks the discovery service or the DNS.

    :param fetch: how the service is asked; None: by HTTP on the reactor.
    :param records: the DNS; None: the name servers of the configuration.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        config: Config,
        reactor: Reactor,
        fetch: Fetch | None = None,
        records: Records | None = None,
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._fetch = fetch
        self._records = records

    async def find(self, *, notes: Notes, again: bool) -> Config:
        """
        The same configuration with an ``initial_cluster``. Cancelling asks no more.

        :param again: an attempt of this very member was cut short, whatever the notes
            say.
        :raises DiscoveryFailed: there is none for this member.
        """
        config = self._config
        if config.discovery:
            place = f"{self._member_id()} at {config.discovery}"
            again = again or await notes.has_registered(place)
            discovery = self._by_token(
                again=again, before=partial(notes.register, place)
            )
            founders = await discovery.join()
        else:
            founders = await self._by_srv().join()
        return attrs.evolve(config, initial_cluster=founders)

    async def look(self) -> tuple[str, ...]:
        """
        The peer URLs of the founders, for one that is none of them.

        :raises ConfigError: there are none.
        """
        if self._config.discovery:
            looking = self._by_token().look()
        else:
            looking = self._by_srv().look()
        try:
            return peer_urls(await looking)
        except DiscoveryFailed as failed:
            raise ConfigError(lines_about(failed, self._config)) from None

    def _member_id(self) -> str:
        urls = self._config.initial_advertise_peer_urls
        return f"{member_id_of(urls, token_of(self._config)):x}"

    def _by_token(
        self,
        *,
        again: bool = False,
        before: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> TokenDiscovery:
        config = self._config
        urls = config.initial_advertise_peer_urls
        fetch = self._fetch or HttpFetch(
            agent=agent_of(self._reactor, config.discovery_proxy), clock=self._reactor
        )
        self._log.info(
            "looking for the other founders at the discovery service {url}{proxy}",
            url=config.discovery,
            proxy=f" through {config.discovery_proxy}"
            if config.discovery_proxy
            else "",
        )
        return TokenDiscovery(
            registry=Registry(url=config.discovery, fetch=fetch),
            clock=self._reactor,
            url=config.discovery,
            member_id=self._member_id(),
            value=Members().show(((config.name, tuple(sorted(urls))),)),
            read=_read,
            again=again,
            before=before,
        )

    def _by_srv(self) -> SrvDiscovery:
        config = self._config
        self._log.info(
            "looking for the founders in the DNS records of {domain}",
            domain=config.discovery_srv,
        )
        return SrvDiscovery(
            records=self._records or DnsRecords(self._reactor, config.name_servers),
            domain=config.discovery_srv,
            suffix=config.discovery_srv_name,
            name=config.name,
            advertised=config.initial_advertise_peer_urls,
            read=_read,
        )


def peer_urls(founders: Founders) -> tuple[str, ...]:
    """Of all of them."""
    return tuple(url for _, urls in founders for url in urls)


def _read(text: str) -> Founders:
    return Members().read(text)


def lines_about(failed: DiscoveryFailed, config: Config) -> list[str]:
    """What went wrong, and what the operator may do; in etcd's words."""
    url = config.discovery
    if not url:
        return [f"discovery-srv: {failed}"]
    lines = [f"failed to join discovery cluster ({failed})"]
    if isinstance(failed, AlreadyRegistered):
        return [
            *lines,
            (
                f'member "{config.name}" has previously registered with discovery service '
                f"token ({url})."
            ),
            (
                "But kvd could not find valid cluster configuration in the given data dir "
                f"({config.data_dir})."
            ),
            "Please check the given data dir path if the previous bootstrap succeeded",
            "or use a new discovery token if the previous bootstrap failed.",
        ]
    if isinstance(failed, DuplicateName):
        return [
            *lines,
            (
                "member with duplicated name has registered with discovery service token"
                f"({url})."
            ),
            "please check (cURL) the discovery token for more information.",
            (
                "please do not reuse the discovery token and generate a new one to "
                "bootstrap the cluster."
            ),
        ]
    return [
        *lines,
        f"discovery token {url} was used, but failed to bootstrap the cluster.",
        "please generate a new discovery token and try to bootstrap again.",
    ]
