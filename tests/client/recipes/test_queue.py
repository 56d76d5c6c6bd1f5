"""A queue: first in, first out, one claim on an item at a time, and nothing is lost."""

from urllib.parse import parse_qs

import pytest
from twisted.internet.defer import CancelledError

from kvd.client import BadAnswer, Closed, Limits, NoAnswer, Unauthorized, Unknown
from kvd.client.recipes import Full, Item, Overtaken, Queue
from tests.client.cluster import A, Cluster, event, refusal, result, waiting

TTL = 30


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def make(cluster):
    names = (f"u{number}" for number in range(1, 100))
    client = cluster.client(A, limits=Limits(request_seconds=60, silent_seconds=1e6))

    def make(**options):
        options = {"ttl": TTL, "size_max": None, **options}
        return Queue(client, "/q/", unique=lambda: next(names), **options)

    return make


@pytest.fixture
def queue(make):
    return make()


def file(key, value, created, modified=None):
    return {
        "key": f"/q/{key}",
        "value": value,
        "createdIndex": created,
        "modifiedIndex": modified or created,
    }


def listed(cluster, *, items=(), claims=(), failed=(), index=50):
    """All of the queue is read with a quorum."""
    assert cluster.last.target == "/v2/keys/q?recursive=true&quorum=true"
    nodes = [
        {"key": f"/q/{name}", "dir": True, "nodes": list(found)}
        for name, found in (("items", items), ("claims", claims), ("failed", failed))
    ]
    node = {"key": "/q", "dir": True, "nodes": nodes}
    cluster.last.answer(200, {"action": "get", "node": node}, Etcd_Index=index)


def form(cluster):
    return {
        name: value for name, [value] in parse_qs(cluster.last.body.decode()).items()
    }


def claims(cluster, name, mark="u1"):
    """A claim is asked for."""
    assert (cluster.last.method, cluster.last.target) == (
        "PUT",
        f"/v2/keys/q/claims/{name}",
    )
    assert form(cluster) == {"value": mark, "ttl": "30", "prevExist": "false"}


def claimed(cluster, name, index, mark="u1"):
    claims(cluster, name, mark)
    cluster.last.answer(201, event("create", f"/q/claims/{name}", mark, index))


def counted(cluster, name, value, prev_index, index):
    """The attempt is counted in the item."""
    assert (cluster.last.method, cluster.last.target) == (
        "PUT",
        f"/v2/keys/q/items/{name}",
    )
    assert form(cluster) == {"value": value, "prevIndex": str(prev_index)}
    node = file(f"items/{name}", value, prev_index, index)
    cluster.last.answer(200, {"action": "compareAndSwap", "node": node})


def taken(cluster, queue):
    taking = queue.take()
    listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
    claimed(cluster, "07", 51)
    counted(cluster, "07", "1 51 p sweep", 7, 52)
    return result(taking)


def withdrawn(cluster, name="07", mark="u1"):
    assert (cluster.last.method, cluster.last.target) == (
        "DELETE",
        f"/v2/keys/q/claims/{name}?prevValue={mark}",
    )
    cluster.last.answer(200, event("compareAndDelete"))


def happened(cluster, action, key, value="v", index=51):
    assert (
        cluster.last.target == f"/v2/keys/q?wait=true&waitIndex={index}&recursive=true"
    )
    cluster.last.answer(200, event(action, f"/q/{key}", value, index))


# -- putting ---------------------------------------------------------------------------


def test_an_item_is_put_at_the_end(cluster, queue):
    putting = queue.put("sweep the floor")
    assert (cluster.last.method, cluster.last.target) == ("POST", "/v2/keys/q/items")
    assert form(cluster) == {"value": "0 0 u1 sweep the floor"}
    cluster.last.answer(201, event("create", "/q/items/007", "0 0 u1 sweep", 7))
    assert result(putting) == "007"


