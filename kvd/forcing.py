"""``force-new-cluster``: one member's data become a cluster of its own."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import MemberRecord
from kvd.compose import Log, storage_settings
from kvd.config import Config
from kvd.errors import ConfigError, StorageError
from kvd.node.forced import follow, forced_changes, forced_save, restore_cluster
from kvd.raft.messages import ChangeKind, ConfigChange
from kvd.storage.data_dir import Identity
from kvd.storage.open import Opened

_READ_BYTES: Final = 1 << 20
_log = Logger()


def backup_problem(config: Config, member: Identity) -> str:
    """Why a backup does not start as it is."""
    return (
        f"data-dir {storage_settings(config).data_folder}: a backup of member "
        f"{member.member_id:x} of cluster {member.cluster_id:x}, whose members do not "
        "know this one; start it once with --force-new-cluster"
    )


async def force(opened: Opened, identity: Identity, config: Config) -> Log:
    """
    Make this member the only one of its cluster; nothing to do the second time.

    One save holds all of it, so that the power may go at any moment. Whatever the log
    holds is kept: what was acknowledged is in it, and how far that reaches nobody is
    left to say.

    :raises ConfigError: the cluster has removed this member.
    """
    found = opened.recovered
    cluster = ClusterMachine()
    if found.snapshot is not None:
        await _restore(opened, cluster)
    follow(cluster, found.entries)
    if identity.member_id in cluster.removed:
        raise ConfigError([_removed_problem(identity)])
    own = MemberRecord(
        identity.member_id, config.name, config.initial_advertise_peer_urls, ()
    )
    names = {record.member_id: record.name for record in cluster.members()}
    changes = forced_changes(cluster, own)
    hard_state, entries = found.hard_state, found.entries
    at = found.snapshot.index if found.snapshot is not None else 0
    last_index = entries[-1].index if entries else at
    # The removal of the others may be in the log already, for want of them uncommitted.
    if changes or hard_state.commit < last_index:
        hard_state, added = forced_save(
            changes,
            last_index=last_index,
            member_id=identity.member_id,
            term=hard_state.term,
        )
        await opened.persistence.save(hard_state, added, None)
        entries += added
    if found.backup_of is not None:
        await opened.persistence.claim()
    _say(found.backup_of, changes, names, cluster)
    return Log(hard_state=hard_state, snapshot=found.snapshot, entries=entries)


def _removed_problem(identity: Identity) -> str:
    return (
        f"force-new-cluster: member {identity.member_id:x} was removed from its cluster "
        "and can never be a member again; make a backup of its data-dir with kvd backup, "
        "and start that"
    )


async def _restore(opened: Opened, cluster: ClusterMachine) -> None:
    """The machine from the snapshot, of which no more is read than it takes."""
    reader = await opened.persistence.open_snapshot()
    content = b""
    try:
        while not restore_cluster(cluster, content):
            piece = await reader.read(_READ_BYTES)
            if not piece:
                raise StorageError("the snapshot says nothing of the cluster")
            content += piece
    finally:
        reader.close()


def _say(
    backup_of: Identity | None,
    changes: tuple[ConfigChange, ...],
    names: dict[int, str],
    cluster: ClusterMachine,
) -> None:
    if backup_of is not None:
        _log.warn(
            "force-new-cluster: what was a backup of member {member_id:x} of cluster "
            "{cluster_id:x} is a cluster of its own now",
            member_id=backup_of.member_id,
            cluster_id=backup_of.cluster_id,
        )
    for change in changes:
        if change.kind is ChangeKind.REMOVE:
            _log.warn(
                "force-new-cluster: member {name} {member_id:x} is removed; it must not "
                "run any more, and its data folder must go",
                name=names[change.member_id],
                member_id=change.member_id,
            )
    (record,) = cluster.members()
    _log.warn(
        "force-new-cluster: the only member is {name}, id {member_id:x}, on {urls}; "
        "start it without force-new-cluster from now on",
        name=record.name or "(not started yet)",
        member_id=record.member_id,
        urls=",".join(record.peer_urls),
    )
