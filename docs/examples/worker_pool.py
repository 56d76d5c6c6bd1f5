"""
Workers on many machines, of which one hands out the work.

    python worker_pool.py --endpoints http://127.0.0.1:2379 --name w1

Whoever has work for them creates a key in order below ``/pool/tasks``. One of the workers
leads: it gives each task to the one that has the fewest, and what a dead one had to
another one. All that it knows is in the cluster, so when the leader dies the next one
goes on where it was. A task may be done twice (its worker was only believed to be dead);
one result is kept.

    /pool/workers/NAME      registered while it lives
    /pool/tasks/NUMBER      what is to be done
    /pool/given/NAME/NUMBER the same, for one of the workers
    /pool/done/NUMBER       what came of it
"""

from __future__ import annotations

import argparse
import contextlib
import sys

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater, react

from kvd.client import (
    Client,
    KeyExists,
    KeyNotFound,
    Limits,
    NoAnswer,
    Unknown,
    use_monotonic_clock,
)
from kvd.client.recipes import Election, ServiceRegistry

TTL = 3
AGAIN_SECONDS = 0.5
WORK_SECONDS = 0.1


class Worker:
    """One of the pool; every one may lead."""

    def __init__(self, reactor, client, name):
        self._reactor = reactor
        self._client = client
        self._name = name

    async def run(self):
        """Ends only by an error that waiting does not help against."""
        registry = ServiceRegistry(self._client, "/pool", ttl=TTL)
        await registry.register("workers", self._name, "nowhere:0")
        jobs = [self._again(self._work), self._stand()]
        await gatherResults([Deferred.fromCoroutine(each) for each in jobs])

    async def _stand(self):
        """Lead whenever it is this worker's turn, for as long as that is sure."""
        election = Election(self._client, "/pool-leader", ttl=TTL)
        while True:
            held = await election.campaign(self._name)
            self._say("leads")
            leading = Deferred.fromCoroutine(self._again(self._hand_out))
            held.when_lost().addCallback(lambda _, leading=leading: leading.cancel())
            with contextlib.suppress(CancelledError):
                await leading
            self._say("does not lead any more")
            await held.release()

    async def _again(self, turn):
        """
        Turn after turn, also through failures of members: each begins by looking at what
        there is.
        """
        while True:
            try:
                await turn()
            except (NoAnswer, Unknown):
                await deferLater(self._reactor, AGAIN_SECONDS)

    # -- work ---------------------------------------------------------------------------

    async def _work(self):
        """Do all that there is for this worker, or wait for some."""
        own = f"/pool/given/{self._name}"
        tree, index = await self._tree(own)
        for number, text in tree.items():
            result = f"{await self._do(text)} (by {self._name})"
            with contextlib.suppress(KeyExists):
                await self._client.create(f"/pool/done/{number}", result)
            for key in (f"/pool/tasks/{number}", f"{own}/{number}"):
                with contextlib.suppress(KeyNotFound):
                    await self._client.delete(key)
        if not tree:
            await self._change(own, index)

    async def _do(self, text):
        await deferLater(self._reactor, WORK_SECONDS)
        return text.upper()

    # -- lead ---------------------------------------------------------------------------

    async def _hand_out(self):
        """Give what is not given, then wait for a change."""
        pool, index = await self._tree("/pool")
        given = pool.get("given", {})
        loads = {name: dict(given.get(name, {})) for name in pool.get("workers", {})}
        for name in given.keys() - loads.keys():
            await self._forget(name)
        taken = {number for tasks in loads.values() for number in tasks}
        for number, text in pool.get("tasks", {}).items():
            if number not in taken and loads:
                name = min(loads, key=lambda each: len(loads[each]))
                await self._client.set(f"/pool/given/{name}/{number}", text)
                loads[name][number] = text
        await self._change("/pool", index)

    async def _forget(self, name):
        """A dead worker's tasks are no longer given to anybody."""
        with contextlib.suppress(KeyNotFound):
            await self._client.delete(f"/pool/given/{name}", recursive=True)

    async def _tree(self, path):
        """Names and values, or trees of them, in order; and the index that it is of."""
        try:
            found = await self._client.get(
                path, recursive=True, in_order=True, quorum=True
            )
        except KeyNotFound as absent:
            return {}, absent.index
        return _as_tree(found.node), found.etcd_index

    async def _change(self, path, index):
        """Wait until something has happened after that."""
        await self._client.watch(path, recursive=True, after_index=index).next()

    def _say(self, text):
        sys.stdout.write(f"{self._name} {text}\n")
        sys.stdout.flush()


def _as_tree(node):
    if not node.dir:
        return node.value
    return {each.name: _as_tree(each) for each in node.nodes}


async def main(reactor):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--endpoints", default="http://127.0.0.1:2379")
    parser.add_argument("--name", required=True)
    options = parser.parse_args()
    use_monotonic_clock(reactor)  # who leads must know for how long
    limits = Limits(connect_seconds=0.5, request_seconds=1.5)
    client = Client(reactor, options.endpoints.split(","), limits=limits)
    await Worker(reactor, client, options.name).run()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
