"""A simulated network: links that cut, lose, repeat, delay and reorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from random import Random
from typing import Protocol

from kvd.node.interfaces import Persistence, TransportEvents
from kvd.raft.codec import decode_message, encode_message
from kvd.raft.messages import InstallSnapshot, Message
from kvd.testing.clock import Process, Timeline
from kvd.testing.streams import Stream


class Link:
    """
    One direction between two members.

    :ivar cut: nothing passes.
    :ivar drop, repeat, swap: how often a message is lost, comes twice, or may be
        overtaken by later ones.
    :ivar seconds, jitter: each message takes ``seconds`` and up to ``jitter`` more.
    """

    __slots__ = ("cut", "drop", "jitter", "last", "repeat", "seconds", "swap")

    def __init__(self) -> None:
        self.last = 0.0
        self.heal()

    def heal(self) -> None:
        self.cut = False
        self.drop = self.repeat = self.swap = 0.0
        self.seconds = 0.001
        self.jitter = 0.001

    def works(self) -> bool:
        return not self.cut


class Counts:
    """How often each thing happened to a message."""

    __slots__ = ("cut", "delivered", "dropped", "reordered", "repeated", "snapshots")

    def __init__(self) -> None:
        self.cut = self.delivered = self.dropped = 0
        self.repeated = self.reordered = self.snapshots = 0


class Endpoint(Protocol):
    """What the network knows of a running member."""

    process: Process
    persistence: Persistence
    events: TransportEvents
    transport: SimulatedTransport

    @property
    def addresses(self) -> AbstractSet[str]:
        """The URLs at which it listens."""
        ...

    def admits(self, member_id: int) -> bool:
        """Whether a connection of this member would be taken."""
        ...

    def refuses(self, member_id: int) -> str:
        """Why messages of this member are not taken, or empty."""
        ...


class Network:
    """Everything between the members; it owns all links."""

    def __init__(self, timeline: Timeline, random: Random) -> None:
        self.timeline = timeline
        self.random = random
        self.counts = Counts()
        self.endpoints: dict[int, Endpoint] = {}
        self._links: dict[tuple[int, int], Link] = {}
        self._streams: dict[tuple[int, int], Stream] = {}
        #: Called with each message that arrives, for traces.
        self.observer: Callable[[Message], object] | None = None
        #: What a message becomes on the wire; tests put the codec in.
        self.wire: Callable[[Message], Message] | None = None

    def link(self, sender: int, to: int) -> Link:
        link = self._links.get((sender, to))
        if link is None:
            link = self._links[sender, to] = Link()
        return link

    def heal(self) -> None:
        for link in self._links.values():
            link.heal()

    def cut(self, sender: int, to: int) -> None:
        self.link(sender, to).cut = True

    def left(self, member_id: int) -> None:
        """A member's process has ended: its snapshots on the way break."""
        self.endpoints.pop(member_id, None)
        for pair in [pair for pair in self._streams if member_id in pair]:
            self._streams.pop(pair).end(ok=False)

    def stream(self, transport: SimulatedTransport, message: InstallSnapshot) -> None:
        """
        Carry a snapshot, unless one is on its way between the two.

        One that somebody else is sending to the same member ends: it takes one at a
        time, from the newest who offers one.
        """
        pair = (message.sender, message.to)
        running = self._streams.get(pair)
        if running is not None and not running.ended:
            return
        for (_, to), other in self._streams.items():
            if to == message.to:
                other.end(ok=False)
        self._streams[pair] = stream = Stream(self, transport, message)
        stream.start()

    def isolate(self, member_ids: Sequence[int], others: Sequence[int]) -> None:
        """Cut both ways between two groups."""
        for one in member_ids:
            for other in others:
                self.cut(one, other)
                self.cut(other, one)

    def deliver_after(
        self, link: Link, function: Callable[..., object], *args: object
    ) -> None:
        """Put something on a link; it keeps its order unless the link swaps."""
        random = self.random.random
        now = self.timeline.now
        arrival = now + link.seconds + link.jitter * random()
        if arrival < link.last:
            if link.swap and random() < link.swap:
                self.counts.reordered += 1
            else:
                arrival = link.last
        else:
            if link.swap and random() < link.swap:
                arrival += link.jitter + link.seconds * 8 * random()
                # Later ones need not wait for this one.
                self.timeline.after(arrival - now, function, *args)
                self.counts.reordered += 1
                return
            link.last = arrival
        self.timeline.after(arrival - now, function, *args)


