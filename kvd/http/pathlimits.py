"""
How long and how deep a key may be.

etcd has no such limits, and a key of a hundred thousand names stops it for minutes:
each name of it is written out with all names before it when the tree is read. They are
looked at here, at the edge, and never when an entry of the log is applied.
"""

from __future__ import annotations

from typing import Final

from kvd.errors import RequestError

_INVALID_FIELD: Final = 209
_CHARACTER_BYTES_MAX: Final = 4


class PathLimits:
    """
    :param depth_max: names of a path.
    :param bytes_max: of a path, its slashes included.
    """

    __slots__ = ("_bytes_max", "_depth_max", "usual")

    def __init__(self, *, depth_max: int, bytes_max: int) -> None:
        self._depth_max = depth_max
        self._bytes_max = bytes_max
        # Characters that are within both limits, whatever they are.
        self.usual = min(depth_max, bytes_max // _CHARACTER_BYTES_MAX)

    def check(self, path: str) -> None:
        """
        :param path: with surrogateescape.
        :raises RequestError: 209; it is too long or too deep.
        """
        if path.count("/") > self._depth_max:
            raise RequestError(
                _INVALID_FIELD,
                f"path has more names than path-depth-max={self._depth_max}",
            )
        if len(path.encode("utf-8", "surrogateescape")) > self._bytes_max:
            raise RequestError(
                _INVALID_FIELD,
                f"path is longer than path-bytes-max={self._bytes_max}",
            )