def test_a_put_whose_answer_was_lost_is_found(cluster, queue):
    putting = queue.put("sweep")
    cluster.last.break_off()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    items = [
        file("items/07", "0 0 other sweep", 7),
        file("items/08", "1 9 u1 sweep", 8),
    ]
    listed(cluster, items=items)
    assert result(putting) == "08", "though somebody has claimed it already"


def test_a_put_that_was_set_aside_meanwhile_is_found(cluster, queue):
    putting = queue.put("sweep")
    cluster.last.break_off()
    listed(cluster, failed=[file("failed/08", "1 9 u1 sweep", 8)])
    assert result(putting) == "08"


def test_a_put_that_cannot_be_found_is_told_as_unknown(cluster, queue):
    putting = queue.put("sweep")
    cluster.last.break_off()
    listed(cluster, items=[file("items/07", "0 0 other sweep", 7)])
    with pytest.raises(Unknown):
        result(putting)
    assert len(cluster.asked) == 2, "and it is not put again"


def test_a_put_is_looked_for_as_long_as_patience_lasts(cluster, make):
    putting = make(patience_seconds=1).put("sweep")
    cluster.last.break_off()
    for _ in range(6):
        assert waiting(putting)
        cluster.last.refuse()
        cluster.clock.advance(0.2)
    with pytest.raises(Unknown):
        result(putting)


def test_a_put_that_nobody_hears_puts_nothing(cluster, queue):
    putting = queue.put("sweep")
    cluster.last.refuse()
    with pytest.raises(NoAnswer):
        result(putting)


def test_an_answer_that_no_server_gives_is_not_looked_into(cluster, queue):
    putting = queue.put("sweep")
    cluster.last.answer(200, b"hello")
    with pytest.raises(BadAnswer):
        result(putting)


def test_a_full_queue_takes_no_more(cluster, make):
    queue = make(size_max=2)
    putting = queue.put("sweep")
    items, failed = [file("items/07", "x", 7)], [file("failed/03", "y", 5)]
    listed(cluster, items=items, failed=failed, claims=[file("claims/07", "c", 8)])
    with pytest.raises(Full):
        result(putting)
    putting = queue.put("sweep")
    listed(cluster, items=items, claims=[file("claims/07", "c", 8)])
    cluster.last.answer(201, event("create", "/q/items/09", "0 0 u sweep", 9))
    assert result(putting) == "09"


def test_a_queue_that_is_not_there_is_not_full(cluster, make):
    make(size_max=1).put("sweep")
    cluster.last.answer(404, refusal(100))
    assert cluster.last.method == "POST"


@pytest.mark.parametrize("options", [{"size_max": 0}, {"attempts_max": 0}, {"ttl": 0}])
def test_limits_that_leave_nothing_are_refused(make, options):
    with pytest.raises(ValueError, match=r"limit|ttl"):
        make(**options)


# -- taking ----------------------------------------------------------------------------


def test_the_oldest_item_is_claimed_and_the_attempt_counted(cluster, queue):
    taking = queue.take()
    items = [
        file("items/09", "0 0 p mop", 9),
        file("items/07", "2 40 p sweep it", 7, 41),
    ]
    listed(cluster, items=items)
    claimed(cluster, "07", 51)
    counted(cluster, "07", "3 51 p sweep it", 41, 52)
    claim = result(taking)
    assert claim.item == Item("07", "sweep it", 3)
    assert claim.token == 51
    assert claim.is_held


def test_what_somebody_else_has_is_passed(cluster, queue):
    taking = queue.take()
    items = [file(f"items/0{each}", "0 0 p sweep", each) for each in (7, 8)]
    listed(cluster, items=items, claims=[file("claims/07", "other", 20)])
    claimed(cluster, "08", 51)
    counted(cluster, "08", "1 51 p sweep", 8, 52)
    assert result(taking).item.name == "08"


def test_who_was_not_fast_enough_looks_anew(cluster, queue):
    taking = queue.take()
    items = [file(f"items/0{each}", "0 0 p sweep", each) for each in (7, 8)]
    listed(cluster, items=items)
    claims(cluster, "07")
    cluster.last.answer(412, refusal(105))
    listed(cluster, items=items, claims=[file("claims/07", "other", 51)])
    claims(cluster, "08", "u2")
    assert waiting(taking)


