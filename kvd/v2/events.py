"""What a v2 store says: nodes as a client sees them, and events."""

from __future__ import annotations

from typing import NamedTuple


class NodeView(NamedTuple):
    """
    A node at one moment.

    Keys and values are ``str`` made with ``surrogateescape``, so that bytes which are
    not UTF-8 survive; the face shows each of them as U+FFFD.

    :ivar key: absolute; empty for the root, whose key is not shown.
    :ivar value: None for directories and for the node of a removal.
    :ivar expiration_ns: ns since the epoch (signed 64-bit, may lie in the past), or
        None for a permanent node.
    :ivar nodes: children, or None where they are not shown or there are none.
    :ivar modified_index: 0 where it is not shown (the root).
    """

    key: str
    value: str | None
    dir: bool
    expiration_ns: int | None
    nodes: tuple[NodeView, ...] | None
    modified_index: int
    created_index: int


class Event(NamedTuple):
    """
    A change, or the answer to a get.

    :ivar action: get, set, create, update, compareAndSwap, delete, compareAndDelete,
        expire.
    :ivar etcd_index: the store's index after it; for a get, at its time.
    :ivar refresh: watchers are not told (V2-SPEC 4.9).
    :ivar time_ns: the clock that the shown ``ttl`` of a change is computed with, also
        when it is replayed much later; 0 for a get, which takes the present.
    """

    action: str
    node: NodeView
    prev: NodeView | None
    etcd_index: int
    refresh: bool
    time_ns: int = 0
