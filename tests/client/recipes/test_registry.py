"""The registry: who is in the list, and what those are told who should be."""

import gc
import json
import weakref
from urllib.parse import parse_qs

import pytest
from twisted.internet.defer import CancelledError

from kvd.client import BadAnswer, Closed, Limits, TooMany, Unauthorized
from kvd.client.recipes import Instance, Replaced, ServiceRegistry
from tests.client.cluster import A, B, event, refusal, result, waiting

TTL = 30
KEY = "/v2/keys/services/web/w1"
LIST = "/v2/keys/services/web?quorum=true"


@pytest.fixture
def registry(cluster):
    names = iter(["s1", "s2", "s3"])
    client = cluster.client(A, limits=Limits(silent_seconds=1e6))
    return ServiceRegistry(client, ttl=TTL, unique=lambda: next(names))


def value(session="s1", address="10.0.0.1:80", **metadata):
    said = {"address": address, "metadata": metadata, "session": session}
    return json.dumps(said, separators=(",", ":"))


def node(name, index, address=None, text=None, **more):
    text = value("s", address or f"{name}:80") if text is None else text
    found = {"key": f"/services/web/{name}", "value": text}
    return {**found, "modifiedIndex": index, "createdIndex": index, **more}


def read(cluster, text=None, index=5):
    """What a registration finds at its key."""
    assert (cluster.last.method, cluster.last.target) == ("GET", f"{KEY}?quorum=true")
    if text is None:
        cluster.last.answer(404, refusal(100))
    else:
        cluster.last.answer(200, event("get", KEY[8:], text, index))


def written(cluster, status=201, document=None, **fields):
    assert (cluster.last.method, cluster.last.target) == ("PUT", KEY)
    said = {name: texts[0] for name, texts in parse_qs(form(cluster)).items()}
    assert said == {"ttl": "30", **fields}
    cluster.last.answer(status, document or event("create", KEY[8:]))


def form(cluster):
    return cluster.last.body.decode()


def created(cluster, text=None, **answer):
    written(cluster, value=text or value(), prevExist="false", **answer)


def refreshed(cluster, index=5, **answer):
    fields = {"refresh": "true", "prevExist": "true", "prevValue": value()}
    written(cluster, **answer, **fields, prevIndex=str(index))


def registered(cluster, registry):
    registering = registry.register("web", "w1", "10.0.0.1:80")
    read(cluster)
    created(cluster)
    return result(registering)


def listed(cluster, *nodes, index=50):
    assert cluster.last.target == LIST
    folder = {"key": "/services/web", "dir": True, "nodes": list(nodes)}
    cluster.last.answer(200, {"action": "get", "node": folder}, Etcd_Index=index)


def happened(cluster, action, changed, index):
    assert "wait=true" in cluster.last.target
    found = {**changed, "modifiedIndex": index}
    cluster.last.answer(200, {"action": action, "node": found}, Etcd_Index=index)


# Registering


def test_who_registers_makes_a_key_of_its_own(cluster, registry):
    registering = registry.register("web", "w1", "10.0.0.1:80", {"zone": "a"})
    read(cluster)
    created(cluster, value(zone="a"))
    registration = result(registering)
    assert registration.is_registered
    assert registration.instance == Instance("w1", "10.0.0.1:80", {"zone": "a"})
    assert result(registration.when_registered()) is None


def test_it_is_kept_alive(cluster, registry):
    registration = registered(cluster, registry)
    lost = registration.when_lost()
    for _ in range(10):
        cluster.clock.advance(10)
        refreshed(cluster)
    assert registration.is_registered
    assert waiting(lost)


def test_who_starts_anew_takes_the_place_of_what_is_left_of_it(cluster, registry):
    registering = registry.register("web", "w1", "10.0.0.1:80")
    read(cluster, value("older"), index=7)
    written(cluster, value=value(), prevIndex="7")
    assert result(registering).is_registered


def test_a_place_is_taken_only_from_whom_was_seen_there(cluster, registry):
    """Whatever was written meanwhile is looked at first."""
    registering = registry.register("web", "w1", "10.0.0.1:80")
    read(cluster, value("older"), index=7)
    taken = {"value": value(), "prevIndex": "7"}
    written(cluster, 412, refusal(101), **taken)
    cluster.clock.advance(0.2)
    read(cluster)
    created(cluster, status=412, document=refusal(105))
    cluster.clock.advance(0.2)
    assert waiting(registering)
    read(cluster, value("newer"), index=9)
    written(cluster, value=value(), prevIndex="9")
    assert result(registering).is_registered


