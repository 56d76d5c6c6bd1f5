"""What Go's JSON scanner says of a text that is none, word by word."""

from __future__ import annotations

import re

from kvd import golang

_SPACE = re.compile(rb"[ \t\r\n]*")
# As far as it is well-formed; the closing quote is looked for afterwards.
_STRING = re.compile(
    rb'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*'
)
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# Scalars of a list, each with its comma: read at once, they may be very many.
_RUN = re.compile(
    rb'(?:(?:"[^"\\\x00-\x1f]*"|-?(?:0|[1-9][0-9]*)|true|false|null),[ \t\r\n]*)*'
)
_EXPONENT = re.compile(rb"[eE][+-]?")
_LITERALS = {literal[0]: literal for literal in (b"true", b"false", b"null")}
_HEX = frozenset(b"0123456789abcdefABCDEF")
_QUOTE, _COLON, _COMMA, _BRACE, _BACKSLASH, _U, _POINT = b'":,{\\u.'
_END = "unexpected end of JSON input"
_VALUE = "looking for beginning of value"
_KEY = "looking for beginning of object key string"


class _Mistake(Exception):
    """Something stands where it may not."""


def problem(data: bytes) -> str:
    """
    The first mistake as Go words it, empty when there is none.

    Go's scanner is fed a blank at the end, which shows in what it says of a literal
    that is cut off; it is fed one here, too.
    """
    try:
        return _scan(data + b" ")
    except _Mistake as mistake:
        return str(mistake)


def _scan(data: bytes) -> str:
    """
    ::

        value -> after value -> (comma) value | key -> colon -> value
                             -> (bracket) after value

    :raises _Mistake: with Go's words.
    """
    brackets: list[int] = []  # the open ones
    at = _skip(data, 0)
    opened = False  # the last thing was a bracket that may close at once
    while at < len(data):
        first = data[at]
        if opened and first == brackets[-1] + 2:  # ASCII has them two apart
            at = _after_values(data, at, brackets)
        elif brackets and brackets[-1] == _BRACE and first != _QUOTE:
            raise _Mistake(_at(data, at, _KEY))
        else:
            if brackets and brackets[-1] == _BRACE:
                at = _skip(data, _string_end(data, at))
                if at < len(data) and data[at] != _COLON:
                    raise _Mistake(_at(data, at, "after object key"))
                at = _skip(data, at + 1)
                if at >= len(data):
                    break
                first = data[at]
            if first in b"{[":
                brackets.append(first)
                opened = True
                at = _skip(data, at + 1)
                continue
            at = _after_values(data, _scalar_end(data, at), brackets)
        opened = False
        if not brackets:
            return _at(data, at, "after top-level value") if at < len(data) else ""
    return _END


def _after_values(data: bytes, at: int, brackets: list[int]) -> int:
    """Past the brackets that close here and a comma; the open ones are told."""
    at = _skip(data, at)
    while brackets and at < len(data):
        if data[at] == brackets[-1] + 2:
            brackets.pop()
        elif data[at] == _COMMA:
            at = _skip(data, at + 1)
            return at if brackets[-1] == _BRACE else _match_end(_RUN, data, at)
        else:
            of_object = brackets[-1] == _BRACE
            where = "object key:value pair" if of_object else "array element"
            raise _Mistake(_at(data, at, f"after {where}"))
        at = _skip(data, at + 1)
    return at


def _scalar_end(data: bytes, at: int) -> int:
    first = data[at]
    if first == _QUOTE:
        return _string_end(data, at)
    if first in b"-0123456789":
        return _number_end(data, at)
    literal = _LITERALS.get(first)
    if literal is None:
        raise _Mistake(_at(data, at, _VALUE))
    for offset, expected in enumerate(literal):
        if data[at + offset] != expected:
            name = literal.decode("ascii")
            where = f"in literal {name} (expecting '{chr(expected)}')"
            raise _Mistake(_at(data, at + offset, where))
    return at + len(literal)


def _string_end(data: bytes, at: int) -> int:
    end = _match_end(_STRING, data, at)
    if end >= len(data):
        raise _Mistake(_END)
    if data[end] == _QUOTE:
        return end + 1
    if data[end] != _BACKSLASH:
        raise _Mistake(_at(data, end, "in string literal"))
    if data[end + 1] != _U:
        raise _Mistake(_at(data, end + 1, "in string escape code"))
    bad = end + 2
    while bad < len(data) - 1 and data[bad] in _HEX:
        bad += 1
    raise _Mistake(_at(data, bad, "in \\u hexadecimal character escape"))


def _number_end(data: bytes, at: int) -> int:
    found = _NUMBER.match(data, at)
    if found is None:  # only a minus may be without digits
        raise _Mistake(_at(data, at + 1, "in numeric literal"))
    end = found.end()
    if b"e" in found[0].lower():
        return end
    exponent = _EXPONENT.match(data, end)
    if exponent is not None:
        raise _Mistake(_at(data, exponent.end(), "in exponent of numeric literal"))
    if data[end] == _POINT and b"." not in found[0]:
        where = "after decimal point in numeric literal"
        raise _Mistake(_at(data, end + 1, where))
    return end


def _skip(data: bytes, at: int) -> int:
    return _match_end(_SPACE, data, at)


def _match_end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    return found.end() if found else at


def _at(data: bytes, at: int, where: str) -> str:
    """Go shows a byte as the character of that number, in single quotes."""
    char = chr(data[at])
    shown = {"'": "\\'", '"': '"'}.get(char)
    if shown is None:
        shown = golang.quote(char.encode())[1:-1]
    return f"invalid character '{shown}' {where}"
