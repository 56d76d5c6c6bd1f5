"""Changes of one member at a time: thesis chapter 4, and how etcd got them wrong."""

import pytest

from kvd.errors import InvariantViolated
from kvd.raft import membership, replication
from kvd.raft.codec import encode_change
from kvd.raft.messages import (
    AppendEntries,
    AppendResponse,
    ChangeKind,
    ChangeRefusal,
    ChangeRefused,
    ConfigChange,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatResponse,
    Propose,
    RequestVote,
    Role,
    SnapshotMeta,
    TimeoutNow,
    VoteResponse,
)

from .network import (
    Disk,
    Network,
    ack,
    bootstrap,
    change_entry,
    configuration,
    follow,
    lead,
    log_of,
    lone,
    normal,
    take,
    time_out,
)


def leading(**how):
    """A leader that has committed in its term and hears from everybody."""
    member = lone(**how)
    lead(member)
    ack(member, *sorted(member.state.configuration.voters - {1}))
    take(member)
    return member


def test_single_step_change_needs_commit_in_term():  # M01, Ongaro 2015
    member = lone((1, 1), commit=2)
    lead(member)
    assert member.change(ChangeKind.ADD_VOTER, 4) is ChangeRefusal.NOT_READY
    assert member.log.last == 3, "the change went into the log"
    member.step(
        Propose(
            1,
            3,
            0,
            ((EntryKind.CHANGE, encode_change(ConfigChange(ChangeKind.REMOVE, 2))),),
        )
    )
    assert member.log.last == 3
    assert member.has_notice("change_refused")
    ack(member, 2, 3)
    assert member.change(ChangeKind.ADD_VOTER, 4) is None


def test_two_disjoint_majorities_never_rule():  # M01, the scenario of Ongaro 2015
    # 1 leads {1,2,3,4} and adds 5; the change stays with it. 2 leads without it,
    # removes 1 by a majority of its own; then 1 comes back.
    network = Network([1, 2, 3, 4], strict_reconfig=False)
    network.elect(1)
    network.add(5)
    network.isolate(1, 5)
    network[1].change(ChangeKind.ADD_VOTER, 5)
    network.settle()
    network.elect(2)
    network.tick(2, 3, 4, count=2)
    assert network[2].change(ChangeKind.REMOVE, 1) is None
    network.tick(2, 3, 4, count=2)
    assert network[2].state.configuration == configuration(2, 3, 4)
    network.heal()
    network.tick(count=60)
    network.check()
    for member in network:
        assert 5 not in member.state.configuration.voters


def test_one_config_change_in_flight():  # M02, thesis 4.1
    member = leading()
    assert member.change(ChangeKind.ADD_LEARNER, 4) is None
    last = member.log.last
    assert member.change(ChangeKind.ADD_LEARNER, 5) is ChangeRefusal.PENDING
    assert member.log.last == last
    two = tuple(
        (EntryKind.CHANGE, encode_change(ConfigChange(ChangeKind.ADD_LEARNER, n)))
        for n in (6, 7)
    )
    member.step(Propose(1, 2, 0, two))
    assert member.log.last == last
    # Committed is not enough: it must be applied.
    member.raft.step(AppendResponse(1, 2, member.raft.term, last, False, 0, 0))
    assert member.raft.commit == last
    assert (
        member.raft.propose_change(ConfigChange(ChangeKind.ADD_LEARNER, 5))
        is ChangeRefusal.PENDING
    )
    member.turn()
    member.step(Propose(1, 2, 0, two))
    assert member.log.last == last + 1, "one of two in the same message"


def test_a_follower_refuses_what_it_knows_to_be_pending():  # M02
    member = lone(term=1)
    assert member.change(ChangeKind.REMOVE, 3) is ChangeRefusal.NO_LEADER
    follow(member, 2, term=1)
    assert member.change(ChangeKind.REMOVE, 3) is None
    change = encode_change(ConfigChange(ChangeKind.REMOVE, 3))
    assert take(member) == [Propose(2, 1, 0, ((EntryKind.CHANGE, change),))]
    pending = change_entry(1, 1, ChangeKind.ADD_VOTER, 4)
    member.step(AppendEntries(1, 2, 1, 0, 0, (pending,), 0))
    assert member.change(ChangeKind.REMOVE, 3) is ChangeRefusal.PENDING


