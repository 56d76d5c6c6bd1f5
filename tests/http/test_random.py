"""Whatever comes in whatever pieces: the same answers, and never an exception."""

from __future__ import annotations

from itertools import pairwise

import httptools
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
SETTINGS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def chunked(body: bytes, sizes: list[int]) -> bytes:
    out = b""
    for size in sizes:
        if body:
            piece, body = body[:size], body[size:]
            out += b"%x\r\n%b\r\n" % (len(piece), piece)
    if body:
        out += b"%X;ext\r\n%b\r\n" % (len(body), body)
    return out + b"0\r\n\r\n"


METHODS = st.sampled_from([b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"OPTIONS"])
PATHS = st.sampled_from(
    [
        b"/v2/keys/a",
        b"/v2/keys/b/c",
        b"/v2/keys//x",
        b"/version",
        b"/nothing",
        b"/v2/keys/a?prevIndex=1",
        b"/v2/keys/%41?dir=true",
    ]
)
HEADERS = st.lists(
    st.sampled_from(
        [b"A: b\r\n", b"Accept: */*\r\n", b"X-Y:\r\n", b"a:  c \r\n", FORM]
    ),
    max_size=3,
    unique=True,
).map(b"".join)
BODIES = st.sampled_from([b"", b"value=1", b"value=x%20y&ttl=9", b"junk", b"v" * 3000])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    body = draw(BODIES)
    head = draw(METHODS) + b" " + draw(PATHS) + b" HTTP/1.1\r\nHost: k\r\n"
    head += draw(HEADERS)
    if draw(st.booleans()):
        sizes = draw(st.lists(st.integers(1, 9), max_size=4))
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, sizes)
    if body or draw(st.booleans()):
        head += b"Content-Length: %d\r\n" % len(body)
    return head + b"\r\n" + body


PIPELINES = st.lists(requests(), min_size=1, max_size=6).map(b"".join)
CUTS = st.lists(st.integers(0, 100_000), max_size=12)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def said(make_port, data: bytes, cuts: list[int]) -> tuple[bytes, str]:
    port = make_port()
    client = port.connect()
    for piece in pieces(data, cuts):
        client.send(piece)
    for _ in range(20):
        port.settle()
        port.clock.advance(0)
    return client.said, client.end


@SETTINGS
@given(PIPELINES, CUTS)
def test_a_pipeline_is_answered_the_same_however_it_is_cut(make_port, data, cuts):
    assert said(make_port, data, cuts) == said(make_port, data, [])


@SETTINGS
@given(PIPELINES)
def test_a_pipeline_has_the_requests_that_llhttp_sees(make_port, data):
    """A second reader, written by others, must agree on what we accept."""

    class Seen:
        def __init__(self) -> None:
            self.urls: list[bytes] = []
            self.bodies: list[bytes] = []

        def on_url(self, url: bytes) -> None:
            self.urls.append(url)
            self.bodies.append(b"")

        def on_body(self, body: bytes) -> None:
            self.bodies[-1] += body

    theirs = Seen()
    httptools.HttpRequestParser(theirs).feed_data(data)
    port = make_port()
    seen: list[tuple[bytes, bytes]] = []
    route = port.site.route

    def spy(line, fields):
        path, handler, limit = route(line, fields)

        def handled(request):
            seen.append((line.path + ("?" if line.query else "") + line.query, request))
            return handler(request)

        return path, handled, limit or 10_000

    port.site.route = spy
    port.connect().send(data)
    for _ in range(10):
        port.settle()
    assert [len(request.body) for _, request in seen] == [len(b) for b in theirs.bodies]
    assert len(seen) == len(theirs.urls)
    for (target, request), url, body in zip(
        seen, theirs.urls, theirs.bodies, strict=True
    ):
        assert request.body == body
        if b"%" not in url:
            assert target.encode() == url


NOISE = st.lists(
    st.one_of(
        st.binary(max_size=30),
        requests(),
        st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b" HTTP/1.1\r\n",
                b"GET ",
                b"Host: a\r\n",
                b"Transfer-Encoding: chunked\r\n\r\n",
                b"Content-Length: 5\r\n",
                b"0\r\n\r\n",
                b"ffffffff\r\n",
                b"Expect: 100-continue\r\n",
                b"Connection: close\r\n",
                b"%",
                b"?wait=true",
                b"\x16\x03\x01",
            ]
        ),
    ),
    max_size=12,
).map(b"".join)


@SETTINGS
@given(NOISE, CUTS, st.booleans())
def test_noise_is_answered_the_same_however_it_is_cut(make_port, data, cuts, ends):
    def all_of_it(cut_at: list[int]) -> tuple[bytes, bool]:
        port = make_port()
        client = port.connect()
        for piece in pieces(data, cut_at):
            client.send(piece)
        for _ in range(10):
            port.settle()
            port.clock.advance(0)
        if ends:
            client.protocol.readConnectionLost()
            port.settle()
        end = client.end
        client.lose()
        assert not port.site.connections
        assert not port.site.deadlines
        assert port.v2.stats.watchers == 0
        return client.said.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""), end == "open"

    assert all_of_it(cuts) == all_of_it([])