def test_an_item_that_was_done_meanwhile_is_left_alone(cluster, queue):
    taking = queue.take()
    items = [file(f"items/0{each}", "0 0 p sweep", each) for each in (7, 8)]
    listed(cluster, items=items)
    claimed(cluster, "07", 51)
    cluster.last.answer(404, refusal(100))
    assert cluster.last.target == "/v2/keys/q/items/07?quorum=true"
    cluster.last.answer(404, refusal(100))
    withdrawn(cluster)
    listed(cluster, items=items[1:])
    claims(cluster, "08", "u2")
    assert waiting(taking)


def test_it_waits_for_an_item(cluster, queue):
    taking = queue.take()
    cluster.last.answer(404, refusal(100, index=50))
    happened(cluster, "create", "items/51", "0 0 p sweep", 51)
    claimed(cluster, "51", 52)
    counted(cluster, "51", "1 52 p sweep", 51, 53)
    assert result(taking).item.text == "sweep"


@pytest.mark.parametrize("action", ["expire", "compareAndDelete"])
def test_an_item_comes_again_when_its_claim_is_gone(cluster, queue, action):
    taking = queue.take()
    listed(
        cluster,
        items=[file("items/07", "1 8 p sweep", 7, 9)],
        claims=[file("claims/07", "other", 8)],
    )
    happened(cluster, action, "claims/07", None, 51)
    claimed(cluster, "07", 52)
    counted(cluster, "07", "2 52 p sweep", 9, 53)
    assert result(taking).item.attempts == 2


def test_when_history_is_lost_what_there_is_now_counts(cluster, queue):
    taking = queue.take()
    listed(cluster)
    cluster.last.answer(400, refusal(401, index=2000))
    node = {"key": "/q/items", "dir": True, "nodes": [file("items/07", "1 9 p a", 7)]}
    root = {"key": "/q", "dir": True, "nodes": [node]}
    cluster.last.answer(200, {"action": "get", "node": root}, Etcd_Index=2000)
    claims(cluster, "07")
    assert waiting(taking)


def test_plain_text_in_the_directory_is_an_item(cluster, queue):
    taking = queue.take()
    listed(cluster, items=[file("items/07", "sweep the floor", 7)])
    claimed(cluster, "07", 51)
    counted(cluster, "07", "1 51 - sweep the floor", 7, 52)
    assert result(taking).item == Item("07", "sweep the floor", 1)


def test_a_claim_whose_answer_was_lost_is_found(cluster, queue):
    taking = queue.take()
    listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
    claims(cluster, "07")
    cluster.last.break_off()
    assert cluster.last.target == "/v2/keys/q/claims/07?quorum=true"
    node = file("claims/07", "u1", 51)
    cluster.last.answer(200, {"action": "get", "node": node})
    counted(cluster, "07", "1 51 p sweep", 7, 52)
    assert result(taking).token == 51


def test_a_claim_whose_answer_was_lost_may_be_somebody_elses(cluster, queue):
    taking = queue.take()
    items = [file(f"items/0{each}", "0 0 p sweep", each) for each in (7, 8)]
    listed(cluster, items=items)
    claims(cluster, "07")
    cluster.last.break_off()
    node = file("claims/07", "other", 51)
    cluster.last.answer(200, {"action": "get", "node": node})
    listed(cluster, items=items, claims=[node])
    claims(cluster, "08", "u2")
    assert waiting(taking)


def test_no_younger_one_is_taken_while_a_claim_is_in_doubt(cluster, queue):
    taking = queue.take()
    items = [file(f"items/0{each}", "0 0 p sweep", each) for each in (7, 8)]
    listed(cluster, items=items)
    cluster.last.break_off()
    cluster.last.answer(404, refusal(100))
    cluster.clock.advance(0.2)
    claims(cluster, "07")
    assert waiting(taking)


