"""RELIABILITY.md, rows K01 to K09; each check is shown to catch a planted bug."""

from __future__ import annotations

import itertools
import time

import pytest

from kvd.errors import KvdError, RequestError
from kvd.v2 import mutations, snapshot
from kvd.v2.commands import Command, Op, decode_command, encode_command
from kvd.v2.events import Event
from kvd.v2.expiries import Expiries
from kvd.v2.machine import V2

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


# -- K01 --


def ttl_needs_the_log(make_subject, make) -> None:
    subject = make_subject(make)
    subject.set("/k", "1", expiration_ns=NOW + SECOND)
    subject.now = NOW + 3600 * SECOND  # an hour overdue
    assert subject.get("/k").node.value == "1"
    subject.set("/other", "1")
    subject.v2.publish()
    assert subject.keys() == ["/k", "/other"]
    bodies = subject.v2.due(time_ns=subject.now)
    assert subject.keys() == ["/k", "/other"]  # asking expires nothing
    (body,) = bodies
    (event,) = subject.apply(body)
    assert (event.action, event.node.key) == ("expire", "/k")
    assert subject.keys() == ["/other"]


class ExpiresOnItsOwn(V2):
    """A follower that looks at the clock itself."""

    def apply(self, *, index, time_ns, body):
        value = super().apply(index=index, time_ns=time_ns, body=body)
        mutations.expire(self._store, Command(Op.SYNC, "", expiration_ns=time_ns), 0)
        return value


def test_ttl_expires_only_through_the_log_by_the_leader(make_subject):
    ttl_needs_the_log(make_subject, V2)
    with pytest.raises((AssertionError, ValueError)):
        ttl_needs_the_log(make_subject, ExpiresOnItsOwn)


# -- K02 --


def ttl_once(make_subject, make) -> None:
    subject = make_subject(make)
    subject.set("/k", "1", expiration_ns=NOW + 10 * SECOND)
    assert subject.v2.due(time_ns=NOW + 10 * SECOND - 1) == ()
    assert subject.sync(NOW + 10 * SECOND - 1) == ()  # not early
    subject = subject.restarted()
    assert subject.sync(NOW - 3600 * SECOND) == ()  # a new leader's clock is behind
    assert subject.get("/k").node.expiration_ns == NOW + 10 * SECOND
    assert len(subject.v2.due(time_ns=NOW + 10 * SECOND)) == 1
    events = subject.sync(NOW + 10 * SECOND)
    assert [event.node.key for event in events] == ["/k"]  # not never
    assert subject.sync(NOW + 20 * SECOND) == ()  # once
    assert subject.v2.index == 2


class ForgetsExpiriesAtRestart(V2):
    def _replace(self, replace_store):
        super()._replace(replace_store)
        self._store.expiries = Expiries()


def test_ttl_once_not_early_not_never(make_subject):
    ttl_once(make_subject, V2)
    with pytest.raises(AssertionError):
        ttl_once(make_subject, ForgetsExpiriesAtRestart)


def test_several_nodes_expire_by_instant_then_path(subject):
    for path, instant in [("/b", 2), ("/a", 2), ("/z", 1), ("/later", 3)]:
        subject.set(path, expiration_ns=NOW + instant)
    events = subject.sync(NOW + 2)
    assert [event.node.key for event in events] == ["/z", "/a", "/b"]
    assert [event.etcd_index for event in events] == [5, 6, 7]
    assert events[0].prev.expiration_ns == NOW + 1
    assert subject.v2.stats.expirations == 3


def test_a_directory_expires_as_one_event_with_all_it_holds(subject):
    subject.set("/d", dir=True, expiration_ns=NOW + 2)
    subject.set("/d/short", expiration_ns=NOW + 1)
    subject.set("/d/long", expiration_ns=NOW + 9)
    subject.set("/d/permanent")
    events = subject.sync(NOW + 2)
    assert [event.node.key for event in events] == ["/d/short", "/d"]
    assert events[1].node.dir
    assert subject.sync(NOW + 9) == ()
    assert subject.set("/d/new").node.modified_index == 7
    assert subject.get("/d").node.expiration_ns is None


