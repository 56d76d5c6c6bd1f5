"""A connection over time: pipelines, limits, deadlines, slow readers, the end."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import INegotiated
from zope.interface import alsoProvides

from kvd.http.exchange import Response

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
HOST = "Host: kvd\r\n"


def get(path: str = "/version", headers: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\n{HOST}{headers}\r\n"


def put(path: str, form: str, headers: str = "") -> str:
    return (
        f"PUT /v2/keys{path} HTTP/1.1\r\n{HOST}{FORM}{headers}"
        f"Content-Length: {len(form)}\r\n\r\n{form}"
    )


# -- pipelines ----------------------------------------------------------------------


def test_a_pipeline_is_answered_in_order_and_sees_its_own_writes(port, read):
    client = port.connect()
    client.send(put("/a", "value=1") + get("/v2/keys/a") + put("/a", "value=2"))
    assert len(port.member.proposals) == 1
    port.settle()
    answers = read(client.said)
    assert [a.status for a in answers] == [201, 200, 200]
    assert b'"value":"1"' in answers[1].body
    assert b'"prevNode"' in answers[2].body


def test_answers_of_one_turn_leave_in_one_write(port):
    client = port.connect().send(get() * 5)
    assert client.wire.writes == 1


def test_others_have_their_turn_after_so_many_requests_of_one(make_port, read):
    port = make_port(pipelined_max=4)
    client = port.connect().send(get() * 10)
    assert len(read(client.said)) == 4
    client.send(get())
    assert client.said == b""
    port.clock.advance(0)  # a Clock takes two turns in this
    assert len(read(client.said)) == 7
    assert client.wire.writes == 3
    assert client.send(get()).said


def test_exactly_so_many_requests_need_no_other_turn(make_port, read):
    port = make_port(pipelined_max=4)
    client = port.connect().send(get() * 4)
    assert len(read(client.said)) == 4
    assert not port.clock.getDelayedCalls()


def test_unread_requests_pause_the_transport_until_there_is_room(port, read):
    client = port.connect().send(put("/a", "value=1"))
    big = put("/b", f"value={'x' * 70_000}")
    client.send(big)
    assert not client.wire.reading
    assert client.send(get()).said == b""
    port.settle()
    assert [a.status for a in read(client.said)] == [201, 201, 200]
    assert client.wire.reading


def test_a_client_that_does_not_read_gets_nothing_more_begun(port, read):
    port.request("PUT", "/v2/keys/a", f"value={'x' * 40_000}")
    client = port.connect()
    client.wire.room = 1000
    client.send(get("/v2/keys/a") * 3 + put("/b", "value=1"))
    assert len(read(client.said)) == 2  # joined up to 64 KiB, then it was blocked
    assert not port.member.proposals
    client.send(get() + " " * 70_000)
    assert not client.wire.reading
    client.wire.client_reads()
    assert len(read(client.said)) == 1
    port.settle()
    assert [a.status for a in read(client.said)] == [201, 200]


def test_an_answer_that_comes_while_the_client_does_not_read_is_sent_at_once(port):
    client = port.connect().send(put("/a", "value=1") + get())
    client.protocol.pauseProducing()
    port.member.turn()
    assert client.said.count(b"HTTP/1.1") == 1
    client.wire.client_reads()
    assert client.said.count(b"HTTP/1.1") == 1


# -- limits -------------------------------------------------------------------------


def test_a_long_first_line_is_taken_up_to_the_limit(make_port, read):
    """V2-SPEC 22, 4: etcd drops such connections."""
    port = make_port(request_line_bytes_max=10_000)
    fits = "x" * (10_000 - len("GET /version? HTTP/1.1"))
    said, end = port.ask(get(f"/version?{fits}"))
    assert read(said)[0].status == 200
    assert end == "open"
    said, end = port.ask(get(f"/version?{fits}x"))
    assert said.startswith(b"HTTP/1.1 431 ")
    assert end == "half"


@pytest.mark.parametrize("complete", [True, False])
def test_a_head_over_the_limit_is_431(make_port, read, complete):
    port = make_port(header_bytes_max=5_000)
    fits = 5_000 - len(get("/version", "A: \r\n")) + 2 + 2
    said, _ = port.ask(get("/version", f"A: {'x' * fits}\r\n"))
    assert read(said)[0].status == 200
    data = get("/version", f"A: {'x' * (fits + 1)}\r\n")
    said, end = port.ask(data if complete else data[:-2])
    assert said.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert end == "half"


def test_an_endless_first_line_is_431(make_port):
    port = make_port(request_line_bytes_max=5_000)
    said, _ = port.ask("x" * 5_001)
    assert said.startswith(b"HTTP/1.1 431 ")


def test_more_headers_than_the_limit_are_431(make_port, read):
    port = make_port(header_count_max=10)
    assert read(port.ask(get("/version", "A: b\r\n" * 9))[0])[0].status == 200
    assert port.ask(get("/version", "A: b\r\n" * 10))[0].startswith(b"HTTP/1.1 431 ")


def test_body_limit_before_buffering(make_port, read):
    """H03"""
    port = make_port(request_bytes_max=1000)
    form = f"value={'x' * 994}"
    assert read(port.ask(put("/a", form))[0])[0].status == 201
    too_large = (
        b'{"errorCode":210,"message":"Invalid POST form",'
        b'"cause":"http: POST too large","index":0}\n'
    )
    for length in ("1001", str(2**63 - 1)):
        head = put("/a", "").replace("Length: 0", f"Length: {length}")
        client = port.connect().send(head)
        (answer,) = read(client.said)
        assert (answer.status, answer.body) == (400, too_large)
        assert answer["Connection"] == "close"
        assert client.end == "half"
        assert client.send("x" * 100_000).said == b""
        assert client.protocol._intake.unread == 0
    head = put("/a", "").replace("Length: 0", f"Length: {2**64}")
    assert port.ask(head)[0].startswith(b"HTTP/1.1 400 Bad Request\r\n")
    # The chunked one is cut off where the limit is passed.
    head = f"PUT /v2/keys/a HTTP/1.1\r\n{HOST}{FORM}Transfer-Encoding: chunked\r\n\r\n"
    client = port.connect().send(head + "3e8\r\n" + form + "\r\n")
    assert client.said == b""
    client.send("1\r\nx")
    (answer,) = read(client.said)
    assert (answer.status, answer.body) == (400, too_large)


def test_without_the_limit_h03_would_fail(make_port):
    """The mutant of H03: a port that buffers first says nothing here."""
    port = make_port(request_bytes_max=2**62)
    head = put("/a", "").replace("Length: 0", "Length: 1001")
    client = port.connect().send(head)
    assert client.said == b""
    assert client.end == "open"


@pytest.mark.parametrize(
    ("length", "waits"), [(256 << 10, True), ((256 << 10) + 1, False)]
)
def test_a_body_that_nobody_reads_is_swallowed_up_to_256_kib(port, read, length, waits):
    client = port.connect().send(get("/version", f"Content-Length: {length}\r\n"))
    if waits:
        assert client.said == b""
        client.send("x" * length)
    (answer,) = read(client.said)
    assert answer.status == 200
    assert (answer["Connection"] == "close") != waits
    assert client.end == ("open" if waits else "half")


def test_a_put_of_another_type_ignores_its_body_of_any_size(port, read):
    head = put("/a", "").replace("Length: 0", f"Length: {2**40}").replace("x-www", "y")
    client = port.connect().send(head)
    port.settle()
    (answer,) = read(client.said)
    assert answer.status == 201
    assert answer["Connection"] == "close"


def test_connections_beyond_the_limit_are_told_so(make_port, read):
    port = make_port(connections_max=2)
    first, second = port.connect(), port.connect()
    third = port.connect()
    assert third.said == (
        b"HTTP/1.1 503 Service Unavailable\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
        b"too many connections"
    )
    assert third.end == "half"
    third.lose()
    assert first.send(get()).said
    second.lose()
    assert port.connect().send(get()).said.startswith(b"HTTP/1.1 200")


# -- deadlines ----------------------------------------------------------------------


def test_header_deadline_is_absolute(port):
    """H02"""
    client = port.connect()
    port.clock.advance(3600)  # a connection may be idle as long as it likes
    assert client.end == "open"
    for byte in get()[:40]:
        client.send(byte)
        port.clock.pump([1] * 10)
        if client.end != "open":
            break
    assert port.clock.seconds() == pytest.approx(3660, abs=11)
    assert client.said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert client.end == "half"


def test_an_idle_deadline_would_not_do(port, monkeypatch):
    """The mutant of H02: each byte starts the deadline anew."""
    site = port.site
    kept = type(site).expect

    def expect(connection: object, *, body: bool) -> None:
        site.arrived(connection)
        kept(site, connection, body=body)

    monkeypatch.setattr(site, "expect", expect)
    client = port.connect()
    for byte in get()[:20]:
        client.send(byte)
        port.clock.pump([1] * 50)
    assert client.end == "open"


def test_body_deadline_is_absolute_and_begins_after_the_head(port):
    client = port.connect().send(put("/a", "value=1")[:20])
    port.clock.pump([1] * 50)
    client.send(put("/a", "value=1")[20:-7])
    for _ in range(5):
        port.clock.pump([1] * 59)
        assert client.end == "open"
        client.send("v")
    port.clock.pump([1] * 10)
    assert client.said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_the_deadline_ends_with_the_request(port):
    client = port.connect().send(get()[:20])
    client.send(get()[20:])
    assert client.said
    client.send(put("/a", "value=1")[:-3])
    client.send(put("/a", "value=1")[-3:])
    port.clock.pump([1] * 400)
    assert client.end == "open"
    port.settle()
    assert client.said
    assert not port.site.deadlines


def test_a_request_that_is_answered_slowly_has_no_deadline(port):
    client = port.connect().send(put("/a", "value=1") + get()[:10])
    port.clock.pump([1] * 400)
    assert client.end == "open"
    port.member.turn()
    assert client.said
    port.clock.pump([1] * 62)
    assert client.said.startswith(b"HTTP/1.1 408")


def test_who_does_not_hear_a_goodbye_is_cut_off(port):
    client = port.connect().send("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.end == "half"
    client.send("more")
    port.clock.pump([1] * 4)
    assert client.end == "aborted"


def test_who_hears_a_goodbye_is_let_go(port):
    client = port.connect().send("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n")
    client.protocol.readConnectionLost()
    assert client.end == "closed"
    client.lose()
    port.clock.pump([1] * 4)
    assert client.end == "closed"


def test_over_tls_there_is_no_half_goodbye(port):
    client = port.connect()
    alsoProvides(client.wire, INegotiated)
    client.send("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.end == "closed"


# -- Expect -------------------------------------------------------------------------

EXPECT = "Expect: 100-continue\r\n"


def test_a_client_that_waits_is_told_to_go_on(port, read):
    data = put("/a", "value=1", EXPECT)
    client = port.connect().send(data[:-7])
    assert client.said == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send("value=1")
    port.settle()
    assert read(client.said)[0].status == 201


def test_a_client_that_did_not_wait_is_told_so_too(port, read):
    client = port.connect().send(put("/a", "value=1", EXPECT))
    port.settle()
    assert [a.status for a in read(client.said)] == [100, 201]


def test_nobody_waits_for_a_body_that_is_not_read(port, read):
    client = port.connect().send(get("/version", EXPECT + "Content-Length: 7\r\n"))
    (answer,) = read(client.said)
    assert answer.status == 200
    assert answer["Connection"] == "close"


def test_nobody_waits_for_a_body_that_is_too_large(make_port, read):
    port = make_port(request_bytes_max=5)
    client = port.connect().send(put("/a", "value=1", EXPECT)[:-7])
    assert [a.status for a in read(client.said)] == [400]


def test_http_1_0_knows_no_100(port):
    client = port.connect().send(
        put("/a", "value=1", EXPECT).replace("1.1", "1.0")[:-7]
    )
    assert client.said == b""


# -- the client's end ---------------------------------------------------------------


def test_a_client_that_is_gone_frees_its_waiter(port):
    client = port.connect().send(put("/a", "value=1"))
    client.lose()
    assert port.member.cancelled == 1
    port.settle()
    assert client.said == b""
    assert not port.site.connections


def test_a_client_that_only_listens_gets_its_answers(port, read):
    client = port.connect().send(put("/a", "value=1") + get())
    client.protocol.readConnectionLost()
    port.settle()
    assert [a.status for a in read(client.said)] == [201, 200]
    assert client.end == "closed"


def test_an_idle_client_that_ends_is_closed(port):
    client = port.connect()
    client.protocol.readConnectionLost()
    assert client.end == "closed"
    client.protocol.writeConnectionLost()
    client.protocol.stopProducing()


@pytest.mark.parametrize(
    ("sent", "status", "cause"),
    [
        (get()[:-2], 400, b"400 Bad Request"),
        (put("/a", "value=1")[:-1], 400, b"unexpected EOF"),
        (get("/version", "Content-Length: 3\r\n"), 200, b"3.4.23"),
        ("GET", 0, b""),
    ],
)
def test_what_was_cut_off_is_answered_as_far_as_it_can(port, read, sent, status, cause):
    client = port.connect().send(sent)
    client.protocol.readConnectionLost()
    answers = read(client.said)
    assert [a.status for a in answers] == ([status] if status else [])
    assert all(cause in a.body for a in answers)
    assert client.end != "open"


# -- the member's beginning and end -------------------------------------------------


def test_nobody_is_answered_before_the_member_is_ready(make_port, read):
    port = make_port(is_open=False)
    client = port.connect().send(get() + get("/v2/keys"))
    flood = port.connect().send("x" * 70_000)
    port.clock.pump([1] * 100)
    assert client.said == b""
    assert client.end == "open"
    assert not flood.wire.reading
    port.site.open_for_business()
    assert [a.status for a in read(client.said)] == [200, 200]
    port.clock.pump([1] * 100)
    assert flood.end == "aborted"  # its line never ended


def test_drain_answers_what_is_under_way_and_closes_the_rest(port, read):
    busy = port.connect().send(put("/a", "value=1") + get())
    idle, half = port.connect(), port.connect().send(get()[:9])
    watching = port.connect().send(get("/v2/keys/x?wait=true"))
    gone: list[None] = []
    port.site.drain(5).addCallback(gone.append)
    assert (idle.end, half.end, watching.end) == ("closed", "closed", "closed")
    assert watching.said.endswith(b"\r\n\r\n0\r\n\r\n")
    assert port.site.buildProtocol(None) is None
    assert busy.end == "open"
    port.settle()
    (answer,) = read(busy.said)
    assert answer.status == 201
    assert answer["Connection"] == "close"
    assert busy.end == "closed"
    for client in (idle, half, watching):
        client.lose()
    assert not gone
    busy.lose()
    assert gone == [None]
    assert not port.clock.getDelayedCalls()


def test_drain_cuts_off_who_does_not_come_to_an_end(port):
    client = port.connect().send(put("/a", "value=1"))
    gone: list[None] = []
    port.site.drain(5).addCallback(gone.append)
    port.clock.advance(5)
    assert client.end == "aborted"
    client.lose()
    assert gone == [None]


def test_drain_of_an_empty_port_is_over_at_once(port):
    gone: list[None] = []
    port.site.drain(5).addCallback(gone.append)
    assert gone == [None]


# -- our own bugs -------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
def test_a_bug_in_a_handler_is_logged_and_answered(port, read, logged_failures, later):
    def broken(request: object) -> Deferred:
        if later:
            failing: Deferred = Deferred()
            port.clock.callLater(1, failing.errback, ZeroDivisionError())
            return failing
        raise ZeroDivisionError

    port.site._keys.answer = broken
    client = port.connect().send(get("/v2/keys") + get())
    port.clock.advance(1)
    (answer,) = read(client.said)
    assert answer.status == 500
    assert client.end == "closed"
    assert [f.type for f in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()


def test_a_bug_after_an_answer_ends_the_connection(port, logged_failures):
    waiting: Deferred = Deferred()
    port.site._keys.answer = lambda request: waiting
    client = port.connect().send(get("/v2/keys"))
    waiting.callback(Response(999, b"", b""))
    assert client.end == "aborted"
    assert [f.type for f in logged_failures] == [KeyError]
    logged_failures.clear()
