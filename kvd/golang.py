"""Rules of Go's standard library that clients of etcd can see."""

from __future__ import annotations

import re

_HEX_PAIRS = {
    bytes((high, low)): bytes((int(bytes((high, low)), 16),))
    for high in b"0123456789abcdefABCDEF"
    for low in b"0123456789abcdefABCDEF"
}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SPACE = b" \t\n\v\f\r"
# A backslash quotes only what would mean something without it.
_QUOTED = re.compile(rb'"(?:\\[()<>@,;:\\"/\[\]?=]|[^"\r\n])*?"')
_PATH_AS_IS = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~$&+,/:;=@"
)
_SHORT_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


class BadEscapeError(ValueError):
    """A percent sign without two hexadecimal digits; worded as Go does."""


class MediaTypeError(ValueError):
    """A Content-Type that is none; worded as Go does."""


def unescape(data: bytes) -> bytes:
    """
    Percent escapes to bytes.

    :raises BadEscapeError: naming the first bad one.
    """
    first, *rest = data.split(b"%")
    pieces = [first]
    for number, piece in enumerate(rest):
        byte = _HEX_PAIRS.get(piece[:2])
        if byte is None:
            start = len(first) + sum(len(before) + 1 for before in rest[:number])
            raise BadEscapeError(f"invalid URL escape {quote(data[start : start + 3])}")
        pieces.append(byte)
        pieces.append(piece[2:])
    return b"".join(pieces)


def escape_path(path: bytes) -> str:
    """A path as Go's ``url.URL`` prints it."""
    return "".join(
        chr(byte) if byte in _PATH_AS_IS else f"%{byte:02X}" for byte in path
    )


def quote(data: bytes) -> str:
    """A string in double quotes, as ``strconv.Quote`` writes it."""
    out = []
    for char in data.decode("utf-8", "surrogateescape"):
        point = ord(char)
        if 0xDC80 <= point <= 0xDCFF:
            out.append(f"\\x{point - 0xDC00:02x}")
        elif char in _SHORT_ESCAPES:
            out.append(_SHORT_ESCAPES[char])
        elif char.isprintable():
            out.append(char)
        elif point < 0x80:
            out.append(f"\\x{point:02x}")
        elif point < 0x10000:
            out.append(f"\\u{point:04x}")
        else:
            out.append(f"\\U{point:08x}")
    return f'"{"".join(out)}"'


def clean_path(path: bytes) -> bytes:
    """The path without empty, ``.`` and ``..`` segments; a trailing slash stays."""
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment in {b"", b"."}:
            continue
        if segment == b"..":
            if kept:
                kept.pop()
        else:
            kept.append(segment)
    clean = b"/" + b"/".join(kept)
    return clean + b"/" if kept and path.endswith(b"/") else clean


def duration(nanoseconds: int) -> str:
    """As ``time.Duration`` prints it: ``1m5.489s``, ``12.3ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    left = abs(nanoseconds)
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if left < size * 1000:
            return f"{sign}{_decimal(left, size)}{unit}"
    minutes, left = divmod(left, 60_000_000_000)
    shown = f"{_decimal(left, 1_000_000_000)}s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{shown}"
    return f"{sign}{minutes}m{shown}" if minutes else f"{sign}{shown}"


def _decimal(number: int, size: int) -> str:
    whole, rest = divmod(number, size)
    digits = f"{rest:0{len(str(size)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def is_token(data: bytes) -> bool:
    """Whether it can be a method or a header's name."""
    return _TOKEN.fullmatch(data) is not None


def media_type(value: bytes) -> bytes:
    """
    The lower-case type of a Content-Type, without parameters.

    Also returns the type where only a parameter is bad: see :func:`media_problem`.

    :raises MediaTypeError: no type, or parameters that contradict each other.
    """
    kind, _ = _media_type(value)
    return kind


def media_problem(value: bytes) -> str:
    """What Go says about a bad parameter, empty when all are well."""
    _, problem = _media_type(value)
    return problem


def _media_type(value: bytes) -> tuple[bytes, str]:
    base, _, _ = value.partition(b";")
    kind = base.strip(_SPACE).lower()
    _check_kind(kind)
    seen: set[bytes] = set()
    rest = value[len(base) :].lstrip(_SPACE)
    while rest:
        parameter = _parameter(rest)
        if parameter is None:
            if rest.strip(_SPACE) == b";":
                break
            return kind, "mime: invalid media parameter"
        name, rest = parameter
        if name in seen:
            raise MediaTypeError("mime: duplicate parameter name")
        seen.add(name)
        rest = rest.lstrip(_SPACE)
    return kind, ""


def _check_kind(kind: bytes) -> None:
    main, rest = _leading_token(kind)
    if not main:
        raise MediaTypeError("mime: no media type")
    if not rest:
        return
    if not rest.startswith(b"/"):
        raise MediaTypeError("mime: expected slash after first token")
    sub, rest = _leading_token(rest[1:])
    if not sub:
        raise MediaTypeError("mime: expected token after slash")
    if rest:
        raise MediaTypeError("mime: unexpected content after media subtype")


def _leading_token(data: bytes) -> tuple[bytes, bytes]:
    match = _TOKEN.match(data)
    end = match.end() if match else 0
    return data[:end], data[end:]


def _parameter(data: bytes) -> tuple[bytes, bytes] | None:
    """The name of one ``; name=value`` and what follows it, or None."""
    if not data.startswith(b";"):
        return None
    name, rest = _leading_token(data[1:].lstrip(_SPACE))
    rest = rest.lstrip(_SPACE)
    if not name or not rest.startswith(b"="):
        return None
    rest = rest[1:].lstrip(_SPACE)
    if not rest.startswith(b'"'):
        value, rest = _leading_token(rest)
        return (name.lower(), rest) if value else None
    end = _QUOTED.match(rest)
    return (name.lower(), rest[end.end() :]) if end else None
