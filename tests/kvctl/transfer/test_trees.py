"""Which records a tree becomes."""

from __future__ import annotations

from kvd.kvctl.transfer.records import Record
from kvd.kvctl.transfer.trees import of_tree, piecewise
from tests.kvctl.nodes import folder, leaf, root


def test_keys_come_in_order_and_directories_with_what_is_in_them():
    tree = root(folder("/a", leaf("/a/1"), folder("/a/2", leaf("/a/2/x"))), leaf("/b"))
    assert [each.key for each in of_tree(tree)] == ["/a/1", "/a/2/x", "/b"]


def test_an_empty_directory_and_one_that_expires_are_records():
    tree = root(folder("/empty"), folder("/short", leaf("/short/x"), ttl=5))
    assert list(of_tree(tree)) == [
        Record(key="/empty"),
        Record(key="/short", ttl=5),
        Record(key="/short/x", value=b"v"),
    ]


def test_the_root_is_no_record():
    assert list(of_tree(root())) == []


def test_one_key_is_one_record():
    assert list(of_tree(leaf("/a/b", "1", ttl=3))) == [
        Record(key="/a/b", value=b"1", ttl=3)
    ]


def test_an_empty_value_is_a_value():
    assert list(of_tree(leaf("/a", ""))) == [Record(key="/a", value=b"")]


def test_what_is_overdue_is_left_out_with_all_below_it():
    tree = root(
        leaf("/late", ttl=0),
        leaf("/later", ttl=-1),
        folder("/gone", leaf("/gone/x"), ttl=0),
        leaf("/here"),
    )
    assert [each.key for each in of_tree(tree)] == ["/here"]
    assert [each.key for each in piecewise(tree, {}.get)] == ["/here"]


def test_replaced_characters_make_a_record_lossy():
    tree = root(leaf("/a", "x\ufffd"), leaf("/\ufffd"), leaf("/c"), folder("/\ufffdd"))
    assert [each.lossy for each in of_tree(tree)] == [True, True, False, True]


def test_a_deep_tree_needs_no_stack():
    node = leaf("/x")
    for _ in range(5000):
        node = folder("/x", node)
    assert len(list(of_tree(node))) == 1


def test_piece_by_piece_each_directory_is_fetched_once():
    folders = {
        "/a": folder("/a", folder("/a/2"), leaf("/a/3")),
        "/a/2": folder("/a/2", leaf("/a/2/x")),
        "/e": folder("/e"),
    }
    asked = []

    def fetch(key):
        asked.append(key)
        return folders[key]

    top = root(folder("/a"), folder("/e"), leaf("/z"))
    found = list(piecewise(top, fetch))
    assert [each.key for each in found] == ["/a/2/x", "/a/3", "/e", "/z"]
    assert asked == ["/a", "/a/2", "/e"]


def test_piece_by_piece_a_directory_that_is_gone_meanwhile_is_left_out():
    top = root(folder("/a"), leaf("/z"))
    assert [each.key for each in piecewise(top, lambda _: None)] == ["/z"]


def test_piece_by_piece_a_directory_may_have_become_a_key():
    top = root(folder("/a"))
    found = list(piecewise(top, lambda key: leaf(key, "now")))
    assert found == [Record(key="/a", value=b"now")]


def test_what_is_no_character_is_shown_as_none():
    (record,) = of_tree(leaf("/a\udcff", "x\ud800"))
    assert record == Record(key="/a\ufffd", value="x\ufffd".encode(), lossy=True)


def test_piece_by_piece_a_directory_that_nobody_can_ask_for_is_lossy():
    top = root(folder("/a\ufffd"), leaf("/z"))
    assert list(piecewise(top, lambda _: None)) == [
        Record(key="/a\ufffd", lossy=True),
        Record(key="/z", value=b"v"),
    ]
