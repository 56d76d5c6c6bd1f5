"""What a contending process does with each recipe, and what it notes of it."""

from __future__ import annotations

from kvd.client import NoAnswer, Unknown
from kvd.client.recipes import (
    Barrier,
    Counter,
    DoubleBarrier,
    Election,
    Full,
    Held,
    Lock,
    Overtaken,
    Queue,
)
from tests.integration.contention.program import Work

TTL = 3
ATTEMPTS_MAX = 5
POISON = "poison"
MEETING = 3
"""So many meet; there is one more."""
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
        await work.pause(0.05, 0.3)
    finally:
        await held.release()


async def lock(work: Work) -> None:
    guarded = Lock(work.client, f"{work.root}/lock", **TIMES)
    while True:
        await hold(work, "lock", await work.until_over(guarded.acquire()))
        await work.pause(0.0, 0.2)


async def lead(work: Work) -> None:
    election = Election(work.client, f"{work.root}/election", **TIMES)
    while True:
        campaign = election.campaign(work.who)
        await hold(work, "election", await work.until_over(campaign))
        await work.pause(0.0, 0.2)


async def observe(work: Work) -> None:
    """What an observer is told: the leader, or a token of 0 when there is none."""
    observer = Election(work.client, f"{work.root}/election").observe()
    try:
        while True:
            leader = await work.until_over(observer.next())
            name, token = (leader.name, leader.token) if leader else ("", 0)
            work.note("saw", token=token, name=name)
    finally:
        observer.close()


async def count(work: Work) -> None:
    """Add one after the other; each counts once, however it ends."""
    counter = Counter(work.client, f"{work.root}/counter", patience_seconds=4)
    while True:
        work.note("adding", of="counter")
        try:
            number = await work.until_over(counter.add())
        except NoAnswer:
            work.note("not added", of="counter")
        except Unknown:
            work.note("who knows", of="counter")
        else:
            work.note("added", of="counter", number=number)
        await work.pause(0.05, 0.15)


async def count_by_name(work: Work) -> None:
    """Give each addition a name, and ask for it until it is certain."""
    # More than others can add while one of us is frozen.
    counter = Counter(
        work.client, f"{work.root}/named", remembered_max=500, patience_seconds=1
    )
    serial = 0
    while True:
        serial += 1
        work.note("adding", of="named")
        while True:
            adding = counter.add(operation=f"{work.who}-{serial}")
            try:
                await work.until_over(adding)
            except (NoAnswer, Unknown):
                continue
            break
        work.note("added", of="named")
        await work.pause(0.05, 0.15)


async def gate(work: Work) -> None:
    """Block and release one's own barrier; leave it open for good."""
    barrier = Barrier(work.client, f"{work.root}/gate/{work.name}")
    while True:
        work.note("releasing", gate=work.name)
        await work.until_over(barrier.release())
        if work.calm:
            break
        await work.pause(0.0, 0.3)
        work.note("blocking", gate=work.name)
        await work.until_over(barrier.block())
        work.note("blocked", gate=work.name)
        await work.pause(0.1, 0.5)
    work.note("gate left open")


async def go(work: Work) -> None:
    """Wait at everybody's barriers."""
    while not work.calm:
        name = work.chance.choice(work.peers)
        barrier = Barrier(work.client, f"{work.root}/gate/{name}")
        work.note("waiting", gate=name)
        await work.until_over(barrier.wait())
        work.note("passed", gate=name)
        await work.pause(0.05, 0.15)
    work.note("went home")


async def put(work: Work) -> None:
    """Put work into the queue, each piece once, as long as there is room."""
    queue = Queue(work.client, f"{work.root}/queue", size_max=40, patience_seconds=4)
    serial = 0
    while not work.calm:
        serial += 1
        kind = POISON if work.chance.random() < 0.05 else "good"
        text = f"{work.who}-{serial}-{kind}"
        work.note("putting", text=text)
        try:
            name = await work.until_over(queue.put(text))
        except (Full, NoAnswer) as problem:
            work.note("not put", text=text, why=str(problem))
        except Unknown:
            work.note("maybe put", text=text)
        else:
            work.note("put", text=text, name=name)
        await work.pause(0.1, 0.4)
    work.note("stopped putting")


async def take(work: Work) -> None:
    """Take work, give one in ten back, and poison every time, and do the rest."""
    queue = Queue(work.client, f"{work.root}/queue", attempts_max=ATTEMPTS_MAX, **TIMES)
    while True:
        claim = await work.until_over(queue.take())
        text = claim.item.text
        noted(work, f"item {text}", claim, attempts=claim.item.attempts)
        await work.pause(0.02, 0.1)
        if text.endswith(POISON) or work.chance.random() < 0.1:
            await claim.release()
            continue
        work.note("worked", text=text)
        try:
            await work.until_over(claim.done())
        except (Overtaken, NoAnswer, Unknown) as problem:
            work.note("not done", text=text, why=str(problem))
        else:
            work.note("done", text=text)


async def meet(work: Work) -> None:
    """Enter with some of the others, and leave with them."""
    barrier = DoubleBarrier(work.client, f"{work.root}/meet", MEETING, **TIMES)
    while not work.calm:
        work.note("entering")
        entered = await work.until_over(barrier.enter())
        noted(work, "meeting", entered, round=entered.round)
        await work.pause(0.05, 0.2)
        await work.until_over(entered.leave())
        work.note("left", round=entered.round)
        await work.pause(0.1, 0.4)
