"""The worker of a simulated member: jobs take simulated time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from kvd.errors import StorageError
from kvd.testing.clock import Process, SimulatedCrash
from kvd.testing.disk import SimulatedDisk

T = TypeVar("T")


class SimulatedWorker:
    """
    Runs one job after the other; provides :class:`kvd.storage.worker.Worker`.

    A job happens at one moment; before and after it time passes, so that a crash
    finds it not begun, or done and not yet reported. Each sync of the disk in it
    costs ``disk.sync_seconds`` more.
    """

    def __init__(self, process: Process, disk: SimulatedDisk, random: Random) -> None:
        self._process = process
        self._disk = disk
        self._random = random
        # Any: each job has its own kind of result.
        self._jobs: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._running = False
        self._stopped: Deferred[None] | None = None

    def call(self, job: Callable[[], T]) -> Deferred[T]:
        if self._stopped is not None:
            return fail(StorageError("the storage is closed"))
        done: Deferred[T] = Deferred()
        self._jobs.append((job, done))
        if not self._running:
            self._begin()
        return done

    def stop(self) -> Deferred[None]:
        if self._stopped is None:
            self._stopped = Deferred()
            if not self._running:
                self._process.after(0, self._stopped.callback, None)
            return self._stopped
        return succeed(None)

    def _begin(self) -> None:
        self._running = True
        seconds = self._disk.job_seconds * (0.5 + self._random.random())
        self._process.after(seconds, self._run)

    def _run(self) -> None:
        job, done = self._jobs.popleft()
        syncs = self._disk.syncs
        try:
            result: object = job()
        except SimulatedCrash:
            raise
        except BaseException:  # noqa: BLE001 -- it goes where the caller listens
            result = Failure()  # type: ignore[no-untyped-call]  # as Twisted has it
        seconds = self._disk.sync_seconds * (self._disk.syncs - syncs)
        self._process.after(
            seconds * (0.5 + self._random.random()), self._report, done, result
        )

    def _report(self, done: Deferred[Any], result: object) -> None:  # Any: as above
        if self._jobs:
            self._begin()
        else:
            self._running = False
            if self._stopped is not None:
                self._process.after(0, self._stopped.callback, None)
        done.callback(result)
