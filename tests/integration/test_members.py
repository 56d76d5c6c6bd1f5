"""Members that come, move, are lost and go, with real processes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from kvd.testing.servers import HOST, Server, free_ports
from tests.integration.conftest import SUBJECT
from tests.integration.growing import (
    Growing,
    ask_change,
    check_all_there,
    exit_status,
    until,
    votes,
    writing,
)

# A test waits for several elections.
ELECTION = {"heartbeat-interval": 50, "election-timeout": 500}


@pytest.fixture(scope="module")
def grow(tmp_path_factory) -> Iterator[Callable[..., Growing]]:
    """Make a started cluster of so many members."""
    made: list[Growing] = []

    def make(size: int) -> Growing:
        folder = tmp_path_factory.mktemp("growing")
        made.append(Growing(SUBJECT, folder, size, **ELECTION))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture(scope="module")
def three(grow) -> Growing:
    """A cluster of three, which each test leaves with three that serve."""
    return grow(3)


def it_is_needed(growing: Growing, server: Server) -> None:
    """One of the others is missing, and without this one there would be no majority."""
    others = [each for each in growing.followers() if each is not server]
    missing = others[0] if others else growing.leader()
    missing.kill()
    until(
        lambda: server.ask("/v2/keys/needed", "PUT", "value=1")[0] in {200, 201},
        "a write without the other one",
    )
    assert growing.leader().ask("/v2/keys/needed?quorum=true")[0] == 200
    missing.start()
    missing.wait_ready()


def log_of(server: Server) -> str:
    return (server.place.folder / "log").read_text(encoding="utf-8")


def test_a_cluster_grows_to_five_and_shrinks_to_one_under_writes(grow) -> None:
    growing = grow(1)
    with writing(growing.serving) as written:
        for name in ("m2", "m3", "m4", "m5"):
            growing.join(name)
        assert len(growing.members()) == 5
        survivor = growing.followers()[0]
        # The leader goes first.
        going = [growing.leader().name]
        going += [
            name for name in growing.servers if name not in {survivor.name, *going}
        ]
        for name in going:
            removed = growing.remove(name)
            assert exit_status(removed) == 1
    assert list(growing.servers) == [survivor.name]
    (member,) = growing.members().values()
    assert member["name"] == survivor.name
    check_all_there(written, survivor)
    for removed in growing.gone:
        log = log_of(removed)
        assert "this member stops for good" in log
        assert "Traceback" not in log
    # What was removed does not come back with what it has.
    growing.gone[0].start()
    assert exit_status(growing.gone[0]) == 1
    assert log_of(growing.gone[0]).count("this member stops for good") == 2
    assert survivor.ask("/v2/keys/after", "PUT", "value=1")[0] == 201


def test_a_dead_member_is_replaced(three) -> None:
    growing = three
    dead = growing.followers()[0]
    with writing(growing.serving) as written:
        time.sleep(1)
        growing.serving.remove(dead)
        dead.kill()
        shutil.rmtree(dead.options["data-dir"])
        growing.remove(dead.name)
        new = growing.join("m4")
        assert len(growing.members()) == 3
        time.sleep(0.5)
    for server in growing.servers.values():
        check_all_there(written, server)
    it_is_needed(growing, new)


def test_a_member_moves_to_another_address(three) -> None:
    """M18"""
    growing = three
    moving = growing.followers()[0]
    member_id = growing.id_of(moving.name)
    (port,) = free_ports(1)
    url = f"http://{HOST}:{port}"
    status, told = growing.change("PUT", f"/v2/members/{member_id}", [url])
    assert status == 204, told
    moving.stop()
    moving.options["listen-peer-urls"] = url
    moving.options["initial-advertise-peer-urls"] = url
    moving.start()
    moving.wait_ready()
    assert growing.members()[member_id]["peerURLs"] == [url]
    it_is_needed(growing, moving)


WRONG = [
    ["http://127.0.0.1:1"],
    ["http://:2380", "http://a%25b:1", "http://[::1%25x]:1", "unix://x:", "http://a:99999"],
]  # fmt: skip


def test_a_wrong_url_harms_nobody(grow, three) -> None:
    growing = three
    other = grow(1)
    (stranger,) = other.servers.values()
    stranger_url = str(stranger.options["listen-peer-urls"])
    leader = growing.leader()
    alias = str(leader.options["listen-peer-urls"]).replace(HOST, "localhost")
    with writing(growing.serving) as written:
        for urls in (*WRONG, [stranger_url], [leader.url], [alias]):
            status, told = ask_change(leader, "POST", "/v2/members", urls)
            assert status == 201, told
            time.sleep(0.7)
            path = f"/v2/members/{told['id']}"
            # Whoever it is that answers there, it has not become a member.
            assert growing.members()[told["id"]]["name"] == ""
            assert growing.change("DELETE", path)[0] == 204
    for server in growing.servers.values():
        check_all_there(written, server)
        log = log_of(server)
        assert "Traceback" not in log
        assert "#error]" not in log
        assert "#critical]" not in log
    assert set(written.statuses) <= {200, 201}
    assert stranger.healthy()
    assert len(other.members()) == 1
    assert votes(stranger)
