"""What a contending process does to be found, to be heard, and to be configured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kvd.client import Change, KeyNotFound, NoAnswer, Response, Unknown, Watch
from kvd.client.recipes import (
    ConfigWatcher,
    Instance,
    Message,
    Missed,
    Registration,
    ServiceRegistry,
    Settings,
    Subscription,
    Topic,
)
from tests.integration.contention.program import Work
from tests.integration.contention.roles import TIMES

KEPT = "kept"
"""A topic from which nothing is removed."""

SHORT = "short"
"""One in which only the newest are kept."""

RETAINED = {
    KEPT: {"retain_seconds": 900, "retain_max": None},
    SHORT: {"retain_seconds": None, "retain_max": 12},
}
BEFORE_RESUMING = 8
"""Messages after which a durable subscriber begins anew."""
_relisted = Watch._relisted


def registry_of(work: Work) -> ServiceRegistry:
    return ServiceRegistry(work.client, f"{work.root}/services", **TIMES)


def topic_of(work: Work, of: str) -> Topic:
    return Topic(work.client, f"{work.root}/topics/{of}", **RETAINED[of])


# Registry


async def be_found(work: Work, of: str, registration: Registration) -> None:
    """Until the end: whether it believes that it can be found."""
    try:
        while True:
            work.note("found", of=of)
            why = await work.until_over(registration.when_lost())
            work.note("lost", of=of, why=why)
            await work.until_over(registration.when_registered())
    finally:
        work.note("leaves", of=of)
        await registration.stop()


async def serve(work: Work) -> None:
    """Each process is another instance."""
    facts = {"who": work.who}
    registering = registry_of(work).register("each", work.who, "10.0.0.1:80", facts)
    await be_found(work, "each", await work.until_over(registering))


async def succeed(work: Work) -> None:
    """Each process takes the place of the one with its name before it."""
    facts = {"who": work.who}
    registering = registry_of(work).register("one", work.name, "10.0.0.1:80", facts)
    await be_found(work, "one", await work.until_over(registering))


async def look_for(work: Work, of: str) -> None:
    """Who is in the list, each time that it changes."""

    def hear(now: tuple[Instance, ...]) -> None:
        work.note("list", of=of, there=[each.metadata["who"] for each in now])

    instances = registry_of(work).instances(of, hear)
    try:
        await work.until_over(instances.start())
        while True:
            await work.pause(1.0, 1.0)
    finally:
        instances.close()


async def look(work: Work) -> None:
    await look_for(work, "each")


async def look_by_name(work: Work) -> None:
    await look_for(work, "one")


# Topic


async def say(work: Work) -> None:
    """Publish in both topics until it is calm, the last time with success."""
    topics = {of: topic_of(work, of) for of in RETAINED}
    serial = 0
    last: set[str] = set()
    while last != set(topics):
        serial += 1
        calm = work.calm
        for of, topic in topics.items():
            text = f"{work.who} {serial}"
            work.note("saying", of=of, text=text)
            try:
                offset = await work.until_over(topic.publish(text))
            except (NoAnswer, Unknown):
                continue
            work.note("said", of=of, offset=offset, text=text)
            if calm:
                last.add(of)
        await work.pause(0.03, 0.12)
    work.note("said all")


def noted(work: Work, of: str, item: Message | Missed, **facts: object) -> None:
    if isinstance(item, Message):
        work.note("heard", of=of, offset=item.offset, text=item.text, **facts)
    else:
        work.note("missed", of=of, after=item.after, before=item.before, **facts)


async def hear_all(
    work: Work, of: str, subscription: Subscription, *, dozes: float
) -> None:
    """
    :param dozes: after how many of all items it is not awake for a while.
    """
    try:
        begun = await work.until_over(subscription.start())
        work.note("listens", of=of, after=begun, by="")
        while True:
            noted(work, of, await work.until_over(subscription.next()), by="")
            if work.chance.random() < dozes and not work.calm:
                await work.pause(1.0, 3.0)
    finally:
        subscription.close()


async def hear(work: Work) -> None:
    """From now on, whatever is said; and how often anybody here lost history."""

    async def relisted(watch: Watch) -> Change | None:
        work.note("lost history", index=watch.index)
        return await _relisted(watch)

    Watch._relisted = relisted
    await hear_all(work, KEPT, topic_of(work, KEPT).subscribe(), dozes=0.0)


async def hear_late(work: Work) -> None:
    """The newest that are kept, and what is said after them; some of it is gone."""
    subscription = topic_of(work, SHORT).subscribe(after=0)
    await hear_all(work, SHORT, subscription, dozes=0.03)


async def consume(work: Work) -> None:
    """Go on where the last one with this name was; begin anew now and then."""
    topic = topic_of(work, KEPT)
    while True:
        subscription = topic.durable(work.name)
        try:
            begun = await work.until_over(subscription.start())
            work.note("listens", of=KEPT, after=begun, by=work.name)
            for _ in range(BEFORE_RESUMING):
                item = await work.until_over(subscription.next())
                noted(work, KEPT, item, by=work.name)
                if work.chance.random() < 0.5:
                    work.note("finishing", by=work.name, position=item.position)
                    await work.until_over(subscription.done(item))
                    work.note("finished", by=work.name, position=item.position)
        finally:
            subscription.close()


# Configuration

KEYS = ("a", "b", "dir/c", "dir/d")


async def write(
    work: Work, key: str, value: str | None, ask: Callable[[], Awaitable[Response]]
) -> bool:
    """One write, which is noted before and after; whether it is known to be done."""
    work.note("setting", key=key, value=value)
    try:
        response = await ask()
    except (NoAnswer, Unknown):
        return False
    except KeyNotFound as absent:
        work.note("set", key=key, value=None, index=absent.index)
        return True
    work.note("set", key=key, value=value, index=response.etcd_index)
    return True


async def configure(work: Work) -> None:
    """Set and remove one's own keys; at last, set each of them."""
    serial = 0
    left = set(KEYS)
    while left:
        serial += 1
        calm = work.calm
        name = min(left) if calm else work.chance.choice(KEYS)
        key = f"{work.name}/{name}"
        path = f"{work.root}/config/{key}"
        value = None if work.chance.random() < 0.2 and not calm else str(serial)

        async def ask(path: str = path, value: str | None = value) -> Response:
            if value is None:
                return await work.until_over(work.client.delete(path))
            said = f"{work.who} {value}"
            return await work.until_over(work.client.set(path, said))

        said = None if value is None else f"{work.who} {value}"
        if await write(work, key, said, ask) and calm:
            left.discard(name)
        await work.pause(0.05, 0.15)
    work.note("configured")


async def obey(work: Work) -> None:
    """All values, as of each index at which one of them changed."""

    def hear(settings: Settings[str], _: object) -> None:
        work.note("config", index=settings.index, values=dict(settings.values))

    config = ConfigWatcher(work.client, f"{work.root}/config", changed=hear)
    try:
        await work.until_over(config.start())
        while True:
            await work.pause(0.5, 0.5)
            work.note("config reached", index=config.index)
    finally:
        config.close()
