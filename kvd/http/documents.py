"""JSON that clients send: small, shallow, and strict where Python's reader is not."""

from __future__ import annotations

import json
import re

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class BadDocumentError(ValueError):
    """It is no JSON document that we read; the text says why."""


def read(data: bytes, *, depth_max: int) -> object:
    """
    :param depth_max: lists and objects inside each other.
    :raises BadDocumentError: in words of Go's decoder where it has any.
    """
    if not data.strip():
        raise BadDocumentError("unexpected end of JSON input")
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub(b"", data)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > depth_max:
            raise BadDocumentError("exceeded max depth")
    try:
        document: object = json.loads(
            data.decode("utf-8", "replace"), parse_constant=_no_constant
        )
    except ValueError as error:
        raise BadDocumentError(f"invalid JSON: {error}") from error
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"invalid literal {name}")
