"""A directory that is followed: its keys after each change."""

import pytest
from twisted.internet.defer import Deferred

from kvd.client import Closed
from kvd.client.recipes.followed import Followed
from tests.client.cluster import A, Cluster, event, refusal, result


@pytest.fixture
def cluster():
    return Cluster()


def listed(cluster, *nodes, index=10):
    node = {"key": "/d", "dir": True, "nodes": list(nodes)}
    cluster.last.answer(200, {"action": "get", "node": node}, Etcd_Index=index)


def key(name, **more):
    return {"key": f"/d/{name}", "value": "v", "modifiedIndex": 3, **more}


def begun(cluster, *, deep=True):
    followed = Followed(cluster.client(A), "d/", deep=deep)
    beginning = Deferred.fromCoroutine(followed.begin())
    asked = (
        "/v2/keys/d?recursive=true&quorum=true" if deep else "/v2/keys/d?quorum=true"
    )
    assert cluster.last.target == asked
    inner = {"key": "/d/in", "dir": True, "nodes": [key("in/x"), key("in/y")]}
    listed(cluster, key("a"), inner if deep else {**inner, "nodes": []})
    assert result(beginning) is None
    return followed


def changed(cluster, followed, document, status=200):
    changing = followed.change()
    cluster.last.answer(status, document)
    return changing


def test_it_has_what_is_there_and_then_what_changes(cluster):
    followed = begun(cluster)
    assert set(followed.nodes) == {"/d/a", "/d/in/x", "/d/in/y"}
    result(changed(cluster, followed, event("create", "/d/in/z", index=11)))
    assert cluster.last.target == "/v2/keys/d?wait=true&waitIndex=11&recursive=true"
    result(changed(cluster, followed, event("delete", "/d/in/x", None, 12)))
    assert set(followed.nodes) == {"/d/a", "/d/in/y", "/d/in/z"}


@pytest.mark.parametrize(
    ("gone", "left"), [("/d/in", {"/d/a"}), ("/d", set()), ("/", set())]
)
def test_what_is_below_a_directory_is_gone_with_it(cluster, gone, left):
    followed = begun(cluster)
    result(changed(cluster, followed, event("delete", gone, None, 11, dir=True)))
    assert set(followed.nodes) == left


@pytest.mark.parametrize("name", ["/d", "/d/in"])
def test_a_directory_that_is_given_a_time_to_live_keeps_what_is_in_it(cluster, name):
    followed = begun(cluster)
    result(changed(cluster, followed, event("update", name, None, 11, dir=True)))
    assert set(followed.nodes) == {"/d/a", "/d/in/x", "/d/in/y"}


def test_a_key_that_becomes_a_directory_has_no_value_any_more(cluster):
    followed = begun(cluster)
    result(changed(cluster, followed, event("set", "/d/a", None, 11, dir=True)))
    assert set(followed.nodes) == {"/d/in/x", "/d/in/y"}


def test_only_what_is_directly_in_it_unless_it_is_deep(cluster):
    followed = begun(cluster, deep=False)
    result(changed(cluster, followed, event("create", "/d/in/z", index=11)))
    result(changed(cluster, followed, event("create", "/d/b", index=12)))
    assert set(followed.nodes) == {"/d/a", "/d/b"}
    changing = changed(cluster, followed, refusal(401, index=2000), 400)
    inner = {"key": "/d/in", "dir": True, "nodes": [key("in/x")]}
    listed(cluster, key("c"), inner, index=2000)
    result(changing)
    assert set(followed.nodes) == {"/d/c"}


def test_it_cannot_change_before_it_has_begun(cluster):
    with pytest.raises(RuntimeError, match="begun"):
        Followed(cluster.client(A), "/d").change()


def test_who_waits_for_a_change_is_told_that_it_was_closed(cluster):
    followed = begun(cluster)
    changing = followed.change()
    followed.close()
    with pytest.raises(Closed):
        result(changing)
