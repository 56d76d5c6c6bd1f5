"""Changing the members: every refusal at a lone member, every change in clusters of three."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from kvd.testing.memberside import MemberSide
from kvd.testing.rows import Json, Row, names
from kvd.testing.servers import SAID_PEER_URL, Make, Server, free_ports
from kvd.testing.sidebyside import Pair
from tests.conformance.conftest import SUBJECT, check
from tests.conformance.test_random import EXAMPLES
from tests.http.test_documents import MISTAKES, TYPES
from tests.http.test_members import IDS
from tests.test_urls import REFUSED, TAKEN

pytestmark = pytest.mark.oracle

OWN_ID = "ddd67b312462fd7b"  # of the lone members, which say the same of themselves
OWN = f"/v2/members/{OWN_ID}"
# Nobody listens there, and nobody is to answer.
NOWHERE = [f"http://127.0.0.1:{port}" for port in free_ports(3)]


def post(body: str | bytes, kind: str | None = "application/json") -> Json:
    return _json("POST", "/v2/members", body, kind)


def put(
    body: str | bytes, kind: str | None = "application/json", target: str = OWN
) -> Json:
    return _json("PUT", target, body, kind)


def _json(method: str, target: str, body: str | bytes, kind: str | None) -> Json:
    if isinstance(body, str):
        body = body.encode()
    return Json(method, target, body, kind)


def urls(*each: str) -> str:
    return json.dumps({"peerURLs": each})


def row(name: str, *steps: Json | str) -> Row:
    return Row(name, steps)


KINDS = [
    None,
    "",
    "text/plain",
    "application/json",
    "Application/JSON",
    "Application/JSON; charset=utf-8",
    " application/json ;",
    "application/json;;;",
    "application/jsonx; a",
    ";application/json",
    "application/x-www-form-urlencoded",
]
BODIES = [body for body, _ in MISTAKES] + [body.encode() for body, _ in TYPES]
LENIENT = [
    b"{}",
    b"null",
    b'{"peerURLs":null}',
    b'{"peerURLs":[]}',
    b'{"peerURLs":[null]}',
    b'{"peerURLs":["x"],"peerURLs":null}',
    b'{"peerURLs":["x","y"],"PeerURLs":["z"]}',
    b'{"peerURLs":["x","y"],"PeerURLs":[null,"q"]}',
    b'{"peerURLs":1,"PeerURLs":true}',
    b'{"peerURLs":["http://a:1",1,true]}',
    '{"peerURL\u017f":[1]}'.encode(),
    b'{"peerURLs":["\\ud800"]}',
    b'{"peerURLs":["\xff\xfe"]}',
    b'{"peerURLs":["\xed\xa0\x80"]}',
    b'{"peerURLs":["\\ud83d\\ude00"]}',
    b'{"a":1.5e99999,"peerURLs":["q"]}',
    b'{"a":[[[[{"b":[]}]]]],"peerURLs":["q"]}',
]
ALONE = [
    row("the type of the body", *(post("{", kind) for kind in KINDS)),
    row("the type of an update", *(put("{", kind) for kind in KINDS)),
    row("mistakes in a new member's JSON", *(post(body) for body in BODIES)),
    row("mistakes in an update's JSON", *(put(body) for body in BODIES)),
    row("what Go's decoder lets pass", *(post(body) for body in LENIENT)),
    row("URLs that are refused", *(post(urls(url)) for url, _ in REFUSED)),
    row(
        "URLs that are taken",
        *itertools.chain.from_iterable(
            (put(urls(url)), "GET /v2/members") for url, _ in TAKEN
        ),
        put(urls(SAID_PEER_URL)),
        "GET /v2/keys/",
    ),
    row(
        "several URLs are put in order, repeated ones stay",
        put(urls("http://b:1", "http://a:1", "http://b:1", SAID_PEER_URL)),
        "GET /v2/members",
        post(urls("http://c:1", "http://b:1")),
        put(urls(SAID_PEER_URL)),
    ),
    row(
        "a URL that is taken",
        post(urls(SAID_PEER_URL)),
        post(urls("http://a:1", f" {SAID_PEER_URL} ")),
        put(urls(SAID_PEER_URL)),
        "GET /v2/keys/",
    ),
    row(
        "ids that nobody has",
        *itertools.chain.from_iterable(
            (
                put(urls("http://c:1"), target=f"/v2/members/{given}"),
                f"DELETE /v2/members/{given}",
            )
            for given, _ in IDS
            if given != "00"
        ),
    ),
    row(
        "an id may be written in several ways",
        put(urls(SAID_PEER_URL), target=f"/v2/members/{OWN_ID.upper()}"),
        put(urls(SAID_PEER_URL), target=f"/v2/members/0000000{OWN_ID}"),
    ),
    row(
        "an update without an id, or with a bad one and a bad body",
        put("{", target="/v2/members"),
        put("{", target="/v2/members/"),
        put("{", "text/plain", target="/v2/members/zz"),
        put("{", "text/plain", target="/v2/members/1"),
        put("{", target="/v2/members/1"),
        "DELETE /v2/members",
        "DELETE /v2/members/",
        "PUT /v2/members/1",
        "PUT /v2/members/1 a=b",
        "POST /v2/members a=b",
        "POST /v2/members",
    ),
    row("the only member cannot be removed", f"DELETE {OWN}", "GET /v2/members"),
    row("what is asked for does not matter", "DELETE /v2/members/1?x=%zz", "DELETE /v2/members//1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def lone_pair(lone_servers) -> Iterator[Pair]:
    """Two lone members of these tests alone: their URLs change."""
    shared = Pair(*(MemberSide(server.port) for server in lone_servers()))
    yield shared
    shared.close()


@pytest.mark.parametrize("row", ALONE, ids=names(ALONE))
def test_as_etcd_alone(row, lone_pair) -> None:
    check(lone_pair, row)


def test_nobody_is_member_zero(lone_pair) -> None:
    # Without a look at the counters: kvd knows it without asking the cluster.
    steps = [put(urls("http://c:1"), target="/v2/members/00"), "DELETE /v2/members/0"]
    assert not next(lone_pair.step_differences(steps), "")


json_pieces = st.one_of(
    st.sampled_from(list("{}[],:\"-0x \n\\\x01\u00ff'")),
    st.sampled_from(['"peerURLs"', '["', '"]', "1", ".5", "e+1", "true", "nul"]),
    st.sampled_from(["http://", "a:1", "\\u00", "\\ud800", "null"]),
)
url_pieces = st.one_of(
    st.sampled_from(list("//:[]@a1?#/ ^\u00e9.%-&")),
    st.sampled_from(["%25", "%c3", "%zz", "%41", ":1", "unix", "https", "\u3000"]),
)
bodies = st.one_of(
    st.lists(json_pieces, max_size=15).map("".join),
    st.lists(url_pieces, max_size=10).map(lambda each: urls(f"http://{''.join(each)}")),
    st.lists(url_pieces, max_size=10).map(lambda each: urls("".join(each))),
)


@settings(
    max_examples=4 * EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=bodies)
def test_random_bodies_are_read_as_etcd_reads_them(body, lone_pair) -> None:
    difference = next(lone_pair.step_differences([put(body)]), "")
    assert not difference, difference
    # Whatever was taken is shown alike.
    assert not next(lone_pair.step_differences(["GET /v2/members"]), "")


# -- clusters of three ----------------------------------------------------------------


def sides(clusters: list[list[Server]], *, leader: bool) -> tuple[MemberSide, ...]:
    """The leader of each, or a follower."""
    made = []
    for servers, make in zip(clusters, (Make.ETCD, SUBJECT), strict=True):
        leads = servers[0].leader_name()
        server = next(each for each in servers if (each.name == leads) == leader)
        common = {server.cluster_id(): "<cluster>"}
        for member in json.loads(server.ask("/v2/members")[2])["members"]:
            if not member["name"]:
                continue  # one that is gone, but this server does not know it yet
            name = "leader" if member["name"] == leads else "follower"
            common[member["id"]] = f"<{name}>"
            common[member["name"]] = f"<{name}>"
            # /v2/machines has them in their order, whoever's they are.
            common.update(dict.fromkeys(member["peerURLs"], "<peer URL>"))
            common.update(dict.fromkeys(member["clientURLs"], "<client URL>"))
        made.append(MemberSide(server.port, common))
        made[-1].forgets = make is Make.ETCD
    return tuple(made)


@pytest.fixture(scope="module")
def open_clusters(make_clusters) -> list[list[Server]]:
    """That let their members be changed, whoever is in touch."""
    return make_clusters(**{"strict-reconfig-check": False, "join-as-voter": True})


@pytest.fixture(scope="module")
def leaders(open_clusters) -> Iterator[Pair]:
    yield from _pair(open_clusters, leader=True)


@pytest.fixture(scope="module")
def followers(open_clusters) -> Iterator[Pair]:
    yield from _pair(open_clusters, leader=False)


def _pair(clusters: list[list[Server]], *, leader: bool) -> Iterator[Pair]:
    shared = Pair(*sides(clusters, leader=leader))
    yield shared
    shared.close()


fresh_numbers = itertools.count(1)


def fresh_url() -> str:
    """One that no member has, and that nobody answers; ids follow from URLs."""
    return f"{NOWHERE[0]}?{next(fresh_numbers)}"


def life(first: int) -> list[Json | str]:
    """A member comes, moves and goes; ``first``: how many came before, and one."""
    new, other = f"/v2/members/<new-{first}>", f"/v2/members/<new-{first + 1}>"
    url, moved, second = fresh_url(), fresh_url(), fresh_url()
    return [
        "GET /v2/keys/",
        post(urls(url)),
        "GET /v2/keys/",
        "GET /v2/members",
        "GET /v2/members/leader",
        "GET /v2/machines",
        post(urls(url, fresh_url())),
        put(urls(moved), target=new),
        "GET /v2/keys/",
        "GET /v2/members",
        put(urls(moved), target=new),
        post(urls(url, fresh_url())),  # free again, and alone it would have an old id
        put(urls(moved, fresh_url()), target=other),
        put(urls(second), target=other),
        "GET /v2/members",
        f"DELETE {other}",
        "GET /v2/keys/",
        f"DELETE {other}",
        put(urls(url), target=other),
        f"GET {new}",
        "PUT $/a value=1",
        f"DELETE {new}",
        f"DELETE {new}",
        f"DELETE {other}",
        put(urls(moved), target=new),
        "GET /v2/members",
        "GET /v2/machines",
        "GET /v2/keys/",
    ]


def unhurried(steps: list[Json | str]) -> list[Json | str]:
    """With a pause behind each change: etcd forgets one that comes too early."""
    slow: list[Json | str] = []
    for step in steps:
        slow.append(step)
        if isinstance(step, Json) or step.startswith("DELETE"):
            slow.append("pause 0.1")
    return slow


@pytest.mark.parametrize("who", ["leaders", "followers"])
def test_a_member_comes_moves_and_goes(who, request) -> None:
    pair = request.getfixturevalue(who)
    first = len(pair.oracle.added) + 1
    steps = life(first)
    check(pair, row("a member's life", *unhurried(steps)))
    for side in pair.sides:
        assert side.ask("GET", "/v2/members").body.count(b'"name":""') == 0
    pair.close()


@pytest.mark.parametrize("who", ["leaders", "followers"])
def test_ids_are_never_used_again(who, request) -> None:
    pair = request.getfixturevalue(who)
    url = fresh_url()
    for side in pair.sides:
        # All within one second, when ids of the same URLs are the same.
        time.sleep(1.02 - time.time() % 1)
        added = side.add(url)
        assert "204 No Content" in side.step(f"DELETE /v2/members/{added}").text
        again = side.step(post(urls(url))).text
        assert "500 Internal Server Error" in again
        assert '{"message":"Internal Server Error"}' in again
        assert "410 Gone" in side.step(f"DELETE /v2/members/{added}").text
    pair.close()


changes = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add taken", "move", "move to taken", "remove"]),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=12,
)


def steps_of(drawn: list[tuple[str, int]], before: int) -> list[Json | str]:
    """
    What was drawn as requests; nobody is there at last.

    :param before: members that were added before.
    """
    steps: list[Json | str] = []
    there: dict[int, str] = {}
    added = before
    for what, which in drawn:
        target = f"/v2/members/<new-{before + 1 + which % max(1, added - before)}>"
        taken = [*there.values()][which % len(there)] if there else ""
        # Two that never start leave a majority to the three that did.
        if what == "add" and len(there) < 2:
            added += 1
            there[added] = fresh_url()
            steps.append(post(urls(there[added])))
        elif what == "add taken" and there:
            steps.append(post(urls(fresh_url(), taken)))
        elif added == before:
            continue
        elif what == "move":
            number = before + 1 + which % (added - before)
            url = fresh_url()
            if number in there:
                there[number] = url
            steps.append(put(urls(url), target=target))
        elif what == "move to taken" and there:
            steps.append(put(urls(taken, fresh_url()), target=target))
            number = before + 1 + which % (added - before)
            if there.get(number) == taken:
                there[number] = json.loads(steps[-1].body)["peerURLs"][1]
        elif what == "remove":
            there.pop(before + 1 + which % (added - before), None)
            steps.append(f"DELETE {target}")
        steps += ["GET /v2/members", "GET /v2/keys/"]
    for number in there:
        steps.append(f"DELETE /v2/members/<new-{number}>")
    return [*steps, "GET /v2/members", "GET /v2/keys/"]


@settings(
    max_examples=max(1, EXAMPLES // 4),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=changes)
def test_random_changes_are_answered_as_etcd_answers_them(drawn, leaders) -> None:
    assert len(leaders.oracle.added) == len(leaders.subject.added)
    steps = steps_of(drawn, len(leaders.oracle.added))
    leaders.align()
    difference = next(leaders.step_differences(steps), "")
    if difference:
        note("\n".join(map(str, steps)))
    assert not difference, difference


# -- refused because too few would be left ---------------------------------------------


def test_a_change_that_would_lose_the_quorum_is_refused(make_clusters) -> None:
    """M08"""
    clusters = make_clusters(**{"join-as-voter": True, "election-timeout": 500})
    pair = Pair(*sides(clusters, leader=True))
    ids: list[dict[str, str]] = []
    for servers, side in zip(clusters, pair.sides, strict=True):
        listed = json.loads(servers[0].ask("/v2/members")[2])["members"]
        others = [each for each in servers if each.port != side.port]
        ids.append({each["name"]: each["id"] for each in listed})
        ids[-1]["dead"], ids[-1]["alive"] = (ids[-1][each.name] for each in others)
        others[0].kill()
    time.sleep(1.2)  # until the leader has noticed

    steps: list[tuple[Json | str, int]] = [
        ("GET /v2/keys/", 200),
        (post(urls(fresh_url())), 500),
        ("DELETE /v2/members/{alive}", 500),
        ("GET /v2/keys/", 200),
        ("GET /v2/members", 200),
        ("DELETE /v2/members/{dead}", 204),
        ("GET /v2/keys/", 200),
        ("DELETE /v2/members/{dead}", 410),
        ("GET /v2/members", 200),
    ]
    for step, status in steps:
        seen = [
            side.step(_with_id(step, known)).text
            for side, known in zip(pair.sides, ids, strict=True)
        ]
        assert seen[0] == seen[1], step
        assert seen[1].startswith(f"HTTP/1.1 {status} "), step
    pair.close()


def _with_id(step: Json | str, known: dict[str, str]) -> Json | str:
    return step.format(**known) if isinstance(step, str) else step
