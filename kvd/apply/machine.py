"""What a state machine must be, and what it may ask of the applier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import attrs


class InternalWrite(NamedTuple):
    """
    A write of the cluster's own bookkeeping.

    It costs the v2 store one index and one place in its history, as in etcd
    (V2-SPEC 7): ``key`` is in etcd's own name space, for example ``/0/version``.
    """

    action: str  # create, set, update, delete
    key: str
    value: str


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


class StateMachine(Protocol):
    """
    The meaning of one kind of request; deterministic and pure.

    It *returns* a refusal; an exception out of ``apply`` is our bug and stops the
    member.
    """

    name: str

    def apply(self, *, index: int, time_ns: int, body: bytes) -> object:
        """
        :param time_ns: the proposer's clock when it was proposed, ns since the epoch.
        """
        ...

    def internal_writes(self, writes: Sequence[InternalWrite]) -> None:
        """Account for another machine's bookkeeping; most machines ignore it."""
        ...

    def publish(self) -> None:
        """Tell watchers what has happened since the last call."""
        ...

    def due(self, *, time_ns: int) -> Sequence[bytes]:
        """Bodies that the leader should propose to this machine now (expiry)."""
        ...

    def snapshot(self) -> Section: ...

    def restore(self, *, version: int, chunks: Iterable[bytes]) -> None:
        """
        Replace all state. Chunk borders are arbitrary, not those of ``snapshot``.

        :raises StorageError: unknown version or undecodable content.
        """
        ...
