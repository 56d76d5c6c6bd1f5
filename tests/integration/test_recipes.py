"""The recipes on members of both makes; ``test_contention`` has the storm."""

from __future__ import annotations

import pytest
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from kvd.client import Client
from kvd.client.recipes import (
    Barrier,
    Counter,
    DoubleBarrier,
    Election,
    Lock,
    Overtaken,
    Queue,
)
from kvd.testing.servers import Make, kill_all, lone_member, missing_tools, start_all
from tests.integration.conftest import require
from tests.integration.reacting import react


@pytest.fixture(scope="module", params=list(Make), ids=lambda make: make.value)
def server(request, tmp_path_factory):
    if request.param is Make.ETCD:
        require(not missing_tools("etcd"), "etcd (Debian: etcd-server)")
    server = lone_member(request.param, tmp_path_factory.mktemp("alone"))
    try:
        start_all([server])
        yield server
    finally:
        kill_all([server])


def test_a_lock_passes_from_one_to_the_next(server):
    async def work(reactor):
        first, second, third = (Client(reactor, [server.url]) for _ in range(3))
        held = await Lock(first, "/locks/a", ttl=1).acquire()
        lost = held.when_lost()
        waiting = Lock(second, "/locks/a", ttl=1).acquire()
        # Longer than the ttl: both keys are kept alive.
        await deferLater(reactor, 1.6)
        assert held.is_held
        assert not waiting.called
        await held.release()
        assert await lost == "it was released"
        next_held = await waiting
        assert next_held.token > held.token
        # One that is gone without a word is passed over.
        later = Lock(third, "/locks/a", ttl=1).acquire()
        died = next_held.when_lost()
        await second.close()
        last = await later
        assert died.called, "the holder was told before the next one had it"
        assert last.token > next_held.token
        # One whose key somebody removes is told.
        (node,) = await first.ls("/locks/a")
        gone = last.when_lost()
        await first.delete(node.key)
        assert await gone == "its key is gone"
        await gatherResults([each.close() for each in (first, third)])

    react(work)


def test_items_come_in_order_and_again_when_their_worker_is_gone(server):
    async def work(reactor):
        first, second = (Client(reactor, [server.url]) for _ in range(2))
        times = {"ttl": 1, "margin_seconds": 0.3, "attempts_max": 2}
        queue, other = (Queue(each, "/queue", **times) for each in (first, second))
        waiting = other.take()
        for text in ("a", "b b", "c\n"):
            await queue.put(text)
        claimed = await waiting
        assert (claimed.item.text, claimed.item.attempts) == ("a", 1)
        next_one = await queue.take()
        assert next_one.item.text == "b b"
        await next_one.done()
        # Longer than the ttl: it is kept alive, and not taken by anybody else.
        third = await queue.take()
        waiting = queue.take()
        await deferLater(reactor, 1.6)
        assert claimed.is_held
        assert not waiting.called
        # One that is gone without a word is passed over, and its item comes again.
        died = claimed.when_lost()
        await second.close()
        again = await waiting
        assert died.called, "its holder was told before another one had it"
        assert (again.item.text, again.item.attempts) == ("a", 2)
        assert again.token > claimed.token
        await again.release()
        # Twice is as often as it may be tried.
        waiting = queue.take()
        while not await queue.failed():
            await deferLater(reactor, 0.02)
        assert not waiting.called
        waiting.addErrback(lambda _: None).cancel()
        (poison,) = await queue.failed()
        assert (poison.text, poison.attempts) == ("a", 2)
        await queue.discard(poison)
        assert not await queue.failed()
        # Somebody else claims what is not held any more; the first one hears of it.
        await third.release()
        last = await queue.take()
        assert last.item.text == "c\n"
        with pytest.raises(Overtaken):
            await third.done()
        await last.done()
        assert not await queue.items()
        await first.close()

    react(work)


def test_a_counter_counts_and_barriers_hold(server):
    async def work(reactor):
        first, second = (Client(reactor, [server.url]) for _ in range(2))
        counters = [Counter(each, "/counter") for each in (first, second)]
        additions = [counters[number % 2].add() for number in range(20)]
        assert sorted(await gatherResults(additions)) == list(range(1, 21))
        named = [each.add(5, operation="once") for each in counters]
        assert 25 in await gatherResults(named)
        assert await counters[0].value() == 25

        barrier, other = (Barrier(each, "/barrier") for each in (first, second))
        await other.wait()
        for _ in range(2):
            await barrier.block()
            passing = other.wait()
            assert await other.is_blocked()
            assert not passing.called
            await barrier.release()
            await passing

        meeting = [DoubleBarrier(each, "/meet", 2, ttl=1) for each in (first, second)]
        for _ in range(2):
            inside = await gatherResults([each.enter() for each in meeting])
            assert inside[0].round == inside[1].round
            leaving = inside[0].leave()
            early = meeting[0].enter()
            await deferLater(reactor, 0.1)
            assert not leaving.called
            await inside[1].leave()
            await leaving
            assert not early.called
            early.addErrback(lambda _: None).cancel()
        await gatherResults([each.close() for each in (first, second)])

    react(work)


def test_who_leads_is_seen_in_order(server):
    async def work(reactor):
        first, second = (Client(reactor, [server.url]) for _ in range(2))
        elections = [Election(each, "/election", ttl=2) for each in (first, second)]
        observer = elections[0].observe()
        assert await observer.next() is None
        leading = await elections[0].campaign("ann")
        waiting = elections[1].campaign("bob")
        assert (await observer.next()).name == "ann"
        assert (await elections[1].leader()).token == leading.token
        await leading.release()
        followed = await waiting
        assert followed.token > leading.token
        assert (await observer.next()).name == "bob"
        await followed.release()
        assert await observer.next() is None
        await gatherResults([each.close() for each in (first, second)])

    react(work)
