"""The API of a member under a ``twisted.web`` site, beside the member's own port."""

from __future__ import annotations

import base64
import re

import pytest
from klein import Klein
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from kvd.embedding.mounted import DoorResource
from kvd.http.entrance import Entrance
from kvd.v2.commands import Command, Op, encode_command
from tests.embedding.test_inprocess import Inside


class Transport(StringTransport):
    """Remembers whether it was to be closed, and who produces."""

    def __init__(self):
        super().__init__(peerAddress=IPv4Address("TCP", "10.9.8.7", 6))
        self.aborted = False

    def abortConnection(self):
        self.aborted = True


class Outer(Inside):
    """A site with a member below ``/kvd``, and perhaps another place."""

    def __init__(self, *, place="/kvd", door=None, **options):
        super().__init__(**options)
        resource = DoorResource(door or self.site)
        for name in reversed(place.encode().split(b"/")[1:]):
            above = Resource()
            above.putChild(name, resource)
            resource = above
        self.place = place
        self.web = Site(resource, reactor=Clock())

    def connect(self):
        channel = self.web.buildProtocol(IPv4Address("TCP", "10.9.8.7", 6))
        transport = Transport()
        channel.makeConnection(transport)
        return channel, transport

    def ask(self, data):
        """All that the site says to these bytes."""
        channel, transport = self.connect()
        channel.dataReceived(data)
        self.port.settle()
        return transport.value()

    def own(self, *asked, **options):
        """What the member's own port says of a request."""
        said, _ = self.port.ask(_request("", *asked, **options))
        return _undated(said)

    def below(self, *asked, **options):
        """What the site says of it, below the place of the member."""
        return _undated(self.ask(_request(self.place, *asked, **options)))

    def both(self, *asked, **options):
        return self.own(*asked, **options), self.below(*asked, **options)

    def put(self, key, value):
        command = Command(Op.SET, f"/{key}", value=value)
        self.member.propose("v2", encode_command(command))
        self.member.turn()


def _request(place, method, target, head="", body="", version="1.1"):
    host = "" if "Host:" in head or version == "1.0" else "Host: kvd\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    text = f"{method} {place}{target} HTTP/{version}\r\n{host}{head}\r\n{body}"
    return text.encode("utf-8", "surrogateescape")


def _undated(said):
    return re.sub(rb"Date: [^\r]+", b"Date: now", said)


FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
SAME = {
    "a key": ("GET", "/v2/keys/a"),
    "a list": ("GET", "/v2/keys/?recursive=true&sorted=true"),
    "a quorum read": ("GET", "/v2/keys/a?quorum=true"),
    "no key": ("GET", "/v2/keys/none"),
    "a head": ("HEAD", "/v2/keys/a"),
    "a head of no key": ("HEAD", "/v2/keys/none"),
    "options": ("OPTIONS", "/v2/keys/a"),
    "a method that there is not": ("PATCH", "/v2/keys/a"),
    "an odd method": ("MKCOL", "/v2/keys/a"),
    "nothing there": ("GET", "/nowhere"),
    "only the place": ("GET", "/"),
    "another root": ("GET", "/v2"),
    "an escaped slash": ("GET", "/v2/keys/a%2Fb"),
    "an escaped space": ("GET", "/v2/keys/a%20b"),
    "no UTF-8": ("GET", "/v2/keys/%ff%00"),
    "a plus": ("GET", "/v2/keys/a+b"),
    "an escaped question mark": ("GET", "/v2/keys/a%3Fb?recursive=true"),
    "a slash at the end": ("GET", "/v2/keys/a/"),
    "two question marks": ("GET", "/v2/keys/a?wait=false?x"),
    "a bad field": ("GET", "/v2/keys/a?recursive=perhaps"),
    "a semicolon": ("GET", "/v2/keys/a?a;b"),
    "version": ("GET", "/version"),
    "health": ("GET", "/health"),
    "members": ("GET", "/v2/members"),
    "a head of members": ("HEAD", "/v2/members"),
    "machines": ("GET", "/v2/machines"),
    "users": ("GET", "/v2/auth/users"),
    "self": ("GET", "/v2/stats/self"),
    "metrics": ("GET", "/metrics"),
    "another origin": ("GET", "/v2/keys/a", "Origin: http://site.example\r\n"),
    "a foreign origin": ("GET", "/v2/keys/a", "Origin: http://no.example\r\n"),
    "an origin's options": ("OPTIONS", "/v2/keys/a", "Origin: http://site.example\r\n"),
    "a strange host": ("GET", "/v2/keys/a", "Host: evil.example\r\n"),
    "an expectation": ("PUT", "/v2/keys/b", f"{FORM}Expect: more\r\n", "value=1"),
    "closing": ("GET", "/v2/keys/a", "Connection: close\r\n"),
    "a set": ("PUT", "/v2/keys/b", FORM, "value=1"),
    "a set with a ttl": ("PUT", "/v2/keys/b", FORM, "value=1&ttl=5"),
    "a set of bytes": ("PUT", "/v2/keys/b", FORM, "value=%ff%00+x"),
    "a set in the query": ("PUT", "/v2/keys/b?value=1"),
    "an ordered key": ("POST", "/v2/keys/queue", FORM, "value=1"),
    "a swap": ("PUT", "/v2/keys/a?prevValue=1", FORM, "value=2"),
    "a failed swap": ("PUT", "/v2/keys/a?prevValue=9", FORM, "value=2"),
    "a delete": ("DELETE", "/v2/keys/a"),
    "a body that is no form": (
        "PUT",
        "/v2/keys/b",
        "Content-Type: text/x\r\n",
        "value=1",
    ),
    "a body that is too large": ("PUT", "/v2/keys/b", FORM, "value=" + "x" * 2000),
    "a user": ("PUT", "/v2/auth/users/ann", "", '{"user":"ann","password":"pw"}'),
    "a broken document": ("PUT", "/v2/auth/users/ann", "", "{"),
    "a member": ("POST", "/v2/members", "Content-Type: application/json\r\n", "{}"),
}
UNREAD = {"a body that is too large", "an expectation"}  # by the port, which closes
OPTIONS = {
    "request_bytes_max": 1000,
    "cors": ("http://site.example",),
    "host_whitelist": ("kvd",),
}


@pytest.mark.parametrize("name", SAME)
def test_the_site_says_the_same_bytes_as_the_port(name):
    asked = SAME[name]
    own, site = _prepared().own(*asked), _prepared().below(*asked)
    assert own.startswith(b"HTTP/1.1 ")
    if name in UNREAD:
        own = own.replace(b"Connection: close\r\n", b"")
    assert site == own


def _prepared():
    outer = Outer(**OPTIONS)
    outer.put("a", "1")
    return outer


def test_what_is_no_request_is_refused_in_the_same_words():
    own, site = Outer().both("GET", "/v2/keys/%zz")
    (own_head, own_body), (head, body) = (
        each.split(b"\r\n\r\n") for each in (own, site)
    )
    assert head.split(b"\r\n")[:2] == own_head.split(b"\r\n")[:2]
    assert body == own_body == b"400 Bad Request"


def test_too_many_headers_are_refused_in_the_same_words():
    head = "A: 1\r\nB: 2\r\nC: 3\r\n"
    own, site = Outer(header_count_max=3).both("GET", "/version", head)
    assert own.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert site.split(b"\r\n")[0] == own.split(b"\r\n")[0]


def test_a_large_answer_is_chunked_alike():
    outer = Outer()
    outer.put("a", "x" * 5000)
    own, site = outer.both("GET", "/v2/keys/a")
    assert b"Transfer-Encoding: chunked" in own
    assert site == own
    own, site = outer.both("HEAD", "/v2/keys/a")
    assert site == own


