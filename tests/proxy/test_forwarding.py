"""A request on its way to one member after the other."""

from __future__ import annotations

import json

import pytest

from kvd.proxy.upstream import Lost, Unreached
from tests.proxy.conftest import ONE, THREE, TWO

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
PUT = f"PUT /v2/keys/a\r\n{FORM}"


def message(answer):
    return json.loads(answer.body)["message"]


def test_a_request_is_sent_on_as_it_came(house):
    house.send(f"PUT /v2/keys/a?prevExist=false\r\n{FORM}X-Mine: 1\r\n", b"value=1")
    question = house.upstream.last.question
    assert house.upstream.last.url == ONE
    assert question.method == b"PUT"
    assert question.target == b"/v2/keys/a?prevExist=false"
    assert question.body == b"value=1"
    assert dict(question.fields) == {
        b"Host": b"kvd",
        b"Content-Type": b"application/x-www-form-urlencoded",
        b"X-Mine": b"1",
    }


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/v2/keys/%C3%A4%2Fb", b"/v2/keys/%C3%A4/b"),
        ('/v2/keys/ä|"', b"/v2/keys/%C3%A4%7C%22"),
        ("/v2/keys/a%20b%3Fc%23d", b"/v2/keys/a%20b%3Fc%23d"),
        ("/v2/keys/a#b", b"/v2/keys/a%23b"),
        ("/v2/keys/%ff", b"/v2/keys/%FF"),
        ("/v2/keys/a;b=c,d", b"/v2/keys/a;b=c,d"),
        ("/v2/keys/a?x=%zz&y=ä#z;", b"/v2/keys/a?x=%zz&y=%C3%A4%23z;"),
        ("http://other:1/v2/keys/a?b", b"/v2/keys/a?b"),
    ],
)
def test_a_target_means_the_same_in_characters_that_any_server_takes(
    house, target, sent
):
    house.connect().send(f"GET {target} HTTP/1.1\r\nHost: kvd\r\n\r\n")
    assert house.upstream.last.question.target == sent


def test_the_host_is_the_one_that_the_client_meant(house):
    house.connect().send("GET http://other:1/a HTTP/1.1\r\nHost: kvd\r\n\r\n")
    assert dict(house.upstream.last.question.fields)[b"Host"] == b"other:1"
    house.connect().send("GET /a HTTP/1.0\r\n\r\n")
    assert b"Host" not in dict(house.upstream.last.question.fields)


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_the_first_answer_counts_whatever_it_is(house, read, status):
    client = house.send("GET /v2/keys/a")
    house.upstream.last.answer(
        status, b"body", ((b"Content-Length", b"4"), (b"X-Etcd-Index", b"7")), length=4
    )
    (answer,) = read(client.said)
    assert answer.status == status
    assert answer.headers == [
        ("Access-Control-Allow-Headers", "accept, content-type, authorization"),
        ("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"),
        ("Access-Control-Allow-Origin", "*"),
        ("Content-Length", "4"),
        ("X-Etcd-Index", "7"),
    ]
    assert answer.body == b"body"
    assert len(house.upstream.asked) == 1
    assert client.end == "open"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"])
def test_without_a_connection_the_next_one_is_tried_with_any_method(house, method):
    house.send(f"{method} /v2/keys/a")
    house.upstream.last.fail(Unreached("refused"))
    house.upstream.last.fail(Unreached("refused"))
    assert [asked.url for asked in house.upstream.asked] == [ONE, TWO, THREE]
    assert {asked.question for asked in house.upstream.asked} == {
        house.upstream.last.question
    }
    assert house.endpoints.available() == (THREE,)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_only_reads_is_sent_again_when_an_answer_is_lost(house, read, method):
    client = house.send(f"{method} /v2/keys/a")
    house.upstream.last.fail(Lost("reset"))
    assert house.endpoints.available() == (TWO, THREE)
    house.upstream.last.answer(200, b"", length=0)
    assert read(client.said, [method])[0].status == 200
    assert [asked.url for asked in house.upstream.asked] == [ONE, TWO]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "get"])
def test_a_write_that_may_have_been_carried_out_is_never_sent_twice(
    house, read, method
):
    # RELIABILITY, client retries of what is not idempotent (etcd #18424).
    client = house.send(f"{method} /v2/keys/a")
    house.upstream.last.fail(Lost("reset"))
    (answer,) = read(client.said)
    assert answer.status == 502
    assert message(answer) == (
        "httpproxy: unable to get response from 1 endpoint(s); it may have been "
        "carried out"
    )
    assert len(house.upstream.asked) == 1
    assert house.endpoints.available() == (TWO, THREE)


def test_without_any_endpoint_it_is_503(make_house):
    answer = make_house().ask("GET /v2/keys/a")
    assert answer.status == 503
    assert message(answer) == "httpproxy: zero endpoints currently available"
    assert answer["Content-Type"] == "application/json"


