"""A live configuration: what it shows, what it says, and what it refuses."""

import json

import pytest

from kvd.client import Limits, TooMany, Unauthorized
from kvd.client.recipes import Absent, ConfigWatcher
from tests.client.cluster import A, refusal, result, waiting

LIST = "/v2/keys/config/web?recursive=true&quorum=true"


@pytest.fixture
def client(cluster):
    return cluster.client(A, limits=Limits(silent_seconds=30))


def node(name, value, index, **more):
    found = {"key": f"/config/web/{name}", "modifiedIndex": index}
    return {**found, "value": value, "createdIndex": index, **more}


def folder(name, *nodes):
    return {"key": f"/config/web/{name}", "dir": True, "nodes": list(nodes)}


def listed(cluster, *nodes, index=50):
    assert cluster.last.target == LIST
    relisted(cluster, *nodes, index=index)


def relisted(cluster, *nodes, index):
    top = {"key": "/config/web", "dir": True, "nodes": list(nodes)}
    cluster.last.answer(200, {"action": "get", "node": top}, Etcd_Index=index)


def happened(cluster, action, changed, index):
    assert "wait=true" in cluster.last.target
    found = {**changed, "modifiedIndex": index}
    cluster.last.answer(200, {"action": action, "node": found}, Etcd_Index=index)


class Listener:
    """What a program is told."""

    def __init__(self):
        self.told = []

    def __call__(self, settings, changes):
        self.told.append((settings.index, *((c.name, c.old, c.new) for c in changes)))


def test_it_is_a_mapping_of_what_is_below(cluster, client):
    config = ConfigWatcher(client, "/config/web/")
    started = config.start()
    pool = folder("pool", node("pool/size", "4", 8))
    listed(cluster, node("name", "a", 7), pool, folder("empty"))
    assert result(started) is None
    assert dict(config) == {"name": "a", "pool/size": "4"}
    assert (len(config), "name" in config, "pool" in config) == (2, True, False)
    assert config.get("other", "none") == "none"
    assert config.index == 50


def test_a_directory_that_is_not_there_is_empty(cluster, client):
    config = ConfigWatcher(client, "/config/web")
    started = config.start()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    assert waiting(started)
    cluster.last.answer(404, refusal(100, index=40))
    assert result(started) is None
    assert (dict(config), config.index) == ({}, 40)
    happened(cluster, "create", node("a", "1", 41), 41)
    assert dict(config) == {"a": "1"}


def test_every_change_is_told_with_old_and_new(cluster, client):
    listener = Listener()
    config = ConfigWatcher(client, "/config/web", changed=listener)
    config.start()
    listed(cluster, node("a", "1", 7), node("d/x", "2", 8), node("d/y", "3", 9))
    happened(cluster, "set", node("a", "5", 51), 51)
    happened(cluster, "set", node("a", "5", 52), 52)  # the same: nothing to tell
    happened(cluster, "create", node("b", "6", 53), 53)
    happened(cluster, "delete", folder("d"), 54)
    absent = Absent.ABSENT
    assert listener.told == [
        (50, ("a", absent, "1"), ("d/x", absent, "2"), ("d/y", absent, "3")),
        (51, ("a", "1", "5")),
        (53, ("b", absent, "6")),
        (54, ("d/x", "2", absent), ("d/y", "3", absent)),
    ]
    assert config.index == 54
    assert dict(config) == {"a": "5", "b": "6"}


def test_settings_stay_as_they_were_at_their_index(cluster, client):
    config = ConfigWatcher(client, "/config/web")
    config.start()
    listed(cluster, node("a", "1", 7))
    before = config.settings
    happened(cluster, "set", node("a", "2", 51), 51)
    assert (before.index, dict(before.values)) == (50, {"a": "1"})
    assert (config.settings.index, config["a"]) == (51, "2")
    with pytest.raises(TypeError):
        before.values["a"] = "3"


def test_defaults_stand_in_for_what_is_not_there(cluster, client):
    listener = Listener()
    config = ConfigWatcher(
        client,
        "/config/web",
        decode=json.loads,
        defaults={"size": 4, "name": None},
        changed=listener,
    )
    assert dict(config) == {"size": 4, "name": None}
    assert (config.index, config.age_seconds) == (0, float("inf"))
    config.start()
    listed(cluster, node("size", "4", 7))
    happened(cluster, "set", node("size", "5", 51), 51)
    happened(cluster, "set", node("name", "null", 52), 52)
    happened(cluster, "expire", node("size", None, 53), 53)
    assert listener.told == [(51, ("size", 4, 5)), (53, ("size", 5, 4))]
    assert dict(config) == {"size": 4, "name": None}


def small(name, value):
    if value > 9:
        raise ValueError(f"{name} is at most 9")


