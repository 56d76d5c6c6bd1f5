"""A topic: what is published, what subscribers hear, and what they are told of losses."""

import json
from urllib.parse import parse_qs

import pytest
from twisted.internet.defer import CancelledError, Deferred

from kvd.client import Closed, KeysError, Limits, NoAnswer, Unauthorized, Unknown
from kvd.client.recipes import Message, Missed, PositionLost, Topic
from tests.client.cluster import A, event, refusal, result, waiting

PATH = "/v2/keys/topic"
POSITION = f"{PATH}/_subscribers/bill"


@pytest.fixture
def client(cluster):
    return cluster.client(A, limits=Limits(silent_seconds=30))


@pytest.fixture
def topic(client):
    names = iter("abcdefgh")
    return Topic(client, "/topic", retain_seconds=100, unique=lambda: next(names))


def counted(client, count):
    return Topic(client, "/topic", retain_seconds=None, retain_max=count)


def value(text, unique="a"):
    return json.dumps({"id": unique, "text": text}, separators=(",", ":"))


def node(index, text="", **more):
    found = {"key": f"/topic/{index:020}", "value": value(text or f"m{index}")}
    return {**found, "createdIndex": index, "modifiedIndex": index, **more}


def messages(*offsets):
    return [Message(each, f"m{each}") for each in offsets]


def created(cluster, index, text):
    asked = cluster.last
    assert (asked.method, asked.target) == ("POST", PATH)
    assert json.loads(parse_qs(asked.body.decode())["value"][0])["text"] == text
    asked.answer(201, {"action": "create", "node": node(index, text)})


def listed(cluster, *offsets, index=50, target=f"{PATH}?quorum=true"):
    assert cluster.last.target == target
    top = {"key": "/topic", "dir": True, "nodes": [node(each) for each in offsets]}
    cluster.last.answer(200, {"action": "get", "node": top}, Etcd_Index=index)


def relisted(cluster, *offsets, index):
    """History is lost; this is retained."""
    assert "wait=true" in cluster.last.target
    cluster.last.answer(400, refusal(401, index=index))
    target = f"{PATH}?quorum=true&recursive=true&sorted=true"
    listed(cluster, *offsets, index=index, target=target)


def happened(cluster, action, changed):
    assert "wait=true" in cluster.last.target
    cluster.last.answer(200, {"action": action, "node": changed})


def published(cluster, *offsets):
    for each in offsets:
        happened(cluster, "create", node(each))


def subscribed(cluster, topic, index=40):
    """From now on."""
    subscription = topic.subscribe()
    started = subscription.start()
    assert cluster.last.target == f"{PATH}/_now?quorum=true"
    cluster.last.answer(404, refusal(100, index=index))
    assert result(started) == index
    return subscription


# Publishing


def test_what_is_published_has_an_offset_and_an_end(cluster, topic):
    publishing = topic.publish("grüße\n")
    said = parse_qs(cluster.last.body.decode())
    assert said["ttl"] == ["100"]
    created(cluster, 7, "grüße\n")
    assert result(publishing) == 7


def test_what_may_have_been_published_is_looked_for(cluster, topic):
    publishing = topic.publish("one")
    cluster.last.break_off()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    others = [node(6, "one", value=value("one", "z")), node(7, value=value("one"))]
    top = {"key": "/topic", "dir": True, "nodes": others}
    cluster.last.answer(200, {"action": "get", "node": top}, Etcd_Index=9)
    assert result(publishing) == 7


def test_a_refusal_to_look_does_not_say_that_nothing_was_published(cluster, topic):
    publishing = topic.publish("one")
    cluster.last.break_off()
    cluster.last.answer(401, refusal(110))
    with pytest.raises(Unknown):
        result(publishing)


def test_what_cannot_be_found_is_said_to_be_unknown(cluster, topic):
    publishing = topic.publish("one")
    cluster.last.break_off()
    cluster.last.answer(404, refusal(100))
    with pytest.raises(Unknown):
        result(publishing)
    publishing = topic.publish("one")
    cluster.last.refuse()
    with pytest.raises(NoAnswer):
        result(publishing)
    publishing = topic.publish("one")
    cluster.last.answer(200, b"<html>")
    with pytest.raises(Unknown):
        result(publishing)


