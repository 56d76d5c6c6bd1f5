"""A double barrier: some enter together, and go on when all of them have left."""

import pytest
from twisted.internet.defer import CancelledError

from kvd.client import BadAnswer, Limits, Unauthorized
from kvd.client.recipes import DoubleBarrier
from tests.client.cluster import A, Cluster, event, refusal, result, waiting


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def barrier(cluster):
    names = (f"u{number}" for number in range(1, 100))
    client = cluster.client(A, limits=Limits(silent_seconds=1e6))
    return DoubleBarrier(client, "/meet/", 2, unique=lambda: next(names))


def there(index, value="other"):
    return {
        "key": f"/meet/present/{index:02}",
        "value": value,
        "createdIndex": index,
        "modifiedIndex": index,
    }


def round_of(*names, index):
    value = " ".join(["x", *names])
    node = {"key": "/meet/round", "value": value}
    return {**node, "createdIndex": index, "modifiedIndex": index}


def listed(cluster, *present, last=None, index=50):
    assert cluster.last.target == "/v2/keys/meet?recursive=true&quorum=true"
    nodes = [{"key": "/meet/present", "dir": True, "nodes": list(present)}]
    nodes += [last] if last else []
    node = {"key": "/meet", "dir": True, "nodes": nodes}
    cluster.last.answer(200, {"action": "get", "node": node}, Etcd_Index=index)


def created(cluster, index, value="u1"):
    assert (cluster.last.method, cluster.last.target) == (
        "POST",
        "/v2/keys/meet/present",
    )
    cluster.last.answer(201, {"action": "create", "node": there(index, value)})


def happened(cluster, action, node, index):
    assert (
        cluster.last.target
        == f"/v2/keys/meet?wait=true&waitIndex={index}&recursive=true"
    )
    cluster.last.answer(
        200, {"action": action, "node": {**node, "modifiedIndex": index}}
    )


def entered(cluster, barrier):
    entering = barrier.enter()
    created(cluster, 7)
    listed(cluster, there(6), there(7), last=round_of("06", "07", index=20))
    return result(entering)


def test_the_last_one_to_come_begins_the_round(cluster, barrier):
    entering = barrier.enter()
    created(cluster, 7)
    listed(cluster, there(7, "u1"), there(6))
    assert (cluster.last.method, cluster.last.target) == ("PUT", "/v2/keys/meet/round")
    assert cluster.last.body == b"value=u2+06+07&prevExist=false"
    cluster.last.answer(201, event("create", "/meet/round", "u2 06 07", 51))
    assert waiting(entering)
    happened(cluster, "create", round_of("06", "07", index=51), 51)
    inside = result(entering)
    assert (inside.round, inside.token, inside.is_held) == (51, 7, True)


def test_who_came_before_hears_of_it(cluster, barrier):
    entering = barrier.enter()
    created(cluster, 7)
    listed(cluster, there(7, "u1"))
    happened(cluster, "create", there(51), 51)
    assert cluster.last.method == "PUT", "he sees it himself"
    cluster.last.answer(412, refusal(105))
    happened(cluster, "create", round_of("07", "51", index=52), 52)
    assert result(entering).round == 52


def test_a_beginning_whose_answer_was_lost_is_seen(cluster, barrier):
    entering = barrier.enter()
    created(cluster, 7)
    listed(cluster, there(7, "u1"), there(6))
    cluster.last.break_off()
    assert cluster.last.target == "/v2/keys/meet/round?quorum=true"
    node = round_of("06", "07", index=51)
    cluster.last.answer(200, {"action": "get", "node": node})
    happened(cluster, "create", node, 51)
    assert result(entering).round == 51


def test_one_too_many_waits_for_the_next_round(cluster, barrier):
    entering = barrier.enter()
    created(cluster, 7)
    before = round_of("05", "06", index=40)
    listed(cluster, there(5), there(6), there(7, "u1"), last=before)
    happened(cluster, "create", there(51), 51)
    happened(cluster, "delete", there(5), 52)
    assert waiting(entering), "one of the last round is there yet"
    happened(cluster, "expire", there(6), 53)
    assert (cluster.last.method, cluster.last.target) == ("PUT", "/v2/keys/meet/round")
    assert cluster.last.body == b"value=u2+07+51&prevIndex=40"


