"""What was removed in one piece is given back to the memory in small ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from kvd.v2.ordered import OrderedSet
from kvd.v2.tree import Directory, Node

# What is buried, and what comes out of it; members of the two before the last are atoms.
Buried: TypeAlias = (
    Directory
    | dict[str, Node]
    | OrderedSet[Any]
    | list[Any]
    | Iterator[OrderedSet[Any]]
)

# For each step a little more than one step can make, so that it never piles up.
BURIALS_A_STEP = 64


class Graveyard:
    """
    Removed directories, whose memory would take long to free at once.

    A million keys take a tenth of a second to free; done bit by bit with the requests
    that follow, nobody notices.
    """

    def __init__(self) -> None:
        self._waiting: list[Buried] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def bury(
        self, thing: Directory | OrderedSet[Any] | Iterator[OrderedSet[Any]]
    ) -> None:
        """Something that nobody looks at again; or many, one after the other."""
        self._waiting.append(thing)

    def dig(self, count: int = BURIALS_A_STEP) -> None:
        """Let go of about so many members, at least of one container."""
        waiting = self._waiting
        while waiting and count > 0:
            thing = waiting.pop()
            count -= 1
            if isinstance(thing, Directory):
                waiting.extend(thing.parts())
            elif isinstance(thing, dict):
                waiting.extend(
                    node for node in thing.values() if isinstance(node, Directory)
                )
                count -= len(thing)
            elif isinstance(thing, OrderedSet):
                waiting.extend(thing.runs())
            elif isinstance(thing, Iterator):
                part = next(thing, None)
                if part is not None:
                    waiting += (thing, part)
            else:
                count -= len(thing)