def test_a_million_keys_that_end_together_end_in_many_small_steps(subject):
    """K02 within bounds: an entry's limit, and how many entries are asked for."""
    from kvd.v2.machine import EXPIRE_MAX, SYNCS_MAX

    keys = EXPIRE_MAX * SYNCS_MAX + 3
    for number in range(keys):
        subject.set(f"/k{number}", expiration_ns=NOW)
    bodies = subject.v2.due(time_ns=NOW)
    assert len(bodies) == SYNCS_MAX
    assert [len(subject.apply(body)) for body in bodies] == [EXPIRE_MAX] * SYNCS_MAX
    (rest,) = subject.v2.due(time_ns=NOW)
    assert len(subject.apply(rest)) == 3
    assert subject.v2.due(time_ns=NOW) == ()


# -- K03 --


def every_kind_of_request(subject) -> None:
    subject.set("/a/b", "1")
    subject.set("/a/c", "2", expiration_ns=NOW + SECOND)
    subject.create("/a/d", dir=True)
    for name in "hgfedcba":
        subject.post("/a/q", name)
        subject.set(f"/a/d/{name}", expiration_ns=NOW + SECOND)
    subject.update("/a/d", expiration_ns=NOW + 2 * SECOND)
    subject.cas("/a/b", "3", prev_value="1")
    subject.cas("/a/b", "3", prev_value="no")
    subject.cad("/a/b", prev_index=99)
    subject.delete("/a/q", recursive=True)
    subject.set("/a/c", refresh=True, expiration_ns=NOW + SECOND)
    subject.sync(NOW + SECOND)


def same_log_same_state(make_subject, make) -> None:
    """However often it is read, watched or snapshotted on the way, and whenever."""
    first = make_subject(make)
    every_kind_of_request(first)
    second = make_subject(make)
    watched = second.watch("/a", recursive=True, stream=True)
    for now, body in first.log:
        second.now = now
        second.apply(body)
        second.get("/", recursive=True)
        second.v2.snapshot()
        second.v2.due(time_ns=NOW + 99 * SECOND)
    assert watched
    assert second.v2.digest() == first.v2.digest()
    answers = [make_subject(make), make_subject(make)]
    for now, body in first.log:
        told = []
        for subject in answers:
            subject.now = now
            told.append(repr(subject.apply(body)))
        assert told[0] == told[1]


class ReadsTheClock(V2):
    def apply(self, *, index, time_ns, body):
        del time_ns
        return super().apply(index=index, time_ns=time.time_ns(), body=body)


class CountsReads(V2):
    """What is read locally leaks into what is replicated."""

    def get(self, path, *, recursive, sorted):  # noqa: A002
        self._store.stats.sets_success += 1
        return super().get(path, recursive=recursive, sorted=sorted)


def test_apply_has_no_nondeterminism(make_subject):
    same_log_same_state(make_subject, V2)
    for mutant in (ReadsTheClock, CountsReads):
        with pytest.raises(AssertionError):
            same_log_same_state(make_subject, mutant)


# -- K04 --

POISON_PATHS = [
    "/" + "/".join(["a"] * 3_000),
    "/" + "/".join(f"s{n}" for n in range(3_000)),
    "/\ud800/\udfff",  # surrogates that stand for no byte
    "/\udc80\udcff",  # and those that do
    "/nul\0/\0",
    "/" + "".join(map(chr, range(1, 32))) * 1_000,
    "/..",
    "/.",
    "/" + "n" * 1_000_000,
]
POISON_VALUES = ["\x01\x1f\x7f" * 350_000, "\ud800", "\udc80", "\0", "\u2028<&>"]
POISON_TTLS = [0, 1, 2**31, 9_223_372_036, 9_223_372_037, 2**63 - 1, 2**63, 2**64 - 1]
POISON_INDEXES = [0, 1, 2**63, 2**64 - 1]


