"""The side that dialled: it says Hello, then sends, and hears answers."""

# Twisted leaves amp and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.protocols import amp

from kvd.errors import PeerError
from kvd.peer.commands import (
    Batch,
    Hello,
    Ping,
    Purpose,
    Received,
    Refusal,
    Urgent,
)
from kvd.peer.conversation import Conversation
from kvd.peer.dialling import Connect, dialled
from kvd.peer.protocol import Values
from kvd.peer.settings import (
    OLDEST_VERSION,
    PROTOCOL_VERSION,
    PeerIdentity,
    PeerSettings,
)
from kvd.raft.messages import Message

REASON_CHARACTERS_MAX = 300

UNSENT_BYTES = 64 << 10
"""In the kernel, written by us and not yet on the line."""


class Refused(PeerError):
    """
    The other side did not accept our Hello, or we not its answer.

    :ivar refusal: what a member of our own cluster said, the one that we expected;
        None for the word of anybody else.
    """

    def __init__(self, reason: str, refusal: Refusal | None = None) -> None:
        super().__init__(reason)
        self.refusal = refusal


class SendingConnection(Conversation):
    """
    A connection that we dialled.

    :ivar welcome: fires with this connection when both Hellos were accepted; fails
        with :class:`Refused` or :class:`PeerError`.
    :ivar on_message: takes what the other side says here; without it, that is a breach.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        settings: PeerSettings,
        identity: PeerIdentity,
        expected: int,
        purpose: Purpose,
    ) -> None:
        super().__init__(clock=clock, settings=settings, identity=identity)
        self._expected = expected
        self.purpose = purpose
        self._ping_outstanding = False
        self.welcome: Deferred[SendingConnection] = Deferred(
            lambda _: self.drop("given up")
        )
        self.on_message: Callable[[Message], None] | None = None
        self.on_gone: Callable[[str], None] | None = None
        self.on_round_trip: Callable[[float], None] | None = None

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        _keep_little_unsent(self.transport)
        self.transport.registerProducer(self, True)
        self.request(
            Hello,
            newest=PROTOCOL_VERSION,
            oldest=OLDEST_VERSION,
            cluster=self._identity.cluster_id,
            member=self._identity.member_id,
            expected=self._expected,
            purpose=self.purpose.value,
            ping_milliseconds=int(self._settings.ping_seconds * 1000),
        ).addCallbacks(self._hello_answered, lambda _: None)

    def _hello_answered(self, values: Values) -> None:
        problem = self._problem_with(values)
        if problem is not None:
            self.welcome.errback(problem)
            self.drop(str(problem))
            return
        self.start_ticks(self._settings.ping_seconds, self._settings.silent_pings_max)
        self.welcome.callback(self)

    def _problem_with(self, values: Values) -> PeerError | None:
        ours = values["cluster"] == self._identity.cluster_id
        meant = values["member"] == self._expected
        if values["refusal"]:
            said = "".join(
                each if each.isprintable() else "?"
                for each in values["reason"][:REASON_CHARACTERS_MAX]
            )
            return Refused(said, _refusal(values) if ours and meant else None)
        if not ours:
            return Refused(f"it belongs to cluster {values['cluster']:x}")
        if not meant:
            return Refused(f"it is member {values['member']:x}")
        if not OLDEST_VERSION <= values["version"] <= PROTOCOL_VERSION:
            return Refused(f"it chose protocol version {values['version']}")
        return None

    def command_received(self, name: bytes, box: amp.AmpBox) -> None:
        if self.on_message is not None and name == Batch.commandName:
            self.piece_received(box.get(b"piece", b""))
        elif self.on_message is not None and name == Urgent.commandName:
            self.urgent_received(box.get(b"message", b""))
        elif name != Received.commandName or not self.welcome.called:
            raise PeerError("a command that a dialler does not take")

    def other_member(self) -> int:
        return self._expected

    def message_received(self, message: Message) -> None:
        if self.on_message is not None:
            self.on_message(message)

    def tick(self) -> None:
        if self.full or self._ping_outstanding:
            return
        self._ping_outstanding = True
        asked = self._clock.seconds()

        def answered(_: Values) -> None:
            self._ping_outstanding = False
            if self.on_round_trip is not None:
                self.on_round_trip(self._clock.seconds() - asked)

        self.request(Ping).addCallbacks(answered, lambda _: None)

    def gone(self, why: str) -> None:
        if not self.welcome.called:
            self.welcome.errback(PeerError(why))
        elif self.on_gone is not None:
            self.on_gone(why)


def _refusal(values: Values) -> Refusal | None:
    try:
        return Refusal(values["refusal"])
    except ValueError:  # of a later release
        return None


def _keep_little_unsent(transport: object) -> None:
    """
    Have the kernel hold little that it has not sent, where it knows how (Linux).

    By default it takes megabytes, and on a slow line what is urgent waits behind them.
    """
    get_handle = getattr(transport, "getHandle", None)
    handle = get_handle() if get_handle is not None else None
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None and isinstance(handle, socket.socket):
        handle.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)


class Dialler:
    """Makes accepted connections to other members."""

    def __init__(
        self,
        *,
        connect: Connect,
        clock: IReactorTime,
        settings: PeerSettings,
        identity: PeerIdentity,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._settings = settings
        self._identity = identity

    def dial(
        self, url: str, *, expected: int, purpose: Purpose
    ) -> Deferred[SendingConnection]:
        """
        Fires with a connection whose Hello was accepted, within ``connect_seconds``.

        Fails with :class:`PeerError` (:class:`Refused` when somebody answered that we
        do not talk to), or CancelledError when cancelled.
        """

        def made() -> SendingConnection:
            return SendingConnection(
                clock=self._clock,
                settings=self._settings,
                identity=self._identity,
                expected=expected,
                purpose=purpose,
            )

        return dialled(
            self._connect,
            url,
            made=made,
            outcome=lambda connection: connection.welcome,
            clock=self._clock,
            seconds=self._settings.connect_seconds,
        )
