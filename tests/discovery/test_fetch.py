"""HTTP to a discovery service, against a web server in memory."""

from __future__ import annotations

import pytest
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.web.client import Agent, ProxyAgent, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from kvd.discovery.failures import DiscoveryFailed, Late, Unreachable
from kvd.discovery.fetch import BYTES_MAX, REDIRECTS_MAX, HttpFetch, agent_of


class Server(Resource):
    """Answers every path in the way that it names."""

    isLeaf = True

    def __init__(self):
        super().__init__()
        self.seen = []

    def render(self, request):
        path = request.path.decode()
        self.seen.append((request.method, path))
        request.setHeader("X-Etcd-Index", "17")
        match path.strip("/").split("/"):
            case ["moved", status, *rest]:
                request.setResponseCode(int(status))
                request.setHeader("Location", "/" + "/".join(rest))
                return b"there"
            case ["loop"]:
                request.setResponseCode(302)
                request.setHeader("Location", "/loop")
            case ["ftp"]:
                request.setResponseCode(302)
                request.setHeader("Location", "ftp://elsewhere/")
            case ["long", size]:
                return b"x" * int(size)
            case ["slow"]:
                return NOT_DONE_YET
            case ["half"]:
                request.setHeader("Content-Length", "10")
                request.write(b"half")
                return NOT_DONE_YET
            case ["echo"]:
                kind = request.getHeader("content-type") or "none"
                return request.content.read() + b" " + kind.encode()
            case ["odd"]:
                request.setHeader("X-Etcd-Index", "9" * 30)
        return b""


class Asked:
    def __init__(self, path, method="GET", form="", server=None):
        self.server = server or Server()
        self.agent = RequestTraversalAgent(self.server)
        self.clock = Clock()
        self.result = None
        fetch = HttpFetch(agent=self.agent, clock=self.clock)
        self.fetching = fetch(method, f"http://d{path}", form=form, seconds=5)
        self.fetching.addBoth(self.ended)
        self.agent.flush()

    def ended(self, result):
        self.result = getattr(result, "value", result)


def test_an_answer_has_status_index_and_body():
    answer = Asked("/echo", "PUT", "value=a").result
    assert (answer.status, answer.index) == (200, 17)
    assert answer.body == b"value=a application/x-www-form-urlencoded"
    assert Asked("/echo").result.body == b" none"


def test_an_index_that_is_none_is_zero():
    assert Asked("/odd").result.index == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_with_the_same_method_and_form(status):
    asked = Asked(f"/moved/{status}/echo", "PUT", "value=a")
    assert asked.result.body == b"value=a application/x-www-form-urlencoded"
    assert asked.server.seen[-1] == (b"PUT", "/echo")


def test_redirects_end():
    asked = Asked("/loop")
    assert isinstance(asked.result, DiscoveryFailed)
    assert "too many redirects" in str(asked.result)
    assert len(asked.server.seen) == REDIRECTS_MAX + 1


def test_a_redirect_stays_with_http():
    asked = Asked("/ftp")
    assert str(asked.result) == "discovery: redirected to ftp://elsewhere/"


def test_an_answer_is_bounded():
    assert len(Asked(f"/long/{BYTES_MAX}").result.body) == BYTES_MAX
    asked = Asked(f"/long/{BYTES_MAX + 1}")
    assert isinstance(asked.result, DiscoveryFailed)
    assert f"more than {BYTES_MAX} bytes" in str(asked.result)


@pytest.mark.parametrize("path", ["/slow", "/half"])
def test_nobody_waits_for_an_answer_for_ever(path):
    asked = Asked(path)
    asked.clock.advance(4.9)
    assert asked.result is None
    asked.clock.advance(0.1)
    assert isinstance(asked.result, Late)
    assert str(asked.result) == "no answer within 5 s"


@pytest.mark.parametrize("path", ["/slow", "/half"])
def test_who_gives_up_is_told_at_once(path):
    asked = Asked(path)
    asked.fetching.cancel()
    assert isinstance(asked.result, CancelledError)
    assert asked.clock.getDelayedCalls() == []


class Failing:
    """An agent, or a response, that fails."""

    code = 200
    headers = Headers({})

    def __init__(self, error, *, body=False):
        self.error = error
        self.body = body

    def request(self, *arguments):
        return succeed(self) if self.body else fail(self.error)

    def deliverBody(self, protocol):
        protocol.dataReceived(b"x")
        protocol.connectionLost(Failure(self.error))


@pytest.mark.parametrize("body", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        ConnectError(string="refused"),
        DNSLookupError("no such name"),
        ConnectionLost("in the middle"),
        ResponseFailed([Failure(ConnectionLost("in the middle"))]),
    ],
)
def test_a_connection_that_fails_may_work_later(error, body):
    fetch = HttpFetch(agent=Failing(error, body=body), clock=Clock())
    found = []
    fetch("GET", "http://d/", seconds=5).addErrback(found.append)
    assert isinstance(found[0].value, Unreachable)
    assert str(found[0].value)


def test_a_mistake_of_ours_is_not_hidden():
    found = []
    fetch = HttpFetch(agent=Failing(TypeError("ours")), clock=Clock())
    fetch("GET", "http://d/", seconds=5).addErrback(found.append)
    assert isinstance(found[0].value, TypeError)


def connecting(proxy):
    """The port that a request goes to; names all lead to one address here."""
    reactor = MemoryReactorClock()
    agent = agent_of(reactor, proxy)
    assert isinstance(agent, ProxyAgent if proxy else Agent)
    requested: Deferred = agent.request(b"GET", b"http://10.0.0.7:99/a")
    requested.addErrback(lambda _: None)
    ((_, port, *_),) = reactor.tcpClients
    return port


def test_a_request_goes_to_the_service_or_to_the_proxy():
    assert connecting("") == 99
    assert connecting("http://10.0.0.8:3128") == 3128
    assert connecting("http://10.0.0.8") == 80
