"""An election: who leads, and what those are told who want to know."""

import pytest
from twisted.internet.defer import Deferred

from kvd.client import Closed
from kvd.client.recipes import Election, Leader
from tests.client.cluster import A, Cluster, refusal, result, waiting


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def election(cluster):
    return Election(cluster.client(A), "/elect/", unique=lambda: "u")


def key(index, name, **more):
    return {
        "key": f"/elect/{index}",
        "value": f"u{index} {name}",
        "createdIndex": index,
        "modifiedIndex": index,
        **more,
    }


def listed(cluster, *nodes, index=50):
    assert cluster.last.target.startswith("/v2/keys/elect?quorum=true")
    node = {"key": "/elect", "dir": True, "nodes": list(nodes)}
    cluster.last.answer(200, {"action": "get", "node": node}, Etcd_Index=index)


def happened(cluster, action, node, index):
    expected = "/v2/keys/elect?wait=true"
    assert cluster.last.target.startswith(expected)
    cluster.last.answer(
        200, {"action": action, "node": {**node, "modifiedIndex": index}}
    )


def test_a_candidate_says_its_name_and_leads_when_it_is_first(cluster, election):
    campaign = election.campaign("ann the first")
    assert cluster.last.body == b"value=u+ann+the+first&ttl=30"
    node = {**key(7, ""), "value": "u ann the first"}
    cluster.last.answer(201, {"action": "create", "node": node})
    listed(cluster, node)
    assert result(campaign).token == 7


def test_who_leads_can_be_asked(cluster, election):
    asked = election.leader()
    listed(cluster, key(9, "bo"), key(7, "ann lee"), key(3, "", dir=True))
    assert result(asked) == Leader("ann lee", 7)
    asked = election.leader()
    listed(cluster)
    assert result(asked) is None
    asked = election.leader()
    cluster.last.answer(404, refusal(100))
    assert result(asked) is None


def test_an_observer_is_told_of_every_leader_once(cluster, election):
    observer = election.observe()
    first = observer.next()
    listed(cluster, key(9, "bo"), key(7, "ann"), index=50)
    assert result(first) == Leader("ann", 7)
    second = observer.next()
    assert cluster.last.target.endswith("waitIndex=51&recursive=true")
    happened(cluster, "create", key(51, "cy"), 51)
    happened(cluster, "expire", key(51, ""), 52)
    assert waiting(second)
    happened(cluster, "delete", key(7, ""), 53)
    assert result(second) == Leader("bo", 9)
    third = observer.next()
    happened(cluster, "compareAndDelete", key(9, ""), 54)
    assert result(third) is None
    fourth = observer.next()
    happened(cluster, "create", key(55, "di"), 55)
    assert result(fourth) == Leader("di", 55)
    fifth = observer.next()
    happened(cluster, "set", {"key": "/elect/sub/x", "value": "u x"}, 56)
    assert waiting(fifth)
    happened(cluster, "delete", {"key": "/elect", "dir": True}, 57)
    assert result(fifth) is None


def test_an_observer_begins_when_there_is_nobody_and_nothing(cluster, election):
    first = election.observe().next()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    cluster.last.answer(404, refusal(100, index=40))
    assert result(first) is None


def test_when_history_is_lost_the_present_leader_is_told(cluster, election):
    observer = election.observe()
    first = observer.next()
    listed(cluster, key(7, "ann"))
    assert result(first) == Leader("ann", 7)
    second = observer.next()
    cluster.last.answer(400, refusal(401, index=2000))
    listed(cluster, key(99, "zoe"), index=2000)
    assert result(second) == Leader("zoe", 99)


def test_a_loop_over_an_observer_ends_when_it_is_closed(cluster, election):
    observer = election.observe()
    seen = []

    async def look():
        async for leader in observer:
            seen.append(leader)
        return "ended"

    looking = Deferred.fromCoroutine(look())
    listed(cluster, key(7, "ann"))
    observer.close()
    assert result(looking) == "ended"
    assert seen == [Leader("ann", 7)]
    with pytest.raises(Closed):
        result(observer.next())


def test_an_observer_that_is_closed_before_it_began_asks_nothing(cluster, election):
    observer = election.observe()
    observer.close()
    with pytest.raises(Closed):
        result(observer.next())
    assert not cluster.asked


def test_an_observer_that_is_closed_while_it_begins_does_not_wait(cluster, election):
    observer = election.observe()
    first = observer.next()
    observer.close()
    listed(cluster, key(7, "ann"))
    assert result(first) == Leader("ann", 7)
    with pytest.raises(Closed):
        result(observer.next())
