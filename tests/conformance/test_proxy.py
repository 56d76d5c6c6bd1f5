"""A proxy before a member, a proxy that only reads, and one that finds nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import attrs
import pytest

from kvd.testing.rows import Raw, names, row
from kvd.testing.servers import (
    Make,
    Server,
    kill_all,
    lone_member,
    proxy_before,
    start_all,
)
from kvd.testing.sidebyside import Pair, Side
from kvd.testing.wire import Answer
from tests.conformance.conftest import SUBJECT, check

pytestmark = pytest.mark.oracle

START_SECONDS = 30.0
# Long, because a lone member says a peer URL that leads nowhere.
OPTIONS = {"proxy-refresh-interval": 3_600_000}
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LOCAL = "/v2/config/local/proxy"


class ProxySide(Side):
    """One proxy; that etcd's says who may ask twice over is forgiven."""

    def _seen(self, answer: Answer, now: float, *, sorted_nodes: bool):
        once = tuple(dict.fromkeys(answer.headers))
        return super()._seen(
            answer._replace(headers=once), now, sorted_nodes=sorted_nodes
        )


@attrs.frozen
class Stand:
    """A member of one make, and proxies of the same."""

    member: Server
    forwarding: Server
    reading: Server
    alone: Server

    def side(self, which: Server) -> Side:
        return ProxySide(which.port, {self.member.url: "<the member>"})


def stand(make: Make, folder) -> Stand:
    member = lone_member(make, folder / "member")
    member.options["advertise-client-urls"] = member.url
    peers = [str(member.options["listen-peer-urls"])]
    return Stand(
        member,
        proxy_before(make, folder / "on", peers, **OPTIONS),
        proxy_before(make, folder / "readonly", peers, proxy="readonly", **OPTIONS),
        proxy_before(make, folder / "alone", ["http://127.0.0.1:1"], **OPTIONS),
    )


@pytest.fixture(scope="module")
def stands(oracle, tmp_path_factory) -> Iterator[list[Stand]]:
    """Etcd's first, then kvd's."""
    made = [
        stand(make, tmp_path_factory.mktemp(role))
        for role, make in (("oracle", Make.ETCD), ("subject", SUBJECT))
    ]
    servers = [server for each in made for server in attrs.astuple(each, recurse=False)]
    try:
        for each in made:
            start_all([each.member])
        for server in servers:
            if not server.running:
                server.start()
        for server in servers:
            wait_for(lambda server=server: server.ask(LOCAL)[0])
        yield made
    finally:
        kill_all(servers)


def wait_for(condition) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pair_of(stands, name: str) -> Iterator[Pair]:
    pair = Pair(*(each.side(getattr(each, name)) for each in stands))
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def forwarding(stands) -> Iterator[Pair]:
    yield from pair_of(stands, "forwarding")


@pytest.fixture(scope="module")
def reading(stands) -> Iterator[Pair]:
    yield from pair_of(stands, "reading")


@pytest.fixture(scope="module")
def alone(stands) -> Iterator[Pair]:
    yield from pair_of(stands, "alone")