def test_an_old_client_gets_the_same_but_for_the_connection():
    outer = Outer()
    outer.put("a", "1")
    own, site = outer.both("GET", "/v2/keys/a", version="1.0")
    assert site == own
    assert own.startswith(b"HTTP/1.0 200 OK")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
@pytest.mark.parametrize("place", ["/kvd", "/a/b", "/with%20space"])
@pytest.mark.parametrize("target", ["//v2/keys/a", "/v2/./keys", "/x/../../etc?<q>"])
def test_a_path_that_is_not_clean_leads_back_below_the_place(method, place, target):
    outer = Outer(place=place.replace("%20", " "))
    outer.place = place
    own, site = outer.both(method, target)
    assert own.startswith(b"HTTP/1.1 301")
    told = site.replace(place.encode() + b"/", b"/")
    length = re.compile(rb"Content-Length: (\d+)")
    assert length.sub(b"", told) == length.sub(b"", own)
    longer = len(place) if method == "GET" else 0
    lengths = [int(each) for said in (own, site) for each in length.findall(said)]
    assert method == "HEAD" or lengths[1] == lengths[0] + longer


def test_a_bug_does_not_end_the_sites_connection(logged_failures, monkeypatch):
    outer = Outer()
    monkeypatch.setattr(outer.port.v2, "get", lambda *_, **__: 1 / 0)
    said = outer.below("GET", "/v2/keys/a")
    assert said.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"Connection" not in said
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()


def test_a_member_may_be_all_of_a_site():
    outer = Outer(place="")
    outer.put("a", "1")
    own, site = outer.both("GET", "/v2/keys/a")
    assert site == own
    own, site = outer.both("GET", "//v2/keys/a")
    assert site == own


def test_a_klein_application_may_have_a_member_below_a_route():
    outer = Outer()
    outer.put("a", "1")
    app = Klein()

    @app.route("/inner/kvd/", branch=True)
    def kvd(_request):
        return DoorResource(outer.site)

    outer.web = Site(app.resource(), reactor=Clock())
    outer.place = "/inner/kvd"
    own, site = outer.both("GET", "/v2/keys/a")
    assert site == own
    own, site = outer.both("GET", "/v2/keys/a%2Fb")
    assert site == own


def test_headers_that_the_site_has_set_stay():
    outer = Outer()
    outer.put("a", "1")

    class Strict(Resource):
        def getChild(self, path, request):
            request.setHeader(b"Strict-Transport-Security", b"max-age=1")
            return DoorResource(outer.site)

    outer.web = Site(Strict(), reactor=Clock())
    _, site = outer.both("GET", "/v2/keys/a")
    assert b"\r\nStrict-Transport-Security: max-age=1\r\n" in site
    assert b"Server:" not in site


