"""The reactor of Twisted programs that run beside a test: one, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet import reactor, threads
from twisted.internet.defer import Deferred

T = TypeVar("T")
SECONDS = 60.0
_started = threading.Lock()
_running = False


def _start() -> None:
    """A reactor cannot be started twice, so it runs until the process ends."""
    global _running  # noqa: PLW0603
    with _started:
        if _running:
            return
        up = threading.Event()
        reactor.callWhenRunning(up.set)
        threading.Thread(
            target=reactor.run, args=(False,), daemon=True, name="reactor"
        ).start()
        assert up.wait(SECONDS)
        _running = True


def react(program: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run ``program(reactor, *arguments)`` to its end; its outcome."""
    _start()

    def begin() -> Deferred[T]:
        running = Deferred.fromCoroutine(program(reactor, *arguments))
        return running.addTimeout(SECONDS, reactor)

    return threads.blockingCallFromThread(reactor, begin)
