"""
Bytes of the values that stand on the disk and inside messages; numbers big-endian.

::

    Entry          index:8 term:8 kind:1 data
    HardState      version:1 term:8 vote:8 commit:8
    ConfigChange   version:1 kind:1 member:8 context
    Configuration  version:1 voters:2 learners:2, then the ids, 8 bytes each
    SnapshotMeta   version:1 index:8 term:8 configuration

Every decoder raises :class:`PeerError`, and nothing else, for bytes that no encoder
here makes.
"""

from __future__ import annotations

import struct
from typing import Final

from kvd.errors import PeerError
from kvd.raft.messages import (
    NOBODY,
    ChangeKind,
    ConfigChange,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    SnapshotMeta,
)

_VERSION = 1
_NUMBER_MAX = (1 << 63) - 1
_ENTRY = struct.Struct(">QQB")
_HARD_STATE = struct.Struct(">BQQQ")
_CHANGE = struct.Struct(">BBQ")
_META = struct.Struct(">BQQ")
_CONFIGURATION = struct.Struct(">BHH")

KINDS: Final = tuple(EntryKind)
_CHANGES: Final = tuple(ChangeKind)


def unpack(form: struct.Struct, data: bytes, at: int) -> tuple[int, ...]:
    """The numbers at ``at``; what is cut short is a PeerError."""
    try:
        found: tuple[int, ...] = form.unpack_from(data, at)
    except struct.error as error:
        raise PeerError(f"cut short: {len(data)} bytes") from error
    return found


def check(condition: object, problem: str) -> None:
    """Refuse what no encoder makes."""
    if not condition:
        raise PeerError(problem)


def number_of(value: int) -> int:
    """An index or a term, 0..2^63-1."""
    check(value <= _NUMBER_MAX, f"number out of range: {value}")
    return value


def _kind_of(number: int) -> EntryKind:
    check(number < len(KINDS), f"unknown kind of entry: {number}")
    return KINDS[number]


def encode_entry(entry: Entry) -> bytes:
    """As it stands in a log record."""
    return _ENTRY.pack(entry[0], entry[1], entry[2]) + entry[3]


def decode_entry(data: bytes) -> Entry:
    """:raises PeerError: not an entry."""
    index, term, kind = unpack(_ENTRY, data, 0)
    return Entry(number_of(index), number_of(term), _kind_of(kind), data[_ENTRY.size :])


def encode_hard_state(state: HardState) -> bytes:
    """Term, vote, commit."""
    return _HARD_STATE.pack(_VERSION, state.term, state.vote, state.commit)


def decode_hard_state(data: bytes) -> HardState:
    """:raises PeerError: not a hard state."""
    version, term, vote, commit = unpack(_HARD_STATE, data, 0)
    check(version == _VERSION and len(data) == _HARD_STATE.size, "not a hard state")
    return HardState(number_of(term), vote, number_of(commit))


def encode_change(change: ConfigChange) -> bytes:
    """The data of a CHANGE entry."""
    return _CHANGE.pack(_VERSION, change.kind, change.member_id) + change.context


def decode_change(data: bytes) -> ConfigChange:
    """:raises PeerError: not a membership change."""
    version, kind, member_id = unpack(_CHANGE, data, 0)
    check(version == _VERSION and kind < len(_CHANGES), "not a membership change")
    check(member_id != NOBODY, "a change of nobody")
    return ConfigChange(_CHANGES[kind], member_id, data[_CHANGE.size :])


def encode_configuration(configuration: Configuration) -> bytes:
    """Voters, then learners, each ascending."""
    voters = sorted(configuration.voters)
    learners = sorted(configuration.learners)
    return _CONFIGURATION.pack(_VERSION, len(voters), len(learners)) + struct.pack(
        f">{len(voters) + len(learners)}Q", *voters, *learners
    )


def decode_configuration(data: bytes) -> Configuration:
    """:raises PeerError: not a configuration."""
    version, voters, learners = unpack(_CONFIGURATION, data, 0)
    check(version == _VERSION, "unknown version of a configuration")
    count = voters + learners
    check(len(data) == _CONFIGURATION.size + 8 * count, "not a configuration")
    ids = struct.unpack_from(f">{count}Q", data, _CONFIGURATION.size)
    check(len(set(ids)) == count and NOBODY not in ids, "a member twice, or nobody")
    for group in (ids[:voters], ids[voters:]):
        check(list(group) == sorted(group), "members out of order")
    return Configuration(frozenset(ids[:voters]), frozenset(ids[voters:]))


def encode_snapshot_meta(meta: SnapshotMeta) -> bytes:
    """Index, term, configuration."""
    return _META.pack(_VERSION, meta.index, meta.term) + encode_configuration(
        meta.configuration
    )


def decode_snapshot_meta(data: bytes) -> SnapshotMeta:
    """:raises PeerError: not a description of a snapshot."""
    version, index, term = unpack(_META, data, 0)
    check(version == _VERSION, "unknown version of a snapshot's description")
    configuration = decode_configuration(data[_META.size :])
    return SnapshotMeta(number_of(index), number_of(term), configuration)
