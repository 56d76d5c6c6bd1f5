"""The comparison itself: what it forgives, and that it forgives nothing else."""

from __future__ import annotations

import pytest

from kvd.testing.rows import placed
from kvd.testing.seen import Seen, differs, normal_body, seen_answer
from kvd.testing.wire import Answer

LISTING = b'{"action":"get","node":{"dir":true,"nodes":[{"key":"/b"},{"key":"/a"}]}}\n'


def seen(body: bytes, now: float = 0.0, **changes) -> Seen:
    answer = Answer(
        "HTTP/1.1 200 OK",
        (("X-Raft-Index", "7"), ("Date", "Mon, 01 Jan 2024 00:00:00 GMT")),
        "length",
        (body,),
        complete=True,
    )
    return seen_answer(answer._replace(**changes), now, sorted_nodes=True)


def test_equal_answers_do_not_differ() -> None:
    assert differs(seen(b"x"), seen(b"x")) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "HTTP/1.1 201 Created"},
        {"headers": (("X-Raft-Index", "7"),)},
        {"headers": (("x-raft-index", "7"), ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"))},
        {"headers": (("X-Raft-Index", "0"), ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"))},
        {"headers": (("X-Raft-Index", "7"), ("Date", "2024-01-01"))},
        {"framing": "chunked"},
        {"complete": False},
        {"chunks": (b"y",)},
        {"chunks": (b"x\n",)},
    ],
)
def test_any_other_status_header_framing_or_body_differs(changes) -> None:
    assert differs(seen(b"x"), seen(b"x", **changes)) != ""


def test_dates_and_raft_positions_may_differ() -> None:
    later = (("X-Raft-Index", "9"), ("Date", "Tue, 02 Jan 2024 00:00:00 GMT"))
    assert differs(seen(b"x"), seen(b"x", headers=later)) == ""


def test_the_length_may_differ_only_where_a_time_is_shown() -> None:
    def answer(length: str, body: bytes) -> Seen:
        return seen(body, headers=(("Content-Length", length),))

    timed = b'"expiration":"1970-01-01T00:00:00.5Z"'
    assert differs(answer("1", b"x"), answer("2", b"x")) != ""
    assert differs(answer("1", timed), answer("2", timed)) == ""


def test_ends_are_compared_from_the_time_of_the_request() -> None:
    first = seen(b'"expiration":"1970-01-01T00:01:40.25Z","ttl":100', now=0.0)
    later = seen(b'"expiration":"1970-01-01T00:02:40Z","ttl":100', now=60.0)
    assert first.numbers == (100.25, 100.0)
    assert differs(first, later) == ""


@pytest.mark.parametrize(
    "body",
    [
        b'"expiration":"1970-01-01T00:01:45Z","ttl":100',
        b'"expiration":"1970-01-01T00:01:40Z","ttl":95',
        b'"expiration":"1970-01-01T00:01:40.50Z","ttl":100',  # a trailing zero
        b'"expiration":"1970-01-01T00:01:40","ttl":100',
        b'"expiration":"1970-01-01T00:01:40Z","ttl":"100"',
        b'"expiration":"1970-01-01T00:01:40Z"',
    ],
)
def test_other_ends_differ(body) -> None:
    first = seen(b'"expiration":"1970-01-01T00:01:40Z","ttl":100')
    assert differs(first, seen(body)) != ""


def test_ends_of_other_centuries_are_understood() -> None:
    body = b'"expiration":"1734-03-01T12:00:00Z"'
    assert normal_body(body, 0.0)[1] == (-7442280000.0,)
    assert normal_body(b'"expiration":"2262-04-11T23:47:16Z"', 0.0)[1] == (
        9223372036.0,
    )


def test_a_zero_ttl_shown_is_not_taken_for_a_ttl() -> None:
    assert normal_body(b'"ttl":0', 0.0) == ('"ttl":0', ())


def test_text_in_a_value_is_no_time() -> None:
    body = b'{"value":"\\"ttl\\":5,\\"expiration\\":\\"1970-01-01T00:00:00Z\\""}'
    assert normal_body(body, 0.0) == (body.decode(), ())


def test_an_unsorted_listing_has_no_order_and_a_sorted_one_has() -> None:
    other = LISTING.replace(b"/b", b"/c").replace(b"/a", b"/b").replace(b"/c", b"/a")
    assert other != LISTING
    loose = [normal_body(each, 0.0, sorted_nodes=False) for each in (LISTING, other)]
    strict = [normal_body(each, 0.0, sorted_nodes=True) for each in (LISTING, other)]
    assert loose[0] == loose[1]
    assert strict[0] != strict[1]


def test_an_unsorted_listing_keeps_the_order_of_its_fields() -> None:
    one = b'{"node":{"nodes":[{"key":"/a","value":"1"}]}}'
    two = b'{"node":{"nodes":[{"value":"1","key":"/a"}]}}'
    loose = [normal_body(each, 0.0, sorted_nodes=False) for each in (one, two)]
    assert loose[0] != loose[1]


def test_a_step_is_placed_under_its_prefix_at_its_index() -> None:
    step = placed("PUT $/a?prevIndex=@-1&waitIndex=@2 value=@@3", "/v2/keys/t", 10)
    assert step == f"PUT /v2/keys/t/a?prevIndex=9&waitIndex=12 value={13:020}"
