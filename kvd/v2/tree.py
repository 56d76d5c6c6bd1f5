"""
The nodes of a store, made so that a snapshot is a reference to an old root.

A file is one ``bytes`` object, the same bytes that a snapshot has: Python's garbage
collector never sees it, nor a dict that holds nothing but files. A directory belongs to an *epoch*; taking a snapshot begins a new one, and whatever is of
an older epoch is copied before it is changed, from the root down to the change::

    snapshot ---> root (epoch 1) --- a (1) --- 1,000,000 files in buckets (1)
                                       .
    live -------> root (epoch 2) --- a (2) --- the same buckets, but for the one
                                               that was written since (2)

A large directory keeps its children in buckets of at most ``BUCKET_MAX``, found by the
low bits of the name's CRC-32 (extendible hashing: a full bucket is split in eight, the
table of buckets grows eightfold when that bucket was known by all its bits). So no
copy, split or growth of a dict ever touches more than one bucket, and the order of
children does not depend on Python's hash seed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias
from zlib import crc32

from kvd.errors import InvariantViolated
from kvd.v2.text import text_bytes

# created:8 modified:8 expiration:8 value, big-endian; expiration 0 is "permanent"
File: TypeAlias = bytes

BUCKET_MAX = 1024
# Names may be chosen to share bits; beyond this many bits their bucket just grows.
DEPTH_MAX = 15
_SPLIT_BITS = 3
_SHRINK_BELOW = BUCKET_MAX // 4

_FILE = struct.Struct(">QQq")
FILE_BYTES_MIN = _FILE.size


def make_file(
    value: str, *, created: int, modified: int, expiration_ns: int | None
) -> File:
    return _FILE.pack(created, modified, expiration_ns or 0) + text_bytes(value)


def file_parts(node: File) -> tuple[str, int, int, int | None]:
    """Value, created index, modified index, expiration."""
    created, modified, expiration = _FILE.unpack_from(node)
    value = node[FILE_BYTES_MIN:].decode("utf-8", "surrogateescape")
    return value, created, modified, expiration or None


def file_expiration(node: File) -> int | None:
    return _FILE.unpack_from(node)[2] or None


class Directory:
    """
    A directory: its own indexes, and its children in one dict or in buckets.

    Only a directory of the present epoch may be changed; callers see to that by
    putting a :meth:`clone` in its place first.
    """

    __slots__ = ("created", "epoch", "expiration_ns", "items", "modified", "table")

    def __init__(
        self,
        *,
        created: int,
        modified: int,
        expiration_ns: int | None,
        epoch: int,
    ) -> None:
        self.created = created
        self.modified = modified
        self.expiration_ns = expiration_ns
        self.epoch = epoch
        self.items: dict[str, File | Directory] | None = {}
        self.table: _Table | None = None

    def expect(self, children: int) -> None:
        """Make room at once in a new directory for so many."""
        if children > BUCKET_MAX:
            depth = _SPLIT_BITS
            while children >> depth > BUCKET_MAX // 2 and depth < DEPTH_MAX:
                depth += _SPLIT_BITS
            self.items = None
            self.table = _Table(
                [_Bucket({}, depth, self.epoch) for _ in range(1 << depth)], 0
            )

    def clone(self, epoch: int) -> Directory:
        """The same directory for a new epoch; the children themselves are shared."""
        copy = Directory(
            created=self.created,
            modified=self.modified,
            expiration_ns=self.expiration_ns,
            epoch=epoch,
        )
        if self.table is not None:
            copy.items = None
            copy.table = self.table.clone()
        elif self.items is not None:
            copy.items = self.items.copy()
        return copy

    def get(self, name: str) -> File | Directory | None:
        items = self.items
        if items is not None:
            return items.get(name)
        return self._large().bucket(name).items.get(name)

    def put(self, name: str, node: File | Directory) -> None:
        items = self.items
        if items is not None:
            items[name] = node
            if len(items) > BUCKET_MAX:
                self.items = None
                self.table = table = _Table([_Bucket(items, 0, self.epoch)], len(items))
                table.split(0)
            return
        self._large().put(name, node, self.epoch)

    def remove(self, name: str) -> None:
        items = self.items
        if items is not None:
            del items[name]
            return
        table = self._large()
        table.remove(name, self.epoch)
        if table.count < _SHRINK_BELOW:
            self.items = {
                name: node for part in table.parts() for name, node in part.items()
            }
            self.table = None

    def parts(self) -> Iterator[dict[str, File | Directory]]:
        """The children, in dicts of bounded size."""
        if self.items is not None:
            yield self.items
        else:
            yield from self._large().parts()

    def __len__(self) -> int:
        return len(self.items) if self.items is not None else self._large().count

    def __bool__(self) -> bool:
        return True

    def _large(self) -> _Table:
        table = self.table
        if table is None:
            raise InvariantViolated("a directory has a dict or a table of buckets")
        return table


Node: TypeAlias = File | Directory


class _Bucket:
    """Children whose names' checksums agree in the lowest ``depth`` bits."""

    __slots__ = ("depth", "epoch", "items")

    def __init__(self, items: dict[str, Node], depth: int, epoch: int) -> None:
        self.items = items
        self.depth = depth
        self.epoch = epoch


