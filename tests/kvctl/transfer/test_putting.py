"""One record: what comes of it depends on what is there."""

from __future__ import annotations

import pytest

from kvd.kvctl.transfer.putting import Outcome, Policy, Putting, Refused, as_shown
from kvd.kvctl.transfer.records import Record
from tests.kvctl.transfer.store import Store, refusal, said

ALL = tuple(Policy)
BYTES = b"\xff\xfe"


@pytest.fixture
def store():
    return Store()


def putting(store, policy=Policy.FAIL, source="/", destination="/", **options):
    return Putting(
        store.ask, source=source, destination=destination, policy=policy, **options
    )


@pytest.mark.parametrize("policy", ALL)
@pytest.mark.parametrize(
    "record",
    [
        Record(key="/a", value=b"1"),
        Record(key="/a", value=BYTES),
        Record(key="/a", value=b"", ttl=5),
        Record(key="/a"),
        Record(key="/a", ttl=5),
    ],
)
def test_a_record_is_created_once_and_then_left_as_it_is(store, policy, record):
    put = putting(store, policy).put
    assert put(record) is Outcome.CREATED
    before = dict(store.nodes)
    assert put(record) is Outcome.UNCHANGED
    assert store.nodes == before == {"/a": (record.value, record.ttl is not None)}


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        (Policy.FAIL, Outcome.CONFLICT),
        (Policy.SKIP, Outcome.SKIPPED),
        (Policy.OVERWRITE, Outcome.REPLACED),
    ],
)
@pytest.mark.parametrize(
    ("there", "record"),
    [
        ((b"2", False), Record(key="/a", value=b"1")),
        ((b"1", True), Record(key="/a", value=b"1")),
        ((b"1", False), Record(key="/a", value=b"1", ttl=5)),
        ((b"\xff\xff", False), Record(key="/a", value=BYTES)),
        ((b"1", False), Record(key="/a")),
        ((None, True), Record(key="/a")),
        ((None, False), Record(key="/a", ttl=5)),
    ],
)
def test_the_policy_decides_about_what_is_there(store, policy, outcome, there, record):
    store.nodes["/a"] = there
    assert (
        putting(store, policy, dry=True).put(record) is outcome or record.value == BYTES
    )
    assert store.nodes["/a"] == there
    assert putting(store, policy).put(record) is outcome
    changed = (record.value, record.ttl is not None)
    assert store.nodes["/a"] == (changed if outcome is Outcome.REPLACED else there)


def test_a_directory_is_never_removed_for_a_key(store):
    store.put("/a")
    put = putting(store, Policy.OVERWRITE).put
    assert put(Record(key="/a", value=b"1")) is Outcome.CONFLICT
    assert store.nodes == {"/a": (None, False)}


@pytest.mark.parametrize("dry", [False, True])
def test_a_key_where_a_directory_has_to_be_is_a_conflict(store, dry):
    store.put("/a", b"1")
    record = Record(key="/a/b", value=b"2")
    assert putting(store, dry=dry).put(record) is Outcome.CONFLICT
    assert putting(store, Policy.OVERWRITE, dry=dry).put(record) is Outcome.CONFLICT
    assert putting(store, Policy.SKIP, dry=dry).put(record) is Outcome.SKIPPED
    assert store.nodes == {"/a": (b"1", False)}


def test_a_dry_run_writes_nothing(store):
    put = putting(store, Policy.OVERWRITE, dry=True).put
    assert put(Record(key="/a", value=b"1")) is Outcome.CREATED
    assert put(Record(key="/d", ttl=5)) is Outcome.CREATED
    assert store.nodes == {}
    assert {method for method, _, _ in store.asked} == {"GET"}


def test_bytes_that_are_not_certain_are_left_out_unless_wanted(store):
    record = Record(key="/a", value="\ufffd".encode(), lossy=True)
    assert putting(store).put(record) is Outcome.LEFT_OUT
    assert store.asked == []
    assert putting(store, lossy=True).put(record) is Outcome.CREATED


def test_a_tree_can_go_elsewhere(store):
    put = putting(store, source="/p", destination="/other/place").put
    assert put(Record(key="/p/a b", value=b"1")) is Outcome.CREATED
    assert store.nodes == {"/other/place/a b": (b"1", False)}
    up = putting(store, source="/p", destination="/").put
    assert up(Record(key="/p/a", value=b"1")) is Outcome.CREATED
    assert "/a" in store.nodes


def test_names_that_mean_something_in_a_url_arrive_as_they_are(store):
    for key in ("/a?b", "/a#b", "/a%41", "/ä/ö", "/a+b&c=d"):
        assert putting(store).put(Record(key=key, value=b"&=+%")) is Outcome.CREATED
        assert store.nodes[key] == (b"&=+%", False)


def test_a_key_that_vanishes_meanwhile_is_created_after_all(store):
    store.next = [refusal(105, "Key already exists"), refusal(100, "Key not found")]
    assert putting(store).put(Record(key="/a", value=b"1")) is Outcome.CREATED
    assert store.nodes == {"/a": (b"1", False)}


def test_a_key_that_comes_and_goes_is_given_up_on(store):
    store.next = [refusal(105, ""), refusal(100, "")] * 3
    with pytest.raises(Refused, match="there and not there"):
        putting(store).put(Record(key="/a", value=b"1"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            refusal(110, "Not allowed", cause="/a"),
            "/a: 110: Not allowed \\(/a\\) \\[9\\]$",
        ),
        (said(413, b"too large"), "/a: the cluster answers 413 too large"),
        (said(400, b"[]"), r"/a: the cluster answers 400 \[\]"),
        (said(200, b""), "/a: the cluster answers 200"),
        (refusal(102, "Not a file"), "/a: the cluster says error 102"),
    ],
)
def test_what_the_cluster_refuses_is_told_in_its_words(store, answer, words):
    store.next = [answer]
    with pytest.raises(Refused, match=words):
        putting(store).put(Record(key="/a", value=b"1"))


def test_a_value_that_changes_while_it_is_replaced_is_told(store):
    store.put("/a", b"1")
    store.next = [refusal(105, ""), store.ask("GET", "/v2/keys/a", b"")]
    store.nodes["/a"] = (None, False)
    put = putting(store, Policy.OVERWRITE).put
    assert put(Record(key="/a", value=b"2")) is Outcome.CONFLICT


def test_bytes_are_shown_as_a_server_shows_them():
    # Each byte by itself, as Go does: these three begin a character that does not end.
    assert as_shown(b"\xf0\x9f\x98") == "\ufffd" * 3
    assert as_shown("ä".encode()) == "ä"