def test_new_leader_rederives_pending_change():  # M03
    # etcd/raft: TestNewLeaderPendingConfig. The change is of an earlier leader.
    everyone = SnapshotMeta(0, 0, configuration(1, 2, 3))
    pending = change_entry(2, 1, ChangeKind.ADD_VOTER, 4)
    disk = Disk(HardState(1), everyone, [normal(1, 1), pending])
    member = Network(disks={1: disk})[1]
    lead(member)
    ack(member, 2, index=2)
    # Our own entry commits, and the change with it, but it is not applied yet.
    member.raft.step(AppendResponse(1, 2, member.raft.term, 3, False, 0, 0))
    assert member.raft.commit == 3
    refusal = member.raft.propose_change(ConfigChange(ChangeKind.REMOVE, 2))
    assert refusal is ChangeRefusal.PENDING
    member.turn()
    ack(member, 2, 3)
    assert member.change(ChangeKind.REMOVE, 2) is None


def test_a_change_takes_effect_when_it_is_applied():
    member = leading()
    member.change(ChangeKind.ADD_VOTER, 4)
    assert 4 not in member.state.configuration.voters
    assert {m.to for m in take(member, AppendEntries)} == {2, 3}
    ack(member, 2)
    assert member.state.configuration == configuration(1, 2, 3, 4)
    assert {m.to for m in take(member, AppendEntries)} >= {4}
    # The majority is three of four from now on.
    member.propose(b"x")
    at = member.raft.commit
    ack(member, 2)
    assert member.raft.commit == at
    ack(member, 3)
    assert member.raft.commit > at


def test_remove_leader_commits_then_steps_down():  # M05, thesis 4.2.2
    member = leading(voters=(1, 2, 3, 4))
    term = member.raft.term
    assert member.change(ChangeKind.REMOVE, 1) is None
    assert not member.propose(b"x"), "something after its own removal"
    assert member.change(ChangeKind.REMOVE, 2) is ChangeRefusal.PENDING
    last = member.log.last
    ack(member, 2)
    assert member.raft.commit < last
    ack(member, 3)
    assert member.raft.commit == last
    assert member.state.configuration == configuration(2, 3, 4)
    assert member.raft.role is Role.LEADER, "gone before anybody knew"
    assert member.change(ChangeKind.REMOVE, 2) is ChangeRefusal.TRANSFERRING
    # A majority of 2, 3, 4 must have said that they know; 1 itself does not count.
    told = member.state.round
    member.step(HeartbeatResponse(1, 2, term, told - 1))
    member.step(HeartbeatResponse(1, 2, term, told))
    assert member.raft.role is Role.LEADER, "it counted itself"
    member.step(HeartbeatResponse(1, 3, term, told))
    assert member.raft.role is Role.FOLLOWER
    assert member.has_notice("stepped_down")
    assert [m.to for m in take(member, TimeoutNow)] == [3]
    member.tick(100)
    assert member.raft.role is Role.FOLLOWER


def test_a_committed_change_is_written_down_without_waiting_for_an_entry():
    # Who removed one of two would wait for its vote after a restart, and it is gone.
    network = Network((1, 2))
    network.elect(1)
    network.settle()
    assert network[1].change(ChangeKind.REMOVE, 2) is None
    network.settle()
    member = network[1]
    assert member.disk.hard_state.commit == member.raft.commit == member.log.last
    network.isolate(2)
    member.crash()
    network.restart(1)
    network.tick(1, count=3)
    network.settle()
    assert network[1].raft.role is Role.LEADER


def test_nobody_leaves_before_it_is_known_for_good_that_he_may():
    removal_of_one_of_two()


def removal_of_one_of_two():
    # The leader of two removes the other, and loses power before its disk knows that
    # the removal is committed. Were the other one gone by then, its vote would be
    # missed for ever.
    network = Network((1, 2))
    leader = network.elect(1)
    network.settle()
    assert leader.change(ChangeKind.REMOVE, 2) is None
    leader.saves_at_once = False
    network.settle()
    network.tick(1, count=3)
    at = leader.log.last
    assert leader.raft.commit == at, "both have it"
    assert leader.state.configuration == configuration(1, 2)
    assert network[2].raft.commit == at - 1, "it was told"
    assert network[2].state.configuration == configuration(1, 2)
    leader.saving = None
    leader.saves_at_once = True
    network.restart(1)
    network.elect(1)
    network.settle()
    network.tick(count=2)
    assert network[1].state.configuration == configuration(1)
    assert network[2].state.configuration == configuration(1), "M07"
    assert network[1].propose(b"x")
    network.check()


