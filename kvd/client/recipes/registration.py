"""One instance's key in a registry, kept there."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import deferLater

from kvd.client.client import Client
from kvd.client.errors import (
    BadAnswer,
    ClientError,
    Closed,
    CompareFailed,
    KeyExists,
    KeyNotFound,
    NoAnswer,
    Unknown,
)
from kvd.client.recipes.held import listener, to_its_end
from kvd.client.recipes.instances import Instance
from kvd.client.recipes.kept import AGAIN_SECONDS, Kept, Times
from kvd.client.values import Response

T = TypeVar("T")


class Replaced(ClientError):
    """
    Somebody else has registered under the same id.

    .. versionadded:: 0.1
    """


class Registration:
    """
    An instance that is registered, for as long as it is not stopped or replaced.

    ::

        new -- enter --> registered <-- found or made again -- lost
                          |     `----- when_lost() --------------^ |
                          |                                        |
                          `--- stopped, replaced ---> over <-------'

    Made by :meth:`ServiceRegistry.register`, which says what is promised.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        key: str,
        instance: Instance,
        *,
        session: str,
        times: Times,
    ) -> None:
        self._client = client
        self._clock = client.clock
        self._key = key
        self._value = instance.written(session)
        self._times = times
        self._kept = self._another()
        self._why = "it was not registered yet"
        self._registered = False
        self._over: ClientError | None = None
        self._returning: Deferred[None] | None = None
        self._to_be_lost: list[Deferred[str]] = []
        self._to_return: list[Deferred[None]] = []
        self.instance = instance

    @property
    def is_registered(self) -> bool:
        """Whether others can see it, as far as can be known here."""
        return self._registered

    @property
    def is_over(self) -> bool:
        """Whether it was stopped or replaced, and will not be registered again."""
        return self._over is not None

    def when_lost(self) -> Deferred[str]:
        """Fires with the reason once it is not registered, or no longer."""
        if not self._registered:
            return succeed(self._why)
        return listener(self._to_be_lost)

    def when_registered(self) -> Deferred[None]:
        """
        Fires once it is registered, or is so again.

        :raises Replaced: somebody else has its id.
        :raises Closed: it was stopped, or the client was closed.
        """
        if self._over is not None:
            return fail(self._over)
        if self._registered:
            return succeed(None)
        return listener(self._to_return)

    def stop(self) -> Deferred[None]:
        """
        Take it out of the list; fires when that is done. Never fails.

        If nobody can be reached it fires when the time to live is over. It goes on,
        though whoever cancels it does not hear of that.
        """
        returning, self._returning = self._returning, None
        self._end(Closed("it was stopped"))
        if returning is not None:
            returning.cancel()
            self._kept.suspect(self._key)
        return to_its_end(self._kept.withdraw())

    async def enter(self) -> None:
        """
        Register, and take the place of an older one with this id.

        :raises ClientError: what waiting does not help against.
        """
        try:
            while not await self._tried(replaces=True):
                await deferLater(self._clock, AGAIN_SECONDS)
        except CancelledError:
            self._end(Closed("it was given up"))
            self._kept.suspect(self._key)
            Deferred.fromCoroutine(self._kept.withdraw())
            raise
        self._entered()

    async def _tried(self, *, replaces: bool) -> bool:
        """
        Make the key, or find it; False: that has to be tried again.

        Whatever is written depends on what was read, so nothing that arrives late can
        take the place of one that is newer.
        """
        try:
            made, begun_seconds = await self._written(replaces=replaces)
        except BadAnswer:
            raise
        except (KeyExists, KeyNotFound, CompareFailed, NoAnswer, Unknown):
            return False
        self._kept = self._another()
        self._kept.begin(self._key, made.node.modified_index, begun_seconds)
        return True

    async def _written(self, *, replaces: bool) -> tuple[Response, float]:
        ttl = self._times.ttl
        try:
            found = (await self._client.get(self._key, quorum=True)).node
        except KeyNotFound:
            begun_seconds = self._clock.seconds()
            made = await self._client.create(self._key, self._value, ttl=ttl)
            return made, begun_seconds
        begun_seconds = self._clock.seconds()
        if found.value == self._value:
            made = await self._client.refresh(
                self._key,
                ttl,
                prev_value=self._value,
                prev_index=found.modified_index,
            )
        elif replaces:
            made = await self._client.compare_and_swap(
                self._key, self._value, prev_index=found.modified_index, ttl=ttl
            )
        else:
            raise Replaced(f"somebody else is registered as {self._key}")
        return made, begun_seconds

    async def _return(self) -> None:
        """Be registered again."""
        while True:
            try:
                if await self._tried(replaces=False):
                    break
            except (Replaced, Closed) as problem:
                self._returning = None  # that is where we are
                self._end(problem)
                return
            except ClientError as problem:
                # Refused today; tomorrow it may be allowed.
                self._why = str(problem)
            await deferLater(self._clock, AGAIN_SECONDS)
        self._returning = None
        self._entered()

    def _another(self) -> Kept:
        return Kept(self._client, self._value, self._times, self._lost)

    def _entered(self) -> None:
        self._registered = True
        waiting, self._to_return = self._to_return, []
        for heard in waiting:
            _fire(heard, None)

    def _lost(self, why: str) -> None:
        self._registered, self._why = False, why
        self._returning = Deferred.fromCoroutine(self._return())
        self._returning.addErrback(lambda failure: failure.trap(CancelledError))
        self._tell()

    def _end(self, problem: ClientError) -> None:
        if self._over is not None:
            return
        self._over, self._why, self._registered = problem, str(problem), False
        self._tell()
        waiting, self._to_return = self._to_return, []
        for heard in waiting:
            if not heard.called:
                heard.errback(problem)

    def _tell(self) -> None:
        listeners, self._to_be_lost = self._to_be_lost, []
        for heard in listeners:
            _fire(heard, self._why)


def _fire(heard: Deferred[T], result: T) -> None:
    """Unless who asked no longer listens."""
    if not heard.called:
        heard.callback(result)
