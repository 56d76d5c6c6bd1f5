"""
Snapshot files: written aside, synced, renamed; the newest few are kept.

::

    <index>-<term>.<n>.tmp       being written
    <index>-<term>.received      a leader's, whole and synced, until a save names it
    <index>-<term>.snap          durable
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, error
from zlib import crc32

import attrs

from kvd.errors import invariant
from kvd.raft.messages import Configuration, SnapshotMeta
from kvd.storage.data_dir import TEMPORARY, Identity
from kvd.storage.disk import AppendFile, Disk, Readable
from kvd.storage.records import FORMAT_VERSION, BadBytes, check_magic
from kvd.storage.segments import Window

SNAPSHOT_SUFFIX = ".snap"
RECEIVED_SUFFIX = ".received"
SNAPSHOT_MAGIC = b"\x89kvdsnp\n"
READ_BYTES_MAX = 1 << 20
# What is written between two syncs: a save waits for one of them at most.
SYNC_BYTES = 1 << 20

# magic 8, version 4, length of the header with its CRC 4, member 8, cluster 8, index 8,
# term 8, origin 1, zeros 3, voters 4, learners 4; then ids, 8 each; then the CRC, 4
_HEADER = Struct("<8sIIQQQQB3xII")
_LENGTH_END = 16
_LENGTH = Struct("<I")
_LENGTH_AT = 12
# length of the content 8, its CRC 4, the header's CRC 4; then the CRC of these, 4
_TRAILER = Struct("<QII")
_CRC = Struct("<I")
TRAILER_BYTES = _TRAILER.size + _CRC.size
_HEADER_BYTES_MAX = 1 << 20
_OURS, _RECEIVED = 0, 1


@attrs.frozen
class SnapshotFile:
    """
    A snapshot on the disk, whose header and trailer agree with each other.

    :ivar own: made by this member, so that its log once reached the index.
    """

    path: str
    meta: SnapshotMeta
    own: bool
    content_at: int
    size: int
    crc: int


def encode_header(meta: SnapshotMeta, identity: Identity, *, own: bool) -> bytes:
    """Everything before the content."""
    voters = sorted(meta.configuration.voters)
    learners = sorted(meta.configuration.learners)
    ids = Struct(f"<{len(voters) + len(learners)}Q").pack(*voters, *learners)
    head = _HEADER.pack(
        SNAPSHOT_MAGIC,
        FORMAT_VERSION,
        _HEADER.size + len(ids) + _CRC.size,
        identity.member_id,
        identity.cluster_id,
        meta.index,
        meta.term,
        _OURS if own else _RECEIVED,
        len(voters),
        len(learners),
    )
    return head + ids + _CRC.pack(crc32(head + ids))


def decode_header(data: bytes) -> tuple[SnapshotMeta, Identity, bool]:
    """
    What :func:`encode_header` was given.

    :raises BadBytes: for anything else.
    """
    if (
        len(data) < _HEADER.size
        or crc32(data[: -_CRC.size]) != (_CRC.unpack(data[-_CRC.size :])[0])
    ):
        raise BadBytes("the snapshot's header does not agree with its checksum")
    (_, _, _, member, cluster, index, term, origin, voters, learners) = (
        _HEADER.unpack_from(data)
    )
    try:
        ids = Struct(f"<{voters + learners}Q").unpack(data[_HEADER.size : -_CRC.size])
    except error as reason:
        raise BadBytes("the snapshot's configuration makes no sense") from reason
    configuration = Configuration(
        voters=frozenset(ids[:voters]), learners=frozenset(ids[voters:])
    )
    meta = SnapshotMeta(index=index, term=term, configuration=configuration)
    identity = Identity(member_id=member, cluster_id=cluster)
    return meta, identity, origin == _OURS


def load(disk: Readable, path: str, identity: Identity) -> SnapshotFile:
    """
    A snapshot's header and trailer, checked; the content is not read.

    :raises BadBytes: it is damaged.
    :raises StorageError: it cannot be read, is another member's, or of a newer format.
    """
    window = Window(disk, path)
    start = window.take(0, _LENGTH_END)
    if start[: len(SNAPSHOT_MAGIC)] != SNAPSHOT_MAGIC or len(start) < _LENGTH_END:
        raise BadBytes("it does not begin as a snapshot does")
    try:
        check_magic(start, SNAPSHOT_MAGIC, "a snapshot")
    except BadBytes as reason:
        raise window.damaged(str(reason), 0) from reason
    content_at = min(_LENGTH.unpack_from(start, _LENGTH_AT)[0], _HEADER_BYTES_MAX)
    header = window.take(0, content_at)
    meta, owner, own = decode_header(header)
    if owner != identity:
        raise window.damaged(
            f"this snapshot belongs to member {owner.member_id:x} of cluster"
            f" {owner.cluster_id:x}",
            0,
        )
    size = window.size - content_at - TRAILER_BYTES
    if size < 0:
        raise BadBytes("it is shorter than its header and trailer")
    trailer = window.take(content_at + size, TRAILER_BYTES)
    length, crc, header_crc = _TRAILER.unpack_from(trailer)
    if (
        _CRC.unpack_from(trailer, _TRAILER.size)[0] != crc32(trailer[: _TRAILER.size])
        or header_crc != _CRC.unpack(header[-_CRC.size :])[0]
        or length != size
    ):
        raise BadBytes("its end is damaged or missing")
    return SnapshotFile(path, meta, own, content_at, size, crc)


def verify(disk: Readable, file: SnapshotFile) -> Iterator[int]:
    """
    Read all of the content, one piece a step; yields the bytes read so far.

    :raises BadBytes: it does not agree with its checksum.
    :raises StorageError: it cannot be read.
    """
    window = Window(disk, file.path)
    crc = 0
    for offset in range(0, file.size, READ_BYTES_MAX):
        size = min(READ_BYTES_MAX, file.size - offset)
        crc = crc32(window.take(file.content_at + offset, size), crc)
        yield offset + size
    if crc != file.crc:
        raise BadBytes("its content does not agree with its checksum")


class Draft:
    """A snapshot being written; blocking, for the worker."""

    def __init__(
        self,
        disk: Disk,
        stem: str,
        temporary: str,
        meta: SnapshotMeta,
        header: bytes,
        *,
        own: bool,
    ) -> None:
        self._disk = disk
        self._temporary = temporary
        self._header = header
        self._file: AppendFile | None = None
        self._size = 0
        self._crc = 0
        self._unsynced = 0
        self.path = stem + (SNAPSHOT_SUFFIX if own else RECEIVED_SUFFIX)
        self.meta = meta
        self.own = own

    def append(self, chunk: bytes) -> None:
        """The next piece of content."""
        file = self._open()
        file.append(chunk)
        self._size += len(chunk)
        self._crc = crc32(chunk, self._crc)
        self._unsynced += len(chunk)
        if self._unsynced >= SYNC_BYTES:
            file.sync()
            self._unsynced = 0

    def finish(self) -> None:
        """The trailer; what was written is durable, under its temporary name."""
        file = self._open()
        header_crc = _CRC.unpack(self._header[-_CRC.size :])[0]
        trailer = _TRAILER.pack(self._size, self._crc, header_crc)
        file.append(trailer + _CRC.pack(crc32(trailer)))
        file.sync()
        file.close()

    def publish(self, folder: str) -> SnapshotFile:
        """Give it its name, durably."""
        self._disk.rename(self._temporary, self.path)
        self._disk.sync_folder(folder)
        content_at = len(self._header)
        return SnapshotFile(
            self.path, self.meta, self.own, content_at, self._size, self._crc
        )

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._disk.remove(self._temporary)

    def _open(self) -> AppendFile:
        if self._file is None:
            self._file = self._disk.create(self._temporary)
            self._file.append(self._header)
        return self._file


class SnapshotFolder:
    """
    The snapshots of a member; blocking, for the worker.

    :ivar files: durable ones that were read whole or written here, oldest first.
    """

    def __init__(self, disk: Disk, folder: str, *, keep: int) -> None:
        self._disk = disk
        self._keep = keep
        self._drafts = 0
        self._received: dict[SnapshotMeta, SnapshotFile] = {}
        self._pinned: list[str] = []
        self.folder = folder
        self.files: list[SnapshotFile] = []

    @property
    def newest(self) -> SnapshotFile | None:
        return self.files[-1] if self.files else None

    def names(self) -> list[str]:
        """Durable snapshots' names, newest first."""
        return durable_names(self._disk.list(self.folder))

    def clean(self) -> None:
        """Remove what an earlier run left unfinished."""
        for name in self._disk.list(self.folder):
            if name.endswith((TEMPORARY, RECEIVED_SUFFIX)):
                self._disk.remove(f"{self.folder}/{name}")

    def draft(self, meta: SnapshotMeta, identity: Identity, *, own: bool) -> Draft:
        """A new snapshot; touches nothing yet."""
        self._drafts += 1
        stem = f"{self.folder}/{meta.index:016x}-{meta.term:016x}"
        temporary = f"{stem}.{self._drafts}{TEMPORARY}"
        header = encode_header(meta, identity, own=own)
        return Draft(self._disk, stem, temporary, meta, header, own=own)

    def publish(self, draft: Draft) -> None:
        """A finished draft becomes a snapshot, or waits for a save that names it."""
        file = draft.publish(self.folder)
        if file.own:
            self._add(file)
        else:
            self._received[file.meta] = file

    def adopt(self, meta: SnapshotMeta) -> None:
        """A received snapshot becomes the newest."""
        invariant(meta in self._received, "a save names a snapshot that is not here")
        received = self._received.pop(meta)
        path = received.path.removesuffix(RECEIVED_SUFFIX) + SNAPSHOT_SUFFIX
        self._disk.rename(received.path, path)
        self._disk.sync_folder(self.folder)
        self._add(attrs.evolve(received, path=path))

    def purge(self) -> bool:
        """Remove one file that is no longer needed; False if there is none."""
        newest = self.newest
        if newest is None:
            return False
        overtaken = [m for m in self._received if m.index <= newest.meta.index]
        if overtaken:
            self._disk.remove(self._received.pop(overtaken[0]).path)
            return True
        if 0 < self._keep < len(self.files):
            for file in self.files[: -self._keep]:
                if file.path not in self._pinned:
                    self._disk.remove(file.path)
                    self._disk.sync_folder(self.folder)
                    self.files.remove(file)
                    return True
        return False

    def pin(self, file: SnapshotFile) -> None:
        """It is being read: keep it."""
        self._pinned.append(file.path)

    def unpin(self, file: SnapshotFile) -> None:
        self._pinned.remove(file.path)

    def _add(self, file: SnapshotFile) -> None:
        self.files = [each for each in self.files if each.path != file.path]
        self.files.append(file)
        self.files.sort(key=lambda each: (each.meta.index, each.meta.term))


def durable_names(names: list[str]) -> list[str]:
    """Of what is in the folder, sorted, the durable snapshots; newest first."""
    return [name for name in reversed(names) if name.endswith(SNAPSHOT_SUFFIX)]