def survives_poison(make_subject, make) -> None:
    from kvd.v2.expiry import expiration_from_ttl, ttl_seconds_left

    subject = make_subject(make)
    seen = subject.watch("/", recursive=True, stream=True)
    for path, op in itertools.product(POISON_PATHS, Op):
        subject.do(op, path, value="v", recursive=True, prev_index=1)
        subject.set(path, "v")
    for value in POISON_VALUES:
        subject.set("/v", value)
        subject.cas("/v", value, prev_value=value)
    for ttl, op in itertools.product(POISON_TTLS, Op):
        instant = expiration_from_ttl(NOW, ttl)
        subject.do(op, "/t", value="v", expiration_ns=instant)
        if instant is not None:
            assert -(2**63) <= ttl_seconds_left(instant, NOW) < 2**63
    for index in POISON_INDEXES:
        subject.cas("/t", "v", prev_index=index)
        subject.cad("/t", prev_index=index)
    subject.v2.get("/", recursive=True, sorted=True)
    again = subject.restarted()
    assert again.v2.digest() == subject.v2.digest()
    for path in POISON_PATHS:
        subject.delete("/" + path.split("/")[1], recursive=True)
    assert seen


class UsesDatetime(V2):
    """The planted bug: instants as calendar dates end in the year 9999."""

    def apply(self, *, index, time_ns, body):
        from datetime import UTC, datetime, timedelta

        instant = decode_command(body).expiration_ns
        if instant is not None:
            seconds = (instant - time_ns) // SECOND
            datetime(2262, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds * 40)
        return super().apply(index=index, time_ns=time_ns, body=body)


def test_poison_entries(make_subject):
    survives_poison(make_subject, V2)
    with pytest.raises(OverflowError):
        survives_poison(make_subject, UsesDatetime)


def test_a_number_that_does_not_fit_is_refused_by_the_encoder():
    with pytest.raises(RequestError):
        encode_command(Command(Op.SET, "/k", prev_index=2**64))
    with pytest.raises(RequestError):
        encode_command(Command(Op.SET, "/k", expiration_ns=2**63))


# -- K05 --


def indexes_are_unique(make_subject, make) -> None:
    subject, other = make_subject(make), make_subject(make)
    every_kind_of_request(subject)
    seen: list[int] = []
    for now, body in subject.log:
        other.now = now
        answer = other.apply(body)
        for event in answer if type(answer) is tuple else (answer,):
            if isinstance(event, Event):
                assert event.node.modified_index == event.etcd_index
                seen.append(event.etcd_index)
            else:
                assert event.index == other.v2.index
    assert seen == list(range(1, len(seen) + 1))  # failures use none
    assert other.v2.index == subject.v2.index == len(seen)
    assert other.v2.digest() == subject.v2.digest()


class FailuresUseAnIndex(V2):
    def apply(self, *, index, time_ns, body):
        value = super().apply(index=index, time_ns=time_ns, body=body)
        if isinstance(value, KvdError):
            self._store.index += 1
        return value


def test_modified_index_unique_monotone_all_members(make_subject):
    indexes_are_unique(make_subject, V2)
    with pytest.raises(AssertionError):
        indexes_are_unique(make_subject, FailuresUseAnIndex)


# -- K06 --


