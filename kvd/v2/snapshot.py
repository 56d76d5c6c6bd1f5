"""
A v2 store as bytes, made lazily from an old root, and read back.

Numbers are big-endian; text is the bytes it stands for. After the head come the
history's places, then the tree in depth-first order (``docs/design/snapshots.rst``)::

    head      etcd_index:8 counters:8*13 history_places:4
    place     0                                  the cluster's own bookkeeping
              1 action:1 flags:1 time:8 node [prev]
    node      flags:1 name_bytes:4 body_bytes:4 name body
    body      created:8 modified:8 expiration:8, then a file's value (none for the
              node of a removal) or, in the tree, a directory's number of children:4
    tree      the root's node, its children, each directory's followed by its own
    end       255
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from itertools import islice

import attrs

from kvd.errors import StorageError
from kvd.state import Restoring
from kvd.v2.events import Event, NodeView
from kvd.v2.expiries import Expiries
from kvd.v2.stats import REPLICATED
from kvd.v2.store import Store
from kvd.v2.text import text_bytes
from kvd.v2.tree import FILE_BYTES_MIN, Directory, Node, file_expiration

VERSION = 1
_HEAD = struct.Struct(f">{1 + len(REPLICATED)}QI")
_PLACE = struct.Struct(">BBq")
_NODE = struct.Struct(">BII")
_STAMPS = struct.Struct(">QQq")
_DIRECTORY = struct.Struct(">QQqI")
_ACTIONS = (
    "set",
    "create",
    "update",
    "compareAndSwap",
    "delete",
    "compareAndDelete",
    "expire",
)
_REFRESH, _PREV = 1, 2  # of a place
_DIR, _EXPIRES, _VALUE = 1, 2, 4  # of a node
_END = b"\xff"
# One slice: so many nodes, so many bytes.
_NODES_MAX = 256
_CHUNK_BYTES = 32 << 10


@attrs.frozen
class Captured:
    """What a snapshot will show; nothing in it changes any more."""

    index: int
    counters: tuple[int, ...]
    places: tuple[Event | None, ...]
    root: Directory


def capture(store: Store) -> Captured:
    """Take the present state, in a time that does not depend on its size."""
    captured = Captured(
        store.index, store.stats.replicated(), store.history.all(), store.root
    )
    store.epoch += 1
    return captured


def encode(captured: Captured) -> Iterator[bytes]:
    """Chunks of at most 32 KiB, each made in a bounded slice of time."""
    # The captured root must not be held longer than the walk needs it: what it passes
    # is given back bit by bit, not all at the end.
    root = captured.root
    parts = [_HEAD.pack(captured.index, *captured.counters, len(captured.places))]
    places = iter(captured.places)
    del captured
    while some := list(islice(places, _NODES_MAX // 2)):
        for place in some:
            parts.extend(_place(place))
        yield from _cut(parts)
    parts.append(_node("", root))
    walk = _Walk(root)
    del root
    while walk.more(parts):
        yield from _cut(parts)
    parts.append(_END)
    yield from _cut(parts)


class _Walk:
    """Depth first through a tree, letting go of each directory once it is passed."""

    def __init__(self, root: Directory) -> None:
        # For each directory on the way down: dicts not yet opened, children not seen.
        self._open: list[tuple[list[dict[str, Node]], list[tuple[str, Node]]]] = [
            (list(root.parts()), [])
        ]

    def more(self, parts: list[bytes]) -> bool:
        """Append a bounded number of nodes; False once there are none left."""
        budget = _NODES_MAX
        room = _CHUNK_BYTES
        open_ = self._open
        while open_:
            dicts, children = open_[-1]
            while children:
                if budget <= 0 or room <= 0:
                    return True
                name, node = children.pop()
                data = _node(name, node)
                parts.append(data)
                budget -= 1
                room -= len(data)
                if isinstance(node, Directory):
                    open_.append((list(node.parts()), []))
                    break
            else:
                budget -= 1
                if dicts:
                    children.extend(dicts.pop().items())
                else:
                    open_.pop()
        return False


def _node(name: str, node: Node) -> bytes:
    name_bytes = text_bytes(name)
    if isinstance(node, Directory):
        expiration = node.expiration_ns
        flags = _DIR
        body = _DIRECTORY.pack(node.created, node.modified, expiration or 0, len(node))
    else:
        expiration = file_expiration(node)
        flags = _VALUE
        body = node
    if expiration is not None:
        flags |= _EXPIRES
    return b"".join((_NODE.pack(flags, len(name_bytes), len(body)), name_bytes, body))


def _place(event: Event | None) -> Iterator[bytes]:
    if event is None:
        yield b"\0"
        return
    flags = (_REFRESH if event.refresh else 0) | (0 if event.prev is None else _PREV)
    yield b"\1"
    yield _PLACE.pack(_ACTIONS.index(event.action), flags, event.time_ns)
    yield _view(event.node)
    if event.prev is not None:
        yield _view(event.prev)


def _view(view: NodeView) -> bytes:
    key = text_bytes(view.key)
    body = _STAMPS.pack(
        view.created_index, view.modified_index, view.expiration_ns or 0
    )
    flags = _DIR if view.dir else 0
    if view.value is not None:
        flags |= _VALUE
        body += text_bytes(view.value)
    return b"".join((_NODE.pack(flags, len(key), len(body)), key, body))


def _cut(parts: list[bytes]) -> Iterator[bytes]:
    """Hand out what was gathered, and begin anew."""
    data = b"".join(parts)
    parts.clear()
    for at in range(0, len(data), _CHUNK_BYTES):
        yield data[at : at + _CHUNK_BYTES]


def restoring(store: Store, chunks: Iterable[bytes]) -> Restoring:
    """
    Read what is to replace a store, all but its watchers and its count of gets.

    :raises StorageError: not what :func:`encode` writes.
    """
    source = _Source(chunks)
    events: list[Event | None] = []
    try:
        index, *counters, places = _HEAD.unpack(source.take(_HEAD.size))
        for at in range(index - places + 1, index + 1):
            events.append(_read_place(source, at))
            if not at % _NODES_MAX:
                yield
        root, expiries = yield from _read_tree(source, store.epoch + 1)
    except struct.error:
        raise StorageError("v2 snapshot has a node of impossible size") from None
    if source.take(1) != _END or source.rest():
        raise StorageError("v2 snapshot does not end where it should")
    read = Captured(index, tuple(counters), tuple(events), root)
    return partial(_replace, store, read, expiries)


def _replace(store: Store, read: Captured, expiries: Expiries) -> None:
    """What was there is freed bit by bit, like all that is removed in one piece."""
    store.graveyard.bury(store.root)
    store.graveyard.bury(store.expiries.emptied())
    store.index = read.index
    store.epoch = max(store.epoch, read.root.epoch)
    store.root = read.root
    store.expiries = expiries
    store.stats.replace_replicated(read.counters)
    store.history.replace(read.places)


class _Source:
    """Bytes out of chunks with arbitrary borders."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.data = b""
        self.at = 0

    def fill(self, size: int) -> None:
        """Have ``size`` bytes at ``at``; joins what is left with what is needed."""
        parts = [self.data[self.at :]]
        have = len(parts[0])
        while have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise StorageError("v2 snapshot ends too early")
            parts.append(chunk)
            have += len(chunk)
        self.data = b"".join(parts)
        self.at = 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            self.fill(size)
        at = self.at
        self.at = at + size
        return self.data[at : at + size]

    def node(self) -> tuple[int, str, bytes]:
        """Flags, name, body."""
        at = self.at + _NODE.size
        if at > len(self.data):
            self.fill(_NODE.size)
            at = _NODE.size
        flags, name_size, body_size = _NODE.unpack_from(self.data, self.at)
        body_at = at + name_size
        end = body_at + body_size
        if end > len(self.data):
            self.fill(_NODE.size + name_size + body_size)
            at = _NODE.size
            body_at = at + name_size
            end = body_at + body_size
        self.at = end
        data = self.data
        name = data[at:body_at].decode("utf-8", "surrogateescape")
        return flags, name, data[body_at:end]

    def rest(self) -> bool:
        """Whether there is anything more."""
        return self.at < len(self.data) or any(self._chunks)


