"""Contending clients on members that are killed: what the recipes promise holds."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from kvd.client import Client, Limits
from kvd.client.recipes import Lock
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


def test_one_holds_a_lock_at_a_time_while_members_and_holders_die(make_cluster):
    servers = make_cluster(3)
    urls = [each.url for each in servers]
    guarded = Guarded()

    async def contend(reactor, number):
        """Take turns; the first one dies while it holds the lock."""
        client = Client(reactor, urls[number % 3 :] + urls[: number % 3], limits=LIMITS)
        turns = 0
        while turns < 6:
            held = await Lock(client, "/locks/b", ttl=3).acquire()
            if held.is_held:
                await guarded.visit(reactor, held)
                turns += 1
            if number == 0 and turns == 2:
                await client.close()
                return "died"
            await held.release()
        await client.close()
        return "done"

    async def work(reactor):
        contending = [
            Deferred.fromCoroutine(contend(reactor, number)) for number in range(5)
        ]
        while len(guarded.tokens) < 6:
            await deferLater(reactor, 0.02)
        name = await deferToThread(servers[0].leader_name)
        (leader,) = [each for each in servers if each.name == name]
        await deferToThread(leader.kill)
        return await gatherResults(contending, consumeErrors=True)

    assert react(work) == ["died", "done", "done", "done", "done"]
    assert len(guarded.tokens) == 2 + 4 * 6
    assert guarded.tokens == sorted(set(guarded.tokens))
