"""A watch: each event once, whatever becomes of members and connections."""

import json

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost

from kvd.client import (
    BadAnswer,
    Closed,
    Event,
    Limits,
    Relisted,
    TooMany,
    Unauthorized,
)
from tests.client.cluster import A, B, event, refusal, result, waiting


def polls(cluster):
    return [each.target for each in cluster.asked]


def test_a_watch_asks_for_what_follows_the_last_event(cluster):
    watch = cluster.client().watch("/k", recursive=True, after_index=4)
    first = watch.next()
    cluster.last.answer(200, event(index=7))
    assert result(first).index == 7
    assert watch.index == 7
    second = watch.next()
    assert waiting(second)
    assert polls(cluster) == [
        "/v2/keys/k?wait=true&waitIndex=5&recursive=true",
        "/v2/keys/k?wait=true&waitIndex=8&recursive=true",
    ]


def test_a_watch_without_an_index_begins_with_what_is_there_now(cluster):
    watch = cluster.client().watch("/k")
    started = watch.start()
    cluster.last.answer(200, event("get"), Etcd_Index=30)
    assert result(started) == 30
    watch.next()
    assert cluster.last.target == "/v2/keys/k?wait=true&waitIndex=31"
    absent = cluster.client().watch("/none").start()
    cluster.last.answer(404, refusal(100, index=12))
    assert result(absent) == 12


@pytest.mark.parametrize("trouble", ["refuse", "break_off", "fails", "empty", "half"])
def test_a_watch_resumes_after_trouble_with_the_same_index(cluster, trouble):
    watch = cluster.client(A, B).watch("/k", after_index=4)
    change = watch.next()
    if trouble == "fails":
        cluster.last.answer(500, b"no")
    elif trouble == "empty":
        cluster.last.answer(200, b"")
    elif trouble == "half":
        response = cluster.last.begin(200)
        response.piece(b'{"action"')
        response.end(ConnectionLost())
    else:
        getattr(cluster.last, trouble)()
    assert len(cluster.asked) == 1
    cluster.clock.advance(0.05)
    assert polls(cluster) == ["/v2/keys/k?wait=true&waitIndex=5"] * 2
    assert cluster.last.endpoint == (A if trouble == "empty" else B)
    cluster.last.answer(200, event(index=5))
    assert result(change).index == 5


def test_tries_become_rarer_and_never_cease(cluster):
    watch = cluster.client(A).watch("/k", after_index=4)
    change = watch.next()
    for seconds in (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0):
        cluster.last.refuse()
        asked = len(cluster.asked)
        cluster.clock.advance(seconds - 0.01)
        assert len(cluster.asked) == asked
        cluster.clock.advance(0.01)
        assert len(cluster.asked) == asked + 1
    cluster.last.answer(200, event(index=5))
    assert result(change).index == 5
    watch.next()
    cluster.last.refuse()
    cluster.clock.advance(0.05)
    assert cluster.last.target == "/v2/keys/k?wait=true&waitIndex=6"


def test_nothing_is_delivered_twice(cluster):
    watch = cluster.client(A).watch("/k", after_index=7)
    change = watch.next()
    cluster.last.answer(200, event(index=7))
    assert waiting(change)
    cluster.clock.advance(0.05)
    cluster.last.answer(200, event(index=8))
    assert result(change).index == 8


def test_lost_history_is_said_and_what_is_there_is_shown(cluster):
    watch = cluster.client().watch("/d", recursive=True, after_index=4)
    change = watch.next()
    cluster.last.answer(400, refusal(401, "outdated", "[900/5]", 1900))
    assert cluster.last.target == "/v2/keys/d?quorum=true&recursive=true&sorted=true"
    cluster.last.break_off()
    inner = {"key": "/d/a", "value": "1", "modifiedIndex": 1800}
    listed = {"key": "/d", "dir": True, "nodes": [inner]}
    cluster.last.answer(200, {"action": "get", "node": listed}, Etcd_Index=1901)
    relisted = result(change)
    assert isinstance(relisted, Relisted)
    assert relisted.index == 1901
    assert relisted.unwatched_seconds is None
    assert [each.value for each in relisted.node.walk()] == ["1"]
    watch.next()
    assert "waitIndex=1902" in cluster.last.target


def test_lost_history_of_a_key_that_is_gone(cluster):
    watch = cluster.client().watch("/k", after_index=4)
    change = watch.next()
    cluster.last.answer(400, refusal(401, index=1900))
    cluster.last.answer(404, refusal(100, index=1950))
    assert result(change) == Relisted(None, 1950)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("/d", True),
        ("/d/a", True),
        ("/d/a/b", True),
        ("/d/_h", False),
        ("/d/a/_h/b", False),
        ("/", True),
        ("/_x", False),
        ("/dx", False),
        ("/d/\ufffd", True),
    ],
)
def test_history_tells_no_more_than_a_live_watch(cluster, key, told):
    watch = cluster.client().watch("/d/", recursive=True, after_index=4)
    change = watch.next()
    cluster.last.answer(200, event("delete", key, index=5))
    assert change.called == told
    if not told:
        assert "waitIndex=6" in cluster.last.target


