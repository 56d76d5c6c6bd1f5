"""What can go wrong while founders look for each other."""

from __future__ import annotations

from typing import TypeAlias

from kvd.errors import KvdError

Founders: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""Name and peer URLs of each, as ``initial-cluster`` has them."""


class DiscoveryFailed(KvdError):
    """The member cannot begin in this way, and asking again would not help."""


class AlreadyRegistered(DiscoveryFailed):
    """There is an entry for this id."""

    def __init__(self) -> None:
        super().__init__("discovery: found duplicate id")


class DuplicateName(DiscoveryFailed):
    """Two founders call themselves the same."""

    def __init__(self) -> None:
        super().__init__("discovery: found duplicate name")


class ClusterIsFull(DiscoveryFailed):
    """
    Others took all places.

    :ivar founders: who they are, as far as what they registered can be read.
    """

    def __init__(self, founders: Founders) -> None:
        super().__init__("discovery: cluster is full")
        self.founders = founders


class Unreachable(KvdError):
    """The service gave no answer that is one; it may give one later."""


class Late(Unreachable):
    """It gave no answer in the time that it had."""


class LookupFailed(KvdError):
    """The DNS has no such records, or did not say."""
