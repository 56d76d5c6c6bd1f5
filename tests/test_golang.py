"""Small rules of Go's standard library."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd import golang
from kvd.http.bodies import ChunkedBody
from kvd.http.fields import HeaderBlocks, Refusal

MS = 10**6


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0s"),
        (1, "1ns"),
        (999, "999ns"),
        (1_500, "1.5µs"),
        (12_300_000, "12.3ms"),
        (10**9, "1s"),
        (3_390 * MS, "3.39s"),
        (59_999_999_999, "59.999999999s"),
        (60 * 10**9, "1m0s"),
        (612_280 * MS, "10m12.28s"),
        (3_600 * 10**9, "1h0m0s"),
        (100 * 3_600 * 10**9 + 1, "100h0m0.000000001s"),
        (-1_500 * MS, "-1.5s"),
    ],
)
def test_a_duration(nanoseconds, shown):
    assert golang.duration(nanoseconds) == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"abc", '"abc"'),
        (b'a"\\', '"a\\"\\\\"'),
        (b"\n\x00\x7f", '"\\n\\x00\\x7f"'),
        ("é\u0085\u2028".encode(), '"é\\u0085\\u2028"'),
        (b"\xff\xc3", '"\\xff\\xc3"'),
        ("\U000e0001😀".encode(), '"\\U000e0001😀"'),
    ],
)
def test_a_quoted_string(data, shown):
    assert golang.quote(data) == shown


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="/.ab", max_size=20))
def test_a_path_is_cleaned_as_posixpath_does(path):
    path = f"/{path}"
    clean = golang.clean_path(path.encode()).decode()
    slow = "/" + posixpath.normpath(path).lstrip("/")
    assert clean in {slow, f"{slow}/"}
    assert clean.endswith("/") == (path.endswith("/") or slow == "/")
    assert golang.clean_path(clean.encode()).decode() == clean


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30))
def test_what_is_escaped_is_unescaped_again(data):
    assert golang.unescape(golang.escape_path(data).encode()) == data


def test_lines_of_a_chunked_body_are_bounded():
    body = ChunkedBody()
    assert body.feed(b"1;" + b"x" * 5_000, limit=9) == b""
    assert body.problem == "header line too long"
    body = ChunkedBody()
    assert body.feed(b"0\r\n" + b"a: b\r\n" * 20_000, limit=9) == b""
    assert body.problem == "header line too long"
    body = ChunkedBody()
    assert body.feed(b"0\r\na: b\r\n\r\nnext", limit=9) == b"next"
    assert body.complete


def test_usual_header_blocks_are_remembered_but_not_all():
    blocks = HeaderBlocks(count_max=500)
    first = blocks.judge(b"Host: a", False)
    assert blocks.known == {b"Host: a": first}
    blocks.judge(b"Host: b", True)
    blocks.judge(b"Host: c\nA: b", False)
    assert len(blocks.known) == 1
    for number in range(3_000):
        blocks.judge(b"Host: a\r\nX: %d" % number, False)
    assert len(blocks.known) <= 1_024
    size = len(blocks.known)
    blocks.judge(b"Host: a\r\nX: " + b"x" * 3_000, False)
    assert len(blocks.known) == size


def test_a_refused_block_is_refused_again():
    blocks = HeaderBlocks(count_max=500)
    for _ in range(2):
        with pytest.raises(Refusal):
            blocks.judge(b"Host: a\r\nHost: a", False)
    assert not blocks.known


@pytest.mark.parametrize("digits", ["9223372036854775808", "9" * 20])
def test_a_length_beyond_63_bits_is_refused(digits):
    with pytest.raises(Refusal):
        HeaderBlocks(count_max=9).judge(
            f"Host: a\r\nContent-Length: {digits}".encode(), False
        )
