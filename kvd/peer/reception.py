"""The peer port: who may come in, who is there, whose place is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from kvd.cluster.facts import ClusterFacts, encode_facts
from kvd.peer.commands import Purpose, Refusal
from kvd.peer.inbox import SnapshotInbox, SnapshotReceiver
from kvd.peer.outflow import Outflow
from kvd.peer.peer import Peer
from kvd.peer.receiving import Introduction, NotWelcome, ReceivingConnection
from kvd.peer.settings import PeerIdentity, PeerSettings
from kvd.raft.messages import NOBODY, InstallSnapshot, Message

REFUSAL_SECONDS = 60.0
"""Between two log lines with the same reason for a refused Hello."""

REFUSALS_REMEMBERED_MAX = 256

REMOTES_MAX = 16
"""Members not known here that may be heard at one time."""


class PeerFactory(Factory):
    """Makes the protocol of each accepted connection; the service listens with it."""

    noisy = False

    def __init__(self, accept: Callable[[], ReceivingConnection | None]) -> None:
        self._accept = accept

    def buildProtocol(self, addr: IAddress | None) -> ReceivingConnection | None:  # noqa: ARG002 -- Twisted's
        return self._accept()


class Reception:
    """
    All accepted connections.

    :param peers: the other members as known at the moment; the owner changes it.
    :param may_lead: whether a member that we do not know could be whom we have to
        follow, because we hear no other leader.
    :param facts: what anybody may know of the cluster.
    :param deliver: takes each message of a welcome member.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        settings: PeerSettings,
        identity: PeerIdentity,
        inbox: SnapshotInbox,
        peers: Mapping[int, Peer],
        is_removed: Callable[[int], bool],
        has_run: Callable[[int], bool | None],
        may_lead: Callable[[int], bool],
        facts: Callable[[], ClusterFacts],
        deliver: Callable[[Message], None],
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._identity = identity
        self._inbox = inbox
        self._peers = peers
        self._is_removed = is_removed
        self._has_run = has_run
        self._may_lead = may_lead
        self._facts = facts
        self._deliver = deliver
        self._running = False
        self._accepted: set[ReceivingConnection] = set()
        self._strangers: dict[ReceivingConnection, None] = {}
        self._incoming: dict[int, ReceivingConnection] = {}
        self._remotes: set[int] = set()  # of these, who is not known here
        self._refusals_said: dict[str, float] = {}
        self._received_bytes: dict[int, int] = {}  # on connections that have ended
        self.factory = PeerFactory(self._accept)

    def start(self) -> None:
        """Accept from now on."""
        self._running = True

    def stop(self) -> list[Deferred[None]]:
        """Accept no more; each fires when one of the connections has ended."""
        self._running = False
        return [each.finish("we are stopping") for each in tuple(self._accepted)]

    def received_bytes(self, member_id: int) -> int:
        """All that came from this member since the start."""
        return self._received_bytes.get(member_id, 0) + sum(
            connection.bytes_received
            for connection in self._accepted
            if connection.member_id == member_id
        )

    def forget(self, member_id: int) -> None:
        """End what came from this member, which is none any more."""
        self._received_bytes.pop(member_id, None)
        for connection in tuple(self._accepted):
            if connection.member_id == member_id:
                connection.finish("it is no member any more")

    def _accept(self) -> ReceivingConnection | None:
        if not self._running:
            return None
        if len(self._strangers) >= self._settings.strangers_max:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.drop("too many connections without a Hello")
        connection = ReceivingConnection(
            clock=self._clock,
            settings=self._settings,
            identity=self._identity,
            host=self,
        )
        self._strangers[connection] = None
        self._accepted.add(connection)
        return connection

    def judge(self, hello: Introduction) -> NotWelcome | None:
        """Whether this sender may talk to us, decided before it says anything else."""
        ours = self._identity
        if hello.cluster_id != ours.cluster_id:
            return NotWelcome(
                Refusal.OTHER_CLUSTER,
                f"member {hello.member_id:x} of cluster {hello.cluster_id:x} knocked at"
                f" cluster {ours.cluster_id:x}",
            )
        if hello.expected != ours.member_id or hello.member_id == ours.member_id:
            return NotWelcome(
                Refusal.OTHER_MEMBER,
                f"member {hello.member_id:x} looked for member {hello.expected:x}"
                f" and found {ours.member_id:x}",
            )
        if self._is_removed(hello.member_id):
            return NotWelcome(
                Refusal.REMOVED,
                f"member {hello.member_id:x} was removed from the cluster",
            )
        if hello.member_id not in self._peers and not self._is_remote(hello):
            return NotWelcome(
                Refusal.STRANGER,
                f"member {hello.member_id:x} is not known to member"
                f" {ours.member_id:x} (yet)",
            )
        if hello.purpose is Purpose.FOUNDING:
            return self._judge_founder(hello.member_id)
        return None

    def _judge_founder(self, member_id: int) -> NotWelcome | None:
        has_run = self._has_run(member_id)
        if has_run is None:
            return NotWelcome(
                Refusal.STRANGER,
                f"whether member {member_id:x} has run is not known yet",
            )
        if has_run:
            return NotWelcome(
                Refusal.BOOTSTRAPPED,
                f"member {member_id:x} has already been bootstrapped",
            )
        return None

    def _is_remote(self, hello: Introduction) -> bool:
        """
        Somebody of our cluster who was added after all that we know.

        Only while we hear no leader, or only this one: else whoever leads us will tell
        us of all members there are.
        """
        if hello.purpose is Purpose.FOUNDING or hello.member_id == NOBODY:
            return False
        known = hello.member_id in self._remotes
        return known or (
            hello.purpose is Purpose.MESSAGES
            and len(self._remotes) < REMOTES_MAX
            and self._may_lead(hello.member_id)
        )

    def way_back(self, member_id: int) -> Outflow | None:
        """Into the connection on which this member talks to us, if there is one."""
        connection = self._incoming.get(member_id)
        if connection is None or connection.closed:
            return None
        return connection.outflow

    def peers_changed(self) -> None:
        """Who was not known here may be now, or may be known to be no member."""
        self._remotes -= self._peers.keys()
        for member_id in tuple(self._remotes):
            if self._is_removed(member_id):
                self.forget(member_id)

    def facts(self) -> bytes:
        """The list of members for somebody who asks for it, encoded."""
        return encode_facts(self._facts())

    def welcomed(self, connection: ReceivingConnection) -> None:
        """A member dialled us; a second connection takes the place of the first."""
        self._strangers.pop(connection, None)
        if connection.purpose is Purpose.MESSAGES:
            before = self._incoming.get(connection.member_id)
            self._incoming[connection.member_id] = connection
            if before is not None:
                before.drop("a newer connection of the same member takes its place")
            peer = self._peers.get(connection.member_id)
            if peer is None:
                self._remotes.add(connection.member_id)
                self._log.info(
                    "member {member_id:x} at {address} is not known here yet, and heard",
                    member_id=connection.member_id,
                    address=connection.address,
                )
                return
            if connection.outflow is not None:
                connection.outflow.counts = peer.counts
            peer.hurry()

    def message_received(
        self, connection: ReceivingConnection, message: Message
    ) -> None:
        """A message of a known member, addressed to us."""
        if connection.member_id in self._peers or connection.member_id in self._remotes:
            self._deliver(message)

    def snapshot_offered(
        self, connection: ReceivingConnection, message: InstallSnapshot, size: int
    ) -> SnapshotReceiver:
        """A member wants to stream its snapshot to us."""
        return self._inbox.offered(connection, message, size)

    def receiving_ended(self, connection: ReceivingConnection, why: str) -> None:
        """An accepted connection is gone."""
        self._accepted.discard(connection)
        if connection.member_id in self._peers:
            came = self._received_bytes.get(connection.member_id, 0)
            self._received_bytes[connection.member_id] = (
                came + connection.bytes_received
            )
        stranger = connection in self._strangers
        self._strangers.pop(connection, None)
        self._inbox.ended(connection, why)
        if self._incoming.get(connection.member_id) is connection:
            del self._incoming[connection.member_id]
            self._remotes.discard(connection.member_id)
        if not self._running or connection.purpose is Purpose.FOUNDING:
            return
        if stranger:
            if connection.bytes_received and not connection.asked:
                self._refused(connection, why)
            return
        self._log.info(
            "connection from member {member_id:x} at {address} ended: {why}",
            member_id=connection.member_id,
            address=connection.address,
            why=why,
        )

    def _refused(self, connection: ReceivingConnection, why: str) -> None:
        """Log who did not come in and why, each reason once in a while."""
        now = self._clock.seconds()
        if now - self._refusals_said.get(why, -REFUSAL_SECONDS) < REFUSAL_SECONDS:
            return
        if len(self._refusals_said) >= REFUSALS_REMEMBERED_MAX:
            del self._refusals_said[next(iter(self._refusals_said))]
        self._refusals_said[why] = now
        self._log.warn(
            "refused a connection from {address}: {why}",
            address=connection.address,
            why=why,
        )
