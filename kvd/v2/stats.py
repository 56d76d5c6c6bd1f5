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


class StoreStats:
    """Plain counters; ``watchers`` is how many are registered now."""

    __slots__ = (*LOCAL, *REPLICATED, "watchers")

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
        for name in self.__slots__:
            setattr(self, name, 0)

    def count_get(self, *, ok: bool) -> None:
        """A get, also an internal one such as that of etcd's auth switch."""
        if ok:
            self.gets_success += 1
        else:
            self.gets_fail += 1

    def values(self) -> tuple[int, ...]:
        """All counters in etcd's order, ``watchers`` last."""
        return tuple(getattr(self, name) for name in self.__slots__)

    def replicated(self) -> tuple[int, ...]:
        """The counters that are equal on every member."""
        return tuple(getattr(self, name) for name in REPLICATED)

    def replace_replicated(self, counters: tuple[int, ...]) -> None:
        for name, count in zip(REPLICATED, counters, strict=True):
            setattr(self, name, count)
