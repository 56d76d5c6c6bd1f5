"""
One connection of the client port, between a transport and the handlers.

A request is read completely, then answered, then the next one is read: answers keep
the order of requests, and what one request wrote the next one reads. Bytes that come
meanwhile wait unread; when there are many, the transport is paused. When the client
does not take its answers, nothing more is begun for it until it does.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kvd.http.answers import INTERNAL_ERROR
from kvd.http.exchange import Answer, Client, Handler, Request, Stream, Streaming
from kvd.http.fields import Refusal
from kvd.http.framing import CONTINUE, LAST_CHUNK, chunk, refusal_bytes
from kvd.http.intake import Intake
from kvd.http.outgoing import Outgoing, Pipe, is_secure
from kvd.http.owner import Owner

_READ_AHEAD_MAX = 64 << 10  # unread bytes beyond which the transport is paused
_FULL = "503 Service Unavailable"


@implementer(IPushProducer, IHalfCloseableProtocol)
class Connection(Protocol):
    """See the module; also the outlet of streams, and producer of its transport."""

    _log = Logger()
    _pipe: Pipe
    _out: Outgoing

    def __init__(self, site: Owner, client: Client) -> None:
        self._site = site
        self._client = client
        self._intake = Intake(site)
        self._working = False
        self._paused = False  # we asked the transport not to read
        self.blocked = False  # the transport asked us not to write
        self._yielded = False  # more is to be done in a later turn
        self._closing = False  # nothing is read any more
        self._last = False  # the present answer is the last
        self._linger = False  # after the last answer, let the client finish talking
        self._in_body = False  # a head was read, and its body is awaited
        self._ended = False  # the client will send no more
        self._served = 0  # answers completed
        self._chunked = False  # the stream's pieces are sent as chunks
        self._request: Request | None = None  # being answered
        self._waiting: Deferred[Answer] | None = None
        self._stream: Stream | None = None

    # -- the transport's side -----------------------------------------------------------

    def connectionMade(self) -> None:
        self._pipe = cast(Pipe, self.transport)
        self._out = Outgoing(self._pipe)
        self._client = self._site.recognised(self._client, self._pipe)
        self._intake.secure = is_secure(self._pipe)
        if self._site.admit(self):
            self._pipe.registerProducer(self, True)
            return
        self._closing = True
        self._pipe.write(refusal_bytes(_FULL, "too many connections"))
        self._site.lingering(self)
        self._out.half_close()

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return  # from somebody who talks on while we say goodbye
        self._intake.feed(data)
        if self._may_begin():
            self._work()
        else:
            self._read_ahead()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 -- Twisted's
        self._closing = True
        self._intake.clear()
        waiting, self._waiting = self._waiting, None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
        if waiting is not None:
            waiting.cancel()
        self._site.gone(self)

    def readConnectionLost(self) -> None:
        """The client has said all that it will say; it may still listen."""
        if self._closing:
            self._pipe.loseConnection()
            return
        self._ended = True
        if self._stream is not None:
            # Nobody could tell a client that listens on from one that is gone, and
            # a watch may take for ever: as etcd, end it.
            self._last = True
            self._stream.finish()
        elif self._may_begin():
            self._work()

    def writeConnectionLost(self) -> None: ...

    def pauseProducing(self) -> None:
        self.blocked = True

    def resumeProducing(self) -> None:
        self.blocked = False
        if self._stream is not None:
            self._stream.taken()
        if self._may_begin():
            self._work()

    def stopProducing(self) -> None: ...

    # -- the site's side ----------------------------------------------------------------

    def go_on(self) -> None:
        """What kept this connection from working has ended."""
        self._yielded = False
        if self._may_begin():
            self._work()

    def too_late(self) -> None:
        """A request did not arrive in time, or a goodbye was not heard."""
        if self._closing:
            self._pipe.abortConnection()
        else:
            self._refuse(Refusal("408 Request Timeout"))

    def drain(self) -> None:
        """Answer what is under way, end a stream, close."""
        self._last = True
        if self._stream is not None:
            self._stream.finish()
        elif self._request is None:
            self._close()

    def abort(self) -> None:
        """Close without any more ado."""
        self._closing = True
        self._pipe.abortConnection()

    # -- reading ------------------------------------------------------------------------

    def _may_begin(self) -> bool:
        if self._request is not None or self._working or self.blocked:
            return False
        return self._site.is_open and not (self._yielded or self._closing)

    def _work(self) -> None:
        """Begin requests until one is incomplete, or not answered at once."""
        self._working = True
        intake = self._intake
        turns = self._site.settings.pipelined_max
        try:
            while self._request is None and not self.blocked and not self._closing:
                if not turns and intake.unread:
                    self._yielded = True
                    self._site.go_on_later(self)
                    break
                turns -= 1
                arrived = intake.next()
                if arrived is None:
                    break
                self._begin(*arrived)
        except Refusal as refusal:
            self._refuse(refusal)
        finally:
            self._working = False
        self._out.flush()
        if not self._closing:
            self._wait_for_more()

    def _wait_for_more(self) -> None:
        intake = self._intake
        if self._request is not None or self.blocked or self._yielded:
            self._read_ahead()
            return
        if self._ended:
            self._finish_input()
            return
        if intake.in_body:
            if not self._in_body:
                self._in_body = True
                self._site.arrived(self)  # the head, in its own time
            if intake.continue_due:
                intake.continue_due = False
                self._pipe.write(CONTINUE)
            self._site.expect(self, body=True)
        elif intake.unread:
            self._site.expect(self, body=False)
        else:
            self._site.rest(self)
        if self._paused:
            self._paused = False
            self._pipe.resumeProducing()

    def _finish_input(self) -> None:
        """Answer what is left of the input, which will not be completed, and close."""
        try:
            arrived = self._intake.end()
        except Refusal as refusal:
            self._refuse(refusal)
            return
        if arrived is None:
            self._close()
        else:
            self._begin(*arrived)

    def _read_ahead(self) -> None:
        if not self._paused and self._intake.unread > _READ_AHEAD_MAX:
            self._paused = True
            self._pipe.pauseProducing()

    # -- answering ----------------------------------------------------------------------

    def _begin(self, handler: Handler, request: Request, unread: bool) -> None:
        self._request = request
        self._in_body = False
        request.client = self._client
        block = request.block
        if unread:
            self._last = self._linger = True
        elif block.dubious or not (block.keep_old if request.old else block.keep):
            self._last = True
        if self._site.deadlines:
            self._site.arrived(self)
        if self._intake.continue_due:
            self._intake.continue_due = False
            self._out.put(CONTINUE)
        try:
            answer = handler(request)
        except Exception:  # noqa: BLE001 -- our bug: logged, answered, the member lives
            self._log.failure("while answering {method}", method=request.method)
            answer = INTERNAL_ERROR
        if isinstance(answer, Deferred):
            self._waiting = answer
            answer.addCallbacks(self._answer_later, self._failed)
            answer.addErrback(self._broken)
        else:
            self._answer(request, answer)

    def _answer_later(self, answer: Answer) -> None:
        self._waiting = None
        if self._request is not None and not self._closing:
            self._answer(self._request, answer)

    def _failed(self, failure: Failure) -> None:
        self._waiting = None
        if self._closing and isinstance(failure.value, CancelledError):
            return
        self._log.failure("while answering", failure)
        self._answer_later(INTERNAL_ERROR)

    def _broken(self, failure: Failure) -> None:
        """Our bug, after an answer: this connection cannot go on."""
        self._log.failure("after answering", failure)
        self.abort()

    def _answer(self, request: Request, answer: Answer) -> None:
        if isinstance(answer, Streaming):
            self._open_stream(request, answer)
            return
        if self._last or answer.last or request.old or request.method == "HEAD":
            data, self._last = self._site.framing.unusual(
                answer, request, last=self._last
            )
            self._out.put(data)
        else:
            self._out.put(self._site.framing.usual(answer, request.block.origin))
        self._done()

    def _open_stream(self, request: Request, answer: Streaming) -> None:
        self._chunked = answer.length is None and not request.old
        if answer.length is None and request.old:
            self._last = True
        head = self._site.framing.stream_head(answer, request, last=self._last)
        self._out.put(head)
        served, stream = self._served, answer.begin(self)
        if self._served == served:
            self._stream = stream
            if not self._working:
                self._out.flush()
            if self._site.is_draining or self._ended:
                self._last = True
                stream.finish()

    def _done(self) -> None:
        """The answer is complete."""
        self._served += 1
        self._request = None
        self._stream = None
        if self._last:
            self._close()
        elif not self._working:
            if self._may_begin():
                self._work()
            else:
                self._out.flush()

    # -- the outlet of a stream ---------------------------------------------------------

    def send(self, piece: bytes) -> None:
        """See ``Outlet.send``."""
        self._out.put(chunk(piece) if self._chunked else piece)
        if not self._working:
            self._out.flush()

    def end(self, last: bytes = b"") -> None:
        """See ``Outlet.end``."""
        if last:
            self._out.put(chunk(last) if self._chunked else last)
        if self._chunked:
            self._out.put(LAST_CHUNK)
        self._done()

    # -- writing and closing --------------------------------------------------------------

    def _refuse(self, refusal: Refusal) -> None:
        """Say so, if there is anything to say, and close."""
        if refusal.status:
            self._out.put(refusal_bytes(refusal.status, refusal.body))
            self._linger = True
        self._close()

    def _close(self) -> None:
        if self._closing:
            return
        self._out.flush()
        self._closing = True
        self._intake.clear()
        self._site.arrived(self)
        self._pipe.unregisterProducer()
        if self._paused:
            self._paused = False
            self._pipe.resumeProducing()
        if self._linger:
            self._site.lingering(self)
            self._out.half_close()
        else:
            self._out.close()
