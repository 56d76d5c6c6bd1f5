"""Joining a cluster that runs: who it says that we are (V2-SPEC 15.2)."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from urllib.parse import urlsplit

import attrs
from twisted.internet.interfaces import IReactorTime

from kvd.addresses import Lookup
from kvd.cluster.facts import ClusterFacts
from kvd.cluster.machine import version_number
from kvd.cluster.members import MemberRecord
from kvd.compose import CLUSTER_VERSION
from kvd.config import Config
from kvd.errors import ConfigError, PeerError
from kvd.options.checks import comparable, founding_problems
from kvd.options.values import is_address
from kvd.peer.asking import ASK_SECONDS, ask_members
from kvd.peer.dialling import Connect
from kvd.storage.data_dir import Identity

JOIN_SECONDS = 10.0
"""For all questions together."""


@attrs.frozen
class Joined:
    """
    What a member that joins begins with.

    :ivar members: as the cluster knows them; where the others are found at first.
    """

    identity: Identity
    members: tuple[MemberRecord, ...]


class Joining:
    """
    Asks the members of ``initial-cluster`` who belongs to the cluster.

    One that is asked may lag behind the addition of this member: the next one is asked
    before anything is refused.

    :param lookup: all addresses of a name, none if it has none.
    :param begun: the identity on the disk, if an earlier attempt got that far.
    """

    def __init__(
        self,
        *,
        config: Config,
        connect: Connect,
        lookup: Lookup,
        clock: IReactorTime,
        begun: Identity | None,
    ) -> None:
        self._config = config
        self._connect = connect
        self._lookup = lookup
        self._clock = clock
        self._begun = begun
        self._addresses: dict[str, frozenset[str]] = {}  # of names looked up

    async def ask(self) -> Joined:
        """
        :raises ConfigError: nobody answers, or the cluster does not know this member as
            the configuration describes it; each line names the option and the way out.
        """
        problems = founding_problems(self._config, {})
        if problems:
            raise ConfigError(problems)
        urls = [
            url
            for name, urls in self._config.initial_cluster
            if name != self._config.name
            for url in urls
        ]
        unreachable: list[str] = []
        refusals: list[str] = []
        for url in urls:
            try:
                facts = await ask_members(
                    self._connect,
                    self._clock,
                    [url],
                    seconds=min(ASK_SECONDS, JOIN_SECONDS / len(urls)),
                )
                return await self._place_in(facts)
            except PeerError as problem:
                unreachable.append(str(problem))
            except ConfigError as refusal:
                refusals += refusal.problems
        if refusals:
            raise ConfigError(refusals[-1:])
        return self._nobody("; ".join(unreachable) or "it names no other member")

    def _nobody(self, why: str) -> Joined:
        if self._begun is not None:
            return Joined(self._begun, ())
        raise ConfigError(
            [
                (
                    "initial-cluster: cannot fetch cluster info from peer urls: could "
                    f"not retrieve cluster information from the given URLs ({why}); "
                    "expected the peer URLs of members that run"
                )
            ]
        )

    async def _place_in(self, facts: ClusterFacts) -> Joined:
        """:raises ConfigError: none, or not the one that was begun."""
        theirs, ours = version_number(facts.version), version_number(CLUSTER_VERSION)
        if theirs is not None and ours is not None and theirs[:2] > ours[:2]:
            raise ConfigError(
                [
                    (
                        "initial-cluster: incompatible with current running cluster: "
                        f"its version is {facts.version}, this member's "
                        f"{CLUSTER_VERSION}; expected a newer kvd"
                    )
                ]
            )
        own = await self._match(facts)
        identity = Identity(own.member_id, facts.cluster_id)
        if self._begun is not None and self._begun != identity:
            raise ConfigError(
                [
                    (
                        "data-dir: it belongs to member "
                        f"{self._begun.member_id:x} of cluster "
                        f"{self._begun.cluster_id:x}, the cluster knows this member as "
                        f"{own.member_id:x} of {facts.cluster_id:x}; remove the data "
                        "folder"
                    )
                ]
            )
        if own.client_urls and self._begun is None:
            raise ConfigError(
                [
                    (
                        f"data-dir: member {own.member_id:x} has already been "
                        "bootstrapped, but nothing of it is here; restore its data, or "
                        "remove the member and add it again"
                    )
                ]
            )
        return Joined(identity, facts.members)

    async def _match(self, facts: ClusterFacts) -> MemberRecord:
        """Each member must be one of initial-cluster, and the other way round."""
        wanted = dict(self._config.initial_cluster)
        if len(facts.members) != len(wanted):
            raise self._invalid(
                facts,
                "member count is unequal",
                f"initial-cluster names {len(wanted)}, the cluster has "
                f"{len(facts.members)}; add this member to the cluster first, and name "
                "all members",
            )
        found: dict[str, MemberRecord] = {}
        for record in facts.members:
            for name, urls in wanted.items():
                if name not in found and await self._same(record.peer_urls, urls):
                    found[name] = record
                    break
            else:
                raise self._invalid(
                    facts,
                    "PeerURLs: no match found for existing member "
                    f"({record.member_id:x}, [{' '.join(record.peer_urls)}])",
                    "expected its peer URLs, all of them, as the cluster has them",
                )
        return found[self._config.name]

    async def _same(self, some: Sequence[str], others: Sequence[str]) -> bool:
        """Whether they lead to the same places; names are looked up if need be."""
        if set(map(comparable, some)) == set(map(comparable, others)):
            return True
        if len(some) != len(others) or all(
            is_address(urlsplit(url).hostname or "") for url in (*some, *others)
        ):
            return False
        mine = [await self._places(url) for url in some]
        theirs = [await self._places(url) for url in others]
        return all(any(a & b for b in theirs) for a in mine) and all(
            any(a & b for a in mine) for b in theirs
        )

    async def _places(self, url: str) -> AbstractSet[object]:
        """Where it leads, once for each address of a name."""
        host = urlsplit(url).hostname or ""
        if is_address(host):
            return {comparable(url)}
        if host not in self._addresses:
            self._addresses[host] = await self._lookup(host)
        found = self._addresses[host]
        return {comparable(_at(url, address)) for address in found} or {url}

    def _invalid(self, facts: ClusterFacts, words: str, way_out: str) -> ConfigError:
        known = ",".join(
            f"{record.name or f'{record.member_id:x}'}={url}"
            for record in facts.members
            for url in record.peer_urls
        )
        line = f"error validating peerURLs of cluster {facts.cluster_id:x} ({known})"
        return ConfigError([f"initial-cluster: {line}: {words}; {way_out}"])


def _at(url: str, address: str) -> str:
    parts = urlsplit(url)
    host = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=f"{host}:{parts.port}").geturl()
