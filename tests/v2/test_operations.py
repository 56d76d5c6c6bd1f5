"""The operations of V2-SPEC 4, one rule a test."""

from __future__ import annotations

import pytest

from kvd.errors import RequestError
from kvd.state import at_once
from kvd.v2.commands import Op
from kvd.v2.events import Event, NodeView
from kvd.v2.machine import V2
from kvd.v2.stats import SHOWN

FAR = 2_000_000_000_000_000_000


def refused(value: object) -> tuple[int, str, int]:
    assert isinstance(value, RequestError), value
    return value.code, value.cause, value.index


def node(
    key,
    value,
    modified,
    created,
    *,
    dir=False,  # noqa: A002 -- the field's name
    expiration=None,
    nodes=None,
):
    return NodeView(key, value, dir, expiration, nodes, modified, created)


# -- get --


def test_the_root_of_a_new_store_has_no_key_and_no_indexes(subject):
    event = subject.get("/")
    assert event == Event("get", node("", None, 0, 0, dir=True), None, 0, False)


def test_a_missing_node_is_named_by_its_first_missing_component(subject):
    subject.set("/a/b", "1")
    with pytest.raises(RequestError) as refusal:
        subject.get("/a/no/way/out")
    assert refused(refusal.value) == (100, "/a/no", 1)


def test_a_file_on_the_way_is_no_directory(subject):
    subject.set("/a/b", "1")
    with pytest.raises(RequestError) as refusal:
        subject.get("/a/b/c/d")
    assert refused(refusal.value) == (104, "/a/b", 1)


def test_a_directory_shows_children_but_not_grandchildren_unless_recursive(subject):
    subject.set("/d/sub/x", "1")
    subject.set("/d/a", "2")
    flat = subject.get("/d").node
    assert flat.nodes == (
        node("/d/a", "2", 2, 2),
        node("/d/sub", None, 1, 1, dir=True),
    )
    deep = subject.get("/d", recursive=True).node
    assert deep.nodes[1].nodes == (node("/d/sub/x", "1", 1, 1),)


def test_empty_and_only_hidden_directories_show_no_nodes(subject):
    subject.set("/d/_hidden", "1")
    assert subject.get("/d", recursive=True).node.nodes is None
    assert subject.get("/d/_hidden").node.value == "1"


def test_sorted_is_the_order_of_bytes_even_of_those_that_are_no_text(subject):
    names = ["/\udc80", "/é", "/b", "/a", "/B"]  # 0x80 sorts before 0xc3 0xa9
    for name in names:
        subject.set(name)
    assert [n.key for n in subject.get("/").node.nodes] == [
        "/B",
        "/a",
        "/b",
        "/\udc80",
        "/é",
    ]


def test_unsorted_shows_the_same_nodes(subject):
    for name in "dcba":
        subject.set(f"/x/{name}")
    unsorted = subject.get("/x", ordered=False).node.nodes
    assert sorted(unsorted) == list(subject.get("/x").node.nodes)


# -- set --


def test_set_makes_parents_of_the_same_index_without_events(subject):
    event = subject.set("/a/b/c", "1")
    assert event.node == node("/a/b/c", "1", 1, 1)
    assert event.prev is None
    assert subject.v2.index == 1
    assert subject.get("/a").node.modified_index == 1
    assert subject.get("/a").node.created_index == 1


def test_set_over_a_file_makes_a_new_node_and_forgets_its_ttl(subject):
    subject.set("/k", "1", expiration_ns=FAR)
    event = subject.set("/k", "2")
    assert event.node == node("/k", "2", 2, 2)
    assert event.prev == node("/k", "1", 1, 1, expiration=FAR)
    assert subject.sync(FAR) == ()


def test_set_on_a_directory_is_refused_with_and_without_dir(subject):
    subject.set("/d", dir=True)
    assert refused(subject.set("/d", "1")) == (102, "/d", 1)
    assert refused(subject.set("/d", dir=True)) == (102, "/d", 1)


def test_set_dir_over_a_file_replaces_it_and_discards_the_value(subject):
    subject.set("/k", "1")
    event = subject.set("/k", "ignored", dir=True)
    assert event.node == node("/k", None, 2, 2, dir=True)
    assert event.prev == node("/k", "1", 1, 1)
    assert subject.get("/k").node.dir


