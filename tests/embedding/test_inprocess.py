"""A client and a member in one process: no sockets, time moved by hand."""

from __future__ import annotations

import base64
from functools import partial

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.web.client import ResponseDone

from kvd.client import (
    BadAnswer,
    Client,
    Event,
    KeyNotFound,
    KeysError,
    Limits,
    NoAnswer,
    Refused,
    TooMany,
    Unauthorized,
    Unknown,
)
from kvd.client.recipes import Lock
from kvd.embedding import InProcess
from kvd.embedding.inprocess import ENDPOINT
from kvd.errors import Unavailable, UnavailableReason
from kvd.http.entrance import Entrance
from kvd.http.visits import Asked, Visit
from kvd.v2.accounts import PutUser
from kvd.v2.authcodec import Switch
from tests.client.cluster import result, waiting
from tests.http.accounts import HASH, change
from tests.http.conftest import Port


class Inside:
    """A member without sockets, and its clients."""

    def __init__(self, *, is_open=True, **options):
        self.port = Port(is_open=is_open, **options)
        self.member = self.port.member
        self.clock = self.port.clock
        self.site = self.port.site

    def http(self, door=None, **options):
        return InProcess(door or self.site, clock=self.clock, **options)

    def client(self, *, door=None, user="root", **options):
        http = self.http(door, user=user)
        return Client(self.clock, [ENDPOINT], http=http, **options)

    def settle(self, *deferreds):
        for _ in range(20):
            self.clock.advance(0)
            self.port.settle()
        results = [result(each) for each in deferreds]
        return results[0] if len(results) == 1 else results

    def users(self, *names):
        """Turn authentication on, with root and these, who may nothing; passwords pw."""
        for name in ("root", *names):
            change(self.port, PutUser(name, HASH))
        change(self.port, Switch(on=True))


@pytest.fixture
def inside():
    return Inside()


class Body(Protocol):
    """Takes what comes, and remembers how it ended."""

    def __init__(self):
        self.pieces = []
        self.reason = None

    def dataReceived(self, data):
        self.pieces.append(data)

    def connectionLost(self, reason):
        self.reason = reason


def test_what_a_client_writes_it_reads(inside):
    client = inside.client()
    made = inside.settle(client.set("/a", "1", ttl=5))
    assert (made.action, made.node.value, made.node.ttl) == ("set", "1", 5)
    read = inside.settle(client.get("/a", quorum=True))
    assert (read.node.value, read.etcd_index) == ("1", made.etcd_index)
    with pytest.raises(KeyNotFound):
        inside.settle(client.get("/b"))
    assert not inside.port.site.connections
    assert not inside.site.visits


