"""``get`` and ``ls``."""

from __future__ import annotations

from typing import Final

from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.errors import BAD_ARGUMENTS
from kvd.kvctl.flags import Flag
from kvd.kvctl.keys import ask, key_of, target
from kvd.kvctl.node import Response, show, walk

_SORT = Flag(("sort",), "list names in their order")
_QUORUM = Flag(("quorum", "q"), "read what a majority of the members agrees on")


def read(context: Context, key: str, *, recursive: bool) -> Response:
    """
    Read a key or a directory, as the flags say.

    :raises Failed:
    """
    query = {
        "recursive": _word(recursive),
        "sorted": _word(context.on("sort")),
        "quorum": _word(context.on("quorum")),
    }
    return ask(context, "GET", target(key, query))


def _word(is_so: bool) -> str:
    return "true" if is_so else "false"


def _get(context: Context) -> int:
    _ = context.cluster
    response = read(context, key_of(context), recursive=False)
    if response.node.is_dir:
        context.warn(f"{response.node.key}: is a directory")
        return BAD_ARGUMENTS
    show(context, response)
    return 0


def _ls(context: Context) -> int:
    _ = context.cluster
    key = context.args[0] if context.args else "/"
    is_tree = context.on("tree") or context.on("values")
    response = read(context, key, recursive=is_tree or context.on("recursive"))
    if is_tree:
        return _draw(context, response)
    if context.output != "simple":
        show(context, response)
        return 0
    if not response.node.is_dir:
        context.say(response.node.key)
    for node in walk(response.node):
        context.say(f"{node.key}/" if node.is_dir and context.on("p") else node.key)
    return 0


def _draw(context: Context, response: Response) -> int:
    from kvd.kvctl.tree import drawn, style_for  # noqa: PLC0415 -- for this alone

    style = style_for(context.environ)
    for line in drawn(response.node, style, values=context.on("values")):
        context.say(line)
    return 0


COMMANDS: Final = (
    Command("get", "show the value of a key", _get, "<key>", (_SORT, _QUORUM)),
    Command(
        "ls",
        "list a directory",
        _ls,
        "[key]",
        (
            _SORT,
            Flag(("recursive", "r"), "list what is below its directories, too"),
            Flag(("p",), "append a slash to directories"),
            _QUORUM,
            Flag(("tree",), "draw all that is below it as a tree", beyond=True),
            Flag(
                ("values",), "the same, with the beginning of each value", beyond=True
            ),
        ),
    ),
)
