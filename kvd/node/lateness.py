"""Why a request was not answered in time, as far as this member can tell."""

from __future__ import annotations

from collections.abc import Collection

from kvd.errors import UnavailableReason
from kvd.raft.core import Raft


class Lateness:
    """
    Remembers since when we are connected to whom, and since when somebody leads.

    :param election_seconds: the shortest election timeout.
    :ivar leader_since: the clock's seconds when the last leader was first seen.
    :ivar leaders_seen: how often somebody was; the same one may be, again.
    """

    def __init__(self, raft: Raft, *, election_seconds: float) -> None:
        self._raft = raft
        self._election_seconds = election_seconds
        self._connected_since: dict[int, float] = {}
        self.leader_since = 0.0
        self.leaders_seen = 0

    def leader_seen(self, *, now: float) -> None:
        """Somebody leads, who did not a moment ago."""
        self.leader_since = now
        self.leaders_seen += 1

    def observe(self, connected: Collection[int], *, now: float) -> None:
        """Once a tick: who is connected at the moment."""
        before = self._connected_since
        self._connected_since = {
            member: before.get(member, now) for member in connected
        }

    def why(self, began: float) -> UnavailableReason:
        """Etcd's three explanations (V2-SPEC 14) for a request that began then."""
        me, leader = self._raft.member_id, self._raft.leader
        lost = self.leader_since - 2 * self._election_seconds
        if lost < began < self.leader_since:
            return UnavailableReason.LEADER_FAILURE
        if leader == me:
            voters = self._raft.status().configuration.voters
            heard = sum(
                1 for voter in voters if voter == me or self._since_before(voter, began)
            )
            if heard <= len(voters) // 2:
                return UnavailableReason.CONNECTION_LOST
        elif leader and not self._since_before(leader, began):
            return UnavailableReason.CONNECTION_LOST
        return UnavailableReason.TIMED_OUT

    def _since_before(self, member_id: int, began: float) -> bool:
        since = self._connected_since.get(member_id)
        return since is not None and since <= began
