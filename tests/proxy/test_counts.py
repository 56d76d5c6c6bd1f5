"""What a proxy counts, by etcd's names."""

from __future__ import annotations

from kvd.proxy.counts import Counts, Dropped
from kvd.proxy.upstream import Lost, Unreached


def test_what_a_member_answered_is_handled(house):
    for status in (200, 404, 404):
        house.send("GET /v2/keys/a")
        house.clock.advance(0.3)
        house.upstream.last.answer(status, b"", length=0)
    assert house.counts.requests == {"GET": 3}
    assert house.counts.handled == {("GET", 200): 1, ("GET", 404): 2}
    assert house.counts.dropped == {}
    taken = house.counts.taken_seconds["GET"]
    assert sum(taken.counts) == 3
    assert 0.89 < taken.total < 0.91


def test_the_time_of_a_watch_says_nothing(house):
    house.send("GET /v2/keys/a?wait=true")
    house.upstream.last.answer()
    assert house.counts.handled == {("GET", 200): 1}
    assert house.counts.taken_seconds == {}


def test_each_attempt_that_failed_is_told_and_what_got_no_answer(house):
    house.send("PUT /v2/keys/a")
    house.upstream.last.fail(Unreached("refused"))
    house.upstream.last.fail(Lost("reset"))
    assert house.counts.dropped == {
        ("PUT", Dropped.NOT_SENT): 2,
        ("PUT", Dropped.NO_ANSWER): 1,
    }
    house.send("GET /v2/keys/a")
    house.upstream.last.fail(Lost("reset"))
    assert house.counts.dropped[("GET", Dropped.NOT_SENT)] == 1
    assert house.counts.dropped[("GET", Dropped.NO_ANSWER)] == 1
    house.ask("DELETE /v2/keys/a")
    assert house.counts.dropped[("DELETE", Dropped.NOBODY)] == 1
    assert house.counts.requests == {"PUT": 1, "GET": 1, "DELETE": 1}
    assert house.counts.handled == {}


def test_a_body_that_cannot_be_taken_is_told(make_house):
    house = make_house("http://m:1", request_bytes_max=1024, outbox_bytes_max=1024)
    house.ask("PUT /a", b"a" * 1025)
    house.send("PUT /a", b"a" * 1000)
    house.ask("POST /a", b"a" * 1000)
    assert house.counts.dropped == {
        ("PUT", Dropped.NO_BODY): 1,
        ("POST", Dropped.NO_BODY): 1,
    }


def test_methods_that_clients_invent_are_one():
    counts = Counts()
    for number in range(1000):
        method = f"M{number}"
        counts.came(method)
        counts.answered(method, 405)
        counts.took(method, 1.0)
        counts.drop(method, Dropped.NOT_SENT)
    assert counts.requests == {"other": 1000}
    assert counts.handled == {("other", 405): 1000}
    assert list(counts.taken_seconds) == ["other"]
    assert counts.dropped == {("other", Dropped.NOT_SENT): 1000}
