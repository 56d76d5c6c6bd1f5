"""Linearizable reads without a log entry: thesis 6.4."""

import pytest

from kvd.raft.messages import (
    ChangeKind,
    Heartbeat,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    Role,
)

from .network import Network, ack, follow, lead, lone, take


def leading(**config):
    """A leader that has committed in its term."""
    member = lone(**config)
    lead(member)
    ack(member, 2, 3)
    take(member)
    return member


def heard(member, *others, number=None):
    """These answer a heartbeat round, the latest if none is given."""
    number = member.state.round if number is None else number
    for other in others:
        member.step(HeartbeatResponse(1, other, member.raft.term, number))


def test_read_index_waits_for_first_commit_of_term():  # R20
    member = lone((1, 1), commit=2)
    lead(member)
    assert member.read(7)
    member.tick()
    heard(member, 2, 3)
    assert member.reads == {}, "answered before an entry of its term is committed"
    ack(member, 2)
    heard(member, 2, number=1)
    assert member.reads == {}, "answered by a round from before it was allowed"
    heard(member, 2)
    assert member.reads == {7: 3}


def test_read_index_needs_quorum_after_arrival():  # R21
    member = leading()
    member.tick()
    before = member.state.round
    member.read(7)
    assert member.state.round == before + 1, "no round was started for it"
    heard(member, 2, 3, number=before)
    assert member.reads == {}, "an answer to a heartbeat sent before the read counted"
    heard(member, 9, 2, number=before)
    assert member.reads == {}
    heard(member, 2)
    assert member.reads == {7: 1}


def test_reads_that_arrive_together_share_one_round():
    member = leading()
    for context in range(50):
        member.raft.read_index(context)
    member.turn()
    assert len(take(member, Heartbeat)) == 2
    # More reads wait for the next round while this one is on its way.
    for context in range(50, 60):
        member.read(context)
    assert take(member, Heartbeat) == []
    heard(member, 3)
    assert sorted(member.reads) == list(range(50))
    assert len(take(member, Heartbeat)) == 2
    heard(member, 3)
    assert len(member.reads) == 60


def test_a_round_that_was_lost_is_made_good_by_the_next_heartbeat():
    member = leading()
    member.read(7)
    take(member)
    member.tick()
    heard(member, 2)
    assert member.reads == {7: 1}


def test_an_answer_to_an_older_round_takes_nothing_back():
    member = leading()
    member.tick(3)
    heard(member, 2, number=3)
    heard(member, 2, number=1)
    assert member.state.progress[2].round == 3


def test_read_index_retry_takes_new_index():  # R22
    member = leading()
    member.read(1)
    member.propose(b"x")
    ack(member, 2, 3)
    assert member.read(2), "the asker's second attempt, with a context of its own"
    heard(member, 2)
    heard(member, 2)
    assert member.reads == {1: 1, 2: 2}
    # At a follower: the answer to the first attempt does not answer the second.
    follower = lone(term=1)
    follow(follower, 2, term=1)
    follower.read(1)
    (first,) = take(follower, ReadIndexRequest)
    follow(follower, 3, term=2)
    assert follower.dropped == [1]
    follower.read(2)
    (second,) = take(follower, ReadIndexRequest)
    assert first.context != second.context
    follower.step(ReadIndexResponse(1, 2, 0, 5, first.context))
    assert follower.reads == {}
    follower.step(ReadIndexResponse(1, 3, 0, 9, second.context))
    assert follower.reads == {2: 9}


def test_read_index_dropped_on_leader_change():  # R23
    member = leading()
    term = member.raft.term
    member.read(1)
    member.read(2)
    member.step(ReadIndexRequest(1, 3, 0, 77))
    take(member)
    member.step(Heartbeat(1, 2, term + 1, 0, 1))
    assert sorted(member.dropped) == [1, 2]
    lead(member)
    ack(member, 2, 3)
    heard(member, 2, 3)
    member.tick()
    heard(member, 2, 3)
    assert member.reads == {}, "a read of an earlier leadership was answered"
    assert take(member, ReadIndexResponse) == []


def test_reads_are_dropped_when_a_leader_steps_down_by_itself():
    member = leading()
    member.read(1)
    member.tick(25)
    assert member.raft.role is Role.FOLLOWER
    assert member.dropped == [1]


def test_read_waits_for_apply():  # R24
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.tick(count=2)
    follower = network[3]
    network.lose = lambda m: m.to == 3 and not isinstance(m, ReadIndexResponse)
    leader.propose(b"x")
    network.settle()
    follower.read(7)
    network.settle()
    assert follower.reads == {7: leader.raft.commit}
    assert follower.raft.applied_index < follower.reads[7], (
        "the index promises more than this follower has; its owner must wait"
    )
    network.heal()
    network.tick(count=4)
    assert follower.raft.applied_index >= follower.reads[7]


