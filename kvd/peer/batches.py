"""
Messages as a stream of bytes: each is four bytes of length, big endian, and itself.

::

    | length | message | length | message | ...     cut anywhere into pieces
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from kvd.errors import PeerError

_LENGTH = struct.Struct(">I")
FRAME_BYTES = _LENGTH.size


def frame(message: bytes) -> bytes:
    """One encoded message as it goes into the stream."""
    return _LENGTH.pack(len(message)) + message


class Reassembly:
    """
    Makes messages out of pieces again; holds at most one incomplete message.

    :param message_bytes_max: a longer one is refused when its length arrives.
    """

    def __init__(self, message_bytes_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._held = bytearray()
        self._wanted = FRAME_BYTES

    def add(self, piece: bytes) -> Iterator[bytes]:
        """
        Yield each message that is complete now.

        :raises PeerError: a length beyond the bound, or of nothing.
        """
        if self._held:
            self._held += piece
            if len(self._held) < self._wanted:
                return
            piece = bytes(self._held)
            self._held.clear()
        position, end = 0, len(piece)
        while True:
            start = position + FRAME_BYTES
            if start > end:
                self._wanted = FRAME_BYTES
                break
            length: int = _LENGTH.unpack_from(piece, position)[0]
            if not 0 < length <= self._message_bytes_max:
                raise PeerError(f"a message of {length} bytes")
            if start + length > end:
                self._wanted = FRAME_BYTES + length
                break
            position = start + length
            yield piece[start:position]
        self._held += piece[position:]
