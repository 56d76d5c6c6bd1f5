"""Which endpoint is asked next, and when nobody may be asked again."""

import pytest
from OpenSSL.SSL import Error as OpenSslError
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived

from kvd.client import (
    BadAnswer,
    Closed,
    KeyNotFound,
    Limits,
    NoAnswer,
    TooMany,
    Unknown,
)
from tests.client.cluster import A, B, C, event, refusal, result, waiting

WRITES = {
    "set": lambda client: client.set("/k", "v"),
    "create": lambda client: client.create("/k", "v"),
    "update": lambda client: client.update("/k", "v"),
    "delete": lambda client: client.delete("/k"),
    "refresh": lambda client: client.refresh("/k", 3),
    "swap": lambda client: client.compare_and_swap("/k", "v", prev_index=1),
    "compare_and_delete": lambda client: client.compare_and_delete("/k", prev_index=1),
    "create_in_order": lambda client: client.create_in_order("/k", "v"),
    "mkdir": lambda client: client.mkdir("/k"),
    "rmdir": lambda client: client.rmdir("/k"),
    "member": lambda client: client.members.remove("1"),
    "user": lambda client: client.auth.remove_user("ann"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_was_not_sent_goes_to_the_next_endpoint(cluster, write):
    write(cluster.client())
    cluster.last.refuse()
    assert cluster.endpoints == [A, B]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_whose_answer_is_lost_is_not_sent_again(cluster, write):
    written = write(cluster.client())
    cluster.last.break_off()
    with pytest.raises(Unknown) as said:
        result(written)
    assert cluster.endpoints == [A]
    assert [each.endpoint for each in said.value.attempts] == [A]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_a_server_fails_at_is_unknown(cluster, write):
    written = write(cluster.client())
    cluster.last.answer(500, refusal(300, "Raft Internal Error", "timed out", 0))
    with pytest.raises(Unknown, match=r"status 500.*timed out"):
        result(written)
    assert cluster.endpoints == [A]


def test_a_write_that_half_an_answer_came_to_is_unknown(cluster):
    written = cluster.client().set("/k", "v")
    response = cluster.last.begin(200)
    response.piece(b'{"act')
    response.end(ConnectionLost())
    with pytest.raises(Unknown):
        result(written)
    assert cluster.endpoints == [A]


def test_a_read_is_asked_of_everybody_once(cluster):
    read = cluster.client().get("/k")
    cluster.last.refuse()
    cluster.last.break_off()
    cluster.last.answer(500, b"no")
    assert cluster.endpoints == [A, B, C]
    with pytest.raises(NoAnswer) as said:
        result(read)
    assert [each.endpoint for each in said.value.attempts] == [A, B, C]
    assert [each.problem for each in said.value.attempts][2] == "status 500: no"


def test_the_one_that_answered_is_asked_first(cluster):
    client = cluster.client()
    read = client.get("/k")
    cluster.last.refuse()
    cluster.last.answer(200, event("get"))
    assert result(read).endpoint == B
    client.set("/k", "v")
    assert cluster.last.endpoint == B
    assert client.endpoints == (B, C, A)


def test_a_refusal_is_an_answer(cluster):
    read = cluster.client().get("/k")
    cluster.last.answer(404, refusal(100, "Key not found"))
    with pytest.raises(KeyNotFound):
        result(read)
    assert cluster.endpoints == [A]


def test_who_does_not_answer_in_time_is_left(cluster):
    client = cluster.client(limits=Limits(request_seconds=3))
    read = client.get("/k")
    cluster.clock.advance(2.9)
    assert cluster.endpoints == [A]
    cluster.clock.advance(0.1)
    assert cluster.asked[0].cancelled
    assert cluster.endpoints == [A, B]
    response = cluster.last.begin(200)
    cluster.clock.advance(3)
    assert response.dropped
    response.end(ConnectionLost())
    assert cluster.endpoints == [A, B, C]
    cluster.last.answer(200, event("get"))
    assert result(read).endpoint == C
    assert not cluster.clock.getDelayedCalls()


def test_the_time_is_for_head_and_body_together(cluster):
    client = cluster.client(limits=Limits(request_seconds=3))
    client.get("/k")
    cluster.clock.advance(2)
    response = cluster.last.begin(200)
    cluster.clock.advance(1)
    assert response.dropped


def test_an_endless_answer_is_dropped(cluster):
    client = cluster.client(A, B, limits=Limits(body_bytes_max=10))
    for ask in (lambda: client.set("/k", "v"), lambda: client.get("/k")):
        asked = ask()
        response = cluster.last.begin(200)
        response.piece(b"x" * 10)
        assert waiting(asked)
        response.piece(b"x")
        assert response.dropped
        # No other member's would be shorter.
        with pytest.raises(BadAnswer, match="more than 10 bytes"):
            result(asked)


def test_an_answer_of_something_else_is_not_believed(cluster):
    for document in (b"<html>", b"[]", b'{"action": 1}', b"[" * 100_000):
        read = cluster.client().get("/k")
        cluster.last.answer(200, document)
        with pytest.raises(BadAnswer):
            result(read)


def test_who_cancels_stops_the_request_and_no_other_one_begins(cluster):
    read = cluster.client().get("/k")
    read.cancel()
    with pytest.raises(CancelledError):
        result(read)
    assert cluster.last.cancelled
    assert cluster.endpoints == [A]
    read = cluster.client().get("/k")
    response = cluster.last.begin(200)
    read.cancel()
    with pytest.raises(CancelledError):
        result(read)
    assert response.dropped
    response.end(ConnectionLost())


def test_a_handshake_that_failed_sent_nothing(cluster):
    written = cluster.client("https://a", "https://b").set("/k", "v")
    reason = [("SSL routines", "", "certificate verify failed")]
    rejected = ResponseNeverReceived([Failure(OpenSslError(reason))])
    cluster.last.outcome.errback(rejected)
    cluster.last.outcome.errback(rejected)
    with pytest.raises(NoAnswer, match="TLS: certificate verify failed"):
        result(written)
    assert cluster.endpoints == ["https://a:443", "https://b:443"]


def test_a_connection_that_broke_inside_tls_may_have_sent_it(cluster):
    for args in (([("", "", "bad record mac")],), (), (-1, "Unexpected EOF")):
        written = cluster.client().set("/k", "v")
        failure = Failure(OpenSslError(*args))
        cluster.last.outcome.errback(ResponseNeverReceived([failure]))
        with pytest.raises(Unknown, match="TLS"):
            result(written)


def test_requests_under_way_have_a_limit(cluster):
    client = cluster.client(limits=Limits(pending_max=2))
    first = client.get("/a")
    client.get("/b")
    with pytest.raises(TooMany):
        result(client.get("/c"))
    cluster.asked[0].answer(200, event("get"))
    result(first)
    assert waiting(client.get("/c"))


def test_a_closed_client_asks_nobody(cluster):
    client = cluster.client()
    read = client.get("/k")
    result(client.close())
    cluster.last.refuse()
    for each in (read, client.set("/k", "v"), client.members.list()):
        with pytest.raises(Closed):
            result(each)
    assert cluster.endpoints == [A]


def test_each_try_can_be_observed(cluster):
    seen = []

    def observe(endpoint, request):
        seen.append((endpoint, request.method, request.target, request.body))

    cluster.client(observe=observe).set("/k", "v")
    cluster.last.refuse()
    tried = ("PUT", "/v2/keys/k", b"value=v")
    assert seen == [(A, *tried), (B, *tried)]
