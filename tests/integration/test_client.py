"""kvd.client against real members of either make."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from kvd.client import (
    Client,
    CompareFailed,
    DirectoryNotEmpty,
    KeyExists,
    KeyNotFound,
    NoAnswer,
    NotADirectory,
    NotAFile,
    Refused,
    RootReadOnly,
)
from kvd.testing.servers import (
    HOST,
    Make,
    cluster,
    free_ports,
    kill_all,
    lone_member,
    missing_tools,
    start_all,
)
from tests.integration.conftest import require
from tests.integration.reacting import react

MAKES = [pytest.param(each, id=each.value) for each in Make]


@pytest.fixture(scope="module", params=MAKES)
def make(request):
    if request.param is Make.ETCD:
        require(not missing_tools("etcd"), "etcd (Debian: etcd-server)")
    return request.param


@pytest.fixture(scope="module")
def alone(make, tmp_path_factory):
    """A member for tests that leave it as it is."""
    server = lone_member(make, tmp_path_factory.mktemp("alone"))
    try:
        start_all([server])
        yield server
    finally:
        kill_all([server])


@pytest.fixture
def three(make, tmp_path):
    servers = cluster(make, tmp_path / "three", 3)
    try:
        start_all(servers)
        yield servers
    finally:
        kill_all(servers)


def pause(reactor, seconds):
    return deferLater(reactor, seconds)


async def fails(kind, asked: Deferred):
    with pytest.raises(kind) as said:
        await asked
    return said.value


async def every_operation(reactor, url):
    client = Client(reactor, [url])
    made = await client.create("/ops/a", "1")
    assert (made.action, made.created, made.etcd_index) == (
        "create",
        True,
        made.node.created_index,
    )
    assert (await fails(KeyExists, client.create("/ops/a", "2"))).cause == "/ops/a"
    swapped = await client.compare_and_swap("/ops/a", "2", prev_value="1")
    assert (swapped.action, swapped.previous.value) == ("compareAndSwap", "1")
    await fails(CompareFailed, client.compare_and_swap("/ops/a", "3", prev_index=1))
    assert (await client.update("/ops/a", "3", ttl=100)).node.ttl == 100
    refreshed = await client.refresh("/ops/a", 200, prev_value="3")
    assert (refreshed.node.value, refreshed.node.created_index) == (
        "3",
        made.node.created_index,
    )
    await fails(CompareFailed, client.refresh("/ops/a", 200, prev_value="4"))
    await fails(KeyNotFound, client.refresh("/ops/none", 200))
    read = await client.get("/ops/a", quorum=True)
    assert (read.node.value, 0 < read.node.ttl <= 200) == ("3", True)
    await client.mkdir("/ops/d")
    await fails(KeyExists, client.mkdir("/ops/d"))
    await fails(NotAFile, client.set_dir("/ops/d"))
    await client.update_dir("/ops/d", ttl=100)
    orders = [await client.create_in_order("/ops/d", str(each)) for each in range(3)]
    listed = await client.ls("/ops", recursive=True, quorum=True)
    assert [each.key for each in listed] == [
        "/ops/a",
        "/ops/d",
        *(each.node.key for each in orders),
    ]
    assert [each.value for each in listed[2:]] == ["0", "1", "2"]
    await fails(DirectoryNotEmpty, client.rmdir("/ops/d"))
    await fails(NotAFile, client.delete("/ops/d"))
    await fails(NotADirectory, client.set("/ops/a/b", "x"))
    await fails(RootReadOnly, client.delete("/", recursive=True))
    await client.delete("/ops/d", recursive=True)
    index = (await client.get("/ops/a")).node.modified_index
    assert (await client.compare_and_delete("/ops/a", prev_index=index)).event.removed
    await client.set_dir("/ops/e")
    await client.rmdir("/ops/e")
    await client.close()


async def any_key_and_value(reactor, url):
    client = Client(reactor, [url])
    for key in ("/odd/ ?#%2F;+&=", "/odd/ключ", "/odd/\x01\n", "/odd/_h", "/odd/..."):
        await client.set(key, key)
        node = (await client.get(key)).node
        assert (node.key, node.value) == (key, key)
        found = await client.compare_and_delete(key, prev_value=key)
        assert found.previous.value == key
    await client.set(b"/odd/\xff\x00", b"\xfe")
    assert (await client.get(b"/odd/\xff\x00")).node.value == "\ufffd"
    await client.compare_and_swap(b"/odd/\xff\x00", "", prev_value=b"\xfe")
    await client.set("/odd/long", "x" * 3_000_000)
    assert len((await client.get("/odd/long")).node.value) == 3_000_000
    assert [each.key for each in await client.ls("/odd")] == [
        "/odd/long",
        "/odd/\ufffd\x00",
    ]
    await client.delete("/odd", recursive=True)
    await client.close()


async def what_the_server_says_of_itself(reactor, url):
    client = Client(reactor, [url])
    (member,) = await client.members.list()
    assert member == await client.members.leader()
    assert member.name == "alone"
    await fails(Refused, client.members.remove("1234"))
    assert await client.health()
    assert (await client.version()).server
    assert (await client.stats())["name"] == "alone"
    assert (await client.stats("leader"))["leader"] == member.id
    assert (await client.stats("store"))["getsSuccess"] >= 0
    # Its advertised URL leads nowhere, and does no harm.
    assert len(await client.sync()) == 2
    await client.set("/said", "1")
    assert (await client.get("/said", quorum=True)).endpoint == client.endpoints[0]
    await client.close()


def test_every_operation_on_keys(alone):
    react(every_operation, alone.url)


def test_keys_and_values_of_any_bytes(alone):
    react(any_key_and_value, alone.url)


def test_members_health_version_and_statistics(alone):
    react(what_the_server_says_of_itself, alone.url)


def test_when_nobody_listens_nothing_was_changed():
    (port,) = free_ports(1)

    async def ask(reactor):
        client = Client(reactor, [f"http://{HOST}:{port}"])
        problem = await fails(NoAnswer, client.set("/k", "v"))
        assert "refused" in str(problem)
        await client.close()

    react(ask)
