"""
The pair that the tables run against: kvd, and a real etcd 3.4 beside it.

``KVD_CONFORMANCE_SUBJECT=etcd`` puts a second etcd in kvd's place: then nothing may
differ at all, which is how the comparison itself is checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from kvd.testing.rows import Row
from kvd.testing.servers import (
    Make,
    Server,
    cluster,
    kill_all,
    lone_member,
    missing_tools,
    start_all,
)
from kvd.testing.sidebyside import Pair, Side

SUBJECT = Make(os.environ.get("KVD_CONFORMANCE_SUBJECT", "kvd"))


@pytest.fixture(scope="session")
def oracle() -> None:
    """Skip without etcd, unless this is CI: there it is an error."""
    missing = missing_tools("etcd")
    if missing and os.environ.get("CI") == "true":
        pytest.fail("CI without etcd proves nothing: install etcd-server")
    if missing:
        pytest.skip("no etcd (Debian: etcd-server)")


@pytest.fixture(scope="session")
def lone_servers(oracle, tmp_path_factory) -> Iterator[Callable[..., list[Server]]]:
    """Make started pairs of one-member clusters: etcd's first, then kvd's."""
    started: list[Server] = []

    def make(**options: object) -> list[Server]:
        folder = tmp_path_factory.mktemp("alone")
        servers = [
            lone_member(make, folder / role, **options)
            for role, make in (("oracle", Make.ETCD), ("subject", SUBJECT))
        ]
        for server in servers:
            start_all([server])
            started.append(server)
        return servers

    yield make
    kill_all(started)


@pytest.fixture(scope="session")
def pair(lone_servers) -> Iterator[Pair]:
    """The pair that most tables share."""
    shared = Pair(*(Side(server.port) for server in lone_servers()))
    yield shared
    shared.close()


@pytest.fixture
def fresh_servers(lone_servers) -> Iterator[Callable[..., list[Server]]]:
    """Make pairs of this test's own, to restart or to count from the start."""
    made: list[Server] = []

    def make(**options: object) -> list[Server]:
        made.extend(lone_servers(**options))
        return made

    yield make
    kill_all(made)


@pytest.fixture(scope="session")
def make_clusters(oracle, tmp_path_factory) -> Iterator[Callable[..., list]]:
    """Make two started clusters of three: etcd's first, then kvd's."""
    made: list[Server] = []

    def make_both(**options: object) -> list[list[Server]]:
        both = []
        for role, make in (("oracle", Make.ETCD), ("subject", SUBJECT)):
            folder = tmp_path_factory.mktemp("three")
            servers = cluster(make, folder / role, 3, **options)
            made.extend(servers)
            start_all(servers)
            both.append(servers)
        return both

    yield make_both
    kill_all(made)


@pytest.fixture(scope="session")
def follower_pair(make_clusters) -> Iterator[Pair]:
    """A follower of each cluster of three."""
    followers = []
    for servers in make_clusters():
        leader = servers[0].leader_name()
        follower = next(each for each in servers if each.name != leader)
        followers.append(Side(follower.port, {follower.cluster_id(): "<cluster>"}))
    shared = Pair(*followers)
    yield shared
    shared.close()


def check(pair: Pair, row: Row) -> None:
    """Nothing may differ, but for what is meant to."""
    difference = pair.difference(row)
    if row.meant and SUBJECT is Make.KVD:
        assert difference, f"no longer differs, though meant: {row.meant}"
    else:
        assert not difference, difference


@pytest.fixture
def agree(pair) -> Callable[[Row], None]:
    """Run a row on two lone members."""
    return lambda row: check(pair, row)


@pytest.fixture
def followers_agree(follower_pair) -> Callable[[Row], None]:
    """Run a row on a follower of each of two clusters."""
    return lambda row: check(follower_pair, row)
