"""Three members, and what the last one answers when two are gone."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import time
from collections.abc import Callable

import pytest

from kvd.testing.rows import Json, Step
from kvd.testing.servers import Make, Server
from kvd.testing.sidebyside import Side
from tests.conformance.conftest import SUBJECT

pytestmark = pytest.mark.oracle

ELECTION_MS = 500
LATE_SECONDS = 5.0
TIMEOUT_SECONDS = 5.0 + 2 * ELECTION_MS / 1000
ANSWERED = (
    "GET /v2/keys/a",
    "GET /v2/keys/no",
    "HEAD /v2/keys/a",
    "GET /v2/keys?recursive=true&sorted=true",
    "GET /v2/keys/a?wait=true&waitIndex=8",
    "w> GET /v2/keys/a?wait=true",
    "GET /v2/members",
    "GET /v2/members/leader",
    "GET /v2/stats/leader",
    "GET /version",
    "GET /health",
    "PUT /v2/keys/a?ttl=x value=1",
    "OPTIONS /v2/keys/a",
    "GET /nowhere",
)
BLOCKED = (
    "PUT /v2/keys/a value=2",
    "PUT /v2/keys/a?prevValue=1 value=2",
    "POST /v2/keys/q value=2",
    "DELETE /v2/keys/no",
    "GET /v2/keys/a?quorum=true",
    "GET /v2/keys/no?quorum=true",
)

# Whether there is such a member cannot be known without a quorum. etcd waits for its
# next leader; kvd says at once that nothing was done.
NEW_URL = b'{"peerURLs":["http://127.0.0.1:9"]}'
CHANGES = (
    Json("POST", "/v2/members", NEW_URL),
    Json("PUT", "/v2/members/1", NEW_URL),
    "DELETE /v2/members/1",
)


@pytest.fixture(scope="module")
def clusters(make_clusters) -> list[list[Server]]:
    options = {"heartbeat-interval": 100, "election-timeout": ELECTION_MS}
    return make_clusters(**options)


def _names(servers: list[Server]) -> dict[str, str]:
    """What each cluster calls its own, and a word for both."""
    names = {servers[0].cluster_id(): "<cluster>"}
    for member in json.loads(servers[0].ask("/v2/members")[2])["members"]:
        names[member["id"]] = f"<id of {member['name']}>"
        for url in member["peerURLs"] + member["clientURLs"]:
            names[url] = f"<a URL of {member['name']}>"
    return names


def test_a_cluster_of_three_begins_at_index_seven(clusters) -> None:
    for servers in clusters:
        assert [server.etcd_index() for server in servers] == [7, 7, 7]


def test_ids_are_made_of_peer_urls_and_token(clusters) -> None:
    for servers in clusters:
        members = json.loads(servers[0].ask("/v2/members")[2])["members"]
        for member in members:
            digest = hashlib.sha1(f"{member['peerURLs'][0]}etcd-cluster".encode())
            assert member["id"] == f"{int(digest.hexdigest()[:16], 16):x}"
        ids = [int(member["id"], 16) for member in members]
        assert ids == sorted(ids)
        packed = b"".join(each.to_bytes(8, "big") for each in ids)
        expected = hashlib.sha1(packed).hexdigest()[:16]
        assert servers[0].cluster_id() == f"{int(expected, 16):x}"


def test_every_member_tells_the_same_members_leader_and_machines(clusters) -> None:
    for servers in clusters:
        for path in ("/v2/members", "/v2/members/leader", "/v2/machines"):
            bodies = {server.ask(path)[2] for server in servers}
            assert len(bodies) == 1
        assert bodies == {", ".join(sorted(each.url for each in servers)).encode()}


def test_only_the_leader_has_statistics_of_followers(clusters) -> None:
    shapes = []
    for servers in clusters:
        leader = servers[0].leader_name()
        for server in sorted(servers, key=lambda each: each.name != leader):
            status, _, body = server.ask("/v2/stats/leader")
            shapes.append((status, _shape(json.loads(body))))
    half = len(shapes) // 2
    assert shapes[:half] == shapes[half:]
    assert shapes[0][0] == 200
    assert shapes[1][0] == 403


# Asked of a follower: each counter of the store rises, the odd ones among them.
AT_A_FOLLOWER = (
    ("PUT", "/v2/keys/s", "value=1"),
    ("PUT", "/v2/keys/s/x", "value=1"),
    ("PUT", "/v2/keys/s/x?prevExist=false", "value=1"),
    ("POST", "/v2/keys/q", "value=1"),
    ("PUT", "/v2/keys/s?prevValue=1", "value=2"),
    ("PUT", "/v2/keys/s?prevValue=1", "value=2"),
    ("PUT", "/v2/keys?prevIndex=1", "value=1"),
    ("PUT", "/v2/keys/q?prevExist=true", "value=1"),
    ("PUT", "/v2/keys/no?prevExist=true", "value=1"),
    ("DELETE", "/v2/keys", None),
    ("DELETE", "/v2/keys/no", None),
    ("DELETE", "/v2/keys/q?prevIndex=1", None),
    ("DELETE", "/v2/keys/no?prevIndex=1", None),
    ("PUT", "/v2/keys/s", "value=1&ttl=1"),
    ("GET", "/v2/keys/q", None),
    ("HEAD", "/v2/keys/no", None),
    ("GET", "/v2/keys/s?wait=true&waitIndex=x", None),
)


def test_writes_count_on_every_member_and_gets_where_they_are_served(clusters) -> None:
    rises = []
    for servers in clusters:
        leader = servers[0].leader_name()
        asked, *others = sorted(servers, key=lambda each: each.name == leader)
        members = (asked, *others)
        before = [_counted(member) for member in members]
        for method, path, form in AT_A_FOLLOWER:
            assert asked.ask(path, method, form)[0]
        _wait_until(
            lambda: all(
                _counted(each)["expireCount"] == was["expireCount"] + 1
                for each, was in zip(members, before, strict=True)
            )
        )
        rises.append(
            [
                {name: value - was[name] for name, value in _counted(each).items()}
                for each, was in zip(members, before, strict=True)
            ]
        )
    assert rises[0] == rises[1]
    asked_rise, *other_rises = rises[1]
    local = {"getsSuccess": 1, "getsFail": 17}
    assert {name: asked_rise[name] for name in local} == local
    for rise in other_rises:
        assert rise == {**asked_rise, **dict.fromkeys(local, 0)}
    assert all(value for name, value in asked_rise.items() if name != "watchers")


def test_watchers_are_counted_where_they_wait(clusters) -> None:
    for servers in clusters:
        asked, *others = servers
        side = Side(asked.port)
        before = [_counted(server)["watchers"] for server in servers]
        assert "200 OK" in side.step("w> GET /v2/keys/w?wait=true").text
        assert _counted(asked)["watchers"] == before[0] + 1
        assert [_counted(each)["watchers"] for each in others] == before[1:]
        side.close()
        _wait_until(lambda: _counted(asked)["watchers"] == before[0])


def test_leader_and_followers_tell_the_same_of_themselves(clusters) -> None:
    told = []
    for servers in clusters:
        names = _names(servers)
        leader = servers[0].leader_name()
        for _ in range(3):
            servers[0].ask("/v2/keys/traffic", "PUT", "value=1")
        for server in sorted(servers, key=lambda each: each.name != leader):
            about = json.loads(server.ask("/v2/stats/self")[2])
            assert list(about["leaderInfo"]) == ["leader", "uptime", "startTime"]
            told.append(
                (
                    about["state"],
                    names[about["leaderInfo"]["leader"]] == f"<id of {leader}>",
                    about["recvAppendRequestCnt"] > 0,
                    about["sendAppendRequestCnt"] > 0,
                    list(about),
                )
            )
    half = len(told) // 2
    assert told[:half] == told[half:]
    assert [each[0] for each in told[half:]] == [
        "StateLeader",
        "StateFollower",
        "StateFollower",
    ]


def _counted(server: Server) -> dict[str, int]:
    counted: dict[str, int] = json.loads(server.ask("/v2/stats/store")[2])
    return counted


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LATE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _shape(told: dict) -> object:
    if "followers" not in told:
        return told
    return sorted(
        (
            [(name, sorted(value)) for name, value in follower.items()]
            for follower in told["followers"].values()
        ),
        key=str,
    )


def test_the_last_of_three_answers_as_etcd_does(clusters) -> None:
    last = []
    for servers in clusters:
        leader = servers[0].leader_name()
        assert servers[0].ask("/v2/keys/a", "PUT", "value=1")[0] == 201
        last.append(next(at for at, each in enumerate(servers) if each.name == leader))
    names = [_names(servers) for servers in clusters]
    for servers, survivor in zip(clusters, last, strict=True):
        for at, server in enumerate(servers):
            if at != survivor:
                server.kill()
    time.sleep(3 * ELECTION_MS / 1000)  # until check-quorum has made it step down

    def side(which: int) -> Side:
        return Side(clusters[which][last[which]].port, names[which])

    # Every blocked request waits by itself, so all wait at the same time.
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        waiting = [
            [pool.submit(_timed, side(which), step) for which in (0, 1)]
            for step in BLOCKED
        ]
        changing = [
            [pool.submit(_timed, side(which), step) for which in (0, 1)]
            for step in CHANGES
        ]
        for which in (0, 1):
            _check_statistics_without_a_leader(clusters[which][last[which]])
        for step in ANSWERED:
            oracle, subject = (_timed(side(which), step) for which in (0, 1))
            assert _anonymous(oracle[0]) == _anonymous(subject[0]), step
            assert subject[1] < 2.0, step
        for step, (first, second) in zip(BLOCKED, waiting, strict=True):
            oracle, subject = first.result(), second.result()
            assert "500 Internal Server Error" in oracle[0]
            assert oracle[0] == subject[0], step
            assert oracle[1] == pytest.approx(TIMEOUT_SECONDS, abs=0.7), step
            assert subject[1] == pytest.approx(TIMEOUT_SECONDS, abs=0.7), step
        for step, (first, second) in zip(CHANGES, changing, strict=True):
            oracle, subject = first.result(), second.result()
            assert "500 Internal Server Error" in oracle[0]
            assert oracle[0] == subject[0], step
            if SUBJECT is Make.KVD:
                assert subject[1] < 2.0, step


def _check_statistics_without_a_leader(server: Server) -> None:
    """Etcd goes on to say that it leads; kvd says what is (differences)."""
    about = json.loads(server.ask("/v2/stats/self")[2])
    if server.make is Make.KVD:
        assert about["state"] == "StateFollower"
        assert about["leaderInfo"]["leader"] == ""
        assert about["leaderInfo"]["uptime"] == "0s"
    else:
        assert about["state"] == "StateLeader"
        assert about["leaderInfo"]["leader"] == about["id"]
    status = json.loads(server.ask("/debug/vars")[2])["raft.status"]
    assert (status["lead"], status["progress"]) == ("0", {})
    assert status["raftState"] != "StateLeader"
    assert server.ask("/metrics")[2].count(b"\netcd_server_has_leader 0") == 1


def _timed(side: Side, step: Step) -> tuple[str, float]:
    began = time.monotonic()
    text = side.step(step).text
    side.close()
    return text, time.monotonic() - began


def _anonymous(text: str) -> str:
    """Members of a listing in the order of their names, not of their ids."""
    if '"members":[' not in text:
        return text
    head, _, body = text.partition('{"members":')
    listed = json.loads('{"members":' + body)
    return head + str(sorted(listed["members"], key=lambda each: each["name"]))


def test_the_cluster_comes_back_with_its_second_member(clusters) -> None:
    # Runs after the one above: brings one of the two killed members back.
    answers = []
    for servers in clusters:
        down = next(each for each in servers if not each.running)
        down.start()
        down.wait_ready(index=1)
        answers.append(down.ask("/v2/keys/back", "PUT", "value=1")[0])
        answers.append(down.ask("/v2/keys/back?quorum=true")[0])
    assert answers == [201, 200] * 2
