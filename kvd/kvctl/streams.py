"""Standard input, output and error; a test gives others."""

from __future__ import annotations

import codecs
import io
import sys
from typing import BinaryIO, Final, NamedTuple, TextIO

ERRORS: Final = "kvctl"
"""
How text becomes bytes: a byte that was no UTF-8 on its way in is itself again, and
what JSON calls a character but is none becomes U+FFFD.
"""


def _encoded(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    out = b"".join(
        bytes((ord(char) - 0xDC00,))
        if 0xDC80 <= ord(char) < 0xDD00
        else b"\xef\xbf\xbd"
        for char in error.object[error.start : error.end]
    )
    return out, error.end


codecs.register_error(ERRORS, _encoded)


class Streams(NamedTuple):
    """
    :ivar stdin: bytes.
    :ivar out: text, in which surrogates stand for bytes that are no UTF-8.
    :ivar err: the same.
    """

    stdin: BinaryIO
    out: TextIO
    err: TextIO


def of_process() -> Streams:
    """The real ones; one that is closed has nothing in it, and takes everything."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=ERRORS, newline="\n")
    return Streams(
        # What is not open is None, which typeshed does not know.
        getattr(sys.stdin, "buffer", None) or io.BytesIO(),
        sys.stdout or _Nowhere(),
        sys.stderr or _Nowhere(),
    )


class _Nowhere(io.StringIO):
    """Keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)
