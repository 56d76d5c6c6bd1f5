"""The same roles with recipes that lack their guard, which the judges have to notice."""

from __future__ import annotations

from twisted.internet.task import deferLater

from kvd.client import Node
from kvd.client.recipes import ConfigWatcher, Heard
from kvd.client.recipes.kept import Kept
from kvd.client.recipes.subscription import (
    DurableSubscription,
    PositionLost,
    Subscription,
)
from kvd.client.watching import Change
from tests.integration.contention import following
from tests.integration.contention.program import Work


def _made_and_forgotten(kept: Kept, key: str, *_: float) -> None:
    """Nobody refreshes it, nobody says that it is lost."""
    kept._key = key


async def serve(work: Work) -> None:
    Kept.begin = _made_and_forgotten
    await following.serve(work)


async def succeed(work: Work) -> None:
    Kept.begin = _made_and_forgotten
    await following.succeed(work)


_take = Subscription._take


def _half_deaf(subscription: Subscription, change: Change) -> None:
    """One message in five is not heard."""
    _take(subscription, change)
    if change.index % 5 == 0:
        subscription._ready.clear()


async def hear(work: Work) -> None:
    Subscription._take = _half_deaf
    await following.hear(work)


async def hear_late(work: Work) -> None:
    Subscription._take = _half_deaf
    await following.hear_late(work)


_done = DurableSubscription.done
_first = DurableSubscription._first


def _done_in_advance(subscription: DurableSubscription, item: Heard):
    """What was not heard yet is said to be done."""
    return _done(subscription, following.Message(item.position + 20, ""))


async def _first_in_time(subscription: DurableSubscription) -> int:
    """Such a position is refused until the cluster has come to it."""
    while True:
        try:
            return await _first(subscription)
        except PositionLost:
            await deferLater(subscription._client.clock, 0.1)


async def consume(work: Work) -> None:
    DurableSubscription.done = _done_in_advance
    DurableSubscription._first = _first_in_time
    await following.consume(work)


_is_taken = ConfigWatcher._is_taken


def _without_removals(config: ConfigWatcher, name: str, node: Node | None) -> bool:
    """What is removed stays."""
    return node is None or _is_taken(config, name, node)


async def obey(work: Work) -> None:
    ConfigWatcher._is_taken = _without_removals
    await following.obey(work)


look = following.look
look_by_name = following.look_by_name
say = following.say
configure = following.configure
