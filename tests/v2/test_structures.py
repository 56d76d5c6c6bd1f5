"""The sorted set, the tree's directories, and the bytes of a snapshot."""

from __future__ import annotations

from collections import Counter
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.errors import InvariantViolated, StorageError
from kvd.state import at_once
from kvd.v2 import ordered, tree
from kvd.v2.expiries import Expiries
from kvd.v2.machine import V2
from kvd.v2.ordered import OrderedSet
from kvd.v2.tree import Directory, make_file

from .conftest import NOW, Subject, restore

numbers = st.integers(min_value=0, max_value=40)


@given(st.lists(numbers, unique=True), st.lists(st.tuples(st.booleans(), numbers)))
@settings(max_examples=150, deadline=None)
def test_an_ordered_set_is_a_sorted_set(initial, steps):
    run_max = ordered._RUN_MAX
    ordered._RUN_MAX = 4
    try:
        subject, model = OrderedSet(initial), set(initial)
        for adding, number in steps:
            if adding:
                subject.add(number)
                model.add(number)
            else:
                subject.discard(number)
                model.discard(number)
            assert len(subject) == len(model)
            assert subject.first() == (min(model) if model else None)
            assert all(len(run) <= 4 for run in subject._runs)
        for least in range(42):
            expected = sorted(n for n in model if n >= least)
            assert list(subject.from_(least)) == expected
    finally:
        ordered._RUN_MAX = run_max


def directory(epoch: int = 0) -> Directory:
    return Directory(created=1, modified=1, expiration_ns=None, epoch=epoch)


def file(value: str = "v") -> bytes:
    return make_file(value, created=1, modified=1, expiration_ns=None)


def everything(d: Directory) -> dict[str, object]:
    return {name: node for part in d.parts() for name, node in part.items()}


def test_a_large_directory_has_no_large_dict():
    d = directory()
    names = [f"name-{n}" for n in range(10_000)]
    for name in names:
        d.put(name, file(name))
    assert len(d) == 10_000
    assert max(len(part) for part in d.parts()) <= tree.BUCKET_MAX
    assert all(d.get(name) == file(name) for name in names)
    assert d.get("other") is None
    assert set(everything(d)) == set(names)
    for name in names[:9_900]:
        d.remove(name)
    assert len(d) == 100
    assert d.table is None  # small again
    assert set(everything(d)) == set(names[9_900:])


def test_a_clone_shares_until_it_is_written():
    old = directory()
    for n in range(5_000):
        old.put(f"{n}", file())
    new = old.clone(1)
    new.put("7", file("changed"))
    new.put("7", file("again"))
    new.put("new", file())
    new.remove("8")
    assert old.get("7") == file()
    assert old.get("8") == file()
    assert old.get("new") is None
    assert (len(old), len(new)) == (5_000, 5_000)
    assert new.get("7") == file("again")
    before, after = ({id(part): part for part in d.parts()} for d in (old, new))
    assert len(before.keys() - after.keys()) <= 3  # only what was touched is copied


def test_names_chosen_to_share_bits_make_one_dict_grow_and_no_more():
    """A client that looks for collisions gets a bucket, not an endless table."""
    d = directory()
    same: Counter[int] = Counter()
    names = []
    bits = (1 << tree.DEPTH_MAX) - 1
    bounds = tree.BUCKET_MAX
    tree.BUCKET_MAX = 3
    try:
        for n in range(400_000):
            if crc32(f"{n}".encode()) & bits == 5:
                names.append(f"{n}")
                same[5] += 1
        assert same[5] > 5
        for name in names:
            d.put(name, file(name))
        assert len(d.table.slots) == 1 << tree.DEPTH_MAX
        assert all(d.get(name) == file(name) for name in names)
        assert set(everything(d)) == set(names)
        assert len(d) == len(names)
    finally:
        tree.BUCKET_MAX = bounds


def test_room_made_beforehand_holds_the_same():
    for children in (10, 1_025, 100_000):
        d = directory()
        d.expect(children)
        for n in range(2_000):
            d.put(f"{n}", file())
        assert len(d) == 2_000
        assert len(everything(d)) == 2_000