def test_a_change_is_told_as_soon_as_it_is_known_for_good():
    network = Network((1, 2, 3))
    leader = network.elect(1)
    network.settle()
    leader.saves_at_once = False
    assert leader.change(ChangeKind.REMOVE, 3) is None
    network.settle()
    assert leader.raft.commit == leader.log.last
    assert network[2].raft.commit == leader.log.last - 1
    leader.saved()  # the entry
    leader.saved()  # and that it is committed
    network.settle()
    for member in network:
        assert member.state.configuration == configuration(1, 2)


def test_a_leader_without_a_vote_does_not_count_itself_for_commit():  # M05
    member = leading(voters=(1, 2, 3))
    member.change(ChangeKind.REMOVE, 1)
    ack(member, 2)
    state = member.state
    assert not state.is_voter
    # An entry of its term on itself and one other of {2, 3} is on no majority.
    replication.append_own(state, EntryKind.NOOP, (b"",))
    member.turn()
    at = member.raft.commit
    ack(member, 2)
    assert member.raft.commit == at
    ack(member, 3)
    assert member.raft.commit == at + 1


@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_removed_leader_leaves_a_cluster_that_works(size):  # M05, M07
    network = Network(range(1, size + 1))
    leader = network.elect(1)
    network.tick(count=2)
    assert leader.change(ChangeKind.REMOVE, 1) is None
    network.settle()
    network.tick(count=2)
    leader.crash()
    network.until_leader()
    assert network.leader().id != 1
    assert network.leader().propose(b"x")
    network.settle()
    rest = frozenset(range(2, size + 1))
    for member in network:
        assert member.state.configuration.voters == rest
    network.check()


def test_the_last_voter_and_a_longer_log_of_a_removed_leader():  # M05
    # Of two, one is removed and goes before the other knows: it has nothing beyond the
    # removal, so that the other can still win its vote.
    network = Network([1, 2])
    leader = network.elect(1)
    network.tick(count=2)
    network.lose = lambda m: (
        isinstance(m, Heartbeat) or (isinstance(m, AppendEntries) and not m.entries)
    )
    leader.change(ChangeKind.REMOVE, 1)
    network.settle()
    assert leader.state.configuration == configuration(2)
    assert network[2].state.configuration == configuration(1, 2)
    network.restart(1)
    network.heal()
    network.tick(count=100)
    assert network[2].raft.role is Role.LEADER
    assert network[2].state.configuration == configuration(2)


def test_a_new_leader_knows_that_it_is_being_removed():
    everyone = SnapshotMeta(0, 0, configuration(1, 2, 3))
    pending = change_entry(1, 1, ChangeKind.REMOVE, 1)
    member = Network(disks={1: Disk(HardState(1), everyone, [pending])})[1]
    lead(member)
    assert not member.propose(b"x")
    # The cluster machine decides against it: the leader stays.
    member.apply = lambda entry: (
        entry.kind is EntryKind.CHANGE and (member.raft.skip_change())
    )
    ack(member, 2)
    assert member.raft.applied_index == 2
    assert member.propose(b"x")
    assert member.raft.role is Role.LEADER


def test_removed_member_cannot_disrupt_or_rejoin():  # M06, etcd #1488
    network = Network([1, 2, 3, 4])
    leader = network.elect(1)
    network.tick(count=2)
    network.isolate(4)
    assert leader.change(ChangeKind.REMOVE, 4) is None
    network.settle()
    term = leader.raft.term
    # It never learnt that it was removed, and comes back with a term run ahead.
    network[4].tick(100)
    network.heal()
    network.inflight.clear()
    network.tick(count=100)
    assert leader.raft.role is Role.LEADER
    assert leader.raft.term == term
    # Nor do answers of a later term, which nobody asked for, disturb anybody.
    for member_id in (1, 2):
        member = network[member_id]
        member.step(VoteResponse(member_id, 4, term + 9, False, False))
        member.step(AppendResponse(member_id, 4, term + 9, 0, True, 0, 0))
        member.step(HeartbeatResponse(member_id, 4, term + 9, 1))
        assert member.raft.term == term
    leader.propose(b"x")
    network.settle()
    assert network[4].applied[-1][0] < leader.raft.applied_index
    network.check()