def test_who_stops_is_taken_out_though_nobody_waits_for_it_any_more(cluster, registry):
    stopping = registered(cluster, registry).stop()
    stopping.cancel()
    with pytest.raises(CancelledError):
        result(stopping)
    assert cluster.last.method == "DELETE"
    assert not cluster.last.cancelled
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    assert cluster.last.method == "DELETE"
    cluster.last.answer(200, event("compareAndDelete"))
    assert not cluster.clock.getDelayedCalls()


def test_who_no_longer_wants_to_know_is_not_remembered(cluster, registry):
    registration = registered(cluster, registry)
    asked = []

    def listen(heard):
        heard.addErrback(lambda _: None).cancel()
        asked.append(weakref.ref(heard))

    listen(registration.when_lost())
    cluster.clock.advance(10)
    cluster.last.answer(404, refusal(100))
    listen(registration.when_registered())
    gc.collect()
    assert [each() for each in asked] == [None, None]


def test_a_registration_lives_through_failures(cluster, registry):
    registering = registry.register("web", "w1", "10.0.0.1:80")
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    read(cluster)
    cluster.last.break_off()
    cluster.clock.advance(0.2)
    read(cluster, value())
    refreshed(cluster)
    assert result(registering).is_registered


def test_who_may_not_register_is_told_so(cluster, registry):
    registering = registry.register("web", "w1", "10.0.0.1:80")
    cluster.last.answer(401, refusal(110))
    with pytest.raises(Unauthorized):
        result(registering)
    registering = registry.register("web", "w1", "10.0.0.1:80")
    cluster.last.answer(200, b"<html>")
    with pytest.raises(BadAnswer):
        result(registering)
    assert not cluster.clock.getDelayedCalls()


def test_who_loses_its_key_is_told_and_registered_again(cluster, registry):
    registration = registered(cluster, registry)
    lost = registration.when_lost()
    cluster.clock.advance(10)
    refreshed(cluster, status=404, document=refusal(100))
    assert result(lost) == "its key is gone"
    assert result(registration.when_lost()) == "its key is gone"
    again = registration.when_registered()
    assert not registration.is_registered
    read(cluster)
    created(cluster)
    assert result(again) is None
    assert registration.is_registered
    cluster.clock.advance(10)
    refreshed(cluster)


def test_who_cannot_reach_anybody_is_told_before_others_miss_it(cluster, registry):
    registration = registered(cluster, registry)
    lost = registration.when_lost()
    cluster.clock.advance(10)
    while not lost.called:
        cluster.last.refuse()
        cluster.clock.advance(0.2)
    assert 26 < cluster.clock.seconds() <= 27.2
    assert result(lost) == "it could not be kept alive"
    again = registration.when_registered()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    # It may still be there.
    read(cluster, value())
    refreshed(cluster)
    assert result(again) is None


def test_a_refusal_is_outlived_once_it_was_registered(cluster, registry):
    registration = registered(cluster, registry)
    cluster.clock.advance(10)
    refreshed(cluster, status=404, document=refusal(100))
    cluster.last.answer(401, refusal(110, "no rights"))
    assert "no rights" in result(registration.when_lost())
    cluster.clock.advance(0.2)
    read(cluster)
    created(cluster)
    assert registration.is_registered


def test_who_is_replaced_is_told_and_does_not_come_back(cluster, registry):
    registration = registered(cluster, registry)
    cluster.clock.advance(10)
    refreshed(cluster, status=412, document=refusal(101))
    read(cluster, value("newer"))
    again = registration.when_registered()
    read(cluster, value("newer"))
    with pytest.raises(Replaced):
        result(again)
    with pytest.raises(Replaced):
        result(registration.when_registered())
    assert registration.is_over
    assert "somebody else" in result(registration.when_lost())
    assert not cluster.clock.getDelayedCalls()
    result_of_stop = registration.stop()
    assert cluster.last.method == "DELETE"
    cluster.last.answer(412, refusal(101))
    assert result(result_of_stop) is None


def test_who_stops_removes_its_own_key(cluster, registry):
    registration = registered(cluster, registry)
    lost = registration.when_lost()
    stopped = registration.stop()
    assert result(lost) == "it was stopped"
    assert cluster.last.method == "DELETE"
    assert "prevValue" in cluster.last.target
    cluster.last.answer(200, event("compareAndDelete"))
    assert result(stopped) is None
    assert registration.is_over
    with pytest.raises(Closed):
        result(registration.when_registered())
    assert not cluster.clock.getDelayedCalls()


