"""A barrier: who waits does not pass before it is released, and passes then."""

from urllib.parse import parse_qs

import pytest
from twisted.internet.defer import CancelledError

from kvd.client.recipes import Barrier
from tests.client.cluster import A, Cluster, event, refusal, result, waiting


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def barrier(cluster):
    names = (f"u{number}" for number in range(1, 100))
    return Barrier(cluster.client(A), "/gate", unique=lambda: next(names))


def read(cluster, value, index=7, etcd_index=50):
    assert cluster.last.target == "/v2/keys/gate?quorum=true"
    if value is None:
        cluster.last.answer(404, refusal(100, index=etcd_index))
        return
    node = {"key": "/gate", "value": value, "createdIndex": 3, "modifiedIndex": index}
    document = {"action": "get", "node": node}
    cluster.last.answer(200, document, Etcd_Index=etcd_index)


def asked(cluster):
    assert (cluster.last.method, cluster.last.target) == ("PUT", "/v2/keys/gate")
    return {
        name: value for name, [value] in parse_qs(cluster.last.body.decode()).items()
    }


def swapped(cluster, value, prev_index):
    assert asked(cluster) == {"value": value, "prevIndex": str(prev_index)}
    cluster.last.answer(200, event("compareAndSwap", "/gate", value, 60))


def test_a_barrier_that_is_not_there_is_open(cluster, barrier):
    passing = barrier.wait()
    read(cluster, None)
    assert result(passing) is None
    asking = barrier.is_blocked()
    read(cluster, None)
    assert result(asking) is False


def test_it_is_blocked_for_the_first_time(cluster, barrier):
    blocking = barrier.block()
    read(cluster, None)
    assert asked(cluster) == {"value": "blocked u1", "prevExist": "false"}
    cluster.last.answer(201, event("create", "/gate", "blocked u1"))
    assert result(blocking) is None
    asking = barrier.is_blocked()
    read(cluster, "blocked u1")
    assert result(asking) is True


def test_it_is_released_and_blocked_again_in_the_same_key(cluster, barrier):
    releasing = barrier.release()
    read(cluster, "blocked x", index=9)
    swapped(cluster, "open u1", 9)
    assert result(releasing) is None
    blocking = barrier.block()
    read(cluster, "open u1", index=60)
    swapped(cluster, "blocked u2", 60)
    assert result(blocking) is None


@pytest.mark.parametrize(
    ("found", "compared"),
    [("open x", {"prevIndex": "9"}), (None, {"prevExist": "false"})],
)
def test_a_block_that_was_lost_on_its_way_cannot_come_after_a_release(
    cluster, barrier, found, compared
):
    """So the release writes, too, although the barrier is open already."""
    blocking = barrier.block()
    read(cluster, found, index=9)
    late = asked(cluster)
    blocking.addErrback(lambda _: None).cancel()
    releasing = barrier.release()
    read(cluster, found, index=9)
    assert waiting(releasing)
    assert late == {"value": "blocked u1", **compared}
    assert asked(cluster) == {"value": "open u2", **compared}
    cluster.last.answer(200, event("compareAndSwap", "/gate", "open u2", 60))
    assert result(releasing) is None


def test_a_release_that_was_lost_on_its_way_cannot_come_after_a_block(cluster, barrier):
    blocking = barrier.block()
    read(cluster, "blocked x", index=9)
    swapped(cluster, "blocked u1", 9)
    assert result(blocking) is None


def test_who_was_overtaken_looks_again(cluster, barrier):
    blocking = barrier.block()
    read(cluster, "open x", index=9)
    cluster.last.answer(412, refusal(101))
    read(cluster, "open y", index=10)
    swapped(cluster, "blocked u2", 10)
    assert result(blocking) is None


def test_a_release_whose_answer_was_lost_is_recognized(cluster, barrier):
    releasing = barrier.release()
    read(cluster, "blocked x", index=9)
    cluster.last.break_off()
    read(cluster, "open u1", index=10)
    assert result(releasing) is None


def test_a_block_that_others_came_after_depends_on_them(cluster, barrier):
    """It can be made no more, so blocking once more blocks once at the end."""
    blocking = barrier.block()
    read(cluster, "open x", index=9)
    cluster.last.break_off()
    read(cluster, "open y", index=12)
    read(cluster, "open y", index=12)
    swapped(cluster, "blocked u2", 12)
    assert result(blocking) is None


@pytest.mark.parametrize(
    "change",
    [
        event("compareAndSwap", "/gate", "open y", 52),
        event("delete", "/gate", None, 52),
        event("expire", "/", None, 52),
        event("set", "/gate", "whatever", 52),
    ],
)
def test_who_waits_passes_when_it_is_released(cluster, barrier, change):
    passing = barrier.wait()
    read(cluster, "blocked x", etcd_index=50)
    assert cluster.last.target == "/v2/keys/gate?wait=true&waitIndex=51"
    cluster.last.answer(200, event("compareAndSwap", "/gate", "blocked z", 51))
    assert cluster.last.target == "/v2/keys/gate?wait=true&waitIndex=52"
    assert waiting(passing)
    cluster.last.answer(200, change)
    assert result(passing) is None


@pytest.mark.parametrize("now", ["open z", None])
def test_when_history_is_lost_what_there_is_now_decides(cluster, barrier, now):
    passing = barrier.wait()
    read(cluster, "blocked x", etcd_index=50)
    cluster.last.answer(400, refusal(401, index=2000))
    read(cluster, "blocked y", etcd_index=2000)
    assert cluster.last.target == "/v2/keys/gate?wait=true&waitIndex=2001"
    cluster.last.answer(400, refusal(401, index=4000))
    assert waiting(passing)
    read(cluster, now, etcd_index=4000)
    assert result(passing) is None


def test_who_stops_waiting_is_not_told(cluster, barrier):
    passing = barrier.wait()
    read(cluster, "blocked x")
    passing.cancel()
    with pytest.raises(CancelledError):
        result(passing)
    assert cluster.last.cancelled
    assert not cluster.clock.getDelayedCalls()


def test_failures_are_lived_through(cluster, barrier):
    blocking = barrier.block()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    read(cluster, "open x", index=9)
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    swapped(cluster, "blocked u1", 9)
    assert result(blocking) is None
