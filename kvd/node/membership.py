"""What a change of the members means for this one: whom it talks to, and leaving."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import MemberRecord
from kvd.node.interfaces import Transport
from kvd.node.stats import RaftTraffic


class Membership:
    """
    Follows the cluster machine.

    :param remotes: of a member that joins: who the others are, as long as its own log
        says nothing of members.
    :param departing: whose removal is committed and not applied here yet. They are not
        talked to meanwhile: what they say may be of another history, see
        ``force-new-cluster``.
    :param removed: called once, when this member has been removed and does not lead
        any more. A leader that removes itself leads on until a majority of the others
        knows that it is committed; without it they might not be able to elect.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        member_id: int,
        cluster: ClusterMachine,
        remotes: Sequence[MemberRecord],
        departing: Callable[[], frozenset[int]],
        transport: Transport,
        traffic: RaftTraffic,
        is_leader: Callable[[], bool],
        removed: Callable[[str], None],
    ) -> None:
        self._member_id = member_id
        self._cluster = cluster
        self._remotes = remotes
        self._departing = departing
        self._transport = transport
        self._traffic = traffic
        self._is_leader = is_leader
        self._removed = removed
        self._peers: dict[int, tuple[str, ...]] = {}
        self._parting: dict[int, tuple[str, ...]] = {}
        self._was_member = False
        self._leaving = False
        self._told = False

    def changed(self) -> None:
        """
        Members came, went or moved, or are known for the first time.

        Who went is a peer for some moments more: the leader's last word, that its
        removal is committed, is about to leave.
        """
        members = self._cluster.members()
        me = self._member_id
        others = members or self._remotes
        strangers = {me, *self._departing()}
        before, self._peers = (
            self._peers,
            {r.member_id: r.peer_urls for r in others if r.member_id not in strangers},
        )
        self._parting = {
            member_id: urls
            for member_id, urls in (self._parting | before).items()
            if member_id not in self._peers and member_id not in strangers
        }
        self._transport.set_peers(self._parting | self._peers)
        ids = frozenset(record.member_id for record in members)
        self._traffic.keep_only(ids)
        if me in ids:
            self._was_member = True
        elif self._was_member or me in self._cluster.removed:
            self._leaving = True
            self._maybe_leave()

    def ticked(self) -> None:
        """Once a tick: let go who went, and go if we are removed and do not lead."""
        if self._parting:
            self._parting = {}
            self._transport.set_peers(self._peers)
        self._maybe_leave()

    def _maybe_leave(self) -> None:
        if self._leaving and not self._is_leader():
            self.leave("the change that removes this member was applied")

    def leave(self, reason: str) -> None:
        """We are not a member any more; the first reason is told."""
        if not self._told:
            self._told = True
            self._log.critical("removed from the cluster: {reason}", reason=reason)
            self._removed(reason)