def test_one_whose_claim_is_older_does_not_disturb(cluster, queue):
    """Somebody who slept counts his attempt late; then ours is counted after it."""
    taking = queue.take()
    listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
    claimed(cluster, "07", 51)
    cluster.last.answer(412, refusal(101))
    node = file("items/07", "1 40 p sweep", 7, 52)
    cluster.last.answer(200, {"action": "get", "node": node})
    counted(cluster, "07", "2 51 p sweep", 52, 53)
    assert result(taking).item.attempts == 2


def test_one_whose_claim_is_younger_is_left_alone(cluster, queue):
    taking = queue.take()
    listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
    claimed(cluster, "07", 51)
    cluster.last.break_off()
    node = file("items/07", "1 60 p sweep", 7, 61)
    cluster.last.answer(200, {"action": "get", "node": node})
    cluster.last.answer(200, {"action": "get", "node": node})
    withdrawn(cluster)
    cluster.clock.advance(0.2)
    listed(cluster, claims=[file("claims/07", "other", 60)])
    assert waiting(taking)


def test_a_claim_that_is_lost_before_it_is_counted_is_none(cluster, queue):
    taking = queue.take()
    listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
    claimed(cluster, "07", 51)
    counting = cluster.last
    cluster.clock.advance(10)
    assert b"refresh=true" in cluster.last.body
    cluster.last.answer(404, refusal(100))
    node = file("items/07", "1 51 p sweep", 7, 52)
    counting.answer(200, {"action": "compareAndSwap", "node": node})
    withdrawn(cluster)
    cluster.clock.advance(0.2)
    assert cluster.last.target == "/v2/keys/q?recursive=true&quorum=true"
    assert waiting(taking)


def test_one_that_slept_while_he_claimed_has_nothing(cluster, queue):
    taking = queue.take()
    listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
    claimed(cluster, "07", 51)
    cluster.clock.rightNow += 27
    counted(cluster, "07", "1 51 p sweep", 7, 52)
    withdrawn(cluster)
    assert waiting(taking)


def test_who_stops_waiting_takes_nothing(cluster, queue):
    taking = queue.take()
    listed(cluster)
    taking.cancel()
    with pytest.raises(CancelledError):
        result(taking)
    assert cluster.last.cancelled
    assert not cluster.clock.getDelayedCalls()


def test_who_stops_while_he_claims_gives_it_up(cluster, queue):
    taking = queue.take()
    listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
    claims(cluster, "07")
    taking.cancel()
    with pytest.raises(CancelledError):
        result(taking)
    withdrawn(cluster)
    assert not cluster.clock.getDelayedCalls()


def test_who_may_not_is_told_so(cluster, queue):
    taking = queue.take()
    listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
    cluster.last.answer(401, refusal(110))
    cluster.last.answer(401, refusal(110))
    with pytest.raises(Unauthorized):
        result(taking)


def test_a_closed_client_takes_nothing(cluster, make):
    client = cluster.client(A)
    taking = Queue(client, "/q").take()
    listed(cluster)
    client.close()
    with pytest.raises(Closed):
        result(taking)


# -- what is claimed -------------------------------------------------------------------


def test_what_is_done_is_removed_and_then_its_claim(cluster, queue):
    claim = taken(cluster, queue)
    over = claim.when_lost()
    finishing = claim.done()
    assert (cluster.last.method, cluster.last.target) == (
        "DELETE",
        "/v2/keys/q/items/07?prevIndex=52",
    )
    assert claim.is_held
    cluster.last.answer(200, event("compareAndDelete"))
    assert result(over) == "it was done"
    withdrawn(cluster)
    assert result(finishing) is None
    assert not cluster.clock.getDelayedCalls()


def test_done_is_tried_until_its_outcome_is_known(cluster, queue):
    finishing = taken(cluster, queue).done()
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    assert cluster.last.target == "/v2/keys/q/items/07?prevIndex=52"
    cluster.last.answer(404, refusal(100))
    withdrawn(cluster)
    assert result(finishing) is None


