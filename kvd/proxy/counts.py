"""What a proxy counts of its requests, by etcd's names for what can happen to them."""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeVar

from kvd.histogram import Histogram, doubling

_Key = TypeVar("_Key")

_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})
_OTHER: Final = "other"  # clients may invent any number of methods
_BOUNDS: Final = doubling(0.0005, 13)  # seconds, etcd's


class Dropped(Enum):
    """Why a request, or an attempt to send it, came to nothing."""

    NO_BODY = "failed_reading_body"
    NOBODY = "zero_endpoints"
    NOT_SENT = "failed_sending_request"
    NO_ANSWER = "failed_getting_response"


class Counts:
    """Since the start."""

    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.handled: dict[tuple[str, int], int] = {}
        self.dropped: dict[tuple[str, Dropped], int] = {}
        self.taken_seconds: dict[str, Histogram] = {}

    def came(self, method: str) -> None:
        """One more that is to be forwarded."""
        _count(self.requests, _label(method))

    def answered(self, method: str, status: int) -> None:
        """A member has answered."""
        _count(self.handled, (_label(method), status))

    def took(self, method: str, seconds: float) -> None:
        """Until a member had answered; watches are not asked."""
        method = _label(method)
        if method not in self.taken_seconds:
            self.taken_seconds[method] = Histogram(_BOUNDS)
        self.taken_seconds[method].observe(seconds)

    def drop(self, method: str, why: Dropped) -> None:
        """It came to nothing."""
        _count(self.dropped, (_label(method), why))


def _label(method: str) -> str:
    return method if method in _METHODS else _OTHER


def _count(counts: dict[_Key, int], key: _Key) -> None:
    counts[key] = counts.get(key, 0) + 1
