"""Metrics, probes, variables and the level of the log, and the port that has some."""

from __future__ import annotations

import json

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kvd.config import Config
from kvd.errors import Unavailable, UnavailableReason
from kvd.http.metricsport import MetricsPort, metrics_settings
from kvd.raft.messages import Role

LOG = "/config/local/log"


# -- metrics ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_metrics_are_text_for_any_method(port, method):
    answer = port.request(method, "/metrics")
    assert answer.status == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.body == b"# TYPE a gauge\na 1.0\n"


# -- what is counted of keys requests ---------------------------------------------------


def counted(port):
    """Received, failed, and how many succeeded, without zeros."""
    counts = port.site.counts
    succeeded = {
        method: sum(each.counts) for method, each in counts.taken_seconds.items()
    }
    return (
        {method: n for method, n in counts.received.items() if n},
        counts.failed,
        {method: n for method, n in succeeded.items() if n},
    )


REQUESTS = [
    (("GET", "/v2/keys"), {"GET": 1}, {}, {"GET": 1}),
    (("GET", "/v2/keys/no"), {"GET": 1}, {("GET", 404): 1}, {}),
    (("HEAD", "/v2/keys"), {"HEAD": 1}, {}, {"HEAD": 1}),
    (("HEAD", "/v2/keys?quorum=true"), {"HEAD": 1}, {}, {"HEAD": 1}),
    (("GET", "/v2/keys?quorum=true"), {"QGET": 1}, {}, {"QGET": 1}),
    (("GET", "/v2/keys/no?quorum=true"), {"QGET": 1}, {("QGET", 404): 1}, {}),
    (("GET", "/v2/keys?quorum=true&wait=true"), {}, {}, {"QGET": 1}),
    (("PUT", "/v2/keys/a", "value=1"), {"PUT": 1}, {}, {"PUT": 1}),
    (("PUT", "/v2/keys", "value=1"), {"PUT": 1}, {("PUT", 400): 1}, {}),
    (("POST", "/v2/keys", "value=1"), {"POST": 1}, {}, {"POST": 1}),
    (("DELETE", "/v2/keys/no"), {"DELETE": 1}, {("DELETE", 404): 1}, {}),
    (("GET", "/v2/keys?recursive=x"), {}, {}, {}),
    (("PUT", "/v2/keys/a", "ttl=x"), {}, {}, {}),
    (("PATCH", "/v2/keys/a"), {}, {}, {}),
    (("OPTIONS", "/v2/keys/a"), {}, {}, {}),
    (("GET", "/version"), {}, {}, {}),
]


@pytest.mark.parametrize(("request_", "received", "failed", "succeeded"), REQUESTS)
def test_a_keys_request_is_counted_as_etcd_does(
    port, request_, received, failed, succeeded
):
    port.request(*request_)
    assert counted(port) == (received, failed, succeeded)


def test_a_watch_is_counted_only_when_it_is_refused(make_port):
    port = make_port(event_history=1)
    for _ in range(3):
        port.request("PUT", "/v2/keys/a", "value=1")
    before = counted(port)
    client = port.connect().send("GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: k\r\n\r\n")
    assert client.said
    port.request("GET", "/v2/keys/a?wait=true&waitIndex=3")
    assert counted(port) == before
    port.v2.internal_writes([])
    for _ in range(1100):
        port.request("PUT", "/v2/keys/b", "value=1")
    port.request("GET", "/v2/keys/a?wait=true&waitIndex=1")
    assert port.site.counts.failed == {("GET", 400): 1}


def test_a_request_is_timed_from_its_head_to_its_answer(port):
    client = port.connect().send(
        "PUT /v2/keys/a HTTP/1.1\r\nHost: k\r\nContent-Length: 7\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\nvalue=1"
    )
    port.clock.advance(0.75)
    port.settle()
    assert client.said
    assert port.site.counts.taken_seconds["PUT"].total == 0.75


def test_a_request_that_nobody_answers_has_failed(port):
    port.connect().send("DELETE /v2/keys/a HTTP/1.1\r\nHost: k\r\n\r\n")
    port.member.fail(Unavailable(UnavailableReason.TIMED_OUT, may_take_effect=True))
    assert counted(port) == ({"DELETE": 1}, {("DELETE", 500): 1}, {})


def test_a_client_that_leaves_is_neither_success_nor_failure(port):
    client = port.connect().send("DELETE /v2/keys/a HTTP/1.1\r\nHost: k\r\n\r\n")
    client.lose()
    assert counted(port) == ({"DELETE": 1}, {}, {})


def test_answers_about_the_health_are_counted(port):
    port.request("GET", "/health")
    port.member.leader = 0
    port.request("GET", "/health")
    assert (port.site.counts.healthy, port.site.counts.unhealthy) == (1, 1)


