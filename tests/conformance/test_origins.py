"""``cors`` with a list of origins, and ``host-whitelist`` (V2-SPEC 1.2)."""

from __future__ import annotations

import pytest

from kvd.testing.rows import Raw, names, row
from kvd.testing.sidebyside import Pair, Side

from .conftest import check

pytestmark = pytest.mark.oracle

ORIGINS = "http://a.example:8080,https://b.example:8443"
HOSTS = "server,127.0.0.1,good.example,2001:db8::1"


def ask(
    target: bytes, *headers: bytes, method: bytes = b"GET", host: bytes = b"server"
) -> Raw:
    head = b"".join(each + b"\r\n" for each in headers)
    data = method + b" " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n"
    return Raw(data + head + b"\r\n")


def from_(origin: bytes, target: bytes = b"/version", method: bytes = b"GET") -> Raw:
    return ask(target, b"Origin: " + origin, method=method)


A, B = b"http://a.example:8080", b"https://b.example:8443"

CORS = [
    row("an origin of the list is echoed", from_(A), from_(B)),
    row("without an origin there are no headers for it", ask(b"/version")),
    row(
        "another origin gets none",
        from_(b"http://c.example"),
        from_(b"http://a.example"),
        from_(b"https://a.example:8080"),
        from_(b"HTTP://A.EXAMPLE:8080"),
        from_(b"http://a.example:8080/"),
        from_(b"null"),
        from_(b""),
        from_(b"*"),
    ),
    row(
        "two origins are the first",
        ask(b"/version", b"Origin: " + A, b"Origin: http://c.example"),
        ask(b"/version", b"Origin: http://c.example", b"Origin: " + A),
    ),
    row(
        "every answer has them, mistakes and redirects too",
        from_(A, b"/nowhere"),
        from_(A, b"//nowhere"),
        from_(A, b"/v2/keys/none"),
        from_(A, b"/v2/keys/none", b"PATCH"),
        from_(A, b"/v2/keys/none?ttl=x"),
        from_(A, b"/v2/keys/%zz"),
        from_(A, b"/v2/members"),
        from_(A, b"/health"),
    ),
    row(
        "options are answered for everybody, with headers for the list",
        from_(A, b"/v2/keys", b"OPTIONS"),
        from_(b"http://c.example", b"/v2/keys", b"OPTIONS"),
        ask(b"/v2/keys", method=b"OPTIONS"),
        from_(A, b"*", b"OPTIONS"),
    ),
    row("head has them, too", Raw(from_(A, b"/v2/keys", b"HEAD").data, heads=True)),
    row(
        "a watch has them, too",
        "PUT $/w value=1",
        from_(A, b"$/w?wait=true&waitIndex=@1"),
    ),
]

ALLOWED = [
    row(
        "a host of the list is answered, whatever its port",
        ask(b"/version", host=b"good.example"),
        ask(b"/version", host=b"good.example:80"),
        ask(b"/version", host=b"good.example:"),
        ask(b"/version", host=b"[2001:db8::1]:80"),
    ),
    row(
        "an absolute target's host counts",
        ask(b"http://good.example/version", host=b"bad.example"),
    ),
]

MISDIRECTED = [
    row(sentence, request, meant="the text of 421 is kvd's own")
    for sentence, request in (
        ("another host is misdirected", ask(b"/version", host=b"bad.example")),
        (
            "another host with a port is misdirected",
            ask(b"/v2/keys", host=b"bad.example:2379"),
        ),
        ("no host is misdirected", ask(b"/version", host=b"")),
        ("case counts in hosts", ask(b"/version", host=b"GOOD.example")),
        ("a dot at the end counts", ask(b"/version", host=b"good.example.")),
        (
            "the wrong host of an absolute target is misdirected",
            ask(b"http://bad.example/version", host=b"good.example"),
        ),
        (
            "a host is looked at before options",
            ask(b"/v2/keys", method=b"OPTIONS", host=b"bad.example"),
        ),
        (
            "a host is looked at before the path",
            ask(b"//nowhere", host=b"bad.example"),
        ),
        (
            "an old client without a host is misdirected",
            Raw(b"GET /version HTTP/1.0\r\n\r\n"),
        ),
        (
            "no origin helps another host",
            ask(b"/version", b"Origin: " + A, host=b"bad.example"),
        ),
    )
]


@pytest.fixture(scope="module")
def guarded(lone_servers):
    servers = lone_servers(**{"cors": ORIGINS, "host-whitelist": HOSTS})
    pair = Pair(*(Side(server.port) for server in servers))
    yield pair
    pair.close()


@pytest.mark.parametrize("row", CORS, ids=names(CORS))
def test_origins(guarded, row):
    check(guarded, row)


@pytest.mark.parametrize("row", ALLOWED, ids=names(ALLOWED))
def test_hosts_that_are_answered(guarded, row):
    check(guarded, row)


@pytest.mark.parametrize("row", MISDIRECTED, ids=names(MISDIRECTED))
def test_hosts_that_are_misdirected(guarded, row):
    """All but the text is the same: status, headers and their order."""
    check(guarded, row)
    heads = [
        side.step(row.steps[0]).text.partition("Content-Length: ")[0]
        for side in guarded.sides
    ]
    assert heads[0] == heads[1]
    assert " 421 Misdirected Request" in heads[0]
