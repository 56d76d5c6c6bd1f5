"""A connection between two members, after whose Hello messages may pass either way."""

# Twisted leaves amp without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer, IReactorTime
from zope.interface import implementer

from kvd.errors import PeerError
from kvd.peer.batches import Reassembly
from kvd.peer.commands import URGENT, Purpose, Received, batch_box
from kvd.peer.outflow import Outflow
from kvd.peer.protocol import BoxConnection
from kvd.peer.settings import PeerIdentity, PeerSettings
from kvd.raft.codec import decode_message
from kvd.raft.messages import InstallSnapshot, Message

RECEIVED_BYTES = 32 << 10
"""Batch bytes between two signs of life while a long batch arrives."""


@implementer(IPushProducer)
class Conversation(BoxConnection):
    """
    What both sides of a connection have in common once it may carry messages.

    Messages normally travel from the one that dialled. The other one answers on the
    same connection while it has none of its own, see :class:`kvd.peer.peer.Peer`.

    :ivar full: the transport's buffer is full; the outflow is told when not.
    :ivar outflow: what waits to be sent here; None unless the purpose is messages.
    """

    def __init__(
        self, *, clock: IReactorTime, settings: PeerSettings, identity: PeerIdentity
    ) -> None:
        super().__init__(clock=clock, settings=settings)
        self._identity = identity
        self._messages = Reassembly(settings.message_bytes_max)
        self._unreported_bytes = 0
        # Not "paused": that word stops Twisted's parser below us.
        self.full = False
        self.outflow: Outflow | None = None
        self.purpose = Purpose.MESSAGES

    # -- what the two sides fill in ------------------------------------------------

    def other_member(self) -> int:
        """Who the other side was found to be; 0 before the Hellos were accepted."""
        raise NotImplementedError

    def message_received(self, message: Message) -> None:
        """A message of the other side, to us."""
        raise NotImplementedError

    # -- receiving -----------------------------------------------------------------

    def piece_received(self, piece: bytes) -> None:
        """:raises PeerError: what it completes is no message from them to us."""
        if self.purpose is not Purpose.MESSAGES:
            raise PeerError("messages on a connection that is not for them")
        self._unreported_bytes += len(piece)
        if self._unreported_bytes >= RECEIVED_BYTES:
            self.tell(Received, size=self._unreported_bytes)
            self._unreported_bytes = 0
        for encoded in self._messages.add(piece):
            message = self.decoded(encoded)
            if isinstance(message, InstallSnapshot):
                raise PeerError("a snapshot among the messages")
            self.message_received(message)
            if self.closed:
                return

    def urgent_received(self, encoded: bytes) -> None:
        """As :meth:`piece_received`, of one whole message."""
        message = self.decoded(encoded)
        if self.purpose is not Purpose.MESSAGES or type(message) not in URGENT:
            raise PeerError("a message that may not overtake others")
        self.message_received(message)

    def decoded(self, encoded: bytes) -> Message:
        """:raises PeerError: not a message from them to us."""
        message = decode_message(encoded)
        other = self.other_member()
        if message.to != self._identity.member_id or message.sender != other:
            raise PeerError(
                f"a message from {message.sender:x} to {message.to:x}"
                f" on the connection of {other:x}"
            )
        return message

    # -- sending -------------------------------------------------------------------

    def send_piece(self, piece: bytes | memoryview) -> None:
        """One piece of the stream of messages, at most ``PIECE_BYTES_MAX``."""
        self.transport.write(batch_box(piece))

    def pauseProducing(self) -> None:
        self.full = True

    def resumeProducing(self) -> None:
        self.full = False
        if not self.closed and self.outflow is not None:
            self.outflow.room()

    def stopProducing(self) -> None:
        """Nothing to stop: what waits is in the outflow, and it is bounded."""
