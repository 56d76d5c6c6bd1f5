"""What a process is, a member or a proxy."""

from __future__ import annotations

import errno
from random import Random

import attrs
import pytest
from twisted.application.service import Service

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


def daemon(config, disk):
    process = Quiet()
    made = Daemon(
        reactor=Reactor(),
        config=config,
        process=process,
        disk=disk,
        warnings=["w"],
        source="s",
        member=AsMember,
        proxy=AsProxy,
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