def test_the_oldest_of_too_many_are_removed_before_it_fires(cluster, client):
    topic = counted(client, 3)
    publishing = topic.publish("one")
    assert "ttl" not in parse_qs(cluster.last.body.decode())
    created(cluster, 9, "one")
    listed(cluster, 9, 7, 3, 5, 1)
    for offset in (1, 3):
        assert waiting(publishing)
        assert cluster.last.method == "DELETE"
        assert cluster.last.target.endswith(f"/{offset:020}")
        cluster.last.answer(404, refusal(100))
    assert result(publishing) == 9


def test_removing_is_a_matter_of_every_tenth_part(cluster, client):
    topic = counted(client, 40)
    offset = 100

    def publish():
        nonlocal offset
        offset += 1
        publishing = topic.publish("x")
        created(cluster, offset, "x")
        return publishing

    first = publish()
    listed(cluster, 101)
    assert result(first) == 101
    for _ in range(3):
        assert result(publish()) == offset
    publishing = publish()
    assert waiting(publishing)
    listed(cluster, *range(65, 106))
    assert cluster.last.target.endswith("/" + "65".zfill(20))
    cluster.last.answer(200, event("delete"))
    assert result(publishing) == 105
    assert result(publish()) == 106


def test_two_do_not_remove_at_once_and_what_failed_is_tried_again(cluster, client):
    topic = counted(client, 3)
    first = topic.publish("a")
    second = topic.publish("b")
    posts = list(cluster.asked)
    posts[0].answer(201, {"action": "create", "node": node(5)})
    posts[1].answer(201, {"action": "create", "node": node(6)})
    assert len(cluster.asked) == 3
    cluster.last.refuse()
    assert result(first) == 5
    assert waiting(second)
    listed(cluster, 5, 6)
    assert result(second) == 6


@pytest.mark.parametrize(
    "kept", [(None, None), (0, None), (None, 0), (10, -1), (-1, 10)]
)
def test_a_topic_without_an_end_is_refused(client, kept):
    seconds, count = kept
    with pytest.raises(ValueError, match="topic keeps"):
        Topic(client, "/topic", retain_seconds=seconds, retain_max=count)


# Subscribing


def test_from_now_on(cluster, topic):
    subscription = subscribed(cluster, topic, index=40)
    first = subscription.next()
    assert cluster.last.target.endswith("wait=true&waitIndex=41&recursive=true")
    published(cluster, 43)
    second = subscription.next()
    published(cluster, 47)
    assert [result(first), result(second)] == messages(43, 47)
    assert subscription.position == 47


def test_from_an_offset_on(cluster, topic):
    subscription = topic.subscribe(after=30)
    first = subscription.next()
    assert cluster.last.target.endswith("waitIndex=31&recursive=true")
    published(cluster, 33)
    assert result(first) == Message(33, "m33")
    with pytest.raises(ValueError, match="offset"):
        topic.subscribe(after=-1)


def test_from_the_oldest_on(cluster, topic):
    subscription = topic.subscribe(after=0)
    started = subscription.start()
    listed(cluster, 9, 7, 8, index=50)
    assert result(started) == 0
    got = [result(subscription.next()) for _ in range(3)]
    assert got == messages(7, 8, 9)
    assert subscription.position == 50
    subscription.next()
    assert "waitIndex=51" in cluster.last.target
    empty = topic.subscribe(after=0)
    item = empty.next()
    cluster.last.answer(404, refusal(100, index=60))
    published(cluster, 61)
    assert result(item) == Message(61, "m61")


