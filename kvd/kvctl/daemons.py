"""Threads that nobody waits for when the program is to end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Daemons(Executor):
    """
    An executor for what only looks, and may therefore be left in the middle.

    One of the standard library's waits for all its threads, also at the end of the
    interpreter: Ctrl-C would do nothing while a member is silent.

    :param threads_max: jobs at one time; a thread is made when there is a job for it.
    """

    def __init__(self, threads_max: int) -> None:
        self._threads_max = threads_max
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """See ``Executor``."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 -- whoever takes it raises it
                future.set_exception(error)
            else:
                future.set_result(result)

        self._jobs.put(job)
        if self._threads < self._threads_max:
            self._threads += 1
            threading.Thread(target=self._work, name="kvctl", daemon=True).start()
        return future

    # What else it is called with says whether to wait, which is never done.
    def shutdown(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Begin nothing any more; what was begun is left to itself."""
        try:
            while True:
                self._jobs.get_nowait()
        except Empty:
            for _thread in range(self._threads):
                self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
