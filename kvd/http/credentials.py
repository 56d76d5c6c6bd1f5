"""``Authorization`` fields as Go's ``Request.BasicAuth`` reads them."""

from __future__ import annotations

import re
from base64 import b64decode

import attrs

_SCHEME = b"basic "
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


@attrs.frozen
class Credentials:
    """
    :ivar user: with surrogateescape.
    :ivar password: in no ``repr``.
    """

    user: str
    password: bytes = attrs.field(repr=False)


def read_credentials(value: bytes) -> Credentials | None:
    """None for another scheme, broken base64, and no colon."""
    encoded = value[len(_SCHEME) :]
    if value[: len(_SCHEME)].lower() != _SCHEME or not _BASE64.fullmatch(encoded):
        return None
    user, colon, password = b64decode(encoded).partition(b":")
    if not colon:
        return None
    return Credentials(user.decode("utf-8", "surrogateescape"), password)
