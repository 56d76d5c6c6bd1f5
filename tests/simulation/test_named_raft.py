"""RELIABILITY's R rows on whole members."""

import pytest

from kvd.errors import Unavailable
from kvd.raft.core import Raft
from kvd.raft.messages import AppendResponse, VoteResponse
from kvd.testing.member import Parts
from kvd.v2.commands import Op

from .world import World


def test_noop_on_election_commits_previous_terms():
    leader_dies_before_it_commits()


def leader_dies_before_it_commits():
    """What it has replicated is applied although nobody writes any more."""
    world = World(3)
    leader = world.lead()
    world.settle()
    world.cluster.restarts = False
    others = world.others(leader)
    logs = [world.cluster.invariants.logs[run.member_id] for run in others]
    last = logs[0].last
    for run in others:  # the answers come too late
        world.network.link(run.member_id, leader.member_id).seconds = 1.0
    world.begin(leader, Op.SET, "/k", "v")
    world.until(lambda: all(log.last > last for log in logs))
    world.cluster.kill(leader.machine)
    world.until(lambda: all(world.value(run, "/k") == "v" for run in others), 5.0)


def elections(world, times, before_each=lambda leader: None):
    """Let leader after leader lose power."""
    for number in range(times):
        leader = world.lead()
        world.put(leader, "/k", str(number))
        before_each(leader)
        world.cluster.power_cut(leader.machine)


def test_term_and_vote_fsynced_before_vote_reply():
    world = World(3, election_ticks=3)
    votes = {}

    def observe(message):
        if type(message) is not VoteResponse or message.pre or not message.granted:
            return
        durable = world.cluster.invariants.logs[message.sender].hard_state
        assert durable.term >= message.term
        if durable.term == message.term:
            assert durable.vote == message.to
        assert votes.setdefault((message.sender, message.term), message.to) == (
            message.to
        )
        voter = world.machine(message.sender)
        # The power goes just after the reply: what was promised stays promised.
        if len(votes) % 2:
            world.timeline.after(0, world.cluster.power_cut, voter)

    world.network.observer = observe
    for machine in world.cluster.machines.values():
        machine.disk.sync_seconds = 0.05
    for _ in range(10):
        elections(world, 1)
    assert len(votes) >= 10


def test_term_and_vote_survive_restart_of_all():
    world = World(3)
    terms = []
    for number in range(8):
        leader = world.lead()
        world.put(leader, "/k", str(number))
        terms.append(leader.raft.term)
        for machine in world.cluster.machines.values():
            world.cluster.power_cut(machine)
    assert terms == sorted(set(terms))
    leader = world.lead()
    assert world.value(leader, "/k") == "7"
    assert world.actions("/k") == ["set"] * 8


def test_append_fsynced_before_ack():
    world = World(3)
    seen = []

    def observe(message):
        if type(message) is AppendResponse and not message.rejected and message.index:
            log = world.cluster.invariants.logs[message.sender]
            assert max(log.last, log.base) >= message.index
            seen.append(message.index)

    world.network.observer = observe
    leader = world.lead()
    for run in world.others(leader):
        run.machine.disk.sync_seconds = 0.05
    for number in range(20):
        world.put(leader, "/k", str(number))
    assert max(seen) >= 20


def _ring(network):
    for one in range(1, 6):
        for other in range(1, 6):
            if (one - other) % 5 in {2, 3}:
                network.isolate([one], [other])


def _bridge(network):
    network.isolate([2, 3], [4, 5])


def _only_out(network):
    for other in range(2, 6):
        network.cut(other, 1)


def _only_in(network):
    for other in range(2, 6):
        network.cut(1, other)


@pytest.mark.parametrize("cut", [_ring, _bridge, _only_in, _only_out])
@pytest.mark.parametrize("first", [1, 2, 4])
def test_partial_connectivity_elects_and_keeps_leader(cut, first):
    partial_connectivity(cut, first)


def partial_connectivity(cut, first):
    """``first`` leads when the links are cut; some leader must be found, and stay."""
    world = World(5)
    leader = world.lead()
    if leader.member_id != first:
        world.ask(leader, lambda run: run.node.transfer_leadership(first))
        leader = world.lead(among=[first])
    world.settle()
    cut(world.network)
    world.run(6.0)
    leader = world.lead()
    world.put(leader, "/k", "reached")
    term = leader.raft.term
    world.run(10.0)
    assert world.cluster.leader() is leader
    assert leader.raft.term == term
    world.put(leader, "/k", "kept")


def test_read_waits_for_apply():
    world = World(3)
    leader = world.lead()
    follower = world.others(leader)[0]
    link = world.network.link(leader.member_id, follower.member_id)
    for number in range(20):
        link.seconds = 0.001 if number % 2 else 0.04
        event = world.put(leader, "/k", str(number))
        got = world.read(follower, "/k")
        assert got.node.value == str(number)
        assert got.etcd_index >= event.etcd_index


