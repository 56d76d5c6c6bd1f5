"""
What Raft says and is told: entries, messages between members, and Ready.

Everything here is a plain value. Member ids are 1..2^64-1 (0 is nobody); indexes and
terms are 0..2^63-1. A ``NamedTuple`` stands where a value is made once for each entry
or message on the hot path; frozen attrs classes elsewhere.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

import attrs

NOBODY = 0


class EntryKind(IntEnum):
    """What an entry's data is."""

    NORMAL = 0
    CHANGE = 1  # an encoded ConfigChange
    NOOP = 2  # the empty entry at the start of a term, raft paper 8


class Entry(NamedTuple):
    """One position of the log."""

    index: int  # type: ignore[assignment]  # hides tuple.index, unused
    term: int
    kind: EntryKind
    data: bytes


@attrs.frozen
class HardState:
    """What must be on disk before any answer that rests on it (raft paper fig. 2)."""

    term: int = 0
    vote: int = NOBODY
    commit: int = 0


@attrs.frozen
class Configuration:
    """Who votes and who only listens, after the changes applied so far."""

    voters: frozenset[int] = frozenset()
    learners: frozenset[int] = frozenset()


class ChangeKind(IntEnum):
    """A change of one member at a time (thesis 4.1)."""

    ADD_VOTER = 0  # also promotes a learner
    ADD_LEARNER = 1
    REMOVE = 2
    UPDATE = 3  # context only, for example new peer URLs; the configuration stays


@attrs.frozen
class ConfigChange:
    """
    A membership change.

    :ivar context: opaque to Raft; the cluster machine's record of the member.
    """

    kind: ChangeKind
    member_id: int
    context: bytes = b""


@attrs.frozen
class SnapshotMeta:
    """What a snapshot stands for: everything up to ``index``, and who was a member."""

    index: int
    term: int
    configuration: Configuration


# -- messages: sender and receiver first, then the sender's term (0 for forwarding) --


class RequestVote(NamedTuple):
    to: int
    sender: int
    term: int
    last_index: int
    last_term: int
    pre: bool  # pre-vote, thesis 9.6: term is the one it *would* campaign in
    transfer: bool  # told to campaign by the leader: a lease does not refuse it


class VoteResponse(NamedTuple):
    to: int
    sender: int
    term: int
    granted: bool
    pre: bool


class AppendEntries(NamedTuple):
    to: int
    sender: int
    term: int
    prev_index: int
    prev_term: int
    entries: tuple[Entry, ...]
    commit: int


class AppendResponse(NamedTuple):
    """
    :ivar index: last index now known to match; when rejected, the refused prev_index.
    :ivar hint_index: when rejected: where the leader should look next.
    :ivar hint_term: the responder's term at ``hint_index``.
    """

    to: int
    sender: int
    term: int
    index: int  # type: ignore[assignment]  # hides tuple.index, unused
    rejected: bool
    hint_index: int
    hint_term: int


class Heartbeat(NamedTuple):
    """``round`` numbers the leader's heartbeat rounds; reads wait for one (6.4)."""

    to: int
    sender: int
    term: int
    commit: int
    round: int


class HeartbeatResponse(NamedTuple):
    to: int
    sender: int
    term: int
    round: int


class InstallSnapshot(NamedTuple):
    """
    Only the description; the transport carries the bytes and delivers this last.

    The receiver steps it once the bytes are complete, checked and synced aside.
    """

    to: int
    sender: int
    term: int
    meta: SnapshotMeta


class TimeoutNow(NamedTuple):
    """Leadership transfer: campaign at once (thesis 3.10)."""

    to: int
    sender: int
    term: int


class Propose(NamedTuple):
    """Entries forwarded to the leader, never forwarded again if it is not leader."""

    to: int
    sender: int
    term: int
    proposals: tuple[tuple[EntryKind, bytes], ...]


class ReadIndexRequest(NamedTuple):
    """``context`` is the asker's own number for the read."""

    to: int
    sender: int
    term: int
    context: int


class ReadIndexResponse(NamedTuple):
    to: int
    sender: int
    term: int
    index: int  # type: ignore[assignment]  # hides tuple.index, unused
    context: int


