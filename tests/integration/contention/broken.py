"""The same roles with recipes that lack their guard, which the judges have to notice."""

from __future__ import annotations

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
