"""How a member comes by identity and log: recovered, forced, founded or joined."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kvd.addresses import OwnUrls, addresses_of
from kvd.cluster.members import MemberRecord
from kvd.compose import Log, founders, founding, identity_of
from kvd.config import Config
from kvd.discovery.failures import ClusterIsFull, DiscoveryFailed
from kvd.errors import ConfigError
from kvd.finding import Finding, lines_about
from kvd.forcing import backup_problem, force
from kvd.joining import Joined, Joining
from kvd.node.bootstrap import bootstrap_log
from kvd.options.checks import founding_problems
from kvd.peer.dialling import Connect
from kvd.ports import Ports
from kvd.storage.data_dir import Identity
from kvd.storage.open import Opened

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class Beginning:
    """
    One attempt of a member to begin, once its files are open.

    ::

        data on the disk?  -- yes --> force-new-cluster? -- yes --> the only member
             | no                         | no
             |                            a backup? -- yes --> refused
             |                            | no
             |                          recovered
        the founders are to be found? -- yes --> asked for, or refused
             | no                                   |
             +--------------------------------------+
        to join a cluster? -- yes --> the members know it? -- no --> refused
             | no                          | yes
             |                           joined
        the other founders know it? -- yes --> refused: it lost its data
             | no
        founded
    """

    _log = Logger()

    def __init__(
        self, *, config: Config, reactor: Reactor, connect: Connect, peer_ports: Ports
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._connect = connect
        self._peer_ports = peer_ports
        self._question: Deferred[Any] | None = None  # of whatever is asked

    async def begin(
        self, opened: Opened, *, read_seconds: float
    ) -> tuple[Identity, Log]:
        """
        An old member has identity and log; a new one writes its first entries.

        :param read_seconds: how long it took to open the files, for the log.
        :raises ConfigError: a new member's options do not found a cluster, or do not
            fit the one that it is to join.
        :raises ClusterIsFull: others founded it; this one may become its proxy.
        :raises kvd.peer.sending.Refused: it has run before and lost its data.
        """
        found = opened.recovered
        for note in found.notes:
            self._log.warn("{note}", note=note)
        joins = self._config.initial_cluster_state == "existing"
        if found.identity is not None and found.hard_state.term:
            waits = joins and found.snapshot is None and not found.entries
            if not waits:  # else the leader has not come to it yet
                self._warn_of_discovery()
                return await self._recovered(opened, found.identity, read_seconds)
        if self._config.force_new_cluster:
            raise ConfigError(founding_problems(self._config, {}))
        if not self._config.initial_cluster:
            self._config = await self._find(opened)
        if joins:
            return await self._join(opened)
        return await self._found(opened)

    def cancel(self) -> None:
        """Ask nobody any more; :meth:`begin` ends with a CancelledError."""
        if self._question is not None:
            self._question.cancel()

    async def _recovered(
        self, opened: Opened, identity: Identity, seconds: float
    ) -> tuple[Identity, Log]:
        found = opened.recovered
        at = f"snapshot at index {found.snapshot.index}, " if found.snapshot else ""
        self._log.info(
            "recovered in {seconds:.1f} s: {snapshot}{entries} log entries, term "
            "{term}",
            seconds=seconds,
            snapshot=at,
            entries=len(found.entries),
            term=found.hard_state.term,
        )
        if self._config.force_new_cluster:
            return identity, await force(opened, identity, self._config)
        if found.backup_of is not None:
            raise ConfigError([backup_problem(self._config, found.backup_of)])
        return identity, Log(
            hard_state=found.hard_state,
            snapshot=found.snapshot,
            entries=found.entries,
        )

    async def _join(self, opened: Opened) -> tuple[Identity, Log]:
        """Everything else comes from the leader."""
        begun = opened.recovered.identity
        self._log.info("asking the members of the cluster about this one")
        self._peer_ports.turn_away()
        joining = Joining(
            config=self._config,
            connect=self._connect,
            lookup=partial(addresses_of, self._reactor),
            clock=self._reactor,
            begun=begun,
        )
        self._question = Deferred.fromCoroutine(joining.ask())
        joined: Joined = await self._question
        if begun is None:
            await opened.persistence.initialise(joined.identity)
        self._log.info(
            "joining cluster {cluster_id:x} of {count} members",
            cluster_id=joined.identity.cluster_id,
            count=len(joined.members),
        )
        return joined.identity, Log(
            hard_state=opened.recovered.hard_state,
            snapshot=None,
            entries=(),
            remotes=joined.members,
        )

    def _warn_of_discovery(self) -> None:
        if self._config.discovery:
            self._log.warn(
                "discovery: {url} is ignored: this member belongs to a cluster already",
                url=self._config.discovery,
            )

    async def _find(self, opened: Opened) -> Config:
        problems = founding_problems(self._config, {})
        if problems:
            raise ConfigError(problems)
        self._peer_ports.turn_away()
        finding = Finding(config=self._config, reactor=self._reactor)
        begun = opened.recovered.identity is not None
        self._question = Deferred.fromCoroutine(
            finding.find(notes=opened.persistence, again=begun)
        )
        try:
            config: Config = await self._question
        except DiscoveryFailed as failed:
            if self._makes_a_proxy(failed):
                raise
            raise ConfigError(lines_about(failed, self._config)) from None
        self._log.info(
            "founders: {cluster}",
            cluster=",".join(
                f"{name}={url}" for name, urls in config.initial_cluster for url in urls
            ),
        )
        return config

    def _makes_a_proxy(self, failed: DiscoveryFailed) -> bool:
        """Others founded the cluster, and it is known where they are."""
        wanted = self._config.discovery_fallback == "proxy"
        return wanted and isinstance(failed, ClusterIsFull) and bool(failed.founders)

    async def _found(self, opened: Opened) -> tuple[Identity, Log]:
        problems = founding_problems(self._config, {})
        if problems:
            raise ConfigError(problems)
        await self._look_up_own_urls()
        members = founders(self._config)
        identity = identity_of(self._config, members)
        begun = opened.recovered.identity
        if begun is not None and begun != identity:
            raise ConfigError(
                [
                    (
                        "initial-cluster: was another one when this member was begun; "
                        "restore it, or remove the data folder"
                    )
                ]
            )
        await self._ask_founders(identity, members)
        if begun is None:
            await opened.persistence.initialise(identity)
        hard_state, entries = bootstrap_log(members)
        await opened.persistence.save(hard_state, entries, None)
        self._log.info(
            "new cluster of {names}",
            names=", ".join(name for name, _ in self._config.initial_cluster),
        )
        return identity, Log(hard_state=hard_state, snapshot=None, entries=entries)

    async def _look_up_own_urls(self) -> None:
        self._peer_ports.turn_away()
        own = OwnUrls(
            config=self._config,
            lookup=partial(addresses_of, self._reactor),
            clock=self._reactor,
        )
        self._question = Deferred.fromCoroutine(own.problems())
        problems = await self._question
        if problems:
            raise ConfigError(problems)

    async def _ask_founders(
        self, identity: Identity, members: Sequence[MemberRecord]
    ) -> None:
        """A member that lost its data must not begin a second time."""
        if len(members) == 1:
            return
        self._log.info("asking the other founders whether this member has run before")
        self._peer_ports.turn_away()
        asking = founding(
            identity, members, connect=self._connect, clock=self._reactor
        ).ask()
        self._question = Deferred.fromCoroutine(asking)
        await self._question