def test_removed_member_learns_of_removal():  # M07
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.tick(count=2)
    assert leader.change(ChangeKind.REMOVE, 3) is None
    network.settle()
    assert network[3].state.configuration == configuration(1, 2)
    assert 3 not in leader.state.progress
    network[3].tick(100)
    assert network[3].raft.role is Role.FOLLOWER


def test_a_refused_change_is_refused_at_its_asker():  # M02
    network = Network((1, 2, 3))
    leader = network.elect(1)
    network.tick(count=2)
    change = encode_change(ConfigChange(ChangeKind.REMOVE, 1, b"who asks"))
    proposal = ((EntryKind.CHANGE, change),)
    assert leader.change(ChangeKind.UPDATE, 2) is None
    leader.step(Propose(1, 3, 0, proposal))
    refused = [m for m in network.sent if isinstance(m, ChangeRefused)]
    assert refused == [ChangeRefused(3, 1, 0, ChangeRefusal.PENDING, change)]
    # Somebody who does not lead (any more) says so; nobody passes it on.
    network[2].step(Propose(2, 3, 0, proposal))
    assert network.sent[-1] == ChangeRefused(3, 2, 0, ChangeRefusal.NO_LEADER, change)
    # To the core of the asker it means nothing.
    network[3].step(refused[0])
    network.settle()
    assert leader.state.configuration == configuration(1, 2, 3)


def test_add_refused_when_it_would_lose_quorum():  # M08, etcd strict-reconfig-check
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network[3].crash()
    network.tick(count=30)
    assert leader.change(ChangeKind.ADD_VOTER, 4) is ChangeRefusal.UNHEALTHY
    assert leader.change(ChangeKind.REMOVE, 2) is ChangeRefusal.UNHEALTHY
    assert leader.change(ChangeKind.REMOVE, 3) is None
    network.settle()
    assert leader.change(ChangeKind.UPDATE, 2) is None
    network.settle()
    # Of five, one is away: etcd adds no voter while any member is.
    network = Network(range(1, 6))
    leader = network.elect(1)
    assert leader.change(ChangeKind.UPDATE, 2) is None
    network[5].crash()
    network.tick(count=30)
    assert leader.change(ChangeKind.ADD_VOTER, 6) is ChangeRefusal.UNHEALTHY
    assert leader.change(ChangeKind.ADD_LEARNER, 6) is None, "it costs nobody anything"
    network.settle()
    network.add(6)
    network.tick(count=30)
    assert leader.change(ChangeKind.ADD_VOTER, 6) is None, "it is there and has it all"
    network.settle()
    assert leader.change(ChangeKind.REMOVE, 4) is None
    loose = lone(strict_reconfig=False)
    lead(loose)
    ack(loose, 2)
    assert loose.change(ChangeKind.ADD_VOTER, 4) is None


def test_a_single_member_may_add_a_second():  # M08
    member = lone(voters=(1,))
    member.tick()
    assert member.change(ChangeKind.ADD_VOTER, 2) is None
    assert member.state.configuration == configuration(1, 2)


def test_the_last_voter_is_not_removed():
    member = lone(voters=(1,))
    member.tick()
    for kind in (ChangeKind.REMOVE, ChangeKind.ADD_LEARNER):
        assert member.change(kind, 1) is ChangeRefusal.LAST_VOTER


def test_snapshot_carries_membership():  # M10, etcd #18055
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.tick(count=2)
    network.isolate(3)
    assert leader.change(ChangeKind.ADD_LEARNER, 4) is None
    network.settle()
    leader.snapshot()
    network.add(4)
    network.heal()
    network.tick(count=6)
    for member_id in (3, 4):
        member = network[member_id]
        assert member.raft.status().configuration == configuration(
            1, 2, 3, learners=[4]
        )
        # And after a restart out of that snapshot.
        network.restart(member_id)
        assert member.raft.status().configuration == configuration(
            1, 2, 3, learners=[4]
        )
    network.check()


