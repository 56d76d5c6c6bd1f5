"""A registry, its agent, a topic and a configuration, on servers of either make."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import Site

from kvd.client import Client, Limits
from kvd.client.recipes import (
    ConfigWatcher,
    LeastUsed,
    Message,
    Missed,
    Replaced,
    ServiceAgent,
    ServiceRegistry,
    Topic,
)
from kvd.testing.servers import HOST, Make, kill_all, lone_member, missing_tools
from tests.integration.conftest import require
from tests.integration.reacting import react

LIMITS = Limits(request_seconds=1.5, connect_seconds=1, silent_seconds=0.5)
TTL = 2


@pytest.fixture(scope="module", params=list(Make), ids=lambda make: make.value)
def server(request, tmp_path_factory):
    if request.param is Make.ETCD:
        require(not missing_tools("etcd"), "etcd (Debian: etcd-server)")
    made = lone_member(request.param, tmp_path_factory.mktemp("services"))
    try:
        made.start()
        made.wait_ready()
        yield made
    finally:
        kill_all([made])


async def until(reactor, come):
    while not come():
        await deferLater(reactor, 0.02)


def ids(instances):
    return [each.id for each in instances.now]


def test_a_list_comes_back_after_the_server_and_tells_its_age(server):
    told = []

    async def work(reactor):
        client = Client(reactor, [server.url], limits=LIMITS)
        registry = ServiceRegistry(client, "/registry", ttl=TTL)
        first = await registry.register("web", "web-1", "10.0.0.1:80")
        instances = registry.instances("web", told.append)
        await instances.start()
        second = await registry.register("web", "web-2", "10.0.0.2:80")
        await until(reactor, lambda: ids(instances) == ["web-1", "web-2"])
        lost = second.when_lost()
        await deferToThread(server.kill)
        # The list outlives those who are on it, and says so.
        await lost
        await until(reactor, lambda: instances.age_seconds > 0.5)
        assert ids(instances) == ["web-1", "web-2"]
        server.start()
        await gatherResults([each.when_registered() for each in (first, second)])
        await until(reactor, lambda: instances.age_seconds < 1)
        await until(reactor, lambda: ids(instances) == ["web-1", "web-2"])
        # Whoever comes with the same id takes its place.
        again = await registry.register("web", "web-1", "10.0.0.3:80")
        await until(reactor, lambda: instances.now[0].address == "10.0.0.3:80")
        with pytest.raises(Replaced):
            await until(reactor, lambda: first.is_over)
            await first.when_registered()
        await again.stop()
        await until(reactor, lambda: ids(instances) == ["web-2"])
        await second.stop()
        await until(reactor, lambda: ids(instances) == [])
        instances.close()
        await client.close()

    react(work)
    lists = [tuple(each.id for each in now) for now in told]
    assert all(before != after for before, after in pairwise(told))
    assert lists[0] == ("web-1",)
    assert lists[-1] == ()


class Named(Resource):
    """A page that says who serves it."""

    isLeaf = True

    def __init__(self, name):
        super().__init__()
        self._name = name

    def render(self, request):
        body = request.content.read().decode()
        return f"{self._name} {request.method.decode()} {body}".encode()


def test_requests_go_to_whoever_listens(server):
    async def work(reactor):
        client = Client(reactor, [server.url], limits=LIMITS)
        registry = ServiceRegistry(client, "/agents", ttl=60)
        ports = {}
        for name in ("a", "b"):
            ports[name] = reactor.listenTCP(0, Site(Named(name)), interface=HOST)
            address = f"{HOST}:{ports[name].getHost().port}"
            await registry.register("web", name, address)
        pool = HTTPConnectionPool(reactor)
        pool.retryAutomatically = False
        agent = ServiceAgent(registry, Agent(reactor, pool=pool), picker=LeastUsed)
        http = HTTPClient(agent)

        async def say(text):
            response = await http.post("service://web/x", data=text.encode())
            return await response.text()

        assert {await say("1"), await say("1")} == {"a POST 1", "b POST 1"}
        await ports["a"].stopListening()
        await pool.closeCachedConnections()
        # It is registered, but there is nobody: not one request is lost by that.
        assert [await say("2") for _ in range(4)] == ["b POST 2"] * 4
        await ports["b"].stopListening()
        agent.close()
        await pool.closeCachedConnections()
        await client.close()

    react(work)


def test_messages_are_kept_and_what_is_gone_is_said(server):
    async def work(reactor):
        client = Client(reactor, [server.url], limits=LIMITS)
        topic = Topic(client, "/topic", retain_seconds=None, retain_max=20)
        early = topic.durable("early", oldest=True)
        offsets = [await topic.publish(f"ü {number}") for number in range(15)]
        first = await early.next()
        assert first == Message(offsets[0], "ü 0")
        await early.done(first)
        early.close()
        # More than are kept, and more than any server remembers.
        for _ in range(11):
            await gatherResults([client.set("/noise", "x") for _ in range(100)])
        offsets += [await topic.publish(f"ü {number}") for number in range(15, 45)]
        late = topic.durable("early")
        missed = await late.next()
        assert isinstance(missed, Missed)
        kept = [await late.next() for _ in range(20)]
        oldest = offsets.index(missed.before)
        assert 20 <= len(offsets[oldest:]) <= 22, "a tenth more than are kept"
        assert [each.offset for each in kept] == offsets[oldest : oldest + 20]
        assert missed.after == first.offset
        await late.done(kept[-1])
        late.close()
        assert (await topic.durable("early").start()) == kept[-1].offset
        await client.close()

    react(work)


def test_a_configuration_follows_what_is_set_and_removed(server):
    told = []

    async def work(reactor):
        client = Client(reactor, [server.url], limits=LIMITS)
        config = ConfigWatcher(
            client,
            "/config",
            decode=json.loads,
            defaults={"d/a": 0},
            changed=lambda settings, changes: told.append((settings, changes)),
        )
        await config.start()
        await client.set("/config/d/a", "1")
        await client.set("/config/d/b", '{"x": 2}')
        await client.set("/config/e", "3", ttl=1)
        await until(
            reactor, lambda: dict(config) == {"d/a": 1, "d/b": {"x": 2}, "e": 3}
        )
        await until(reactor, lambda: "e" not in config)
        last = await client.delete("/config/d", recursive=True)
        await until(reactor, lambda: config.index == last.etcd_index)
        assert dict(config) == {"d/a": 0}
        config.close()
        await client.close()

    react(work)
    assert [[each.name for each in changes] for _, changes in told] == [
        ["d/a"],
        ["d/b"],
        ["e"],
        ["e"],
        ["d/a", "d/b"],
    ]
    indexes = [settings.index for settings, _ in told]
    assert indexes == sorted(set(indexes))
