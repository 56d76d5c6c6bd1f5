"""The storage as a member sees it: every call is a job for the worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar
from zlib import crc32

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.errors import InvariantViolated, KvdError, StorageError, invariant
from kvd.node.interfaces import SnapshotReader
from kvd.raft.messages import Entry, HardState, SnapshotMeta
from kvd.storage.busyness import Busyness
from kvd.storage.data_dir import DataDir, Identity, StorageSettings, refused
from kvd.storage.disk import Disk
from kvd.storage.records import BadBytes, Mark, Save
from kvd.storage.recovery import new_wal
from kvd.storage.snapshots import (
    READ_BYTES_MAX,
    Draft,
    SnapshotFile,
    SnapshotFolder,
    verify,
)
from kvd.storage.wal import Wal
from kvd.storage.worker import Worker

T = TypeVar("T")


class Storage:
    """
    Provides :class:`kvd.node.interfaces.Persistence`.

    Long work is many jobs, so that a save waits for one of them at most. After the
    first failure every call fails: what the disk holds is known again after a restart.
    """

    def __init__(
        self,
        *,
        disk: Disk,
        worker: Worker,
        settings: StorageSettings,
        data: DataDir,
        snapshots: SnapshotFolder,
        wal: Wal | None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._disk = disk
        self.busyness = Busyness(seconds)
        self._worker = worker
        self._settings = settings
        self._data = data
        self._snapshots = snapshots
        self._wal = wal
        self._failure = ""
        self._closed = False

    # -- Persistence ------------------------------------------------------------

    def save(
        self,
        hard_state: HardState | None,
        entries: Sequence[Entry],
        snapshot: SnapshotMeta | None,
    ) -> Deferred[None]:
        return self.run(self._save, hard_state, tuple(entries), snapshot)

    def create_snapshot(self, meta: SnapshotMeta) -> Writer:
        return Writer(self, meta, own=True)

    def receive_snapshot(self, meta: SnapshotMeta) -> Writer:
        return Writer(self, meta, own=False)

    def open_snapshot(self) -> Deferred[SnapshotReader]:
        return Deferred.fromCoroutine(self._open_snapshot())

    def compact(self, index: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self._compact(index))

    def free_bytes(self) -> Deferred[int]:
        return self.run(self._free_bytes)

    # -- beside it --------------------------------------------------------------

    def initialise(self, identity: Identity) -> Deferred[None]:
        """Make a fresh data folder this member's; before the first save."""
        return self.run(self._initialise, identity)

    def register(self, place: str) -> Deferred[None]:
        """Write down that a fresh member is about to register itself there."""
        return self.run(self._data.write_registration, place)

    def has_registered(self, place: str) -> Deferred[bool]:
        """Whether it was there that this one did, in an attempt that was cut short."""
        return self.run(self._data.has_registration, place)

    def claim(self) -> Deferred[None]:
        """What was opened as a backup is this member's own from now on."""
        return self.run(self._claim)

    def close(self) -> Deferred[None]:
        """Let go of the data folder and stop the worker; never fails."""
        return Deferred.fromCoroutine(self._close())

    @property
    def log(self) -> Wal | None:
        """What is counted of the log is there; None while there is none."""
        return self._wal

    # -- for the writers and readers of snapshots ----------------------------------

    def run(self, job: Callable[..., T], *args: object) -> Deferred[T]:
        """The job's result; any failure is the storage's last."""
        return self._call(partial(self._guarded, job, args))

    def _call(self, job: Callable[[], T]) -> Deferred[T]:
        self.busyness.given += 1
        return self._worker.call(partial(self.busyness.during, job))

    def draft(self, meta: SnapshotMeta, *, own: bool) -> Draft:
        """On the worker."""
        return self._snapshots.draft(meta, self._open_wal().identity, own=own)

    def publish(self, draft: Draft) -> None:
        """On the worker."""
        if draft.own:
            invariant(
                draft.meta.index <= self._open_wal().state.last_index,
                "a snapshot of what is not in the log yet",
            )
        self._snapshots.publish(draft)

    def mark(self, meta: SnapshotMeta) -> None:
        """On the worker."""
        self._open_wal().save(Save(None, (), Mark(meta.index, meta.term, resets=False)))

    async def purge(self) -> None:
        while await self.run(self._snapshots.purge):
            pass

    def unpin(self, file: SnapshotFile) -> None:
        self._snapshots.unpin(file)

    def run_always(self, job: Callable[[], None]) -> Deferred[None]:
        """After a failure, too; fires with None whatever happens."""
        done = self._call(job)
        done.addErrback(_disregard)
        return done

    def read(self, file: SnapshotFile, offset: int, size: int) -> bytes:
        """On the worker: a piece of the content."""
        data = self._disk.read(file.path, file.content_at + offset, size)
        if len(data) != size:
            raise StorageError("the file ends early", path=file.path, offset=offset)
        return data

    # -- jobs -------------------------------------------------------------------

    def _guarded(self, job: Callable[..., T], args: tuple[object, ...]) -> T:
        if self._failure:
            raise StorageError(f"the storage stopped before: {self._failure}")
        try:
            return job(*args)
        except OSError as error:
            failed = refused(error)
            self._failure = str(failed)
            raise failed from error
        except Exception as error:
            self._failure = str(error) or repr(error)
            raise

    def _open_wal(self) -> Wal:
        if self._wal is None:
            raise InvariantViolated("a fresh data folder must be initialised first")
        return self._wal

    def _initialise(self, identity: Identity) -> None:
        invariant(self._wal is None, "a member is made once")
        wal = new_wal(self._disk, self._data, identity, self._settings)
        wal.begin()
        self._data.write_identity(identity)
        self._wal = wal

    def _claim(self) -> None:
        self._data.claim(self._open_wal().identity)

    def _save(
        self,
        hard_state: HardState | None,
        entries: tuple[Entry, ...],
        snapshot: SnapshotMeta | None,
    ) -> None:
        wal = self._open_wal()
        mark = None
        if snapshot is not None:
            self._snapshots.adopt(snapshot)
            mark = Mark(snapshot.index, snapshot.term, resets=True)
        wal.save(Save(hard_state, entries, mark))

    def _release(self, index: int) -> None:
        newest = self._snapshots.newest
        invariant(
            index <= (0 if newest is None else newest.meta.index),
            "the log is released only up to a durable snapshot",
        )
        self._open_wal().release(index)

    def _free_bytes(self) -> int:
        return min(
            self._disk.free_bytes(self._data.data_folder),
            self._disk.free_bytes(self._data.wal_folder),
        )

    def _pin_newest(self) -> SnapshotFile | None:
        newest = self._snapshots.newest
        if newest is not None:
            self._snapshots.pin(newest)
        return newest

    def _end(self) -> None:
        if not self._failure and self._wal is not None:
            # What was promised is durable already: a failure here breaks no promise.
            with suppress(OSError, KvdError):
                self._wal.close()
        self._failure = "closed"
        self._data.release()

    # -- chains of jobs ------------------------------------------------------------

    async def _compact(self, index: int) -> None:
        await self.run(self._release, index)
        while await self.run(self._open_wal().purge):
            pass
        await self.purge()

    async def _open_snapshot(self) -> SnapshotReader:
        file = await self.run(self._pin_newest)
        if file is None:
            raise StorageError("there is no snapshot", path=self._data.snap_folder)
        pieces = verify(self._disk, file)

        def step() -> int:
            try:
                return next(pieces, -1)
            except BadBytes as error:
                raise StorageError(str(error), path=file.path) from error

        while await self.run(step) >= 0:
            pass
        return Reader(self, file)

    async def _close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._worker.call(self._end)
        await self._worker.stop()