def test_truncated_config_change_rolls_back():  # M11
    member = lone((1,), commit=1)
    pending = change_entry(2, 1, ChangeKind.REMOVE, 3)
    member.step(AppendEntries(1, 2, 1, 1, 1, (pending,), 1))
    assert member.state.has_unapplied_change
    assert member.state.configuration == configuration(1, 2, 3)
    member.step(AppendEntries(1, 3, 2, 1, 1, (normal(2, 2),), 2))
    assert not member.state.has_unapplied_change
    assert member.state.configuration == configuration(1, 2, 3)
    assert member.raft.applied_index == 2
    assert member.log.changes == []


def test_config_changes_replayed_at_restart():  # M12, PySyncObj #133
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.tick(count=2)
    for kind, who in ((ChangeKind.ADD_LEARNER, 4), (ChangeKind.REMOVE, 3)):
        assert leader.change(kind, who) is None
        network.settle()
    leader.propose(b"x")
    network.settle()
    expected = configuration(1, 2, learners=[4])
    for restarted in (1, 2):
        network.restart(restarted)
    network.until_leader()
    network.tick(count=3)
    for restarted in (1, 2):
        assert network[restarted].state.configuration == expected


def test_a_change_in_the_log_proves_the_one_before_committed():
    # A torn write keeps an entry and loses the commit index that came with it.
    hard_state, entries = bootstrap([1, 2, 3])
    entries += [
        change_entry(4, 1, ChangeKind.ADD_VOTER, 4),
        normal(5, 1),
        change_entry(6, 1, ChangeKind.ADD_VOTER, 5),
    ]
    member = Network(disks={1: Disk(hard_state, None, entries)})[1]
    assert member.raft.commit == 4
    assert member.state.configuration == configuration(1, 2, 3, 4)


def test_learner_counts_for_nothing_but_votes_when_asked():  # M14
    # etcd/raft testdata: campaign_learner_must_vote.txt
    member = leading(voters=(1, 2, 3), learners=(4, 5))
    at = member.raft.commit
    member.propose(b"x")
    ack(member, 4, 5)
    assert member.raft.commit == at, "learners were counted for a commit"
    member.read(7)
    for learner in (4, 5):
        member.step(HeartbeatResponse(1, learner, member.raft.term, member.state.round))
    assert member.reads == {}, "learners were counted for a read"
    member.tick(25)
    for learner in (4, 5):
        member.step(HeartbeatResponse(1, learner, member.raft.term, 9))
    assert member.raft.role is Role.FOLLOWER, "learners were counted for check-quorum"
    member = lone(voters=(1, 2, 3), learners=(4, 5), pre_vote=False)
    time_out(member)
    for learner in (4, 5):
        member.step(VoteResponse(1, learner, 1, True, False))
    assert member.raft.role is Role.CANDIDATE, "learners were counted for a vote"
    learner = lone(voters=(2, 3), learners=(1,), term=1)
    learner.step(RequestVote(1, 3, 2, 5, 1, False, False))
    assert [a.granted for a in take(learner, VoteResponse)] == [True]


def test_learner_promotion_requires_caught_up():  # M15
    member = lone((1,) * 100, commit=100, learners=(4,))
    lead(member)
    ack(member, 2, 3)
    assert member.change(ChangeKind.ADD_VOTER, 4) is ChangeRefusal.NOT_CAUGHT_UP
    ack(member, 4, index=50)
    assert member.change(ChangeKind.ADD_VOTER, 4) is ChangeRefusal.NOT_CAUGHT_UP
    ack(member, 4, index=95)
    assert member.change(ChangeKind.ADD_VOTER, 4) is None
    ack(member, 2, 3)
    assert member.state.configuration == configuration(1, 2, 3, 4)


def test_a_learner_is_promotable_once_nobody_would_wait_for_it():  # M15
    lag = membership.LAG_MAX
    member = leading(voters=(1, 2), learners=(3,))
    assert member.raft.promotable({3}) == 0, "nothing was heard of it"
    member.propose(*[b""] * (lag + 5))
    ack(member, 2)
    ack(member, 3, index=4)
    assert member.raft.promotable({3}) == 0, "it lacks too much"
    ack(member, 3, index=member.raft.commit - lag)
    assert member.raft.promotable({3}) == 3
    assert member.raft.promotable({4}) == 0, "no learner"
    member.raft.report_unreachable(3)
    assert member.raft.promotable({3}) == 0, "it may be gone"
    ack(member, 3)
    assert member.raft.promotable({3}) == 3
    assert member.change(ChangeKind.UPDATE, 2) is None
    assert member.raft.promotable({3}) == 0, "another change is on its way"
    ack(member, 2, 3)
    assert member.change(ChangeKind.ADD_VOTER, 3) is None
    ack(member, 2, 3)
    assert member.raft.promotable({3}) == 0
    follow(member, term=member.raft.term + 1)
    assert member.raft.promotable({3}) == 0


