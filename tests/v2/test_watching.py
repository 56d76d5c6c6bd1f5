"""Live matching and history replay, which differ (V2-SPEC 8.2, 8.3)."""

from __future__ import annotations

NOW = 1_700_000_000_000_000_000


def told(seen):
    return [(event.action, event.node.key) for event in seen]


def test_a_path_is_matched_by_its_components(subject):
    seen = subject.watch("/pre", recursive=True, stream=True)
    subject.set("/prefix", "1")
    subject.set("/prefix/x", "1")
    subject.set("/pre/x", "1")
    assert told(seen) == [("set", "/pre/x")]


def test_a_plain_watcher_sees_its_own_path_only(subject):
    seen = subject.watch("/d", stream=True)
    subject.set("/d/x", "1")
    assert seen == []
    subject.update("/d")
    assert told(seen) == [("update", "/d")]


def test_a_one_shot_watcher_is_told_once_and_counted_no_more(subject):
    seen = subject.watch("/k")
    assert subject.v2.stats.watchers == 1
    subject.set("/k", "1")
    subject.set("/k", "2")
    assert told(seen) == [("set", "/k")]
    assert subject.v2.stats.watchers == 0


def test_failed_operations_and_implicit_parents_tell_nothing(subject):
    seen = subject.watch("/a", recursive=False, stream=True)
    subject.create("/a/b/c", "1")
    subject.create("/a/b/c", "1")
    assert seen == []


def test_what_existed_below_a_removed_directory_is_told(subject):
    subject.set("/d/sub/x", "1")
    subject.set("/d/_hidden/y", "1")
    existing = [
        subject.watch(path, stream=True)
        for path in ("/d/sub", "/d/sub/x", "/d/_hidden/y")
    ]
    missing = [
        subject.watch(path, stream=True, recursive=True)
        for path in ("/d/no", "/d/sub/x/below/a/file", "/dd", "/d.", "/d0")
    ]
    subject.delete("/d", recursive=True)
    assert [told(seen) for seen in existing] == [[("delete", "/d")]] * 3
    assert missing == [[]] * 5


def test_a_removal_reaches_a_stream_at_its_own_path_twice(subject):
    for remove in (
        lambda: subject.delete("/k"),
        lambda: subject.cad("/k", prev_value="1"),
        lambda: subject.sync(NOW + 1),
    ):
        subject.set("/k", "1", expiration_ns=NOW + 1)
        stream = subject.watch("/k", stream=True)
        above = subject.watch("/", recursive=True, stream=True)
        one = subject.watch("/k")
        remove()
        assert (len(stream), len(above), len(one)) == (2, 1, 1)
        stream.watched.cancel()
        above.watched.cancel()


def test_removing_a_directory_in_a_hidden_place_respects_the_rule(subject):
    subject.set("/_h/d/x", "1")
    above = subject.watch("/", recursive=True)
    beside = subject.watch("/_h", recursive=True)
    subject.delete("/_h/d", recursive=True)
    assert above == []
    assert told(beside) == [("delete", "/_h/d")]


def test_replay_knows_prefixes_and_nothing_of_hidden(subject):
    subject.set("/d/_h", "1")
    subject.set("/d/k", "2")
    subject.delete("/d", recursive=True)
    replay = subject.watch
    assert told(replay("/d", recursive=True, since=1)) == [("set", "/d/_h")]
    assert told(replay("/", recursive=True, since=2)) == [("set", "/d/k")]
    assert told(replay("/d", since=1)) == [("delete", "/d")]
    assert told(replay("/dxyz", since=1)) == [("delete", "/d")]
    assert told(replay("/d/never/was", since=1)) == [("delete", "/d")]
    assert told(replay("/other", since=1)) == []
    assert told(replay("/", since=1)) == []


def test_a_deleted_file_is_no_prefix_of_anything(subject):
    subject.set("/d", "1")
    subject.delete("/d")
    assert told(subject.watch("/dxyz", since=1)) == []


def test_a_cancelled_watcher_is_told_nothing_even_in_its_own_batch(subject):
    seen = subject.watch("/k", stream=True)
    one = subject.watch("/k")
    from kvd.v2.commands import Command, Op, encode_command

    body = encode_command(Command(Op.SET, "/k"))
    subject.v2.apply(index=1, time_ns=0, body=body)
    seen.watched.cancel()
    one.watched.cancel()
    subject.v2.publish()
    assert seen == one == []
    assert subject.v2.stats.watchers == 0


def test_a_callback_may_watch_and_cancel(subject):
    later = []

    def again(event):
        watched = subject.v2.watch(
            "/k", recursive=False, stream=False, since=0, callback=later.append
        )
        assert watched.index == event.etcd_index
        other.watched.cancel()

    subject.v2.watch("/k", recursive=False, stream=False, since=0, callback=again)
    other = subject.watch("/k", stream=True)
    subject.set("/k", "1")
    assert later == other == []
    subject.set("/k", "2")
    assert told(later) == [("set", "/k")]


def test_two_watchers_of_one_path_are_counted_and_released_each(subject):
    first, second = subject.watch("/k"), subject.watch("/k")
    beside = subject.watch("/j")  # a path of the same length
    first.watched.cancel()
    subject.set("/k/x")
    subject.delete("/k", recursive=True)
    assert first == []
    assert told(second) == [("delete", "/k")]
    assert subject.v2.stats.watchers == 1
    beside.watched.cancel()
    assert subject.v2.stats.watchers == 0


def test_a_watch_in_the_future_of_an_empty_store_waits(subject):
    seen = subject.watch("/k", since=1)
    assert seen.watched.index == 0
    subject.set("/k", "1")
    assert told(seen) == [("set", "/k")]


def test_a_store_without_history_clears_everything(make_subject):
    import pytest

    from kvd.errors import RequestError
    from kvd.v2.machine import V2

    subject = make_subject(lambda: V2(history_max=0))
    subject.set("/k")
    with pytest.raises(RequestError):
        subject.watch("/k", since=1)