def test_set_below_a_file_and_on_the_root_is_refused(subject):
    subject.set("/f", "1")
    assert refused(subject.set("/f/x/y", "1")) == (104, "/f", 1)
    assert refused(subject.set("/", "1")) == (107, "/", 1)


# -- create and POST --


def test_create_refuses_what_exists_whatever_it_is(subject):
    subject.create("/d/f", "1")
    assert refused(subject.create("/d/f", "2")) == (105, "/d/f", 1)
    assert refused(subject.create("/d", "2")) == (105, "/d", 1)
    assert refused(subject.create("/d/f/x", "2")) == (104, "/d/f", 1)
    assert refused(subject.create("/", "2")) == (107, "/", 1)


def test_create_makes_files_and_directories(subject):
    assert subject.create("/f", "1").node == node("/f", "1", 1, 1)
    assert subject.create("/d", "x", dir=True).node == node("/d", None, 2, 2, dir=True)


def test_an_in_order_name_is_the_index_of_its_own_operation(subject):
    subject.set("/k")
    assert subject.post("/q", "1").node.key == "/q/00000000000000000002"
    assert subject.post("/", "1").node.key == "/00000000000000000003"
    assert subject.post("/q", dir=True).node.dir
    assert refused(subject.post("/k", "1")) == (104, "/k", 4)


def test_an_in_order_name_that_is_taken_is_refused(subject):
    subject.set("/q/00000000000000000002")
    taken = refused(subject.post("/q"))
    assert taken == (105, "/q/00000000000000000002", 1)


# -- update --


def test_update_keeps_created_and_drops_a_ttl_that_is_not_given(subject):
    subject.set("/k", "1", expiration_ns=FAR)
    event = subject.update("/k", "2")
    assert event.node == node("/k", "2", 2, 1)
    assert event.prev == node("/k", "1", 1, 1, expiration=FAR)
    assert subject.update("/k", expiration_ns=FAR).node.value == ""
    assert len(subject.sync(FAR)) == 1


def test_update_of_a_directory_changes_only_its_ttl(subject):
    """The answer shows a new modified index, later reads the old one (V2-SPEC 4.5)."""
    subject.set("/d", dir=True)
    assert refused(subject.update("/d", "1")) == (102, "/d", 1)
    event = subject.update("/d", expiration_ns=FAR)
    assert event.node == node("/d", None, 2, 1, dir=True, expiration=FAR)
    assert event.prev == node("/d", None, 1, 1, dir=True)
    assert subject.v2.index == 2
    stored = subject.get("/d").node
    assert stored == node("/d", None, 1, 1, dir=True, expiration=FAR)
    assert subject.update("/d").node.expiration_ns is None
    assert subject.get("/d").node.expiration_ns is None


def test_update_of_a_directory_after_a_snapshot_leaves_the_snapshot_alone(subject):
    subject.set("/d", dir=True)
    before = subject.v2.digest()
    section = subject.v2.snapshot()
    subject.update("/d", expiration_ns=FAR)
    other = type(subject.v2)()
    at_once(other.restoring(version=section.version, chunks=section.chunks))
    assert other.digest() == before


def test_update_refuses_what_is_missing_and_the_root(subject):
    assert refused(subject.update("/no", "1")) == (100, "/no", 0)
    assert refused(subject.update("/", "")) == (107, "/", 0)


# -- compare --


def test_compare_and_swap_keeps_created_and_takes_the_ttl_as_update_does(subject):
    subject.set("/k", "1", expiration_ns=FAR)
    event = subject.cas("/k", "2", prev_value="1", prev_index=1)
    assert event.action == "compareAndSwap"
    assert event.node == node("/k", "2", 2, 1)
    assert event.prev == node("/k", "1", 1, 1, expiration=FAR)


def test_compare_and_swap_refuses_root_missing_and_directory_in_this_order(subject):
    subject.set("/d", dir=True)
    assert refused(subject.cas("/", "1", prev_value="x")) == (107, "/", 1)
    assert refused(subject.cas("/no", "1", prev_value="x")) == (100, "/no", 1)
    assert refused(subject.cas("/d", "1", prev_index=9)) == (102, "/d", 1)


def test_compare_and_delete_on_the_root_is_102_without_a_cause(subject):
    assert refused(subject.cad("/", prev_value="x")) == (102, "", 0)


