"""RELIABILITY's S rows on whole members."""

import os
import subprocess
import sys

import pytest

from kvd.errors import Unavailable
from kvd.raft.messages import Role
from kvd.v2.commands import Op

from .world import World


def test_single_node_write_survives_crash_before_save():
    single_node()


def single_node(parts=None):
    """The power goes in the very turn of each answer; then at each write of the disk."""
    world = World(
        1, segment_bytes=1024, snapshot_count=7, catchup_entries=0, parts=parts
    )
    machine = world.machine(1)
    for number in range(12):
        run = world.lead()
        world.put(run, "/k", str(number))
        world.cluster.power_cut(machine)
        assert world.value(world.lead(), "/k") == str(number)
    acknowledged = "11"
    maybe = set()
    for calls in range(24):
        run = world.lead()
        machine.disk.crash_after = calls
        number = 0
        while run.process.alive:
            value = f"{calls}.{number}"
            number += 1
            answers = world.begin(run, Op.SET, "/k", value)
            maybe = {value}
            world.until(lambda run=run, got=answers: got or not run.process.alive)
            if answers and not isinstance(answers[0], Exception):
                acknowledged, maybe = value, set()
        found = world.value(world.lead(), "/k")
        assert found in {acknowledged} | maybe
        acknowledged = found


def test_replay_is_deterministic():
    """The state after a restart of all is the state before, to the last bit."""
    world = World(3, snapshot_count=30, catchup_entries=3)
    for number in range(90):
        leader = world.lead()
        world.begin(leader, Op.SET, f"/k{number % 5}", str(number))
        world.begin(leader, Op.CREATE_IN_ORDER, "/q", str(number))
        world.begin(leader, Op.DELETE, f"/k{(number + 2) % 5}")
        world.put(leader, f"/ttl/{number}", "t", ttl=0.5 if number % 2 else 500)
    world.run(2.0)
    world.settle()
    told = list(world.cluster.chronicle.events)
    keys = [event.node.key for event in told if event.action != "expire"]
    views = {key: world.value(world.lead(), key) for key in keys if key.startswith("/")}
    for _ in range(2):
        for machine in world.cluster.machines.values():
            world.cluster.kill(machine)
        leader = world.lead()
        world.settle()
        # Each member has told all events again, from the first one on, and the
        # chronicle has compared them.
        assert world.cluster.chronicle.events[: len(told)] == told
        assert {key: world.value(leader, key) for key in views} == views


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed(hash_seed):
    """The trace has every message, fault and restart with its time."""
    command = [
        sys.executable, "-m", "kvd.testing.simulate", "--seed", "23", "--members", "3"
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    first = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    environment["PYTHONHASHSEED"] = "1"
    second = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    assert "all held" in first.stdout
    assert first.stdout == second.stdout


@pytest.mark.parametrize("whose", ["leader", "follower", "all"])
def test_slow_fsync_does_not_stop_heartbeats(whose):
    slow_fsync(whose)


def slow_fsync(whose, parts=None):
    """A sync takes 2 s, four election timeouts."""
    world = World(3, parts=parts)
    leader = world.lead()
    term = leader.raft.term
    slow = {
        "leader": [leader],
        "follower": world.others(leader)[:1],
        "all": [leader, *world.others(leader)],
    }[whose]
    world.run(1.0)
    for run in slow:
        run.machine.disk.sync_seconds = 2.0
    order = []
    answers = []
    for number in range(10):
        got = world.begin(leader, Op.SET, "/k", str(number))
        answers.append(got)
        world.run(0.05)
    deadline = world.timeline.now + 20.0
    while world.timeline.now < deadline:
        world.run(0.1)
        for number, got in enumerate(answers):
            if got and number not in order:
                order.append(number)
        if leader.raft.role is not Role.LEADER:
            break
    assert leader.raft.role is Role.LEADER
    assert leader.raft.term == term
    assert order == sorted(order)
    assert len(order) == 10
    taken = [got[0] for got in answers if not isinstance(got[0], Unavailable)]
    assert [applied.index for applied in taken] == sorted(a.index for a in taken)
    if whose != "all":
        assert taken


def test_restart_with_state_new_keeps_data():
    """The configuration still says how to begin; nothing begins again."""
    world = World(3)
    leader = world.lead()
    for number in range(5):
        world.put(leader, f"/k{number}", str(number))
    world.settle()
    index = leader.v2.index
    for machine in world.cluster.machines.values():
        assert machine.founding
        world.cluster.kill(machine)
    leader = world.lead()
    world.settle()
    assert [world.value(leader, f"/k{number}") for number in range(5)] == list("01234")
    assert leader.v2.index >= index
    assert [record.member_id for record in leader.cluster.members()] == [1, 2, 3]
    first = world.cluster.invariants.applied
    assert [first[number][0] for number in (1, 2, 3)] == [1, 1, 1]
