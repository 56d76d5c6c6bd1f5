"""Changing the members: what is asked of the cluster, and what clients are told."""

from __future__ import annotations

import hashlib
import json

import pytest
from twisted.logger import LogLevel, globalLogPublisher

from kvd.cluster.codec import decode_record, encode_record
from kvd.cluster.members import MemberRecord
from kvd.errors import ReconfigurationRefused, Unavailable, UnavailableReason
from kvd.http import documents
from kvd.node.interfaces import Applied
from kvd.raft.messages import ChangeKind, ConfigChange
from tests.http.accounts import basic, guard

CLUSTER_ID = "d141b266ca1a82cc"
SECONDS = "1700000000"
FOUNDER = MemberRecord(0xA1, "a", ("http://a:1",), ("http://c:1",))
GO_STRUCT = 'struct { PeerURLs []string "json:\\"peerURLs\\"" }'
BODY = b'{"peerURLs":["http://b:1"]}'


@pytest.fixture
def port(make_port):
    """With one founding member, to which changes are applied."""
    port = make_port()
    machine = port.member.cluster
    machine.change(ConfigChange(ChangeKind.ADD_VOTER, 0xA1, encode_record(FOUNDER)))
    return port


@pytest.fixture
def warnings():
    """The lines that were logged at this level, filled in."""
    lines: list[str] = []

    def observe(event):
        if event["log_level"] is LogLevel.warn:
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def head(method: str, target: str, kind: str | None, length: int) -> str:
    kind = f"Content-Type: {kind}\r\n" if kind is not None else ""
    return f"{method} {target} HTTP/1.1\r\nHost: k\r\n{kind}Content-Length: {length}\r\n\r\n"


@pytest.fixture
def ask(port, read):
    """Send JSON; status and message, or what else the answer says."""

    def ask(method="POST", target="/v2/members", body=BODY, kind="application/json"):
        if isinstance(body, str):
            body = body.encode()
        said, _ = port.ask(head(method, target, kind, len(body)).encode() + body)
        (answer,) = read(said)
        assert answer["X-Etcd-Cluster-Id"] == CLUSTER_ID
        assert answer["X-Etcd-Index"] is None
        if answer.status == 204:
            assert answer["Content-Length"] is None
            assert answer["Content-Type"] is None
            assert answer.body == b""
            return 204, ""
        if answer.status == 201:
            assert answer.body.endswith(b"\n")
            return 201, json.loads(answer.body)
        assert answer["Content-Type"] == "application/json"
        return answer.status, json.loads(answer.body)["message"]

    return ask


def id_of(*urls: str, seconds: str = SECONDS) -> str:
    digest = hashlib.sha1(f"{''.join(urls)}{seconds}".encode()).hexdigest()
    return f"{int(digest[:16], 16):x}"


# -- what is asked for ----------------------------------------------------------------


def waiting_change(port, method: str, target: str, body: bytes = b""):
    """The only change that is asked for, and the client that waits for it."""
    client = port.connect()
    client.send(head(method, target, "application/json", len(body)).encode() + body)
    ((waiting, change),) = port.member.changes
    assert client.said == b""
    return client, waiting, change


@pytest.mark.parametrize(
    ("options", "kind"),
    [({}, ChangeKind.ADD_LEARNER), ({"join_as_voter": True}, ChangeKind.ADD_VOTER)],
)
def test_a_new_member_learns_unless_it_is_to_vote_at_once(make_port, options, kind):
    body = b'{"peerURLs":["http://z:1","http://b:1"]}'
    _, _, change = waiting_change(make_port(**options), "POST", "/v2/members", body)
    assert change.kind is kind
    assert f"{change.member_id:x}" == id_of("http://b:1", "http://z:1")
    record = MemberRecord(change.member_id, "", ("http://b:1", "http://z:1"), ())
    assert decode_record(change.context) == record


def test_an_update_carries_the_urls_and_a_removal_nothing(make_port):
    _, _, change = waiting_change(make_port(), "PUT", "/v2/members/1F", BODY)
    assert change.kind is ChangeKind.UPDATE
    assert change.member_id == 0x1F
    assert decode_record(change.context).peer_urls == ("http://b:1",)
    _, _, change = waiting_change(make_port(), "DELETE", "/v2/members/001f")
    assert change == ConfigChange(ChangeKind.REMOVE, 0x1F, b"")


def test_the_id_depends_on_the_second(port, ask):
    status, told = ask()
    assert status == 201
    assert told["id"] == id_of("http://b:1")
    port.clock.advance(1)
    status, told = ask(body='{"peerURLs":["http://c:1"]}')
    assert told["id"] == id_of("http://c:1", seconds="1700000001")


def test_nothing_is_asked_for_twice_and_a_client_that_left_is_forgotten(make_port):
    port = make_port()
    client, _, _ = waiting_change(port, "POST", "/v2/members", BODY)
    client.lose()
    assert port.member.cancelled == 1
    assert len(port.member.changes) == 1


