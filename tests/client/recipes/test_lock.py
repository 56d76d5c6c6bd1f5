"""A lock: whose turn it is, and how its holder knows that it is no longer."""

import gc
import weakref
from urllib.parse import parse_qs

import pytest
from twisted.internet.defer import CancelledError, Deferred

from kvd.client import Limits, Unauthorized
from kvd.client.recipes import Lock
from tests.client.cluster import A, B, Cluster, event, refusal, result, waiting

TTL = 30


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def lock(cluster):
    names = iter(["u1", "u2", "u3"])
    client = cluster.client(A, limits=Limits(silent_seconds=1e6))
    return Lock(client, "/lock", ttl=TTL, unique=lambda: next(names))


def key(index, value="other", **more):
    return {
        "key": f"/lock/{index}",
        "value": value,
        "createdIndex": index,
        "modifiedIndex": index,
        **more,
    }


def created(cluster, index, value="u1"):
    assert (cluster.last.method, cluster.last.target) == ("POST", "/v2/keys/lock")
    assert parse_qs(cluster.last.body.decode()) == {"value": [value], "ttl": ["30"]}
    cluster.last.answer(201, {"action": "create", "node": key(index, value)})


def listed(cluster, *nodes, index=50):
    assert cluster.last.target == "/v2/keys/lock?quorum=true"
    node = {"key": "/lock", "dir": True, "nodes": list(nodes)}
    cluster.last.answer(200, {"action": "get", "node": node}, Etcd_Index=index)


def acquired(cluster, lock, index=7):
    acquiring = lock.acquire()
    created(cluster, index)
    listed(cluster, key(index, "u1"))
    return result(acquiring)


def refreshed(cluster, index=20):
    assert b"refresh=true" in cluster.last.body
    assert b"prevValue=u1" in cluster.last.body
    cluster.last.answer(200, event("compareAndSwap", index=index))


def prev_index(asked):
    return int(parse_qs(asked.body.decode())["prevIndex"][0])


def looked(cluster, node):
    """Whose key it is."""
    assert cluster.last.target == "/v2/keys/lock/7?quorum=true"
    cluster.last.answer(200, {"action": "get", "node": node})


def test_the_oldest_key_holds_and_its_index_is_the_token(cluster, lock):
    held = acquired(cluster, lock, 7)
    assert held.is_held
    assert held.token == 7


def test_who_is_not_first_waits_for_the_one_just_before(cluster, lock):
    acquiring = lock.acquire()
    created(cluster, 7)
    directory = key(2, dir=True)
    listed(cluster, key(9), key(3), key(7, "u1"), key(5), directory, index=50)
    assert cluster.last.target == "/v2/keys/lock/5?wait=true&waitIndex=51"
    cluster.last.answer(200, event("delete", "/lock/5", index=60))
    listed(cluster, key(3), key(7, "u1"), index=60)
    assert cluster.last.target == "/v2/keys/lock/3?wait=true&waitIndex=61"
    cluster.last.answer(200, event("expire", "/lock/3", index=61))
    assert waiting(acquiring)
    listed(cluster, key(7, "u1"), key(9))
    assert result(acquiring).token == 7


def test_a_creation_whose_answer_was_lost_is_found(cluster, lock):
    acquiring = lock.acquire()
    cluster.last.break_off()
    listed(cluster, key(6), key(7, "u1"))
    listed(cluster, key(7, "u1"))
    assert result(acquiring).token == 7


def test_a_creation_that_cannot_be_found_is_made_again_under_another_name(
    cluster, lock
):
    acquiring = lock.acquire()
    cluster.last.break_off()
    listed(cluster, key(6))
    listed(cluster, key(6))
    cluster.clock.advance(0.2)
    created(cluster, 9, "u2")
    listed(cluster, key(8, "u1"), key(9, "u2"))
    assert cluster.last.target.startswith("/v2/keys/lock/8?wait")
    assert waiting(acquiring)


def test_when_nobody_answers_it_is_tried_again(cluster, lock):
    acquiring = lock.acquire()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    created(cluster, 9, "u2")
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    listed(cluster, key(9, "u2"))
    assert result(acquiring).token == 9


