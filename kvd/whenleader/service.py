"""Run a service for as long as one leads, and not longer."""

# Twisted leaves MultiService, LoopingCall and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any, Final

from twisted.application.service import IService, MultiService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from kvd.client import Client, ClientError, KeyNotFound
from kvd.client.recipes import Election, Held
from kvd.client.recipes.kept import unique_text
from kvd.whenleader.guard import Guard
from kvd.whenleader.settings import Settings
from kvd.whenleader.what import What

TOKEN_VARIABLE: Final = "KVD_LEADER_TOKEN"  # noqa: S105 -- not a secret
AGAIN_SECONDS: Final = 5.0
"""After what waiting for a leader's end does not help against, or a failed start."""

_LOOKS: Final = 8  # at whether it still leads, within the time that the guard gives it
_GONE_TRIES: Final = 20
_GONE_SECONDS: Final = 0.1


class WhenLeader(MultiService):
    """
    ::

        stopped -> campaigning -> leading -> stopping the service -> campaigning
                        |                          |
                        +--------------------------+---> stopped

    The guard is told at short intervals that this process leads. It ends the process
    when it hears nothing for three quarters of the margin: that is when the service does
    not stop in time after the leadership was lost, and when the event loop stands still.

    :param reactor: time.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,  # noqa: ANN401 -- Twisted's real reactors provide many interfaces
        client: Client,
        settings: Settings,
        what: What,
        guard: Guard,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._client = client
        self._settings = settings
        self._what = what
        self._guard = guard
        self._name = settings.name
        self._unique = unique_text()
        self._election = Election(
            client,
            settings.election,
            ttl=settings.ttl,
            margin_seconds=settings.margin_seconds,
            unique=lambda: self._unique,
        )
        self._problem = ""
        self._waiting: Deferred[Any] | None = None  # to lead, or for the end of that
        self._running: Deferred[None] | None = None
        self._stopping = False

    def startService(self) -> None:
        super().startService()
        # Not earlier: twistd may have become another process.
        self._name = self._settings.name or f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = False
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: self._log.failure("leading", failure))

    def stopService(self) -> Deferred[None]:
        """Fires when the service has stopped and the leadership, if any, is given up."""
        self._stopping = True
        if self._waiting is not None:
            self._waiting.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._running is not None:
            await self._running
        await self._client.close()
        await maybeDeferred(super().stopService)

    # -- a life -------------------------------------------------------------------------

    async def _run(self) -> None:
        settings = self._settings
        while not self._stopping:
            self._log.info(
                "waiting to lead {election} as {name}",
                election=settings.election,
                name=self._name,
            )
            try:
                held = await self._campaign()
                if held is not None:
                    await self._lead(held)
            except Exception:  # noqa: BLE001 -- our bug: a process that does nothing helps nobody
                self._log.failure("while taking part")
                await self._later()

    async def _campaign(self) -> Held | None:
        """None: it was stopped meanwhile."""
        while not self._stopping:
            # What nobody else uses, and no candidacy of this process before.
            self._unique = unique_text()
            try:
                # This one, other than the campaign, fails when nobody answers.
                leader = await self._wait(self._election.leader())
                self._problem = ""
                self._log.info(
                    "{leader} leads", leader="nobody" if leader is None else leader.name
                )
                held: Held = await self._wait(self._election.campaign(self._name))
            except CancelledError:
                await self._given_up()
            except ClientError as problem:
                self._say(str(problem))
                await self._later()
            else:
                return held
        return None

    async def _lead(self, held: Held) -> None:
        """Until it is lost, or this service is to stop; then let the next one lead."""
        if self._stopping:
            await held.release()
            return
        lost = held.when_lost()
        looking = self._look(held)
        # Nothing but a cancellation comes out of it, and there is no finally, which the
        # garbage collector may run, too.
        began = self._start(held.token)
        if began:
            with suppress(CancelledError):
                why = await self._wait(lost)
                self._log.warn("the leadership is lost: {why}", why=why)
        for service in list(self.services):
            await self._stopped(service)
        looking.stop()
        self._guard.disarm()
        await held.release()
        self._log.info("the leadership is given up")
        if not began:
            await self._later()

    def _look(self, held: Held) -> LoopingCall:
        """Tell the guard, as long as it is so, that this process leads."""
        seconds = self._settings.margin_seconds * 3 / 4

        def look() -> None:
            if held.is_held:
                self._guard.arm(seconds)

        looking = LoopingCall(look)
        looking.clock = self._reactor
        looking.start(seconds / _LOOKS).addErrback(
            lambda failure: self._log.failure("looking", failure)
        )
        return looking

    def _start(self, token: int) -> bool:
        """Whether it could be; what there is of it is to be stopped in any case."""
        name = self._what.name
        self._log.info(
            "leading, with token {token}: start {name}", token=token, name=name
        )
        os.environ[TOKEN_VARIABLE] = str(token)
        try:
            self._what.make().setServiceParent(self)
        except (CannotListenError, SystemExit) as problem:
            text = str(problem)
            if isinstance(problem, SystemExit):
                text = f"SystemExit: {text}"
            self._log.error("cannot start {name}: {problem}", name=name, problem=text)
        except Exception:  # noqa: BLE001 -- somebody's program: whatever it raises
            self._log.failure("cannot start {name}", name=name)
        else:
            return True
        return False

    async def _stopped(self, service: IService) -> None:
        name = self._what.name
        self._log.info("stop {name}", name=name)
        try:
            await maybeDeferred(service.disownServiceParent)
        except (Exception, SystemExit):  # noqa: BLE001 -- the same
            self._log.failure("while {name} stopped", name=name)
        self._log.info("{name} has stopped", name=name)

    async def _given_up(self) -> None:
        """
        Wait a moment for the place in the queue to be gone, which is being asked for:
        the process may end next, and those behind would wait until it runs out.
        """
        for _ in range(_GONE_TRIES):
            try:
                listed = await self._client.get(self._settings.election, quorum=True)
            except KeyNotFound:
                return
            except ClientError:
                break
            values = [each.value or "" for each in listed.node.nodes]
            if not any(value.startswith(self._unique) for value in values):
                return
            await deferLater(self._reactor, _GONE_SECONDS)

    # -- waiting ------------------------------------------------------------------------

    async def _wait(self, what: Deferred[Any]) -> Any:  # noqa: ANN401 -- its result
        """:raises CancelledError: it is to stop."""
        if self._stopping:
            what.cancel()
        self._waiting = what
        try:
            return await what
        finally:
            self._waiting = None

    async def _later(self) -> None:
        with suppress(CancelledError):
            await self._wait(deferLater(self._reactor, AGAIN_SECONDS))

    def _say(self, problem: str) -> None:
        """Once, as long as it is the same."""
        if problem != self._problem:
            self._problem = problem
            self._log.error("cannot campaign: {problem}", problem=problem)
