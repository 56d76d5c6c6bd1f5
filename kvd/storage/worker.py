"""Where blocking disk work runs: one job after the other, off the reactor."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.errors import StorageError

T = TypeVar("T")


class Worker(Protocol):
    """Jobs run one at a time in the order given; simulation has its own."""

    def call(self, job: Callable[[], T]) -> Deferred[T]:
        """Fires, in a later turn of the reactor, with what the job returned."""
        ...

    def stop(self) -> Deferred[None]:
        """Fires when every job given before has run; later ones are refused."""
        ...


class _Reactor(Protocol):
    """What is asked of a reactor here; all real ones have it."""

    # Any, and a name that shadows a builtin: these are Twisted's own signatures.
    def callFromThread(self, callable: Callable[..., Any], *args: object) -> None: ...  # noqa: A002

    def addSystemEventTrigger(
        self,
        phase: str,
        eventType: str,
        callable: Callable[..., Any],  # noqa: A002
    ) -> object: ...


class ThreadWorker:
    """
    One thread of its own; provides :class:`Worker`.

    The thread starts with the first job, and ends with :meth:`stop` or, if nobody
    called that, after the reactor's shutdown, so that it never holds the process up.
    """

    def __init__(self, reactor: _Reactor) -> None:
        self._reactor = reactor
        # Any: each job has its own kind of result.
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Deferred[Any]] | None] = (
            SimpleQueue()
        )
        self._thread: Thread | None = None
        self._stopping = False
        self._ended = False
        self._waiting: list[Deferred[None]] = []

    def call(self, job: Callable[[], T]) -> Deferred[T]:
        done: Deferred[T] = Deferred()
        if self._stopping:
            refusal = StorageError("the storage is closed")
            self._reactor.callFromThread(done.errback, refusal)
            return done
        if self._thread is None:
            self._thread = Thread(target=self._run, name="kvd-storage")
            self._thread.start()
            self._reactor.addSystemEventTrigger("after", "shutdown", self._finish)
        self._jobs.put((job, done))
        return done

    def stop(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self._thread is None or self._ended:
            self._reactor.callFromThread(self._end)
        self._finish()
        return done

    def _finish(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._jobs.put(None)

    def _run(self) -> None:
        take = self._jobs.get
        report = self._reactor.callFromThread
        while (item := take()) is not None:
            job, done = item
            try:
                result = job()
            except BaseException:  # noqa: BLE001 -- it goes where the caller listens
                result = Failure()  # type: ignore[no-untyped-call]  # as Twisted has it
            report(done.callback, result)
        report(self._end)

    def _end(self) -> None:
        self._ended = True
        if self._thread is not None:
            self._thread.join()
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)