def test_an_empty_directory_is_still_something():
    assert directory()
    assert len(directory()) == 0


def test_a_directory_without_children_of_either_kind_is_noticed():
    d = directory()
    d.items = None
    with pytest.raises(InvariantViolated):
        d.get("x")
    assert d.clone(1).items == {}


# -- snapshots --


def filled() -> Subject:
    subject = Subject()
    subject.set("/a/b", "1", expiration_ns=NOW + 5)
    subject.set("/empty", dir=True, expiration_ns=NOW + 6)
    subject.set("/_hidden/_dir", dir=True)
    subject.set("/_hidden/bytes", "\udcff\0é")
    subject.set("/gone", "1")
    subject.delete("/gone")
    subject.update("/a/b", "2", refresh=True, expiration_ns=NOW + 7)
    for number in range(2_000):
        subject.set(f"/many/{number}", "x")
    return subject


def chunks_of(v2: V2) -> list[bytes]:
    return list(v2.snapshot().chunks)


def test_a_restored_store_is_equal_and_stays_equal():
    subject = filled()
    again = subject.restarted()
    assert again.v2.digest() == subject.v2.digest()
    assert again.v2.stats.replicated() == subject.v2.stats.replicated()
    for one in (subject, again):
        assert [event.node.key for event in one.sync(NOW + 7)] == ["/empty", "/a/b"]
        one.post("/many", "y")
    assert again.v2.digest() == subject.v2.digest()
    assert again.keys() == subject.keys()


def test_internal_places_survive():
    from kvd.state import InternalWrite

    subject = Subject()
    subject.v2.internal_writes([InternalWrite("create", "/0/x", "")] * 3)
    subject.set("/k", "1")
    again = subject.restarted()
    assert again.v2.digest() == subject.v2.digest()
    assert again.watch("/k", since=1).steps() == [("set", "/k", 4)]


def test_a_snapshot_shows_its_moment_whatever_is_written_meanwhile():
    subject = filled()
    digest = subject.v2.digest()
    section = subject.v2.snapshot()
    chunks = []
    for turn, chunk in enumerate(section.chunks):
        chunks.append(chunk)
        for number in range(0, 2_000, 7):
            subject.set(f"/many/{number}", f"{turn}")
        subject.set(f"/many/new-{turn}", "1")
        subject.delete(f"/many/{turn + 1}")
        if turn == 1:
            subject.delete("/_hidden", recursive=True)
    again = V2()
    at_once(again.restoring(version=section.version, chunks=chunks))
    assert again.digest() == digest
    assert subject.v2.digest() != digest


def test_a_restore_is_many_short_steps_and_changes_nothing_before_the_last():
    source, other = filled(), filled()
    for number in range(3_000):
        source.set(f"/more/{number}", "1", expiration_ns=NOW + number)
    before = other.v2.digest()
    old = other.v2._store.root
    restoring = other.v2.restoring(version=1, chunks=chunks_of(source.v2))
    for _ in range(20):
        next(restoring)
    assert other.v2.digest() == before
    other.set("/between", "1")
    before = other.v2.digest()
    steps = 0
    while True:
        try:
            next(restoring)
        except StopIteration as done:
            assert other.v2.digest() == before
            done.value()
            break
        steps += 1
    assert 1 < steps < 60
    assert other.v2.digest() == source.v2.digest()
    graveyard = other.v2._store.graveyard  # what was there is freed bit by bit
    assert old in graveyard._waiting
    while graveyard:
        other.v2.publish()
    assert other.v2.digest() == source.v2.digest()
    # The new tree is the present one: a snapshot of it is not changed by what comes.
    section, digest = other.v2.snapshot(), other.v2.digest()
    other.set("/more/1", "2")
    again = V2()
    at_once(again.restoring(version=section.version, chunks=section.chunks))
    assert again.digest() == digest


