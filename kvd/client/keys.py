"""Requests about keys, as they go over the wire."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import quote_from_bytes, urlencode

from kvd.client.wire import FORM, Request

Text: TypeAlias = str | bytes
"""Keys and values: texts are UTF-8; bytes are what they are."""

Field: TypeAlias = str | bytes | int | bool | None
"""Of a form; None is left out."""


def target_of(key: Text) -> str:
    """
    A key's path, every byte of it escaped that could mean anything else.

    :raises ValueError: ``.`` or ``..``, which a server takes for a place and not a name.
    """
    parts = [each for each in _bytes(key).split(b"/") if each]
    if b"." in parts or b".." in parts:
        raise ValueError("no part of a key can be . or ..")
    return "/v2/keys/" + "/".join(quote_from_bytes(each, safe="") for each in parts)


def reading(key: Text, **fields: Field) -> Request:
    """A GET."""
    return Request("GET", _asked(key, fields))


def watching(key: Text, *, recursive: bool, index: int) -> Request:
    """A GET that waits for the first event from that index on."""
    fields: dict[str, Field] = {"wait": True, "waitIndex": index}
    if recursive:
        fields["recursive"] = True
    return Request("GET", _asked(key, fields), patient=True)


def removing(key: Text, **fields: Field) -> Request:
    """A DELETE."""
    return Request("DELETE", _asked(key, fields))


def writing(key: Text, *, method: str = "PUT", **fields: Field) -> Request:
    """A PUT, or a POST; everything is in the body, which may be longer than a line."""
    return Request(method, target_of(key), _form(fields).encode("ascii"), FORM)


def concerns(watched: Text, key: str) -> bool:
    """
    Whether a live watch of the one would have seen an event at the other key.

    From its history a member also tells of hidden keys, and of directories whose names
    the watched one only begins with.
    """
    above, path = _parts(watched), _parts(key)
    if any("\ufffd" in each for each in (*path, *above)):
        return True  # an answer does not show which bytes they are
    if above[: len(path)] == path:
        return True
    below = path[len(above) :]
    return path[: len(above)] == above and not any(
        each.startswith("_") for each in below
    )


def _parts(key: Text) -> tuple[str, ...]:
    text = key if isinstance(key, str) else key.decode(errors="replace")
    return tuple(each for each in text.split("/") if each)


def _asked(key: Text, fields: dict[str, Field]) -> str:
    form = _form(fields)
    return f"{target_of(key)}?{form}" if form else target_of(key)


def _form(fields: dict[str, Field]) -> str:
    return urlencode(
        [(name, _shown(value)) for name, value in fields.items() if value is not None]
    )


def _shown(value: Field) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str | bytes):
        return _bytes(value)
    return str(value).encode("ascii")


def _bytes(text: Text) -> bytes:
    return text.encode() if isinstance(text, str) else text
