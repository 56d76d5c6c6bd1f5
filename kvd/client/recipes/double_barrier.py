"""A barrier that a number of programs pass together, on their way in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from twisted.internet.defer import Deferred

from kvd.client.client import Client
from kvd.client.recipes.followed import Followed
from kvd.client.recipes.held import Held
from kvd.client.recipes.kept import Gone, Times, unique_text
from kvd.client.recipes.register import ABSENT, Register, Seen, Unclear
from kvd.client.recipes.taking import Taking
from kvd.client.recipes.tickets import Ticket
from kvd.client.values import Node


@attrs.frozen
class _Round:
    """
    Those who pass together, as the round's key says: a text of its own, and their names.

    :ivar index: when they were found to be enough; 0: nobody ever was.
    """

    index: int
    names: frozenset[str]

    @classmethod
    def read(cls, node: Node | None) -> _Round:
        if node is None:
            return cls(0, frozenset())
        return cls(node.modified_index, frozenset((node.value or "").split()[1:]))


class Entered(Held):
    """
    One's own place among those who have entered together.

    :ivar round: the same for all of them, greater than that of all who entered before.

    .. versionadded:: 0.1
    """

    def __init__(
        self, ticket: Ticket, round_index: int, all_left: Callable[[], Deferred[None]]
    ) -> None:
        super().__init__(ticket.token, ticket)
        self._all_left = all_left
        self.round = round_index

    def leave(self) -> Deferred[None]:
        """
        Leave; fires when all who entered together have left, or have died.

        Waits through failures; whoever cancels it has left all the same.
        """
        return Deferred.fromCoroutine(self._leave())

    async def _leave(self) -> None:
        await self.release()
        await self._all_left()


class DoubleBarrier:
    """
    A double barrier: nobody goes on before ``size`` have entered, and nobody before all
    of those have left. Then it can be used again.

    What is promised:

    * ``enter()`` fires for ``size`` programs, all of whom were there at one moment, and
      for these only; or for fewer, if some of them die or are stopped before they hear.
    * ``leave()`` fires when each of them has left, or was not heard of for ``ttl``
      seconds. One who is stopped for so long is taken to have left, and is told by
      ``entered.when_lost()`` when he wakes up.
    * Who enters while others have not left yet waits for the next round.

    Both wait through failures. It depends on what is there and not on what happened, so
    nothing is missed when history is lost.

    :param path: a directory of its own.
    :param size: the same for everybody.
    :param ttl: seconds; a third of it passes between two refreshes.
    :param margin_seconds: None: a tenth of ``ttl``.
    :param unique: makes texts that nobody else makes, without a space.
    :raises ValueError: times that leave nothing to hold, or a size below one.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        path: str,
        size: int,
        *,
        ttl: int = 30,
        margin_seconds: float | None = None,
        unique: Callable[[], str] = unique_text,
    ) -> None:
        if size < 1:
            raise ValueError("at least one has to enter")
        self._client = client
        self._path = "/" + "/".join(each for each in path.split("/") if each)
        self._size = size
        self._times = Times.of(ttl, margin_seconds)
        self._unique = unique

    def enter(self) -> Deferred[Entered]:
        """
        Wait for the others; cancelling gives the place up.

        :raises ClientError: what waiting does not help against: a :class:`KeysError`,
            :class:`TooMany`, :class:`Closed`.
        """
        taking = Taking(
            self._client,
            f"{self._path}/present",
            value=self._unique,
            times=self._times,
        )
        return Deferred.fromCoroutine(taking.until(self._met, self._entered))

    def _entered(self, ticket: Ticket, passing: _Round) -> Entered:
        return Entered(ticket, passing.index, lambda: self._empty(passing))

    async def _met(self, ticket: Ticket) -> _Round:
        """
        Wait until one is of a round.

        Whoever sees enough of them, when nobody of the last round is left, writes down
        who is of the next one. One of all who do so succeeds.

        :raises Gone: the ticket is not there any more.
        """
        followed = Followed(self._client, self._path, deep=True)
        await followed.begin()
        while True:
            node = followed.nodes.get(f"{self._path}/round")
            passing = _Round.read(node)
            if ticket.name in passing.names:
                return passing
            present = self._present(followed.nodes)
            if ticket.name not in present:
                raise Gone("its key is gone")
            oldest = present[: self._size]
            if (
                len(oldest) == self._size
                and ticket.name in oldest
                and passing.names.isdisjoint(present)
            ):
                await self._begin_round(node, oldest)
            await followed.change()

    async def _begin_round(self, node: Node | None, names: list[str]) -> None:
        seen = ABSENT
        if node is not None:
            seen = Seen(node.value, node.modified_index, node.created_index, 0)
        register = Register(self._client, f"{self._path}/round")
        try:
            await register.change(seen, " ".join([self._unique(), *names]))
        except Unclear:
            return  # somebody else did; what he wrote is seen next

    async def _left(self, passing: _Round) -> None:
        followed = Followed(self._client, self._path, deep=True)
        await followed.begin()
        while not passing.names.isdisjoint(self._present(followed.nodes)):
            await followed.change()

    def _empty(self, passing: _Round) -> Deferred[None]:
        """Fires when nobody of the round is present."""
        return Deferred.fromCoroutine(self._left(passing))

    def _present(self, nodes: Mapping[str, Node]) -> list[str]:
        """The names of those who are there, the oldest first."""
        folder = f"{self._path}/present/"
        found = [node for key, node in nodes.items() if key.startswith(folder)]
        found.sort(key=lambda node: node.created_index)
        return [node.name for node in found]