def test_who_stops_while_it_is_lost_removes_what_may_have_been_made(cluster, registry):
    registration = registered(cluster, registry)
    cluster.clock.advance(10)
    refreshed(cluster, status=404, document=refusal(100))
    again = registration.when_registered()
    stopped = registration.stop()
    with pytest.raises(Closed):
        result(again)
    assert cluster.last.method == "DELETE"
    cluster.last.answer(404, refusal(100))
    assert result(stopped) is None
    assert not cluster.clock.getDelayedCalls()


def test_who_gives_up_while_it_registers_removes_what_may_have_been_made(
    cluster, registry
):
    registering = registry.register("web", "w1", "10.0.0.1:80")
    read(cluster)
    registering.cancel()
    with pytest.raises(CancelledError):
        result(registering)
    assert cluster.last.method == "DELETE"
    cluster.last.answer(404, refusal(100))
    assert not cluster.clock.getDelayedCalls()


def test_a_registration_ends_with_its_client(cluster):
    client = cluster.client(A)
    registration = registered(
        cluster, ServiceRegistry(client, ttl=TTL, unique=lambda: "s1")
    )
    client.close()
    cluster.clock.advance(10)
    cluster.clock.pump([0.2] * 100)
    assert registration.is_over
    assert not cluster.clock.getDelayedCalls()


@pytest.mark.parametrize(
    "wrong",
    [
        ("we/b", "w1", "a:1"),
        ("web", "_w", "a:1"),
        ("web", "..", "a:1"),
        ("web", "", "a:1"),
        ("web", "w1", ""),
        ("web", "w1", "a b"),
    ],
)
def test_what_nobody_could_find_is_refused(registry, wrong):
    with pytest.raises(ValueError, match="cannot be"):
        registry.register(*wrong)
    with pytest.raises(ValueError, match="texts"):
        registry.register("web", "w1", "a:1", {"weight": 3})


# Listing


def test_the_list_is_there_when_it_has_started(cluster, registry):
    instances = registry.instances("web")
    assert (instances.now, instances.age_seconds) == ((), float("inf"))
    started = instances.start()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    assert waiting(started)
    listed(cluster, node("w2", 9), node("w1", 7), node("d", 3, dir=True))
    assert result(started) is None
    assert instances.now == (Instance("w1", "w1:80"), Instance("w2", "w2:80"))
    assert instances.index == 50


def test_every_list_that_differs_is_told_once(cluster, registry):
    told = []
    instances = registry.instances("web", lambda now: told.append([e.id for e in now]))
    instances.start()
    listed(cluster, node("w1", 7), index=50)
    happened(cluster, "create", node("w2", 51), 51)
    # The same one, registered again, and one that registers what was known.
    again = node("w2", 52, text=value("another", "w2:80"))
    happened(cluster, "compareAndSwap", again, 52)
    happened(cluster, "expire", node("w1", 53), 53)
    assert told == [["w1"], ["w1", "w2"], ["w2"]]
    assert instances.index == 53
    happened(cluster, "delete", {"key": "/services", "dir": True}, 54)
    assert told[3:] == [[]]


def test_a_list_after_lost_history_is_told_if_it_differs(cluster, registry):
    told = []
    instances = registry.instances("web", told.append)
    instances.start()
    listed(cluster, node("w1", 7))
    relist = f"{LIST}&recursive=true&sorted=true"
    for nodes, index in (([node("w1", 7)], 2000), ([node("w3", 9)], 4000)):
        cluster.last.answer(400, refusal(401, index=index))
        assert cluster.last.target == relist
        folder = {"key": "/services/web", "dir": True, "nodes": nodes}
        answer = {"action": "get", "node": folder}
        cluster.last.answer(200, answer, Etcd_Index=index)
    assert [[each.id for each in now] for now in told] == [["w1"], ["w3"]]
    assert instances.index == 4000


