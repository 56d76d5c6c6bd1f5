"""RELIABILITY's M rows on whole members."""

import attrs

from kvd.cluster.machine import encode_record
from kvd.cluster.members import MemberRecord
from kvd.errors import ReconfigurationRefused
from kvd.raft.messages import ChangeKind, ConfigChange
from kvd.testing.member import record_of

from .world import World


def change(world, kind, member_id, *, peer_urls=None):
    """Ask the leader for a membership change, until it is applied there."""
    record = record_of(member_id, learner=kind is ChangeKind.ADD_LEARNER)
    if peer_urls is not None:
        record = attrs.evolve(record, peer_urls=peer_urls)
    context = b"" if kind is ChangeKind.REMOVE else encode_record(record)
    asked = ConfigChange(kind, member_id, context)

    def done():
        answers = world.ask(world.lead(), lambda run: run.node.reconfigure(asked))
        world.until(lambda: answers)
        return answers[0] if not isinstance(answers[0], Exception) else None

    while done() is None:
        world.run(0.1)


def add_learner(world, member_id, **how):
    machine = world.cluster.add_machine(member_id)
    world.cluster.start(machine)
    change(world, ChangeKind.ADD_LEARNER, member_id, **how)


def configurations(world):
    return {run.raft.status().configuration for run in world.cluster.serving()}


def test_removed_member_cannot_disrupt_or_rejoin():
    removed_member_comes_back()


def removed_member_comes_back():
    world = World(3)
    leader = world.lead()
    gone = world.others(leader)[0].member_id
    world.isolate(gone)
    change(world, ChangeKind.REMOVE, gone)
    world.run(5.0)  # it has long begun to campaign
    term = world.lead().raft.term
    world.heal()
    machine = world.machine(gone)

    def gone_for_good():
        return machine.removed and machine.run is None

    world.until(gone_for_good)
    for _ in range(2):
        # Somebody starts it again, with its old data.
        machine.removed = False
        world.cluster.start(machine)
        world.until(gone_for_good, seconds=20.0)
    world.run(3.0)
    assert world.lead().raft.term == term
    assert world.lead() is leader
    world.put(leader, "/k", "v")
    assert leader.raft.status().configuration.voters == {1, 2, 3} - {gone}


def test_removed_member_learns_of_removal():
    for member_id in (1, 2, 3):  # the leader is among them
        world = World(3)
        world.lead()
        change(world, ChangeKind.REMOVE, member_id)
        world.until(lambda: world.machine(member_id).removed)
        rest = [other for other in (1, 2, 3) if other != member_id]
        leader = world.lead(among=rest)
        world.put(leader, "/k", "v")
        world.settle()


def test_snapshot_carries_membership():
    world = World(3, snapshot_count=8, catchup_entries=0, promote_learners=False)
    leader = world.lead()
    slow = world.others(leader)[0].member_id
    world.isolate(slow)
    add_learner(world, 4)
    world.isolate(slow)
    world.until(
        lambda: (
            world.lead().raft.status().progress
            and world.member(4).node.applied_index >= 5
        )
    )
    change(world, ChangeKind.ADD_VOTER, 4)
    for number in range(40):
        world.put(world.lead(), "/k", str(number))
    world.heal()
    world.settle()
    assert world.cluster.counts["snapshot_restored"] >= 1
    (before,) = configurations(world)
    assert before.voters == {1, 2, 3, 4}
    assert world.member(slow).cluster.members() == world.lead().cluster.members()
    for machine in list(world.cluster.machines.values()):
        world.cluster.power_cut(machine)
    world.lead()
    world.settle()
    assert configurations(world) == {before}


def test_config_changes_replayed_at_restart():
    world = World(3, promote_learners=False)
    world.lead()
    add_learner(world, 4)
    add_learner(world, 5)
    world.run(1.0)
    change(world, ChangeKind.ADD_VOTER, 4)
    change(world, ChangeKind.REMOVE, 2)
    world.until(lambda: world.machine(2).removed)
    world.settle()
    (before,) = configurations(world)
    assert (before.voters, before.learners) == ({1, 3, 4}, {5})
    for _ in range(3):
        for machine in world.cluster.machines.values():
            if not machine.removed:
                world.cluster.power_cut(machine)
        world.lead()
        world.settle()
        assert configurations(world) == {before}
        assert {
            record.member_id for record in world.lead().cluster.members()
        } == before.voters | before.learners


def voters(world):
    return world.lead().raft.status().configuration.voters


def test_a_member_that_knows_nobody_catches_up_and_votes():
    newcomer_joins()


def newcomer_joins(**how):
    world = World(3, snapshot_count=8, catchup_entries=0, **how)
    for number in range(30):
        world.put(world.lead(), "/k", str(number))
    add_learner(world, 4)
    world.until(lambda: voters(world) == {1, 2, 3, 4})
    world.settle()
    assert world.cluster.counts["snapshot_restored"] >= 1
    world.put(world.member(4), "/k", "by the newcomer")


