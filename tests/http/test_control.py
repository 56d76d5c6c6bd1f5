"""What is beside keys: members, machines, stats, version, health, and nothing else."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import CancelledError, Deferred

from kvd.errors import Unavailable, UnavailableReason
from kvd.node.stats import Latency

A = '{"id":"d15cd804f6de6aaf","name":"a","peerURLs":["http://p1"],"clientURLs":["http://c1"]}'
B = '{"id":"1f","name":"b","peerURLs":["http://p2"],"clientURLs":["http://c2","http://c3"]}'
ID = "d141b266ca1a82cc"

# target, status, body, type, whether it has a cluster id
GETS = [
    ("/v2/members", 200, f'{{"members":[{B},{A}]}}\n', "application/json", True),
    ("/v2/members/", 200, f'{{"members":[{B},{A}]}}\n', "application/json", True),
    ("/v2/members/leader", 200, f"{A}\n", "application/json", True),
    ("/v2/members/leader/", 404, '{"message":"Not found"}', "application/json", True),
    ("/v2/members/1f", 404, '{"message":"Not found"}', "application/json", True),
    ("/v2/members/%ff", 404, '{"message":"Not found"}', "application/json", True),
    (
        "/v2/machines",
        200,
        "http://c1, http://c2, http://c3",
        "text/plain; charset=utf-8",
        False,
    ),
    (
        "/version",
        200,
        '{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}',
        "application/json",
        False,
    ),
    ("/health", 200, '{"health":"true"}', "text/plain; charset=utf-8", False),
    ("/health?exclude=x", 200, '{"health":"true"}', "text/plain; charset=utf-8", False),
]


@pytest.mark.parametrize(("target", "status", "body", "kind", "has_id"), GETS)
def test_a_get(port, target, status, body, kind, has_id):
    answer = port.request("GET", target)
    assert answer.status == status
    assert answer.body.decode() == body
    assert answer["Content-Type"] == kind
    assert answer["X-Etcd-Cluster-Id"] == (ID if has_id else None)
    assert answer["X-Etcd-Index"] is None


# V2-SPEC 2: everything else is not there, for any method.
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "PATCH"])
@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v2",
        "/v2/",
        "/v2/keysX",
        "/v2/membersX",
        "/v2/machines/",
        "/version/",
        "/health/",
        "/v2/stats",
        "/v2/stats/",
        "/v2/stats/self/",
        "/v2/stats/selfX",
        "/v2/auth",
        "/metrics/",
        "/%ff%00",
        "/favicon.ico",
    ],
)
def test_what_is_not_there(port, method, target):
    answer = port.request(method, target)
    assert answer.status == 404
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Etcd-Cluster-Id"] is None
    assert answer.body == (b"" if method == "HEAD" else b"404 page not found\n")
    assert answer["Content-Length"] == "19"


# V2-SPEC 2: the wrong method
@pytest.mark.parametrize(
    ("target", "allow", "methods"),
    [
        ("/v2/members", "GET,POST,DELETE,PUT", ["HEAD", "PATCH", "get"]),
        ("/v2/members/x", "GET,POST,DELETE,PUT", ["HEAD", "PATCH"]),
        ("/v2/machines", "GET,HEAD", ["PUT", "POST", "DELETE"]),
        ("/v2/stats/self", "GET", ["HEAD", "PUT"]),
        ("/v2/stats/leader", "GET", ["HEAD", "POST"]),
        ("/v2/stats/store", "GET", ["HEAD", "DELETE"]),
        ("/version", "GET", ["HEAD", "POST"]),
        ("/health", "GET", ["HEAD", "PUT", "CONNECT"]),
    ],
)
def test_a_wrong_method(port, target, allow, methods):
    for method in methods:
        answer = port.request(method, target)
        assert answer.status == 405
        assert answer["Allow"] == allow
        assert answer["X-Etcd-Cluster-Id"] is None
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer.body == (b"" if method == "HEAD" else b"Method Not Allowed\n")


def test_members_without_a_leader(port):
    port.member.leader = 0
    answer = port.request("GET", "/v2/members/leader")
    assert (answer.status, answer.body) == (503, b'{"message":"During election"}')


def test_a_member_that_has_not_started_is_shown_without_a_name(port):
    from kvd.cluster.members import MemberRecord

    port.cluster.records = (MemberRecord(5, "", ("http://p",), ()),)
    assert port.request("GET", "/v2/members").body == (
        b'{"members":[{"id":"5","name":"","peerURLs":["http://p"],"clientURLs":[]}]}\n'
    )
    assert port.request("GET", "/v2/machines").body == b""


# -- health -------------------------------------------------------------------------

UNHEALTHY = b'{"health":"false"}\n'


def test_health_asks_a_quorum(port, read):
    client = port.connect().send("GET /health HTTP/1.1\r\nHost: k\r\n\r\n")
    assert client.said == b""
    port.clock.advance(0.9)
    port.settle()
    assert read(client.said)[0].status == 200
    assert port.v2.stats.gets_success == 1


def test_health_waits_for_a_second_only(port, read):
    client = port.connect().send("GET /health HTTP/1.1\r\nHost: k\r\n\r\n")
    port.clock.advance(1)
    (answer,) = read(client.said)
    assert (answer.status, answer.body) == (503, UNHEALTHY)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert port.member.cancelled == 1


def test_health_without_a_quorum(port, read):
    client = port.connect().send("GET /health HTTP/1.1\r\nHost: k\r\n\r\n")
    port.member.fail(Unavailable(UnavailableReason.TIMED_OUT, may_take_effect=False))
    assert read(client.said)[0].status == 503


def test_health_without_a_leader(port):
    port.member.leader = 0
    answer = port.request("GET", "/health")
    assert (answer.status, answer.body) == (503, UNHEALTHY)


def test_health_without_room(port):
    port.member.out_of_space = True
    assert port.request("GET", "/health").status == 503
    assert port.request("GET", "/health?exclude=NOSPACE").status == 200


def test_a_client_that_leaves_while_health_is_asked(port):
    client = port.connect().send("GET /health HTTP/1.1\r\nHost: k\r\n\r\n")
    client.lose()
    assert port.member.cancelled == 1
    assert not port.clock.getDelayedCalls()


def test_a_bug_in_health_is_logged(port, read, logged_failures):
    failing: Deferred = Deferred()
    port.member.read_index = lambda: failing
    client = port.connect().send("GET /health HTTP/1.1\r\nHost: k\r\n\r\n")
    failing.errback(ZeroDivisionError())
    assert read(client.said)[0].status == 500
    assert [f.type for f in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()
    failing = Deferred()
    client = port.connect().send("GET /health HTTP/1.1\r\nHost: k\r\n\r\n")
    failing.errback(CancelledError())
    assert read(client.said)[0].status == 503


def test_version_before_there_is_one(port):
    port.cluster.version = ""
    assert port.request("GET", "/version").body == (
        b'{"etcdserver":"3.4.23","etcdcluster":"not_decided"}'
    )


# -- stats --------------------------------------------------------------------------


def test_stats_of_a_leader(port):
    port.clock.advance(72.28)
    traffic = port.stats.traffic
    for _ in range(4):
        traffic.sent_appends.add(now=port.clock.seconds(), size=100)
    port.clock.advance(0.5)
    answer = port.request("GET", "/v2/stats/self")
    assert answer["Content-Type"] == "application/json"
    assert answer["X-Etcd-Cluster-Id"] is None
    assert answer.body.decode() == (
        '{"name":"default","id":"d15cd804f6de6aaf","state":"StateLeader",'
        '"startTime":"2023-11-14T22:13:20Z","leaderInfo":{'
        '"leader":"d15cd804f6de6aaf","uptime":"1m12.78s",'
        '"startTime":"2023-11-14T22:13:20Z"},"recvAppendRequestCnt":0,'
        '"sendAppendRequestCnt":4,"sendPkgRate":8.0,"sendBandwidthRate":800.0}'
    )


def test_stats_of_a_follower_without_a_leader(port):
    port.member.leader, port.member.is_leader = 0, False
    port.stats.traffic.received_appends.add(now=0, size=0)
    port.clock.advance(0.5)
    shown = json.loads(port.request("GET", "/v2/stats/self").body)
    assert shown["state"] == "StateFollower"
    assert shown["leaderInfo"]["leader"] == ""
    assert shown["leaderInfo"]["uptime"] == "0s"
    assert shown["recvAppendRequestCnt"] == 1
    assert shown["recvPkgRate"] == 2.0
    assert "recvBandwidthRate" not in shown
    answer = port.request("GET", "/v2/stats/leader")
    assert (answer.status, answer.body) == (403, b'{"message":"not current leader"}')


def test_stats_of_followers(port):
    assert port.request("GET", "/v2/stats/leader").body == (
        b'{"leader":"d15cd804f6de6aaf","followers":{}}'
    )
    latency = Latency()
    latency.succeeded(2.0)
    latency.succeeded(4.0)
    latency.fail = 3
    port.stats.traffic.followers[0x1F] = latency
    assert json.loads(port.request("GET", "/v2/stats/leader").body)["followers"] == {
        "1f": {
            "latency": {
                "current": 4.0,
                "average": 3.0,
                "standardDeviation": 1.0,
                "minimum": 2.0,
                "maximum": 4.0,
            },
            "counts": {"fail": 3, "success": 2},
        }
    }


def test_stats_of_the_store(port):
    port.request("PUT", "/v2/keys/a", "value=1")
    port.request("GET", "/v2/keys/a")
    port.connect().send("GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: k\r\n\r\n")
    assert port.request("GET", "/v2/stats/store").body == (
        b'{"getsSuccess":1,"getsFail":3,"setsSuccess":1,"setsFail":0,'
        b'"deleteSuccess":0,"deleteFail":0,"updateSuccess":0,"updateFail":0,'
        b'"createSuccess":0,"createFail":0,"compareAndSwapSuccess":0,'
        b'"compareAndSwapFail":0,"compareAndDeleteSuccess":0,'
        b'"compareAndDeleteFail":0,"expireCount":0,"watchers":1}'
    )


# -- the bridge ---------------------------------------------------------------------


def test_any_host_reaches_klein(port, read):
    for host in ("a..b", "x" * 80, "", "[::1]:1", "%", "a:b:c"):
        said, _ = port.ask(f"GET /version HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert read(said)[0].status == 200, host


def test_a_plain_klein_answer_is_carried_too(port, read):
    from kvd.http.bridge import BridgedRequest
    from kvd.http.exchange import Request
    from kvd.http.fields import HeaderBlocks

    block = HeaderBlocks(count_max=9).judge(b"Host: k\r\nX-A: b", False)
    request = BridgedRequest(Request("POST", "/x", "", block, body=b"in"))
    assert request.content.read() == b"in"
    assert request.getHeader("x-a") == "b"
    request.setResponseCode(201)
    request.setHeader("x-b", "c")
    request.write(b"o")
    request.write(b"ut")
    answers: list[object] = []
    request.answered.addCallback(answers.append)
    request.finish()
    (answer,) = answers
    assert (answer.status, answer.headers, answer.body) == (201, b"X-B: c\r\n", b"out")
