"""Recipes on virtual time: the point of it all."""

from __future__ import annotations

import treq
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import Site

from kvd.client.recipes import (
    ConfigWatcher,
    Election,
    Lock,
    ServiceAgent,
    ServiceRegistry,
)


def test_a_lock_is_kept_as_long_as_it_is_refreshed(member):
    held = member.result_of(Lock(member.client(), "/lock", ttl=10).acquire())

    member.advance(100)

    assert held.is_held
    member.result_of(held.release())


def test_a_lock_is_lost_when_time_passes_without_a_refresh(cluster):
    first, second = cluster.members[:2]
    held = cluster.result_of(Lock(cluster.client(first), "/lock", ttl=10).acquire())
    waiting = Lock(cluster.client(second), "/lock", ttl=10).acquire()
    lost = held.when_lost()
    cluster.settle()

    first.cut_off(clients=True)
    cluster.advance(8)
    assert held.is_held
    assert not waiting.called
    cluster.advance(2)

    assert not held.is_held
    assert "kept alive" in cluster.result_of(lost, seconds=0)
    following = cluster.result_of(waiting)
    assert following.token > held.token
    cluster.result_of(following.release())
    cluster.heal()
    cluster.advance(30)


def test_an_election_moves_on_when_its_leader_is_cut_off(cluster):
    ours, theirs = cluster.members[:2]
    leading = cluster.result_of(
        Election(cluster.client(ours), "/cron", ttl=5).campaign("ours")
    )
    election = Election(cluster.client(theirs), "/cron", ttl=5)
    coming = election.campaign("theirs")
    cluster.settle()

    ours.cut_off(clients=True)
    held = cluster.result_of(coming)

    assert not leading.is_held
    assert cluster.result_of(election.leader()).name == "theirs"
    assert held.token > leading.token
    cluster.result_of(held.release())
    cluster.heal()
    cluster.advance(30)


def test_an_election_lives_through_the_loss_of_the_clusters_leader(cluster):
    election = Election(cluster.client(), "/cron", ttl=30)
    held = cluster.result_of(election.campaign("ours"))

    cluster.drop_leader()
    cluster.advance(60)

    assert held.is_held
    cluster.result_of(held.release())


def test_a_lock_whose_creation_is_unknown_is_found_again(member):
    client = member.client()
    member.lose_next_answer(method="POST")

    held = member.result_of(Lock(client, "/lock").acquire())

    assert len(member.result_of(client.ls("/lock"))) == 1
    member.result_of(held.release())


def test_a_program_that_sleeps_for_long_is_awake_at_once(member):
    client = member.client()

    async def report():
        for _ in range(3):
            await deferLater(member.reactor, 600)
            await client.set("/report", str(member.seconds), ttl=900)

    member.result_of(report(), seconds=3600)
    assert member.seconds > 1800


class Named(Resource):
    isLeaf = True

    def __init__(self, name):
        super().__init__()
        self.name = name

    def render_GET(self, request):
        return self.name.encode()


def test_services_in_memory_are_found_and_asked_in_memory(cluster):
    """Two web servers, a registry, and an agent that balances, all on virtual time."""
    reactor, near = cluster.reactor, cluster.members[0]
    registry = ServiceRegistry(cluster.client(*cluster.members[1:]), ttl=10)
    ports, registered = {}, {}
    for name, via in (("one", cluster.client(near)), ("two", cluster.client())):
        ports[name] = reactor.listenTCP(0, Site(Named(name), reactor=reactor))
        address = f"127.0.0.1:{ports[name].getHost().port}"
        registered[name] = cluster.result_of(
            ServiceRegistry(via, ttl=10).register("web", name, address)
        )
    pool = HTTPConnectionPool(reactor, persistent=False)
    agent = ServiceAgent(registry, Agent(reactor, pool=pool))
    http = treq.client.HTTPClient(agent)

    async def ask():
        response = await http.get("service://web/")
        return await response.text()

    def asked():
        return {cluster.result_of(ask()) for _ in range(4)}

    assert asked() == {"one", "two"}
    near.cut_off(members=False, clients=True)
    cluster.advance(15)
    assert not registered["one"].is_registered
    assert asked() == {"two"}

    near.heal()
    cluster.result_of(registered["one"].when_registered())
    cluster.settle()
    assert asked() == {"one", "two"}

    agent.close()
    for name, port in ports.items():
        cluster.result_of(registered[name].stop())
        port.stopListening()
        port.factory.stopFactory()
    cluster.settle()


def test_a_configuration_is_right_again_after_history_was_lost(cluster):
    cut, *others = cluster.members
    writer = cluster.client(*others)
    cluster.result_of(writer.set("/config/size", "1"))
    config = ConfigWatcher(cluster.client(cut), "/config", decode=int)
    cluster.result_of(config.start())
    assert config["size"] == 1

    cut.kill()
    cluster.result_of(writer.set("/config/size", "2"))
    cluster.result_of(writer.set("/config/size", "3"))
    cluster.clear_history()
    cut.start()
    cut.wait_until_serving()
    cluster.clear_history()
    cluster.advance(10)

    assert config["size"] == 3
    config.close()
