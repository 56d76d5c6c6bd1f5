"""The API of a member under a ``twisted.web`` site of somebody else's."""

# Twisted leaves its requests and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from os import SEEK_END
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from kvd.http.answers import plain_error
from kvd.http.entrance import Door
from kvd.http.exchange import Client, Response
from kvd.http.framing import LENGTH_MAX, REASONS
from kvd.http.visits import Asked, Visit, header_lines
from kvd.service import KvdService

if TYPE_CHECKING:
    from twisted.web.server import Request

# Not the member's business, and another one for each body: a head is remembered.
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))
_CONNECTION: Final = b"connection"


def resource(service: KvdService) -> IResource:
    """
    What a member serves on its client port, below any place of a site::

        root.putChild(b"kvd", resource(service))  # /kvd/v2/keys/...

    Answers are those of the port, with the same headers but for the connection's own,
    which is the site's. Requests wait until the member serves; 503 says that it does not
    any more. A user is known by a password only: which certificates the site asks for
    says nothing to the member. ``twisted.web`` keeps bodies of any size until they are
    complete, in a temporary file above 100 kB; the member reads none that is larger than
    its own limit.

    .. versionadded:: 0.1
    """
    return DoorResource(service.entrance)


class DoorResource(Resource):
    """Takes everything below itself to a door."""

    isLeaf = True

    def __init__(self, door: Door) -> None:
        super().__init__()
        self._door = door

    def render(self, request: Request) -> int:
        """Whatever the method is."""
        asking = Asking(request)
        asking.visit = Visit(_asked(request), asking)
        gone = request.notifyFinish()
        gone.addErrback(asking.gone)
        self._door.enter(asking.visit)
        return NOT_DONE_YET


@implementer(IPushProducer)
class Asking:
    """A ``twisted.web`` request as a visitor, and the producer of its answer's body."""

    visit: Visit

    def __init__(self, request: Request) -> None:
        self._request = request

    def gone(self, _reason: Failure) -> None:
        """The connection is lost."""
        self.visit.leave()

    # -- what the member says -------------------------------------------------------------

    def answered(self, answer: Response, cors: bytes) -> None:
        """See ``Visitor``."""
        framing = b""
        if answer.framed and len(answer.body) <= LENGTH_MAX:
            framing = b"Content-Length: %d\r\n" % len(answer.body)
        self._head(answer.status, cors + answer.headers, framing + answer.late)
        self._request.write(answer.body)
        self._request.finish()

    def began(self, status: int, headers: bytes, cors: bytes) -> None:
        """See ``Visitor``."""
        self._head(status, cors + headers)
        self._request.registerProducer(self, True)
        self._request.write(b"")

    def told(self, piece: bytes) -> None:
        """See ``Visitor``."""
        self._request.write(piece)

    def ended(self) -> None:
        """See ``Visitor``."""
        self._request.unregisterProducer()
        self._request.finish()

    def refused(self, why: str) -> None:
        """See ``Visitor``."""
        self.answered(plain_error(503, why), b"")

    def cut_off(self) -> None:
        """See ``Visitor``."""
        self._request.loseConnection()

    # -- the producer of the body ---------------------------------------------------------

    def pauseProducing(self) -> None:
        self.visit.blocked = True

    def resumeProducing(self) -> None:
        self.visit.taken()

    def stopProducing(self) -> None:
        self.visit.leave()

    # -- inside ---------------------------------------------------------------------------

    def _head(self, status: int, headers: bytes, late: bytes = b"") -> None:
        """
        In the port's order: what the site says of date and connection comes after ours.

        Whether the connection stays open is not ours to say here.
        """
        request = self._request
        request.setResponseCode(status, REASONS[status].encode("ascii"))
        has = request.responseHeaders
        has.removeHeader(b"server")
        dates = has.getRawHeaders(b"date", [])
        connection = has.getRawHeaders(_CONNECTION, [])
        has.removeHeader(b"date")
        has.removeHeader(_CONNECTION)
        for name, value in header_lines(headers):
            if name.lower() != _CONNECTION:
                has.addRawHeader(name, value)
        for date in dates:
            has.addRawHeader(b"Date", date)
        for name, value in header_lines(late):
            has.addRawHeader(name, value)
        for value in connection:
            has.addRawHeader(_CONNECTION, value)


def _asked(request: Request) -> Asked:
    """The request with what is left of its path below the resource."""
    path, mark, query = request.uri.partition(b"?")
    names = path.split(b"/")[1:]
    above = max(0, len(names) - len(request.postpath or ()))
    content = cast(BinaryIO, request.content)

    def body(bytes_max: int) -> bytes | None:
        size = content.seek(0, SEEK_END)
        content.seek(0)
        return None if size > bytes_max else content.read()

    return Asked(
        method=request.method,
        target=b"/" + b"/".join(names[above:]) + mark + query,
        fields=[
            (name, value)
            for name, values in request.requestHeaders.getAllRawHeaders()
            if name.lower() not in _FRAMING
            for value in values
        ],
        body=body,
        client=Client(getattr(request.getClientAddress(), "host", "")),
        prefix=b"".join(b"/" + name for name in names[:above]),
        old=request.clientproto == b"HTTP/1.0",
        trusted=request.isSecure(),
    )
