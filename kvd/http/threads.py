"""Threads for what would hold up the reactor, at a lower priority than its own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

_NICENESS = 10
_T = TypeVar("_T")

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class LowThreads:
    """
    Implements ``Threads``; a thread begins with the first call for it.

    :param threads_max: at one time.
    """

    def __init__(self, reactor: Reactor, threads_max: int) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, threads_max, "kvd-passwords")
        self._lowered = threading.local()

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> None:
        """Waits for the calls that run."""
        self._pool.stop()

    def run(self, call: Callable[[], _T]) -> Deferred[_T]:
        """See ``Threads.run``."""
        done: Deferred[_T] = deferToThreadPool(
            self._reactor, self._pool, self._low, call
        )
        return done

    def _low(self, call: Callable[[], _T]) -> _T:
        if not hasattr(self._lowered, "done"):
            self._lowered.done = True
            # On Linux this is the thread's own; elsewhere it may not be possible.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        return call()