def test_compare_and_delete_refuses_directories_and_missing_nodes(subject):
    subject.set("/d", dir=True)
    assert refused(subject.cad("/d", recursive=True, prev_index=1)) == (102, "/d", 1)
    assert refused(subject.cad("/no", prev_index=1)) == (100, "/no", 1)


def test_compare_and_delete_removes_a_file_as_it_was_believed_to_be(subject):
    subject.set("/k", "1")
    event = subject.cad("/k", prev_value="1")
    assert event.action == "compareAndDelete"
    assert event.node == node("/k", None, 2, 1)
    assert event.prev == node("/k", "1", 1, 1)
    assert subject.keys() == []


# -- delete --


def test_delete_removes_a_file_whatever_the_flags(subject):
    for flags in ({}, {"dir": True}, {"recursive": True}):
        subject.set("/k", "1")
        event = subject.delete("/k", **flags)
        assert event.node.value is None
        assert not event.node.dir


def test_delete_of_a_directory_needs_dir_and_emptiness_or_recursive(subject):
    subject.set("/d/_hidden/x", "1")
    assert refused(subject.delete("/d")) == (102, "/d", 1)
    assert refused(subject.delete("/d", dir=True)) == (108, "/d", 1)
    event = subject.delete("/d", recursive=True)
    assert event.node == node("/d", None, 2, 1, dir=True)
    assert event.prev == node("/d", None, 1, 1, dir=True)
    subject.set("/d", dir=True)
    assert subject.delete("/d", dir=True).action == "delete"


def test_delete_refuses_missing_nodes_and_the_root(subject):
    assert refused(subject.delete("/no", recursive=True)) == (100, "/no", 0)
    assert refused(subject.delete("/", recursive=True)) == (107, "/", 0)


def test_what_is_deleted_with_its_directory_does_not_expire_later(subject):
    subject.set("/d/x", "1", expiration_ns=FAR)
    subject.set("/d/sub/y", "1", expiration_ns=FAR)
    subject.set("/d/sub/z", "1")
    subject.delete("/d", recursive=True)
    assert subject.sync(FAR) == ()
    assert subject.v2.index == 4


# -- refresh --


def test_refresh_on_set_keeps_the_value_and_renews_created(subject):
    subject.set("/k", "1")
    event = subject.set("/k", refresh=True, expiration_ns=FAR)
    assert event.node == node("/k", "1", 2, 2, expiration=FAR)
    assert event.refresh


def test_refresh_on_set_needs_a_file(subject):
    subject.set("/d", dir=True)
    assert refused(subject.set("/no", refresh=True)) == (100, "/no", 1)
    assert refused(subject.set("/d", refresh=True)) == (102, "/d", 1)


def test_refresh_on_update_and_compare_and_swap_keeps_value_and_created(subject):
    subject.set("/k", "1")
    updated = subject.update("/k", refresh=True, expiration_ns=FAR)
    assert updated.node == node("/k", "1", 2, 1, expiration=FAR)
    swapped = subject.cas("/k", refresh=True, prev_index=2, expiration_ns=FAR)
    assert swapped.node == node("/k", "1", 3, 1, expiration=FAR)
    assert swapped.refresh


def test_refresh_of_a_directory_works_through_update(subject):
    subject.set("/d", dir=True)
    event = subject.update("/d", refresh=True, expiration_ns=FAR)
    assert event.refresh
    assert event.node.expiration_ns == FAR


def test_create_and_post_ignore_refresh(subject):
    created = subject.create("/k", refresh=True, expiration_ns=FAR)
    assert not created.refresh
    assert created.node.value == ""
    assert not subject.post("/q", refresh=True, expiration_ns=FAR).refresh


# -- index and statistics --


def test_an_undecodable_command_is_a_refusal(subject):
    assert refused(subject.apply(b"\xff"))[0] == 300


