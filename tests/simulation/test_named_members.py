"""RELIABILITY's M rows on whole members."""

from kvd.cluster.machine import encode_record
from kvd.raft.messages import ChangeKind, ConfigChange
from kvd.testing.member import record_of

from .world import World


def change(world, kind, member_id):
    """Ask the leader for a membership change, until it is applied there."""
    record = record_of(member_id, learner=kind is ChangeKind.ADD_LEARNER)
    context = b"" if kind is ChangeKind.REMOVE else encode_record(record)
    asked = ConfigChange(kind, member_id, context)

    def done():
        answers = world.ask(world.lead(), lambda run: run.node.reconfigure(asked))
        world.until(lambda: answers)
        return answers[0] if not isinstance(answers[0], Exception) else None

    while done() is None:
        world.run(0.1)


def add_learner(world, member_id):
    machine = world.cluster.add_machine(member_id)
    world.cluster.start(machine)
    change(world, ChangeKind.ADD_LEARNER, member_id)


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
    world = World(3, snapshot_count=8, catchup_entries=0)
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
    world = World(3)
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
