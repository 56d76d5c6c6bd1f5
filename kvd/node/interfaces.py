"""The seams of a member: what the node asks of the world, and the door it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import attrs
from twisted.internet.defer import Deferred

from kvd.raft.messages import ConfigChange, Entry, HardState, Message, SnapshotMeta
from kvd.raft.status import RaftStatus


class SnapshotWriter(Protocol):
    """A snapshot on its way to the disk, under a temporary name."""

    def write(self, chunk: bytes) -> Deferred[None]:
        """Append; fires when the next chunk may come (bounded by one chunk queued)."""
        ...

    def commit(self) -> Deferred[None]:
        """Checksum, sync, rename, sync the folder; fires when it is durable."""
        ...

    def abort(self) -> Deferred[None]:
        """Remove what was written; never fails."""
        ...


class SnapshotReader(Protocol):
    """A durable snapshot being read; its checksum was verified when it was opened."""

    meta: SnapshotMeta
    size: int  # bytes of content

    def read(self, size: int) -> Deferred[bytes]:
        """At most ``size`` bytes (up to 1 MiB), empty at the end."""
        ...

    def close(self) -> None: ...


class Persistence(Protocol):
    """
    The disk as a member sees it.

    Every Deferred fires in a later turn than the one that made it, in order. A failure
    is a :class:`kvd.errors.StorageError` and final: nothing later succeeds.
    """

    def save(
        self,
        hard_state: HardState | None,
        entries: Sequence[Entry],
        snapshot: SnapshotMeta | None,
    ) -> Deferred[None]:
        """
        Make durable: first a received snapshot (already written by
        :meth:`receive_snapshot`) becomes the newest, then entries (which replace any
        with the same or a higher index), then the hard state; one sync for all.
        """
        ...

    def create_snapshot(self, meta: SnapshotMeta) -> SnapshotWriter:
        """A snapshot of this member's own making; commit makes it the newest."""
        ...

    def receive_snapshot(self, meta: SnapshotMeta) -> SnapshotWriter:
        """A leader's snapshot; commit leaves it aside until ``save`` names it."""
        ...

    def open_snapshot(self) -> Deferred[SnapshotReader]:
        """The newest durable snapshot. Fails with StorageError if there is none."""
        ...

    def compact(self, index: int) -> Deferred[None]:
        """Entries up to ``index`` are not needed any more; whole segments may go."""
        ...

    def free_bytes(self) -> Deferred[int]:
        """Bytes free for us on the fuller of the log's and the data's file systems."""
        ...


class Transport(Protocol):
    """Best effort, bounded, never raises, never blocks."""

    def send(self, messages: Sequence[Message]) -> None:
        """Queue for the members named in ``to``; what does not fit is dropped."""
        ...

    def set_peers(self, peer_urls: dict[int, tuple[str, ...]]) -> None:
        """The other members and where to reach them; unknown ones are dropped."""
        ...

    def connected(self) -> frozenset[int]:
        """Ids of the members with a working connection at the moment."""
        ...


class TransportEvents(Protocol):
    """What a transport tells the member; the node implements it."""

    def received(self, message: Message) -> None: ...

    def unreachable(self, member_id: int) -> None:
        """Messages to it were dropped, or its connection was lost."""
        ...

    def snapshot_sent(self, member_id: int, *, ok: bool) -> None:
        """The stream of an InstallSnapshot ended."""
        ...

    def removed(self, reason: str) -> None:
        """A member of our own cluster says that we were removed from it."""
        ...


class Applied(NamedTuple):
    """A request's place in history and what its state machine said."""

    index: int  # type: ignore[assignment]  # hides tuple.index, unused
    term: int
    value: object


@attrs.frozen
class MemberStatus:
    """
    A copy of what is known now.

    :ivar leader_since: this clock's seconds when the present leader was first seen.
    """

    raft: RaftStatus
    leader: int
    is_leader: bool
    ready_to_serve: bool
    connected: frozenset[int]
    pending_proposals: int
    out_of_space: bool
    leader_since: float


class Member(Protocol):
    """The door of a member; HTTP, tests and embedders come in here."""

    member_id: int
    cluster_id: int

    @property
    def commit_index(self) -> int: ...

    @property
    def applied_index(self) -> int: ...

    @property
    def applied_term(self) -> int:
        """Term of the last applied entry."""
        ...

    def propose(self, machine: str, body: bytes) -> Deferred[Applied]:
        """
        Put a request into the replicated log; fires once *this* member has applied it.

        :param machine: the state machine's registered name.
        :param body: at most ``request_bytes_max`` bytes.
        :raises RequestError: too large. Unavailable: no answer within
            ``request_timeout_seconds`` (may still take effect), stopping, no space.
        """
        ...

    def read_index(self) -> Deferred[int]:
        """
        Fires with the applied index once this member has applied everything that was
        committed when the call was made, confirmed by a quorum after it was made.

        :raises Unavailable: no confirmation within ``request_timeout_seconds``.
        """
        ...

    def reconfigure(self, change: ConfigChange) -> Deferred[Applied]:
        """As propose, for a membership change; refused while another is in flight."""
        ...

    def transfer_leadership(self, target: int) -> Deferred[bool]:
        """Fires with whether somebody else leads within one election timeout."""
        ...

    def status(self) -> MemberStatus: ...

    def on_leader_changed(self, callback: Callable[[int], None]) -> None:
        """Call with the new leader's id (0: none) at each change."""
        ...