class ChangeRefusal(Enum):
    """Why a membership change was not taken into the log; nothing has happened."""

    NO_LEADER = "no leader"
    TRANSFERRING = "leadership is being transferred"
    NOT_READY = "the leader has not yet committed an entry of its term"
    PENDING = "another membership change is not yet applied"
    TOO_MUCH_UNCOMMITTED = "too much is not yet committed"
    LAST_VOTER = "the last voter cannot be taken away"
    NOT_CAUGHT_UP = "the learner has not yet caught up with the leader"
    UNHEALTHY = "too few voters would be in touch with the leader"
    NO_SPACE = "the leader's disk has too little room"


class ChangeRefused(NamedTuple):
    """
    A forwarded change was not taken, and never will be by whoever says so.

    :ivar change: encoded, as it was forwarded.
    """

    to: int
    sender: int
    term: int
    refusal: ChangeRefusal
    change: bytes


class TransferRequest(NamedTuple):
    """Ask the leader to hand leadership to ``target``."""

    to: int
    sender: int
    term: int
    target: int


Message: TypeAlias = (
    RequestVote
    | VoteResponse
    | AppendEntries
    | AppendResponse
    | Heartbeat
    | HeartbeatResponse
    | InstallSnapshot
    | TimeoutNow
    | Propose
    | ReadIndexRequest
    | ReadIndexResponse
    | TransferRequest
    | ChangeRefused
)


class Role(Enum):
    """What a member is at the moment."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@attrs.frozen
class Read:
    """A confirmed ReadIndex: answer once applied >= index."""

    context: int
    index: int


@attrs.frozen
class Notice:
    """
    Something that the driver should log or react to.

    :ivar kind: a past participle, for example ``leader_changed``, ``stepped_down``.
    :ivar fields: named values for the log line.
    """

    kind: str
    fields: tuple[tuple[str, object], ...] = ()


@attrs.frozen
class Persist:
    """
    What must be durable, in one atomic order: snapshot, then entries, then hard state.

    :ivar after: messages (votes, append answers) that leave only once it is durable.
    """

    hard_state: HardState | None
    entries: tuple[Entry, ...]
    snapshot: SnapshotMeta | None
    after: tuple[Message, ...]


@attrs.frozen
class Ready:
    """
    What the core wants done now.

    :ivar persist: None while an earlier one has not been reported ``persisted()``:
        one is outstanding at a time, and the core gathers meanwhile.
    :ivar messages: may leave at once, whatever the disk does.
    :ivar restore: load the state machines from this durable snapshot, before committed.
    :ivar committed: committed *and durable here*, to be applied in order now.
    :ivar reads: answer each when applied >= its index.
    :ivar dropped_reads: contexts that will never be confirmed (leader or term changed);
        the owner asks again with a new context.
    """

    persist: Persist | None
    messages: tuple[Message, ...]
    restore: SnapshotMeta | None
    committed: tuple[Entry, ...]
    reads: tuple[Read, ...]
    dropped_reads: tuple[int, ...]
    notices: tuple[Notice, ...]


@attrs.frozen
class RaftConfig:
    """
    :ivar election_ticks: at least; each timeout is drawn from [n, 2n).
    :ivar inflight_messages_max: append messages in flight to one follower.
    :ivar append_bytes_max: data bytes in one append message (at least one entry).
    :ivar committed_bytes_max: data bytes in one ``Ready.committed``.
    :ivar uncommitted_bytes_max: beyond this a leader refuses proposals.
    :ivar inflight_bytes_max: bytes of entries in flight to one follower.
    :ivar snapshot_retry_ticks: a snapshot of which nobody has reported how it ended is
        taken for lost after so many ticks.
    :ivar strict_reconfig: refuse a change after which too few voters would be in touch.
    """

    member_id: int
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    pre_vote: bool = True
    check_quorum: bool = True
    inflight_messages_max: int = 64
    append_bytes_max: int = 1 << 20
    committed_bytes_max: int = 8 << 20
    uncommitted_bytes_max: int = 256 << 20
    reads_pending_max: int = 65536
    inflight_bytes_max: int = 8 << 20
    snapshot_retry_ticks: int = 600
    strict_reconfig: bool = True
