"""The side that was dialled: it checks the Hello, then takes what comes."""

# Twisted leaves amp and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.protocols import amp

from kvd.errors import PeerError
from kvd.peer.commands import (
    PIECE_BYTES_MAX,
    Batch,
    Hello,
    Members,
    Number,
    Ping,
    Purpose,
    Received,
    Refusal,
    SnapshotChunk,
    SnapshotEnd,
    SnapshotStart,
    Urgent,
    whole_batches,
)
from kvd.peer.conversation import Conversation
from kvd.peer.counts import PeerCounts
from kvd.peer.outflow import Outflow
from kvd.peer.protocol import ASK
from kvd.peer.settings import (
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    PeerIdentity,
    PeerSettings,
)
from kvd.raft.messages import InstallSnapshot, Message

UNREAD_MAX = 100
"""Small words of ours into a full buffer before it was empty again."""

PING_SECONDS_MAX = 60.0


@attrs.frozen
class Introduction:
    """What a Hello said, once its versions were found to fit."""

    cluster_id: int
    member_id: int
    expected: int
    purpose: Purpose


@attrs.frozen
class NotWelcome:
    """A refusal and its reason, worded for the log of both sides."""

    refusal: Refusal
    reason: str


class IncomingSnapshot(Protocol):
    """A stream of chunks on its way to our disk."""

    def chunk(self, content: bytes, tag: bytes) -> None: ...

    def end(self, checksum: bytes, tag: bytes) -> None: ...


class Host(Protocol):
    """The transport as an accepted connection sees it."""

    def judge(self, hello: Introduction) -> NotWelcome | None: ...

    def facts(self) -> bytes: ...

    def welcomed(self, connection: ReceivingConnection) -> None: ...

    def message_received(
        self, connection: ReceivingConnection, message: Message
    ) -> None: ...

    def snapshot_offered(
        self, connection: ReceivingConnection, message: InstallSnapshot, size: int
    ) -> IncomingSnapshot: ...

    def receiving_ended(self, connection: ReceivingConnection, why: str) -> None: ...


