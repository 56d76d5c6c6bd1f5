"""Commands, instants and text: what goes in comes out, garbage is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvd.errors import KvdError, RequestError
from kvd.v2.commands import Asker, Command, Op, decode_command, encode_command
from kvd.v2.expiry import created_expiration, expiration_from_ttl, ttl_seconds_left
from kvd.v2.machine import V2
from kvd.v2.text import text_bytes

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND

octets = st.binary(max_size=20).map(lambda b: b.decode("utf-8", "surrogateescape"))
clean = st.lists(octets.map(lambda t: t.replace("/", "") or "x"), min_size=1).map(
    lambda names: "/" + "/".join(names)
)
instants = st.integers(min_value=-(2**63), max_value=2**63 - 1).filter(bool)


@given(
    st.builds(
        Command,
        op=st.sampled_from([op for op in Op if op is not Op.SYNC]),
        path=clean,
        value=octets,
        dir=st.booleans(),
        expiration_ns=st.none() | instants,
        refresh=st.booleans(),
        prev_value=st.none() | octets,
        prev_index=st.integers(min_value=0, max_value=2**64 - 1),
        recursive=st.booleans(),
        limit=st.integers(min_value=0, max_value=2**32 - 1),
        by=st.none(),
        slash=st.just(False),
    ),
    st.none() | st.builds(Asker, octets, st.integers(0, 2**64 - 1)),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_a_command_is_decoded_to_what_was_encoded(command, by, slash):
    command = command._replace(by=by, slash=slash and by is not None)
    decoded = decode_command(encode_command(command))
    assert decoded == command
    assert type(decoded.op) is Op


def test_a_sync_has_no_path_and_may_be_at_the_instant_0():
    sync = Command(Op.SYNC, "", expiration_ns=0, limit=7)
    assert decode_command(encode_command(sync)) == sync


def test_a_node_cannot_end_at_the_instant_0():
    body = encode_command(Command(Op.SET, "/k", expiration_ns=0))
    assert decode_command(body).expiration_ns is None


@given(st.binary(max_size=80), st.integers(0, 80), st.integers(0, 255))
@example(b"", 0, 0)
@settings(max_examples=200, deadline=None)
def test_garbage_is_refused_and_never_stops_the_machine(noise, at, octet):
    good = bytearray(encode_command(Command(Op.SET, "/a/b", "value", prev_value="x")))
    damaged = bytes(good[: at % len(good)]) + bytes([octet]) + bytes(good[at + 1 :])
    for body in (noise, damaged, damaged[:at], bytes(good) + noise[:1] + b"x"):
        try:
            decode_command(body)
        except KvdError:
            assert isinstance(V2().apply(index=1, time_ns=0, body=body), RequestError)
        else:
            V2().apply(index=1, time_ns=0, body=body)


@pytest.mark.parametrize("path", ["", "a", "//", "/a//b", "/a/", "a/b"])
def test_a_path_that_is_not_clean_is_refused(path):
    with pytest.raises(RequestError):
        decode_command(encode_command(Command(Op.SET, path)))


def test_unknown_versions_operations_and_flags_are_refused():
    good = encode_command(Command(Op.SET, "/k"))
    for at, octet in ((0, 2), (1, 99), (1, 0), (2, 32)):
        bad = bytearray(good)
        bad[at] = octet
        with pytest.raises(RequestError):
            decode_command(bytes(bad))


def test_text_that_stands_for_no_bytes_still_has_an_encoding():
    assert text_bytes("\udc80") == b"\x80"
    assert text_bytes("\ud800") == b"\xed\xa0\x80"
    assert text_bytes("\udc80é\ud800") == b"\x80\xc3\xa9\xed\xa0\x80"


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [
        (0, NOW),
        (1, NOW + SECOND),
        (2**64 - 1, NOW - SECOND),  # acts as -1
        (18_446_744_073, NOW + 18_446_744_073 * SECOND - 2**64),
        (9_223_372_036, NOW + 9_223_372_036 * SECOND - 2**64),
        (2**63, NOW),  # 2^63 * 10^9 is a multiple of 2^64
    ],
)
def test_a_ttl_wraps_as_in_go(ttl, expected):
    """Each of these was seen at etcd 3.4.23."""
    assert expiration_from_ttl(NOW, ttl) == expected
    assert -(2**63) <= expected < 2**63


def test_the_instant_0_is_no_expiration():
    assert expiration_from_ttl(-SECOND, 1) is None


@pytest.mark.parametrize(
    ("left", "shown"),
    [
        (SECOND, 1),
        (1, 1),
        (SECOND + 1, 2),
        (0, 0),
        (-1, 0),
        (-SECOND + 1, 0),
        (-SECOND, -1),
        (-SECOND - 1, -1),
        (-(2**63) * 2, -9_223_372_036),
        (2**63 * 2, 9_223_372_037),
    ],
)
def test_the_ttl_shown_is_rounded_up_and_saturates(left, shown):
    assert ttl_seconds_left(NOW + left, NOW) == shown


def test_before_the_year_2000_is_permanent_where_a_node_is_made(subject):
    wrapped = expiration_from_ttl(NOW, 9_223_372_036)
    assert created_expiration(wrapped) is None
    assert created_expiration(946_684_800 * SECOND) == 946_684_800 * SECOND
    assert created_expiration(None) is None
    assert subject.set("/k", expiration_ns=wrapped).node.expiration_ns is None
    assert subject.post("/q", expiration_ns=wrapped).node.expiration_ns is None
    # Update takes it literally, and the next Sync removes the node.
    assert subject.update("/k", expiration_ns=wrapped).node.expiration_ns == wrapped
    assert len(subject.v2.due(time_ns=NOW)) == 1
    assert len(subject.sync(NOW)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"\2",
        b"\2\0" + bytes(8) + b"\0\0\0\x05ab",
        b"\2\2" + bytes(12) + encode_command(Command(Op.SET, "/k")),
        b"\2\0" + bytes(12) + encode_command(Command(Op.SET, "/k", by=Asker())),
    ],
)
def test_a_checked_command_is_one_of_version_1_behind_who_asks(body):
    with pytest.raises(RequestError):
        decode_command(body)


def test_an_asker_that_does_not_fit_is_refused():
    with pytest.raises(RequestError):
        encode_command(Command(Op.SET, "/k", by=Asker("", 2**64)))