def test_chunks_are_small_and_bounded_in_nodes():
    subject = filled()
    subject.set("/big", "x" * 1_000_000)
    for chunk in chunks_of(subject.v2):
        assert len(chunk) <= 32 << 10
        assert chunk.count(b"many") <= 300


@given(st.integers(1, 50), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_chunk_borders_do_not_matter(size, offset):
    subject = Subject()
    subject.set("/a/b", "value" * 10, expiration_ns=NOW)
    subject.set("/a/b", "other", refresh=True)
    data = b"".join(chunks_of(subject.v2))
    cut = offset % len(data)
    parts = [data[:cut]]
    parts += [data[at : at + size] for at in range(cut, len(data), size)]
    again = V2()
    restore(again, subject.v2, parts)
    assert again.digest() == subject.v2.digest()


def test_the_last_step_of_a_restore_does_not_grow_with_what_was_there():
    source, other = filled(), Subject()
    for number in range(1_000):
        other.set(f"/{number}/a", "1", expiration_ns=NOW + number)
    restoring = other.v2.restoring(version=1, chunks=chunks_of(source.v2))
    replace = last_of(restoring)
    replace()
    graveyard = other.v2._store.graveyard
    assert len(graveyard) == 2  # the tree, and what was to end
    while graveyard:
        other.v2.publish()
    assert other.v2.digest() == source.v2.digest()


def last_of(restoring):
    while True:
        try:
            next(restoring)
        except StopIteration as done:
            return done.value


def test_a_truncated_snapshot_is_refused_at_every_length():
    subject = Subject()
    subject.set("/a/b", "1", expiration_ns=NOW)
    subject.delete("/a", recursive=True)
    subject.set("/a/b", "1", expiration_ns=NOW)
    data = b"".join(chunks_of(subject.v2))
    again = V2()
    untouched = again.digest()
    for size in range(len(data)):
        with pytest.raises(StorageError):
            restore(again, subject.v2, [data[:size]])
    with pytest.raises(StorageError):
        restore(again, subject.v2, [data, b"more"])
    assert again.digest() == untouched


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_garbled_snapshot_is_refused_or_read_but_nothing_else(data):
    subject = Subject()
    subject.set("/a/b", "1", expiration_ns=NOW)
    subject.delete("/a", recursive=True)
    subject.set("/a/c", "1")
    good = bytearray(b"".join(chunks_of(subject.v2)))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] = data.draw(st.integers(0, 255))
    again = V2()
    try:
        restore(again, subject.v2, [bytes(good)])
    except StorageError:
        assert again.index == 0


def test_nodes_that_cannot_be_are_refused():
    subject = Subject()
    subject.set("/ab", "1")
    data = b"".join(chunks_of(subject.v2))
    for old, new in ((b"ab", b"a/"), (b"\x00\x00\x00\x02\x00\x00\x00\x19ab", b"")):
        at = data.rindex(old)
        bad = data[:at] + new + data[at + len(old) :]
        with pytest.raises(StorageError):
            restore(V2(), subject.v2, [bad])


def test_a_repeated_child_is_refused():
    subject = Subject()
    subject.set("/ab", "1")
    subject.set("/ac", "1")
    data = b"".join(chunks_of(subject.v2))
    history, found, tree_ = data.rpartition(b"/ac")
    twice = history + found + tree_.replace(b"ab", b"ac")
    assert twice != data
    with pytest.raises(StorageError, match="repeats"):
        restore(V2(), subject.v2, [twice])


def test_an_unknown_action_in_the_history_is_refused():
    subject = Subject()
    subject.set("/k", "1")
    data = bytearray(b"".join(chunks_of(subject.v2)))
    at = data.index(b"/k") - 9 - 10  # the place's action, before its first node
    assert data[at] == 0
    data[at] = 7
    with pytest.raises(StorageError, match="action"):
        restore(V2(), subject.v2, [bytes(data)])


def test_an_unknown_version_is_refused():
    with pytest.raises(StorageError):
        at_once(V2().restoring(version=2, chunks=[]))


