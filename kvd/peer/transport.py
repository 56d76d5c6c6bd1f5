"""The network as a member sees it: one object that sends, receives and knows peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.cluster.facts import ClusterFacts
from kvd.errors import PeerError, StorageError
from kvd.node.interfaces import Persistence, TransportEvents
from kvd.peer.commands import URGENT, Purpose
from kvd.peer.counts import PeerFigures
from kvd.peer.inbox import SnapshotInbox
from kvd.peer.outflow import Outflow
from kvd.peer.peer import Peer
from kvd.peer.reception import Reception
from kvd.peer.sending import Dialler, SendingConnection
from kvd.peer.settings import PeerIdentity, PeerSettings
from kvd.peer.snapshots import SnapshotSender
from kvd.raft.codec import encode_message
from kvd.raft.messages import InstallSnapshot, Message


class AmpTransport:
    """
    A :class:`kvd.node.interfaces.Transport` over AMP.

    Each member sends on connections that it dialled and receives on those that it
    accepted, on which it answers while it has none of its own; a snapshot travels on
    another. Whatever is told to the events is
    told in a later turn than the ``send`` that caused it.

    :param connect: an endpoint for one of a peer's URLs; ValueError if it makes none.
    :param random: a number from [0, 1), for the jitter of the backoff.
    :param is_removed: whether a member of this id was removed from the cluster.
    :param has_run: whether a member of this id has taken part in the cluster; None as
        long as we may yet find that in our log.
    :param may_lead: whether a member that we do not know could be whom we have to
        follow, because we hear no other leader.
    :param facts: what anybody may know of the cluster.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        connect: Callable[[str], IStreamClientEndpoint],
        clock: IReactorTime,
        random: Callable[[], float],
        member_id: int,
        cluster_id: int,
        persistence: Persistence,
        is_removed: Callable[[int], bool],
        has_run: Callable[[int], bool | None],
        may_lead: Callable[[int], bool],
        facts: Callable[[], ClusterFacts],
        settings: PeerSettings | None = None,
    ) -> None:
        self._clock = clock
        self._random = random
        self._identity = PeerIdentity(member_id, cluster_id)
        self._persistence = persistence
        self._settings = settings if settings is not None else PeerSettings()
        self._dialler = Dialler(
            connect=connect,
            clock=clock,
            settings=self._settings,
            identity=self._identity,
        )
        self._inbox = SnapshotInbox(
            persistence=persistence,
            delivered=self._deliver,
            clock=clock,
            settings=self._settings,
        )
        self._events: TransportEvents | None = None
        self._running = False
        self._peers: dict[int, Peer] = {}
        self._senders: dict[int, SnapshotSender] = {}
        self._unflushed: set[Outflow] = set()
        self._troubled: set[int] = set()
        self._turn_call: IDelayedCall | None = None
        self._reception = Reception(
            clock=clock,
            settings=self._settings,
            identity=self._identity,
            inbox=self._inbox,
            peers=self._peers,
            is_removed=is_removed,
            has_run=has_run,
            may_lead=may_lead,
            facts=facts,
            deliver=self._deliver,
        )
        self.factory = self._reception.factory

    # -- life ----------------------------------------------------------------------

    def set_events(self, events: TransportEvents) -> None:
        """Who is told; before :meth:`start`."""
        self._events = events

    def start(self) -> None:
        """Begin to dial the peers, and to accept."""
        self._running = True
        self._reception.start()
        for peer in self._peers.values():
            peer.start()

    def stop(self) -> Deferred[None]:
        """Send what waits, end all connections, tell the events nothing more."""
        self._flush_all()
        self._running = False
        if self._turn_call is not None and self._turn_call.active():
            self._turn_call.cancel()
        for sender in tuple(self._senders.values()):
            sender.cancel()
        ends = [peer.stop() for peer in self._peers.values()]
        ends += [*self._reception.stop(), self._inbox.stop()]
        done: Deferred[None] = Deferred()
        DeferredList(ends).addCallback(lambda _: done.callback(None))
        return done

    # -- Transport -----------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        """Queue for the members named in ``to``; what does not fit is dropped."""
        for message in messages:
            peer = self._peers.get(message.to)
            if isinstance(message, InstallSnapshot):
                if peer is not None:
                    self._send_snapshot(peer, message)
                continue
            outflow = peer.outflow if peer is not None else None
            if outflow is None:
                outflow = self._reception.way_back(message.to)
            if outflow is not None and (
                outflow.enqueue_urgent(encode_message(message))
                if type(message) in URGENT
                else outflow.enqueue(encode_message(message))
            ):
                self._unflushed.add(outflow)
            elif peer is not None:
                peer.counts.dropped += 1
                self._troubled.add(message.to)
        self._later()

    def set_peers(self, peer_urls: dict[int, tuple[str, ...]]) -> None:
        """The other members and where to reach them; unknown ones are dropped."""
        ours = self._identity.member_id
        wanted = {each: urls for each, urls in peer_urls.items() if each != ours}
        for member_id in self._peers.keys() - wanted.keys():
            self._forget(member_id)
        for member_id, urls in wanted.items():
            peer = self._peers.get(member_id)
            if peer is not None:
                peer.move(urls)
                continue
            peer = self._peers[member_id] = Peer(
                member_id=member_id,
                urls=urls,
                dialler=self._dialler,
                clock=self._clock,
                random=self._random,
                settings=self._settings,
                deliver=self._deliver,
                troubled=self._trouble,
                removed=self._told_removed,
            )
            if self._running:
                peer.start()
        self._reception.peers_changed()

    def connected(self) -> frozenset[int]:
        """Ids of the members with a working connection of ours at the moment."""
        return frozenset(each for each, peer in self._peers.items() if peer.connected)

    def peers(self) -> list[PeerFigures]:
        """What is counted of each of the others, for those who watch over us."""
        return [
            PeerFigures(
                member_id=member_id,
                connected=peer.connected,
                waiting_bytes=peer.waiting_bytes,
                received_bytes=self._reception.received_bytes(member_id),
                counts=peer.counts,
            )
            for member_id, peer in sorted(self._peers.items())
        ]

    def _forget(self, member_id: int) -> None:
        """No member any more: what waits for it leaves, what it sends is refused."""
        self._peers.pop(member_id).stop()
        sender = self._senders.get(member_id)
        if sender is not None:
            sender.cancel()
        self._reception.forget(member_id)

    # -- what happens at the end of a turn -----------------------------------------

    def _later(self) -> None:
        if self._turn_call is None and (self._unflushed or self._troubled):
            self._turn_call = self._clock.callLater(0, self._turn_ended)

    def _turn_ended(self) -> None:
        self._turn_call = None
        self._flush_all()
        troubled, self._troubled = self._troubled, set()
        for member_id in sorted(troubled):
            if self._running and self._events is not None:
                self._events.unreachable(member_id)

    def _flush_all(self) -> None:
        unflushed, self._unflushed = self._unflushed, set()
        for outflow in unflushed:
            outflow.flush()

    def _trouble(self, member_id: int) -> None:
        self._troubled.add(member_id)
        self._later()

    def _told_removed(self, reason: str) -> None:
        if self._running and self._events is not None:
            self._events.removed(reason)

    def _deliver(self, message: Message) -> None:
        if self._running and self._events is not None:
            self._events.received(message)

    # -- snapshots to others -------------------------------------------------------

    def _send_snapshot(self, peer: Peer, message: InstallSnapshot) -> None:
        member_id = peer.member_id
        if member_id in self._senders:
            return
        sender = self._senders[member_id] = SnapshotSender(
            persistence=self._persistence,
            dial=lambda: self._dial_for_snapshot(peer),
            message=message,
            clock=self._clock,
            settings=self._settings,
        )
        # In a later turn, so that its end never comes within this send.
        self._clock.callLater(0, self._run_sender, member_id, sender)

    def _run_sender(self, member_id: int, sender: SnapshotSender) -> None:
        def ended(result: Failure | None) -> None:
            del self._senders[member_id]
            peer = self._peers.get(member_id)
            if peer is not None:
                peer.counts.sent_bytes += sender.sent_bytes
            ok = not isinstance(result, Failure)
            if isinstance(result, Failure):
                self._log.warn(
                    "snapshot to member {member_id:x} came to nothing: {why}",
                    member_id=member_id,
                    why=result.getErrorMessage(),
                )
                if not isinstance(result.value, PeerError | StorageError):
                    self._log.failure("sending a snapshot", result)
            else:
                self._log.info(
                    "snapshot of {size} bytes sent to member {member_id:x}",
                    size=sender.sent_bytes,
                    member_id=member_id,
                )
            if self._running and self._events is not None:
                self._events.snapshot_sent(member_id, ok=ok)

        sender.run().addBoth(ended)

    def _dial_for_snapshot(self, peer: Peer) -> Deferred[SendingConnection]:
        return self._dialler.dial(
            peer.url, expected=peer.member_id, purpose=Purpose.SNAPSHOT
        )