class ReceivingConnection(Conversation):
    """
    A connection that another member dialled, or somebody who says so.

    ::

        stranger -- Hello accepted --> messages | snapshot | founding -- anything wrong
           |                                                                --> closed
           +-- Members --> asked: more of the list of members, and nothing else

    :ivar member_id: 0 until the Hello was accepted; no byte of Raft is decoded before.
    :ivar asked: the list of members as it was at the first question, or empty.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        settings: PeerSettings,
        identity: PeerIdentity,
        host: Host,
    ) -> None:
        super().__init__(clock=clock, settings=settings, identity=identity)
        self._host = host
        self._unread = 0
        self._snapshot: IncomingSnapshot | None = None
        self._hello_call: IDelayedCall | None = None
        self.member_id = 0
        self.asked = b""

    @property
    def address(self) -> str:
        """Where the other side is, for the log."""
        peer = self.transport.getPeer()
        host = getattr(peer, "host", None)
        return f"{host}:{peer.port}" if host is not None else str(peer)

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        self._hello_call = self._clock.callLater(
            self._settings.hello_seconds, self.drop, "no Hello came"
        )

    def take(self, data: bytes) -> None:
        # Batches are nearly all that comes. Between two boxes, whole ones are cut out
        # directly; it costs a fifth of the general way, which takes the rest.
        if self.member_id and self.state == "init" and not self.recvd:
            pieces, data = whole_batches(data)
            for piece in pieces:
                self.piece_received(piece)
                if self.closed:
                    return
        if data:
            super().take(data)

    def command_received(self, name: bytes, box: amp.AmpBox) -> None:
        if not self.member_id:
            if name == Members.commandName and ASK in box:
                self._members_asked(box[ASK], box)
            elif name != Hello.commandName or ASK not in box or self.asked:
                raise PeerError("something else than a Hello")
            else:
                self._hello_received(box[ASK], box)
        elif name == Batch.commandName:
            self.piece_received(box.get(b"piece", b""))
        elif name == Urgent.commandName:
            self.urgent_received(box.get(b"message", b""))
        elif name == Received.commandName and self.outflow is not None:
            pass  # it lives
        elif ASK not in box:
            raise PeerError("a command without a tag")
        elif name == Ping.commandName:
            self._said()
            self.answer(box[ASK], Ping)
        elif self.purpose is Purpose.SNAPSHOT:
            self._snapshot_command(name, box)
        else:
            raise PeerError("a command that does not belong here")

    # -- Hello ---------------------------------------------------------------------

    @staticmethod
    def _common_version(box: amp.AmpBox) -> int | NotWelcome:
        """These two values keep their form for ever, and are read first."""
        number = Number()
        newest = number.fromString(box.get(b"newest", b""))
        oldest = number.fromString(box.get(b"oldest", b""))
        version = min(newest, PROTOCOL_VERSION)
        if version >= max(oldest, OLDEST_VERSION):
            return version
        return NotWelcome(
            Refusal.VERSION,
            f"peer protocol versions {oldest} to {newest} offered,"
            f" {OLDEST_VERSION} to {PROTOCOL_VERSION} understood",
        )

    def _hello_received(self, tag: bytes, box: amp.AmpBox) -> None:
        version = self._common_version(box)
        if isinstance(version, NotWelcome):
            self._refuse(tag, version)
            return
        said = self.parsed(Hello.parseArguments, box)
        try:
            purpose = Purpose(said["purpose"])
        except ValueError:
            raise PeerError("a purpose that we do not know") from None
        hello = Introduction(
            cluster_id=said["cluster"],
            member_id=said["member"],
            expected=said["expected"],
            purpose=purpose,
        )
        problem = self._host.judge(hello)
        if problem is not None:
            self._refuse(tag, problem)
            return
        self._end_hello()
        self.member_id = hello.member_id
        self.purpose = purpose
        if purpose is Purpose.MESSAGES:
            self.outflow = Outflow(
                self,
                member_id=hello.member_id,
                settings=self._settings,
                counts=PeerCounts(),
            )
        self._answer_hello(tag, version)
        self.start_ticks(
            min(max(said["ping_milliseconds"] / 1000, 0.01), PING_SECONDS_MAX),
            # One more than the dialler counts: it notices first and says why.
            self._settings.silent_pings_max + 1,
        )
        self._host.welcomed(self)

    def _refuse(self, tag: bytes, problem: NotWelcome) -> None:
        self._answer_hello(tag, PROTOCOL_VERSION, problem)
        self.finish(problem.reason)

    def _answer_hello(
        self, tag: bytes, version: int, problem: NotWelcome | None = None
    ) -> None:
        self.answer(
            tag,
            Hello,
            version=version,
            cluster=self._identity.cluster_id,
            member=self._identity.member_id,
            refusal=problem.refusal.value if problem is not None else b"",
            reason=problem.reason if problem is not None else "",
        )

    def _end_hello(self) -> None:
        if self._hello_call is not None and self._hello_call.active():
            self._hello_call.cancel()

    # -- questions of strangers ----------------------------------------------------

    def _members_asked(self, tag: bytes, box: amp.AmpBox) -> None:
        """It stays a stranger: its time and its number are those of strangers."""
        version = self._common_version(box)
        if isinstance(version, NotWelcome):
            self.answer(tag, Members, version=PROTOCOL_VERSION, size=0, piece=b"")
            self.finish(version.reason)
            return
        start = self.parsed(Members.parseArguments, box)["start"]
        if not self.asked:
            self.asked = self._host.facts()
        if start >= len(self.asked):
            raise PeerError("a question behind the end of the list of members")
        piece = self.asked[start : start + PIECE_BYTES_MAX]
        size = len(self.asked)
        self.answer(tag, Members, version=version, size=size, piece=piece)

    # -- messages ------------------------------------------------------------------

    def other_member(self) -> int:
        return self.member_id

    def message_received(self, message: Message) -> None:
        self._host.message_received(self, message)

    def tell(self, command: type[amp.Command], **arguments: object) -> None:
        if command is Received:
            self._said()
        super().tell(command, **arguments)

    def _said(self) -> None:
        """Our small words fill the buffer of somebody who does not read them."""
        if self.full:
            self._unread += 1
            if self._unread > UNREAD_MAX:
                raise PeerError("it does not read its answers")

    # -- snapshots -----------------------------------------------------------------

    def _snapshot_command(self, name: bytes, box: amp.AmpBox) -> None:
        tag = box[ASK]
        if name == SnapshotStart.commandName:
            if self._snapshot is not None:
                raise PeerError("a second snapshot on one connection")
            said = self.parsed(SnapshotStart.parseArguments, box)
            message = self.decoded(said["message"])
            if not isinstance(message, InstallSnapshot):
                raise PeerError("a snapshot that is none")
            self._snapshot = self._host.snapshot_offered(self, message, said["size"])
            self.answer(tag, SnapshotStart)
        elif self._snapshot is None:
            raise PeerError("a part of a snapshot that never began")
        elif name == SnapshotChunk.commandName:
            said = self.parsed(SnapshotChunk.parseArguments, box)
            self._snapshot.chunk(said["content"], tag)
        elif name == SnapshotEnd.commandName:
            said = self.parsed(SnapshotEnd.parseArguments, box)
            self._snapshot.end(said["checksum"], tag)
        else:
            raise PeerError("a command that does not belong here")

    # -- ends ----------------------------------------------------------------------

    def pauseProducing(self) -> None:
        if self.outflow is None:
            self.drop("it does not read its answers")
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._unread = 0
        super().resumeProducing()

    def gone(self, why: str) -> None:
        self._end_hello()
        self._host.receiving_ended(self, why)