def test_a_followers_read_is_confirmed_by_a_round_of_the_leader():
    member = leading()
    member.step(ReadIndexRequest(1, 3, 0, 77))
    assert take(member, ReadIndexResponse) == []
    heard(member, 2)
    assert take(member, ReadIndexResponse) == [ReadIndexResponse(3, 1, 0, 1, 77)]


def test_nobody_answers_reads_without_a_leader():
    member = lone()
    assert not member.read(1)
    member.step(ReadIndexRequest(1, 3, 0, 77))
    assert take(member) == []


def test_the_only_voter_answers_at_once_but_not_before_its_first_commit():
    member = lone(voters=(1,))
    member.saves_at_once = False
    member.tick()
    member.saved()
    assert member.read(1)
    assert member.reads == {}
    member.saved()
    assert member.reads == {1: 1}
    member.read(2)
    assert member.reads == {1: 1, 2: 1}


def test_pending_reads_are_bounded():
    member = leading(reads_pending_max=3)
    assert [member.read(n) for n in range(5)] == [True, True, True, False, False]
    member.step(ReadIndexRequest(1, 3, 0, 77))
    heard(member, 2)
    heard(member, 2)
    assert take(member, ReadIndexResponse) == []
    follower = lone(reads_pending_max=2)
    follow(follower, 2, term=1)
    assert [follower.read(n) for n in range(3)] == [True, True, False]


def test_a_forwarded_read_without_an_answer_is_given_back():
    member = lone()
    follow(member, 2, term=1)
    member.read(1)
    (request,) = take(member, ReadIndexRequest)
    for _ in range(22):
        member.tick()
        follow(member, 2, term=1)
    assert member.dropped == [1]
    member.step(ReadIndexResponse(1, 2, 0, 5, request.context))
    assert member.reads == {}


def test_an_answer_just_in_time_still_counts():
    member = lone()
    follow(member, 2, term=1)
    member.read(1)
    (request,) = take(member, ReadIndexRequest)
    for _ in range(10):
        member.tick()
        follow(member, 2, term=1)
    member.step(ReadIndexResponse(1, 2, 0, 5, request.context))
    assert member.reads == {1: 5}


def test_numbers_on_the_wire_differ_from_one_life_to_the_next():
    network = Network([1, 2, 3])
    network.elect(1)
    network[3].read(1)
    (one,) = [m for m in network.sent if isinstance(m, ReadIndexRequest)]
    network.restart(3)
    network.sent.clear()
    network.tick(count=2)
    network[3].read(1)
    (other,) = [m for m in network.sent if isinstance(m, ReadIndexRequest)]
    assert one.context != other.context


def test_a_leader_that_is_no_voter_does_not_count_itself_for_reads():
    member = leading(voters=(1, 2, 3))
    member.change(ChangeKind.REMOVE, 1)
    ack(member, 2, 3)
    assert not member.state.is_voter
    member.read(5)
    take(member)
    member.step(HeartbeatResponse(1, 2, member.raft.term, member.state.round))
    assert member.reads == {}


# -- pauses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [1, 2])
@pytest.mark.parametrize("steps", range(12))
def test_pause_between_any_two_read_steps(reader, steps):  # R25
    """
    Whoever is stopped (SIGSTOP, a collection) at any point of a read, by the time it
    goes on another leader may have taken writes; no answer may miss them.
    """
    for paused in (1, 2):
        network = Network([1, 2, 3])
        network.elect(1)
        network.tick(count=2)
        network[reader].read(7)
        for _ in range(steps):
            if network.inflight:
                network.hand_over(network.inflight.pop(0))
        held = [m for m in network.inflight if paused in {m.to, m.sender}]
        network.inflight = [m for m in network.inflight if m not in held]
        answered_before = dict(network[reader].reads)
        pause(network, paused)
        # Everything that was on its way arrives after all, and then time passes.
        network[reader].read(8)
        network.heal()
        for message in held:
            network.hand_over(message)
        committed = max(network.committed)
        network.tick(count=40)
        network.check()
        late = network[reader].reads
        assert late.get(8, committed) >= network_written(network), "a stale read"
        if 7 not in answered_before and 7 in late:
            assert late[7] >= 4


def pause(network, paused):
    """The others elect a leader and take a write while one stands still."""
    network.isolate(paused)
    others = [m.id for m in network if m.id != paused]
    for _ in range(100):
        network.tick(*others)
    leader = max(
        (m for m in network if m.id != paused and m.raft.role is Role.LEADER),
        key=lambda m: m.raft.term,
    )
    assert leader.propose(b"written meanwhile")
    network.settle()
    assert any(e.data == b"written meanwhile" for e in network.committed.values())


def network_written(network):
    return min(
        index
        for index, entry in network.committed.items()
        if entry.data == b"written meanwhile"
    )