def test_whoever_is_not_among_the_oldest_begins_nothing(cluster, barrier):
    barrier.enter()
    created(cluster, 9)
    listed(cluster, there(5), there(6), there(9, "u1"))
    assert cluster.last.target.startswith("/v2/keys/meet?wait=true")


def test_all_have_left_when_nobody_of_the_round_is_there(cluster, barrier):
    inside = entered(cluster, barrier)
    over = inside.when_lost()
    leaving = inside.leave()
    assert not inside.is_held
    assert result(over) == "it was released"
    assert (cluster.last.method, cluster.last.target) == (
        "DELETE",
        "/v2/keys/meet/present/07?prevValue=u1",
    )
    cluster.last.answer(200, event("compareAndDelete"))
    listed(cluster, there(6), there(9), index=60)
    happened(cluster, "create", there(61), 61)
    assert waiting(leaving)
    happened(cluster, "expire", there(6), 62)
    assert result(leaving) is None, "those of the next round do not matter"
    assert not cluster.clock.getDelayedCalls()


def test_when_nobody_is_there_any_more_leaving_is_done(cluster, barrier):
    leaving = entered(cluster, barrier).leave()
    cluster.last.answer(200, event("compareAndDelete"))
    cluster.last.answer(404, refusal(100))
    assert result(leaving) is None


def test_a_place_is_kept_alive_and_its_loss_told(cluster, barrier):
    inside = entered(cluster, barrier)
    over = inside.when_lost()
    cluster.clock.advance(10)
    assert b"refresh=true" in cluster.last.body
    cluster.last.answer(404, refusal(100))
    assert result(over) == "its key is gone"


@pytest.mark.parametrize("seen", ["by itself", "by looking"])
def test_who_is_lost_while_he_waits_enters_again(cluster, barrier, seen):
    entering = barrier.enter()
    created(cluster, 7)
    if seen == "by looking":
        listed(cluster, there(6))
    else:
        listed(cluster, there(7, "u1"))
        cluster.clock.advance(10)
        cluster.last.answer(404, refusal(100))
    assert cluster.last.method == "DELETE"
    cluster.last.answer(404, refusal(100))
    cluster.clock.advance(0.2)
    created(cluster, 9, "u2")
    assert waiting(entering)


def test_who_stops_waiting_gives_the_place_up(cluster, barrier):
    entering = barrier.enter()
    created(cluster, 7)
    listed(cluster, there(7, "u1"))
    entering.cancel()
    with pytest.raises(CancelledError):
        result(entering)
    assert cluster.last.method == "DELETE"
    cluster.last.answer(200, event("compareAndDelete"))
    assert not cluster.clock.getDelayedCalls()


def test_somebody_else_may_have_begun_it_when_an_answer_was_lost(cluster, barrier):
    entering = barrier.enter()
    created(cluster, 7)
    listed(cluster, there(7, "u1"), there(6))
    cluster.last.break_off()
    node = {**round_of("06", "07", index=51), "value": "y 06 07"}
    cluster.last.answer(200, {"action": "get", "node": node})
    happened(cluster, "create", node, 51)
    assert result(entering).round == 51


@pytest.mark.parametrize(
    ("status", "document", "problem"),
    [(401, refusal(110), Unauthorized), (200, b"hello", BadAnswer)],
)
def test_what_waiting_does_not_help_against_is_told(
    cluster, barrier, status, document, problem
):
    entering = barrier.enter()
    created(cluster, 7)
    cluster.last.answer(status, document)
    cluster.last.answer(200, event("compareAndDelete"))
    with pytest.raises(problem):
        result(entering)


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 2, "ttl": 0}])
def test_what_leaves_nothing_is_refused(cluster, options):
    with pytest.raises(ValueError, match=r"one|ttl"):
        DoubleBarrier(cluster.client(A), "/meet", **options)
