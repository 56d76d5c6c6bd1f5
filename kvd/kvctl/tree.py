"""A drawing of keys and directories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from kvd.kvctl.node import Node

_VALUE_CHARACTERS_MAX: Final = 60


class Style(NamedTuple):
    """Pieces of the drawing, the first four equally wide."""

    branch: str
    last: str
    through: str
    nothing: str
    more: str


UTF8: Final = Style("├── ", "└── ", "│   ", "    ", "…")
ASCII: Final = Style("|-- ", "`-- ", "|   ", "    ", "...")


def style_for(environ: Mapping[str, str]) -> Style:
    """Lines where the locale's characters have them; as POSIX finds the locale."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if environ.get(name):
            encoding = environ[name].partition(".")[2].partition("@")[0]
            is_utf8 = encoding.lower().replace("-", "") == "utf8"
            return UTF8 if is_utf8 else ASCII
    return ASCII


def drawn(node: Node, style: Style, *, values: bool = False) -> Iterator[str]:
    """
    A line for the node and for each below it.

    :param values: show them, too: their beginning, on one line.
    """
    yield _label(node.key or "/", node, style, values=values)
    waiting = [(child, "", last) for child, last in _children(node)]
    while waiting:
        child, indent, last = waiting.pop()
        name = child.key.rpartition("/")[2]
        branch = style.last if last else style.branch
        yield indent + branch + _label(name, child, style, values=values)
        below = indent + (style.nothing if last else style.through)
        waiting.extend((each, below, end) for each, end in _children(child))


def _children(node: Node) -> list[tuple[Node, bool]]:
    """Those of a node and whether each is the last, backwards."""
    nodes = node.nodes or ()
    return [(child, place == 0) for place, child in enumerate(reversed(nodes))]


def _label(name: str, node: Node, style: Style, *, values: bool) -> str:
    shown = printable(name)
    if node.is_dir:
        return shown if shown.endswith("/") else f"{shown}/"
    if not values:
        return shown
    value = printable(node.value)
    if len(value) > _VALUE_CHARACTERS_MAX:
        value = value[:_VALUE_CHARACTERS_MAX] + style.more
    return f"{shown} = {value}"


def printable(text: str) -> str:
    """On one line, and harmless for a terminal: other characters as escapes."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
