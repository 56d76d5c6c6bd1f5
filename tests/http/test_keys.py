"""``/v2/keys``: which operation, which headers, and whose fault an error is."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from kvd.errors import RequestError, Unavailable, UnavailableReason
from kvd.v2.commands import Op, decode_command

SECOND = 10**9
NOW_NS = 1_700_000_000 * SECOND
BIG = 2**64 - 1


def proposed(port, method: str, target: str, form: str | None = None):
    """The command that a request puts into the log."""
    headers = ""
    if form is not None:
        headers = "Content-Type: application/x-www-form-urlencoded\r\n"
        headers += f"Content-Length: {len(form)}\r\n"
    data = f"{method} {target} HTTP/1.1\r\nHost: k\r\n{headers}\r\n{form or ''}"
    client = port.connect().send(data)
    ((*_, body),) = port.member.proposals
    port.member.proposals.clear()
    client.lose()
    return decode_command(body)


# V2-SPEC 4.1: method, query, operation
DISPATCH = [
    ("PUT", "", Op.SET),
    ("PUT", "prevIndex=0", Op.SET),
    ("PUT", "prevExist=true", Op.UPDATE),
    ("PUT", "prevExist=true&prevIndex=0", Op.UPDATE),
    ("PUT", "prevExist=true&prevValue=a", Op.COMPARE_AND_SWAP),
    ("PUT", "prevExist=1&prevIndex=5", Op.COMPARE_AND_SWAP),
    ("PUT", "prevExist=false", Op.CREATE),
    ("PUT", "prevExist=false&prevValue=a&prevIndex=5", Op.CREATE),
    ("PUT", "prevValue=a", Op.COMPARE_AND_SWAP),
    ("PUT", "prevIndex=5", Op.COMPARE_AND_SWAP),
    ("POST", "", Op.CREATE_IN_ORDER),
    ("POST", "prevExist=true&prevValue=a&prevIndex=5", Op.CREATE_IN_ORDER),
    ("DELETE", "", Op.DELETE),
    ("DELETE", "prevExist=true&prevIndex=0&recursive=true", Op.DELETE),
    ("DELETE", "prevValue=a", Op.COMPARE_AND_DELETE),
    ("DELETE", "prevIndex=5", Op.COMPARE_AND_DELETE),
]


@pytest.mark.parametrize(("method", "query", "op"), DISPATCH)
def test_which_operation_a_request_is(port, method, query, op):
    assert proposed(port, method, f"/v2/keys/a?{query}").op is op


def test_a_command_carries_every_field(port):
    command = proposed(
        port,
        "PUT",
        "/v2/keys/a/b/?dir=true&recursive=true&prevValue=p&prevIndex=9",
        "value=v&ttl=10&prevExist=true",
    )
    assert command.path == "/a/b"
    assert (command.value, command.prev_value, command.prev_index) == ("v", "p", 9)
    assert (command.dir, command.recursive, command.refresh) == (True, True, False)
    assert command.expiration_ns == NOW_NS + 10 * SECOND
    assert proposed(port, "PUT", "/v2/keys/a?refresh=true&ttl=1").refresh


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v2/keys", "/"),
        ("/v2/keys/", "/"),
        ("/v2/keys/a", "/a"),
        ("/v2/keys/a/", "/a"),
        ("/v2/keys/%2561", "/%61"),
        ("/v2/keys/a%00b%3fc%23d", "/a\x00b?c#d"),
        ("/v2/keys/%ff", "/\udcff"),
        ("/v2/keys/...", "/..."),
        ("/v2/keys/0/members/1f/attributes", "/0/members/1f/attributes"),
    ],
)
def test_the_key_of_a_path(port, target, path):
    assert proposed(port, "PUT", target).path == path


@pytest.mark.parametrize("target", ["/v2/keysX", "/v2/key", "/V2/keys", "/v2/keys%3f"])
def test_what_is_no_key(port, target):
    assert port.request("GET", target).status == 404
    assert port.request("GET", target).body == b"404 page not found\n"


@pytest.mark.parametrize("ttl", ["18446744073709551615", "9223372036", "0"])
def test_a_ttl_of_any_size_is_taken(port, ttl):
    assert port.request("PUT", "/v2/keys/a", f"ttl={ttl}").status == 201


def test_headers_of_success(port):
    port.member.commit_index = 41
    answer = port.request("PUT", "/v2/keys/a", "value=1")
    assert [name for name, _ in answer.headers[3:]] == [
        "Content-Type",
        "X-Etcd-Cluster-Id",
        "X-Etcd-Index",
        "X-Raft-Index",
        "X-Raft-Term",
        "Date",
        "Content-Length",
    ]
    assert answer["Content-Type"] == "application/json"
    assert answer["X-Etcd-Cluster-Id"] == "d141b266ca1a82cc"
    assert answer["X-Etcd-Index"] == "1"
    assert answer["X-Raft-Index"] == "42"
    assert answer["X-Raft-Term"] == "2"
    port.request("PUT", "/v2/keys/b", "value=1")
    assert port.request("GET", "/v2/keys/a")["X-Etcd-Index"] == "2"


def test_201_means_something_is_there_that_was_not(port):
    assert port.request("PUT", "/v2/keys/a", "value=1").status == 201
    assert port.request("PUT", "/v2/keys/a", "value=1").status == 200
    assert port.request("POST", "/v2/keys/q", "value=1").status == 201
    assert port.request("PUT", "/v2/keys/c?prevExist=false").status == 201
    assert port.request("PUT", "/v2/keys/c?prevExist=true").status == 200
    assert port.request("DELETE", "/v2/keys/c").status == 200


def test_no_value_on_success_is_for_writes_that_set(port):
    brief = "noValueOnSuccess=true"
    rows = [
        ("PUT", "a?value=1", "set"),
        ("PUT", "a?prevExist=true", "update"),
        ("PUT", "b?prevExist=false", "create"),
        ("POST", "q?", "create"),
        ("PUT", "a?prevIndex=2", "compareAndSwap"),
    ]
    for method, target, action in rows:
        answer = port.request(method, f"/v2/keys/{target}&{brief}")
        assert answer.body == f'{{"action":"{action}"}}\n'.encode(), target
    assert b'"node"' in port.request("GET", f"/v2/keys/a?{brief}").body
    assert b'"node"' in port.request("DELETE", f"/v2/keys/a?{brief}").body
    assert port.request("PUT", f"/v2/keys/a?prevExist=true&{brief}").status == 404


def test_a_head_is_a_local_get_without_its_body(port):
    port.request("PUT", "/v2/keys/a", "value=1")
    get = port.request("GET", "/v2/keys/a")
    head = port.request("HEAD", "/v2/keys/a?quorum=true")
    assert head["Content-Length"] == str(len(get.body))
    assert head["X-Etcd-Index"] == "1"
    assert port.request("HEAD", "/v2/keys/b").status == 404


def test_a_quorum_get_waits_for_the_others(port, read):
    port.request("PUT", "/v2/keys/a", "value=1")
    client = port.connect().send(
        "GET /v2/keys/a?quorum=true&wait=true HTTP/1.1\r\nHost: k\r\n\r\n"
        "GET /v2/keys/b?quorum=true HTTP/1.1\r\nHost: k\r\n\r\n"
    )
    assert client.said == b""
    assert len(port.member.reads) == 1
    port.settle()
    assert [a.status for a in read(client.said)] == [200, 404]


def test_a_local_get_asks_nobody(port):
    port.request("GET", "/v2/keys/a")
    assert not port.member.reads
    assert not port.member.proposals


# V2-SPEC 9: code, status, message
ERRORS = [
    (100, 404, "Key not found"),
    (101, 412, "Compare failed"),
    (102, 403, "Not a file"),
    (104, 400, "Not a directory"),
    (105, 412, "Key already exists"),
    (107, 400, "Root is read only"),
    (108, 403, "Directory not empty"),
    (110, 401, "The request requires user authentication"),
    (201, 400, "PrevValue is Required in POST form"),
    (202, 400, "The given TTL in POST form is not a number"),
    (203, 400, "The given index in POST form is not a number"),
    (209, 400, "Invalid field"),
    (210, 400, "Invalid POST form"),
    (211, 400, "Value provided on refresh"),
    (212, 400, "A TTL must be provided on refresh"),
    (300, 500, "Raft Internal Error"),
    (301, 500, "During Leader Election"),
    (400, 400, "watcher is cleared due to etcd recovery"),
    (401, 400, "The event in requested index is outdated and cleared"),
]


@pytest.mark.parametrize(("code", "status", "message"), ERRORS)
def test_an_error(port, code, status, message):
    port.member.refusal = RequestError(code, "/<c>", 9)
    answer = port.request("PUT", "/v2/keys/a", "value=1")
    assert answer.status == status
    assert answer.body.decode() == (
        f'{{"errorCode":{code},"message":"{message}",'
        f'"cause":"/\\u003cc\\u003e","index":9}}\n'
    )
    assert answer["X-Etcd-Index"] == "9"
    assert answer["X-Etcd-Cluster-Id"] == "d141b266ca1a82cc"
    assert answer["X-Raft-Index"] is None
    assert answer["X-Raft-Term"] is None
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_a_refusal_out_of_the_log_is_an_error_too(port):
    answer = port.request("PUT", "/v2/keys/a?prevExist=true")
    assert answer.status == 404
    assert json.loads(answer.body) == {
        "errorCode": 100,
        "message": "Key not found",
        "cause": "/a",
        "index": 0,
    }


@pytest.mark.parametrize("reason", UnavailableReason)
@pytest.mark.parametrize("target", ["PUT /v2/keys/a", "GET /v2/keys/a?quorum=true"])
def test_lost_proposal_answers_unknown_not_failure(port, read, reason, target):
    """R27: what may still take effect is never a 4xx."""
    client = port.connect().send(f"{target} HTTP/1.1\r\nHost: k\r\n\r\n")
    port.member.fail(Unavailable(reason, may_take_effect=True))
    (answer,) = read(client.said)
    assert answer.status == 500
    assert json.loads(answer.body) == {
        "errorCode": 300,
        "message": "Raft Internal Error",
        "cause": f"etcdserver: {reason.value}",
        "index": 0,
    }
    assert answer["X-Etcd-Index"] == "0"
    assert client.end == "open"


def test_a_4xx_for_a_lost_proposal_would_be_seen(port, monkeypatch):
    """The mutant of R27: the face takes it for the client's mistake."""
    from kvd.http import keyerrors

    mutant = {**keyerrors.ERRORS, 300: (400, "Raft Internal Error")}
    monkeypatch.setattr(keyerrors, "ERRORS", mutant)
    port.member.refusal = Unavailable(UnavailableReason.TIMED_OUT, may_take_effect=True)
    assert port.request("PUT", "/v2/keys/a").status == 400