def compare_is_atomic(make_subject, make) -> None:
    """All pairs of right, wrong and absent, for both operations."""
    values = {None: "", "1": "", "x": "[x != 1]"}
    indexes = {0: "", 1: "", 7: "[7 != 1]"}
    for op, value, index in itertools.product(
        (Op.COMPARE_AND_SWAP, Op.COMPARE_AND_DELETE), values, indexes
    ):
        subject = make_subject(make)
        subject.set("/k", "1")
        before = subject.v2.digest()
        answer = subject.do(op, "/k", value="2", prev_value=value, prev_index=index)
        cause = " ".join(part for part in (values[value], indexes[index]) if part)
        if cause:
            assert isinstance(answer, RequestError), (op, value, index)
            assert (answer.code, answer.cause, answer.index) == (101, cause, 1)
            assert subject.get("/k").node.value == "1"
            if op is Op.COMPARE_AND_DELETE:  # counts as success, changes nothing else
                subject.v2.stats.compare_and_deletes_success -= 1
            else:
                subject.v2.stats.compare_and_swaps_fail -= 1
            assert subject.v2.digest() == before
        else:
            assert isinstance(answer, Event)
            left = [] if op is Op.COMPARE_AND_DELETE else ["/k"]
            assert subject.keys() == left
    # prevExist: only one of two creators wins.
    subject = make_subject(make)
    assert isinstance(subject.create("/k", "1"), Event)
    assert subject.create("/k", "2").code == 105
    assert subject.get("/k").node.value == "1"


def test_cas_cad_atomic(make_subject, monkeypatch):
    compare_is_atomic(make_subject, V2)
    right = mutations._difference
    monkeypatch.setattr(
        mutations,
        "_difference",
        lambda command, old: right(command._replace(prev_index=0), old),
    )
    with pytest.raises(AssertionError):
        compare_is_atomic(make_subject, V2)


# -- K07 --


def in_order_names_are_unique(make_subject, make) -> None:
    subject = make_subject(make)
    names = [subject.post("/q").node.key for _ in range(3)]
    for key in names[:2]:
        subject.delete(key)
    subject = subject.restarted()
    names += [subject.post("/q").node.key for _ in range(3)]
    assert names == sorted(set(names))
    assert names[-1] == f"/q/{subject.v2.index:020d}"


class CountsChildren(V2):
    """In-order names from a counter that a restart does not know."""

    made = 0

    def apply(self, *, index, time_ns, body):
        command = decode_command(body)
        if command.op is Op.CREATE_IN_ORDER:
            self.made += 1
            path = f"{command.path}/{self.made:020d}"
            body = encode_command(command._replace(op=Op.CREATE, path=path))
        return super().apply(index=index, time_ns=time_ns, body=body)


def test_in_order_key_unique_after_restart(make_subject):
    in_order_names_are_unique(make_subject, V2)
    with pytest.raises((AssertionError, AttributeError)):
        in_order_names_are_unique(make_subject, CountsChildren)


# -- K08 and K09 --


def test_refresh_wakes_no_watcher(subject):
    far = NOW + 99 * SECOND
    subject.set("/k", "1")
    live = subject.watch("/", recursive=True, stream=True)
    one = subject.watch("/k")
    subject.set("/k", refresh=True, expiration_ns=far)
    subject.update("/k", refresh=True, expiration_ns=far)
    subject.cas("/k", refresh=True, prev_index=3, expiration_ns=far)
    assert subject.v2.index == 4  # yet each took an index
    replay = subject.watch("/k", since=2)
    assert live == one == replay == []
    subject.set("/k", "2")
    assert one.steps() == live.steps() == replay.steps() == [("set", "/k", 5)]


def test_hidden_keys_not_listed_nor_watched(subject):
    root = subject.watch("/", recursive=True, stream=True)
    above = subject.watch("/a", recursive=True, stream=True)
    inside = subject.watch("/a/_h", recursive=True, stream=True)
    itself = subject.watch("/a/_h/k", stream=True)
    subject.set("/a/_h/k", "1")
    assert subject.keys() == ["/a"]
    assert subject.get("/a/_h").node.nodes[0].key == "/a/_h/k"
    assert root == above == []
    assert inside.steps() == itself.steps() == [("set", "/a/_h/k", 1)]
    subject.set("/a/_h/_i/k", "1")
    assert len(inside) == 1
    # History does not know the rule (V2-SPEC 8.3).
    assert subject.watch("/a", recursive=True, since=1).steps() == [
        ("set", "/a/_h/k", 1)
    ]


def test_the_snapshot_of_this_file_is_versioned():
    assert snapshot.VERSION == 1