def _disregard(failure: Failure) -> None:
    """Nothing rests on it: what is left behind is removed at the next start."""
    failure.trap(OSError, KvdError)  # type: ignore[no-untyped-call]  # Twisted's


class Writer:
    """Provides :class:`kvd.node.interfaces.SnapshotWriter`."""

    def __init__(self, storage: Storage, meta: SnapshotMeta, *, own: bool) -> None:
        self._storage = storage
        self._meta = meta
        self._own = own
        self._draft: Draft | None = None

    def write(self, chunk: bytes) -> Deferred[None]:
        return self._storage.run(self._write, chunk)

    def commit(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._commit())

    def abort(self) -> Deferred[None]:
        return self._storage.run_always(self._discard)

    def _write(self, chunk: bytes) -> None:
        self._begun().append(chunk)

    async def _commit(self) -> None:
        storage, run = self._storage, self._storage.run
        draft = await run(self._begun)
        await run(draft.finish)
        await run(storage.publish, draft)
        if self._own:
            await run(storage.mark, self._meta)
        await storage.purge()

    def _discard(self) -> None:
        if self._draft is not None:
            self._draft.discard()

    def _begun(self) -> Draft:
        if self._draft is None:
            self._draft = self._storage.draft(self._meta, own=self._own)
        return self._draft


class Reader:
    """Provides :class:`kvd.node.interfaces.SnapshotReader`."""

    def __init__(self, storage: Storage, file: SnapshotFile) -> None:
        self._storage = storage
        self._file = file
        self._offset = 0
        self._crc = 0
        self._open = True
        self.meta = file.meta
        self.size = file.size

    def read(self, size: int) -> Deferred[bytes]:
        return self._storage.run(self._read, min(size, READ_BYTES_MAX))

    def close(self) -> None:
        if self._open:
            self._open = False
            self._storage.unpin(self._file)

    def _read(self, size: int) -> bytes:
        file = self._file
        size = min(size, file.size - self._offset)
        data = self._storage.read(file, self._offset, size)
        self._offset += len(data)
        self._crc = crc32(data, self._crc)
        if self._offset == file.size and self._crc != file.crc:
            raise StorageError("its content changed while it was read", path=file.path)
        return data
