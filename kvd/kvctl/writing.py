"""Commands that change a key or a directory: each is one request, and shows its answer."""

from __future__ import annotations

from typing import Final

from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.flags import Flag, Kind
from kvd.kvctl.keys import ask, key_of, target, value_of
from kvd.kvctl.node import Response, show

_TTL = Flag(("ttl",), "seconds after which it is removed; 0: never", Kind.NUMBER)
_DASHES = """
A value that begins with a dash is taken for a flag. Write two dashes before the key:

  kvctl {} -- <key> <value>

Without a value, all of standard input is the value, with its last line end.
"""


def _set(context: Context) -> int:
    _ = context.cluster
    key, value = key_of(context), value_of(context)
    query = {}
    if context.text("swap-with-value"):
        query["prevValue"] = context.text("swap-with-value")
    if context.number("swap-with-index"):
        query["prevIndex"] = _index(context, "swap-with-index")
    fields = {"value": value, **_ttl(context)}
    show(context, ask(context, "PUT", target(key, query), fields))
    return 0


def _mk(context: Context) -> int:
    _ = context.cluster
    key, value = key_of(context), value_of(context)
    fields = {"value": value, **_ttl(context)}
    if context.on("in-order"):
        response = ask(context, "POST", target(key), fields)
    else:
        # What was perhaps done must not be done again, and then fail.
        where = target(key, {"prevExist": "false"})
        response = ask(context, "PUT", where, fields, once=True)
    show(context, response)
    return 0


def _update(context: Context) -> int:
    _ = context.cluster
    key, value = key_of(context), value_of(context)
    fields = {"value": value, **_ttl(context)}
    show(context, ask(context, "PUT", target(key, {"prevExist": "true"}), fields))
    return 0


def _directory(context: Context, prev_exist: str) -> int:
    """
    Make a directory, or give one another ttl.

    :param prev_exist: whether it must be there, empty for either.
    """
    _ = context.cluster
    query = {"dir": "true"}
    if prev_exist:
        query["prevExist"] = prev_exist
    where = target(key_of(context), query)
    once = prev_exist == "false"
    response = ask(context, "PUT", where, _ttl(context), once=once)
    if context.output != "simple":
        show(context, response)
    return 0


def _rm(context: Context) -> int:
    query = {name: "true" for name in ("dir", "recursive") if context.on(name)}
    if context.text("with-value"):
        query["prevValue"] = context.text("with-value")
    if context.number("with-index"):
        query["prevIndex"] = _index(context, "with-index")
    return _remove(context, query)


def _remove(context: Context, query: dict[str, str]) -> int:
    _ = context.cluster
    where = target(key_of(context), query)
    response: Response = ask(context, "DELETE", where, once=True)
    if not response.node.is_dir or context.output != "simple":
        show(context, response)
    return 0


def _ttl(context: Context) -> dict[str, str]:
    seconds = context.number("ttl")
    return {"ttl": str(seconds)} if seconds > 0 else {}


def _index(context: Context, flag: str) -> str:
    """A negative one is a large one without a sign, as it is for etcdctl."""
    return str(context.number(flag) % 2**64)


COMMANDS: Final = (
    Command(
        "mk",
        "make a key that is not there yet",
        _mk,
        "<key> <value>",
        (
            Flag(("in-order",), "below <key>, with a name in the order of such names"),
            _TTL,
        ),
        about=_DASHES.format("mk"),
    ),
    Command(
        "mkdir",
        "make a directory that is not there yet",
        lambda context: _directory(context, "false"),
        "<key>",
        (_TTL,),
    ),
    Command(
        "rm",
        "remove a key or a directory",
        _rm,
        "<key>",
        (
            Flag(("dir",), "also a directory, if nothing is in it"),
            Flag(("recursive", "r"), "a directory with all that is in it"),
            Flag(("with-value",), "only if this is its value", Kind.TEXT),
            Flag(("with-index",), "only if this is its index", Kind.NUMBER),
        ),
    ),
    Command(
        "rmdir",
        "remove a key, or a directory with nothing in it",
        lambda context: _remove(context, {"dir": "true"}),
        "<key>",
    ),
    Command(
        "set",
        "set the value of a key",
        _set,
        "<key> <value>",
        (
            _TTL,
            Flag(("swap-with-value",), "only if this is its value", Kind.TEXT),
            Flag(("swap-with-index",), "only if this is its index", Kind.NUMBER),
        ),
        about=_DASHES.format("set"),
    ),
    Command(
        "setdir",
        "make a directory, or give one that is there another ttl",
        lambda context: _directory(context, ""),
        "<key>",
        (_TTL,),
    ),
    Command(
        "update",
        "set the value of a key that is there",
        _update,
        "<key> <value>",
        (_TTL,),
        about=_DASHES.format("update"),
    ),
    Command(
        "updatedir",
        "give a directory that is there another ttl",
        lambda context: _directory(context, "true"),
        "<key>",
        (_TTL,),
    ),
)
