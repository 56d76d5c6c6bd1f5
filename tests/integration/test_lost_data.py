"""A member of three comes back with an empty disk; it must not begin a second time."""

import shutil
import time

from kvd.testing.servers import Make, Server
from tests.integration.conftest import SUBJECT

SECONDS = 30
BOOTSTRAPPED = "has already been bootstrapped"


def start_that_ends(server: Server) -> tuple[int, str]:
    """Status and log of a start that is refused."""
    server.start()
    status = server._process.wait(SECONDS)
    return status, (server.place.folder / "log").read_text(encoding="utf-8")


def values(servers, key):
    return [server.ask(f"/v2/keys{key}?quorum=true")[2] for server in servers]


def test_a_member_that_lost_its_data_is_kept_out(make_cluster):
    # V2-SPEC 15.2: under the same id it would vote twice in one term, and count for
    # what it has forgotten.
    servers = make_cluster(3)
    first, second, third = servers
    assert first.ask("/v2/keys/kept", "PUT", "value=1")[0] == 201
    first.kill()
    shutil.rmtree(first.options["data-dir"])
    for _ in range(2):  # it left nothing that the second start could take for data
        status, log = start_that_ends(first)
        assert status == 1
        assert BOOTSTRAPPED in log
    if SUBJECT is Make.KVD:
        assert f"data-dir {first.options['data-dir']}" in log
        assert "InvariantViolated" not in log
        others = [(each.place.folder / "log").read_text() for each in servers[1:]]
        assert any(BOOTSTRAPPED in other for other in others)
    deadline = time.monotonic() + SECONDS
    while second.ask("/v2/keys/kept", "PUT", "value=2")[0] != 200:
        assert time.monotonic() < deadline, "the two that are left should elect one"
    assert all(b'"value":"2"' in said for said in values([second, third], "/kept"))


def test_a_whole_cluster_without_data_begins_anew(make_cluster):
    servers = make_cluster(3)
    assert servers[0].ask("/v2/keys/gone", "PUT", "value=1")[0] == 201
    for server in servers:
        server.kill()
    for server in servers:
        shutil.rmtree(server.options["data-dir"])
    for server in servers:
        server.start()
    for server in servers:
        server.wait_ready()
    assert servers[1].ask("/v2/keys/gone")[0] == 404
