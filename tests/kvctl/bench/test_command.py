"""What surrounds a load: where it goes, what is told, what is removed."""

from __future__ import annotations

import json

import pytest
from twisted.internet.testing import MemoryReactor

from kvd.kvctl.bench.command import remove
from kvd.kvctl.bench.load import Result
from kvd.kvctl.bench.places import place_of
from kvd.kvctl.bench.plan import Kind
from kvd.kvctl.bench.report import Setting, as_json, as_text
from kvd.kvctl.endpoint import endpoint_of
from kvd.kvctl.errors import EndpointFailed
from kvd.kvctl.tls import Files
from kvd.kvctl.wire import Settings
from tests.kvctl.answering import context_of

SETTING = Setting(kind=Kind.PUT, clients=2, keys=3, size_bytes=4, endpoints=1)


def result(*seconds, **errors):
    made = Result()
    for each in seconds:
        made.latencies.add(each)
    for why, count in errors.items():
        made.errors[why] = count
    return made


def test_the_report_is_for_reading():
    lines = as_text(SETTING, result(0.001, 0.003, refused=2, late=5), 0.5)
    assert lines[:3] == [
        "put: 2 clients, 3 keys, 4 bytes a value, 1 endpoints",
        "answered  2 in 0.50 s",
        "rate      4.0 a second",
    ]
    assert lines[3].startswith("latency   average 2.00 ms, 50% 1.0")
    assert lines[3].endswith("longest 3.00 ms")
    assert lines[4:] == ["errors    7", "  5 x late", "  2 x refused"]


def test_nothing_measured_is_told_as_that():
    assert as_text(SETTING, result(), 0.0)[1:] == [
        "answered  0 in 0.00 s",
        "rate      0.0 a second",
        "errors    0",
    ]


def test_programs_get_seconds():
    document = json.loads(as_json(SETTING, result(0.25), 0.5))
    assert (document["answered"], document["rate"], document["errors"]) == (1, 2.0, {})
    assert document["latencySeconds"]["longest"] == 0.25
    assert document["kind"] == "put"


GONE = (404, {"errorCode": 100, "message": "Key not found", "index": 7})
DONE = {"action": "delete", "node": {"key": "/b", "dir": True}}


def removed(*answers):
    context = context_of("bench", *answers)
    pauses = []
    remove(context, context.connect(), "/b", pauses.append)
    assert context.wire.answers == []
    return context, pauses


def test_what_was_written_is_removed_and_looked_after():
    context, pauses = removed(DONE, GONE)
    assert [(method, target) for method, target, _ in context.wire.asked] == [
        ("DELETE", "/v2/keys/b?recursive=true&dir=true"),
        ("GET", "/v2/keys/b?quorum=true"),
    ]
    assert len(pauses) == 1
    assert context.streams.err.getvalue() == ""


def test_what_comes_late_is_removed_too():
    context, _ = removed(DONE, DONE, DONE, GONE)
    assert [method for method, _, _ in context.wire.asked] == [
        "DELETE",
        "GET",
        "DELETE",
        "GET",
    ]
    assert context.streams.err.getvalue() == ""


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([(401, b"no\n")], "no"),
        (
            [EndpointFailed("http://m1:2379", "connection refused")],
            "connection refused",
        ),
        ([DONE] * 20, "it comes back"),
    ],
)
def test_what_cannot_be_removed_is_named(answers, why):
    context, _ = removed(*answers)
    first, second = context.streams.err.getvalue().splitlines()[-2:]
    assert why in context.streams.err.getvalue()
    assert first.startswith("kvctl: /b could not be removed: ") or "error #0" in first
    assert second == "kvctl: remove it with: kvctl rm --recursive /b"


def place(url, **settings):
    made = Settings(1.0, 1.0, 100, **settings)
    return place_of(MemoryReactor(), endpoint_of(url), made)


def test_a_place_says_where_and_who():
    assert place("http://[::1]:2379").head == (
        b"Host: [::1]:2379\r\nUser-Agent: kvctl\r\n"
    )
    named = place("http://m1", auth=("ann", "späť"))
    assert named.head.endswith(b"Authorization: Basic YW5uOnNww6TFpQ==\r\n")


def test_sockets_in_the_file_system_and_tls_are_places_too():
    for url in ("unix://m1:1", "unixs://m1:1", "https://m1:1"):
        assert place(url).endpoint is not None


def test_files_that_are_not_there_or_hold_something_else_are_told(tmp_path):
    (tmp_path / "x").write_text("x")
    with pytest.raises(OSError, match="none"):
        place("https://m1:1", files=Files(ca=str(tmp_path / "none")))
    with pytest.raises(ValueError, match="no certificate"):
        place("https://m1:1", files=Files(ca=str(tmp_path / "x")))
