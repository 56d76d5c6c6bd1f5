"""Asking members over HTTP: connections, what is sent again, what breaks off."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from kvd.proxy.client import IDLE_MAX, IDLE_SECONDS
from kvd.proxy.upstream import Lost, Question, Unreached
from tests.proxy.members import Members, Taken

URL = "http://10.0.0.1:2379"
GET = Question(method=b"GET", target=b"/v2/keys/a?x=1", fields=((b"Host", b"kvd"),))
PUT = Question(
    method=b"PUT",
    target=b"/v2/keys/a",
    fields=((b"Host", b"kvd"), (b"X-Mine", b"1")),
    body=b"value=1",
)
DELETE = Question(method=b"DELETE", target=b"/v2/keys/a")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Etcd-Index: 7\r\n\r\nok"


def results(deferred):
    """What came of it, or nothing yet."""
    got = []
    deferred.addBoth(got.append)
    return got


def problem(got):
    (failure,) = got
    return failure.value


def body_of(answered):
    taken = Taken()
    answered.deliver(taken)
    return taken


@pytest.fixture
def members():
    return Members()


def test_a_request_is_written_as_it_was_given(members):
    members.client.ask(URL, GET)
    assert members.last.said() == b"GET /v2/keys/a?x=1 HTTP/1.1\r\nHost: kvd\r\n\r\n"
    members.client.ask(URL, PUT)
    head, _, body = members.last.said().partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    assert first == b"PUT /v2/keys/a HTTP/1.1"
    assert sorted(fields) == [b"Content-Length: 7", b"Host: kvd", b"X-Mine: 1"]
    assert body == b"value=1"


def test_who_names_no_host_means_the_member(members):
    members.client.ask("http://[::1]:2379", DELETE)
    assert members.dialled == ["http://[::1]:2379"]
    assert b"\r\nHost: [::1]:2379\r\n" in members.last.said()


def test_the_answer_has_its_status_its_fields_and_its_body(members):
    got = results(members.client.ask(URL, GET))
    members.last.answer(OK)
    (answered,) = got
    assert (answered.status, answered.phrase) == (200, b"OK")
    assert answered.fields == ((b"Content-Length", b"2"), (b"X-Etcd-Index", b"7"))
    assert answered.length == 2
    taken = body_of(answered)
    assert (taken.pieces, taken.end) == ([b"ok"], "ended")


def test_chunks_come_as_they_are_sent(members):
    got = results(members.client.ask(URL, GET))
    members.last.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    (answered,) = got
    assert (answered.fields, answered.length) == ((), None)
    taken = body_of(answered)
    members.last.answer(b"2\r\na\n\r\n")
    assert taken.pieces == [b"a\n"]
    members.last.answer(b"2\r\nb\n\r\n0\r\n\r\n")
    assert (taken.pieces, taken.end) == ([b"a\n", b"b\n"], "ended")


def test_a_body_that_ends_with_its_connection_has_ended(members):
    got = results(members.client.ask(URL, GET))
    members.last.answer(b"HTTP/1.0 200 OK\r\n\r\na")
    taken = body_of(got[0])
    members.last.break_off()
    assert (taken.pieces, taken.end) == ([b"a"], "ended")


@pytest.mark.parametrize(
    ("method", "head", "fields"),
    [
        (b"HEAD", b"200 OK\r\nContent-Length: 84", ((b"Content-Length", b"84"),)),
        (b"HEAD", b"200 OK", ()),
        (b"DELETE", b"204 No Content", ()),
        (b"GET", b"304 Not Modified", ()),
    ],
)
def test_an_answer_without_a_body(members, method, head, fields):
    got = results(members.client.ask(URL, Question(method=method, target=b"/")))
    members.last.answer(b"HTTP/1.1 %b\r\n\r\n" % head)
    (answered,) = got
    assert (answered.fields, answered.length) == (fields, 0)
    taken = body_of(answered)
    assert (taken.pieces, taken.end) == ([], "ended")


def test_a_length_of_zero_is_told(members):
    got = results(members.client.ask(URL, GET))
    members.last.answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert got[0].fields == ((b"Content-Length", b"0"),)
    assert body_of(got[0]).end == "ended"


def test_an_interim_answer_is_not_the_answer(members):
    got = results(members.client.ask(URL, GET))
    members.last.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert got == []
    members.last.answer(OK)
    assert got[0].status == 200


# -- connections -------------------------------------------------------------------------


def test_without_a_connection_nothing_was_sent(members):
    members.down.add(URL)
    got = results(members.client.ask(URL, PUT))
    assert isinstance(problem(got), Unreached)
    assert "refused" in str(problem(got))


def test_a_connection_is_used_again(members):
    for _ in range(3):
        got = results(members.client.ask(URL, GET))
        members.last.answer(OK)
        body_of(got[0])
    assert len(members.wires) == 1
    assert members.prepared == [members.last]


def test_who_may_be_sent_twice_has_connections_of_his_own(members):
    for question in (GET, PUT, GET, DELETE):
        got = results(members.client.ask(URL, question))
        wire = members.wires[0 if question is GET else 1]
        wire.answer(OK)
        body_of(got[0])
    assert len(members.wires) == 2


def used_once(members, question):
    got = results(members.client.ask(URL, question))
    members.last.answer(OK)
    body_of(got[0])
    wire = members.last
    wire.said()
    return wire


def test_a_read_on_a_used_connection_that_was_closed_meanwhile_is_sent_again(members):
    wire = used_once(members, GET)
    got = results(members.client.ask(URL, GET))
    wire.break_off()
    assert got == []
    assert len(members.wires) == 2
    assert members.last.said().startswith(b"GET ")
    members.last.answer(OK)
    assert got[0].status == 200


@pytest.mark.parametrize("question", [PUT, DELETE])
def test_a_write_on_a_used_connection_that_was_closed_meanwhile_is_not(
    members, question
):
    wire = used_once(members, question)
    got = results(members.client.ask(URL, question))
    assert wire.said()
    wire.break_off()
    assert isinstance(problem(got), Lost)
    assert len(members.wires) == 1


def test_a_connection_that_was_closed_before_is_not_used(members):
    wire = used_once(members, PUT)
    wire.break_off()
    got = results(members.client.ask(URL, PUT))
    assert len(members.wires) == 2
    members.last.answer(OK)
    assert got[0].status == 200


def test_unused_connections_are_bounded_in_number_and_time(members):
    asked = [results(members.client.ask(URL, GET)) for _ in range(IDLE_MAX + 5)]
    wires = list(members.wires)
    assert len(wires) == IDLE_MAX + 5
    for wire, got in zip(wires, asked, strict=True):
        wire.answer(OK)
        body_of(got[0])
    ends = [wire.end for wire in wires]
    assert ends == ["closed"] * 5 + ["open"] * IDLE_MAX
    members.clock.advance(IDLE_SECONDS)
    assert {wire.end for wire in wires} == {"closed"}


def test_close_closes_what_is_not_in_use(members):
    wire = used_once(members, GET)
    members.client.ask(URL, PUT)
    closed = results(members.client.close())
    assert closed == []
    members.clock.advance(0)
    assert closed == [None]
    assert wire.end == "closed"
    assert members.last.end == "open"
    assert not members.clock.getDelayedCalls()


# -- what breaks off ---------------------------------------------------------------------


@pytest.mark.parametrize("began", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_an_answer_that_does_not_come_is_lost(members, began):
    got = results(members.client.ask(URL, GET))
    if began:
        members.last.answer(began)
    members.last.break_off()
    assert isinstance(problem(got), Lost)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 20_000,
    ],
)
def test_what_is_no_answer_is_lost(members, data):
    got = results(members.client.ask(URL, GET))
    members.last.answer(data)
    members.clock.advance(0)
    assert isinstance(problem(got), Lost)
    assert members.last.end != "open"


@pytest.mark.parametrize(
    "head", [b"Content-Length: 5\r\n\r\na", b"Transfer-Encoding: chunked\r\n\r\n5\r\na"]
)
def test_a_body_that_breaks_off_is_told(members, head):
    got = results(members.client.ask(URL, GET))
    members.last.answer(b"HTTP/1.1 200 OK\r\n" + head)
    taken = body_of(got[0])
    members.last.break_off()
    assert taken.pieces == [b"a"]
    assert taken.end.startswith("broken: ")


def test_cancelling_closes_the_connection_and_is_no_failure_of_the_member(members):
    for question in (GET, PUT):
        asked = members.client.ask(URL, question)
        got = results(asked)
        asked.cancel()
        assert isinstance(problem(got), CancelledError)
        assert members.last.end == "aborted"


def test_cancelling_an_attempt_to_connect_is_no_failure_of_the_member(members):
    members.silent.add(URL)
    asked = members.client.ask(URL, GET)
    got = results(asked)
    asked.cancel()
    assert isinstance(problem(got), CancelledError)


def test_who_drops_a_body_hears_no_more(members):
    got = results(members.client.ask(URL, GET))
    members.last.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    taken = Taken()
    source = got[0].deliver(taken)
    source.drop()
    source.drop()
    assert members.last.end == "closed"
    assert (taken.pieces, taken.end) == ([], "open")


def test_who_is_paused_does_not_read(members):
    got = results(members.client.ask(URL, GET))
    members.last.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    source = got[0].deliver(Taken())
    assert members.last.reading
    source.pause()
    assert not members.last.reading
    source.resume()
    assert members.last.reading


# -- the time-out for reading ------------------------------------------------------------


def test_without_a_time_out_an_answer_may_take_for_ever(members):
    got = results(members.client.ask(URL, GET))
    assert not members.clock.getDelayedCalls()
    members.last.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    body_of(got[0])
    assert not members.clock.getDelayedCalls()


def test_an_answer_that_does_not_begin_in_time_is_lost():
    members = Members(read_seconds=2.0)
    for question in (GET, PUT):
        got = results(members.client.ask(URL, question))
        members.clock.advance(2.9)
        assert got == []
        members.clock.advance(0.1)
        assert isinstance(problem(got), Lost)
        assert "no answer within 3 s" in str(problem(got))
        assert members.last.end == "aborted"


def test_a_body_that_falls_silent_breaks_off_but_not_while_nobody_takes_it():
    members = Members(read_seconds=2.0)
    got = results(members.client.ask(URL, GET))
    members.last.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    taken = Taken()
    source = got[0].deliver(taken)
    for _ in range(3):
        members.clock.advance(1.9)
        members.last.answer(b"1\r\na\r\n")
    source.pause()
    members.clock.advance(100)
    assert taken.end == "open"
    source.resume()
    members.clock.advance(1.9)
    assert taken.end == "open"
    members.clock.advance(0.1)
    assert taken.end == "broken: nothing came for 2 s"
    assert members.last.end == "closed"
    members.clock.advance(0)
    assert not members.clock.getDelayedCalls()


def test_a_body_that_has_ended_is_not_waited_for():
    members = Members(read_seconds=2.0)
    got = results(members.client.ask(URL, GET))
    members.last.answer(OK)
    body_of(got[0])
    assert [call.func.__name__ for call in members.clock.getDelayedCalls()] == [
        "_removeConnection"
    ]
