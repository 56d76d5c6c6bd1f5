"""
JSON that clients send, read as Go reads it into a struct.

Names match in any case, unknown ones are ignored, ``null`` leaves a field as it is, and
what has the wrong type is told in Go's words. Where Python's reader takes more than
Go's it is refused, and nothing may be deep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias, cast

import attrs

from kvd import grammar

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_NO_CHARACTER = re.compile("[\ud800-\udfff]")
_BLANKS = " \t\r\n"


class BadDocumentError(ValueError):
    """It is no JSON document that we read; the text says why."""


class Object(list[tuple[str, object]]):
    """The names and values of a JSON object as they came; a name may come twice."""


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class Kind(Enum):
    """What a field holds, by Go's name for it."""

    TEXT = "string"
    TEXTS = "[]string"


@attrs.frozen
class Struct:
    """
    What an object is read into.

    :ivar kind: Go's name of the type.
    :ivar name: as Go puts it before a field's name, empty where the type has none.
    """

    kind: str
    fields: Mapping[str, Kind | Struct]
    name: str = ""


class Fields:
    """The fields that were given, by the names of the struct."""

    def __init__(self) -> None:
        self.given: dict[str, _Field] = {}

    def text(self, name: str) -> str:
        """Empty when there was none."""
        return cast(str, self.given.get(name, ""))

    def texts(self, name: str) -> list[str] | None:
        """None when there was none, or ``null``."""
        return cast("list[str] | None", self.given.get(name))

    def inner(self, name: str) -> Fields | None:
        """None when there was none, or ``null``."""
        return cast("Fields | None", self.given.get(name))


_Field: TypeAlias = str | list[str] | Fields


def read(data: bytes, *, depth_max: int) -> object:
    """
    The one document that the data is, as Go's ``json.Unmarshal`` wants it.

    :param depth_max: lists and objects inside each other.
    :returns: None, bool, str, :class:`Number`, list or :class:`Object`.
    :raises BadDocumentError: in words of Go's scanner; to find them takes a second for
        a MiB, so data must be short.
    """
    try:
        document, rest = _read(data, depth_max)
    except ValueError as error:
        if isinstance(error, BadDocumentError):
            raise
        raise BadDocumentError(grammar.problem(data) or "invalid JSON") from error
    if rest.strip(_BLANKS):
        raise BadDocumentError(grammar.problem(data))
    return document


def read_first(data: bytes, *, depth_max: int) -> object:
    """
    As :func:`read`, but like Go's ``json.Decoder`` whatever follows is left alone.

    :raises BadDocumentError: in no special words.
    """
    try:
        return _read(data, depth_max)[0]
    except ValueError as error:
        raise BadDocumentError("invalid JSON") from error


def fields_of(document: object, struct: Struct) -> Fields:
    """
    Read a document into a struct.

    :raises BadDocumentError: the first value of a wrong type, in Go's words.
    """
    fields = Fields()
    if isinstance(document, Object):
        _fill(fields, document, struct, f"Go struct field {struct.name}.")
    elif document is not None:
        raise _wrong(document, f"Go value of type {struct.kind}")
    return fields


def _read(data: bytes, depth_max: int) -> tuple[object, str]:
    """:raises ValueError: no document; BadDocumentError where it is too deep."""
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub(b"", data)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > depth_max:
            raise BadDocumentError("exceeded max depth")
    text = data.decode("utf-8", "surrogateescape").lstrip(_BLANKS)
    document, end = _READER.raw_decode(text)
    return document, text[end:]


def _no_constant(name: str) -> None:
    raise ValueError(f"invalid literal {name}")


_READER = json.JSONDecoder(
    object_pairs_hook=Object,
    parse_int=Number,
    parse_float=Number,
    parse_constant=_no_constant,
)


def _fill(fields: Fields, document: Object, struct: Struct, where: str) -> None:
    """:param where: Go's words for the place, to which a field's name is added."""
    for given, value in document:
        name = _name(given, struct)
        if not name:
            continue
        kind = struct.fields[name]
        place = f"{where}{name}"
        if value is None:
            if kind is not Kind.TEXT:
                fields.given.pop(name, None)
        elif isinstance(kind, Struct):
            if not isinstance(value, Object):
                raise _wrong(value, f"{place} of type {kind.kind}")
            inner = fields.given.setdefault(name, Fields())
            _fill(cast(Fields, inner), value, kind, f"{place}.")
        elif kind is Kind.TEXT:
            fields.given[name] = _text(value, place)
        else:
            fields.given[name] = _texts(value, fields.texts(name) or [], place)


def _name(given: str, struct: Struct) -> str:
    """The field of this name, else the one of the same letters; empty for none."""
    if given in struct.fields:
        return given
    folded = given.casefold()
    for name in struct.fields:
        if len(name) == len(given) and name.casefold() == folded:
            return name
    return ""


def _text(value: object, place: str) -> str:
    # Number is a str, too.
    if isinstance(value, Number) or not isinstance(value, str):
        raise _wrong(value, f"{place} of type string")
    return _NO_CHARACTER.sub("\ufffd", value)


def _texts(value: object, before: list[str], place: str) -> list[str]:
    """A ``null`` in a list is what was there before, when the name comes twice."""
    if not isinstance(value, list) or isinstance(value, Object):
        raise _wrong(value, f"{place} of type []string")
    kept = dict(enumerate(before))
    return [
        kept.get(at, "") if each is None else _text(each, place)
        for at, each in enumerate(value)
    ]


def _wrong(value: object, where: str) -> BadDocumentError:
    match value:
        case Object():
            kind = "object"
        case list():
            kind = "array"
        case bool():
            kind = "bool"
        case Number():
            kind = "number"
        case _:
            kind = "string"
    return BadDocumentError(f"json: cannot unmarshal {kind} into {where}")
