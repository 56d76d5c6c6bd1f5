"""
Requests that none of our connections brings: those from inside the process, and those
that came through somebody else's web server. Who answers them, and how, is the port's.
"""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.http import answers
from kvd.http.answers import INTERNAL_ERROR, PLAIN_TEXT
from kvd.http.bodies import TOO_LARGE
from kvd.http.exchange import Answer, Client, Handler, Request, Response, Stream
from kvd.http.fields import HeaderBlock, HeaderBlocks, Refusal
from kvd.http.framing import Framing
from kvd.http.targets import RequestLine, parse_request_line

STOPPING = "the member is stopping"
STOPPED = "the member has stopped"


@attrs.frozen(kw_only=True)
class Asked:
    """
    What a visitor wants to know.

    :ivar target: path and query, escaped.
    :ivar fields: of the head, without those that say where a body ends.
    :ivar body: all of it; None if that is more than so many bytes.
    :ivar prefix: what an outer server has taken off the path, escaped.
    :ivar old: HTTP/1.0.
    :ivar trusted: the host that it names is not looked at.
    """

    method: bytes
    target: bytes
    fields: Sequence[tuple[bytes, bytes]] = ()
    body: Callable[[int], bytes | None] = lambda _: b""
    client: Client = attrs.field(factory=Client)
    prefix: bytes = b""
    old: bool = False
    trusted: bool = False


class Visitor(Protocol):
    """
    Whoever asks, and is told once: a whole answer, the head of one and then its pieces
    and its end, or that there is none.

    :param cors: of the answer's head, as its headers.
    """

    def answered(self, answer: Response, cors: bytes) -> None:
        """That is all."""
        ...

    def began(self, status: int, headers: bytes, cors: bytes) -> None:
        """The body comes, at any time."""
        ...

    def told(self, piece: bytes) -> None:
        """One more piece of it."""
        ...

    def ended(self) -> None:
        """That was all of it."""
        ...

    def refused(self, why: str) -> None:
        """Nobody will look at the request."""
        ...

    def cut_off(self) -> None:
        """No more is said, and what was said is not all."""
        ...


class Lobby(Protocol):
    """Where a visit is, until it is over."""

    def left(self, visit: Visit) -> None:
        """It is over."""
        ...


class Host(Lobby, Protocol):
    """The port, as its visits see it."""

    blocks: HeaderBlocks
    framing: Framing
    is_draining: bool

    def route(self, line: RequestLine, fields: HeaderBlock) -> tuple[str, Handler, int]:
        """Clean path, who answers, bytes of a body that they take (0: none)."""
        ...