def _read_tree(
    source: _Source, epoch: int
) -> Generator[None, None, tuple[Directory, Expiries]]:
    expiries = Expiries()
    budget = _NODES_MAX
    flags, name, body = source.node()
    if name or not flags & _DIR:
        raise StorageError("v2 snapshot does not begin with the root")
    root = directory = _directory(body, epoch)
    # Directories on the way down: with the children left to read, and all they have.
    above: list[tuple[Directory, str, int, int]] = []
    path = ""
    left = count = _DIRECTORY.unpack(body)[3]
    while True:
        while not left:
            if len(directory) != count:
                raise StorageError("v2 snapshot repeats a node")
            if not above:
                return root, expiries
            directory, path, left, count = above.pop()
        left -= 1
        budget -= 1
        if budget < 0:
            budget = _NODES_MAX
            yield
        flags, name, body = source.node()
        if not name or "/" in name or len(body) < FILE_BYTES_MIN:
            raise StorageError("v2 snapshot has an impossible node")
        if flags & _EXPIRES:
            expiries.add(_STAMPS.unpack_from(body)[2], f"{path}/{name}")
        if flags & _DIR:
            below = _directory(body, epoch)
            directory.put(name, below)
            above.append((directory, path, left, count))
            directory, path = below, f"{path}/{name}"
            left = count = _DIRECTORY.unpack(body)[3]
        else:
            directory.put(name, body)


def _directory(body: bytes, epoch: int) -> Directory:
    created, modified, expiration, children = _DIRECTORY.unpack(body)
    directory = Directory(
        created=created,
        modified=modified,
        expiration_ns=expiration or None,
        epoch=epoch,
    )
    directory.expect(children)
    return directory


def _read_place(source: _Source, index: int) -> Event | None:
    if source.take(1) == b"\0":
        return None
    action, flags, time_ns = _PLACE.unpack(source.take(_PLACE.size))
    if action >= len(_ACTIONS):
        raise StorageError("v2 snapshot has an unknown action")
    return Event(
        _ACTIONS[action],
        _read_view(source),
        _read_view(source) if flags & _PREV else None,
        index,
        flags & _REFRESH != 0,
        time_ns,
    )


def _read_view(source: _Source) -> NodeView:
    flags, key, body = source.node()
    created, modified, expiration = _STAMPS.unpack_from(body)
    value = body[_STAMPS.size :].decode("utf-8", "surrogateescape")
    return NodeView(
        key,
        value if flags & _VALUE else None,
        flags & _DIR != 0,
        expiration or None,
        None,
        modified,
        created,
    )
