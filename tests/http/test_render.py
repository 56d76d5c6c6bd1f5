"""JSON as Go writes it, against a slow and obvious writer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.http import render
from kvd.v2.events import Event, NodeView

NOW = 1_700_000_000 * 10**9
SECOND = 10**9


def slow_string(text: str) -> str:
    """V2-SPEC 5, a character at a time."""
    out = ""
    for char in text:
        point = ord(char)
        if 0xD800 <= point <= 0xDFFF:
            out += "\\ufffd"
        elif char in '"\\':
            out += "\\" + char
        elif char in "\n\r\t":
            out += {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
        elif point < 0x20 or char in "<>&\u2028\u2029":
            out += f"\\u{point:04x}"
        else:
            out += char
    return f'"{out}"'


def slow_node(node: NodeView, now: int | None) -> str:
    fields = []
    if node.key not in {"", "/"}:
        fields.append('"key":' + slow_string(node.key))
    if node.value is not None:
        fields.append('"value":' + slow_string(node.value))
    if node.dir:
        fields.append('"dir":true')
    if node.expiration_ns is not None:
        seconds, nanos = divmod(node.expiration_ns, SECOND)
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
        text += (f".{nanos:09d}").rstrip("0").rstrip(".")
        fields.append(f'"expiration":"{text}Z"')
        if now is not None:
            left = min(max(node.expiration_ns - now, -(2**63)), 2**63 - 1)
            ttl = left // SECOND + (1 if left % SECOND else 0)
            if ttl:
                fields.append(f'"ttl":{ttl}')
    if node.nodes:
        shown = ",".join(slow_node(child, now) for child in node.nodes)
        fields.append(f'"nodes":[{shown}]')
    if node.modified_index:
        fields.append(f'"modifiedIndex":{node.modified_index}')
    if node.created_index:
        fields.append(f'"createdIndex":{node.created_index}')
    return "{" + ",".join(fields) + "}"


def slow_event(event: Event) -> bytes:
    text = f'{{"action":"{event.action}","node":{slow_node(event.node, NOW)}'
    if event.prev is not None:
        text += f',"prevNode":{slow_node(event.prev, NOW)}'
    return (text + "}\n").encode()


SPECIAL = (
    '"\\\n\r\t\0\x01\x08\x0c\x1f\x7f/<>&?\u2028\u2029\ufffd\u20ac\udc80\udcff\U0001f600'
)
TEXTS = st.text(
    st.one_of(st.sampled_from(SPECIAL), st.characters(codec="utf-8")), max_size=20
)
INSTANTS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(NOW - 3 * SECOND, NOW + 3 * SECOND),
)
INDEXES = st.integers(1, 2**64 - 1)
KEYS = TEXTS.map(lambda text: f"/k{text}")
# What stores have: files, what a removal leaves, directories, and the root.
FILES = st.builds(
    NodeView, KEYS, TEXTS, st.just(False), INSTANTS, st.none(), INDEXES, INDEXES
)
REMOVED = st.builds(
    NodeView, KEYS, st.none(), st.booleans(), INSTANTS, st.none(), INDEXES, INDEXES
)
NODES = st.recursive(
    FILES | REMOVED,
    lambda children: st.builds(
        NodeView,
        KEYS,
        st.none(),
        st.just(True),
        INSTANTS,
        st.lists(children, max_size=4).map(tuple),
        INDEXES,
        INDEXES,
    ),
    max_leaves=12,
)
ROOTS = st.lists(NODES, max_size=3).map(
    lambda nodes: NodeView("/", None, True, None, tuple(nodes) or None, 0, 0)
)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_a_string_is_written_as_the_slow_writer_does(text):
    assert render.encode(render.quoted(text)) == slow_string(text).encode()


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["get", "set", "expire", "delete"]),
    NODES | ROOTS,
    st.one_of(st.none(), NODES),
)
def test_an_event_is_written_as_the_slow_writer_does(action, node, prev):
    event = Event(action, node, prev, 1, False)
    assert render.event_json(event, now_ns=NOW) == slow_event(event)
    json.loads(render.event_json(event, now_ns=NOW))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", '"plain"'),
        ("", '""'),
        ("/", '"/"'),
        ("\x7f", '"\x7f"'),
        ("é€😀", '"é€😀"'),
        ("<a>&", '"\\u003ca\\u003e\\u0026"'),
        ("\x00\x08\x0b\x0c\x1f", '"\\u0000\\u0008\\u000b\\u000c\\u001f"'),
        ("\n\r\t", '"\\n\\r\\t"'),
        ('\\"\\u003c', '"\\\\\\"\\\\u003c"'),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        ("?\udcff\udcfe?", '"?\\ufffd\\ufffd?"'),
        ("\x00?\udcff", '"\\u0000?\\ufffd"'),
    ],
)
def test_a_string(text, shown):
    assert render.encode(render.quoted(text)).decode() == shown


@pytest.mark.parametrize(
    ("time_ns", "shown"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOW, "2023-11-14T22:13:20Z"),
        (NOW + 1, "2023-11-14T22:13:20.000000001Z"),
        (NOW + 120_000_000, "2023-11-14T22:13:20.12Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
        (-(2**63), "1677-09-21T00:12:43.145224192Z"),
    ],
)
def test_an_instant(time_ns, shown):
    assert render.rfc3339_nano(time_ns) == shown


@pytest.mark.parametrize(
    ("left_ns", "ttl"),
    [
        (0, 0),
        (1, 1),
        (SECOND, 1),
        (SECOND + 1, 2),
        (-1, 0),
        (-SECOND + 1, 0),
        (-SECOND, -1),
        (-SECOND - 1, -1),
        (-(2**63) - NOW, -9223372036),
        (2**63, 9223372037),
    ],
)
def test_what_is_left(left_ns, ttl):
    assert render.ttl_seconds(NOW + left_ns, now_ns=NOW) == ttl


def test_a_change_shows_the_ttl_of_its_own_time_whenever_it_is_replayed():
    """Seen at etcd 3.4.23: a set with ttl=100 replayed after 3 s still shows 100."""
    node = NodeView("/k", "v", False, NOW + 100 * SECOND, None, 4, 4)
    later = NOW + 3 * SECOND
    event = Event("set", node, node, 4, False, NOW)
    assert render.event_json(event, now_ns=later).count(b'"ttl":100,') == 2
    got = Event("get", node, None, 4, False)
    assert b'"ttl":97,' in render.event_json(got, now_ns=later)


@pytest.mark.parametrize(
    ("overdue_ns", "shown"),
    [(0, b""), (SECOND - 1, b""), (SECOND, b'"ttl":-1,'), (3 * SECOND, b'"ttl":-3,')],
)
def test_an_expiry_shows_how_long_overdue_it_was(overdue_ns, shown):
    """Seen at etcd 3.4.23: nothing, unless everybody was down when the time came."""
    node = NodeView("/k", None, False, None, None, 5, 4)
    prev = NodeView("/k", "v", False, NOW, None, 4, 4)
    event = Event("expire", node, prev, 5, False, NOW + overdue_ns)
    body = render.event_json(event, now_ns=NOW + 100 * SECOND)
    assert (b'"ttl"' in body) == bool(shown)
    assert shown in body


def test_a_path_of_3000_segments_is_no_recursion_error():
    node = NodeView("/x", "deep", False, None, None, 1, 1)
    for _ in range(3000):
        node = NodeView("/d", None, True, None, (node,), 1, 1)
    shown = render.event_json(Event("get", node, None, 1, False), now_ns=NOW)
    assert shown.count(b'"nodes":[') == 3000
    assert shown.count(b"]") == 3000


def test_hostile_values_are_written_at_the_speed_of_c():
    for text in ("\x01" * 10**6, "\udcff" * 10**6, "\udcffa" * 10**6, "<" * 10**6):
        assert render.encode(render.quoted(text))


def test_an_error():
    assert render.error_json(100, "Key not found", "/<", 7) == (
        b'{"errorCode":100,"message":"Key not found","cause":"/\\u003c","index":7}\n'
    )
    assert render.error_json(102, "Not a file", "", 0) == (
        b'{"errorCode":102,"message":"Not a file","index":0}\n'
    )
