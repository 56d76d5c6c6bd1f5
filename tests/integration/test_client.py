"""kvd.client against real members of either make."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from kvd.client import (
    TLS,
    Client,
    CompareFailed,
    DirectoryNotEmpty,
    KeyExists,
    KeyNotFound,
    Limits,
    NoAnswer,
    NotADirectory,
    NotAFile,
    Refused,
    Relisted,
    RootReadOnly,
    Unauthorized,
    Unknown,
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
from tests.integration.secure import Folder, secure_port, secured

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


async def users_that_exist_already(reactor, url):
    client = Client(reactor, [url])
    auth = client.auth
    await auth.create_user("root", "first")
    await auth.create_user("bob", "first", ["not-there"])
    for name in ("root", "bob"):
        problem = await fails(Refused, auth.create_user(name, "second"))
        assert (problem.status, "exists" in problem.message) == (409, True)
    problem = await fails(Refused, auth.change_password("nobody", "second"))
    assert (problem.status, "exist" in problem.message) == (404, True)
    await auth.change_password("bob", "second")
    await auth.enable()
    root = Client(reactor, [url], auth=("root", "first"))  # it has stayed
    await root.auth.remove_user("bob")
    assert [each.name for each in await root.auth.users()] == ["root"]
    await root.auth.disable()
    await gatherResults([client.auth.remove_user("root"), root.close()])
    await client.close()


def test_a_user_is_neither_overwritten_nor_created_by_mistake(alone):
    react(users_that_exist_already, alone.url)


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


async def write_until_it_counts(reactor, client, key, value):
    """What a program does about Unknown: look, and write again if it must."""
    while True:
        try:
            return await client.create(key, value)
        except (Unknown, NoAnswer):
            await pause(reactor, 0.2)
        except KeyExists:
            return await client.get(key, quorum=True)


def test_a_client_goes_on_when_the_member_that_serves_is_killed(three):
    by_url = {each.url: each for each in three}

    async def work(reactor):
        client = Client(reactor, [three[0].url], limits=Limits(request_seconds=2))
        assert set(await client.sync()) == set(by_url)
        watch = client.watch("/over", recursive=True)
        await watch.start()
        heard = []
        listening = watch.each(heard.append)
        for number in range(30):
            if number == 15:
                by_url[client.endpoints[0]].kill()
            await write_until_it_counts(reactor, client, f"/over/{number}", "x")
        while len(heard) < 30:
            await pause(reactor, 0.05)
        assert [each.node.key for each in heard] == [
            f"/over/{number}" for number in range(30)
        ]
        watch.close()
        await listening
        assert len(await client.ls("/over", quorum=True)) == 30
        await client.close()

    react(work)


def test_a_watch_goes_on_across_a_restart_and_says_what_it_lost(make, tmp_path):
    server = lone_member(make, tmp_path / "again")
    start_all([server])

    async def before(reactor):
        client = Client(reactor, [server.url])
        watch = client.watch("/again", recursive=True)
        await watch.start()
        await client.set("/again/0", "0")
        first = await watch.next()
        changes = [watch.next()]
        return client, watch, first, changes

    async def write(reactor, client):
        await client.set("/again/_hidden", "no")
        await client.set("/again/1", "1")
        await client.delete("/again/1")
        await client.close()

    async def after(reactor, client, watch, changes):
        got = [await changes[0], await watch.next()]
        old = client.watch("/again", recursive=True, after_index=1)
        other = Client(reactor, [server.url])
        for _ in range(11):
            await gatherResults([other.set("/elsewhere", "x") for _ in range(100)])
        relisted = await old.next()
        written = await other.set("/again/2", "2")
        got_later = [await watch.next(), await old.next()]
        await other.close()
        await client.close()
        return got, relisted, written, got_later

    try:
        client, watch, first, changes = react(before)
        assert first.node.value == "0"
        server.kill()
        server.start()
        server.wait_ready()
        react(write, react(another, server.url))
        got, relisted, written, later = react(after, client, watch, changes)
        assert [(each.action, each.node.key) for each in got] == [
            ("set", "/again/1"),
            ("delete", "/again/1"),
        ]
        assert isinstance(relisted, Relisted)
        assert [each.key for each in relisted.node.walk()] == ["/again/0"]
        # The first watch may have lost history, too, and then has to say so.
        assert later[1] == written.event
        assert later[0] == written.event or isinstance(later[0], Relisted)
    finally:
        kill_all([server])


async def another(reactor, url):
    return Client(reactor, [url])


def test_a_certificate_and_a_password(make, tmp_path):
    files = Folder(tmp_path / "files")
    (server,) = secured(tmp_path / "secured", files, 1, make)
    if make is Make.ETCD:
        server.options.pop("tls-reload-interval")
    start_all([server])
    url = f"https://{HOST}:{secure_port(server)}"

    def client(reactor, name="", user=None, ca="ca.pem"):
        own = {
            "cert_file": files.file(f"client-{name}.pem"),
            "key_file": files.file(f"client-{name}.key"),
        }
        tls = TLS.from_files(ca_file=files.file(ca), **(own if name else {}))
        return Client(reactor, [url], tls=tls, auth=user)

    async def ask(reactor):
        anna = client(reactor, "anna")
        await anna.set("/tls", "1")
        assert await anna.sync() == (url,)
        for stranger in (client(reactor), client(reactor, "anna", ca="peer.pem")):
            problem = await fails(NoAnswer, stranger.set("/tls", "2"))
            assert "TLS" in str(problem)
            await stranger.close()
        await anna.auth.create_user("root", "pw")
        await anna.auth.create_role("reader", read=["/tls"])
        await anna.auth.create_user("ann", "secret", ["reader"])
        await anna.auth.enable()
        root = client(reactor, "anna", ("root", "pw"))
        assert await root.auth.enabled()
        await root.auth.revoke_permissions("guest", ["/*"], ["/*"])
        ann = client(reactor, "anna", ("ann", "secret"))
        assert (await ann.get("/tls")).node.value == "1"
        await fails(Unauthorized, ann.set("/tls", "2"))
        await fails(Unauthorized, anna.get("/tls"))
        await fails(Unauthorized, ann.watch("/other", after_index=1).next())
        await fails(Refused, ann.auth.users())
        users = await root.auth.users()
        assert [(each.name, each.roles) for each in users] == [
            ("ann", ("reader",)),
            ("root", ("root",)),
        ]
        await root.auth.disable()
        await gatherResults([each.close() for each in (root, ann, anna)])

    try:
        react(ask)
    finally:
        kill_all([server])