def test_only_what_was_published_is_a_message(cluster, topic):
    subscription = subscribed(cluster, topic)
    item = subscription.next()
    happened(cluster, "expire", node(41, value=None))
    happened(cluster, "update", node(30, modifiedIndex=42))
    happened(cluster, "set", {**node(43), "key": "/topic/sub/x"})
    happened(cluster, "set", node(44, dir=True, value=None))
    happened(cluster, "delete", {"key": "/topic", "dir": True, "modifiedIndex": 45})
    assert waiting(item)
    happened(cluster, "create", node(46, value="by hand"))
    assert result(item) == Message(46, "by hand")
    for odd in ("[]", '{"id":"a","text":3}', '{"text":"a"}', "[" * 100_000):
        item = subscription.next()
        happened(cluster, "create", node(subscription.position + 1, value=odd))
        assert result(item).text == odd


def test_after_lost_history_what_is_retained_comes_once_and_in_order(cluster, topic):
    subscription = subscribed(cluster, topic)
    items = [subscription.next()]
    published(cluster, 45)
    items.append(subscription.next())
    relisted(cluster, 99, 45, 77, index=2000)
    assert subscription.position == 77
    items.append(subscription.next())
    assert subscription.position == 2000
    items.append(subscription.next())
    assert "waitIndex=2001" in cluster.last.target
    published(cluster, 2005)
    assert [result(each) for each in items] == messages(45, 77, 99, 2005)


def test_what_retention_may_have_taken_is_said(cluster, topic):
    """The last one seen is gone, and for longer than a message is kept."""
    subscription = topic.subscribe(after=45)
    item = subscription.next()
    relisted(cluster, 99, 77, index=2000)
    assert result(item) == Missed(45, 77)
    assert subscription.position == 76
    assert [result(subscription.next()) for _ in range(2)] == messages(77, 99)
    later = topic.subscribe(after=45)
    item = later.next()
    relisted(cluster, index=2000)
    assert result(item) == Missed(45, 2001)
    assert later.position == 2000


@pytest.mark.parametrize(
    "seen",
    [
        node(45),  # it never runs out
        {**node(45, ttl=90), "value": "of somebody who gave it another time to live"},
        node(45, ttl=15),  # one that is younger may have run out by another clock
    ],
)
def test_what_is_there_by_chance_does_not_hide_what_may_be_gone(cluster, topic, seen):
    subscription = topic.subscribe(after=45)
    item = subscription.next()
    cluster.last.answer(400, refusal(401, index=2000))
    top = {"key": "/topic", "dir": True, "nodes": [seen, node(77)]}
    cluster.last.answer(200, {"action": "get", "node": top}, Etcd_Index=2000)
    assert result(item) == Missed(45, 77)


def test_what_was_published_after_one_that_is_still_young_is_there(cluster, topic):
    subscription = topic.subscribe(after=45)
    item = subscription.next()
    cluster.last.answer(400, refusal(401, index=2000))
    top = {"key": "/topic", "dir": True, "nodes": [node(45, ttl=30), node(77, ttl=60)]}
    cluster.last.answer(200, {"action": "get", "node": top}, Etcd_Index=2000)
    assert result(item) == Message(77, "m77")


def test_nothing_is_said_while_retention_cannot_have_taken_anything(cluster, topic):
    subscription = subscribed(cluster, topic)
    cluster.clock.advance(89)
    item = subscription.next()
    relisted(cluster, 77, index=2000)
    assert result(item) == Message(77, "m77")
    late = subscribed(cluster, topic)
    cluster.clock.advance(91)
    item = late.next()
    relisted(cluster, 77, index=2000)
    assert result(item) == Missed(40, 77)


def test_a_subscription_that_waits_knows_that_nothing_is_missing(cluster, topic):
    subscription = subscribed(cluster, topic)
    item = subscription.next()
    cluster.last.begin(200)
    poll = cluster.last
    for _ in range(9):
        cluster.clock.advance(30)
        cluster.last.answer(200, {"health": "true"})
    assert poll.target.endswith("waitIndex=41&recursive=true")
    cluster.clock.advance(30)
    cluster.last.answer(503, {"health": "false"})
    cluster.clock.advance(0.05)
    relisted(cluster, 77, index=2000)
    assert result(item) == Message(77, "m77")


