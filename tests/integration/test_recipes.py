"""Contending clients on members that are killed: what the recipes promise holds."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from kvd.client import Client, Limits
from kvd.client.recipes import Election, Lock
from kvd.testing.servers import Make, kill_all, lone_member, missing_tools, start_all
from tests.integration.conftest import require
from tests.integration.reacting import react

LIMITS = Limits(request_seconds=1.5, connect_seconds=1)


@pytest.mark.parametrize("make", list(Make), ids=lambda make: make.value)
def test_a_lock_passes_from_one_to_the_next(make, tmp_path):
    if make is Make.ETCD:
        require(not missing_tools("etcd"), "etcd (Debian: etcd-server)")
    server = lone_member(make, tmp_path)

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

    try:
        start_all([server])
        react(work)
    finally:
        kill_all([server])


class Guarded:
    """What a lock guards: it notices two at once, and an older one after a newer one."""

    def __init__(self):
        self.inside = 0
        self.tokens = []

    async def visit(self, reactor, held):
        assert self.inside == 0, "two hold the lock"
        self.inside += 1
        try:
            assert not self.tokens or held.token > self.tokens[-1]
            self.tokens.append(held.token)
            await deferLater(reactor, 0.05)
        finally:
            self.inside -= 1


async def contend(reactor, urls, number, guarded):
    """Hold the lock six times; the first one dies while it holds it a second time."""
    client = Client(reactor, urls[number % 3 :] + urls[: number % 3], limits=LIMITS)
    turns = 0
    while turns < 6:
        held = await Lock(client, "/locks/b", ttl=2).acquire()
        if held.is_held:
            await guarded.visit(reactor, held)
            turns += 1
        if number == 0 and turns == 2:
            break
        await held.release()
    await client.close()


async def lead(reactor, urls, number, guarded):
    """Lead three times; the first one dies the first time."""
    client = Client(reactor, urls[number:] + urls[:number], limits=LIMITS)
    election = Election(client, "/elect", ttl=2)
    turns = 0
    while turns < 3:
        held = await election.campaign(f"c{number}")
        if held.is_held:
            await guarded.visit(reactor, held)
            turns += 1
        if number == 0:
            break
        await held.release()
    await client.close()


async def look(client, seen):
    async for leader in Election(client, "/elect").observe():
        seen.append(leader)


def test_one_holds_a_lock_and_one_leads_while_members_and_clients_die(make_cluster):
    servers = make_cluster(3)
    urls = [each.url for each in servers]
    locked, led, seen = Guarded(), Guarded(), []

    async def work(reactor):
        client = Client(reactor, urls, limits=LIMITS)
        looking = Deferred.fromCoroutine(look(client, seen))
        working = [
            Deferred.fromCoroutine(contend(reactor, urls, number, locked))
            for number in range(5)
        ] + [
            Deferred.fromCoroutine(lead(reactor, urls, number, led))
            for number in range(3)
        ]
        while len(locked.tokens) < 6 or len(led.tokens) < 3:
            await deferLater(reactor, 0.02)
        name = await deferToThread(servers[0].leader_name)
        (leader,) = [each for each in servers if each.name == name]
        await deferToThread(leader.kill)
        await gatherResults(working, consumeErrors=True)
        while seen[-1] is not None:
            await deferLater(reactor, 0.02)
        assert await Election(client, "/elect").leader() is None
        await client.close()
        await looking

    react(work)
    assert len(locked.tokens) == 2 + 4 * 6
    assert len(led.tokens) == 1 + 2 * 3
    tokens = [each.token for each in seen if each is not None]
    assert tokens == sorted(set(tokens))
    assert set(led.tokens) <= set(tokens)
    assert {each.name for each in seen if each is not None} == {"c0", "c1", "c2"}
