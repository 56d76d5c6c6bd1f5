"""What is in a queue."""

from __future__ import annotations

import re

import attrs

from kvd.client.errors import ClientError

_ENTRY = re.compile(r"([0-9]{1,18}) ([0-9]{1,18}) (\S+) (.*)", re.DOTALL)


class Full(ClientError):
    """
    As many items as may be are in the queue; nothing was put.

    .. versionadded:: 0.1
    """


class Overtaken(ClientError):
    """
    The claim was lost, and somebody else has claimed the item since.

    .. versionadded:: 0.1
    """


@attrs.frozen
class Item:
    """
    One item of a queue.

    :ivar name: of its key; names sort in the order in which items were put.
    :ivar attempts: how often it was claimed.

    .. versionadded:: 0.1
    """

    name: str
    text: str
    attempts: int


@attrs.frozen
class Entry:
    """
    What an item's key says: ``attempts token mark text``.

    :ivar token: of the latest claim; 0: there was none.
    :ivar mark: nobody else makes the same, so whoever put it can find it.
    """

    attempts: int
    token: int
    mark: str
    text: str

    @classmethod
    def read(cls, value: str) -> Entry:
        """What somebody put there by other means is all text."""
        found = _ENTRY.fullmatch(value)
        if found is None:
            return cls(0, 0, "-", value)
        attempts, token, mark, text = found.groups()
        return cls(int(attempts), int(token), mark, text)

    @property
    def value(self) -> str:
        return f"{self.attempts} {self.token} {self.mark} {self.text}"

    def claimed(self, token: int, *, counts: bool) -> Entry:
        """:param counts: whether that is an attempt."""
        return attrs.evolve(self, attempts=self.attempts + counts, token=token)

    def item(self, name: str) -> Item:
        return Item(name, self.text, self.attempts)
