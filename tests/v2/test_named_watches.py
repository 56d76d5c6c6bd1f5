"""RELIABILITY.md, rows W01 to W10; each check is shown to catch a planted bug."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from kvd.errors import RequestError
from kvd.v2 import watchers
from kvd.v2.commands import Command, Op, encode_command
from kvd.v2.history import EventHistory
from kvd.v2.machine import V2
from kvd.v2.watchers import Watched, Watcher

from .conftest import restore


def steps(*pairs):
    return [("set", key, index) for key, index in pairs]


# -- W01 --


def no_event_is_lost(make_subject, make) -> None:
    """Whenever somebody asks from an index on, the first such event reaches them."""
    subject = make_subject(make)
    asked = []
    for turn in range(20):
        subject.v2.apply(
            index=turn, time_ns=0, body=encode_command(Command(Op.SET, f"/k/{turn}"))
        )
        # Between apply and publish of the same batch, too.
        for since in range(1, turn + 4):
            asked.append((since, subject.watch("/k", recursive=True, since=since)))
        subject.v2.publish()
    subject.set("/k/20")
    subject.set("/k/21")
    subject.set("/k/22")
    for since, seen in asked:
        assert seen.steps() == steps((f"/k/{since - 1}", since)), since


class RegistersWithoutScanning(V2):
    def watch(self, path, *, recursive, stream, since, callback):
        store = self._store
        watcher = Watcher(
            path, recursive=recursive, stream=stream, since=since, callback=callback
        )
        return Watched(store.index, None, store.hub.add(watcher))


def test_watch_register_and_history_scan_atomic(make_subject):
    no_event_is_lost(make_subject, V2)
    with pytest.raises(AssertionError):
        no_event_is_lost(make_subject, RegistersWithoutScanning)


# -- W02 --


def the_future_is_waited_for(make_subject, make) -> None:
    subject = make_subject(make)
    subject.set("/k", "1")
    seen = subject.watch("/k", since=4)
    stream = subject.watch("/", recursive=True, stream=True, since=4)
    assert seen.watched.index == 1
    subject.set("/k", "2")
    subject.set("/k", "3")
    assert seen == stream == []
    subject.set("/k", "4")
    subject.set("/k", "5")
    assert seen.steps() == steps(("/k", 4))
    assert stream.steps() == steps(("/k", 4), ("/k", 5))


class ForgetsSince(V2):
    def watch(self, path, *, recursive, stream, since, callback):
        since = 0 if since > self.index else since
        return super().watch(
            path, recursive=recursive, stream=stream, since=since, callback=callback
        )


def test_wait_index_in_future_on_lagging_follower(make_subject):
    the_future_is_waited_for(make_subject, V2)
    with pytest.raises(AssertionError):
        the_future_is_waited_for(make_subject, ForgetsSince)


# -- W03 --


def the_window_is_a_thousand(make_subject, make) -> None:
    subject = make_subject(make)
    for turn in range(1000):
        subject.set(f"/k/{turn % 3}", refresh=turn % 3 == 0 and turn > 2)
    assert subject.watch("/k", recursive=True, since=1).steps() == steps(("/k/0", 1))
    subject.set("/k/x")
    with pytest.raises(RequestError) as refusal:
        subject.watch("/k", recursive=True, since=1)
    error = refusal.value
    assert (error.code, error.index) == (401, 1001)
    assert error.cause == "the requested history has been cleared [2/1]"
    assert subject.watch("/k", recursive=True, since=2).steps() == steps(("/k/1", 2))
    assert subject.v2.stats.watchers == 0


def test_history_window_1000_then_401_with_index(make_subject):
    the_window_is_a_thousand(make_subject, V2)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        the_window_is_a_thousand(make_subject, lambda: V2(history_max=1001))
    with pytest.raises((AssertionError, RequestError)):
        the_window_is_a_thousand(make_subject, lambda: V2(history_max=999))


# -- W04 --


def history_survives(make_subject, make) -> None:
    subject = make_subject(make)
    subject.set("/d/a", "1", expiration_ns=subject.now + 100)
    subject.set("/d/b", "2")
    subject.set("/d/b", "3")
    subject.delete("/d", recursive=True)
    again = subject.restarted()
    for since in range(1, 5):
        for path in ("/d", "/d/b", "/dxyz", "/other"):
            before = subject.watch(path, recursive=True, since=since)
            after = again.watch(path, recursive=True, since=since)
            assert list(before) == list(after)
    assert again.watch("/d/b", since=3)[0].prev.value == "2"
    assert again.watch("/d", recursive=True, since=1)[0].time_ns == subject.now


class ForgetsHistory(V2):
    def _replace(self, replace_store):
        super()._replace(replace_store)
        self._store.history = EventHistory(1000)


def test_history_survives_restart_and_snapshot_install(make_subject):
    history_survives(make_subject, V2)
    with pytest.raises((AssertionError, RequestError)):
        history_survives(make_subject, ForgetsHistory)


# -- W05 --


def nothing_early_nothing_skipped(make_subject, make) -> None:
    leader, follower = make_subject(make), make_subject(make)
    body = encode_command(Command(Op.SET, "/k", "1"))
    leader.apply(body)
    early = follower.watch("/", recursive=True, stream=True)
    follower.v2.apply(index=1, time_ns=0, body=body)
    assert early == []  # applied, but its batch is not complete
    follower.v2.publish()
    assert early.steps() == steps(("/k", 1))
    one = follower.watch("/k")
    below = follower.watch("/d/gone")
    hidden = follower.watch("/d", recursive=True, stream=True)
    future = follower.watch("/k", since=9)
    leader.set("/k", "2")
    leader.set("/other/k", "3")
    leader.set("/d/gone", "4")
    leader.set("/k", refresh=True)
    leader.delete("/d", recursive=True)
    restore(follower.v2, leader.v2)  # it lagged behind and was sent a snapshot
    assert one == []
    follower.v2.publish()
    assert one.steps() == steps(("/k", 2))
    assert below.steps() == steps(("/d/gone", 4))
    assert hidden.steps() == [("set", "/d/gone", 4), ("delete", "/d", 6)]
    assert early.steps()[1:] == [
        ("set", "/k", 2),
        ("set", "/other/k", 3),
        ("set", "/d/gone", 4),
        ("delete", "/d", 6),
    ]
    assert future == []
    assert follower.v2.stats.watchers == 3
    # A gap that the history does not span: told, never skipped silently.
    for turn in range(1001):
        leader.set(f"/z/{turn}")
    late = follower.watch("/", recursive=True, since=8)
    restore(follower.v2, leader.v2)
    follower.v2.publish()
    assert early[-1] is None
    assert hidden[-1] is None
    assert late.steps() == steps(("/z/1", 8))
    assert future == []
    assert follower.v2.stats.watchers == 1
    follower.set("/k", "last")
    assert [event.node.value for event in future] == ["last"]
    assert early.count(None) == 1


class CallsBackAtOnce(V2):
    def apply(self, *, index, time_ns, body):
        value = super().apply(index=index, time_ns=time_ns, body=body)
        self.publish()
        return value


class SkipsOnSnapshot(V2):
    def _replace(self, replace_store):
        watchers_before = self._store.hub
        self._store.hub = watchers.WatcherHub(self._store.stats)
        super()._replace(replace_store)
        self._store.hub = watchers_before


class SkipsWhatHistoryLacks(V2):
    def _replace(self, replace_store):
        self._store.hub.drop_before = lambda index: None
        super()._replace(replace_store)


def test_no_event_before_apply_none_skipped_on_snapshot(make_subject):
    nothing_early_nothing_skipped(make_subject, V2)
    for mutant in (CallsBackAtOnce, SkipsOnSnapshot, SkipsWhatHistoryLacks):
        with pytest.raises(AssertionError):
            nothing_early_nothing_skipped(make_subject, mutant)


# -- W06 --


def test_stream_with_past_wait_index(subject):
    """As etcd: the one event out of the history, and then nothing."""
    subject.set("/k", "1")
    subject.set("/k", "2")
    seen = subject.watch("/k", stream=True, since=1)
    subject.set("/k", "3")
    assert seen.steps() == steps(("/k", 1))
    assert subject.v2.stats.watchers == 0
    # With no match in the history it streams as usual.
    normal = subject.watch("/other", stream=True, since=1)
    subject.set("/other", "1")
    subject.set("/other", "2")
    assert len(normal) == 2
    seen.watched.cancel()  # and may be cancelled though nothing was registered


# -- W07 --


def the_slow_are_closed(make_subject, make) -> None:
    """One batch with more than a watcher may miss: closed, others unharmed."""
    subject = make_subject(make)
    slow = subject.watch("/k", recursive=True, stream=True)
    other = subject.watch("/other", stream=True)
    one = subject.watch("/k", recursive=True)
    body = encode_command(Command(Op.SET, "/k/x"))
    count = watchers.PENDING_MAX + 5
    for turn in range(count):
        subject.v2.apply(index=turn, time_ns=0, body=body)
    subject.set("/other")
    assert slow.pop() is None
    assert len(slow) == watchers.PENDING_MAX
    assert len(other) == 1
    assert len(one) == 1
    assert subject.v2.stats.watchers == 1
    subject.set("/k/x")
    assert len(slow) == watchers.PENDING_MAX
    slow.watched.cancel()


def test_slow_watcher_closed_never_blocks(make_subject, monkeypatch):
    monkeypatch.setattr(watchers, "PENDING_MAX", 50)
    the_slow_are_closed(make_subject, V2)
    monkeypatch.setattr(watchers.WatcherHub, "_drop", lambda hub, watcher: None)
    with pytest.raises(AssertionError):
        the_slow_are_closed(make_subject, V2)


# -- W08 --


def test_recursive_watch_on_deleted_and_recreated_dir(subject):
    subject.set("/d/x", "1")
    stream = subject.watch("/d", recursive=True, stream=True)
    child = subject.watch("/d/x", stream=True)
    plain = subject.watch("/d", stream=True)
    subject.delete("/d", recursive=True)
    subject.set("/d/x", "2")
    subject.set("/d/y", "3")
    subject.delete("/d", recursive=True)
    gone = ("delete", "/d")
    told = [(e.action, e.node.key) for e in stream]
    assert told == [gone, gone, ("set", "/d/x"), ("set", "/d/y"), gone, gone]
    assert [(e.action, e.node.key) for e in child] == [gone, ("set", "/d/x"), gone]
    assert [(e.action, e.node.key) for e in plain] == [gone, gone, gone, gone]


# -- W09 --


def order_holds_over_a_hop(make_subject, make) -> None:
    log = []
    for turn in range(30):
        log.append(encode_command(Command(Op.SET, f"/k/{turn % 4}", str(turn))))
        log.append(encode_command(Command(Op.SET, f"/k/{turn % 5}", "x", prev_index=9)))
    for hop in range(1, 60, 7):
        first, second = make_subject(make), make_subject(make)
        seen = first.watch("/k", recursive=True, stream=True)
        for body in log[:hop]:
            first.apply(body)
        # The client changes the member, which may lag or be ahead by any number.
        values = [event.node.value for event in seen]
        last = seen[-1].node.modified_index
        for body in log[: hop // 2]:
            second.v2.apply(index=1, time_ns=second.now, body=body)
        second.v2.publish()
        rest = second.watch("/k", recursive=True, stream=True, since=last + 1)
        for body in log[hop // 2 :]:
            second.v2.apply(index=1, time_ns=second.now, body=body)
        second.v2.publish()
        values += [event.node.value for event in rest]
        reference = make_subject(make)
        expected = [reference.apply(body).node.value for body in log]
        assert values == expected
        assert [e.etcd_index for e in rest] == list(range(last + 1, len(log) + 1))


class PublishesBackwards(V2):
    def publish(self):
        self._store.hub._deliveries.reverse()
        super().publish()


def test_watch_order_over_leader_change_and_hop(make_subject):
    order_holds_over_a_hop(make_subject, V2)
    for mutant in (PublishesBackwards, ForgetsSince):
        with pytest.raises(AssertionError):
            order_holds_over_a_hop(make_subject, mutant)


# -- W10, the memory --


def test_10k_watchers_memory_and_release(subject):
    def nobody(event):
        """Shared, as a face would share a bound method's function."""

    def register(number):
        return subject.v2.watch(
            f"/w/{number}", recursive=False, stream=False, since=0, callback=nobody
        ).cancel

    register(-1)()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cancels = [register(number) for number in range(10_000)]
        used = tracemalloc.get_traced_memory()[0] - before
        assert subject.v2.stats.watchers == 10_000
        assert used < 10_000 * 1024  # etcd takes 16 to 31 KB each
        for cancel in cancels:
            cancel()
            cancel()
        del cancels, cancel
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
        assert left < 500_000  # what dicts keep for their next growth
    finally:
        tracemalloc.stop()
    assert subject.v2.stats.watchers == 0
    hub = subject.v2._store.hub
    assert not hub._at
    assert not hub._lengths
    assert len(hub._paths) == 0


def test_a_change_looks_at_few_of_10k_watchers(subject, monkeypatch):
    for number in range(10_000):
        subject.watch(f"/w/{number}", recursive=True)
    looked = []
    right = watchers.WatcherHub._tell
    monkeypatch.setattr(
        watchers.WatcherHub,
        "_tell",
        lambda hub, watcher, event: (
            looked.append(watcher),
            right(hub, watcher, event),
        ),
    )
    subject.set("/w/77/x")
    subject.set("/other")
    subject.delete("/w", recursive=True)
    assert [watcher.path for watcher in looked] == ["/w/77"]
