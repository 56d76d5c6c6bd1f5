"""One at a time, among programs that do not know each other."""

from __future__ import annotations

from types import TracebackType

from twisted.internet.defer import Deferred

from kvd.client.recipes.held import Held
from kvd.client.recipes.turns import Turns


class Lock(Turns):
    """
    A lock: a directory in which everybody who wants it has a key, the oldest holds it.

    What is promised:

    * Two holders' tokens are different, and the later one's is greater; in the order of
      the cluster's log, one's key was gone before the other one held the lock.
    * A holder that runs is told that the lock is lost before anybody else can have it,
      as long as the members' clocks differ by less than ``margin_seconds``, all clocks
      run at the same pace, and nobody else removes its key. One that was stopped (a
      debugger, a sleeping machine) cannot be told in time, and one whose key was removed
      is told at the next refresh; against that, what is guarded has to compare tokens.
    * Who waits is served in the order of arrival. Who dies is passed over ``ttl`` seconds
      after it was last heard of.

    ::

        async with Lock(client, "/locks/report") as held:
            ...  # held.token, held.when_lost()

    What it is made with, :class:`Turns` says.

    .. versionadded:: 0.1
    """

    _entered: Held | None = None

    def acquire(self) -> Deferred[Held]:
        """
        Wait for it, through failures of members too; cancelling gives the place up.

        :raises ClientError: what waiting does not help against: a :class:`KeysError`,
            :class:`TooMany`, :class:`Closed`.
        """
        return self._taken()

    async def __aenter__(self) -> Held:
        held = await self.acquire()
        if self._entered is not None:
            await held.release()
            raise RuntimeError("this lock is entered already; it needs another one")
        self._entered = held
        return held

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        held, self._entered = self._entered, None
        if held is not None:
            await held.release()
