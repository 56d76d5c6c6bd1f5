"""
The folders of a member: where its files lie, who it is, and that nobody else is in.

::

    <data-dir>/lock                                   held while the member runs
    <data-dir>/member/identity                        who wrote all this, as text
    <data-dir>/member/discovery                       where it registered before that
    <data-dir>/member/snap/<index>-<term>.snap        snapshots
    <data-dir>/member/wal/<sequence>-<index>.wal      the log, or in wal-dir

A name that ends in ``.tmp`` counts for nothing.
"""

from __future__ import annotations

from zlib import crc32

import attrs

from kvd.errors import StorageError, invariant
from kvd.storage.disk import Disk, Lock
from kvd.storage.records import FORMAT_VERSION

TEMPORARY = ".tmp"
_IDENTITY_BYTES_MAX = 4096
_LOCK_BYTES_MAX = 64
_BACKUP = b"backup of "


@attrs.frozen
class Identity:
    """Which member of which cluster the files belong to."""

    member_id: int
    cluster_id: int


@attrs.frozen(kw_only=True)
class StorageSettings:
    """
    Where the files lie and how many are kept.

    :ivar wal_folder: absolute; empty for a place inside ``data_folder``.
    :ivar segment_bytes: a segment of the log is ended once it is this long.
    :ivar snapshots_keep: newest snapshots kept; 0: all.
    :ivar wals_keep: segments kept although no longer needed, if there are not more
        than this in all; 0: all.
    """

    data_folder: str
    wal_folder: str = ""
    segment_bytes: int = 64 << 20
    snapshots_keep: int = 5
    wals_keep: int = 5


def refused(error: OSError, path: str = "") -> StorageError:
    """An error of the operating system as one of ours."""
    where = str(error.filename or path)
    return StorageError(error.strerror or str(error) or "failed", path=where)


class DataDir:
    """
    The folders, locked; blocking, for the worker.

    :ivar backup_of: whose files these were, if a backup of them lies here; known once
        the identity was read.
    """

    def __init__(self, disk: Disk, settings: StorageSettings) -> None:
        self._disk = disk
        self.data_folder = settings.data_folder
        self.member_folder = f"{settings.data_folder}/member"
        self.snap_folder = f"{self.member_folder}/snap"
        self.wal_folder = settings.wal_folder or f"{self.member_folder}/wal"
        self.identity_path = f"{self.member_folder}/identity"
        self.discovery_path = f"{self.member_folder}/discovery"
        self._own_wal_folder = bool(settings.wal_folder)
        self._locks: list[Lock] = []
        self.backup_of: Identity | None = None

    @property
    def locked(self) -> bool:
        """All of it."""
        return len(self._locks) == 1 + self._own_wal_folder

    def open(self) -> Identity | None:
        """
        Make what is missing, lock it, and say whose it is; None if it is fresh.

        :raises StorageError: another process has it, or it is not kvd's.
        """
        disk = self._disk
        for folder in (self.data_folder, self.wal_folder):
            disk.make_folder(folder)
        self._locks.append(take_lock(disk, self.data_folder))
        if self._own_wal_folder:
            self._locks.append(take_lock(disk, self.wal_folder))
        for folder in (self.member_folder, self.snap_folder):
            disk.make_folder(folder)
        if disk.exists(self.identity_path):
            return self._read_identity()
        return None

    def identity_there(self) -> Identity:
        """
        Whose files these are, without the lock and without making anything.

        :raises StorageError: nobody's, not kvd's, of a newer format, or damaged.
        """
        try:
            return self._read_identity()
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise StorageError(
                    "there is no member's data", path=self.data_folder
                ) from error
            raise refused(error, self.identity_path) from error

    def write_identity(
        self, identity: Identity, *, backup_of: Identity | None = None
    ) -> None:
        """The last step of making a member: from now on its log must be there."""
        exists = self._disk.exists(self.identity_path)
        invariant(not exists, "a member is made once")
        self._put_identity(identity, backup_of)

    def claim(self, identity: Identity) -> None:
        """What was a backup is a member's own from now on."""
        self._put_identity(identity, None)

    def _put_identity(self, identity: Identity, backup_of: Identity | None) -> None:
        self._replace(self.identity_path, encode_identity(identity, backup_of))
        self.backup_of = backup_of

    def write_registration(self, place: str) -> None:
        """Before a member that is to be registers at a discovery service."""
        self._replace(self.discovery_path, encode_registration(place))

    def has_registration(self, place: str) -> bool:
        """Whether that was the last place where it did, or was about to."""
        if not self._disk.exists(self.discovery_path):
            return False
        expected = encode_registration(place)
        return self._disk.read(self.discovery_path, 0, len(expected) + 1) == expected

    def _replace(self, path: str, data: bytes) -> None:
        disk = self._disk
        temporary = path + TEMPORARY
        if disk.exists(temporary):
            disk.remove(temporary)
        file = disk.create(temporary)
        file.append(data)
        file.sync()
        file.close()
        disk.rename(temporary, path)
        disk.sync_folder(self.member_folder)

    def release(self) -> None:
        """Let others in."""
        while self._locks:
            self._locks.pop().release()

    def _read_identity(self) -> Identity:
        data = self._disk.read(self.identity_path, 0, _IDENTITY_BYTES_MAX)
        try:
            identity, self.backup_of = decode_identity(data)
        except ValueError as error:
            raise StorageError(str(error), path=self.identity_path) from error
        return identity