def test_the_counters_have_etcds_oddities(subject):
    """V2-SPEC 12: what is refused late counts as success."""
    subject.set("/f", "1")
    subject.set("/d", dir=True)
    stats = subject.v2.stats
    before = dict(zip(SHOWN, stats.values(), strict=True))

    def changed(work) -> dict[str, int]:
        before.update(zip(SHOWN, stats.values(), strict=True))
        work()
        after = dict(zip(SHOWN, stats.values(), strict=True))
        return {
            name: n - before[name] for name, n in after.items() if n != before[name]
        }

    def refused_get():
        with pytest.raises(RequestError):
            subject.get("/no")

    for work, expected in [
        (lambda: subject.delete("/"), {"deletes_success": 1}),
        (lambda: subject.update("/"), {"updates_success": 1}),
        (lambda: subject.cas("/", prev_index=1), {"compare_and_swaps_success": 1}),
        (lambda: subject.update("/d", "x"), {"updates_success": 1}),
        (lambda: subject.cad("/d", prev_index=1), {"compare_and_deletes_success": 1}),
        (lambda: subject.cad("/f", prev_index=9), {"compare_and_deletes_success": 1}),
        (lambda: subject.cad("/no", prev_index=9), {"compare_and_deletes_fail": 1}),
        (lambda: subject.create("/f/x"), {"creates_fail": 1, "sets_fail": 1}),
        (lambda: subject.set("/"), {"sets_fail": 1}),
        (lambda: subject.set("/d"), {"sets_fail": 1}),
        (lambda: subject.set("/f/x"), {"sets_fail": 1}),
        (lambda: subject.delete("/d"), {"deletes_fail": 1}),
        (lambda: subject.cas("/d", prev_index=1), {"compare_and_swaps_fail": 1}),
        (lambda: subject.cas("/no", prev_index=1), {"compare_and_swaps_fail": 1}),
        (lambda: subject.cas("/f", prev_index=9), {"compare_and_swaps_fail": 1}),
        (lambda: subject.get("/"), {"gets_success": 1}),
        (refused_get, {"gets_fail": 1}),
        (lambda: stats.count_get(ok=True), {"gets_success": 1}),
        (lambda: stats.count_get(ok=False), {"gets_fail": 1}),
        (lambda: subject.watch("/f"), {"watchers": 1}),
        (lambda: subject.watch("/f", since=1), {}),
    ]:
        assert changed(work) == expected
    assert subject.v2.index == 2


def test_what_metrics_tell_apart_is_counted_beside_etcds_counters(subject):
    stats = subject.v2.stats
    subject.set("/f", "1")
    subject.create("/f/x")
    subject.create("/f")
    assert stats.creates_through_file == 1
    for recursive in (False, True):
        subject.get("/f", recursive=recursive)
        with pytest.raises(RequestError):
            subject.get("/no", recursive=recursive)
    assert stats.recursive_gets == 2
    subject.watch("/f")
    subject.watch("/f", since=1)
    with pytest.raises(RequestError):
        subject.watch("/f", since=-1)
    assert stats.watch_requests == 3


def test_what_a_snapshot_brought_was_not_counted_here(subject):
    subject.set("/f", "1")
    subject.set("/f", "2")
    other = subject.restarted()
    other.set("/f", "3")
    assert other.v2.stats.sets_success == 3
    assert other.v2.stats.counted_here("sets_success") == 1
    assert subject.v2.stats.counted_here("sets_success") == 2


def test_the_history_knows_its_first_index(make_subject):
    subject = make_subject(lambda: V2(history_max=2))
    assert subject.v2.history_first_index == 1
    for _ in range(3):
        subject.set("/f")
    assert subject.v2.history_first_index == 2
    subject.watch("/f", since=2)
    with pytest.raises(RequestError):
        subject.watch("/f", since=1)


def test_internal_writes_cost_an_index_and_a_place_but_show_nothing(subject):
    from kvd.state import InternalWrite

    actions = ("create", "set", "update", "delete")
    subject.v2.internal_writes(
        [InternalWrite(action, "/0/x", "1") for action in actions]
    )
    assert subject.v2.index == 4
    assert subject.keys() == []
    stats = subject.v2.stats
    assert (stats.creates_success, stats.sets_success) == (1, 1)
    assert (stats.updates_success, stats.deletes_success) == (1, 1)
    assert subject.set("/k").node.modified_index == 5
    assert subject.watch("/", recursive=True, since=1).steps() == [("set", "/k", 5)]


def test_internal_gets_are_only_counted(subject):
    from kvd.state import InternalWrite

    before = subject.v2.stats.values()[:2]
    subject.v2.internal_writes(
        [InternalWrite("get", "/0/x", "", ok=found) for found in (True, False, False)]
    )
    assert subject.v2.index == 0
    after = subject.v2.stats.values()[:2]
    assert after == (before[0] + 1, before[1] + 2)


def test_a_sync_without_an_instant_expires_nothing(subject):
    subject.set("/k", expiration_ns=FAR)
    assert subject.do(Op.SYNC) == ()
