"""Three members, and what the last one answers when two are gone."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import time

import pytest

from kvd.testing.rows import Json, Step
from kvd.testing.servers import Make, Server
from kvd.testing.sidebyside import Side
from tests.conformance.conftest import SUBJECT

pytestmark = pytest.mark.oracle

ELECTION_MS = 500
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
