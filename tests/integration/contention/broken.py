"""The same roles with recipes that lack their guard, which the judges have to notice."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from kvd.client.recipes import Barrier, Counter, DoubleBarrier, claims, counter
from kvd.client.recipes.register import Register, Seen
from kvd.client.recipes.tickets import Ticket
from tests.integration.contention import roles
from tests.integration.contention.program import Work


async def _no_wait(_ticket: Ticket) -> None:
    """It is everybody's turn."""


async def lock(work: Work) -> None:
    """A lock, and an election, that let everybody in: turns are not waited for."""
    Ticket.turn = _no_wait
    await roles.lock(work)


async def lead(work: Work) -> None:
    Ticket.turn = _no_wait
    await roles.lead(work)


async def observe(work: Work) -> None:
    """An observer that overhears one leader in three."""
    heard = 0
    note = work.note

    def forgetful(what: str, **facts: object) -> None:
        nonlocal heard
        heard += what == "saw"
        if what != "saw" or heard % 3:
            note(what, **facts)

    work.note = forgetful
    await roles.observe(work)


class _Careless(Register):
    """Whatever there is meanwhile, it is overwritten."""

    async def change(
        self, seen: Seen, value: str, *, ttl: int | None = None, **_: object
    ) -> Seen:
        made = await self._client.set(self._key, value, ttl=ttl)
        index = made.node.modified_index
        return Seen(value, index, made.node.created_index, index)


async def count(work: Work) -> None:
    """A counter that compares with nothing."""
    counter.Register = _Careless
    await roles.count(work)


async def take(work: Work) -> None:
    """A queue whose items one claims though another one has."""
    claims.Register = _Careless
    await roles.take(work)


async def count_by_name(work: Work) -> None:
    """One who adds again when an answer was lost, whatever came of the first time."""

    class Twice(Counter):
        def add(self, *_: object, operation: str) -> Deferred[int]:
            adding = super().add(operation=f"{operation}-first")
            return adding.addCallback(lambda _: super(Twice, self).add())

    roles.Counter = Twice
    await roles.count_by_name(work)


async def go(work: Work) -> None:
    """A barrier that holds nobody up."""
    Barrier.wait = lambda _barrier: succeed(None)
    await roles.go(work)


async def meet(work: Work) -> None:
    """A double barrier at whose way out nobody waits for the others."""

    class Hasty(DoubleBarrier):
        async def _left(self, _passing: object) -> None:
            return

    roles.DoubleBarrier = Hasty
    await roles.meet(work)


gate = roles.gate
put = roles.put
