"""What a bench sends: so many requests, one after the other, whoever sends them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from random import Random
from typing import Final
from urllib.parse import quote, urlencode

import attrs

_READS_OF_MIXED: Final = 0.8


class Kind(Enum):
    """What is asked."""

    PUT = "put"
    GET = "get"
    QUORUM_GET = "quorum-get"
    MIXED = "mixed"


@attrs.frozen
class Ask:
    """One request, without what is the same for all of a connection."""

    method: str
    target: str
    form: bytes = b""


class Plan:
    """
    Makes requests until there are enough.

    :param prefix: the key below which all others are; nobody else has any there.
    :param keys: how many different ones.
    :param total: how many requests; None: until the time is up.
    :param random: which key comes next, and whether it is read or written.
    :param over: whether the time is up.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        prefix: str,
        keys: int,
        size: int,
        total: int | None,
        random: Random,
        over: Callable[[], bool],
    ) -> None:
        self._kind = kind
        self._targets = [f"/v2/keys{quote(prefix)}/{number}" for number in range(keys)]
        self._form = urlencode({"value": "v" * size}).encode()
        self._left = total
        self._random = random
        self._over = over
        self._filled = 0

    def begin_filling(self) -> None:
        """From the first key on, also for another time."""
        self._filled = 0

    def fill(self) -> Ask | None:
        """The next of the writes that make every key, before anything is measured."""
        if self._filled == len(self._targets):
            return None
        target = self._targets[self._filled]
        self._filled += 1
        return Ask("PUT", target, self._form)

    def next(self) -> Ask | None:
        """The next request; None: no more."""
        if self._over() or self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        target = self._random.choice(self._targets)
        if self._kind is Kind.PUT:
            return Ask("PUT", target, self._form)
        if self._kind is Kind.GET:
            return Ask("GET", target)
        if self._kind is Kind.QUORUM_GET:
            return Ask("GET", f"{target}?quorum=true")
        if self._random.random() < _READS_OF_MIXED:
            return Ask("GET", target)
        return Ask("PUT", target, self._form)
