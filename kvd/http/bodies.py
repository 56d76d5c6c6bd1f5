"""A chunked body, piece by piece, with a limit; Go's wording for what is wrong."""

from __future__ import annotations

import re

from kvd import golang

_LINE_MAX = 4096  # a chunk's size and extensions
_TRAILER_MAX = 64 << 10  # all trailers
_HEX = re.compile(rb"[0-9a-fA-F]+")
TOO_LARGE = "http: POST too large"


class ChunkedBody:
    """
    Takes bytes as they come.

    :ivar data: the content so far.
    :ivar complete: the end of the body was seen.
    :ivar problem: why it cannot be read on, empty while it can.

    States: the size line, the data and its line end, the trailers::

        size -> data -> line end -> size ... size 0 -> trailers -> complete
    """

    __slots__ = ("_left", "_pending", "_trailer_bytes", "complete", "data", "problem")

    _SIZE = -1
    _TRAILERS = -2

    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = False
        self.problem = ""
        self._left = self._SIZE  # of this chunk with its line end, or a state
        self._pending = bytearray()
        self._trailer_bytes = 0

    def feed(self, data: bytes, *, limit: int) -> bytes:
        """
        Take what belongs to the body; what is left belongs to the next request.

        :param limit: bytes of content; more is :data:`TOO_LARGE`.
        """
        pending = self._pending
        pending += data
        while pending and not self.complete and not self.problem:
            if self._left >= 0:
                if not self._take_data():
                    break
            elif not self._take_line():
                break
            if len(self.data) > limit:
                self.problem = TOO_LARGE
        if not self.complete:
            return b""
        rest = bytes(pending)
        pending.clear()
        return rest

    def _take_data(self) -> bool:
        pending = self._pending
        content = min(self._left - 2, len(pending))
        if content > 0:
            self.data += pending[:content]
            del pending[:content]
            self._left -= content
            return True
        if len(pending) < 2 and b"\r\n".startswith(pending):
            return False
        if pending[:2] != b"\r\n":
            self.problem = "malformed chunked encoding"
            return False
        del pending[:2]
        self._left = self._SIZE
        return True

    def _take_line(self) -> bool:
        pending = self._pending
        end = pending.find(b"\n")
        limit = _LINE_MAX if self._left == self._SIZE else _TRAILER_MAX
        if (end if end >= 0 else len(pending)) > limit - self._trailer_bytes:
            self.problem = "header line too long"
            return False
        if end < 0:
            return False
        line = bytes(pending[:end]).removesuffix(b"\r")
        del pending[: end + 1]
        if self._left == self._SIZE:
            self._begin_chunk(line)
        elif line:
            self._trailer_bytes += end + 1
            if b":" not in line:
                self.problem = (
                    f"malformed MIME header: missing colon: {golang.quote(line)}"
                )
        else:
            self.complete = True
        return True

    def _begin_chunk(self, line: bytes) -> None:
        # Go trims blanks at the end of the line, then cuts off the extensions.
        size = line.rstrip(b" \t\n\r").partition(b";")[0]
        if size and not _HEX.fullmatch(size):
            self.problem = "invalid byte in chunk length"
        elif len(size) > 16:
            self.problem = "http chunk length too large"
        else:
            number = int(size or b"0", 16)
            self._left = number + 2 if number else self._TRAILERS