def test_a_bad_value_keeps_the_old_one_and_is_reported(cluster, client):
    listener, reported = Listener(), []
    config = ConfigWatcher(
        client,
        "/config/web",
        decode=json.loads,
        defaults={"b": 1},
        validate=small,
        changed=listener,
        refused=lambda *said: reported.append(said),
    )
    config.start()
    listed(cluster, node("a", "1", 7), node("b", "{", 8))
    assert dict(config) == {"a": 1, "b": 1}
    happened(cluster, "set", node("a", "10", 51), 51)
    assert (config["a"], config.index) == (1, 51)
    assert config.refused["a"] == "ValueError: a is at most 9"
    assert [name for name, _ in reported] == ["b", "a"]
    assert reported[0][1].startswith("JSONDecodeError")
    happened(cluster, "set", node("a", "9", 52), 52)
    happened(cluster, "set", node("a", "[]", 53), 53)
    assert config["a"] == 9
    assert config.refused["a"].startswith("TypeError")
    happened(cluster, "delete", node("a", None, 54), 54)
    assert dict(config) == {"b": 1}
    assert list(config.refused) == ["b"]
    assert [each[0] for each in listener.told] == [50, 52, 54]


def test_a_bad_value_is_logged_if_nobody_is_to_be_told(
    cluster, client, logged_warnings
):
    config = ConfigWatcher(client, "/config/web", decode=int)
    config.start()
    listed(cluster, node("a", "secret", 7))
    (event,) = logged_warnings
    assert "secret" not in str({**event, "log_logger": None})
    assert event["name"] == "a"


def test_lost_history_changes_all_at_once(cluster, client):
    listener, reported = Listener(), []
    config = ConfigWatcher(
        client,
        "/config/web",
        decode=int,
        changed=listener,
        refused=lambda *said: reported.append(said),
    )
    config.start()
    listed(cluster, node("a", "1", 7), node("b", "2", 8), node("x", "no", 9))
    cluster.last.answer(400, refusal(401, index=2000))
    same = node("x", "no", 9, ttl=3)
    relisted(cluster, node("a", "5", 1500), node("c", "6", 1600), same, index=2000)
    assert listener.told[1:] == [
        (2000, ("a", 1, 5), ("b", 2, Absent.ABSENT), ("c", Absent.ABSENT, 6))
    ]
    assert dict(config) == {"a": 5, "c": 6}
    assert len(reported) == 1, "what is known to be bad is not news"


def test_it_stays_and_grows_older_while_nobody_answers(cluster, client):
    config = ConfigWatcher(client, "/config/web")
    config.start()
    listed(cluster, node("a", "1", 7))
    for seconds in (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0):
        cluster.last.refuse()
        cluster.clock.advance(seconds)
    assert config["a"] == "1"
    assert config.age_seconds == 13.75
    happened(cluster, "set", node("a", "2", 51), 51)
    # Whoever tells of it may have heard of it late.
    assert (config["a"], config.age_seconds) == ("2", 13.75)
    cluster.last.begin(200)
    cluster.clock.advance(30)
    cluster.last.answer(200, {"health": "true"})
    assert config.age_seconds == 0


def test_who_listens_sees_what_it_is_told_of(cluster, client, logged_failures):
    seen = []

    def hear(settings, changes):
        seen.append((config.settings is settings, dict(config)))
        raise LookupError(str(changes))

    config = ConfigWatcher(client, "/config/web", changed=hear)
    config.start()
    listed(cluster, node("a", "1", 7), node("b", "2", 7))
    happened(cluster, "set", node("a", "2", 51), 51)
    assert seen == [(True, {"a": "1", "b": "2"}), (True, {"a": "2", "b": "2"})]
    assert len(logged_failures) == 2
    logged_failures.clear()


def test_it_has_a_limit(cluster, client):
    config = ConfigWatcher(client, "/config/web", keys_max=1)
    started = config.start()
    listed(cluster, node("a", "1", 7), node("b", "2", 7))
    with pytest.raises(TooMany):
        result(started)
    config.start()
    listed(cluster, node("a", "1", 7))
    happened(cluster, "set", node("b", "2", 51), 51)
    assert isinstance(config.problem, TooMany)
    assert dict(config) == {"a": "1"}
    cluster.clock.advance(5)
    listed(cluster, node("b", "2", 51), index=60)
    assert dict(config) == {"b": "2"}
    assert config.problem is None


def test_a_refusal_does_not_make_it_older_than_it_is(cluster, client):
    config = ConfigWatcher(client, "/config/web")
    config.start()
    listed(cluster, node("a", "1", 7))
    response = cluster.last.begin(401)
    cluster.clock.advance(30)
    cluster.last.answer(200, {"health": "true"})
    cluster.clock.advance(2)
    response.piece(json.dumps(refusal(110)).encode())
    response.end()
    assert isinstance(config.problem, Unauthorized)
    assert config.age_seconds == 2
    cluster.clock.advance(5)
    cluster.last.answer(401, refusal(110))
    assert config.age_seconds == 7


def test_it_may_be_closed_and_stays(cluster, client):
    config = ConfigWatcher(client, "/")
    config.start()
    assert cluster.last.target == "/v2/keys/?recursive=true&quorum=true"
    top = {"dir": True, "nodes": [{"key": "/a", "value": "1", "modifiedIndex": 7}]}
    cluster.last.answer(200, {"action": "get", "node": top}, Etcd_Index=50)
    config.close()
    assert dict(config) == {"a": "1"}
    assert not cluster.clock.getDelayedCalls()