def test_5xx_only_for_unknown_or_no_quorum(port):
    """H01: whatever clients send, the fault is theirs and said so."""
    port.request("PUT", "/v2/keys/f", "value=1")
    port.request("PUT", "/v2/keys/d/x", "value=1")
    targets = ["", "/", "/f", "/f/x", "/d", "/no/way", "/d?recursive=true", "/%00"]
    queries = ["", "prevExist=x", "ttl=x", "prevValue=", "dir=true", "prevIndex=1"]
    queries += ["refresh=true", "refresh=true&ttl=1", "a=%zz", "a;b", "quorum=true"]
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "TRACE", "x"):
        for target in targets:
            for query in queries:
                path = f"/v2/keys{target}{'&' if '?' in target else '?'}{query}"
                status = port.request(method, path).status
                assert status < 500, (method, path)
    for path in ("/", "/x", "/v2/members/x", "/v2/stats/x", "/v2", "/v2/keysX"):
        for method in ("GET", "HEAD", "PATCH"):
            assert port.request(method, path).status < 500, (method, path)


@pytest.mark.parametrize("method", ["PATCH", "get", "TRACE", "CONNECT", "PROPFIND"])
def test_a_method_that_keys_do_not_know(port, method):
    answer = port.request(method, "/v2/keys/a?ttl=x")
    assert answer.status == 405
    assert answer["Allow"] == "HEAD,GET,PUT,POST,DELETE"
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Etcd-Cluster-Id"] is None
    assert answer.body == b"Method Not Allowed\n"


def test_a_value_of_nine_megabytes_works(port):
    value = "x" * (9 << 20)
    assert port.request("PUT", "/v2/keys/a", f"value={value}").status == 201
    answer = port.request("GET", "/v2/keys/a")
    assert json.loads(answer.body)["node"]["value"] == value


def test_a_store_that_answers_nonsense_is_a_bug_not_an_answer(port, logged_failures):
    client = port.connect().send("PUT /v2/keys/a HTTP/1.1\r\nHost: k\r\n\r\n")
    ((waiting, *_),) = port.member.proposals
    from kvd.node.interfaces import Applied

    waiting.callback(Applied(1, 1, "nonsense"))
    assert client.said.startswith(b"HTTP/1.1 500 ")
    assert len(logged_failures) == 1
    logged_failures.clear()


def test_a_waiter_that_somebody_else_cancels_is_a_bug(port, logged_failures):
    client = port.connect().send("PUT /v2/keys/a HTTP/1.1\r\nHost: k\r\n\r\n")
    ((waiting, *_),) = port.member.proposals
    waiting.errback(Failure(CancelledError()))
    assert client.said.startswith(b"HTTP/1.1 500 ")
    logged_failures.clear()
