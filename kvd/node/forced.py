"""
What makes a cluster of one member out of what its disk holds, whoever else was there.

The changes go into the log behind all that is there, so that indexes go on and every
later start comes to the same. They are committed by decree: nobody else has a say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from kvd.apply.request import decode_request
from kvd.apply.sections import SectionReader
from kvd.cluster.codec import encode_record
from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import MemberRecord
from kvd.errors import RequestError, StorageError, invariant
from kvd.node.changes import UNASKED, tag_change, untag_change
from kvd.raft.codec import decode_change, encode_change
from kvd.raft.messages import ChangeKind, ConfigChange, Entry, EntryKind, HardState
from kvd.state import at_once


def restore_cluster(cluster: ClusterMachine, content: bytes) -> bool:
    """
    Fill the machine from the beginning of a snapshot's content; False: from too little.

    Its section is the first; the others are not looked at.
    """
    try:
        for section in SectionReader([content]).sections():
            if section.name == cluster.name:
                at_once(
                    cluster.restoring(version=section.version, chunks=section.chunks)
                )
                return True
            for _ in section.chunks:
                pass
    except StorageError:
        return False
    return False


def follow(cluster: ClusterMachine, entries: Iterable[Entry]) -> None:
    """What the log says of members, and nothing else of it."""
    for index, _, kind, data in entries:
        if kind is EntryKind.CHANGE:
            cluster.change(untag_change(decode_change(data))[1])
        elif kind is EntryKind.NORMAL:
            try:
                name, _, time_ns, body = decode_request(data)
            except RequestError:
                continue  # as when it is applied: nothing comes of it
            if name == cluster.name:
                cluster.apply(index=index, time_ns=time_ns, body=body)


def forced_changes(
    cluster: ClusterMachine, own: MemberRecord
) -> tuple[ConfigChange, ...]:
    """
    What leaves this member as the only one; nothing if it is.

    :param cluster: as it stands at the end of the log; carries the changes out.
    :param own: the record with which this member is added if it is none yet.
    """
    me = own.member_id
    invariant(me not in cluster.removed, "a removed member is never one again")
    done: list[ConfigChange] = []

    def change(kind: ChangeKind, record: MemberRecord) -> None:
        made = ConfigChange(kind, record.member_id, encode_record(record))
        outcome = cluster.change(made)
        invariant(isinstance(outcome, MemberRecord), f"{made} was refused: {outcome}")
        done.append(made)

    known = cluster.member(me)
    last = _last_other(cluster, own)
    if known is not None and known.learner:
        change(ChangeKind.ADD_VOTER, known)
    for record in cluster.members():
        if record.member_id not in {me, last.member_id if last else me}:
            change(ChangeKind.REMOVE, record)
    if last is not None:
        if not set(last.peer_urls).isdisjoint(own.peer_urls):
            # Two members never have one URL, not even for this moment.
            nowhere = f"http://{last.member_id:x}.invalid:2380"
            change(ChangeKind.UPDATE, attrs.evolve(last, peer_urls=(nowhere,)))
        change(ChangeKind.ADD_VOTER, own)
        change(ChangeKind.REMOVE, last)
    elif known is None:
        change(ChangeKind.ADD_VOTER, own)
    return tuple(done)


def _last_other(cluster: ClusterMachine, own: MemberRecord) -> MemberRecord | None:
    """
    Who goes only when this one is there, since somebody must be able to vote; None if
    this one is there already. Better one whose URLs nobody else wants.
    """
    if cluster.member(own.member_id) is not None:
        return None
    voters = [record for record in cluster.members() if not record.learner]
    wanted = set(own.peer_urls)
    voters.sort(key=lambda record: not wanted.isdisjoint(record.peer_urls))
    return voters[0] if voters else None


def forced_save(
    changes: Sequence[ConfigChange], *, last_index: int, member_id: int, term: int
) -> tuple[HardState, tuple[Entry, ...]]:
    """
    The changes as entries, and a hard state by which all of the log is committed.

    :param term: the newest one known here; a new one is begun, in which no entry of
        the others' can stand at the same place.
    """
    entries = tuple(
        Entry(
            index,
            term + 1,
            EntryKind.CHANGE,
            encode_change(tag_change(change, UNASKED)),
        )
        for index, change in enumerate(changes, last_index + 1)
    )
    commit = last_index + len(entries)
    return HardState(term=term + 1, vote=member_id, commit=commit), entries


def removals(entries: Iterable[Entry], *, commit: int) -> tuple[tuple[int, int], ...]:
    """Index and member of each committed removal in the log that was read."""
    found = []
    for index, _, kind, data in entries:
        if kind is EntryKind.CHANGE and index <= commit:
            change = decode_change(data)
            if change.kind is ChangeKind.REMOVE:
                found.append((index, change.member_id))
    return tuple(found)