def test_who_may_lag_behind_may_be_led_by_somebody_it_does_not_know():
    newcomer = Network(disks={1: Disk()})[1]
    assert newcomer.raft.may_be_led_by(9)
    follow(newcomer, leader=9)
    assert newcomer.raft.may_be_led_by(9)
    assert not newcomer.raft.may_be_led_by(8), "the leader will say who that is"
    member = lone((1, 1), commit=2)
    assert member.raft.may_be_led_by(9)
    member.applies_at_once = False
    member.state.commit += 1
    assert not member.raft.may_be_led_by(9), "it may be in what is not applied yet"
    alone = lone(voters=(1,))
    assert not alone.raft.may_be_led_by(9), "nobody else leads it"


def test_a_leader_that_becomes_a_learner_steps_down():
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.tick(count=2)
    assert leader.change(ChangeKind.ADD_LEARNER, 1) is None
    network.settle()
    network.tick(count=1)
    assert leader.raft.role is Role.FOLLOWER
    assert network.leader().id != 1
    network.tick(count=3)
    assert leader.raft.leader == network.leader().id
    assert leader.state.configuration == configuration(2, 3, learners=[1])


def test_a_new_member_gets_everything():
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.tick(count=1)
    leader.propose(b"x")
    network.settle()
    network.add(4)
    assert leader.change(ChangeKind.ADD_VOTER, 4) is None
    network.tick(count=3)
    assert network[4].applied == leader.applied
    assert network[4].state.configuration == configuration(1, 2, 3, 4)


def test_too_much_uncommitted_refuses_a_change():
    member = leading(uncommitted_bytes_max=100)
    member.propose(b"x" * 90)
    assert (
        member.change(ChangeKind.ADD_LEARNER, 4) is ChangeRefusal.TOO_MUCH_UNCOMMITTED
    )


def test_a_change_that_was_refused_at_apply_changes_nothing():
    member = leading()
    member.apply = lambda entry: member.raft.skip_change()
    member.change(ChangeKind.REMOVE, 3)
    ack(member, 2, 3)
    assert member.state.configuration == configuration(1, 2, 3)
    assert member.change(ChangeKind.REMOVE, 2) is None


def test_a_driver_that_forgets_to_decide_about_a_change_is_stopped():
    member = leading()
    member.change(ChangeKind.REMOVE, 3)
    member.raft.step(
        AppendResponse(1, 2, member.raft.term, member.log.last, False, 0, 0)
    )
    ready = member.raft.ready()
    assert ready.committed == ()  # not before the disk knows that it is committed
    member.raft.persisted(ready.persist)
    ready = member.raft.ready()
    with pytest.raises(InvariantViolated, match="neither applied nor skipped"):
        member.raft.applied(ready.committed[-1].index)


def test_removing_an_unknown_member_changes_nothing():
    member = leading()
    assert member.change(ChangeKind.REMOVE, 9) is None
    ack(member, 2, 3)
    assert member.state.configuration == configuration(1, 2, 3)


def test_log_of_an_empty_follower_is_filled_from_the_first_entry():
    everyone = SnapshotMeta(0, 0, configuration(1, 2, 3))
    disks = {
        1: Disk(HardState(3), everyone, log_of([1, 2, 3])),
        2: Disk(HardState(0), everyone, []),
        3: Disk(HardState(0), everyone, []),
    }
    network = Network(disks=disks)
    network.elect(1)
    network.tick(count=2)
    for member in network:
        assert member.log.last == 4


def test_a_learner_skips_a_refused_change_too():
    member = lone(voters=(2, 3), learners=(1,))
    member.apply = lambda entry: member.raft.skip_change()
    refused = change_entry(1, 1, ChangeKind.REMOVE, 3)
    member.step(AppendEntries(1, 2, 1, 0, 0, (refused,), 1))
    assert member.raft.applied_index == 1
    assert member.state.configuration == configuration(2, 3, learners=[1])
