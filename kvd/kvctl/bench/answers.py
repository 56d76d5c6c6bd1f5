"""Answers out of the bytes of a connection: no more of HTTP than servers of keys use."""

from __future__ import annotations

from typing import Final

HEAD_BYTES_MAX: Final = 64 << 10
BODY_BYTES_MAX: Final = 64 << 20
_END = b"\r\n\r\n"


class Garbled(Exception):
    """What came is no answer that can be read."""


class AnswerReader:
    """
    Finds the end of each answer; of what is in it, only the status is kept.

    One answer at a time, since one request is on its way at a time.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._left: int | None = None  # bytes of the body, or of the chunk with its end
        self._chunked = False
        self._last = False
        self._status = 0
        self._body_bytes = 0

    def take(self, data: bytes) -> int | None:
        """
        More bytes; the status of the answer that is complete with them.

        :raises Garbled:
        """
        self._data += data
        if self._status == 0 and not self._read_head():
            return None
        while self._left is not None or self._read_size():
            if self._left is None or len(self._data) < self._left:
                return None
            del self._data[: self._left]
            self._left = None
            if self._last or not self._chunked:
                return self._finish()
        return None

    def _finish(self) -> int:
        status = self._status
        self._status = self._body_bytes = 0
        self._chunked = self._last = False
        if self._data:
            raise Garbled("bytes after an answer that nobody asked for")
        return status

    def _read_head(self) -> bool:
        end = self._data.find(_END)
        if end < 0:
            if len(self._data) > HEAD_BYTES_MAX:
                raise Garbled(f"a head of more than {HEAD_BYTES_MAX} bytes")
            return False
        head = bytes(self._data[:end])
        del self._data[: end + len(_END)]
        words = head.split(b" ", 2)
        if not head.startswith(b"HTTP/1.") or len(words) < 2 or not words[1].isdigit():
            raise Garbled("no HTTP/1 answer")
        self._status = int(words[1])
        lines = head.lower().split(b"\r\n")
        self._chunked = b"transfer-encoding: chunked" in lines
        if not self._chunked:
            self._left = self._bounded(_length(lines), base=10)
        return True

    def _read_size(self) -> bool:
        """The size of the next chunk, once it is there."""
        end = self._data.find(b"\r\n")
        if end < 0:
            return False
        text = bytes(self._data[:end]).partition(b";")[0]
        del self._data[: end + 2]
        self._left = self._bounded(text, base=16) + 2
        self._last = self._left == 2
        return True

    def _bounded(self, text: bytes, *, base: int) -> int:
        try:
            number = int(text, base)
        except ValueError:
            raise Garbled("a length that is no number") from None
        self._body_bytes += number
        if not 0 <= self._body_bytes <= BODY_BYTES_MAX:
            raise Garbled(f"a body of more than {BODY_BYTES_MAX} bytes")
        return number


def _length(lines: list[bytes]) -> bytes:
    for line in lines:
        if line.startswith(b"content-length:"):
            return line.partition(b":")[2].strip()
    raise Garbled("an answer without a length")