def test_it_is_kept_alive(cluster, lock):
    held = acquired(cluster, lock)
    lost = held.when_lost()
    for _ in range(10):
        cluster.clock.advance(10)
        refreshed(cluster)
    assert held.is_held
    assert waiting(lost)


def test_it_is_kept_alive_while_it_waits(cluster, lock):
    lock.acquire()
    created(cluster, 7)
    listed(cluster, key(5), key(7, "u1"))
    cluster.clock.advance(10)
    refreshed(cluster)


def test_a_refresh_that_fails_is_tried_again_soon(cluster, lock):
    held = acquired(cluster, lock)
    cluster.clock.advance(10)
    cluster.last.answer(500, b"no")
    cluster.clock.advance(0.2)
    refreshed(cluster)
    cluster.clock.advance(10)
    refreshed(cluster)
    assert held.is_held


def test_a_member_that_hangs_does_not_cost_a_key_that_lives_twice_as_long(cluster):
    limits = Limits(silent_seconds=1e6, request_seconds=TTL / 2)
    client = cluster.client(A, B, limits=limits)
    held = acquired(cluster, Lock(client, "/lock", ttl=TTL, unique=lambda: "u1"))
    cluster.clock.advance(TTL / 3)
    assert cluster.last.endpoint == A
    cluster.clock.advance(TTL / 2)
    cluster.clock.advance(0.2)
    assert cluster.last.endpoint == B
    refreshed(cluster)
    cluster.clock.advance(TTL / 3)
    assert held.is_held


def test_the_holder_is_told_before_the_key_can_be_gone(cluster, lock):
    """What counts is when the last refresh that succeeded was sent, less the margin."""
    held = acquired(cluster, lock)
    cluster.clock.advance(10)
    cluster.clock.advance(5)
    refreshed(cluster)  # sent at 10, answered at 15
    lost = held.when_lost()
    cluster.clock.advance(21.9)
    assert held.is_held
    cluster.clock.advance(0.1)
    assert not held.is_held
    assert result(lost) == "it could not be kept alive"
    assert result(held.when_lost()) == "it could not be kept alive"
    assert not [each for each in cluster.clock.getDelayedCalls() if each.active()]


@pytest.mark.parametrize("look", [lambda held: held.is_held, lambda held: None])
def test_one_that_slept_knows_before_its_timers_are_run(cluster, lock, look):
    held = acquired(cluster, lock)
    lost = held.when_lost()
    cluster.clock.rightNow += 27
    assert not look(held)
    held.release()
    assert result(lost) == "it could not be kept alive"
    assert result(held.when_lost()) == "it could not be kept alive"


def test_one_that_slept_until_it_was_its_turn_enters_again(cluster, lock):
    acquiring = lock.acquire()
    created(cluster, 7)
    cluster.clock.rightNow += 27
    listed(cluster, key(7, "u1"))
    assert cluster.last.method == "DELETE"
    cluster.last.answer(404, refusal(100))
    cluster.clock.advance(0.2)
    created(cluster, 9, "u2")
    listed(cluster, key(9, "u2"))
    assert result(acquiring).token == 9


@pytest.mark.parametrize("code", [100, 102])
def test_the_holder_is_told_when_its_key_is_gone(cluster, lock, code):
    held = acquired(cluster, lock)
    lost = held.when_lost()
    cluster.clock.advance(10)
    cluster.last.answer(404, refusal(code))
    assert result(lost) == "its key is gone"
    assert not cluster.clock.getDelayedCalls()


def test_the_holder_is_told_when_its_key_is_somebody_elses(cluster, lock):
    held = acquired(cluster, lock)
    lost = held.when_lost()
    cluster.clock.advance(10)
    cluster.last.answer(412, refusal(101))
    assert waiting(lost)
    looked(cluster, key(7, "other", modifiedIndex=20))
    assert result(lost) == "its key is gone"
    assert not cluster.clock.getDelayedCalls()


def test_a_refresh_whose_answer_was_lost_does_not_come_after_a_later_one(cluster, lock):
    """It would end the key's time sooner than the holder relies on."""
    held = acquired(cluster, lock)
    cluster.clock.advance(10)
    lost = cluster.last
    lost.break_off()
    cluster.clock.advance(0.2)
    assert prev_index(lost) == prev_index(cluster.last) == 7
    refreshed(cluster, index=21)  # so the first one cannot be made any more
    cluster.clock.advance(10)
    assert prev_index(cluster.last) == 21
    assert held.is_held