@pytest.mark.parametrize(
    "query",
    ["exclude=x&exclude=NOSPACE", "exclude=NOSPACE&exclude=", "a;b&exclude=NOSPACE"],
)
def test_health_excludes_whatever_is_named_among_others(port, query):
    port.member.out_of_space = True
    assert port.request("GET", f"/health?{query}").status == 200
    assert port.request("GET", "/health?exclude=nospace").status == 503


# -- probes ---------------------------------------------------------------------------

ALIVE = "[+]loop ok\n[+]disk ok\nlivez check passed\n"
READY = "[+]leader ok\n[+]published ok\n[+]room ok\n[+]read ok\nreadyz check passed\n"


def test_a_probe_says_ok_and_more_when_it_is_asked_for_it(port):
    for name, all_ in (("livez", ALIVE), ("readyz", READY)):
        answer = port.request("GET", f"/{name}")
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer["X-Content-Type-Options"] == "nosniff"
        answer = port.request("GET", f"/{name}?verbose")
        assert (answer.status, answer.body.decode()) == (200, all_)
        assert port.request("HEAD", f"/{name}").status == 200
        answer = port.request("PUT", f"/{name}")
        assert (answer.status, answer["Allow"]) == (405, "GET,HEAD")


def test_a_stuck_disk_is_not_alive(port):
    port.diagnosis.problem = "busy for 9 s"
    answer = port.request("GET", "/livez")
    assert answer.status == 503
    assert answer.body.decode() == (
        "[+]loop ok\n[-]disk failed: busy for 9 s\nlivez check failed\n"
    )
    answer = port.request("GET", "/livez?verbose&exclude=disk&exclude=x")
    assert answer.status == 200
    assert b"[+]disk excluded: ok\n" in answer.body
    assert port.request("GET", "/readyz").status == 200


def test_without_a_leader_it_is_alive_but_not_ready(port):
    port.member.leader = 0
    answer = port.request("GET", "/readyz")
    assert answer.status == 503
    assert answer.body.decode() == (
        "[-]leader failed: there is no leader\n[+]published ok\n[+]room ok\n"
        "[-]read failed: there is no leader\nreadyz check failed\n"
    )
    assert port.request("GET", "/livez").status == 200
    assert port.request("GET", "/readyz?exclude=leader&exclude=read").body == b"ok"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ready", False, "[-]published failed: the cluster does not know it yet"),
        ("out_of_space", True, "[-]room failed: less than disk-floor-bytes is free"),
    ],
)
def test_each_check_of_readiness_counts(port, name, value, line):
    setattr(port.member, name, value)
    answer = port.request("GET", "/readyz")
    assert answer.status == 503
    assert line in answer.body.decode().split("\n")


def test_readiness_waits_a_second_for_a_majority(port, read):
    client = port.connect().send("GET /readyz HTTP/1.1\r\nHost: k\r\n\r\n")
    port.clock.advance(1)
    (answer,) = read(client.said)
    assert answer.status == 503
    assert b"[-]read failed: no majority has answered within 1 s\n" in answer.body
    assert port.member.cancelled == 1


def test_readiness_says_why_nobody_could_read(port, read, logged_failures):
    client = port.connect().send("GET /readyz HTTP/1.1\r\nHost: k\r\n\r\n")
    port.member.fail(Unavailable(UnavailableReason.STOPPED, may_take_effect=False))
    assert b"[-]read failed: server stopped\n" in read(client.said)[0].body
    failing: Deferred = Deferred()
    port.member.read_index = lambda: failing
    client = port.connect().send("GET /readyz HTTP/1.1\r\nHost: k\r\n\r\n")
    failing.errback(ZeroDivisionError())
    assert read(client.said)[0].status == 500
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()


# -- variables --------------------------------------------------------------------------


def test_variables_are_an_object_a_line_each(port):
    answer = port.request("GET", "/debug/vars")
    assert answer["Content-Type"] == "application/json; charset=utf-8"
    assert answer.body.decode().split("\n")[:4] == [
        "{",
        '"cmdline": ["kvd","--name","\\u003ca\\u003e"],',
        '"file_descriptor_limit": 1024,',
        '"memstats": {"Sys":5,"EnableGC":true},',
    ]
    assert json.loads(answer.body)["raft.status"] == {
        "id": "d15cd804f6de6aaf",
        "term": 2,
        "vote": "d15cd804f6de6aaf",
        "commit": 7,
        "lead": "d15cd804f6de6aaf",
        "raftState": "StateLeader",
        "applied": 6,
        "progress": {
            "1f": {"match": 5, "next": 6, "state": "StateProbe"},
            "d15cd804f6de6aaf": {"match": 8, "next": 9, "state": "StateReplicate"},
        },
        "leadtransferee": "0",
    }


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        (Role.FOLLOWER, "StateFollower"),
        (Role.PRE_CANDIDATE, "StatePreCandidate"),
        (Role.CANDIDATE, "StateCandidate"),
    ],
)
def test_variables_of_who_does_not_lead(port, role, shown):
    port.member.raft = attrs.evolve(port.member.raft, role=role, progress=())
    status = json.loads(port.request("GET", "/debug/vars").body)["raft.status"]
    assert (status["raftState"], status["progress"]) == (shown, {})


