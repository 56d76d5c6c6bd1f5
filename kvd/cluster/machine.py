"""Membership as a state machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import attrs

from kvd.cluster.codec import (
    decode_record,
    dump,
    encode_publish,
    encode_record,
    encode_version,
    load,
    record_as_json,
    record_from_json,
)
from kvd.cluster.members import MemberRecord, RefusalReason, RefusedChange
from kvd.errors import RequestError, StorageError
from kvd.raft.messages import ChangeKind, ConfigChange
from kvd.state import InternalWrite, Restoring, Section

__all__ = [
    "ClusterMachine",
    "decode_record",
    "encode_publish",
    "encode_record",
    "encode_version",
    "version_number",
]

_VERSION = 1
_CHUNK_BYTES = 32 << 10


class ClusterMachine:
    """
    Who is a member, who was one, and the cluster's version.

    Membership changes come through :meth:`change`, from the log's CHANGE entries; what
    members say of themselves comes through :meth:`apply`. What etcd writes into its
    store on such an occasion is left for the applier in :meth:`take_writes`.
    """

    name = "cluster"
    required = True

    def __init__(self) -> None:
        self._members: dict[int, MemberRecord] = {}
        self._removed: frozenset[int] = frozenset()
        self._version = ""
        self._writes: list[InternalWrite] = []

    # -- what is known --

    def members(self) -> tuple[MemberRecord, ...]:
        """Ascending by id."""
        return tuple(self._members[id_] for id_ in sorted(self._members))

    def member(self, member_id: int) -> MemberRecord | None:
        return self._members.get(member_id)

    @property
    def removed(self) -> frozenset[int]:
        """Ids that were members once and never will be again."""
        return self._removed

    @property
    def version(self) -> str:
        """The cluster's version, empty until it is decided."""
        return self._version

    # -- the log --

    def change(self, change: ConfigChange) -> MemberRecord | RefusedChange:
        """
        Carry out a membership change, or say why not.

        :returns: the member as it is now; a removed one as it was.
        """
        # etcd looks at both lists in its store.
        gone = InternalWrite("get", "/0/removed_members", "", ok=bool(self._removed))
        self._writes += [InternalWrite("get", "/0/members", ""), gone]
        id_ = change.member_id
        if id_ in self._removed:
            return RefusedChange(RefusalReason.REMOVED, id_)
        if change.kind is ChangeKind.REMOVE:
            return self._remove(id_)
        old = self._members.get(id_)
        if old is not None and old.learner and change.kind is ChangeKind.ADD_VOTER:
            # Nothing that etcd's clients count: for them it always was a member.
            promoted = attrs.evolve(old, learner=False)
            self._members[id_] = promoted
            return promoted
        try:
            record = decode_record(change.context)
        except RequestError:
            return RefusedChange(RefusalReason.UNDECODABLE, id_)
        if record.member_id != id_ or not record.peer_urls:
            return RefusedChange(RefusalReason.UNDECODABLE, id_)
        if change.kind is ChangeKind.UPDATE:
            if old is None:
                return RefusedChange(RefusalReason.NOT_FOUND, id_)
            record = attrs.evolve(old, peer_urls=record.peer_urls)
        elif old is not None:
            return RefusedChange(RefusalReason.ID_EXISTS, id_)
        else:
            learner = change.kind is ChangeKind.ADD_LEARNER
            record = attrs.evolve(record, learner=learner)
        others = [other for other in self._members.values() if other is not old]
        taken = {url for other in others for url in other.peer_urls}
        if not taken.isdisjoint(record.peer_urls):
            return RefusedChange(RefusalReason.PEER_URL_EXISTS, id_)
        return self._keep(record, "create" if old is None else "update")

    def _keep(self, record: MemberRecord, action: str) -> MemberRecord:
        self._members[record.member_id] = record
        attributes = {"peerURLs": list(record.peer_urls)}
        key = f"{_key(record.member_id)}/raftAttributes"
        self._writes.append(InternalWrite(action, key, json.dumps(attributes)))
        return record

    def _remove(self, member_id: int) -> MemberRecord | RefusedChange:
        old = self._members.get(member_id)
        if old is None:
            return RefusedChange(RefusalReason.NOT_FOUND, member_id)
        voters = {id_ for id_, other in self._members.items() if not other.learner}
        if voters == {member_id}:
            return RefusedChange(RefusalReason.LAST_VOTER, member_id)
        del self._members[member_id]
        self._removed |= {member_id}
        gone = f"/0/removed_members/{member_id:x}"
        self._writes.append(InternalWrite("delete", _key(member_id), ""))
        self._writes.append(InternalWrite("create", gone, ""))
        return old

    def apply(self, *, index: int, time_ns: int, body: bytes) -> object:
        """
        :returns: for a publish the MemberRecord, or why not (RefusedChange); for a
            version the one that holds now; a RequestError for anything else.
        """
        del index, time_ns
        try:
            match load(body):
                case {"publish": shown}:
                    return self._publish(record_from_json(shown))
                case {"version": str(version)}:
                    return self._raise_version(version)
        except RequestError as refusal:
            return refusal
        return RequestError(300, "undecodable cluster request")

    def _publish(self, told: MemberRecord) -> MemberRecord | RefusedChange:
        id_ = told.member_id
        old = self._members.get(id_)
        if old is None:
            removed = id_ in self._removed
            return RefusedChange(
                RefusalReason.REMOVED if removed else RefusalReason.NOT_FOUND, id_
            )
        record = attrs.evolve(old, name=told.name, client_urls=told.client_urls)
        self._members[id_] = record
        attributes = {"name": record.name, "clientURLs": list(record.client_urls)}
        self._writes.append(
            InternalWrite("set", f"{_key(id_)}/attributes", json.dumps(attributes))
        )
        return record

    def _raise_version(self, version: str) -> str | RequestError:
        """The version only ever rises; telling the present one again changes nothing."""
        number = version_number(version)
        if number is None:
            return RequestError(300, f"no version: {version}")
        now = version_number(self._version)
        if now is None or number > now:
            self._version = version
            self._writes.append(InternalWrite("set", "/0/version", version))
        return self._version

    def take_writes(self) -> list[InternalWrite]:
        """What must be accounted for since the last call (V2-SPEC 7)."""
        writes, self._writes = self._writes, []
        return writes

    def internal_writes(self, writes: Sequence[InternalWrite]) -> None:
        """They are all our own."""

    def publish(self) -> None:
        """Nobody watches the members."""

    def due(self, *, time_ns: int) -> Sequence[bytes]:
        """No member expires."""
        del time_ns
        return ()

    # -- snapshots --

    def snapshot(self) -> Section:
        data = dump(
            {
                "members": [record_as_json(record) for record in self.members()],
                "removed": [f"{id_:x}" for id_ in sorted(self._removed)],
                "version": self._version,
            }
        )
        chunks = (
            data[at : at + _CHUNK_BYTES] for at in range(0, len(data), _CHUNK_BYTES)
        )
        return Section(self.name, _VERSION, chunks)

    def restoring(self, *, version: int, chunks: Iterable[bytes]) -> Restoring:
        yield
        if version != _VERSION:
            raise StorageError(f"cluster snapshot of unknown version {version}")
        try:
            match load(b"".join(chunks)):
                case {
                    "members": list(members),
                    "removed": list(removed),
                    "version": str(decided),
                }:
                    records = [record_from_json(shown) for shown in members]
                    gone = frozenset(int(id_, 16) for id_ in removed)
                case _:
                    raise StorageError("cluster snapshot cannot be read")
        except (RequestError, ValueError, TypeError):
            raise StorageError("cluster snapshot cannot be read") from None

        def replace() -> None:
            self._members = {record.member_id: record for record in records}
            self._removed = gone
            self._version = decided
            self._writes.clear()

        return replace


def _key(member_id: int) -> str:
    return f"/0/members/{member_id:x}"


def version_number(version: str) -> tuple[int, ...] | None:
    """``3.4.0`` in a form that compares; None for anything else."""
    parts = version.split(".")
    if len(parts) == 3 and all(
        part.isascii() and part.isdigit() and len(part) < 10 for part in parts
    ):
        return tuple(int(part) for part in parts)
    return None
