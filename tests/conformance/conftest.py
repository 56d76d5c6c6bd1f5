"""
The pair that the tables run against: kvd, and a real etcd 3.4 beside it.

``KVD_CONFORMANCE_SUBJECT=etcd`` puts a second etcd in kvd's place: then nothing may
differ at all, which is how the comparison itself is checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from kvd.testing.servers import (
    Make,
    Server,
    cluster,
    kill_all,
    lone_member,
    missing_tools,
    start_all,
)
from kvd.testing.sidebyside import Pair, Row

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
    shared = Pair(*(server.port for server in lone_servers()))
    yield shared
    shared.close()


@pytest.fixture
def fresh_servers(lone_servers) -> Iterator[list[Server]]:
    """A pair of this test's own, to restart or to count from the start."""
    servers = lone_servers()
    yield servers
    kill_all(servers)


@pytest.fixture(scope="module")
def clusters(oracle, tmp_path_factory) -> Iterator[list[list[Server]]]:
    """Two clusters of three, with short elections so that time-outs come early."""
    made: list[list[Server]] = []
    try:
        for role, make in (("oracle", Make.ETCD), ("subject", SUBJECT)):
            folder = tmp_path_factory.mktemp("three")
            options = {"heartbeat-interval": 50, "election-timeout": 500}
            servers = cluster(make, folder / role, 3, **options)
            made.append(servers)
            start_all(servers)
        yield made
    finally:
        for servers in made:
            kill_all(servers)


@pytest.fixture
def agree(pair) -> Callable[[Row], None]:
    """Run a row on the shared pair: nothing may differ, but for what is meant to."""

    def check(row: Row) -> None:
        difference = pair.difference(row)
        if row.meant and SUBJECT is Make.KVD:
            assert difference, f"no longer differs, though meant: {row.meant}"
        else:
            assert not difference, difference

    return check
