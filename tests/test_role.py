"""What a process is, a member or a proxy."""

from __future__ import annotations

import errno
from random import Random

import attrs
import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from kvd.config import Config
from kvd.errors import ConfigError
from kvd.role import Daemon, Role, role_of
from kvd.testing.disk import SimulatedDisk
from tests.test_service import Process, Reactor

CONFIG = Config(data_dir="/data")
PROXY = attrs.evolve(CONFIG, proxy="on")


def disk_with(*paths):
    disk = SimulatedDisk(Random(1))
    for path in paths:
        folder, _, name = path.rpartition("/")
        disk.make_folder(folder)
        if name:
            disk.create(path).close()
    return disk


MEMBER = "/data/member/identity"
KEPT = "/data/proxy/"


@pytest.mark.parametrize(
    ("paths", "config", "role", "note"),
    [
        ((), CONFIG, Role.MEMBER, ""),
        ((), PROXY, Role.PROXY, ""),
        ((), attrs.evolve(CONFIG, proxy="readonly"), Role.PROXY, ""),
        ((MEMBER,), CONFIG, Role.MEMBER, ""),
        ((MEMBER,), PROXY, Role.MEMBER, "proxy: on is ignored: /data is a member's"),
        ((KEPT,), CONFIG, Role.PROXY, "/data is a proxy's, which it stays"),
        ((KEPT,), PROXY, Role.PROXY, ""),
        # A member that never began has left nothing that counts.
        (("/data/member/snap/", KEPT), CONFIG, Role.PROXY, "/data is a proxy's"),
    ],
)
def test_the_folder_decides_and_if_it_is_new_the_option(paths, config, role, note):
    found, said = role_of(disk_with(*paths), config)
    assert found is role
    assert said.startswith(note) and bool(said) == bool(note)


def test_a_folder_of_both_is_none():
    with pytest.raises(ConfigError, match=r"/data: invalid datadir\. Both member and"):
        role_of(disk_with(MEMBER, KEPT), CONFIG)


def test_a_folder_that_cannot_be_looked_at_is_told():
    class Disk(SimulatedDisk):
        def exists(self, path):
            raise PermissionError(errno.EACCES, "Permission denied", path)

    with pytest.raises(ConfigError, match="data-dir /data: Permission denied"):
        role_of(Disk(Random(1)), CONFIG)


class Quiet(Process):
    def prepare(self, *, sockets_each=1):
        self.said.append("prepare")


class Made(Service):
    """In place of either."""

    def __init__(self, **given):
        self.given = given
        self.starts = 0

    def startService(self):
        self.starts += 1


class AsMember(Made): ...


class AsProxy(Made): ...


def daemon(config, disk, *, member=AsMember, proxy=AsProxy):
    process = Quiet()
    made = Daemon(
        reactor=Reactor(),
        config=config,
        process=process,
        disk=disk,
        warnings=["w"],
        source="s",
        member=member,
        proxy=proxy,
    )
    return made, process


@pytest.mark.parametrize(("config", "kind"), [(CONFIG, AsMember), (PROXY, AsProxy)])
def test_nothing_is_settled_before_the_start(config, kind):
    made, process = daemon(config, disk_with())
    assert made.inner is None
    assert process.said == []
    made.startService()
    inner = made.inner
    assert type(inner) is kind
    assert inner.starts == 1
    assert inner.given["config"] is config
    assert inner.given["warnings"] == ("w",)
    assert inner.given["source"] == "s"


def test_a_note_is_among_the_warnings():
    made, _ = daemon(CONFIG, disk_with(KEPT))
    made.startService()
    assert type(made.inner) is AsProxy
    assert made.inner.given["warnings"] == ("w", "/data is a proxy's, which it stays")


def test_a_folder_of_both_ends_the_process():
    made, process = daemon(CONFIG, disk_with(MEMBER, KEPT))
    made.startService()
    assert process.said == ["prepare", 1]
    assert made.inner is None


URLS = ("http://10.0.0.1:2380",)
DISCOVERED = attrs.evolve(CONFIG, discovery="http://d.example/T", initial_cluster=())


class Member(Made):
    """Stops when it is told to."""

    def stopService(self):
        super().stopService()
        self.stopping = Deferred()
        return self.stopping


class Given(Made):
    @property
    def find(self):
        return self.given["find"].__self__._config


def falling_back():
    made, process = daemon(DISCOVERED, disk_with(), member=Member)
    made.startService()
    member = made.inner
    member.given["become_proxy"](URLS)
    return made, member, process


def test_a_member_that_finds_its_cluster_full_becomes_its_proxy():
    made, member, process = falling_back()
    assert made.inner is member  # until it has let go of its ports and files
    member.stopping.callback(None)
    proxy = made.inner
    assert type(proxy) is AsProxy
    assert proxy.given["peer_urls"] == URLS
    assert proxy.given["warnings"] == ()  # they have been told
    assert proxy.starts == 1
    assert list(made) == [proxy]
    assert process.said == []


def test_a_stop_on_the_way_to_be_a_proxy_waits_for_the_member():
    made, member, _ = falling_back()
    stopped = []
    made.stopService().addCallback(stopped.append)
    assert stopped == []
    member.stopping.callback(None)
    assert stopped == [None]
    assert made.inner is member
    assert list(made) == []


def test_a_stop_stops_what_it_became():
    made, member, _ = falling_back()
    member.stopping.callback(None)
    stopped = []
    made.stopService().addCallback(stopped.append)
    assert stopped == [None]
    assert not made.inner.running


def test_an_error_of_ours_on_the_way_is_logged(logged_failures):
    made, member, _ = falling_back()
    made._proxy = None
    member.stopping.callback(None)
    (failure,) = logged_failures
    assert failure.check(TypeError)
    logged_failures.clear()


def test_a_proxy_of_a_discovered_cluster_asks_for_its_members():
    made, _ = daemon(attrs.evolve(DISCOVERED, proxy="on"), disk_with(), proxy=Given)
    made.startService()
    assert made.inner.given["peer_urls"] == ()
    assert made.inner.find is made.config
