"""From what a server says of a tree to records, in the order of the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kvd.kvctl.node import Node
from kvd.kvctl.transfer.records import REPLACEMENT, Record

Fetch = Callable[[str], Node | None]
"""A directory with its children, but not what is below them; None: it is not there."""


def of_tree(node: Node) -> Iterator[Record]:
    """
    All below a node that was read recursively and sorted, itself included.

    A directory is there if it would not come with what is in it: an empty one, and one
    that has a time to live. The root is none of them. What is overdue, and
    will be gone in a moment, is left out.
    """
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if _overdue(found):
            continue
        record = _record(found)
        if record is not None:
            yield record
        waiting.extend(reversed(found.nodes or ()))


def piecewise(node: Node, fetch: Fetch) -> Iterator[Record]:
    """
    The same, asking for each directory by itself.

    :param node: what is to be exported, as ``fetch`` would give it.
    """
    waiting: list[tuple[Node, bool]] = [(node, True)]
    while waiting:
        found, is_read = waiting.pop()
        if _overdue(found):
            continue
        if found.is_dir and not is_read:
            fetched = fetch(found.key)
            if fetched is None and REPLACEMENT in _well_formed(found.key):
                # Nobody can ask for it: what is in it is lost, and not all of it gone.
                yield Record(key=_well_formed(found.key), lossy=True)
            if fetched is None or _overdue(fetched):
                continue
            found = fetched
        record = _record(found)
        if record is not None:
            yield record
        waiting.extend((child, False) for child in reversed(found.nodes or ()))


def _record(node: Node) -> Record | None:
    key = _well_formed(node.key)
    ttl = node.ttl if node.expiration else None
    if node.is_dir:
        if key in {"", "/"} or (node.nodes and ttl is None):
            return None
        return Record(key=key, ttl=ttl, lossy=REPLACEMENT in key)
    value = _well_formed(node.value)
    lossy = REPLACEMENT in value or REPLACEMENT in key
    return Record(key=key, value=value.encode(), ttl=ttl, lossy=lossy)


def _overdue(node: Node) -> bool:
    """Its time to live is over; only the leader's next look removes it."""
    return bool(node.expiration) and node.ttl <= 0


def _well_formed(text: str) -> str:
    """Halves of characters, which JSON may hold, are none."""
    if text.isascii():
        return text
    return "".join(REPLACEMENT if "\ud800" <= c <= "\udfff" else c for c in text)
