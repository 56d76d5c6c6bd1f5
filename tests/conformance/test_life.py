"""A member's first index, what a restart keeps, and exact statistics."""

from __future__ import annotations

import json
import time

import pytest

from kvd.testing.servers import Server
from kvd.testing.sidebyside import Pair, Side

pytestmark = pytest.mark.oracle

# The first index is asked for while a member starts, so gets are counted from here on.
COUNTED = (
    ("GET /v2/keys",),
    ("PUT /v2/keys/a value=1", "POST /v2/keys/q value=1"),
    ("GET /v2/keys?recursive=true&sorted=true", "GET /v2/keys/_etcd"),
    ("GET /v2/keys/a?wait=true&waitIndex=4",),
    ("PUT /v2/keys/a?prevValue=x value=2",),
    ("w> GET /v2/keys/a?wait=true",),
    ("v> GET /v2/keys?wait=true&recursive=true&stream=true",),
    ("PUT /v2/keys/a value=2", "w<", "w< end", "v<"),
    ("DELETE /v2/keys/a", "v<"),
)
# Quorum reads are left out: etcd's go through its log and are counted again when the
# log is replayed, kvd's do not.
BEFORE = (
    "PUT /v2/keys/a value=1",
    "PUT /v2/keys/a value=2",
    "PUT /v2/keys/a?prevValue=x value=2",
    "PUT /v2/keys/d/e?prevExist=false value=1",
    "PUT /v2/keys/d/_h value=1",
    "POST /v2/keys/q value=1",
    "PUT /v2/keys/a/b value=1",
    "PUT /v2/keys/long value=%3C%26%3E&ttl=1000",
    "PUT /v2/keys/dir dir=true&ttl=1000",
    "PUT /v2/keys/dir/f value=1",
    "PUT /v2/keys/a refresh=true&ttl=500",
    "PUT /v2/keys/gone value=1",
    "DELETE /v2/keys/gone",
    "DELETE /v2/keys/gone",
    "PUT /v2/keys/short value=1&ttl=1",
)
AFTER = (
    "GET /v2/keys?recursive=true&sorted=true",
    "GET /v2/keys/d?recursive=true&sorted=true",
    "GET /v2/keys/a?wait=true&waitIndex=1",
    "GET /v2/keys/a?wait=true&waitIndex=5",
    "GET /v2/keys?wait=true&recursive=true&waitIndex=6",
    "GET /v2/keys/gone?wait=true&waitIndex=14",
    "POST /v2/keys/q value=2",
    "PUT /v2/keys/b value=1",
    "GET /v2/members",
    "GET /version",
)


def pair_of(servers: list[Server]) -> Pair:
    return Pair(*(Side(server.port) for server in servers))


def assert_same(pair: Pair, *steps: str) -> None:
    try:
        difference = next(pair.step_differences(steps), "")
    finally:
        pair.close()
    assert not difference, difference


def restart(servers: list[Server], *, index: int, kill: bool = False) -> None:
    for server in servers:
        if kill:
            server.kill()
        else:
            server.stop()
    time.sleep(0.3)
    for server in servers:
        server.start()
    for server in servers:
        server.wait_ready(index)


def test_a_fresh_member_has_index_three_and_counts_as_etcd_does(fresh_servers) -> None:
    servers = fresh_servers()
    assert [server.etcd_index() for server in servers] == [3, 3]
    pair = pair_of(servers)
    before = [_statistics(side) for side in pair.sides]
    assert _without_gets(before[0]) == _without_gets(before[1])
    try:
        for steps in COUNTED:
            assert next(pair.step_differences(steps), "") == ""
            rises = [
                {name: value - was[name] for name, value in _statistics(side).items()}
                for side, was in zip(pair.sides, before, strict=True)
            ]
            assert rises[0] == rises[1], steps
    finally:
        pair.close()


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_restart_keeps_everything_and_takes_one_index(fresh_servers, kill) -> None:
    servers = fresh_servers()
    pair = pair_of(servers)
    assert_same(pair, *BEFORE, "until gone /v2/keys/short")
    before = [side.etcd_index() for side in pair.sides]
    assert before[0] == before[1]
    pair.close()
    for number in (1, 2):
        restart(servers, index=before[0] + number, kill=kill)
        assert [server.etcd_index() for server in servers] == [before[0] + number] * 2
    counters = [_without_gets(_statistics(side)) for side in pair.sides]
    assert counters[0] == counters[1]
    assert_same(pair, *AFTER)


def test_a_restart_from_a_snapshot_keeps_everything(fresh_servers) -> None:
    servers = fresh_servers(**{"snapshot-count": 20})
    pair = pair_of(servers)
    many = (f"PUT /v2/keys/many/{number % 7} value={number}" for number in range(60))
    assert_same(pair, *BEFORE, *many, "until gone /v2/keys/short")
    before = pair.oracle.etcd_index()
    pair.close()
    time.sleep(0.5)  # a snapshot is written beside the work
    restart(servers, index=before + 1)
    counters = [_without_gets(_statistics(side)) for side in pair.sides]
    assert counters[0] == counters[1]
    assert_same(pair, *AFTER)


def test_a_key_whose_time_came_while_all_were_down_expires_after_the_start(
    fresh_servers,
) -> None:
    servers = fresh_servers()
    pair = pair_of(servers)
    assert_same(pair, "PUT /v2/keys/a value=1&ttl=1", "PUT /v2/keys/b value=1&ttl=100")
    for server in servers:
        server.stop()
    time.sleep(1.5)
    restart(servers, index=6)
    assert_same(pair, "until gone /v2/keys/a", "GET /v2/keys/b")
    event = [side.step("GET /v2/keys/a?wait=true&waitIndex=5") for side in pair.sides]
    pair.close()
    assert event[0].text == event[1].text
    for seen in event:
        # One starts faster than the other, and is the less overdue; but both are.
        assert seen.numbers[1] <= -1.0


def _statistics(side: Side) -> dict[str, int]:
    """In etcd's order, with the watchers."""
    return json.loads(side.ask("GET", "/v2/stats/store").body)


def _without_gets(counters: dict[str, int]) -> list[tuple[str, int]]:
    """What a restart brings back: the counters of what goes through the log."""
    return [each for each in counters.items() if not each[0].startswith("gets")]