def test_who_was_stopped_does_not_take_old_news_for_new(cluster, topic):
    """What arrived while it was stopped says nothing of what came after it."""
    subscription = subscribed(cluster, topic)
    item = subscription.next()
    response = cluster.last.begin(200, Etcd_Index=40)
    cluster.clock.advance(200)
    found = {"action": "create", "node": node(43)}
    response.piece(json.dumps(found).encode())
    response.end()
    assert result(item) == Message(43, "m43")
    item = subscription.next()
    relisted(cluster, 77, index=2000)
    assert result(item) == Missed(43, 77)


def test_of_a_number_that_is_kept_fewer_means_that_none_was_taken(cluster, client):
    topic = counted(client, 3)
    subscription = topic.subscribe(after=45)
    item = subscription.next()
    relisted(cluster, 77, 78, index=2000)
    assert result(item) == Message(77, "m77")
    subscription = topic.subscribe(after=45)
    item = subscription.next()
    relisted(cluster, 77, 78, 79, index=2000)
    assert result(item) == Missed(45, 77)


def test_a_loop_over_a_subscription_ends_when_it_is_closed(cluster, topic):
    subscription = subscribed(cluster, topic)
    heard = []

    async def listen():
        async for item in subscription:
            heard.append(item)
        return "ended"

    listening = Deferred.fromCoroutine(listen())
    published(cluster, 43)
    subscription.close()
    assert result(listening) == "ended"
    assert heard == messages(43)
    assert cluster.last.cancelled
    with pytest.raises(Closed):
        result(subscription.next())
    assert not cluster.clock.getDelayedCalls()

    async def again():
        return [item async for item in subscription]

    assert result(Deferred.fromCoroutine(again())) == []


def test_a_subscription_that_is_closed_delivers_nothing_more(cluster, topic):
    subscription = topic.subscribe(after=0)
    item = subscription.next()
    listed(cluster, 7, 8)
    assert result(item) == Message(7, "m7")
    subscription.close()
    with pytest.raises(Closed):
        result(subscription.next())
    assert subscription.position == 7


@pytest.mark.parametrize("after", [None, 0])
def test_a_subscription_that_is_closed_while_it_begins_asks_no_more(
    cluster, topic, after
):
    subscription = topic.subscribe(after=after)
    started = subscription.start()
    cluster.last.refuse()
    subscription.close()
    with pytest.raises(Closed):
        result(started)
    assert not cluster.clock.getDelayedCalls()
    with pytest.raises(Closed):
        result(subscription.start())


def test_who_stops_waiting_misses_nothing(cluster, topic):
    subscription = subscribed(cluster, topic)
    item = subscription.next()
    with pytest.raises(RuntimeError):
        subscription.next()
    item.cancel()
    with pytest.raises(CancelledError):
        result(item)
    item = subscription.next()
    assert "waitIndex=41" in cluster.last.target
    published(cluster, 43)
    assert result(item) == Message(43, "m43")


def test_who_may_not_is_told_so(cluster, topic):
    for subscription in (topic.subscribe(), topic.subscribe(after=0)):
        item = subscription.next()
        cluster.last.answer(401, refusal(110))
        with pytest.raises(Unauthorized):
            result(item)
    for subscription in (topic.subscribe(), topic.durable("bill")):
        item = subscription.next()
        cluster.last.answer(200, b"<html>")
        with pytest.raises(Unknown):
            result(item)


# Durable subscriptions


def position(cluster, text):
    assert cluster.last.target == f"{POSITION}?quorum=true"
    if text is None:
        cluster.last.answer(404, refusal(100, index=40))
    else:
        key = "/topic/_subscribers/bill"
        cluster.last.answer(200, event("get", key, text), Etcd_Index=50)


def saving(cluster, status=200, document=None, **fields):
    assert (cluster.last.method, cluster.last.target) == ("PUT", POSITION)
    said = {
        name: each[0] for name, each in parse_qs(cluster.last.body.decode()).items()
    }
    assert said == fields
    cluster.last.answer(status, document or event())


