"""What a state machine must be, and what it may ask of the applier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from kvd.state import InternalWrite, Restoring, Section

__all__ = ["Bookkeeper", "InternalWrite", "Restoring", "Section", "StateMachine"]


class StateMachine(Protocol):
    """
    The meaning of one kind of request; deterministic and pure.

    It *returns* a refusal; an exception out of ``apply`` is our bug and stops the
    member.

    :ivar required: whether every snapshot has a section of it. A machine that came
        later is restored with version 0 from one that has none.
    """

    name: str
    required: bool

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

    def restoring(self, *, version: int, chunks: Iterable[bytes]) -> Restoring:
        """
        Read what is to replace all state. Chunk borders are arbitrary, not those of
        ``snapshot``.

        :raises StorageError: unknown version or undecodable content.
        """
        ...


@runtime_checkable
class Bookkeeper(Protocol):
    """A machine whose bookkeeping etcd keeps in its v2 store."""

    def take_writes(self) -> Sequence[InternalWrite]:
        """What must be accounted for since the last call (V2-SPEC 7)."""
        ...
