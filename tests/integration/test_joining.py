"""``initial-cluster-state: existing`` with real processes, etcd's words included."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from kvd.testing.servers import HOST, Place, Server, free_ports, lone_member
from tests.integration.conftest import SUBJECT
from tests.integration.test_lost_data import start_that_ends

SECONDS = 30.0


@pytest.fixture
def first(tmp_path) -> Iterator[Server]:
    """A cluster of one, whose URLs are its own."""
    made = lone_member(SUBJECT, tmp_path / "one", **{"snapshot-count": 20})
    own = made.options["listen-peer-urls"]
    made.options |= {
        "advertise-client-urls": made.options["listen-client-urls"],
        "initial-advertise-peer-urls": own,
        "initial-cluster": f"alone={own}",
    }
    made.start()
    made.wait_ready()
    yield made
    made.kill()


@pytest.fixture
def second(first, tmp_path) -> Iterator[Server]:
    """One that would join it."""
    made = joiner(first, tmp_path / "two")
    yield made
    made.kill()


def joiner(first: Server, folder: Path) -> Server:
    client_port, peer_port = free_ports(2)
    own = f"http://{HOST}:{peer_port}"
    return Server(
        SUBJECT,
        Place(folder, client_port, peer_port),
        {
            "name": "second",
            "data-dir": str(folder / "data"),
            "listen-client-urls": f"http://{HOST}:{client_port}",
            "advertise-client-urls": f"http://{HOST}:{client_port}",
            "listen-peer-urls": own,
            "initial-advertise-peer-urls": own,
            "initial-cluster": f"{first.options['initial-cluster']},second={own}",
            "initial-cluster-state": "existing",
        },
    )


def add(first: Server, second: Server) -> str:
    """Ask the cluster to take it in; its id."""
    connection = HTTPConnection(HOST, first.port, timeout=SECONDS)
    body = json.dumps({"peerURLs": [second.options["listen-peer-urls"]]})
    kind = {"Content-Type": "application/json"}
    connection.request("POST", "/v2/members", body, kind)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status == 201, told
    return str(told["id"])


def until(condition) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_new_member_joins_and_catches_up(first, second):
    for number in range(100):  # more than the log keeps
        assert first.ask(f"/v2/keys/{number}", "PUT", "value=x")[0] == 201
    member_id = add(first, second)
    second.start()
    second.wait_ready()
    assert second.ask("/v2/keys/99?quorum=true")[0] == 200
    members = json.loads(first.ask("/v2/members")[2])["members"]
    assert {each["name"]: each["id"] for each in members}["second"] == member_id
    assert second.cluster_id() == first.cluster_id()
    # From now on its own folder says who it is, whatever the options say.
    second.kill()
    second.start()
    second.wait_ready()
    until(lambda: second.ask("/v2/keys/a", "PUT", "value=1")[0] in {200, 201})
    assert first.ask("/v2/keys/a?quorum=true")[0] == 200


def test_who_was_not_added_does_not_start(first, second):
    status, log = start_that_ends(second)
    assert status == 1
    assert "member count is unequal" in log
    first.kill()
    status, log = start_that_ends(second)
    assert status == 1
    assert "could not retrieve cluster information from the given URLs" in log