class _Table:
    """Where each pattern of the lowest ``log2(len(slots))`` bits has its bucket."""

    __slots__ = ("count", "mask", "slots")

    def __init__(self, slots: list[_Bucket], count: int) -> None:
        self.slots = slots
        self.mask = len(slots) - 1
        self.count = count

    def clone(self) -> _Table:
        return _Table(self.slots.copy(), self.count)

    def bucket(self, name: str) -> _Bucket:
        return self.slots[_checksum(name) & self.mask]

    def put(self, name: str, node: Node, epoch: int) -> None:
        checksum = _checksum(name)
        bucket = self._owned(checksum, epoch)
        items = bucket.items
        before = len(items)
        items[name] = node
        if len(items) != before:
            self.count += 1
            if before >= BUCKET_MAX and bucket.depth < DEPTH_MAX:
                self.split(checksum)

    def remove(self, name: str, epoch: int) -> None:
        del self._owned(_checksum(name), epoch).items[name]
        self.count -= 1

    def parts(self) -> Iterator[dict[str, Node]]:
        for at, bucket in enumerate(self.slots):
            if at < 1 << bucket.depth:  # the first of the slots that share it
                yield bucket.items

    def split(self, checksum: int) -> None:
        """Divide the bucket of this checksum by its next three bits."""
        bucket = self.slots[checksum & self.mask]
        shift = bucket.depth
        if 1 << shift > self.mask:
            self.slots *= 1 << _SPLIT_BITS
            self.mask = len(self.slots) - 1
        pieces: list[dict[str, Node]] = [{} for _ in range(1 << _SPLIT_BITS)]
        for name, node in bucket.items.items():
            piece = _checksum(name) >> shift & (1 << _SPLIT_BITS) - 1
            pieces[piece][name] = node
        first = checksum & ((1 << shift) - 1)
        for piece, items in enumerate(pieces):
            divided = _Bucket(items, shift + _SPLIT_BITS, bucket.epoch)
            self._place(divided, piece << shift | first)

    def _owned(self, checksum: int, epoch: int) -> _Bucket:
        bucket = self.slots[checksum & self.mask]
        if bucket.epoch != epoch:
            bucket = _Bucket(bucket.items.copy(), bucket.depth, epoch)
            self._place(bucket, checksum & ((1 << bucket.depth) - 1))
        return bucket

    def _place(self, bucket: _Bucket, first: int) -> None:
        for at in range(first, len(self.slots), 1 << bucket.depth):
            self.slots[at] = bucket


def _checksum(name: str) -> int:
    return crc32(name.encode("utf-8", "surrogateescape"))