def test_when_all_have_failed_it_is_502_and_then_503(house, read):
    client = house.send("PUT /v2/keys/a")
    for _ in range(3):
        house.upstream.last.fail(Unreached("refused"))
    (answer,) = read(client.said)
    assert answer.status == 502
    assert message(answer) == "httpproxy: unable to get response from 3 endpoint(s)"
    assert house.ask("PUT /v2/keys/a").status == 503


def test_a_client_that_is_gone_cancels_its_request(house):
    client = house.send("GET /v2/keys/a")
    client.lose()
    assert house.upstream.last.cancelled
    assert len(house.upstream.asked) == 1
    assert house.endpoints.available() == (ONE, TWO, THREE)


# -- bodies ------------------------------------------------------------------------------


def test_a_body_is_read_completely_before_anybody_is_asked(house):
    client = house.connect().send(
        f"PUT /a HTTP/1.1\r\nHost: k\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n"
    )
    client.send("5\r\nvalue\r\n")
    assert not house.upstream.asked
    client.send("2\r\n=1\r\n0\r\n\r\n")
    question = house.upstream.last.question
    assert question.body == b"value=1"
    assert b"Transfer-Encoding" not in dict(question.fields)


def test_any_method_may_have_a_body(house):
    house.send("GET /v2/keys/a", b"abc")
    assert house.upstream.last.question.body == b"abc"