FORWARDED = [
    row(
        "writes and reads",
        "PUT $/a value=1",
        "PUT $/a value=2",
        "GET $/a",
        "GET $/a?quorum=true",
        "POST $/q value=1",
        "GET $?recursive=true&sorted=true",
        "DELETE $/a",
    ),
    row(
        "conditions that fail",
        "PUT $/a?prevExist=true value=1",
        "PUT $/a value=1",
        "PUT $/a?prevValue=2 value=3",
        "DELETE $/a?prevIndex=1",
        "DELETE $",
    ),
    row("nothing there", "GET $/no", "DELETE $/no", "GET /nowhere", "PUT /nowhere x"),
    row("heads", "PUT $/a value=1", "HEAD $/a", "HEAD $/no", "HEAD $/a?wait=true"),
    row("a large body", f"PUT $/a value={'x' * 5000}", "GET $/a", "HEAD $/a"),
    row("no body", "PUT $/d?dir=true", "PUT $/a"),
    row(
        "a form that cannot be read",
        "PUT $/a value=%zz",
        "PUT $/a?ttl=x value=1",
        "GET $/a?x=%zz",
        "GET $/a?x=a;b",
    ),
    row("unknown methods", "PATCH $/a", "TRACE $/a", "get $/a"),
    row("a ttl", "PUT $/a value=1&ttl=100", "GET $/a", "until gone $/no"),
    row(
        "a watch that hits the history",
        "PUT $/a value=1",
        "GET $/a?wait=true&waitIndex=@1",
        meant="what comes in pieces is passed on in pieces, not held back for its end",
    ),
    row("a watch that is none", "GET $/a?wait=true&waitIndex=x", "GET $/a?wait=x"),
    row(
        "escapes in a path",
        "PUT $/%C3%A4%2Fb%20c%3Fd value=1",
        "GET $/%C3%A4/b%20c%3Fd",
        "GET $/a;b=c,d:e@f&g",
        'GET $/a|b"c',
        "GET $/%ff",
    ),
    row(
        "paths that are not clean",
        "GET /v2//keys/a?x=1",
        "PUT /v2/keys/../keys value=1",
        "OPTIONS /v2/keys//",
        "HEAD //",
    ),
    row(
        "what is asked of members beside the keys",
        "GET /version",
        "GET /health",
        "GET /v2/machines",
        "GET /v2/members",
        "GET /v2/members/leader",
        "PUT /version",
    ),
    row("OPTIONS", "OPTIONS $/a", "OPTIONS /nowhere", f"OPTIONS {LOCAL}"),
    row(
        "where requests go",
        f"GET {LOCAL}",
        f"GET {LOCAL}?x=1",
        f"PUT {LOCAL} x=1",
        f"POST {LOCAL}",
        f"DELETE {LOCAL}",
        f"HEAD {LOCAL}",
        f"GET {LOCAL}/",
    ),
    row("a body of chunks", Raw(b"PUT $/a HTTP/1.1\r\nHost: s\r\n" + FORM + CHUNKED + b"7\r\nvalue=1\r\n0\r\n\r\n")),
    row(
        "a body that cannot be read",
        Raw(b"PUT $/a HTTP/1.1\r\nHost: s\r\n" + FORM + CHUNKED + b"zz\r\n"),
        Raw(b"PUT $/a HTTP/1.1\r\nHost: s\r\n" + FORM + CHUNKED + b"3\r\nabcd\r\n"),
    ),
    row(
        "a client that waits to be told",
        Raw(
            b"PUT $/a HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\n"
            b"Content-Length: 7\r\n" + FORM + b"\r\nvalue=1",
            answers=2,
        ),
    ),
    row("an unwanted body", Raw(b"GET $/a HTTP/1.1\r\nHost: s\r\nContent-Length: 3\r\n\r\nabc")),
    row("HTTP/1.0", Raw(b"GET $/a HTTP/1.0\r\n\r\n")),
    row("HTTP/1.0 that would stay", Raw(b"GET $/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")),
    row("the last request", Raw(b"GET $/a HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")),
    row(
        "a pipeline",
        Raw(
            b"PUT $/a HTTP/1.1\r\nHost: s\r\nContent-Length: 7\r\n" + FORM
            + b"\r\nvalue=1GET $/a HTTP/1.1\r\nHost: s\r\n\r\n",
            answers=2,
        ),
    ),
    row("everything", Raw(b"OPTIONS * HTTP/1.1\r\nHost: s\r\n\r\n"), Raw(b"GET * HTTP/1.1\r\nHost: s\r\n\r\n")),
    row("no tunnel", Raw(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")),
    row("no host", Raw(b"GET /a HTTP/1.1\r\n\r\n")),
    row(
        "no request",
        Raw(b"GET /a b HTTP/1.1\r\nHost: s\r\n\r\n"),
        meant="what is no HTTP at all gets no answer, as at the port of a member",
    ),
]  # fmt: skip

READ = [
    row("reads", "GET /v2/keys", "GET /v2/keys/no", "GET /version", f"GET {LOCAL}"),
    row(
        "everything else is refused",
        "PUT $/a value=1",
        "POST $/a value=1",
        "DELETE $/a",
        "HEAD /v2/keys",
        "OPTIONS /v2/keys",
        "PATCH /v2/keys",
        f"POST {LOCAL}",
        f"HEAD {LOCAL}",
        "PUT /nowhere",
    ),
    row("paths that are not clean", "GET /v2//keys", "PUT /v2//keys/a value=1"),
]

NOBODY = (
    "GET /v2/keys/a",
    "HEAD /v2/keys/a",
    "PUT /v2/keys/a value=1",
    "GET /health",
    "OPTIONS /v2/keys/a",
    "GET /v2//keys",
    f"GET {LOCAL}",
    f"PUT {LOCAL} x=1",
)


@pytest.mark.parametrize("row", FORWARDED, ids=names(FORWARDED))
def test_as_etcds_proxy(row, forwarding) -> None:
    check(forwarding, row)


@pytest.mark.parametrize("row", READ, ids=names(READ))
def test_as_etcds_proxy_that_only_reads(row, reading) -> None:
    # It cannot bring two stores to the same index, so they are at the same already.
    assert not list(reading.step_differences(row.steps, "/v2/keys/t"))
    reading.close()


def test_as_etcds_proxy_that_knows_no_member(alone) -> None:
    assert not list(alone.step_differences(NOBODY))


def test_as_etcds_proxy_whose_member_is_gone(stands) -> None:
    # Runs last: the member is killed.
    for each in stands:
        each.member.kill()
    pair = Pair(*(each.side(each.forwarding) for each in stands))
    try:
        # Nobody is asked any more for the five seconds after the first.
        steps = ("PUT /v2/keys/a value=1", "PUT /v2/keys/a value=1", "GET /v2/keys/a")
        assert not list(pair.step_differences((*steps, f"GET {LOCAL}")))
        status, _, body = stands[1].forwarding.ask("/v2/keys/a")
        assert status == 503
        assert "zero endpoints" in json.loads(body)["message"]
    finally:
        pair.close()
