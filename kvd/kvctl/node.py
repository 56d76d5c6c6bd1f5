"""Answers of the keys API: read, and shown in etcdctl's three ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.encoder import encode_basestring as _plain_quote
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kvd.kvctl.errors import EMPTY_BODY, NOT_JSON, BadAnswer, KeysRefused

if TYPE_CHECKING:
    from kvd.kvctl.context import Context
    from kvd.kvctl.wire import Answer


class Node(NamedTuple):
    """
    A key or a directory.

    :ivar key: empty for the root.
    :ivar nodes: None where the server sent none.
    :ivar expiration: as the server wrote it, empty without.
    """

    key: str
    is_dir: bool
    value: str
    nodes: tuple[Node, ...] | None
    created_index: int
    modified_index: int
    expiration: str
    ttl: int


class Response(NamedTuple):
    """
    What became of a request.

    :ivar etcd_index: the store's, when the server answered.
    """

    action: str
    node: Node
    previous: Node | None
    etcd_index: int


def response_of(answer: Answer) -> Response:
    """
    Read an answer.

    :raises KeysRefused: the server said no.
    :raises BadAnswer: no v2 server says that.
    """
    if answer.status not in {200, 201}:
        raise _refusal(answer.body)
    if not answer.body:
        raise BadAnswer(EMPTY_BODY)
    document = _document(answer.body)
    try:
        previous = document.get("prevNode")
        return Response(
            _text(document.get("action", "")),
            _tree(document["node"]),
            None if previous is None else _tree(previous),
            int(answer.headers.get("x-etcd-index") or 0),
        )
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        raise BadAnswer(NOT_JSON) from None


def show(context: Context, response: Response) -> None:
    """Print it as ``--output`` says."""
    node = response.node
    deleted = response.action == "delete"
    before = "" if response.previous is None else response.previous.value
    match context.output:
        case "simple":
            context.say(f"PrevNode.Value: {before}" if deleted else node.value)
        case "extended":
            context.say(f"Key: {node.key}")
            context.say(f"Created-Index: {node.created_index}")
            context.say(f"Modified-Index: {node.modified_index}")
            if response.previous is not None:
                context.say(f"PrevNode.Value: {before}")
            context.say(f"TTL: {node.ttl}")
            context.say(f"Index: {response.etcd_index}")
            if not deleted:
                context.say(f"\n{node.value}")
        case "json":
            context.say(response_json(response))
        case other:
            context.warn(f"Unsupported output format: {other}")


def response_json(response: Response) -> str:
    """As Go's client library writes it, whose order differs from the server's."""
    previous = "null"
    if response.previous is not None:
        previous = _node_json(response.previous)
    return (
        f'{{"action":{quoted(response.action)},"node":{_node_json(response.node)},'
        f'"prevNode":{previous}}}'
    )


def walk(node: Node) -> Iterator[Node]:
    """What is below it, each directory before what is in it."""
    waiting = list(reversed(node.nodes or ()))
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(reversed(each.nodes or ()))


_MARKUP: Final = re.compile("[<>&]")
_ESCAPES: Final = (
    ("<", "\\u003c"),
    (">", "\\u003e"),
    ("&", "\\u0026"),
    ("\u2028", "\\u2028"),
    ("\u2029", "\\u2029"),
    ("\\b", "\\u0008"),
    ("\\f", "\\u000c"),
)


def quoted(text: str) -> str:
    """A JSON string as Go writes it."""
    plain = _plain_quote(text)
    if len(plain) == len(text) + 2 and text.isascii() and not _MARKUP.search(text):
        return plain
    pieces = plain.split("\\\\")
    for char, escape in _ESCAPES:
        pieces = [piece.replace(char, escape) for piece in pieces]
    return "".join(
        "\\ufffd" if "\ud800" <= char <= "\udfff" else char
        for char in "\\\\".join(pieces)
    )


def _document(body: bytes) -> dict[str, Any]:  # JSON
    try:
        document = json.loads(body.decode("utf-8", "surrogateescape"))
    except RecursionError:
        raise BadAnswer(
            "client: an answer with more directories in each other than can be read"
        ) from None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise BadAnswer(NOT_JSON)
    return document


def _refusal(body: bytes) -> KeysRefused:
    document = _document(body)
    try:
        return KeysRefused(
            int(document.get("errorCode", 0)),
            _text(document.get("message", "")),
            _text(document.get("cause", "")),
            int(document.get("index", 0)),
        )
    except (TypeError, ValueError, OverflowError):
        raise BadAnswer(NOT_JSON) from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _tree(document: dict[str, Any]) -> Node:
    """A node with all that is below it; json has seen to it that it is not too deep."""
    children = document.get("nodes")
    return Node(
        key=_text(document.get("key", "")),
        is_dir=bool(document.get("dir", False)),
        value=_text(document.get("value", "")),
        nodes=None if children is None else tuple(map(_tree, children)),
        created_index=int(document.get("createdIndex", 0)),
        modified_index=int(document.get("modifiedIndex", 0)),
        expiration=_text(document.get("expiration", "")),
        ttl=int(document.get("ttl", 0)),
    )


def _node_json(node: Node) -> str:
    nodes = "null"
    if node.nodes is not None:
        nodes = f"[{','.join(map(_node_json, node.nodes))}]"
    is_dir = ',"dir":true' if node.is_dir else ""
    end = f',"expiration":{quoted(node.expiration)}' if node.expiration else ""
    end += f',"ttl":{node.ttl}' if node.ttl else ""
    return (
        f'{{"key":{quoted(node.key)}{is_dir},"value":{quoted(node.value)},'
        f'"nodes":{nodes},"createdIndex":{node.created_index},'
        f'"modifiedIndex":{node.modified_index}{end}}}'
    )