def test_who_lost_the_claim_is_told_that_another_one_has_it(cluster, queue):
    claim = taken(cluster, queue)
    over = claim.when_lost()
    finishing = claim.done()
    cluster.last.answer(412, refusal(101))
    assert result(over) == "somebody else claimed it"
    withdrawn(cluster)
    with pytest.raises(Overtaken):
        result(finishing)


def test_when_the_claim_ran_out_it_is_tried_once(cluster, queue):
    claim = taken(cluster, queue)
    cluster.clock.advance(27)
    assert not claim.is_held
    finishing = claim.done()
    cluster.last.break_off()
    withdrawn(cluster)
    with pytest.raises(Unknown):
        result(finishing)


def test_not_sent_after_a_lost_answer_does_not_say_that_it_comes(cluster, queue):
    claim = taken(cluster, queue)
    done = claim.done()
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    again = cluster.last
    cluster.clock.advance(10)
    cluster.last.answer(404, refusal(100))  # the claim is gone
    again.refuse()
    withdrawn(cluster)
    with pytest.raises(Unknown):
        result(done)


def test_an_answer_to_done_that_no_server_gives_is_not_tried_again(cluster, queue):
    claim = taken(cluster, queue)
    finishing = claim.done()
    cluster.last.answer(200, b"hello")
    with pytest.raises(BadAnswer):
        result(finishing)
    assert claim.is_held, "it may be tried again"


def test_a_claim_is_kept_alive_and_its_loss_told(cluster, queue):
    claim = taken(cluster, queue)
    over = claim.when_lost()
    cluster.clock.advance(10)
    assert cluster.last.target == "/v2/keys/q/claims/07"
    assert form(cluster)["refresh"] == "true"
    assert form(cluster)["prevValue"] == "u1"
    cluster.last.answer(200, event("compareAndSwap"))
    cluster.clock.advance(10)
    assert claim.is_held
    cluster.last.answer(404, refusal(100))
    assert result(over) == "its key is gone"


def test_what_is_released_may_be_taken_again(cluster, queue):
    claim = taken(cluster, queue)
    releasing = claim.release()
    assert not claim.is_held
    withdrawn(cluster)
    assert result(releasing) is None
    assert not cluster.clock.getDelayedCalls()


# -- too many attempts -----------------------------------------------------------------


def test_an_item_that_was_tried_too_often_is_set_aside_and_that_is_no_attempt(
    cluster, make
):
    taking = make(attempts_max=2).take()
    listed(cluster, items=[file("items/07", "2 40 p poison", 7, 41)])
    claimed(cluster, "07", 51)
    counted(cluster, "07", "2 51 p poison", 41, 52)
    assert cluster.last.target == "/v2/keys/q/failed/07"
    assert form(cluster) == {"value": "2 51 p poison", "prevExist": "false"}
    cluster.last.answer(201, event("create"))
    assert cluster.last.target == "/v2/keys/q/items/07?prevIndex=52"
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    cluster.last.answer(200, event("compareAndDelete"))
    withdrawn(cluster)
    assert cluster.last.target == "/v2/keys/q?recursive=true&quorum=true"
    assert waiting(taking)


def test_one_that_died_while_he_set_it_aside_is_followed_up(cluster, make):
    make(attempts_max=1).take()
    listed(cluster, items=[file("items/07", "2 40 p poison", 7, 41)])
    claimed(cluster, "07", 51)
    counted(cluster, "07", "2 51 p poison", 41, 52)
    cluster.last.answer(412, refusal(105))
    assert cluster.last.target == "/v2/keys/q/items/07?prevIndex=52"


