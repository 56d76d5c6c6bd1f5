"""
What a leader knows of one member, and how fast it may send (thesis 10.2.1).

::

                       accepted
        +--> PROBE ---------------> REPLICATE   many messages in flight
        |      |  one message until   |    |
        |      |  it is answered      |    |
        |      |                      |    |
        |      +----------+-----------+    |
        |                 | needs entries  | refused, or
        |                 v that are gone  | unreachable
        |             SNAPSHOT             |
        |                 | sent or failed |
        +-----------------+----------------+
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from kvd.raft import invariants


class ProgressState(Enum):
    """How entries are sent at the moment."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """
    One member's, the leader's own included.

    :ivar match: highest index known to be durable there; of the leader itself: here.
    :ivar next: the next index to send.
    :ivar paused: in PROBE: the one message is on its way.
    :ivar inflight: last index and bytes of each unanswered message, oldest first.
    :ivar sent_commit: the commit index that it was last told.
    :ivar stalled: nothing new was stored there between the last two heartbeat ticks;
        its next heartbeat answer makes us send again.
    :ivar active: heard from in this election timeout; ``was_active``: in the one before.
    :ivar round: the latest heartbeat round that it has answered.
    :ivar told_round: the first one that told it of the leader's own removal, or 0.
    """

    __slots__ = (
        "active",
        "inflight",
        "inflight_bytes",
        "match",
        "member_id",
        "next",
        "paused",
        "round",
        "sent_commit",
        "snapshot_index",
        "snapshot_ticks",
        "stalled",
        "state",
        "tick_match",
        "told_round",
        "was_active",
    )

    def __init__(self, member_id: int, *, match: int, next_index: int) -> None:
        self.member_id = member_id
        self.match = match
        self.next = next_index
        self.state = ProgressState.PROBE
        self.paused = False
        self.inflight: deque[tuple[int, int]] = deque()
        self.inflight_bytes = 0
        self.sent_commit = 0
        self.snapshot_index = 0
        self.snapshot_ticks = 0
        self.stalled = False
        self.tick_match = -1
        self.active = False
        self.was_active = False
        self.round = 0
        self.told_round = 0

    @property
    def recently_active(self) -> bool:
        """Heard from within the last one to two election timeouts."""
        return self.active or self.was_active

    def _become(self, state: ProgressState) -> None:
        self.state = state
        self.paused = False
        self.inflight.clear()
        self.inflight_bytes = 0
        self.snapshot_ticks = 0

    def become_probe(self, *, paused: bool = False) -> None:
        """Find out where it stands; ``paused``: not before it is heard from."""
        if self.state is ProgressState.SNAPSHOT:
            self.next = max(self.match, self.snapshot_index) + 1
        else:
            self.next = self.match + 1
        self.snapshot_index = 0
        self._become(ProgressState.PROBE)
        self.paused = paused

    def become_replicate(self) -> None:
        """It is known to agree up to ``match``: send ahead of the answers."""
        self._become(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """It needs entries that are gone: nothing more until the snapshot is there."""
        self._become(ProgressState.SNAPSHOT)
        self.snapshot_index = index

    def heartbeat_passed(self) -> None:
        """Once for each heartbeat tick, however many rounds reads start beside it."""
        self.stalled = (
            self.match == self.tick_match or self.state is ProgressState.PROBE
        )
        self.tick_match = self.match

    def sent(self, index: int, size: int) -> None:
        """In REPLICATE a message with entries up to ``index`` has gone out."""
        self.next = index + 1
        self.inflight.append((index, size))
        self.inflight_bytes += size

    def accepted(self, index: int, last: int) -> bool:
        """It has everything up to ``index``; false if that was known."""
        inflight = self.inflight
        while inflight and inflight[0][0] <= index:
            self.inflight_bytes -= inflight.popleft()[1]
        if index <= self.match:
            return False
        invariants.match_may_advance(self, index, last)
        self.match = index
        self.next = max(self.next, index + 1)
        return True

    def refused(self, index: int, hint: int) -> bool:
        """
        It does not have the entry at ``index``; false if that is old news.

        :param hint: the highest index at which it may agree.
        """
        if self.state is ProgressState.REPLICATE:
            if index <= self.match:
                return False
            self.become_probe()
            return True
        if self.state is ProgressState.SNAPSHOT or self.next - 1 != index:
            return False
        self.next = max(min(index, hint + 1), self.match + 1)
        self.paused = False
        return True