# -- what is told ---------------------------------------------------------------------


def test_a_new_member_is_told_without_a_name(port, ask):
    status, told = ask(
        target="/v2/members/anything/at/all",
        body='{"peerURLs":["http://z:1","http://b:1"],"name":"x"}',
    )
    assert status == 201
    assert told == {
        "id": id_of("http://b:1", "http://z:1"),
        "name": "",
        "peerURLs": ["http://b:1", "http://z:1"],
        "clientURLs": [],
    }


def test_duplicate_add_409_removed_id_410(port, ask):
    """M09"""
    assert ask(body='{"peerURLs":["http://a:1"]}') == (
        409,
        "membership: peerURL exists",
    )
    status, told = ask()
    assert status == 201
    new = told["id"]
    # The same URLs in the same second have the same id, and that is looked at first.
    assert ask() == (409, "membership: ID exists")
    port.clock.advance(1)
    assert ask() == (409, "membership: peerURL exists")
    assert ask("DELETE", f"/v2/members/{new}") == (204, "")
    assert ask("DELETE", f"/v2/members/{new.upper()}") == (
        410,
        f"Member permanently removed: {new}",
    )
    # An id is never used again, not even for the same URLs in the same second.
    assert port.member.cluster.removed == {int(new, 16)}
    status, told = ask()
    assert status == 201
    assert told["id"] != new


def test_an_id_that_was_removed_is_not_given_again(ask, warnings):
    _, told = ask()
    assert ask("DELETE", f"/v2/members/{told['id']}") == (204, "")
    assert ask() == (500, "Internal Server Error")
    (line,) = warnings
    assert "add a member at http://b:1" in line
    assert "ids are never used again" in line


def test_moving_a_member(port, ask, warnings):
    body = '{"peerURLs":["http://a:1","http://b:2"]}'
    assert ask("PUT", "/v2/members/a1", body) == (204, "")
    assert ask("PUT", "/v2/members/a1", body) == (204, "")  # its own may stay
    (member,) = port.member.cluster.members()
    assert member.peer_urls == ("http://a:1", "http://b:2")
    assert member.name == "a"
    assert ask("PUT", "/v2/members/7", body) == (404, "No such member: 7")
    _, told = ask(body='{"peerURLs":["http://c:1"]}')
    taken = '{"peerURLs":["http://c:1"]}'
    assert ask("PUT", "/v2/members/a1", taken) == (409, "membership: peerURL exists")
    assert ask("DELETE", f"/v2/members/{told['id']}") == (204, "")
    assert not warnings
    assert ask("PUT", f"/v2/members/{told['id']}") == (500, "Internal Server Error")
    assert f"move member {told['id']} to http://b:1" in warnings[0]


def test_removing(ask, warnings):
    assert ask("DELETE", "/v2/members/7", kind=None, body="") == (
        404,
        "No such member: 7",
    )
    assert not warnings
    assert ask("DELETE", "/v2/members/a1") == (500, "Internal Server Error")
    (line,) = warnings
    assert "remove member a1" in line
    assert "nobody could vote after that" in line


FAILURES = [
    (
        ReconfigurationRefused("another membership change is not yet applied"),
        "another membership change is not yet applied; nothing was done",
    ),
    (
        Unavailable(UnavailableReason.TIMED_OUT, may_take_effect=True),
        "request timed out; it may still be done",
    ),
    (
        Unavailable(UnavailableReason.STOPPED, may_take_effect=False),
        "server stopped; nothing was done",
    ),
]


