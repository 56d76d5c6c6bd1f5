"""
Real processes and real clients; nothing of a test outlives it.

``KVD_INTEGRATION_SUBJECT=etcd`` puts etcd in kvd's place where a test asks nothing of
kvd's own, which is how the expectations themselves are checked.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence

import pytest

from kvd.testing.servers import (
    Make,
    Server,
    cluster,
    kill_all,
    missing_tools,
    start_all,
)
from tests.integration.reader import Reader

SUBJECT = Make(os.environ.get("KVD_INTEGRATION_SUBJECT", "kvd"))
COMMAND_SECONDS = 30


def require(condition: bool, what: str) -> None:
    """Skip without it, unless this is CI: there it is an error."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI without {what} proves nothing")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def etcdctl_installed() -> None:
    require(not missing_tools("etcdctl"), "etcdctl (Debian: etcd-client)")


@pytest.fixture(scope="session")
def curl_installed() -> None:
    require(not missing_tools("curl"), "curl")


@pytest.fixture
def make_cluster(tmp_path) -> Iterator[Callable[..., list[Server]]]:
    """Make clusters of this test's own, started; all end with it."""
    made: list[Server] = []

    def make(size: int, **options: object) -> list[Server]:
        servers = cluster(SUBJECT, tmp_path / f"cluster{len(made)}", size, **options)
        made.extend(servers)
        start_all(servers)
        return servers

    yield make
    kill_all(made)


@pytest.fixture(scope="module", params=[1, 3], ids=["one", "three"])
def shared_cluster(request, tmp_path_factory) -> Iterator[list[Server]]:
    """A cluster for tests that leave it running; each uses keys of its own."""
    servers = cluster(SUBJECT, tmp_path_factory.mktemp("shared"), request.param)
    try:
        start_all(servers)
        yield servers
    finally:
        kill_all(servers)


@pytest.fixture
def reader(tmp_path) -> Iterator[Reader]:
    """Somebody who types the commands of a document."""
    made = Reader(tmp_path)
    yield made
    made.kill()


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A client program, to its end."""
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


@pytest.fixture
def etcdctl(etcdctl_installed, shared_cluster):
    """Run etcdctl's v2 client against all members of the shared cluster."""
    endpoints = ",".join(server.url for server in shared_cluster)

    def etcdctl(*arguments: str, fails: bool = False) -> str:
        done = run("etcdctl", "--endpoints", endpoints, *arguments, ETCDCTL_API="2")
        assert (done.returncode != 0) == fails, done
        return done.stdout if not fails else done.stderr + done.stdout

    return etcdctl


def ends(servers: Sequence[Server]) -> tuple[tuple[str, int], ...]:
    """Hosts and ports as python-etcd takes them."""
    return tuple(("127.0.0.1", server.port) for server in servers)