def test_a_list_says_how_old_it_is(cluster):
    client = cluster.client(A, B, limits=Limits(silent_seconds=20, request_seconds=5))
    instances = ServiceRegistry(client).instances("web")
    instances.start()
    cluster.clock.advance(1)
    listed(cluster, node("w1", 7), index=50)
    assert instances.age_seconds == 1
    cluster.last.begin(200, Etcd_Index=50)
    cluster.clock.advance(20)
    cluster.last.answer(200, {"health": "true"})
    assert instances.age_seconds == 0
    # Now nobody answers: the list stays, and grows older.
    cluster.clock.advance(20)
    cluster.last.answer(503, {"health": "false"})
    for _ in range(30):
        cluster.clock.advance(5)
        if not cluster.last.outcome.called:
            cluster.last.refuse()
    assert [each.id for each in instances.now] == ["w1"]
    assert instances.age_seconds == 170
    cluster.clock.advance(5)
    assert "waitIndex=51" in cluster.last.target
    happened(cluster, "create", node("w2", 51), 51)
    assert instances.age_seconds == 175, "it may have been told late"
    cluster.last.begin(200)
    cluster.clock.advance(20)
    cluster.last.answer(200, {"health": "true"})
    assert instances.age_seconds == 0
    assert [each.id for each in instances.now] == ["w1", "w2"]


def test_what_no_registration_wrote_is_left_out_and_named(cluster, registry):
    instances = registry.instances("web")
    instances.start()
    odd = ["", "[]", "{}", '{"address": 3}', '{"address": "a", "metadata": {"b": 1}}']
    nodes = [node(f"x{number}", 3, text=text) for number, text in enumerate(odd)]
    listed(cluster, *nodes, node("w1", 7))
    assert [each.id for each in instances.now] == ["w1"]
    assert instances.unreadable == tuple(f"/services/web/x{each}" for each in range(5))


def test_a_list_that_may_not_be_read_is_refused_and_can_be_started_again(
    cluster, registry
):
    instances = registry.instances("web")
    started = instances.start()
    cluster.last.answer(401, refusal(110))
    with pytest.raises(Unauthorized):
        result(started)
    started = instances.start()
    listed(cluster, node("w1", 7))
    assert result(started) is None
    with pytest.raises(RuntimeError):
        instances.start()


def test_a_list_outlives_a_refusal_and_says_that_there_is_one(
    cluster, registry, logged_warnings
):
    instances = registry.instances("web")
    instances.start()
    listed(cluster, node("w1", 7))
    cluster.last.answer(401, refusal(110))
    assert isinstance(instances.problem, Unauthorized)
    cluster.clock.advance(5)
    cluster.last.answer(401, refusal(110))
    assert [each.id for each in instances.now] == ["w1"]
    assert instances.age_seconds == 5
    cluster.clock.advance(5)
    listed(cluster, node("w2", 9))
    assert instances.problem is None
    assert [each.id for each in instances.now] == ["w2"]
    assert instances.age_seconds == 0
    assert len(logged_warnings) == 1


def test_a_list_has_a_limit(cluster):
    registry = ServiceRegistry(cluster.client(A), instances_max=2)
    instances = registry.instances("web")
    started = instances.start()
    listed(cluster, *(node(f"w{each}", 7) for each in range(3)))
    with pytest.raises(TooMany):
        result(started)
    started = instances.start()
    listed(cluster, *(node(f"w{each}", 7) for each in range(2)))
    happened(cluster, "create", node("w9", 51), 51)
    assert isinstance(instances.problem, TooMany)
    assert len(instances.now) == 2


def test_a_listener_that_fails_stops_nothing(cluster, registry, logged_failures):
    def hear(now):
        raise LookupError(len(now))

    instances = registry.instances("web", hear)
    instances.start()
    listed(cluster, node("w1", 7))
    happened(cluster, "create", node("w2", 51), 51)
    assert len(instances.now) == 2
    assert [each.type for each in logged_failures] == [LookupError, LookupError]
    logged_failures.clear()


def test_a_list_that_is_closed_stays_and_asks_no_more(cluster, registry):
    instances = registry.instances("web")
    started = instances.start()
    instances.close()
    with pytest.raises(Closed):
        result(started)
    assert not cluster.clock.getDelayedCalls()
    started = instances.start()
    listed(cluster, node("w1", 7))
    instances.close()
    assert cluster.last.cancelled
    assert [each.id for each in instances.now] == ["w1"]
    assert not cluster.clock.getDelayedCalls()


def test_a_list_may_be_closed_by_who_listens_to_it(cluster, registry):
    instances = registry.instances("web", lambda _: instances.close())
    started = instances.start()
    listed(cluster, node("w1", 7))
    with pytest.raises(Closed):
        result(started)
    assert not cluster.clock.getDelayedCalls()


def test_a_start_that_is_cancelled_asks_no_more(cluster, registry):
    started = registry.instances("web").start()
    cluster.last.refuse()
    started.cancel()
    with pytest.raises(CancelledError):
        result(started)
    assert not cluster.clock.getDelayedCalls()