class Visit:
    """
    One request of a visitor; the outlet of its answer.

    ::

        waiting -> under way -> streaming -> over
           |           |                      ^
           +-----------+----------------------+  answered, refused, cut off, or left

    :ivar blocked: the visitor does not take what it was told.
    """

    _log = Logger()

    def __init__(self, asked: Asked, visitor: Visitor) -> None:
        self._asked = asked
        self._visitor = visitor
        self._at: Lobby | None = None
        self._host: Host | None = None
        self._origin = b""
        self._answer: Deferred[Answer] | None = None
        self._stream: Stream | None = None
        self._over = False
        self.blocked = False

    # -- the visitor's side ---------------------------------------------------------------

    @property
    def began(self) -> bool:
        """Whether anybody has looked at the request."""
        return self._host is not None

    @property
    def is_over(self) -> bool:
        """Whether nobody is told anything any more."""
        return self._over

    def taken(self) -> None:
        """The visitor takes pieces again."""
        self.blocked = False
        if self._stream is not None:
            self._stream.taken()

    def leave(self) -> None:
        """The visitor does not listen any more, and is told nothing."""
        if not self._over:
            self._end()

    # -- the side of the port, and of whoever keeps the visit until there is one ----------

    def wait(self, lobby: Lobby) -> None:
        """Here, until it may begin."""
        self._at = lobby

    def begin(self, host: Host) -> None:
        """Ask; everybody is answered now."""
        if self._over:
            return
        self._host = host
        try:
            handler, request = self._read(host)
            self._origin = request.block.origin
            answer = handler(request)
        except Refusal as refusal:
            answer = _refusal(refusal)
        except Exception:  # noqa: BLE001 -- our bug: logged, answered, the member lives
            method = self._asked.method.decode("latin-1")
            self._log.failure("while answering {method}", method=method)
            answer = INTERNAL_ERROR
        if isinstance(answer, Deferred):
            self._answer = answer
            answer.addCallbacks(self._tell, self._failed)
            answer.addErrback(self._broken)
            return
        try:
            self._tell(answer)
        except Exception:  # noqa: BLE001 -- others wait to begin after this one
            self._broken(Failure())

    def refuse(self, why: str) -> None:
        """It did not begin, and will not."""
        if not self._over:
            self._end()
            self._visitor.refused(why)

    def drain(self) -> None:
        """Let what is under way come to its end, and end what has none."""
        if self._host is None:
            self.refuse(STOPPING)
        elif self._stream is not None:
            self._stream.finish()

    # -- the outlet of a stream -----------------------------------------------------------

    def send(self, piece: bytes) -> None:
        """See ``Outlet.send``."""
        if not self._over:
            self._visitor.told(piece)

    def end(self, last: bytes = b"") -> None:
        """See ``Outlet.end``."""
        if self._over:
            return
        if last:
            self._visitor.told(last)
        self._stream = None
        self._end()
        self._visitor.ended()

    def abort(self) -> None:
        """See ``Outlet.abort``; also of a visit that takes too long to end."""
        if not self._over:
            self._end()
            self._visitor.cut_off()

    # -- inside ---------------------------------------------------------------------------

    def _read(self, host: Host) -> tuple[Handler, Request]:
        """:raises Refusal: this is no request."""
        asked = self._asked
        line = parse_request_line(
            b"%b %b HTTP/1.%d" % (asked.method, asked.target, not asked.old),
            first=False,
        )
        line = line._replace(secure=asked.trusted, prefix=asked.prefix)
        block = _block(host.blocks, asked)
        path, handler, limit = host.route(line, block)
        request = Request(line.method, path, line.query, block, line.old)
        request.client = asked.client
        if block.expects_other:
            return lambda _: answers.EXPECTATION_FAILED, request
        if limit:
            body = asked.body(limit)
            if body is None:
                request.form_problem = TOO_LARGE
            else:
                request.body = body
        return handler, request

    def _tell(self, answer: Answer) -> None:
        self._answer = None
        host = self._host
        if self._over or host is None:
            return
        if isinstance(answer, Response):
            cors = host.framing.cors(self._origin) if answer.cors else b""
            self._end()
            self._visitor.answered(answer, cors)
            return
        cors = host.framing.cors(self._origin)
        self._visitor.began(answer.status, answer.headers, cors)
        stream = answer.begin(self)
        if self._is_over():
            stream.stop()
            return
        self._stream = stream
        if host.is_draining:
            stream.finish()

    def _is_over(self) -> bool:
        """Asked anew each time: it may end while somebody is told something."""
        return self._over

    def _failed(self, failure: Failure) -> None:
        if self._over and isinstance(failure.value, CancelledError):
            return
        self._log.failure("while answering", failure)
        self._tell(INTERNAL_ERROR)

    def _broken(self, failure: Failure) -> None:
        """Our bug, or the visitor's, while it was told: it hears no more."""
        self._log.failure("after answering", failure)
        if not self._over:
            self._end()
        self._visitor.cut_off()  # also where it was told, but not to the end

    def _end(self) -> None:
        self._over = True
        stream, self._stream = self._stream, None
        answer, self._answer = self._answer, None
        if stream is not None:
            stream.stop()
        if answer is not None:
            answer.cancel()
        if self._at is not None:
            self._at.left(self)


def header_lines(headers: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values of what an answer has as its headers."""
    lines = (line.partition(b": ") for line in headers.split(b"\r\n") if line)
    return [(name, value) for name, _, value in lines]


def _block(blocks: HeaderBlocks, asked: Asked) -> HeaderBlock:
    """:raises Refusal: V2-SPEC 1.4."""
    data = b"\r\n".join([b"%b: %b" % field for field in asked.fields])
    if not asked.old:
        known = blocks.known.get(data) or blocks.known_but_credentials(data)
        if known is not None:
            return known
    return blocks.judge(data, asked.old)


def _refusal(refusal: Refusal) -> Response:
    """As :func:`kvd.http.framing.refusal_bytes` would say it."""
    status = int(refusal.status.partition(" ")[0])
    body = refusal.body.encode("ascii")
    return Response(status, PLAIN_TEXT, body, last=True, cors=False)
