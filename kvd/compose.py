"""A member put together from its configuration and what its disk holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime

from kvd.apply.applier import Applier
from kvd.cluster.facts import ClusterFacts
from kvd.cluster.ids import cluster_id_of, member_id_of
from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import MemberRecord
from kvd.config import Config
from kvd.diagnostics.collector import MemberCollector, Surroundings
from kvd.diagnostics.exposition import Exposition, ProcessFigures
from kvd.diagnostics.host import Host
from kvd.errors import KvdError, StorageError
from kvd.http.metricsport import MetricsPort, metrics_settings
from kvd.http.site import ClientSite, no_names
from kvd.http.threads import LowThreads
from kvd.node.forced import removals
from kvd.node.node import Node
from kvd.node.settings import NodeSettings
from kvd.node.stats import RaftTraffic
from kvd.peer.dialling import Connect
from kvd.peer.founding import Founding
from kvd.peer.settings import PeerIdentity, PeerSettings
from kvd.peer.transport import AmpTransport
from kvd.process import Process, StallWatchdog
from kvd.raft.core import Raft
from kvd.raft.messages import Entry, HardState, RaftConfig, SnapshotMeta
from kvd.storage.data_dir import Identity, StorageSettings
from kvd.storage.persistence import Storage
from kvd.v2.auth import Auth
from kvd.v2.machine import V2

CLUSTER_VERSION = "3.4.0"
_REQUEST_SECONDS = 5.0  # etcd's, to which two election timeouts are added
_MACHINE_BYTES = 2 << 20  # what a command adds to its value at most
# A turn of the node applies at most eight times this: about 4,000 small writes, 50 ms.
# A restart has a hundred thousand of them to apply.
_APPLY_BYTES_MAX = 64 << 10
# Where the numbers of a life's requests begin: at random, not by a clock, which may be
# set back over a restart. Entries of the life before would then answer requests of this
# one, and a leader would take its requests for repetitions.
_SEQUENCES = 1 << 63

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


@attrs.frozen(kw_only=True)
class World:
    """
    Everything that is not the same twice.

    :ivar connect: an endpoint for a peer URL.
    :ivar names_of: the names in a client's verified certificate.
    :ivar certificates: those in use, and the days that are left to them.
    """

    reactor: Reactor
    connect: Connect
    names_of: Callable[[object], tuple[str, ...]] = no_names
    certificates: Callable[[], Sequence[tuple[str, float]]] = tuple
    wall_time_ns: Callable[[], int]
    randbelow: Callable[[int], int]
    random: Callable[[], float]
    secret: bytes


@attrs.frozen(kw_only=True)
class Endings:
    """Whom a member tells that it cannot or may not go on."""

    fatal: Callable[[BaseException], None]
    removed: Callable[[str], None]


@attrs.frozen(kw_only=True)
class Log:
    """
    What the disk holds at the start.

    :ivar remotes: of a member that joins: who the others are, before its log says so.
    """

    hard_state: HardState
    snapshot: SnapshotMeta | None
    entries: Sequence[Entry]
    remotes: tuple[MemberRecord, ...] = ()


@attrs.frozen
class _Stats:
    """What a member counts of itself, for ``/v2/stats/self``."""

    started_ns: int
    traffic: RaftTraffic


@attrs.frozen(kw_only=True)
class Parts:
    """The parts that the service starts, stops, and shows to others."""

    node: Node
    transport: AmpTransport
    site: ClientSite
    metrics: MetricsPort
    threads: LowThreads
    v2: V2
    cluster: ClusterMachine


def founders(config: Config) -> tuple[MemberRecord, ...]:
    """The founding members, as each of them works them out by itself."""
    token = token_of(config)
    return tuple(
        MemberRecord(
            member_id_of(urls, token),
            # Who was found in the DNS has another name on every member.
            "" if config.discovery_srv else name,
            tuple(sorted(urls)),
            (),
        )
        for name, urls in config.initial_cluster
    )


def token_of(config: Config) -> str:
    """What tells apart clusters with the same URLs (V2-SPEC 15.1)."""
    return config.discovery or config.initial_cluster_token


def identity_of(config: Config, members: Sequence[MemberRecord]) -> Identity:
    """Who this member is among the founding ones."""
    own = member_id_of(dict(config.initial_cluster)[config.name], token_of(config))
    return Identity(own, cluster_id_of([record.member_id for record in members]))


def founding(
    identity: Identity,
    members: Sequence[MemberRecord],
    *,
    connect: Connect,
    clock: IReactorTime,
) -> Founding:
    """What asks the other founders about this one."""
    return Founding(
        connect=connect,
        clock=clock,
        identity=PeerIdentity(identity.member_id, identity.cluster_id),
        founders={record.member_id: record.peer_urls for record in members},
    )


def _has_run(record: MemberRecord | None, *, all_read: bool) -> bool | None:
    """Every member tells its client URLs; None: that may yet be in our log."""
    if record is not None and record.client_urls:
        return True
    return False if all_read else None


def storage_settings(config: Config) -> StorageSettings:
    """Folders are made absolute against the working folder of this moment."""
    return StorageSettings(
        data_folder=os.path.abspath(config.data_dir),
        wal_folder=os.path.abspath(config.wal_dir) if config.wal_dir else "",
        segment_bytes=config.segment_bytes,
        snapshots_keep=config.max_snapshots,
        wals_keep=config.max_wals,
    )


def folder_problem(config: Config, error: KvdError) -> str:
    """What keeps a member from its files: option, path and reason, each once."""
    settings = storage_settings(config)
    path = error.path if isinstance(error, StorageError) else ""
    folders = [(settings.data_folder, "data-dir")]
    if settings.wal_folder:
        folders.append((settings.wal_folder, "wal-dir"))
    # The inner one first, should one of them lie in the other.
    for folder, option in sorted(folders, reverse=True):
        if _within(path, folder):
            return f"{option}: {error}"
    for folder, option in folders:
        if path and _within(folder, path):
            return f"{option} {folder}: {error}"
    return f"data-dir {settings.data_folder}: {error}"


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def node_settings(config: Config, identity: Identity) -> NodeSettings:
    """Milliseconds become seconds and ticks; one tick is a heartbeat interval."""
    election_ticks = config.election_timeout // config.heartbeat_interval
    return NodeSettings(
        member_id=identity.member_id,
        cluster_id=identity.cluster_id,
        name=config.name,
        client_urls=config.advertise_client_urls,
        cluster_version=CLUSTER_VERSION,
        tick_seconds=config.heartbeat_interval / 1000,
        election_ticks=election_ticks,
        request_timeout_seconds=(_REQUEST_SECONDS + 2 * config.election_timeout / 1000),
        snapshot_count=config.snapshot_count,
        catchup_entries=config.snapshot_catchup_entries,
        proposals_pending_max=config.proposals_pending_max,
        outbox_bytes_max=config.outbox_bytes_max,
        request_bytes_max=config.request_bytes_max + _MACHINE_BYTES,
        disk_floor_bytes=config.disk_floor_bytes,
        disk_check_seconds=config.disk_check_interval / 1000,
    )


def _departing(removals: Sequence[tuple[int, int]], raft: Raft) -> frozenset[int]:
    return frozenset(id_ for index, id_ in removals if index > raft.applied_index)


def compose(
    config: Config,
    *,
    identity: Identity,
    log: Log,
    persistence: Storage,
    process: Process,
    watchdog: StallWatchdog,
    world: World,
    endings: Endings,
) -> Parts:
    """All parts of a member, connected, none started."""
    settings = node_settings(config, identity)
    raft = Raft(
        RaftConfig(
            member_id=identity.member_id,
            election_ticks=settings.election_ticks,
            pre_vote=config.pre_vote,
            committed_bytes_max=_APPLY_BYTES_MAX,
            strict_reconfig=config.strict_reconfig_check,
        ),
        hard_state=log.hard_state,
        snapshot=log.snapshot,
        entries=log.entries,
        randbelow=world.randbelow,
    )
    gone = removals(log.entries, commit=log.hard_state.commit)
    last_read = log.entries[-1].index if log.entries else 0
    auth = Auth()
    threads = LowThreads(world.reactor, config.auth_checks_running_max)
    v2 = V2(history_max=config.event_history, auth=auth)
    cluster = ClusterMachine()
    transport = AmpTransport(
        connect=world.connect,
        clock=world.reactor,
        random=world.random,
        member_id=identity.member_id,
        cluster_id=identity.cluster_id,
        persistence=persistence,
        is_removed=lambda member_id: member_id in cluster.removed,
        has_run=lambda member_id: _has_run(
            cluster.member(member_id), all_read=raft.applied_index >= last_read
        ),
        may_lead=raft.may_be_led_by,
        facts=lambda: ClusterFacts(
            identity.cluster_id,
            cluster.version,
            cluster.members() if raft.applied_index >= log.hard_state.commit else (),
        ),
        settings=PeerSettings(queue_bytes_max=config.peer_queue_bytes_max),
    )
    node = Node(
        settings=settings,
        raft=raft,
        snapshot=log.snapshot,
        applier=Applier([auth, v2], cluster),
        cluster=cluster,
        remotes=log.remotes,
        departing=partial(_departing, gone, raft),
        persistence=persistence,
        transport=transport,
        clock=world.reactor,
        wall_time_ns=world.wall_time_ns,
        sequence_start=world.randbelow(_SEQUENCES),
        on_fatal=endings.fatal,
        on_removed=endings.removed,
    )
    transport.set_events(node)
    exposition = Exposition()
    site = ClientSite(
        config=config,
        member=node,
        keys=v2,
        auth=auth,
        threads=threads,
        secret=world.secret,
        cluster=cluster,
        stats=_Stats(world.wall_time_ns(), node.traffic),
        diagnosis=Host(
            metrics=exposition.page,
            log_from=process.log_from,
            busyness=persistence.busyness,
            stuck_seconds=settings.request_timeout_seconds,
            pauses=process.gc_pauses,
        ),
        clock=world.reactor,
        wall_time_ns=world.wall_time_ns,
        randbelow=world.randbelow,
        names_of=world.names_of,
    )
    exposition.add(
        MemberCollector(
            config=config,
            node=node,
            v2=v2,
            cluster=cluster,
            transport=transport,
            storage=persistence,
            site=site,
            surroundings=Surroundings(
                loop=watchdog,
                pauses=process.gc_pauses,
                certificates=world.certificates,
            ),
            clock=world.reactor,
        )
    )
    exposition.add(ProcessFigures())
    metrics = MetricsPort(
        config=metrics_settings(config),
        control=site.control,
        clock=world.reactor,
        wall_time_ns=world.wall_time_ns,
    )
    return Parts(
        node=node,
        transport=transport,
        site=site,
        metrics=metrics,
        threads=threads,
        v2=v2,
        cluster=cluster,
    )