def test_a_refresh_whose_answer_was_lost_and_that_was_made_is_followed(cluster, lock):
    held = acquired(cluster, lock)
    lost = held.when_lost()
    cluster.clock.advance(10)
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    cluster.last.answer(412, refusal(101))
    looked(cluster, key(7, "u1", modifiedIndex=20))
    cluster.clock.advance(0)
    assert prev_index(cluster.last) == 20
    refreshed(cluster, index=21)
    cluster.clock.advance(10)
    assert prev_index(cluster.last) == 21
    assert waiting(lost)


def test_who_cannot_see_whose_key_it_is_tries_again_until_it_runs_out(cluster, lock):
    held = acquired(cluster, lock)
    lost = held.when_lost()
    cluster.clock.advance(10)
    while not lost.called:
        cluster.last.answer(412, refusal(101))
        cluster.last.refuse()
        cluster.clock.advance(0.2)
    assert 26 < cluster.clock.seconds() <= 27.2
    assert not held.is_held


def test_who_is_lost_while_waiting_enters_again(cluster, lock):
    acquiring = lock.acquire()
    created(cluster, 7)
    listed(cluster, key(5), key(7, "u1"))
    cluster.clock.advance(10)
    cluster.last.answer(404, refusal(100))
    assert (cluster.last.method, cluster.last.target) == (
        "DELETE",
        "/v2/keys/lock/7?prevValue=u1",
    )
    cluster.last.answer(404, refusal(100))
    cluster.clock.advance(0.2)
    created(cluster, 9, "u2")
    listed(cluster, key(9, "u2"))
    assert result(acquiring).token == 9


def test_a_release_is_repeated_until_its_outcome_is_known(cluster, lock):
    held = acquired(cluster, lock)
    lost = held.when_lost()
    released = held.release()
    assert not held.is_held
    assert result(lost) == "it was released"
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    assert cluster.last.target == "/v2/keys/lock/7?prevValue=u1"
    cluster.last.answer(404, refusal(100))
    assert result(released) is None
    assert not cluster.clock.getDelayedCalls()


def test_a_release_goes_on_though_nobody_waits_for_it_any_more(cluster, lock):
    released = acquired(cluster, lock).release()
    released.cancel()
    with pytest.raises(CancelledError):
        result(released)
    assert not cluster.last.cancelled
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    assert cluster.last.target == "/v2/keys/lock/7?prevValue=u1"
    cluster.last.answer(200, event("compareAndDelete"))
    assert not cluster.clock.getDelayedCalls()


def test_a_release_ends_when_the_key_has_run_out_by_itself(cluster, lock):
    released = acquired(cluster, lock).release()
    start = cluster.clock.seconds()
    while not released.called:
        assert cluster.clock.seconds() < start + TTL + 1
        cluster.last.refuse()
        cluster.clock.advance(0.2)
    assert cluster.clock.seconds() > start + TTL - 1
    assert result(released) is None


def test_a_release_waits_for_a_refresh_that_may_have_been_made(cluster, lock):
    """The key outlives the last refresh that succeeded, then."""
    held = acquired(cluster, lock)
    cluster.clock.advance(10)
    cluster.last.break_off()
    released = held.release()
    while not released.called:
        assert cluster.clock.seconds() < 10 + TTL + 1
        cluster.last.refuse()
        cluster.clock.advance(0.2)
    assert cluster.clock.seconds() > 10 + TTL - 1


def test_a_release_waits_for_a_refresh_that_is_under_way(cluster, lock):
    held = acquired(cluster, lock)
    cluster.clock.advance(10)
    cluster.clock.advance(5)
    released = held.release()
    while not released.called:
        assert cluster.clock.seconds() < 15 + TTL + 1
        cluster.last.refuse()
        cluster.clock.advance(0.2)
    assert cluster.clock.seconds() > 15 + TTL - 1


