"""Commands on one key: each is one request, and its answer is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.endpoint import target_of
from kvd.kvctl.errors import (
    BAD_ARGUMENTS,
    SERVER_ERROR,
    ClusterError,
    KeysRefused,
    failed,
)
from kvd.kvctl.flags import Flag, Kind
from kvd.kvctl.node import Response, response_of, show, walk
from kvd.kvctl.wire import FORM

KEYS: Final = "/v2/keys"

_SORT = Flag(("sort",), "list names in their order")
_QUORUM = Flag(("quorum", "q"), "read what a majority of the members agrees on")
_TTL = Flag(("ttl",), "seconds after which it is removed; 0: never", Kind.NUMBER)


def key_of(context: Context) -> str:
    """
    The first argument.

    :raises Failed: there is none.
    """
    if not context.args:
        raise failed(BAD_ARGUMENTS, "key required")
    return context.args[0]


def value_of(context: Context) -> str:
    """
    The second argument, or all of standard input, as it is.

    :raises Failed: neither.
    """
    if len(context.args) > 1:
        return context.args[1]
    value = context.streams.stdin.read().decode("utf-8", "surrogateescape")
    if not value:
        raise failed(BAD_ARGUMENTS, "value required")
    return value


def form(fields: Mapping[str, str]) -> str:
    """Fields as they are sent, in the order of their names."""
    return "&".join(
        f"{name}={quote_plus(fields[name].encode('utf-8', 'surrogateescape'))}"
        for name in sorted(fields)
    )


def target(key: str, query: Mapping[str, str] | None = None) -> str:
    """Where a key is asked for."""
    path = target_of(f"{KEYS}{'' if key.startswith('/') or not key else '/'}{key}")
    return f"{path}?{form(query)}" if query else path


def ask(
    context: Context,
    method: str,
    where: str,
    fields: Mapping[str, str] | None = None,
    *,
    once: bool = False,
) -> Response:
    """
    Put one request to the cluster.

    :param fields: of a form in its body.
    :param once: not to be repeated at another endpoint.
    :raises Failed: nobody answered, or the server refused it.
    """
    body = None if fields is None else form(fields).encode("ascii")
    content_type = FORM if method in {"PUT", "POST", "DELETE"} else ""
    try:
        answer = context.cluster.ask(
            method, where, body=body, content_type=content_type, once=once
        )
        return response_of(answer)
    except (ClusterError, KeysRefused) as error:
        raise failed(SERVER_ERROR, error) from None


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
    response = read(context, key, recursive=context.on("recursive"))
    if context.output != "simple":
        show(context, response)
        return 0
    if not response.node.is_dir:
        context.say(response.node.key)
    for node in walk(response.node):
        context.say(f"{node.key}/" if node.is_dir and context.on("p") else node.key)
    return 0


def _ttl(context: Context) -> dict[str, str]:
    seconds = context.number("ttl")
    return {"ttl": str(seconds)} if seconds > 0 else {}


def _set(context: Context) -> int:
    _ = context.cluster
    key, value = key_of(context), value_of(context)
    query = {}
    if context.text("swap-with-value"):
        query["prevValue"] = context.text("swap-with-value")
    if context.number("swap-with-index"):
        query["prevIndex"] = str(context.number("swap-with-index") % 2**64)
    fields = {"value": value, **_ttl(context)}
    show(context, ask(context, "PUT", target(key, query), fields))
    return 0


COMMANDS: Final = (
    Command(
        "get",
        "retrieve the value of a key",
        _get,
        "<key>",
        (_SORT, _QUORUM),
    ),
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
        ),
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
    ),
)
