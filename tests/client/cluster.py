"""A cluster that is not there: a test gives each answer, or takes it away."""

from __future__ import annotations

import json

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from kvd.client import Client

A, B, C = (f"http://10.0.0.{number}:2379" for number in (1, 2, 3))


@implementer(IResponse)
class FakeResponse:
    """Its body comes when the test says so."""

    version = (b"HTTP", 1, 1)
    phrase = b"said"
    length = UNKNOWN_LENGTH
    request = None
    previousResponse = None

    def __init__(self, code, headers):
        self.code = code
        self.headers = Headers({name: [str(value)] for name, value in headers.items()})
        self.dropped = False
        self._protocol = None

    def deliverBody(self, protocol):
        self._protocol = protocol
        protocol.makeConnection(self)

    def setPreviousResponse(self, response):
        raise AssertionError("nobody follows redirects")

    def loseConnection(self):
        self.dropped = True

    def piece(self, data):
        self._protocol.dataReceived(data)

    def end(self, reason=None):
        self._protocol.connectionLost(Failure(reason or ResponseDone()))


@attrs.define
class Asked:
    """One request, and what the test makes of it."""

    method: str
    endpoint: str
    target: str
    headers: dict
    body: bytes
    outcome: Deferred
    cancelled: bool = False

    def answer(self, status=200, document=None, **headers):
        """All of an answer; a document that is bytes is sent as it is."""
        response = self.begin(status, **headers)
        data = document
        if not isinstance(document, bytes):
            data = json.dumps(document).encode() + b"\n"
        response.piece(data)
        response.end()

    def begin(self, status=200, **headers):
        """An answer without its body."""
        named = {
            f"X-{name.replace('_', '-')}": value for name, value in headers.items()
        }
        response = FakeResponse(status, named)
        self.outcome.callback(response)
        return response

    def refuse(self):
        """Nobody listens there."""
        self.outcome.errback(ConnectError())

    def break_off(self):
        """It was sent, and then the connection was gone."""
        self.outcome.errback(ResponseNeverReceived([Failure(ConnectionLost())]))


class Cluster:
    """In the place of treq: keeps what was asked."""

    def __init__(self):
        self.asked = []
        self.clock = Clock()

    def client(self, *endpoints, **options):
        return Client(self.clock, endpoints or (A, B, C), http=self, **options)

    def request(self, method, url, *, headers, data, **_):
        def cancel(deferred):
            asked.cancelled = True
            deferred.errback(ResponseNeverReceived([Failure(ConnectionLost())]))

        scheme, _, rest = url.partition("://")
        place, slash, target = rest.partition("/")
        asked = Asked(
            method,
            f"{scheme}://{place}",
            slash + target,
            headers,
            data or b"",
            Deferred(cancel),
        )
        self.asked.append(asked)
        return asked.outcome

    @property
    def last(self):
        return self.asked[-1]

    @property
    def endpoints(self):
        """Who was asked, in that order."""
        return [each.endpoint for each in self.asked]


def event(action="set", key="/k", value="v", index=5, **more):
    """What a server says of a key."""
    node = {"key": key, "modifiedIndex": index, "createdIndex": index, **more}
    if value is not None:
        node["value"] = value
    return {"action": action, "node": node}


def refusal(code, message="No", cause="/k", index=9):
    return {"errorCode": code, "message": message, "cause": cause, "index": index}


def result(deferred):
    """What came of it; it must have come."""
    got = []
    deferred.addBoth(got.append)
    assert got, "it is still waiting"
    if isinstance(got[0], Failure):
        got[0].raiseException()
    return got[0]


def waiting(deferred):
    return not deferred.called
