"""What a contending process does with each recipe, and what it notes of it."""

from __future__ import annotations

from kvd.client.recipes import Election, Held, Lock
from tests.integration.contention.program import Work

ROOT = "/contention"
TTL = 3
# Longer than a process may be kept from running without being called stalled.
TIMES = {"ttl": TTL, "margin_seconds": 0.8}


def noted(work: Work, of: str, held: Held, **facts: object) -> None:
    """From here on it is held; its end will be noted, too."""
    work.note("held", of=of, token=held.token, **facts)

    def over(why: str) -> None:
        work.note("over", of=of, token=held.token, why=why)

    held.when_lost().addCallback(over)


async def hold(work: Work, of: str, held: Held) -> None:
    """Hold it for a while, and let the next one have it."""
    noted(work, of, held)
    try:
        await work.pause(0.02, 0.2)
    finally:
        await held.release()


async def lock(work: Work) -> None:
    guarded = Lock(work.client, f"{ROOT}/lock", **TIMES)
    while True:
        await hold(work, "lock", await work.until_over(guarded.acquire()))
        await work.pause(0.0, 0.2)


async def lead(work: Work) -> None:
    election = Election(work.client, f"{ROOT}/election", **TIMES)
    while True:
        campaign = election.campaign(f"{work.who} leads")
        await hold(work, "election", await work.until_over(campaign))
        await work.pause(0.0, 0.2)


async def observe(work: Work) -> None:
    """What an observer is told: the leader's token, 0 when there is none."""
    observer = Election(work.client, f"{ROOT}/election").observe()
    try:
        while True:
            leader = await work.until_over(observer.next())
            work.note("saw", token=leader.token if leader else 0)
    finally:
        observer.close()