def test_a_client_that_has_much_to_do_releases_later(cluster):
    client = cluster.client(A, limits=Limits(silent_seconds=1e6, pending_max=1))
    held = acquired(cluster, Lock(client, "/lock", ttl=TTL, unique=lambda: "u1"))
    client.set("/other", "v").addErrback(lambda _: None)
    writing = cluster.last
    released = held.release()
    assert cluster.last is writing
    assert waiting(released)
    writing.answer(200, event())
    cluster.clock.advance(0.2)
    assert (cluster.last.method, cluster.last.target[:14]) == (
        "DELETE",
        "/v2/keys/lock/",
    )
    cluster.last.answer(200, event("compareAndDelete"))
    assert result(released) is None


def test_who_stops_while_nobody_answers_looks_no_longer_than_a_key_lives(cluster, lock):
    acquiring = lock.acquire()
    acquiring.addErrback(lambda _: None).cancel()
    while cluster.clock.getDelayedCalls():
        assert cluster.clock.seconds() < TTL + 1
        cluster.last.refuse()
        cluster.clock.advance(0.2)
    assert cluster.clock.seconds() > TTL - 1


def test_who_no_longer_wants_to_know_is_not_remembered(cluster, lock):
    held = acquired(cluster, lock)
    first, second = held.when_lost(), held.when_lost()
    first.addCallback(lambda _: second.cancel())
    second.addErrback(lambda _: None)
    asked = []
    for _ in range(3):
        heard = held.when_lost()
        heard.addErrback(lambda _: None).cancel()
        asked.append(weakref.ref(heard))
    del heard
    gc.collect()
    assert [each() for each in asked] == [None] * 3
    held.release()
    assert second.called


def test_who_stops_waiting_gives_the_place_up(cluster, lock):
    acquiring = lock.acquire()
    created(cluster, 7)
    listed(cluster, key(5), key(7, "u1"))
    acquiring.cancel()
    with pytest.raises(CancelledError):
        result(acquiring)
    assert cluster.last.method == "DELETE"
    cluster.last.answer(200, event("compareAndDelete"))
    assert not cluster.clock.getDelayedCalls()


def test_who_stops_while_the_key_is_being_made_looks_for_it(cluster, lock):
    acquiring = lock.acquire()
    acquiring.cancel()
    with pytest.raises(CancelledError):
        result(acquiring)
    listed(cluster, key(7, "u1"))
    assert cluster.last.target == "/v2/keys/lock/7?prevValue=u1"
    cluster.last.answer(200, event("compareAndDelete"))


def test_who_may_not_is_told_so(cluster, lock):
    acquiring = lock.acquire()
    cluster.last.answer(401, refusal(110))
    cluster.last.answer(401, refusal(110))
    with pytest.raises(Unauthorized):
        result(acquiring)


def test_a_block_holds_it_and_releases_it_whatever_happens(cluster, lock):
    inside = Deferred()

    async def work():
        async with lock as held:
            assert held.token == 7
            await inside

    working = Deferred.fromCoroutine(work())
    created(cluster, 7)
    listed(cluster, key(7, "u1"))
    inside.errback(LookupError())
    assert cluster.last.method == "DELETE"
    cluster.last.answer(200, event("compareAndDelete"))
    with pytest.raises(LookupError):
        result(working)


def test_times_that_leave_nothing_to_hold_are_refused(cluster):
    for times in ({"ttl": 0}, {"ttl": 10, "margin_seconds": 6}, {"margin_seconds": -1}):
        with pytest.raises(ValueError, match="ttl"):
            Lock(cluster.client(), "/lock", **times)


def test_a_lock_whose_directory_is_gone_is_entered_again(cluster, lock):
    acquiring = lock.acquire()
    created(cluster, 7)
    cluster.last.answer(404, refusal(100))
    cluster.last.answer(404, refusal(100))
    cluster.clock.advance(0.2)
    created(cluster, 9, "u2")
    listed(cluster, key(9, "u2"))
    assert result(acquiring).token == 9


def test_a_key_that_may_have_been_created_is_looked_for_until_somebody_answers(
    cluster, lock
):
    acquiring = lock.acquire()
    cluster.last.break_off()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    listed(cluster, key(7, "u1"))
    listed(cluster, key(7, "u1"))
    assert result(acquiring).token == 7