def test_an_add_never_costs_availability():
    # M14, M15: two of two would be needed as soon as the second one votes.
    slow_newcomer()


def slow_newcomer(**how):
    world = World(1, snapshot_count=10, catchup_entries=0, **how)
    leader = world.lead()
    for number in range(50):
        world.put(leader, "/k", str(number))
    machine = world.cluster.add_machine(2)
    change(world, ChangeKind.ADD_LEARNER, 2)
    for number in range(20):  # it is not even there
        world.put(leader, "/k", str(number))
    world.cluster.start(machine)
    world.network.link(1, 2).seconds = 1.0
    for number in range(20):  # and its snapshot takes long
        world.put(leader, "/k", str(number))
    world.heal()
    world.until(lambda: voters(world) == {1, 2})
    assert world.value(world.member(2), "/k") is not None
    world.put(world.member(2), "/k", "v")
    world.settle()


def test_the_wrong_url_of_a_new_member_harms_nobody():
    world = World(3)
    leader = world.lead()
    term = leader.raft.term
    add_learner(world, 4, peer_urls=("http://nowhere:2380",))
    for number in range(20):
        world.put(leader, "/k", str(number))
        world.run(0.5)
    assert world.lead() is leader
    assert leader.raft.term == term
    assert voters(world) == {1, 2, 3}
    assert world.member(4).node.applied_index == 0
    change(world, ChangeKind.UPDATE, 4, peer_urls=record_of(4).peer_urls)
    world.until(lambda: voters(world) == {1, 2, 3, 4})
    world.settle()


def test_peer_url_update_reconnects():
    # M18, and a follower that was away meanwhile finds everybody all the same.
    everybody_moves()


def everybody_moves(**how):
    world = World(3, **how)
    away = world.others(world.lead())[0].member_id
    rest = sorted({1, 2, 3} - {away})
    world.cluster.restarts = False
    world.cluster.power_cut(world.machine(away))
    for member_id in rest:
        url = f"http://moved-{member_id}:2380"
        world.machine(member_id).addresses.add(url)
        change(world, ChangeKind.UPDATE, member_id, peer_urls=(url,))
        world.machine(member_id).addresses.remove(record_of(member_id).peer_urls[0])
        world.put(world.lead(), "/k", str(member_id))
    world.cluster.start(world.machine(away))
    world.settle()
    assert world.member(away).cluster.members() == world.lead().cluster.members()


def test_a_member_finds_a_cluster_of_which_it_knows_nobody():
    everybody_else_is_replaced()


def everybody_else_is_replaced(**how):
    world = World(3, **how)
    away = world.others(world.lead())[0].member_id
    world.cluster.restarts = False
    world.cluster.power_cut(world.machine(away))
    for number, gone in enumerate(sorted({1, 2, 3} - {away}), 4):
        add_learner(world, number)
        world.until(lambda number=number: number in voters(world))
        change(world, ChangeKind.REMOVE, gone)
        world.until(lambda gone=gone: world.machine(gone).removed)
    world.cluster.start(world.machine(away))
    world.until(lambda: world.machine(away).run and world.machine(away).run.ready)
    world.settle()
    assert voters(world) == {away, 4, 5}
    world.put(world.member(away), "/k", "v")


def test_one_of_two_is_removed_and_the_power_goes():
    for seed in range(12):
        one_of_two_is_removed(seed)


def one_of_two_is_removed(seed, **how):
    world = World(2, seed=f"two {seed}", **how)
    leader = world.lead()
    stays, goes = leader.member_id, 3 - leader.member_id
    asked = ConfigChange(ChangeKind.REMOVE, goes)
    machine = world.machine(stays)
    world.ask(leader, lambda run: run.node.reconfigure(asked))
    machine.disk.crash_after = seed
    world.run(0.2)
    machine.disk.crash_after = -1
    if machine.run is not None and machine.run.ready:
        world.cluster.power_cut(machine)
    world.member(stays)
    if goes in world.lead().raft.status().configuration.voters:
        change(world, ChangeKind.REMOVE, goes)
    world.until(lambda: world.machine(goes).removed)
    assert voters(world) == {stays}
    world.put(world.member(stays), "/k", "v")


def test_one_config_change_in_flight():
    two_changes_at_once()


def two_changes_at_once():
    # M02: the second is refused with an error, at whichever member it was asked of.
    world = World(3)
    one, two = world.others(world.lead())
    answers = []
    for run, number in ((one, 8), (two, 9)):
        record = MemberRecord(number, "", (f"http://n{number}:2380",), ())
        asked = ConfigChange(ChangeKind.ADD_LEARNER, number, encode_record(record))
        answers.append(
            world.ask(run, lambda run, asked=asked: run.node.reconfigure(asked))
        )
    began = world.timeline.now
    world.until(lambda: all(answers))
    assert world.timeline.now - began < world.cluster.sizes.election_seconds
    refused = [a[0] for a in answers if isinstance(a[0], ReconfigurationRefused)]
    assert len(refused) == 1
    assert len(world.lead().cluster.members()) == 4
