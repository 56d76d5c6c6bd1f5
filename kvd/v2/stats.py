"""The store's counters, with etcd's oddities (V2-SPEC 12)."""

from __future__ import annotations

# In etcd's order. Gets are counted where they are served and never leave the member;
# the rest is the same on every member and travels in snapshots.
LOCAL = ("gets_success", "gets_fail")
REPLICATED = (
    "sets_success",
    "sets_fail",
    "deletes_success",
    "deletes_fail",
    "updates_success",
    "updates_fail",
    "creates_success",
    "creates_fail",
    "compare_and_swaps_success",
    "compare_and_swaps_fail",
    "compare_and_deletes_success",
    "compare_and_deletes_fail",
    "expirations",
)
SHOWN = (*LOCAL, *REPLICATED, "watchers")


class StoreStats:
    """
    Plain counters; ``watchers`` is how many are registered now.

    :ivar recursive_gets: of all gets, failed ones too.
    :ivar watch_requests: also those that the history answers, or that are too old.
    :ivar creates_through_file: they are counted as failed sets, too.
    :ivar brought: what snapshots have added to each replicated counter; the rest was
        counted by this very process.
    """

    __slots__ = (
        *SHOWN,
        "brought",
        "creates_through_file",
        "recursive_gets",
        "watch_requests",
    )

    gets_success: int
    gets_fail: int
    sets_success: int
    sets_fail: int
    deletes_success: int
    deletes_fail: int
    updates_success: int
    updates_fail: int
    creates_success: int
    creates_fail: int
    compare_and_swaps_success: int
    compare_and_swaps_fail: int
    compare_and_deletes_success: int
    compare_and_deletes_fail: int
    expirations: int
    watchers: int

    def __init__(self) -> None:
        for name in SHOWN:
            setattr(self, name, 0)
        self.recursive_gets = 0
        self.watch_requests = 0
        self.creates_through_file = 0
        self.brought = dict.fromkeys(REPLICATED, 0)

    def count_get(self, *, ok: bool) -> None:
        """A get, also an internal one such as that of etcd's auth switch."""
        if ok:
            self.gets_success += 1
        else:
            self.gets_fail += 1

    def values(self) -> tuple[int, ...]:
        """All counters in etcd's order, ``watchers`` last."""
        return tuple(getattr(self, name) for name in SHOWN)

    def replicated(self) -> tuple[int, ...]:
        """The counters that are equal on every member."""
        return tuple(getattr(self, name) for name in REPLICATED)

    def replace_replicated(self, counters: tuple[int, ...]) -> None:
        for name, count in zip(REPLICATED, counters, strict=True):
            self.brought[name] += count - getattr(self, name)
            setattr(self, name, count)

    def counted_here(self, name: str) -> int:
        """How much of a replicated counter this process has counted itself."""
        count: int = getattr(self, name)
        return count - self.brought[name]
