"""The door of this room: open what is on a disk, or begin."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred

from kvd.storage.data_dir import DataDir, Identity, StorageSettings, refused
from kvd.storage.disk import Disk
from kvd.storage.persistence import Storage
from kvd.storage.recovery import Parts, Recovered, recover
from kvd.storage.worker import Worker

__all__ = ["Identity", "Opened", "Recovered", "StorageSettings", "open_storage"]


@attrs.frozen
class Opened:
    """A storage that is ready, and what it found."""

    persistence: Storage
    recovered: Recovered


def open_storage(
    *,
    disk: Disk,
    worker: Worker,
    settings: StorageSettings,
    progress: Callable[[str], None],
) -> Deferred[Opened]:
    """
    Lock the data folder and recover; everything blocking runs on the worker.

    If that fails the lock is released and the worker stopped.

    :param progress: called in the reactor's thread, a line for each 32 MiB read.
    :raises StorageError: the member must not start; says which file and offset.
    """
    return Deferred.fromCoroutine(_open(disk, worker, settings, progress))


async def _open(
    disk: Disk,
    worker: Worker,
    settings: StorageSettings,
    progress: Callable[[str], None],
) -> Opened:
    data = DataDir(disk, settings)
    steps = recover(disk, data, settings)

    def step() -> str | Parts:
        try:
            return next(steps)
        except StopIteration as end:
            parts: Parts = end.value
            return parts
        except OSError as error:
            raise refused(error) from error

    try:
        while isinstance(result := await worker.call(step), str):
            progress(result)
    except Exception:
        await worker.call(data.release)
        await worker.stop()
        raise
    storage = Storage(
        disk=disk,
        worker=worker,
        settings=settings,
        data=data,
        snapshots=result.snapshots,
        wal=result.wal,
    )
    return Opened(storage, result.recovered)
