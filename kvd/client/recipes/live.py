"""A directory that is followed in the background, for as long as anybody wants it."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kvd.client.client import Client
from kvd.client.errors import ClientError, Closed
from kvd.client.recipes.followed import Followed
from kvd.client.watching import Change

TROUBLE_SECONDS: Final = 5.0
"""Between a refusal and the next attempt to follow."""

Told = Callable[[Followed, Change | None], None]

_log = Logger()


def tell(listener: Callable[..., object], *arguments: object) -> None:
    """Call somebody who wanted to be; what that raises is logged, and stops nothing."""
    try:
        listener(*arguments)
    except Exception:  # noqa: BLE001 -- it is the listener's, whatever it is
        _log.failure("who listens to a directory failed")


class Live:
    """
    Follows a directory until it is closed, whatever becomes of members and connections.

    ::

        new -- start --> listing -- listed --> following <--- 5 s ---> refused
                            `-- refused --> new

    What was known last stays known while the cluster cannot be reached, or refuses.

    :param told: called with each state; None: it was listed, for the first time or
        after a refusal. It must not raise.
    """

    def __init__(
        self, client: Client, path: str, *, deep: bool, nodes_max: int, told: Told
    ) -> None:
        self._client = client
        self._path = path
        self._deep = deep
        self._nodes_max = nodes_max
        self._told = told
        self._followed: Followed | None = None
        self._current_seconds: float | None = None
        self._running: Deferred[None] | None = None
        self._ready: Deferred[None] | None = None
        self._telling = False
        self.problem: ClientError | None = None

    @property
    def age_seconds(self) -> float:
        """Since it was last known that the cluster had nothing newer; at first, inf."""
        if self._current_seconds is None:
            return float("inf")
        if self._followed is not None and self._followed.begun:
            self._current_seconds = self._followed.current_seconds
        return max(0.0, self._client.clock.seconds() - self._current_seconds)

    def start(self) -> Deferred[None]:
        """
        Begin; fires once there is a state, through failures. Cancelling closes it.

        :raises ClientError: the server refuses, or a limit; it may be started again.
        """
        if self._running is not None:
            raise RuntimeError("it was started already")
        ready: Deferred[None] = Deferred(lambda _: self._stop())
        self._ready = ready
        self._running = running = Deferred.fromCoroutine(self._run())
        running.addErrback(lambda failure: failure.trap(CancelledError))
        return ready

    def close(self) -> None:
        """Follow no longer; what was known last stays known. Who waits is told so."""
        self._stop()
        self._settle(Closed("it is not followed any more"))

    def _stop(self) -> None:
        running, self._running = self._running, None
        if self._followed is not None:
            self._followed.close()
        if running is not None and not self._telling:
            running.cancel()

    def _settle(self, problem: ClientError | None) -> None:
        ready, self._ready = self._ready, None
        if ready is None or ready.called:
            return
        if problem is None:
            ready.callback(None)
        else:
            ready.errback(problem)

    async def _run(self) -> None:
        while True:
            self._followed = followed = Followed(
                self._client, self._path, deep=self._deep, nodes_max=self._nodes_max
            )
            try:
                await self._follow(followed)
            except Closed as problem:
                self._running = None  # that is where we are
                self._settle(problem)
                return
            except ClientError as problem:
                followed.close()
                if followed.begun:
                    self._current_seconds = followed.current_seconds
                if self._ready is not None:
                    self._running = None
                    self._settle(problem)
                    return
                if self.problem is None:
                    _log.warn(
                        "{path} is not followed: {problem}",
                        path=self._path,
                        problem=problem,
                    )
                self.problem = problem
                await deferLater(self._client.clock, TROUBLE_SECONDS)

    async def _follow(self, followed: Followed) -> None:
        await followed.begin()
        self._current_seconds = followed.current_seconds
        self.problem = None
        self._tell(followed, None)
        self._settle(None)
        while True:
            self._tell(followed, await followed.change())

    def _tell(self, followed: Followed, change: Change | None) -> None:
        self._telling = True
        try:
            self._told(followed, change)
        finally:
            self._telling = False
