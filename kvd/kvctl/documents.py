"""JSON of the APIs beside the keys: written as Go writes it, and read in its words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from kvd.kvctl.errors import BAD_ARGUMENTS, BadAnswer, ClusterError, Failed
from kvd.kvctl.node import quoted
from kvd.kvctl.wire import Answer

SCANNED_BYTES_MAX: Final = 64 << 10
"""In which a mistake is looked for: to find it takes a second for a MiB."""


def written(value: object) -> str:
    """None, a text, or texts by number or name: a document as Go would write it."""
    match value:
        case None:
            return "null"
        case str():
            return quoted(value)
        case Mapping():
            pairs = (f"{quoted(name)}:{written(each)}" for name, each in value.items())
            return f"{{{','.join(pairs)}}}"
        case Sequence():
            return f"[{','.join(map(written, value))}]"
        case _:
            raise TypeError(f"{value!r} is not written")


def read(body: bytes) -> dict[str, Any]:  # JSON
    """
    An answer's object; ``null`` is an empty one.

    :raises BadAnswer: it is something else.
    """
    try:
        document = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        from kvd import grammar  # noqa: PLC0415 -- for what hardly ever comes

        problem = grammar.problem(body[:SCANNED_BYTES_MAX])
        raise BadAnswer(problem or "the answer is no JSON") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BadAnswer(f"the answer is no JSON object: {document!r:.100}")
    return document


def text(document: Mapping[str, Any], name: str) -> str:
    """
    A field; empty without.

    :raises BadAnswer: it is something else.
    """
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadAnswer(f"{name} of the answer is no text: {value!r:.100}")
    return value


def items(document: Mapping[str, Any], name: str) -> list[Any]:
    """
    A field that is a list; empty without.

    :raises BadAnswer: it is something else.
    """
    value = document.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadAnswer(f"{name} of the answer is no list: {value!r:.100}")
    return value


def texts(document: Mapping[str, Any], name: str) -> list[str]:
    """
    A field that is a list of texts; empty without.

    :raises BadAnswer: it is something else.
    """
    values = items(document, name)
    if not all(isinstance(value, str) for value in values):
        raise BadAnswer(f"{name} of the answer is no list of texts: {values!r:.100}")
    return values


def inner(document: Mapping[str, Any], name: str) -> dict[str, Any]:  # JSON
    """
    A field that is an object; an empty one without.

    :raises BadAnswer: it is something else.
    """
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadAnswer(f"{name} of the answer is no object: {value!r:.100}")
    return value


def objects(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """
    A field that is a list of objects; empty without.

    :raises BadAnswer: it is something else.
    """
    values = items(document, name)
    if not all(isinstance(value, dict) for value in values):
        raise BadAnswer(f"{name} of the answer is no list of objects: {values!r:.100}")
    return values


class Refused(BadAnswer):
    """
    The server will not do it.

    :ivar status: of HTTP.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def check_status(answer: Answer, *expected: int) -> None:
    """:raises Refused: it is none of these, in etcdctl's words."""
    if answer.status not in expected:
        raise Refused(f"unexpected status code {answer.status}", answer.status)


def check_accepted(answer: Answer, expected: Sequence[int]) -> None:
    """
    As :func:`check_status`, with the server's words.

    :raises BadAnswer: it has none.
    """
    if answer.status not in expected:
        raise Refused(text(read(answer.body), "message"), answer.status)


def refused(error: ClusterError, before: str = "", hint: str = "") -> Failed:
    """
    What ends a command: the bare words, perhaps with others before them.

    :param hint: for a terminal, unless there is a better one.
    """
    if isinstance(error, Refused) and error.status == HTTPStatus.UNAUTHORIZED:
        hint = (
            "--username NAME says who asks: here it has to be a user in the role root"
        )
    return Failed(BAD_ARGUMENTS, f"{before}{error}", hint)