def test_pause_between_any_two_read_steps():
    """
    The old leader stops between two steps of a read and goes on when another leads.

    A read that is asked for while it is stopped sees what was written meanwhile, or
    nothing; the one that was under way is older than the write and may see either.
    """
    outcomes = set()
    for steps in range(0, 40, 2):
        world = World(3, seed=f"pause {steps}")
        leader = world.lead()
        world.put(leader, "/k", "old")
        first = world.ask(leader, lambda run: run.node.read_index())
        for _ in range(steps):
            world.timeline.step(world.timeline.now + 1)
        leader.process.pause()
        second = world.ask(leader, lambda run: run.node.read_index())
        others = [run.member_id for run in world.others(leader)]
        other = world.lead(among=others)
        event = world.put(other, "/k", "new")
        seen = []

        def look(index, seen=seen, leader=leader):
            seen.append(world.value(leader, "/k"))
            return index

        leader.process.resume()
        third = world.ask(
            leader, lambda run, look=look: run.node.read_index().addCallback(look)
        )
        world.until(lambda second=second, third=third: second and third)
        assert first
        assert isinstance(second[0], Unavailable) or (
            leader.node.applied_index >= second[0]
            and world.get(leader, "/k").etcd_index >= event.etcd_index
        )
        assert seen in ([], ["new"])
        outcomes.add(type(second[0]).__name__)
    assert "int" in outcomes


def test_forwarded_write_never_proposed_twice():
    world = World(3)
    leader = world.lead()
    for one in (1, 2, 3):
        for other in (1, 2, 3):
            if one != other:
                world.network.link(one, other).repeat = 1.0
    answers = []
    for number in range(60):
        follower = world.others(leader)[number % 2]
        answers.append(world.begin(follower, Op.CREATE_IN_ORDER, "/q", str(number)))
        world.run(0.03)
        if number % 12 == 11:
            target = follower.member_id
            world.ask(leader, lambda run, to=target: run.node.transfer_leadership(to))
            world.run(0.02)
            leader = world.lead()
        if number % 20 == 19:
            world.cluster.kill(leader.machine)
            leader = world.lead()
    world.run(4.0)
    world.settle()
    values = [event.node.value for event in world.cluster.chronicle.events]
    assert len(values) == len(set(values))
    assert len(values) > 30
    for number, answer in enumerate(answers):
        if answer and not isinstance(answer[0], Exception):
            assert str(number) in values


def test_lost_proposal_answers_unknown_not_failure():
    world = World(3)
    leader = world.lead()
    follower = world.others(leader)[0]
    world.network.link(follower.member_id, leader.member_id).drop = 1.0
    lost = world.begin(follower, Op.SET, "/lost", "x")
    world.run(0.02)
    world.heal()
    late = world.begin(follower, Op.SET, "/late", "y")
    world.run(0.02)
    leader.process.pause()
    cut = world.begin(follower, Op.SET, "/cut", "z")
    world.until(lambda: lost and late and cut)
    assert isinstance(lost[0], Unavailable)
    assert lost[0].may_take_effect
    assert late[0].value.node.value == "y"
    assert isinstance(cut[0], Unavailable)
    assert cut[0].may_take_effect
    leader.process.resume()
    world.settle()
    assert world.actions("/lost") == []
    assert len(world.actions("/cut")) <= 1


@pytest.mark.parametrize("seconds", [0.001, 0.2])
def test_slow_follower_after_compaction_gets_snapshot(seconds):
    """With slow links the next snapshot is made while this one is on its way."""
    world = World(3, snapshot_count=10, catchup_entries=0)
    leader = world.lead()
    slow = world.others(leader)[0]
    world.isolate(slow.member_id)
    for number in range(60):
        world.put(leader, f"/k{number % 7}", str(number))
    made = world.cluster.counts["snapshot_made"]
    assert made >= 5
    world.heal()
    world.network.link(leader.member_id, slow.member_id).seconds = seconds
    for number in range(60, 120):
        world.put(leader, f"/k{number % 7}", str(number))
    world.settle()
    assert world.network.counts.snapshots >= 1
    assert world.cluster.counts["snapshot_restored"] >= 1
    world.until(lambda: world.value(world.member(slow.member_id), "/k0") == "119")


def test_exception_in_raft_core_is_fatal():
    core_breaks()


def core_breaks():
    class Broken(RuntimeError):
        pass

    class Clumsy(Raft):
        broken = 0

        def applied(self, index):
            if Clumsy.broken == self.status().member_id:
                raise Broken("half done")
            super().applied(index)

    world = World(3, parts=Parts(raft=Clumsy))
    leader = world.lead()
    world.put(leader, "/k", "before")
    failed = []
    world.cluster.failed = lambda run, error: failed.append((run, error))
    Clumsy.broken = leader.member_id
    answer = world.begin(leader, Op.SET, "/k", "after")
    world.until(lambda: failed)
    assert failed[0][0] is leader
    assert isinstance(failed[0][1], Broken)
    Clumsy.broken = 0
    applied = leader.node.applied_index
    sent = world.network.counts.delivered
    world.until(lambda: answer)
    assert isinstance(answer[0], Unavailable)
    assert answer[0].may_take_effect
    # It lives on in no way: it applies nothing, sends nothing, leads nobody.
    other = world.lead(among=[run.member_id for run in world.others(leader)])
    assert world.put(other, "/k", "later").node.value == "later"
    assert leader.node.applied_index == applied
    assert world.network.counts.delivered > sent
    assert len(failed) == 1