class SimulatedTransport:
    """
    Provides :class:`kvd.node.interfaces.Transport` for one run of a member.

    It reaches a peer that is where it thinks, and that lets it in; and it answers
    whoever reaches it. A member that joins knows nobody, and one that lags may not know
    its leader yet, or not where it is.

    :ivar owner: whom to tell; set before the process takes another turn.
    """

    owner: Endpoint

    def __init__(self, network: Network, member_id: int, process: Process) -> None:
        self._network = network
        self._member_id = member_id
        self.process = process
        self._peers: dict[int, tuple[str, ...]] = {}
        self._told: set[int] = set()

    def set_peers(self, peer_urls: dict[int, tuple[str, ...]]) -> None:
        self._peers = {
            peer: urls for peer, urls in peer_urls.items() if peer != self._member_id
        }

    def knows(self, member_id: int) -> bool:
        """Whether it was told of this member."""
        return member_id in self._peers

    def reaches(self, member_id: int) -> bool:
        """On a connection of its own."""
        target = self._network.endpoints.get(member_id)
        return (
            target is not None
            and not target.addresses.isdisjoint(self._peers.get(member_id, ()))
            and target.admits(self._member_id)
        )

    def has_way_back(self, member_id: int) -> bool:
        """On the connection of somebody who reaches us, and is taken in."""
        target = self._network.endpoints.get(member_id)
        return (
            target is not None
            and target.transport.reaches(self._member_id)
            and not self.owner.refuses(member_id)
        )

    def connected(self) -> frozenset[int]:
        network = self._network
        return frozenset(
            peer
            for peer in self._peers
            if self.reaches(peer)
            and network.link(self._member_id, peer).works()
            and network.link(peer, self._member_id).works()
        )

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if type(message) is InstallSnapshot:
                if self.knows(message.to):
                    self._network.stream(self, message)
            elif self.reaches(message.to) or self.has_way_back(message.to):
                self._send(message)
            elif self.knows(message.to):
                self._network.counts.cut += 1
                self._unreachable(message.to)

    def _send(self, message: Message) -> None:
        network = self._network
        link = network.link(self._member_id, message.to)
        target = network.endpoints[message.to]
        if link.cut:
            network.counts.cut += 1
            self._unreachable(message.to)
            return
        random = network.random.random
        if link.drop and random() < link.drop:
            network.counts.dropped += 1
            return
        if network.wire is not None:
            message = network.wire(message)
        network.deliver_after(link, self._arrive, target, message)
        if link.repeat and random() < link.repeat:
            network.counts.repeated += 1
            network.deliver_after(link, self._arrive, target, message)

    def _arrive(self, target: Endpoint, message: Message) -> None:
        network = self._network
        if network.link(message.sender, message.to).cut:
            network.counts.cut += 1
            return
        refusal = target.refuses(message.sender)
        if refusal:
            if not network.link(message.to, message.sender).cut:
                self.process.run(self._tell_removed, refusal)
            return
        network.counts.delivered += 1
        if network.observer is not None:
            network.observer(message)
        target.process.run(target.events.received, message)

    def _unreachable(self, member_id: int) -> None:
        """Tell the member in a later turn, once for many messages."""
        if member_id not in self._told:
            self._told.add(member_id)
            self.process.after(0.05, self._tell_unreachable, member_id)

    def _tell_unreachable(self, member_id: int) -> None:
        self._told.discard(member_id)
        self.owner.events.unreachable(member_id)

    def _tell_removed(self, reason: str) -> None:
        self.owner.events.removed(reason)


def encode_and_decode(message: Message) -> Message:
    """For ``Network.wire``: what a real connection makes of it."""
    return decode_message(encode_message(message))