def test_a_hidden_key_that_is_watched_itself_is_told_of(cluster):
    watch = cluster.client().watch("/_h/x", after_index=4)
    change = watch.next()
    cluster.last.answer(200, event("set", "/_h/x", index=5))
    assert result(change).index == 5


def test_a_silent_member_is_asked_whether_it_is_there(cluster):
    client = cluster.client(A, B, limits=Limits(silent_seconds=30))
    change = client.watch("/k", after_index=4).next()
    poll = cluster.last
    poll.begin(200)
    cluster.clock.advance(30)
    assert (cluster.last.endpoint, cluster.last.target) == (A, "/health")
    cluster.last.answer(200, {})
    cluster.clock.advance(30)
    assert cluster.last.target == "/health"
    cluster.last.break_off()
    cluster.clock.advance(0.05)
    assert cluster.last.endpoint == B
    assert cluster.last.target == "/v2/keys/k?wait=true&waitIndex=5"
    assert waiting(change)
    cluster.last.answer(200, event(index=5))
    assert result(change).index == 5
    assert not cluster.clock.getDelayedCalls()


def test_a_busy_client_asks_a_silent_member_later(cluster):
    """One question that could not be asked is not the last one."""
    client = cluster.client(A, limits=Limits(silent_seconds=30, pending_max=1))
    client.watch("/k", after_index=4).next()
    cluster.last.begin(200)
    cluster.clock.advance(25)
    writing = client.set("/other", "v")
    cluster.clock.advance(5)
    assert cluster.last.target == "/v2/keys/other"
    cluster.last.answer(200, event())
    assert result(writing)
    cluster.clock.advance(30)
    assert cluster.last.target == "/health"


def test_a_member_without_a_quorum_is_left(cluster):
    client = cluster.client(A, B, limits=Limits(silent_seconds=30))
    change = client.watch("/k", after_index=4).next()
    cluster.last.begin(200)
    cluster.clock.advance(30)
    assert (cluster.last.endpoint, cluster.last.target) == (A, "/health")
    cluster.last.answer(503, {"health": "false"})
    cluster.clock.advance(0.05)
    assert cluster.last.endpoint == B
    cluster.last.answer(200, event(index=5))
    assert result(change).index == 5
    assert client.endpoints == (B, A)


def test_a_silent_watch_is_asked_anew_now_and_then(cluster):
    """The other end of its connection may have forgotten it."""
    client = cluster.client(A, limits=Limits(silent_seconds=30))
    change = client.watch("/k", after_index=4).next()
    poll = cluster.last
    response = poll.begin(200)
    for _ in range(10):
        assert not response.dropped
        cluster.clock.advance(30)
        assert cluster.last.target == "/health"
        cluster.last.answer(200, {"health": "true"})
    assert response.dropped
    response.end(ConnectionLost())
    cluster.clock.advance(0.05)
    assert cluster.last.target == poll.target
    cluster.last.answer(200, event(index=5))
    assert result(change).index == 5
    assert not cluster.clock.getDelayedCalls()


def test_a_watch_says_as_of_when_nothing_is_missing(cluster):
    """An event out of history does not: there may be more of them."""
    clock = cluster.clock
    client = cluster.client(A, limits=Limits(silent_seconds=30))
    watch = client.watch("/k", after_index=4)
    assert watch.current_seconds is None
    watch.next()
    cluster.last.answer(200, event(index=7), Etcd_Index=8)
    assert watch.current_seconds is None
    clock.advance(7)
    watch.next()
    response = cluster.last.begin(200, Etcd_Index=8)
    clock.advance(2)
    response.piece(json.dumps(event(index=9)).encode())
    response.end()
    # Nobody knows how far this member lags behind the others.
    assert watch.current_seconds is None
    change = watch.next()
    cluster.last.begin(200, Etcd_Index=9)
    clock.advance(30)
    clock.advance(1)
    cluster.last.answer(200, {"health": "true"})
    assert watch.current_seconds == 39
    clock.advance(30)
    cluster.last.answer(404, b"")  # it lives, and knows no more about it
    assert watch.current_seconds == 39
    clock.advance(30)
    cluster.last.break_off()
    clock.advance(0.05)
    cluster.last.answer(400, refusal(401, index=1900))
    asked_seconds = clock.seconds()
    clock.advance(1)
    cluster.last.answer(404, refusal(100, index=1950))
    assert watch.current_seconds == asked_seconds
    assert result(change).unwatched_seconds == asked_seconds + 1 - 39