@pytest.mark.parametrize(
    "target",
    [
        "/v2/keys/",
        "/v2/keys/none?quorum=true",
        "/v2/keys/a%2Fb?recursive=true",
        "/v2/keys//odd",
        "/v2/keys/x?wait=x",
        "/v2/members",
        "/v2/stats/self",
        "/v2/auth/users",
        "/version",
        "/health",
        "/nowhere",
        "/metrics",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PATCH"])
def test_the_answer_is_that_of_the_port(inside, method, target):
    own = inside.port.request(method, target)
    asked = inside.http().request(method, ENDPOINT + target)
    response = inside.settle(asked)
    body = Body()
    response.deliverBody(body)
    assert response.code == own.status
    has = {
        (name.decode(), value.decode())
        for name, values in response.headers.getAllRawHeaders()
        for value in values
    }
    framing = {"Date", "Content-Length", "Transfer-Encoding", "Connection"}
    assert {each for each in has if each[0] not in framing} == {
        each
        for each in own.headers
        if each[0] not in framing and not each[0].startswith("Access-Control")
    }
    assert b"".join(body.pieces) == own.body
    assert body.reason.check(ResponseDone)


def test_what_is_no_request_is_refused_as_by_the_port(inside):
    response = inside.settle(inside.http().request("GET", f"{ENDPOINT}/v2/keys/%zz"))
    body = Body()
    response.deliverBody(body)
    own = inside.port.request("GET", "/v2/keys/%zz")
    assert (response.code, b"".join(body.pieces)) == (own.status, own.body)


def test_an_answer_that_is_there_comes_in_a_later_turn(inside):
    read = inside.client().get("/")
    assert waiting(read)
    inside.clock.advance(0)
    assert result(read).node.dir


def test_an_answer_that_is_there_is_not_told_to_who_cancelled(inside):
    asked = inside.http().request("GET", f"{ENDPOINT}/version")
    asked.addErrback(lambda failure: failure.type.__name__)
    asked.cancel()
    inside.clock.advance(0)
    assert result(asked) == "CancelledError"


def test_requests_wait_until_the_member_answers_everybody():
    inside = Inside(is_open=False)
    client = inside.client()
    first, second = client.set("/a", "1"), client.create("/a", "2")
    inside.settle()
    assert waiting(first)
    inside.site.open_for_business()
    assert inside.settle(first).node.value == "1"
    with pytest.raises(KeysError):
        inside.settle(second)


def test_who_has_waited_too_long_has_changed_nothing():
    inside = Inside(is_open=False)
    late = inside.client(limits=Limits(request_seconds=3)).set("/a", "1")
    inside.clock.advance(3)
    with pytest.raises(NoAnswer, match="does not answer anybody yet"):
        result(late)
    assert not inside.site.visits
    inside.site.open_for_business()
    assert not inside.member.proposals


def test_an_answer_that_is_too_late_is_unknown_and_nobody_waits_for_it(inside):
    client = inside.client(limits=Limits(request_seconds=3))
    late = client.set("/a", "1")
    inside.clock.advance(3)
    with pytest.raises(Unknown, match="no answer within 3 s"):
        result(late)
    assert inside.member.cancelled == 1
    assert not inside.site.visits


def test_a_write_that_the_member_gives_up_is_unknown(inside):
    late = inside.client().set("/a", "1")
    inside.member.fail(Unavailable(UnavailableReason.TIMED_OUT, may_take_effect=True))
    with pytest.raises(Unknown, match="status 500"):
        inside.settle(late)


def test_a_watch_gets_its_events_and_goes_with_who_watches(inside):
    client = inside.client()
    watch = client.watch("/a", recursive=True)
    first = watch.next()
    inside.settle()
    assert inside.site.watches.open_now == 1
    inside.settle(client.set("/a/b", "1"))
    event = inside.settle(first)
    assert isinstance(event, Event)
    assert event.node.value == "1"
    second = watch.next()
    inside.settle()
    assert inside.site.watches.open_now == 1
    second.addErrback(lambda failure: None)
    second.cancel()
    assert inside.site.watches.open_now == 0
    assert not inside.site.visits


def test_a_watch_gets_what_has_happened_before(inside):
    client = inside.client()
    before = inside.settle(client.set("/a", "1"))
    inside.settle(client.set("/a", "2"), client.set("/a", "3"))
    watch = client.watch("/a", after_index=before.etcd_index)
    assert inside.settle(watch.next()).node.value == "2"
    assert inside.settle(watch.next()).node.value == "3"


def test_a_watch_ends_with_its_client(inside):
    client = inside.client()
    seen = []

    async def look():
        async for each in client.watch("/a"):
            seen.append(each)

    looking = Deferred.fromCoroutine(look())
    inside.settle()
    inside.settle(client.close(), looking)
    assert seen == []
    assert inside.site.watches.open_now == 0


def test_recipes_run_inside(inside):
    first, second = inside.client(), inside.client()
    held = inside.settle(Lock(first, "/locks/a").acquire())
    later = Lock(second, "/locks/a").acquire()
    inside.settle()
    assert waiting(later)
    inside.settle(held.release())
    assert inside.settle(later).token > held.token


def test_a_stopping_member_ends_watches_and_answers_what_is_under_way(inside):
    client = inside.client()
    write, watch = client.set("/a", "1"), client.watch("/b").next()
    inside.clock.advance(0)
    drained = inside.site.drain(5)
    assert waiting(drained)
    assert inside.settle(write).node.value == "1"
    assert drained.called
    assert inside.site.watches.open_now == 0
    assert waiting(watch), "it goes on with whoever answers next"
    with pytest.raises(NoAnswer, match="the member is stopping"):
        inside.settle(client.set("/a", "2"))
    assert not inside.member.proposals


def test_a_stopping_member_turns_those_away_who_wait_for_it():
    inside = Inside(is_open=False)
    write = inside.client().set("/a", "1")
    assert inside.site.drain(5).called
    with pytest.raises(NoAnswer, match="the member is stopping"):
        inside.settle(write)


def test_what_takes_longer_than_the_drain_is_cut_off(inside):
    client = inside.client()
    write = client.set("/a", "1")
    drained = inside.site.drain(5)
    inside.clock.advance(5)
    assert drained.called
    with pytest.raises(Unknown, match="the member has stopped"):
        result(write)


def test_an_entrance_keeps_requests_until_there_is_a_member(inside):
    entrance = Entrance(waiting_max=2)
    client = inside.client(door=entrance)
    first, second, third = (client.set(f"/{number}", "") for number in range(3))
    inside.clock.advance(0)
    with pytest.raises(NoAnswer, match="2 requests wait already"):
        result(third)
    first.addErrback(lambda failure: None)
    first.cancel()
    fourth = client.set("/4", "")
    entrance.lead_to(inside.site)
    assert len(inside.member.proposals) == 2
    assert [each.node.key for each in inside.settle(second, fourth)] == ["/1", "/4"]
    assert not inside.site.visits


def test_a_closed_entrance_says_why(inside):
    entrance = Entrance(waiting_max=2)
    client = inside.client(door=entrance)
    first = client.set("/a", "")
    entrance.close()
    with pytest.raises(NoAnswer, match="the member is stopping"):
        inside.settle(first)
    entrance.close("the member has stopped")
    entrance.lead_to(inside.site)
    with pytest.raises(NoAnswer, match="the member has stopped"):
        inside.settle(client.set("/a", ""))
    assert not inside.member.proposals


def test_no_more_are_under_way_than_connections_may_be():
    inside = Inside(connections_max=2)
    client = inside.client()
    writes = [client.set(f"/{number}", "") for number in range(3)]
    inside.clock.advance(0)
    with pytest.raises(NoAnswer, match="2 requests are under way already"):
        result(writes[2])
    assert [each.node.key for each in inside.settle(*writes[:2])] == ["/0", "/1"]


def test_no_host_has_to_be_named_that_the_member_knows():
    inside = Inside(host_whitelist=("kvd.example",))
    assert inside.settle(inside.client().get("/")).node.dir


def test_limits_of_members_and_clients_hold():
    inside = Inside(request_bytes_max=100, watchers_max=1)
    client = inside.client(limits=Limits(pending_max=1, body_bytes_max=300))
    with pytest.raises(KeysError, match="too large"):
        inside.settle(client.set("/a", "x" * 200))
    for number in range(8):
        inside.settle(client.set(f"/{number}", ""))
    with pytest.raises(BadAnswer, match="an answer of more than 300 bytes"):
        inside.settle(client.get("/"))
    first = client.get("/0")
    with pytest.raises(TooMany):
        result(client.get("/0"))
    inside.settle(first)
    watches = [client.watch("/a", after_index=99).next() for _ in range(2)]
    inside.settle()
    assert inside.site.watches.open_now == 1
    assert all(map(waiting, watches)), "the second one tries again"


def test_only_this_member_is_asked(inside):
    client = Client(
        inside.clock, [ENDPOINT, "http://10.0.0.2:2379"], http=inside.http()
    )
    assert inside.settle(client.get("/")).node.dir
    with pytest.raises(NoAnswer, match="only the member in this process"):
        inside.settle(client.version("http://10.0.0.2:2379"))


def test_while_authentication_is_on_the_process_is_root(inside):
    inside.users("ann")
    root = inside.client()
    inside.settle(root.set("/a", "1"))
    names = [user.name for user in inside.settle(root.auth.users())]
    assert names == ["ann", "root"]


def test_a_client_may_be_somebody_else(inside):
    inside.users("ann")
    client = inside.client(user="ann")
    with pytest.raises(Unauthorized):
        inside.settle(client.set("/a", "1"))
    with pytest.raises(Refused):
        inside.settle(client.auth.users())


@pytest.mark.parametrize("user", ["nobody", None])
def test_a_user_that_there_is_not_is_a_guest(inside, user):
    inside.users()
    client = inside.client(user=user)
    assert inside.settle(client.set("/a", "1")).node.value == "1"
    with pytest.raises(Refused):
        inside.settle(client.auth.users())
    inside.settle(inside.client().auth.revoke_permissions("guest", write=["/*"]))
    with pytest.raises(Unauthorized):
        inside.settle(client.set("/a", "2"))


def test_a_password_goes_before_what_the_process_says(inside):
    inside.users("ann")
    wrong = inside.client(auth=("root", "no"))
    with pytest.raises(Unauthorized):
        inside.settle(wrong.set("/a", "1"))
    right = inside.client(user=None, auth=("root", "pw"))
    assert inside.settle(right.set("/a", "1")).node.value == "1"


def test_credentials_are_not_remembered_with_a_head(inside):
    inside.users()
    client = inside.client(auth=("root", "pw"))
    inside.settle(client.get("/"), client.get("/"))
    field = base64.b64encode(b"root:pw")
    assert inside.site.blocks.known
    assert not any(field in block for block in inside.site.blocks.known)


def test_a_bug_in_a_handler_is_logged_and_answered(
    inside, logged_failures, monkeypatch
):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(inside.port.v2, "get", broken)
    with pytest.raises(NoAnswer, match="status 500"):
        inside.settle(inside.client().get("/"))
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()
    inside.member.read_index = partial(_failed, ZeroDivisionError())
    with pytest.raises(NoAnswer, match="status 500"):
        inside.settle(inside.client().get("/", quorum=True))
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()


def _failed(error):
    failed = Deferred()
    failed.errback(error)
    return failed


def stream(inside, key="a"):
    asked = inside.http().request(
        "GET", f"{ENDPOINT}/v2/keys/{key}?wait=true&stream=true&recursive=true"
    )
    return inside.settle(asked)


def test_a_stream_brings_piece_after_piece(inside):
    response, body = stream(inside), Body()
    inside.settle(inside.client().set("/a", "0"))
    response.deliverBody(body)
    assert [b'"value":"0"' in each for each in body.pieces] == [True]
    inside.settle(inside.client().set("/a", "1"))
    body.transport.pauseProducing()
    inside.settle(inside.client().set("/a", "2"))
    assert len(body.pieces) == 2
    body.transport.resumeProducing()
    assert b'"value":"2"' in body.pieces[2]
    body.transport.loseConnection()
    assert inside.site.watches.open_now == 0
    assert body.reason is None
    inside.clock.advance(0)
    assert body.reason is not None
    inside.settle(inside.client().set("/a", "3"))
    assert len(body.pieces) == 3


def test_a_stream_that_nobody_takes_is_bounded():
    inside = Inside(stream_backlog_max=3)
    response, body = stream(inside), Body()
    for number in range(5):
        inside.settle(inside.client().set("/a", str(number)))
    assert inside.site.watches.open_now == 0
    response.deliverBody(body)
    assert body.pieces == []
    assert body.reason.check(ResponseDone)


def test_a_stream_ends_when_the_member_stops(inside):
    response, body = stream(inside), Body()
    response.deliverBody(body)
    assert inside.site.drain(5).called
    assert body.reason.check(ResponseDone)


def test_a_body_that_is_cut_off_is_not_taken_for_a_whole_one(inside):
    response, body = stream(inside), Body()
    response.deliverBody(body)
    (visit,) = inside.site.visits
    visit.abort()
    assert not body.reason.check(ResponseDone)
    assert inside.site.watches.open_now == 0


def test_a_visitor_that_breaks_costs_the_others_nothing(logged_failures):
    """Not even where it waited with them, and the member opens only now."""
    inside = Inside(is_open=False)

    class Broken:
        def answered(self, answer, cors):
            raise ZeroDivisionError

        def cut_off(self):
            """Nobody is there to hear it."""

    inside.site.enter(Visit(Asked(method=b"GET", target=b"/version"), Broken()))
    asked = inside.client().get("/a")
    inside.site.open_for_business()
    with pytest.raises(KeyNotFound):
        inside.settle(asked)
    assert not inside.site.visits
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()


def test_a_visitor_that_breaks_is_dropped(inside, logged_failures):
    class Broken(Body):
        def dataReceived(self, data):
            raise ZeroDivisionError

    response, body = stream(inside), Broken()
    response.deliverBody(body)
    inside.settle(inside.client().set("/a", "1"))
    assert inside.site.watches.open_now == 0
    assert not inside.site.visits
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()
    inside.settle(inside.client().set("/a", "2"))
