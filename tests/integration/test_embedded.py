"""Several members in one process, and the process's own ways to them."""

from __future__ import annotations

import re

import attrs
from treq.client import HTTPClient
from twisted.application.service import MultiService
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import Site

from kvd.api import Config, Embedded, KvdService
from kvd.client import Client, Event
from kvd.client.recipes import Election
from kvd.embedding import InProcess, local_client, resource
from kvd.testing.servers import HOST, free_ports
from tests.integration.reacting import react


def configurations(folder):
    """Of three members on loopback."""
    ports = free_ports(6)
    names = ("one", "two", "three")
    peers = {
        name: (f"http://{HOST}:{port}",)
        for name, port in zip(names, ports[:3], strict=True)
    }
    made = []
    for name, port in zip(names, ports[3:], strict=True):
        client = (f"http://{HOST}:{port}",)
        made.append(
            Config(
                name=name,
                data_dir=str(folder / name),
                listen_peer_urls=peers[name],
                initial_advertise_peer_urls=peers[name],
                listen_client_urls=client,
                advertise_client_urls=client,
                initial_cluster=tuple(peers.items()),
                heartbeat_interval=50,
                election_timeout=500,
            )
        )
    return made


class Program(MultiService):
    """Somebody else's, with members among its services."""

    def __init__(self, reactor):
        super().__init__()
        self.reactor = reactor
        self.ended = []

    def member(self, config):
        made = KvdService(
            reactor=self.reactor, config=config, process=Embedded(self.ended.append)
        )
        made.setServiceParent(self)
        return made


async def puts(reactor, member):
    """How many sets a member's own page of metrics counts."""
    http = InProcess(member.entrance, clock=reactor)
    response = await http.request("GET", "http://localhost:80/metrics")
    page = (await readBody(response)).decode()
    counted = re.findall(
        r'^etcd_http_received_total\{method="PUT"\} (\d+)', page, re.MULTILINE
    )
    return sum(map(int, counted))


def test_three_members_in_one_process_are_a_cluster(tmp_path):
    configs = configurations(tmp_path)

    async def work(reactor):
        program = Program(reactor)
        members = [program.member(config) for config in configs]
        clients = [local_client(each) for each in members]
        first = clients[0].set("/before", "1")  # before anything has started
        program.startService()
        await gatherResults([each.serving for each in members])
        assert (await first).node.value == "1"
        read = await clients[2].get("/before", quorum=True)
        assert read.node.value == "1"
        assert len(await clients[1].members.list()) == 3
        for number in range(3):
            await clients[0].set("/k", str(number))
        assert [await puts(reactor, each) for each in members] == [4, 0, 0]
        await restart(program, members, clients, reactor)
        await maybeDeferred(program.stopService)
        assert program.ended == []

    react(work)


async def restart(program, members, clients, reactor):
    """One stops; the others go on; a new service of the same member catches up."""
    watch = clients[1].watch("/while", recursive=True)
    await watch.start()
    change = watch.next()
    await maybeDeferred(members[0].disownServiceParent)
    await clients[1].set("/while/away", "2")
    found = await change
    assert isinstance(found, Event)
    assert found.node.value == "2"
    again = program.member(members[0].config)
    client = local_client(again)
    assert (await client.get("/while/away", quorum=True)).node.value == "2"
    assert again.serving.called
    held = await Election(client, "/elect").campaign("again")
    leader = await Election(clients[2], "/elect").leader()
    assert leader is not None
    assert leader.name == "again"
    await held.release()


def test_a_site_has_a_member_below_it(tmp_path):
    (config, *_) = configurations(tmp_path)
    alone = attrs.evolve(config, initial_cluster=config.initial_cluster[:1])
    (port,) = free_ports(1)

    async def work(reactor):
        program = Program(reactor)
        member = program.member(alone)
        root = Resource()
        root.putChild(b"kvd", resource(member))
        listening = reactor.listenTCP(port, Site(root), interface=HOST)
        program.startService()
        pool = HTTPConnectionPool(reactor)
        treq = HTTPClient(Agent(reactor, pool=pool))
        url = f"http://{HOST}:{port}/kvd/v2/keys"
        made = await treq.put(f"{url}/a", data={"value": "x y"})
        assert made.code == 201
        assert (await made.json())["node"]["value"] == "x y"
        watching = treq.get(f"{url}/a", params={"wait": "true"})
        answer = await watching
        client = Client(reactor, config.advertise_client_urls)
        await client.set("/a", "z")
        assert (await answer.json())["node"]["value"] == "z"
        stream = await treq.get(
            f"{url}/", params={"wait": "true", "stream": "true", "recursive": "true"}
        )
        pieces = []
        ended = stream.collect(pieces.append)
        await client.set("/b", "1")
        while not pieces:
            await deferLater(reactor, 0.01)
        stopped = maybeDeferred(program.stopService)
        await gatherResults([stopped, ended])
        assert b'"key":"/b"' in b"".join(pieces)
        gone = await treq.get(f"{url}/a")
        assert gone.code == 503
        assert await gone.text() == "the member is stopping\n"
        await client.close()
        await maybeDeferred(listening.stopListening)
        await pool.closeCachedConnections()

    react(work)