@pytest.mark.parametrize("how", ["overtaken", "lost", "seen by another"])
def test_who_cannot_set_it_aside_leaves_it_to_the_next(cluster, make, how):
    taking = make(attempts_max=1).take()
    listed(cluster, items=[file("items/07", "1 40 p poison", 7, 41)])
    claimed(cluster, "07", 51)
    counted(cluster, "07", "1 51 p poison", 41, 52)
    if how == "seen by another":
        cluster.last.break_off()
        other = {"action": "get", "node": file("failed/07", "1 40 p poison", 60)}
        cluster.last.answer(200, other)
    else:
        cluster.last.answer(201, event("create"))
        if how == "overtaken":
            cluster.last.answer(412, refusal(101))
        else:
            cluster.clock.rightNow += 27
            cluster.clock.advance(0)
            removing = next(each for each in cluster.asked if each.method == "DELETE")
            removing.break_off()
    withdrawn(cluster)
    cluster.clock.advance(0.2)
    listed(cluster)
    assert waiting(taking)


def test_an_answer_that_no_server_gives_ends_the_taking(cluster, make):
    taking = make(attempts_max=1).take()
    listed(cluster, items=[file("items/07", "1 40 p poison", 7, 41)])
    claimed(cluster, "07", 51)
    counted(cluster, "07", "1 51 p poison", 41, 52)
    cluster.last.answer(200, b"hello")
    withdrawn(cluster)
    with pytest.raises(BadAnswer):
        result(taking)


def test_a_token_from_another_cluster_does_not_keep_anybody_away(cluster, queue):
    """What was imported may name claims that are not made yet here."""
    taking = queue.take()
    listed(cluster, items=[file("items/07", "2 9000 p sweep", 7)])
    claimed(cluster, "07", 51)
    counted(cluster, "07", "3 51 p sweep", 7, 52)
    assert result(taking).item == Item("07", "sweep", 3)


def test_numbers_that_nobody_of_us_wrote_are_text(cluster, queue):
    looking = queue.items()
    text = f"{'1' * 5000} 2 p sweep"
    node = {"key": "/q/items", "dir": True, "nodes": [file("items/07", text, 7)]}
    cluster.last.answer(200, {"action": "get", "node": node})
    assert result(looking) == (Item("07", text, 0),)


def test_a_refusal_to_look_does_not_say_that_nothing_was_put(cluster, queue):
    putting = queue.put("sweep")
    cluster.last.break_off()
    cluster.last.answer(401, refusal(110))
    with pytest.raises(Unknown):
        result(putting)


def test_a_directory_in_the_place_of_a_claim_makes_nobody_run_in_circles(
    cluster, queue
):
    taking = queue.take()
    for name in ("u1", "u2"):
        listed(cluster, items=[file("items/07", "0 0 p sweep", 7)])
        claims(cluster, "07", name)
        cluster.last.answer(412, refusal(105))
    asked = len(cluster.asked)
    assert cluster.last.method == "PUT"
    cluster.clock.advance(0.2)
    assert len(cluster.asked) == asked + 1
    assert waiting(taking)


def test_items_can_be_looked_at_and_those_set_aside_forgotten(cluster, queue):
    looking = queue.items()
    assert cluster.last.target == "/v2/keys/q/items?quorum=true"
    nodes = [file("items/09", "mop", 9), file("items/07", "2 40 p sweep", 7, 41)]
    nodes.append({"key": "/q/items/sub", "dir": True, "createdIndex": 3})
    node = {"key": "/q/items", "dir": True, "nodes": nodes}
    cluster.last.answer(200, {"action": "get", "node": node})
    assert result(looking) == (Item("07", "sweep", 2), Item("09", "mop", 0))
    looking = queue.failed()
    assert cluster.last.target == "/v2/keys/q/failed?quorum=true"
    cluster.last.answer(404, refusal(100))
    assert result(looking) == ()
    for status, answer in ((200, event("delete")), (404, refusal(100))):
        discarding = queue.discard(Item("07", "sweep", 2))
        assert (cluster.last.method, cluster.last.target) == (
            "DELETE",
            "/v2/keys/q/failed/07",
        )
        cluster.last.answer(status, answer)
        assert result(discarding) is None
