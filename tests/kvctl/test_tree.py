"""The drawing of ``ls --tree``."""

from __future__ import annotations

import pytest

from kvd.kvctl.tree import ASCII, UTF8, drawn, printable, style_for
from tests.kvctl.nodes import folder, leaf, root

TREE = root(
    folder("/a", folder("/a/b", leaf("/a/b/c", "1")), leaf("/a/d", "two\nlines")),
    folder("/e"),
    leaf("/f", "x" * 100),
)


def test_each_key_hangs_on_its_directory():
    assert list(drawn(TREE, ASCII)) == [
        "/",
        "|-- a/",
        "|   |-- b/",
        "|   |   `-- c",
        "|   `-- d",
        "|-- e/",
        "`-- f",
    ]


def test_lines_are_drawn_where_they_can_be_shown():
    assert list(drawn(TREE, UTF8))[3:5] == ["│   │   └── c", "│   └── d"]


def test_values_are_shown_by_their_beginning_on_one_line():
    lines = list(drawn(TREE, UTF8, values=True))
    assert lines[3:5] == ["│   │   └── c = 1", "│   └── d = two\\nlines"]
    assert lines[-1] == f"└── f = {'x' * 60}…"


def test_a_key_is_its_own_tree():
    assert list(drawn(leaf("/a/b"), ASCII)) == ["/a/b"]
    assert list(drawn(leaf("/a/b", ""), ASCII, values=True)) == ["/a/b = "]


def test_no_name_reaches_the_terminal_as_a_command():
    assert list(drawn(folder("/", leaf("/\x1b[2Jä")), ASCII))[1] == "`-- \\x1b[2Jä"


def test_a_deep_tree_needs_no_stack():
    node = leaf("/x")
    for _ in range(5000):
        node = folder("/x", node)
    assert len(list(drawn(node, ASCII))) == 5001


@pytest.mark.parametrize(
    ("environ", "style"),
    [
        ({"LANG": "de_DE.UTF-8"}, UTF8),
        ({"LC_ALL": "C.utf8", "LANG": "C"}, UTF8),
        ({"LC_CTYPE": "de_DE.UTF-8@euro", "LANG": "C"}, UTF8),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, ASCII),
        ({"LC_ALL": "", "LANG": "de_DE.ISO-8859-1"}, ASCII),
        ({}, ASCII),
    ],
)
def test_the_locale_decides_the_style(environ, style):
    assert style_for(environ) is style


def test_what_is_printable_stays():
    assert printable("añ b") == "añ b"
    assert printable("\u202e\x00") == "\\u202e\\x00"
