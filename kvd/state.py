"""The values that state machines hand to the applier; under every machine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeAlias

import attrs

Restoring: TypeAlias = Generator[None, None, Callable[[], None]]
"""
A restore on its way: each step costs a bounded slice of time, about 1 ms.

Nothing of the state changes meanwhile; what it returns at its end puts the new state in
the place of the old one, in one short step.
"""


def at_once(restoring: Restoring) -> None:
    """All of a restore, for whoever has nothing else to do meanwhile."""
    while True:
        try:
            next(restoring)
        except StopIteration as done:
            done.value()
            return


class InternalWrite(NamedTuple):
    """
    A write of the cluster's own bookkeeping.

    It costs the v2 store one index and one place in its history, as in etcd
    (V2-SPEC 7): ``key`` is in etcd's own name space, for example ``/0/version``. A
    get costs nothing but is counted.

    :ivar ok: False: etcd's store refuses it, which costs no index but is counted.
    """

    action: str  # create, set, update, delete; get
    key: str
    value: str
    ok: bool = True


@attrs.frozen
class Section:
    """
    One machine's part of a snapshot.

    :ivar version: of the machine's own encoding, 1..65535.
    :ivar chunks: made lazily, each call costs a bounded slice of time (about 1 ms, at
        most 64 KiB), and shows the state at the moment when the section was made, no
        matter what is applied between two calls.
    """

    name: str
    version: int
    chunks: Iterator[bytes]