# -- the level of the log -----------------------------------------------------------------

LEVELS = [
    ('{"Level":"CRITICAL"}', "fatal"),
    ('{"level":"c"}', "fatal"),
    ('{"LEVEL":"error"}', "error"),
    ('{"Level":"0"}', "error"),
    ('{"Level":"w"}', "warn"),
    ('{"Level":"Notice"}', "info"),
    ('{"Level":"3"}', "info"),
    ('{"Level":"DEBUG"} and more', "debug"),
    ('{"Level":"x","level":"TRACE"}', "debug"),
    (' {"a":[1],"Level":"t","Level":null}', "debug"),
]
REFUSED = [
    ("", "Invalid json body"),
    ("[1]", "Invalid json body"),
    ('"DEBUG"', "Invalid json body"),
    ('{"Level":"DEBUG"', "Invalid json body"),
    ('{"Level":1}', "Invalid json body"),
    ("[" * 2000, "Invalid json body"),
    ("{}", "Invalid log level "),
    ("null", "Invalid log level "),
    ('{"Level":null}', "Invalid log level "),
    ('{"Level":"loud"}', "Invalid log level loud"),
]


def put(port, body: str):
    return port.ask(
        f"PUT {LOG} HTTP/1.1\r\nHost: k\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


@pytest.mark.parametrize(("body", "level"), LEVELS)
def test_the_level_of_the_log_is_changed(port, body, level):
    said, end = put(port, body)
    assert said.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"Content-" not in said
    assert end == "open"
    assert port.diagnosis.levels == [level]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_what_is_no_level_is_told(port, read, body, message):
    (answer,) = read(put(port, body)[0])
    assert (answer.status, answer["Content-Type"]) == (400, "application/json")
    assert json.loads(answer.body) == {"message": message}
    assert port.diagnosis.levels == []


def test_a_body_that_is_too_long_for_a_level_is_none(port, read):
    (answer,) = read(put(port, " " * 5000 + '{"Level":"DEBUG"}')[0])
    assert json.loads(answer.body) == {"message": "Invalid json body"}


def test_a_log_of_somebody_elses_is_left_alone(port, read):
    port.diagnosis.owns_log = False
    (answer,) = read(put(port, '{"Level":"DEBUG"}')[0])
    assert answer.status == 501
    assert b"belongs to the program" in answer.body


@pytest.mark.parametrize(
    ("target", "allow", "methods"),
    [
        (LOG, "PUT", ["GET", "HEAD", "POST", "DELETE"]),
        ("/debug/vars", "GET", ["HEAD", "PUT", "POST"]),
    ],
)
def test_other_methods_are_refused(port, target, allow, methods):
    for method in methods:
        answer = port.request(method, target)
        assert (answer.status, answer["Allow"]) == (405, allow)


# -- the port of its own ------------------------------------------------------------------


@pytest.fixture
def metrics_port(make_port):
    port = make_port(is_open=False)  # clients wait
    port.site = MetricsPort(
        config=Config(cors=(), host_whitelist=(), connections_max=2),
        control=port.site.control,
        clock=port.clock,
        wall_time_ns=port.wall_time_ns,
    )
    port.site.open_for_business()
    return port


def test_the_port_of_its_own_has_few_connections_and_asks_for_no_host():
    settings = metrics_settings(Config(host_whitelist=("a",), cors=("b",)))
    assert (settings.connections_max, settings.host_whitelist, settings.cors) == (
        100,
        (),
        (),
    )
    assert metrics_settings(Config(connections_max=7)).connections_max == 7


@pytest.mark.parametrize("path", ["/metrics", "/health", "/livez", "/readyz"])
def test_the_port_of_its_own_answers_before_clients_are(metrics_port, path):
    answer = metrics_port.request("GET", path)
    assert answer.status == 200
    assert answer["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    "path", ["/", "/version", "/v2/keys", "/v2/members", "/debug/vars", LOG]
)
def test_the_port_of_its_own_has_nothing_else(metrics_port, path):
    for method in ("GET", "PUT"):
        answer = metrics_port.request(method, path)
        assert (answer.status, answer.body) == (404, b"404 page not found\n")


def test_the_port_of_its_own_cleans_paths_and_knows_no_options(metrics_port):
    answer = metrics_port.request("GET", "//metrics?a=b")
    assert (answer.status, answer["Location"]) == (301, "/metrics?a=b")
    assert metrics_port.request("OPTIONS", "/health").status == 405


def test_the_port_of_its_own_has_connections_of_its_own(metrics_port):
    for _ in range(2):
        metrics_port.connect()
    client = metrics_port.connect()
    assert client.said.startswith(b"HTTP/1.1 503 ")
    assert isinstance(metrics_port.clock, Clock)