def take_lock(disk: Disk, folder: str) -> Lock:
    """
    Keep every other kvd out of a folder.

    :raises StorageError: one is in it.
    """
    path = f"{folder}/lock"
    try:
        return disk.lock(path)
    except BlockingIOError as error:
        holder = disk.read(path, 0, _LOCK_BYTES_MAX).decode("ascii", "replace")
        who = f" (process {holder.strip()})" if holder.strip() else ""
        raise StorageError(f"another kvd{who} is using it", path=path) from error


def encode_registration(place: str) -> bytes:
    """Text, for the same reason; it is compared, never taken apart."""
    return f"kvd {FORMAT_VERSION}\nregistered {place}\n".encode()


def encode_identity(identity: Identity, backup_of: Identity | None = None) -> bytes:
    """Text, so that an operator can read it."""
    lines = (
        f"kvd {FORMAT_VERSION}\n"
        f"member {identity.member_id:x}\n"
        f"cluster {identity.cluster_id:x}\n"
    )
    if backup_of is not None:
        lines += f"backup of {backup_of.member_id:x} {backup_of.cluster_id:x}\n"
    return f"{lines}crc32 {crc32(lines.encode()):08x}\n".encode()


def decode_identity(data: bytes) -> tuple[Identity, Identity | None]:
    """
    What :func:`encode_identity` was given.

    :raises ValueError: for anything else, with what is wrong.
    """
    lines = data.split(b"\n")
    name, _, version = lines[0].partition(b" ")
    if name != b"kvd":
        raise ValueError("this is not a data folder of kvd")
    if version != b"%d" % FORMAT_VERSION:
        raise ValueError(
            f"format version {version.decode('ascii', 'replace')};"
            f" this kvd reads version {FORMAT_VERSION}"
        )
    backup_of = None
    try:
        member = int(lines[1].removeprefix(b"member "), 16)
        cluster = int(lines[2].removeprefix(b"cluster "), 16)
        if lines[3].startswith(_BACKUP):
            old_member, old_cluster = lines[3].removeprefix(_BACKUP).split(b" ")
            backup_of = Identity(int(old_member, 16), int(old_cluster, 16))
    except (IndexError, ValueError):
        member = cluster = 0
    identity = Identity(member_id=member, cluster_id=cluster)
    if data != encode_identity(identity, backup_of):
        raise ValueError("the member's identity is damaged")
    return identity, backup_of
