"""One stream of AMP boxes, whichever side dialled: framing, answers, silence, ends."""

# Twisted leaves amp and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols import amp
from twisted.python.failure import Failure

from kvd.errors import PeerError
from kvd.peer.settings import PeerSettings

BOX_KEYS_MAX = 16
"""In one box; the largest of ours has nine."""

COMMAND = b"_command"
ASK = b"_ask"
ANSWER = b"_answer"
ERROR = b"_error"

# What a command's arguments are is the command's own business.
Values = dict[str, Any]


class BoxConnection(amp.BinaryBoxProtocol):
    """
    Twisted's AMP framing under a dispatch of our own.

    ``amp.AMP`` answers garbage with tracebacks in the log and remembers unknown
    answers as exceptions; here whatever is not understood is a :class:`PeerError`,
    which drops this connection and nothing else. Nothing is delivered once ``closed``.
    """

    transport: Any  # TCP, TLS or a test's; their common interface is not declared

    def __init__(self, *, clock: IReactorTime, settings: PeerSettings) -> None:
        super().__init__(self)
        self._clock = clock
        self._settings = settings
        self._questions: dict[bytes, tuple[type[amp.Command], Deferred[Values]]] = {}
        self._last_tag = 0
        self._tick_call: IDelayedCall | None = None
        self._abort_call: IDelayedCall | None = None
        self._silent_ticks = 0
        self._end_waiters: list[Deferred[None]] = []
        self._lost = False
        self.closed = False
        self.ended_why = ""
        self.bytes_received = 0

    # -- what the two sides fill in ------------------------------------------------

    def command_received(self, name: bytes, box: amp.AmpBox) -> None:
        """A box with a command; raise :class:`PeerError` for what makes no sense."""
        raise NotImplementedError

    def gone(self, why: str) -> None:
        """The stream has ended, once, for whatever reason."""
        raise NotImplementedError

    def tick(self) -> None:
        """One interval of :meth:`start_ticks` passed, and the other side lives."""

    # -- sending -------------------------------------------------------------------

    def request(self, command: type[amp.Command], **arguments: object) -> Deferred[Any]:
        """
        Send a command; fires with its parsed answer.

        Fails with :class:`PeerError` when the connection ends first.
        """
        if self.closed:
            return fail(PeerError(self.ended_why))
        self._last_tag += 1
        tag = b"%x" % self._last_tag
        box = command.makeArguments(arguments, self)
        box[COMMAND] = command.commandName
        box[ASK] = tag
        answer: Deferred[Values] = Deferred()
        self._questions[tag] = (command, answer)
        self.transport.write(box.serialize())
        return answer

    def tell(self, command: type[amp.Command], **arguments: object) -> None:
        """Send a command that has no answer."""
        box = command.makeArguments(arguments, self)
        box[COMMAND] = command.commandName
        self.transport.write(box.serialize())

    def answer(
        self, tag: bytes, command: type[amp.Command], **response: object
    ) -> None:
        """Answer one command of the other side; nothing once closed."""
        if self.closed:
            return
        box = command.makeResponse(response, self)
        box[ANSWER] = tag
        self.transport.write(box.serialize())

    # -- receiving -----------------------------------------------------------------

    def startReceivingBoxes(self, boxSender: object) -> None:
        """Part of ``IBoxReceiver``; we are our own."""

    def stopReceivingBoxes(self, reason: object) -> None:
        """Part of ``IBoxReceiver``; ``connectionLost`` does the work."""

    def dataReceived(self, data: bytes) -> None:
        if self.closed:
            return
        self._silent_ticks = 0
        self.bytes_received += len(data)
        try:
            self.take(data)
        except PeerError as problem:
            self.drop(str(problem))

    def take(self, data: bytes) -> None:
        """Cut boxes out of what came; a side may have a shorter way for some."""
        super().dataReceived(data)

    def proto_key(self, string: bytes) -> str:
        box: amp.AmpBox = self._currentBox  # type: ignore[assignment]  # untyped
        if string and len(box) >= BOX_KEYS_MAX:
            raise PeerError("a box with too many keys")
        return str(super().proto_key(string))

    def lengthLimitExceeded(self, length: int) -> None:
        raise PeerError(f"an AMP key of {length} bytes")

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        if self.closed:
            return
        name = box.get(COMMAND)
        if name is not None:
            self.command_received(name, box)
            return
        refused = ANSWER not in box
        tag = box.get(ERROR if refused else ANSWER, b"")
        question = self._questions.pop(tag, None)
        if question is None:
            raise PeerError("a box that is no command and answers nothing")
        command, answer = question
        if refused:
            answer.errback(PeerError("the other side failed to answer"))
        else:
            answer.callback(self.parsed(command.parseResponse, box))

    def parsed(self, parse: Any, box: amp.AmpBox) -> Values:  # noqa: ANN401 -- amp's
        """
        The values of a box.

        :raises PeerError: something is missing or not what it should be.
        """
        try:
            values: Values = parse(box, self)
        except (KeyError, ValueError) as problem:
            raise PeerError(f"a box without sense: {problem!r}") from None
        return values

    # -- silence -------------------------------------------------------------------

    def start_ticks(self, interval_seconds: float, silent_max: int) -> None:
        """Call :meth:`tick` regularly; drop after ``silent_max`` without a byte."""
        self._silent_ticks = 0

        def passed() -> None:
            self._silent_ticks += 1
            if self._silent_ticks > silent_max:
                self.drop(f"silent for {silent_max * interval_seconds:g} seconds")
                return
            self._tick_call = self._clock.callLater(interval_seconds, passed)
            self.tick()

        self._tick_call = self._clock.callLater(interval_seconds, passed)

    # -- ends ----------------------------------------------------------------------

    def drop(self, why: str) -> None:
        """End at once; what was not sent yet is lost."""
        if not self.closed:
            self._close(why)
        self.transport.abortConnection()

    def finish(self, why: str) -> Deferred[None]:
        """End after what was written has left, within ``close_seconds``; fires then."""
        ended: Deferred[None] = Deferred()
        if self._lost:
            ended.callback(None)
            return ended
        self._end_waiters.append(ended)
        if self.closed:
            return ended
        self._close(why)
        self._abort_call = self._clock.callLater(
            self._settings.close_seconds, self.transport.abortConnection
        )
        self.transport.loseConnection()
        return ended

    def _close(self, why: str) -> None:
        self.closed = True
        self.ended_why = why
        if self._tick_call is not None and self._tick_call.active():
            self._tick_call.cancel()
        # A registered producer would keep the transport from ever closing.
        self.transport.unregisterProducer()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.closed:
            self._close(f"connection lost: {reason.getErrorMessage()}")
        if self._abort_call is not None and self._abort_call.active():
            self._abort_call.cancel()
        self._lost = True
        questions, self._questions = self._questions, {}
        self.gone(self.ended_why)
        for _, answer in questions.values():
            answer.errback(PeerError(self.ended_why))
        waiters, self._end_waiters = self._end_waiters, []
        for each in waiters:
            each.callback(None)