def test_a_deep_path_needs_no_recursion():
    subject = Subject()
    path = "/d" * 3_000
    subject.set(path, "1")
    deep = subject.get("/", recursive=True).node
    for _ in range(3_000):
        (deep,) = deep.nodes
    assert deep.value == "1"
    again = subject.restarted()
    assert again.v2.digest() == subject.v2.digest()
    seen = subject.watch(path, stream=True)
    subject.set(path[:-2] + "/t", expiration_ns=NOW)
    event = subject.delete("/d", recursive=True)
    assert list(seen) == [event]
    assert subject.v2.due(time_ns=NOW) == ()


def test_a_snapshot_that_does_not_begin_with_the_root_is_refused():
    data = bytearray(b"".join(chunks_of(V2())))
    root_at = data.index(b"\x01\0\0\0\0\0\0\0\x1c")
    data[root_at] = 4  # a file
    with pytest.raises(StorageError, match="root"):
        restore(V2(), V2(), [bytes(data)])


expiring = st.tuples(
    st.booleans(),
    st.integers(min_value=1, max_value=4),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(
        lambda names: "/" + "/".join(names)
    ),
)


@given(st.lists(expiring), st.lists(expiring), st.sampled_from(["/a", "/a/b", "/b"]))
@settings(max_examples=150, deadline=None)
def test_expiries_are_a_sorted_list_of_instants_and_paths(initial, steps, gone):
    model = {path: instant for _, instant, path in initial}
    subject = Expiries()
    for path, instant in model.items():
        subject.add(instant, path)
    for adding, instant, path in steps:
        if adding and path in model:
            subject.move(path, model[path], instant)
            model[path] = instant
        elif adding:
            model[path] = instant
            subject.move(path, None, instant)
        else:
            if model.get(path) == instant:
                del model[path]
                subject.move(path, instant, None)
            subject.discard(instant, path)
        check_expiries(subject, model)
    thrown = subject.forget_below(gone)
    lost = [path for path in model if path.startswith(gone + "/")]
    assert sum(len(group) for group in thrown) == len(lost)
    for path in lost:
        del model[path]
    check_expiries(subject, model)
    while (first := subject.first()) is not None:
        assert model.pop(first[1]) == first[0]
        subject.discard(*first)
        check_expiries(subject, model)
    assert model == {}


def check_expiries(subject, model):
    ordered_model = sorted((instant, path) for path, instant in model.items())
    assert subject.first() == (ordered_model[0] if ordered_model else None)
    assert len(subject) == len(model)
    for time_ns in range(6):
        due = sum(1 for instant, _ in ordered_model if instant <= time_ns)
        assert subject.due(time_ns, most=99) == due
        assert subject.due(time_ns, most=2) == min(due, 2)


def test_a_removed_directory_is_freed_in_small_steps(monkeypatch):
    import weakref

    class Noted(Directory):
        __slots__ = ("__weakref__",)

    subject = Subject()
    for number in range(3_000):
        subject.set(f"/d/{number}", "1", expiration_ns=NOW + number)
    subject.set("/d/sub/x", "1")
    graveyard = subject.v2._store.graveyard
    monkeypatch.setattr("kvd.v2.machine.DIG_AT_PUBLISH", 0)
    below = Noted(created=1, modified=1, expiration_ns=None, epoch=0)
    seen = weakref.ref(below)
    subject.v2._store.own_parent("/d/sub/below")[0].put("below", below)
    del below
    subject.delete("/d", recursive=True)
    assert len(graveyard) > 0
    assert subject.v2._store.expiries.first() is None
    turns = 0
    while graveyard:
        subject.set("/k", f"{turns}")
        turns += 1
    assert 5 < turns < 200
    assert seen() is None
    subject.set("/d/1", "again")
    assert subject.keys("/d") == ["/d/1"]


def test_what_was_removed_is_freed_after_a_batch_too():
    subject = Subject()
    for number in range(3_000):
        subject.set(f"/d/{number}", "1")
    subject.delete("/d", recursive=True)
    for _ in range(20):
        subject.v2.publish()
    assert len(subject.v2._store.graveyard) == 0