@pytest.mark.parametrize(("error", "why"), FAILURES, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_the_log_says_why_a_change_failed(
    port, read, warnings, method, error, why
):
    target = "/v2/members" if method == "POST" else "/v2/members/a1"
    client, waiting, _ = waiting_change(port, method, target, BODY)
    waiting.errback(error)
    (answer,) = read(client.said)
    assert (answer.status, answer.body) == (500, b'{"message":"Internal Server Error"}')
    assert answer["X-Etcd-Cluster-Id"] == CLUSTER_ID
    (line,) = warnings
    assert line.endswith(f": {why}")
    assert (
        "add a member at http://b:1" in line
        or "move member a1 to http://b:1" in line
        or "remove member a1" in line
    )


def test_the_log_says_who_asked(port, warnings):
    port.member.refusal = ReconfigurationRefused("no leader")
    remove = "DELETE /v2/members/a1 HTTP/1.1\r\nHost: k\r\n"
    port.connect("10.0.0.9").send(f"{remove}\r\n")
    port.settle()
    guard(port)
    for field in (basic("ann"), basic("root")):
        port.connect("10.0.0.8").send(f"{remove}{field}\r\n\r\n")
        port.settle()
    # Ann is not root, and was told so.
    assert warnings == [
        "a client at 10.0.0.9 asked to remove member a1: no leader; nothing was done",
        "root at 10.0.0.8 asked to remove member a1: no leader; nothing was done",
    ]


def test_a_change_in_flight_is_refused_and_nobody_tries_again(port, ask):
    """M02"""
    port.member.refusal = ReconfigurationRefused("another change is not yet applied")
    assert ask() == (500, "Internal Server Error")
    port.member.refusal = None
    port.clock.advance(60)
    assert port.member.changes == []


def test_a_bug_is_logged_and_told_as_one(port, read, logged_failures):
    client, waiting, _ = waiting_change(port, "POST", "/v2/members", BODY)
    waiting.callback(Applied(8, 2, "neither a member nor a reason"))
    assert read(client.said)[0].status == 500
    client, waiting, _ = waiting_change_again(port)
    waiting.errback(ZeroDivisionError())
    assert read(client.said)[0].status == 500
    assert len(logged_failures) == 2
    logged_failures.clear()


def waiting_change_again(port):
    port.member.changes.clear()
    return waiting_change(port, "POST", "/v2/members", BODY)


# -- what is wrong with a request -----------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("target", ["/v2/members", "/v2/members/"])
def test_changing_no_member_is_405_without_allow(port, method, target):
    answer = port.request(method, target)
    assert answer.status == 405
    assert answer["Allow"] is None
    assert answer["X-Etcd-Cluster-Id"] == CLUSTER_ID


# An id that is none is told as it came, another one as it is printed.
IDS = [
    ("xyz", "xyz"),
    ("0x1", "0x1"),
    ("+1", "+1"),
    ("-1", "-1"),
    ("1_0", "1_0"),
    ("10000000000000000", "10000000000000000"),
    ("FFFFFFFFFFFFFFFF", "ffffffffffffffff"),
    ("0001", "1"),
    ("00", "0"),
    ("%31", "1"),
    ("%201", " 1"),
    ("1%0a", "1\n"),
    ("a1/", "a1/"),
    ("a1/x", "a1/x"),
    ("leader", "leader"),
    ("%EF%BC%91", "１"),
]


@pytest.mark.parametrize(("given", "shown"), IDS)
def test_a_member_that_nobody_is(ask, given, shown):
    for method in ("PUT", "DELETE"):
        told = ask(method, f"/v2/members/{given}")
        assert told == (404, f"No such member: {shown}")


def test_the_id_is_looked_at_before_the_body(ask):
    body = {"kind": "text/plain", "body": "x"}
    assert ask("PUT", "/v2/members/x", **body) == (404, "No such member: x")
    assert ask("PUT", "/v2/members/1", **body)[0] == 415


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("text/plain", "text/plain"),
        ("Application/JSON", "Application/JSON"),
        ("Text/Plain; a=b", "text/plain"),
        (None, ""),
    ],
)
def test_a_member_must_be_json(ask, kind, shown):
    told = 415, f"Bad Content-Type {shown}, accept application/json"
    assert ask(kind=kind, body="{}") == told
    assert ask("PUT", "/v2/members/a1", kind=kind) == told


def test_a_type_with_parameters_may_be_in_any_case(ask):
    assert ask(kind="Application/JSON ; charset=x")[0] == 201


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "unexpected end of JSON input"),
        ("7", f"json: cannot unmarshal number into Go value of type {GO_STRUCT}"),
        ("{}", "no valid URLs given"),
        ("null", "no valid URLs given"),
        ('{"peerURLs":[null]}', "URL scheme must be http, https, unix, or unixs: "),
        (
            '{"peerURLs":["http://a"]}',
            'URL address does not have the form "host:port": http://a',
        ),
        (
            '{"PEERurls":[1]}',
            "json: cannot unmarshal number into Go struct field .peerURLs of type string",
        ),
    ],
)
def test_a_body_that_describes_no_member(ask, body, message):
    assert ask(body=body) == (400, message)
    assert ask("PUT", "/v2/members/a1", body) == (400, message)


def test_json_depth_and_size(ask, port, read):
    """H07"""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        for depth in (64, 65, 8_000):
            body = opening * depth + "1" + closing * depth
            status, told = ask(body=body)
            assert status == 400
            assert (told == "exceeded max depth") == (depth > 64), depth
        assert ask(body=opening * 8_000)[0] == 400
    with pytest.raises(documents.BadDocumentError):
        documents.read(b"[" * 20_000 + b"]" * 20_000, depth_max=64)
    # Brackets in strings are no depth.
    assert "array" in ask(body='["' + "[" * 1000 + '\\"["]')[1]
    full = '{"peerURLs":["http://b:1"]}'.ljust(64 << 10)
    assert ask(body=full)[0] == 201
    assert ask(body=full + " ") == (413, "request body too large")
    start = "POST /v2/members HTTP/1.1\r\nHost: k\r\nContent-Type: application/json\r\n"
    said, end = port.ask(start + "Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert json.loads(read(said)[0].body)["message"] == "invalid byte in chunk length"
    assert end == "half"
