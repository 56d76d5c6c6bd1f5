"""A client's way to a member in its own process: no socket, and no HTTP in between."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from kvd.client.endpoints import endpoint_of
from kvd.client.wire import Lost, NotSent
from kvd.http.entrance import Door
from kvd.http.exchange import Client, Response
from kvd.http.visits import STOPPED, Asked, Visit, header_lines
from kvd.v2.accounts import ROOT

ENDPOINT: Final = "http://localhost:80"
_NOT_YET = "the member does not answer anybody yet"
_ELSEWHERE = "only the member in this process is asked"


class InProcess:
    """
    Something to give to a :class:`kvd.client.Client` as its ``http``: what would go to
    one of these endpoints goes to the member instead, what would go elsewhere nowhere.

    Requests wait until the member answers everybody, and each is answered in a later
    turn of the reactor than the one that asked. What has not begun to be answered, also
    because the member has stopped, is certain to have changed nothing.

    :param door: of the member, its service's ``entrance`` for instance, or a port.
    :param endpoints: as the client is given them.
    :param user: who asks, while authentication is on: nobody has to prove a name here.
        A user that there is not, and None, is a guest. A client's ``auth`` goes before it.
    :raises ValueError: an endpoint that is none.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        door: Door,
        *,
        clock: IReactorTime,
        endpoints: Sequence[str] = (ENDPOINT,),
        user: str | None = ROOT,
    ) -> None:
        self._door = door
        self._clock = clock
        self._endpoints = frozenset(map(endpoint_of, endpoints))
        self._names = () if user is None else (user,)

    def request(
        self,
        method: str,
        url: str,
        **options: Any,  # noqa: ANN401 -- treq's have many types
    ) -> Deferred[IResponse]:
        """
        As treq's, of whose options ``headers`` and ``data`` count: the others are about
        connections.
        """
        scheme, _, rest = url.partition("://")
        place, slash, target = rest.partition("/")
        if f"{scheme}://{place}" not in self._endpoints:
            return fail(NotSent(_ELSEWHERE))
        headers: dict[str, str] = options.get("headers") or {}
        data: bytes = options.get("data") or b""
        asked = Asked(
            method=method.encode("ascii"),
            target=f"{slash}{target}".encode("ascii"),
            fields=[
                (b"Host", b"localhost"),
                *(
                    (name.encode("ascii"), value.encode("utf-8"))
                    for name, value in headers.items()
                ),
            ],
            body=lambda limit: data if len(data) <= limit else None,
            client=Client(names=self._names),
            trusted=True,
        )
        said = Said(asked, self._clock)
        self._door.enter(said.visit)
        said.listen()
        return said.outcome


@implementer(IResponse, IPushProducer)
class Said:
    """
    One answer, and the transport of its body.

    :ivar outcome: fires with it, in a later turn than the one that asked.
    """

    version = (b"HTTP", 1, 1)
    request = None
    previousResponse = None

    def __init__(self, asked: Asked, clock: IReactorTime) -> None:
        self._clock = clock
        self._bodiless = asked.method == b"HEAD"
        self._fired: Failure | Said | None = None
        self._same_turn = True
        self._pieces: list[bytes] = []
        self._reason: Failure | None = None  # the body's end, and how it came to it
        self._protocol: IProtocol | None = None
        self.visit = Visit(asked, self)
        self.visit.blocked = True  # until somebody takes the body
        self.outcome: Deferred[IResponse] = Deferred(self._cancelled)
        self.code = 0
        self.phrase = b""
        self.length: object = UNKNOWN_LENGTH
        self.headers = Headers()

    def listen(self) -> None:
        """From now on whoever asked listens, and may be told."""
        self._same_turn = False
        if self._fired is not None:
            self._clock.callLater(0, self._fire)

    # -- what the member says -------------------------------------------------------------

    def answered(self, answer: Response, cors: bytes) -> None:  # noqa: ARG002 -- there is no browser
        """See ``Visitor``."""
        self._head(answer.status, answer.headers + answer.late)
        self.length = len(answer.body)
        if answer.body and not self._bodiless:
            self._pieces.append(answer.body)
        self._reason = Failure(ResponseDone())
        self._settle(self)

    def began(self, status: int, headers: bytes, cors: bytes) -> None:  # noqa: ARG002 -- the same
        """See ``Visitor``."""
        self._head(status, headers)
        self._settle(self)

    def told(self, piece: bytes) -> None:
        """See ``Visitor``."""
        self._pieces.append(piece)
        self._deliver()

    def ended(self) -> None:
        """See ``Visitor``."""
        self._reason = Failure(ResponseDone())
        self._deliver()

    def refused(self, why: str) -> None:
        """See ``Visitor``."""
        self._settle(Failure(NotSent(why)))

    def cut_off(self) -> None:
        """See ``Visitor``."""
        if self._fired is None:
            self._settle(Failure(Lost(STOPPED)))
        else:
            self._reason = Failure(ConnectionLost(STOPPED))
            self._deliver()

    # -- IResponse ------------------------------------------------------------------------

    def deliverBody(self, protocol: IProtocol) -> None:
        """Once; the protocol may pause and close what it finds as its transport."""
        self._protocol = protocol
        protocol.makeConnection(cast(Any, self))  # Any: a transport that only reads
        self.visit.taken()
        self._deliver()

    def setPreviousResponse(self, response: IResponse) -> None:
        """Nobody follows redirects here."""

    # -- the body's transport -------------------------------------------------------------

    def pauseProducing(self) -> None:
        self.visit.blocked = True

    def resumeProducing(self) -> None:
        self.visit.taken()

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        """Nobody wants the rest; the protocol is told in a later turn."""
        self.visit.leave()
        if self._reason is None:
            self._reason = Failure(ConnectionDone())
            self._clock.callLater(0, self._deliver)

    abortConnection = loseConnection

    # -- inside ---------------------------------------------------------------------------

    def _head(self, status: int, headers: bytes) -> None:
        self.code = status
        self.phrase = RESPONSES.get(status, b"")
        for name, value in header_lines(headers):
            self.headers.addRawHeader(name, value)

    def _settle(self, what: Failure | Said) -> None:
        """Fire with it; in a later turn, if this is the one that asked."""
        self._fired = what
        if not self._same_turn:
            self._fire()

    def _fire(self) -> None:
        if not self.outcome.called:
            self.outcome.callback(cast(Any, self._fired))  # Any: or its failure

    def _cancelled(self, outcome: Deferred[IResponse]) -> None:
        began = self.visit.began
        self.visit.leave()
        if not began:
            outcome.errback(NotSent(_NOT_YET))

    def _deliver(self) -> None:
        protocol = self._protocol
        if protocol is None:
            return
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            protocol.dataReceived(piece)
        if self._reason is not None:
            self._protocol = None
            protocol.connectionLost(self._reason)