def test_a_body_that_cannot_be_read_is_500(house, read):
    client = house.connect().send(
        "PUT /a HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    (answer,) = read(client.said)
    assert answer.status == 500
    assert message(answer) == (
        "httpproxy: failed to read request body: invalid byte in chunk length"
    )
    assert answer["Connection"] == "close"
    assert not house.upstream.asked


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413_and_goes_nowhere(make_house, read, chunked):
    house = make_house(ONE, request_bytes_max=1024)
    if chunked:
        data = f"Transfer-Encoding: chunked\r\n\r\n401\r\n{'a' * 1025}\r\n"
    else:
        data = "Content-Length: 1025\r\n\r\n"
    client = house.connect().send(f"PUT /a HTTP/1.1\r\nHost: k\r\n{data}")
    (answer,) = read(client.said)
    assert answer.status == 413
    assert message(answer) == "httpproxy: request body too large"
    assert not house.upstream.asked


def test_a_body_of_just_the_limit_is_sent(make_house):
    house = make_house(ONE, request_bytes_max=1024)
    house.send("PUT /a", b"a" * 1024)
    assert len(house.upstream.last.question.body) == 1024


def test_bodies_that_wait_for_an_answer_are_bounded_in_all(make_house, read):
    house = make_house(ONE, outbox_bytes_max=2000)
    clients = [house.send("PUT /a", b"a" * 1000) for _ in range(3)]
    assert len(house.upstream.asked) == 2
    (answer,) = read(clients[2].said)
    assert answer.status == 503
    assert message(answer) == "httpproxy: too many request bodies"
    # One that is answered, or whose client is gone, makes room.
    house.upstream.asked[0].answer(200, b"", length=0)
    clients[1].lose()
    assert house.upstream.asked[1].cancelled
    for _ in range(2):
        house.send("PUT /a", b"a" * 1000)
    assert len(house.upstream.asked) == 4
    assert house.ask("PUT /a", b"a").status == 503


def test_a_client_that_waits_to_be_told_is_told_to_send_its_body(house):
    client = house.connect().send(
        "PUT /a HTTP/1.1\r\nHost: k\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    )
    assert client.said == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send("abc")
    assert house.upstream.last.question.body == b"abc"
    assert b"Expect" not in dict(house.upstream.last.question.fields)


# -- what comes back, in pieces ----------------------------------------------------------

WATCH = "GET /v2/keys/a?wait=true&stream=true"


def test_a_head_leaves_at_once_and_pieces_as_they_come(house):
    client = house.send(WATCH)
    source = house.upstream.last.answer(fields=((b"X-Etcd-Index", b"7"),))
    head = client.said
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"X-Etcd-Index: 7\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(2):
        source.taker.piece(b'{"action":"set"}\n')
        assert client.said == b'11\r\n{"action":"set"}\n\r\n'
    source.taker.piece(b"")
    assert client.said == b""
    source.taker.ended()
    assert client.said == b"0\r\n\r\n"
    assert client.end == "open"
    house.upstream.asked.clear()
    client.send("GET /b HTTP/1.1\r\nHost: k\r\n\r\n")
    assert house.upstream.last.question.target == b"/b"


def test_a_client_that_does_not_read_pauses_the_member(house):
    client = house.send(WATCH)
    source = house.upstream.last.answer()
    client.wire.room = 0
    source.taker.piece(b"1\n")
    assert source.said == ["pause"]
    client.wire.client_reads()
    assert source.said == ["pause", "resume"]


def test_a_client_that_did_not_read_before_pauses_the_member_from_the_start(house):
    client = house.connect()
    client.send("GET /a HTTP/1.1\r\nHost: k\r\n\r\n")
    client.protocol.pauseProducing()
    source = house.upstream.last.answer(200, None)
    assert source.said == ["pause"]


def test_a_client_that_leaves_a_watch_ends_it_at_the_member(house):
    client = house.send(WATCH)
    source = house.upstream.last.answer()
    client.lose()
    assert source.said == ["drop"]
    source.taker.piece(b"late\n")
    source.taker.ended()
    source.taker.broken("late")


def test_a_client_that_says_no_more_gets_no_more_of_a_watch(house):
    client = house.send(WATCH)
    source = house.upstream.last.answer()
    assert client.said
    client.protocol.readConnectionLost()
    assert source.said == ["drop"]
    assert client.said == b"0\r\n\r\n"
    assert client.end == "closed"


def test_a_member_that_breaks_off_cuts_the_client(house):
    client = house.send(WATCH)
    source = house.upstream.last.answer()
    source.taker.piece(b"1\n")
    assert client.said
    source.taker.broken("reset")
    assert client.said == b""  # no end that could be taken for the real one
    assert client.end == "aborted"


def test_a_length_that_is_known_is_told_and_the_pieces_are_bare(house):
    client = house.send("GET /a")
    source = house.upstream.last.answer(fields=((b"Content-Length", b"4"),), length=4)
    assert client.said.endswith(b"Content-Length: 4\r\n\r\n")
    source.taker.piece(b"ab")
    source.taker.piece(b"cd")
    source.taker.ended()
    assert client.said == b"abcd"
    assert client.end == "open"


@pytest.mark.parametrize("fields", [(), ((b"Content-Length", b"84"),)])
def test_an_answer_to_head_has_no_body(house, fields):
    client = house.send("HEAD /a")
    house.upstream.last.answer(200, b"", fields, length=0)
    head = client.said
    assert head.count(b"\r\n\r\n") == 1
    assert head.endswith(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert (b"Content-Length: 84\r\n" in head) == bool(fields)
    assert client.end == "open"


def test_to_http_1_0_a_body_without_a_length_ends_with_the_connection(house):
    client = house.connect().send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    source = house.upstream.last.answer()
    assert client.said.startswith(b"HTTP/1.0 200 OK\r\n")
    source.taker.piece(b"abc")
    source.taker.ended()
    assert client.said == b"abc"
    assert client.end == "closed"


def test_to_http_1_0_a_length_lets_the_connection_live(house):
    client = house.connect().send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    house.upstream.last.answer(200, b"abc", ((b"Content-Length", b"3"),), length=3)
    assert client.said.endswith(
        b"Content-Length: 3\r\nConnection: keep-alive\r\n\r\nabc"
    )
    assert client.end == "open"


def test_the_last_answer_says_so(house):
    client = house.send("GET /a\r\nConnection: close\r\n")
    house.upstream.last.answer(200, b"abc", ((b"Content-Length", b"3"),), length=3)
    assert client.said.endswith(b"Content-Length: 3\r\nConnection: close\r\n\r\nabc")
    assert client.end == "closed"


# -- the end of the proxy ----------------------------------------------------------------


def test_a_stop_ends_watches_and_lets_other_answers_come(house, read):
    watching, reading = house.send(WATCH), house.send("GET /big")
    watched = house.upstream.asked[0].answer()
    read_from = house.upstream.asked[1].answer()
    watched.taker.piece(b"1\n")
    read_from.taker.piece(b"1\n")
    assert watching.said
    assert reading.said
    done = []
    house.site.drain(5.0).addCallback(done.append)
    assert watching.said == b"0\r\n\r\n"
    assert watching.end == "closed"
    assert watched.said == ["drop"]
    assert reading.end == "open"
    read_from.taker.piece(b"2\n")
    read_from.taker.ended()
    assert reading.said == b"2\r\n2\n\r\n0\r\n\r\n"
    assert reading.end == "closed"
    for client in (watching, reading):
        client.lose()
    assert done == [None]


def test_a_stop_in_the_middle_of_an_event_waits_for_the_rest_of_it(house):
    client = house.send(WATCH)
    source = house.upstream.last.answer()
    source.taker.piece(b'{"action":')
    assert client.said
    house.site.drain(5.0)
    assert client.said == b""
    source.taker.piece(b'"set"}\n')
    assert client.said == b'7\r\n"set"}\n\r\n0\r\n\r\n'
    assert source.said == ["drop"]
    assert client.end == "closed"
    client.lose()
    house.clock.advance(5)


def test_what_does_not_come_to_an_end_is_cut(house):
    client = house.send("GET /big")
    house.upstream.last.answer().taker.piece(b"1")
    house.site.drain(5.0)
    house.clock.advance(5)
    assert client.end == "aborted"


def test_a_watch_that_is_not_answered_yet_is_waited_for(house):
    client = house.send(WATCH)
    house.site.drain(5.0)
    house.upstream.last.answer()
    assert client.said.endswith(b"0\r\n\r\n")
    assert client.end == "closed"
    client.lose()
    house.clock.advance(5)