def test_a_busy_watch_looks_now_and_then_whether_its_member_lags_behind(cluster):
    """What it was told after that is all that had happened until then."""
    clock = cluster.clock
    client = cluster.client(A, limits=Limits(silent_seconds=30))
    watch = client.watch("/k", after_index=0)
    looks = 0
    for index in range(1, 100):
        change = watch.next()
        if cluster.last.target == "/health":
            looks += 1
            cluster.last.answer(200, {"health": "true"})
        clock.advance(4)
        cluster.last.answer(200, event(index=index), Etcd_Index=index - 1)
        assert result(change).index == index
        if index > 6:
            assert clock.seconds() - watch.current_seconds <= 30
    assert looks in range(20, 30)


def test_a_busy_watch_leaves_a_member_that_lags_behind(cluster):
    client = cluster.client(A, B, limits=Limits(silent_seconds=10))
    watch = client.watch("/k", after_index=4)
    watch.next()
    cluster.clock.advance(6)
    cluster.last.answer(200, event(index=5))
    change = watch.next()
    assert (cluster.last.endpoint, cluster.last.target) == (A, "/health")
    cluster.last.answer(503, {"health": "false"})
    cluster.clock.advance(0.05)
    assert cluster.last.endpoint == B
    assert cluster.last.target == "/v2/keys/k?wait=true&waitIndex=6"
    assert waiting(change)


def test_who_may_not_watch_is_told_so(cluster):
    change = cluster.client().watch("/k", after_index=4).next()
    cluster.last.answer(401, refusal(110, index=0))
    with pytest.raises(Unauthorized):
        result(change)
    change = cluster.client().watch("/k", after_index=4).next()
    cluster.last.answer(200, b"<html>")
    with pytest.raises(BadAnswer):
        result(change)


def test_a_loop_over_a_watch_ends_when_it_is_closed(cluster):
    watch = cluster.client().watch("/k", after_index=4)
    heard = []

    async def listen():
        async for change in watch:
            heard.append(change.index)
        return "ended"

    listening = Deferred.fromCoroutine(listen())
    cluster.last.answer(200, event(index=5))
    cluster.last.answer(200, event(index=9))
    watch.close()
    assert result(listening) == "ended"
    assert heard == [5, 9]
    assert cluster.last.cancelled
    assert not cluster.clock.getDelayedCalls()
    with pytest.raises(Closed):
        result(watch.next())


@pytest.mark.parametrize("when", ["asked", "failed"])
def test_a_watch_that_is_closed_before_it_began_asks_no_more(cluster, when):
    watch = cluster.client(A).watch("/k")
    starting = watch.start()
    if when == "failed":
        cluster.last.refuse()
    watch.close()
    with pytest.raises(Closed):
        result(starting)
    assert cluster.last.cancelled is (when == "asked")
    assert not cluster.clock.getDelayedCalls()
    with pytest.raises(Closed):
        result(watch.start())
    assert len(cluster.asked) == 1


def test_a_watch_that_begins_with_what_one_member_knows_may_miss_more(cluster):
    watch = cluster.client().watch("/k")
    watch.start()
    cluster.last.answer(200, event("get"), Etcd_Index=30)
    assert watch.current_seconds is None


def test_a_watch_ends_with_its_client(cluster):
    client = cluster.client()
    change = client.watch("/k", after_index=4).next()
    later = client.watch("/k", after_index=4).next()
    cluster.last.refuse()
    client.close()
    with pytest.raises(Closed):
        result(change)
    cluster.clock.advance(0.05)
    with pytest.raises(Closed):
        result(later)


def test_who_stops_waiting_misses_nothing(cluster):
    watch = cluster.client().watch("/k", after_index=4)
    change = watch.next()
    change.cancel()
    with pytest.raises(CancelledError):
        result(change)
    assert watch.index == 4
    change = watch.next()
    assert "waitIndex=5" in cluster.last.target
    with pytest.raises(RuntimeError):
        watch.next()


def test_watches_that_wait_have_a_limit(cluster):
    client = cluster.client(limits=Limits(watches_max=1))
    client.watch("/a", after_index=4).next()
    with pytest.raises(TooMany):
        result(client.watch("/b", after_index=4).next())


def test_a_callback_is_called_for_each_change_and_waited_for(cluster):
    watch = cluster.client().watch("/k", after_index=4)
    heard, busy = [], Deferred()

    def hear(change):
        heard.append(change)
        return busy if len(heard) == 2 else None

    over = watch.each(hear)
    cluster.last.answer(200, event(index=5))
    cluster.last.answer(200, event(index=6))
    assert len(cluster.asked) == 2
    busy.callback(None)
    assert len(cluster.asked) == 3
    assert all(isinstance(each, Event) for each in heard)
    watch.close()
    assert result(over) is None


def test_an_error_of_the_callback_ends_the_watch(cluster):
    watch = cluster.client().watch("/k", after_index=4)

    def hear(change):
        raise LookupError(change.index)

    over = watch.each(hear)
    cluster.last.answer(200, event(index=5))
    with pytest.raises(LookupError):
        result(over)
