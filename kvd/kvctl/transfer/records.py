"""
The file of an export: one JSON object a line, described in ``docs/kvctl.rst``.

::

    {"format":"kvd-export","version":1,"prefix":"/","index":9,"consistency":"index"}
    {"key":"/empty","dir":true}
    {"key":"/session","value":"...","ttl":27}
    {"key":"/bytes","value64":"/w=="}
    {"end":3}
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

FORMAT: Final = "kvd-export"
VERSION: Final = 1
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
# A value of the largest request, each byte of it written as an escape of six.
LINE_BYTES_MAX: Final = 64 << 20
_TTL_MAX: Final = 2**63 - 1
_INDEX = "index"
_DIRECTORIES = "directory"


class Malformed(ValueError):
    """A line that is not what it should be; the text says what it should be."""


@attrs.frozen(kw_only=True)
class Header:
    """
    The first line.

    :ivar prefix: the key that was exported, with all below it.
    :ivar index: the etcd index when it was read; with ``piecewise`` the first one.
    :ivar piecewise: each directory was read for itself, and not all at one index.
    """

    prefix: str
    index: int
    piecewise: bool = False


@attrs.frozen(kw_only=True)
class Record:
    """
    One key.

    :ivar value: the bytes to be written; None: a directory.
    :ivar ttl: seconds that were left to it at the export; None: it stays.
    :ivar lossy: the key or the value was shown with U+FFFD, which may stand for bytes
        that are no UTF-8: what is written here need not be what was stored.
    """

    key: str
    value: bytes | None = attrs.field(default=None, repr=False)
    ttl: int | None = None
    lossy: bool = False


@attrs.frozen
class End:
    """
    The last line, without which a file is not complete.

    :ivar count: of records before it.
    """

    count: int


Line = Header | Record | End


def encode(line: Line) -> bytes:
    """With the end of the line."""
    match line:
        case Header():
            document: dict[str, object] = {
                "format": FORMAT,
                "version": VERSION,
                "prefix": line.prefix,
                "index": line.index,
                "consistency": _DIRECTORIES if line.piecewise else _INDEX,
            }
        case Record():
            document = {"key": line.key, **_content(line.value)}
            if line.ttl is not None:
                document["ttl"] = line.ttl
            if line.lossy:
                document["lossy"] = True
        case End():
            document = {"end": line.count}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"


def decode(data: bytes) -> Line:
    """
    One line, without or with its end.

    Members that nobody knows are left alone, so that a later version may add some.

    :raises Malformed:
    """
    try:
        # Any: whatever is there, looked at piece by piece.
        document: Any = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Malformed("expected UTF-8") from None
    except (ValueError, RecursionError):
        raise Malformed("expected a JSON object, alone on its line") from None
    if not isinstance(document, dict):
        raise Malformed("expected a JSON object, alone on its line")
    if "format" in document:
        return _header(document)
    if "end" in document:
        return End(_number(document, "end"))
    return _record(document)


def _content(value: bytes | None) -> dict[str, object]:
    if value is None:
        return {"dir": True}
    try:
        return {"value": value.decode("utf-8")}
    except UnicodeDecodeError:
        return {"value64": base64.b64encode(value).decode("ascii")}


def _header(document: Mapping[str, object]) -> Header:
    if document["format"] != FORMAT:
        raise Malformed(f'expected "format":"{FORMAT}"')
    if document.get("version") != VERSION:
        raise Malformed(
            f'expected "version":{VERSION}, the only one that this program reads'
        )
    consistency = document.get("consistency")
    if consistency not in {_INDEX, _DIRECTORIES}:
        raise Malformed(f'expected "consistency":"{_INDEX}" or "{_DIRECTORIES}"')
    return Header(
        prefix=_key(document, "prefix"),
        index=_number(document, "index"),
        piecewise=consistency == _DIRECTORIES,
    )


def _record(document: Mapping[str, object]) -> Record:
    key = _key(document, "key")
    ttl = _number(document, "ttl") if "ttl" in document else None
    lossy = document.get("lossy", False)
    if not isinstance(lossy, bool):
        raise Malformed('expected true or false after "lossy"')
    return Record(key=key, value=_value(document), ttl=ttl, lossy=lossy)


def _value(document: Mapping[str, object]) -> bytes | None:
    given = [name for name in ("value", "value64", "dir") if name in document]
    if len(given) != 1:
        raise Malformed('expected exactly one of "value", "value64" and "dir":true')
    content = document[given[0]]
    if given == ["dir"]:
        if content is not True:
            raise Malformed('expected true after "dir"')
        return None
    if not isinstance(content, str):
        raise Malformed(f'expected text after "{given[0]}"')
    try:
        if given == ["value64"]:
            return base64.b64decode(content, validate=True)
        return content.encode("utf-8")
    except (binascii.Error, ValueError):
        expected = "base64" if given == ["value64"] else "no half of a surrogate pair"
        raise Malformed(f'expected {expected} after "{given[0]}"') from None


def _key(document: Mapping[str, object], name: str) -> str:
    key = document.get(name)
    if not isinstance(key, str) or not key.startswith("/"):
        raise Malformed(f'expected a key that begins with / after "{name}"')
    parts = key.split("/")[1:]
    if key != "/" and any(part in {"", ".", ".."} for part in parts):
        raise Malformed(f'expected a key without empty names, . and .. after "{name}"')
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed(
            f'expected no half of a surrogate pair after "{name}"'
        ) from None
    return key


def _number(document: Mapping[str, object], name: str) -> int:
    number = document.get(name)
    if type(number) is not int or not 0 <= number <= _TTL_MAX:
        raise Malformed(f'expected a whole number, 0 or more, after "{name}"')
    return number