def test_a_new_name_begins_now_and_its_position_is_kept(cluster, topic):
    subscription = topic.durable("bill")
    started = subscription.start()
    position(cluster, None)
    saving(cluster, value="40", prevExist="false")
    assert result(started) == 40
    assert subscription.saved == 40
    item = subscription.next()
    assert "waitIndex=41" in cluster.last.target
    published(cluster, 43)
    done = subscription.done(result(item))
    saving(cluster, value="43", prevValue="40")
    assert result(done) is None
    assert subscription.saved == 43


def test_a_new_name_may_begin_with_the_oldest(cluster, topic):
    subscription = topic.durable("bill", oldest=True)
    item = subscription.next()
    position(cluster, None)
    saving(cluster, value="0", prevExist="false")
    listed(cluster, 7, 8)
    assert result(item) == Message(7, "m7")


def test_a_known_name_goes_on_where_it_was(cluster, topic):
    subscription = topic.durable("bill", oldest=True)
    item = subscription.next()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    position(cluster, "43")
    assert "waitIndex=44" in cluster.last.target
    published(cluster, 45)
    assert result(item) == Message(45, "m45")


def test_a_known_name_is_told_of_what_it_may_have_missed(cluster, topic):
    subscription = topic.durable("bill")
    item = subscription.next()
    position(cluster, "43")
    relisted(cluster, 77, index=2000)
    missed = result(item)
    assert missed == Missed(43, 77)
    done = subscription.done(missed)
    saving(cluster, value="76", prevValue="43")
    assert result(done) is None


def test_two_that_begin_under_a_name_have_one_position(cluster, topic):
    started = topic.durable("bill").start()
    position(cluster, None)
    saving(cluster, 412, refusal(105), value="40", prevExist="false")
    position(cluster, "38")
    assert result(started) == 38


def test_a_position_whose_answer_was_lost_is_found(cluster, topic):
    started = topic.durable("bill").start()
    position(cluster, None)
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    position(cluster, "40")
    assert result(started) == 40


def test_what_is_done_is_saved_in_spite_of_failures(cluster, topic):
    subscription = topic.durable("bill")
    subscription.start()
    position(cluster, "40")
    done = subscription.done(Message(43, ""))
    later = subscription.done(Message(50, ""))
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    saving(cluster, 412, refusal(101), value="43", prevValue="40")
    position(cluster, "43")
    assert result(done) is None
    saving(cluster, 412, refusal(101), value="50", prevValue="43")
    position(cluster, "43")
    saving(cluster, value="50", prevValue="43")
    assert result(later) is None
    asked = len(cluster.asked)
    assert result(subscription.done(Message(47, ""))) is None
    assert len(cluster.asked) == asked


@pytest.mark.parametrize("found", ["60", None, "x"])
def test_a_position_that_somebody_else_saved_is_noticed(cluster, topic, found):
    subscription = topic.durable("bill")
    subscription.start()
    position(cluster, "40")
    done = subscription.done(Message(43, ""))
    saving(cluster, 412, refusal(101), value="43", prevValue="40")
    position(cluster, found)
    with pytest.raises(PositionLost):
        result(done)


def test_a_position_of_another_cluster_is_refused(cluster, topic):
    """What was imported: nothing would be heard until the index has come so far."""
    started = topic.durable("bill").start()
    position(cluster, "51")
    with pytest.raises(PositionLost):
        result(started)


def test_a_position_that_is_no_number_is_refused(cluster, topic):
    started = topic.durable("bill").start()
    position(cluster, "x")
    with pytest.raises(PositionLost):
        result(started)
    done = topic.durable("bill").done(Message(43, ""))
    cluster.last.answer(401, refusal(110))
    with pytest.raises(KeysError):
        result(done)
    done = topic.durable("bill").done(Message(43, ""))
    cluster.last.answer(200, b"<html>")
    with pytest.raises(Unknown):
        result(done)


def test_a_name_can_be_forgotten(cluster, topic):
    for status, document in ((200, event("delete")), (404, refusal(100))):
        forgotten = topic.forget("bill")
        assert (cluster.last.method, cluster.last.target) == ("DELETE", POSITION)
        cluster.last.answer(status, document)
        assert result(forgotten) is None
    with pytest.raises(ValueError, match="cannot be a name"):
        topic.durable("a/b")