def watch(outer, stream=False):
    channel, transport = outer.connect()
    more = "&stream=true" if stream else ""
    channel.dataReceived(
        f"GET /kvd/v2/keys/w?wait=true{more} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    return channel, transport


def test_a_long_poll_gets_its_head_at_once_and_then_its_event():
    outer = Outer()
    channel, transport = watch(outer)
    client = outer.port.connect().send(
        "GET /v2/keys/w?wait=true HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    date = re.compile(rb"Date: [^\r]+")
    assert transport.value().startswith(b"HTTP/1.1 200 OK\r\n")
    outer.put("w", "1")
    own = date.sub(b"", client.said)
    assert b'"value":"1"' in own
    assert date.sub(b"", transport.value()) == own
    transport.clear()
    channel.dataReceived(b"GET /kvd/version HTTP/1.1\r\nHost: x\r\n\r\n")
    outer.port.settle()
    assert transport.value().startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_stream_pauses_for_who_does_not_read_and_is_bounded():
    outer = Outer(stream_backlog_max=3)
    _, transport = watch(outer, stream=True)
    outer.put("w", "1")
    outer.put("w", "2")
    assert transport.value().count(b'"action"') == 2
    transport.producer.pauseProducing()
    outer.put("w", "3")
    assert transport.value().count(b'"action"') == 2
    transport.producer.resumeProducing()
    assert transport.value().count(b'"action"') == 3
    transport.producer.pauseProducing()
    for number in range(4):
        outer.put("w", str(number))
    assert outer.site.watches.open_now == 0
    assert transport.value().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("stream", [False, True])
def test_a_watcher_goes_with_its_client(stream):
    outer = Outer()
    channel, transport = watch(outer, stream)
    assert outer.site.watches.open_now == 1
    channel.connectionLost(Failure(ConnectionDone()))
    assert outer.site.watches.open_now == 0
    assert not outer.site.visits
    said = transport.value()
    outer.put("w", "1")
    assert transport.value() == said


def test_nobody_waits_for_the_write_of_a_client_that_is_gone():
    outer = Outer()
    channel, _ = outer.connect()
    channel.dataReceived(
        f"PUT /kvd/v2/keys/a HTTP/1.1\r\nHost: x\r\n{FORM}Content-Length: 7\r\n\r\n"
        "value=1".encode()
    )
    assert len(outer.member.proposals) == 1
    channel.connectionLost(Failure(ConnectionDone()))
    assert outer.member.cancelled == 1
    outer.port.settle()


def test_requests_wait_for_the_member_and_go_with_their_clients():
    door = Entrance(waiting_max=5)
    outer = Outer(door=door)
    asked = b"GET /kvd/version HTTP/1.1\r\nHost: x\r\n\r\n"
    stays, goes = outer.connect(), outer.connect()
    for channel, _ in (stays, goes):
        channel.dataReceived(asked)
    goes[0].connectionLost(Failure(ConnectionDone()))
    assert stays[1].value() == b""
    door.lead_to(outer.site)
    outer.port.settle()
    assert stays[1].value().startswith(b"HTTP/1.1 200 OK")
    assert goes[1].value() == b""


def test_a_member_that_has_stopped_is_unavailable():
    door = Entrance(waiting_max=5)
    outer = Outer(door=door)
    channel, transport = outer.connect()
    channel.dataReceived(b"GET /kvd/version HTTP/1.1\r\nHost: x\r\n\r\n")
    door.close()
    head, _, body = transport.value().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert body == b"the member is stopping\n"


def test_a_stopping_member_ends_its_streams_cleanly():
    outer = Outer()
    _, transport = watch(outer, stream=True)
    assert outer.site.drain(5).called
    assert transport.value().endswith(b"0\r\n\r\n")


def test_an_answer_that_is_cut_off_is_not_taken_for_a_whole_one():
    outer = Outer()
    _, transport = watch(outer, stream=True)
    (visit,) = outer.site.visits
    visit.abort()
    assert transport.disconnecting
    assert not transport.value().endswith(b"0\r\n\r\n")
    assert outer.site.watches.open_now == 0


def test_users_are_known_by_their_passwords_and_by_nothing_else():
    outer = Outer()
    outer.users("ann")
    right = base64.b64encode(b"root:pw").decode()
    wrong = base64.b64encode(b"root:no").decode()
    for credentials, status in ((right, b"200"), (wrong, b"401"), ("", b"401")):
        head = f"Authorization: Basic {credentials}\r\n" if credentials else ""
        own, site = outer.both("GET", "/v2/auth/users", head)
        assert site == own
        assert site.startswith(b"HTTP/1.1 %b " % status)


def test_a_body_above_the_limit_is_not_read():
    outer = Outer(request_bytes_max=100)
    size = 300_000  # twisted.web has it in a file
    said = outer.ask(
        f"PUT /kvd/v2/keys/a HTTP/1.1\r\nHost: x\r\n{FORM}Content-Length: {size}\r\n"
        "\r\n".encode()
        + b"value="
        + b"x" * (size - 6)
    )
    assert b"too large" in said
    assert not outer.member.proposals
