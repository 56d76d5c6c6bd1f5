"""
A ``twisted.web`` resource under our own channel.

The resource gets a ``Request`` that was never on a ``twisted.web`` channel: we fill it
by hand, and it gathers what is written to it. Bodies are small here and are answered
whole, so framing stays with :mod:`kvd.http.framing`.
"""

from __future__ import annotations

from io import BytesIO

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.server import Request as WebRequest

from kvd.http.exchange import Answer, Request, Response

_NOWHERE = IPv4Address("TCP", "127.0.0.1", 80)


class _Channel:
    """What a ``Request`` asks of its channel at birth."""

    transport = None
    site = None

    def isSecure(self) -> bool:
        return False  # nothing here depends on it

    def getPeer(self) -> IPv4Address:
        return _NOWHERE

    def getHost(self) -> IPv4Address:
        return _NOWHERE


class BridgedRequest(WebRequest):
    """
    :ivar given: the request as our own channel read it.
    :ivar answered: fires when the resource has finished.
    """

    def __init__(self, given: Request) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Twisted's
            _Channel(), parsePOSTFormSubmission=False
        )
        self.given = given
        self.answered: Deferred[Answer] = Deferred(self._client_gone)
        self._answer: Answer | None = None
        self._written: list[bytes] = []
        # Only routes see it, and to theirs a line feed is no character of a path.
        path = given.path.replace("\n", " ").encode("utf-8", "replace")
        self.method = given.method.encode("ascii")
        self.uri = self.path = path
        self.clientproto = b"HTTP/1.1"
        self.prepath: list[bytes] = []
        self.postpath = path.split(b"/")[1:]
        self.content = BytesIO(given.body)
        for name, value in given.block.fields:
            if name:  # Go lets nameless fields pass, and so do we
                self.requestHeaders.addRawHeader(name, value)

    def getRequestHostname(self) -> bytes:
        """Routes do not depend on it, and werkzeug must not judge what was sent."""
        return b"localhost"

    def answer_with(self, answer: Answer) -> bytes:
        """Answer with one of our own values; nothing is left to be written."""
        self._answer = answer
        return b""

    def write(self, data: bytes) -> None:
        self._written.append(data)

    def finish(self) -> None:
        self.finished = 1
        self._tell(None)
        if self._answer is not None:
            self.answered.callback(self._answer)
            return
        headers = sorted(
            b"%b: %b\r\n" % (name, value)
            for name, values in self.responseHeaders.getAllRawHeaders()
            for value in values
        )
        body = b"".join(self._written)
        self.answered.callback(Response(self.code, b"".join(headers), body))

    def _client_gone(self, _answered: Deferred[Answer]) -> None:
        self._tell(Failure(CancelledError()))  # type: ignore[no-untyped-call]  # Twisted's

    def _tell(self, how: Failure | None) -> None:
        """Whoever asked to be told of the end."""
        told, self.notifications = self.notifications, []
        for each in told:
            if how is None:
                each.callback(None)
            else:
                each.errback(how)
