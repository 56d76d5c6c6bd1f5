"""Requests framed so that two readers could disagree about where they end."""

from __future__ import annotations

import pytest

HEAD = (
    b"PUT /v2/keys/a HTTP/1.1\r\nHost: kvd\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)
OLD = HEAD.replace(b"1.1", b"1.0")
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BODY = b"7\r\nvalue=a\r\n0\r\n\r\n"
NEXT = b"GET /v2/keys/smuggled HTTP/1.1\r\nHost: kvd\r\n\r\n"
# How such a thing is met.
REFUSED = "refused: no request is seen, the connection ends"
CODED = "refused: 501, the connection ends"
FORM = "answered 400, the connection ends"
LAST = "answered, then the connection ends"
OPEN = "answered, the next request is the next"

# 35 cases: (name, bytes before the next request, how it is met)
CASES = [
    ("length beside chunked", CHUNKED + b"Content-Length: 3\r\n\r\n" + BODY, LAST),
    ("chunked beside length", b"Content-Length: 3\r\n" + CHUNKED + b"\r\n" + BODY, LAST),
    ("length 0 beside chunked", b"Content-Length: 0\r\n" + CHUNKED + b"\r\n" + BODY, LAST),
    ("two codings", CHUNKED * 2 + b"\r\n" + BODY, CODED),
    ("a list of codings", b"Transfer-Encoding: chunked, chunked\r\n\r\n" + BODY, CODED),
    ("identity", b"Transfer-Encoding: identity\r\n\r\n" + BODY, CODED),
    ("gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n\r\n" + BODY, CODED),
    ("chunked, identity", b"Transfer-Encoding: chunked, identity\r\n\r\n" + BODY, CODED),
    ("an empty coding", b"Transfer-Encoding:\r\n\r\n" + BODY, CODED),
    ("a vertical tab", b"Transfer-Encoding: \x0bchunked\r\n\r\n" + BODY, CODED),
    ("a quoted coding", b'Transfer-Encoding: "chunked"\r\n\r\n' + BODY, CODED),
    ("a coding with a parameter", b"Transfer-Encoding: chunked;a=b\r\n\r\n" + BODY, CODED),
    ("a coding with a space", b"Transfer-Encoding : chunked\r\n\r\n" + BODY, REFUSED),
    ("a coding folded", b"Transfer-Encoding:\r\n chunked\r\n\r\n" + BODY, OPEN),
    ("a coding in capitals", b"TRANSFER-ENCODING: CHUNKED\r\n\r\n" + BODY, OPEN),
    ("two different lengths", b"Content-Length: 7\r\nContent-Length: 8\r\n\r\nvalue=a", REFUSED),
    ("two equal lengths", b"Content-Length: 7\r\nContent-Length: 7\r\n\r\nvalue=a", OPEN),
    ("an empty and a full length", b"Content-Length:\r\nContent-Length: 7\r\n\r\nvalue=a", REFUSED),
    ("a list of lengths", b"Content-Length: 7, 7\r\n\r\nvalue=a", REFUSED),
    ("a length with a sign", b"Content-Length: +7\r\n\r\nvalue=a", REFUSED),
    ("a negative length", b"Content-Length: -1\r\n\r\nvalue=a", REFUSED),
    ("a length in hexadecimal", b"Content-Length: 0x7\r\n\r\nvalue=a", REFUSED),
    ("a length with an underscore", b"Content-Length: 1_0\r\n\r\nvalue=a", REFUSED),
    ("a length with a space", b"Content-Length : 7\r\n\r\nvalue=a", REFUSED),
    ("a length with a NUL", b"Content-Length: 7\x00\r\n\r\nvalue=a", REFUSED),
    ("a length of 2^64", b"Content-Length: 18446744073709551616\r\n\r\nvalue=a", REFUSED),
    ("a length with zeros", b"Content-Length: 007\r\n\r\nvalue=a", OPEN),
    ("chunk sizes with a sign", CHUNKED + b"\r\n+7\r\nvalue=a\r\n0\r\n\r\n", FORM),
    ("chunk sizes with 0x", CHUNKED + b"\r\n0x7\r\nvalue=a\r\n0\r\n\r\n", FORM),
    ("chunk sizes with a space before", CHUNKED + b"\r\n 7\r\nvalue=a\r\n0\r\n\r\n", FORM),
    ("chunk sizes of 17 digits", CHUNKED + b"\r\n00000000000000007\r\nvalue=a\r\n0\r\n\r\n", FORM),
    ("a chunk longer than it says", CHUNKED + b"\r\n7\r\nvalue=ab\r\n0\r\n\r\n", FORM),
    ("a chunk ended by a line feed", CHUNKED + b"\r\n7\r\nvalue=a\n0\r\n\r\n", FORM),
    ("chunk extensions", CHUNKED + b"\r\n7;a=b\r\nvalue=a\r\n0\r\n\r\n", OPEN),
    ("trailers that are no headers", CHUNKED + b"\r\n7\r\nvalue=a\r\n0\r\nGET / HTTP/1.1\r\n\r\n", FORM),
]  # fmt: skip


@pytest.mark.parametrize("split", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(
    ("name", "framed", "how"), CASES, ids=[row[0] for row in CASES]
)
def test_smuggling_table(make_port, read, name, framed, how, split):
    assert len(CASES) == 35
    port = make_port()
    client = port.connect()
    data = HEAD + framed + NEXT
    for piece in [data[i : i + 1] for i in range(len(data))] if split else [data]:
        client.send(piece)
        port.settle()
    statuses = [answer.status for answer in read(client.said)]
    expected = {
        REFUSED: [400],
        CODED: [501],
        FORM: [400],
        LAST: [201],
        OPEN: [201, 404],
    }[how]
    assert statuses == expected
    assert client.end == ("open" if how == OPEN else client.end)
    assert client.end != "open" or how == OPEN
    stored = [] if how in {REFUSED, CODED, FORM} else ["a"]
    listing = port.request("GET", "/v2/keys").body.decode()
    assert [
        name for name in ("a", "smuggled") if f'"key":"/{name}"' in listing
    ] == stored


def test_http_1_0_knows_no_codings_and_may_not_mix_them_with_a_length(port, read):
    said, end = port.ask(
        OLD
        + CHUNKED
        + b"Connection: keep-alive\r\nContent-Length: 7\r\n\r\nvalue=q"
        + NEXT
    )
    assert [answer.status for answer in read(said)] == [201]
    assert end == "closed"
    assert b'"value":"q"' in said
