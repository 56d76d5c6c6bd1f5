"""Leadership transfer: thesis 3.10. M16 is the eight cases named test_leader_transfer_*."""

from kvd.raft.messages import (
    AppendEntries,
    ChangeKind,
    ChangeRefusal,
    EntryKind,
    Heartbeat,
    HeartbeatResponse,
    Propose,
    RequestVote,
    Role,
    TimeoutNow,
    TransferRequest,
)

from .network import Network, ack, follow, lead, lone, take


def leading(**how):
    member = lone(**how)
    lead(member)
    ack(member, 2, 3)
    take(member)
    return member


def test_leader_transfer_to_an_up_to_date_member():  # M16
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.tick(count=1)
    assert leader.transfer(2)
    network.settle()
    assert network[2].raft.role is Role.LEADER
    assert network[1].raft.leader == 2
    votes = [m for m in network.sent if isinstance(m, RequestVote) and m.sender == 2]
    assert all(m.transfer and not m.pre for m in votes)
    network.check()


def test_leader_transfer_waits_for_a_slow_target():  # M16
    member = leading()
    member.propose(b"x")
    assert member.transfer(2)
    assert take(member, TimeoutNow) == []
    ack(member, 3)
    assert take(member, TimeoutNow) == []
    ack(member, 2)
    assert take(member, TimeoutNow) == [TimeoutNow(2, 1, member.raft.term)]


def test_leader_transfer_ends_after_an_election_timeout():  # M16
    member = leading()
    member.propose(b"x")
    member.transfer(2)
    for _ in range(10):
        member.tick()
        member.step(HeartbeatResponse(1, 3, member.raft.term, member.state.round))
    assert member.raft.status().transferring_to == 0
    assert member.has_notice("transfer_aborted")
    ack(member, 2)
    assert take(member, TimeoutNow) == []
    assert member.propose(b"y")


def test_leader_transfer_to_a_non_member_is_refused():  # M16
    member = leading(learners=(4,))
    for target in (9, 4, 1):
        assert not member.transfer(target)
    assert member.propose(b"x")


def test_leader_transfer_ends_when_the_target_is_removed():  # M16
    member = leading()
    assert member.change(ChangeKind.REMOVE, 3) is None
    member.transfer(3)
    take(member)
    ack(member, 2)
    assert 3 not in member.state.configuration.voters
    assert member.raft.status().transferring_to == 0
    assert member.propose(b"y")


def test_leader_transfer_a_second_one_replaces_the_first():  # M16
    member = leading()
    member.propose(b"x")
    member.transfer(2)
    member.tick(5)
    assert member.transfer(2), "the same again changes nothing"
    assert member.state.transfer_elapsed == 5
    member.transfer(3)
    assert member.state.transfer_elapsed == 0
    ack(member, 2)
    assert take(member, TimeoutNow) == []
    ack(member, 3)
    assert [m.to for m in take(member, TimeoutNow)] == [3]


def test_leader_transfer_blocks_proposals_meanwhile():  # M16
    member = leading()
    member.transfer(2)
    assert not member.propose(b"x")
    assert member.change(ChangeKind.REMOVE, 3) is ChangeRefusal.TRANSFERRING
    member.step(Propose(1, 3, 0, ((EntryKind.NORMAL, b"z"),)))
    assert member.log.last == 1
    assert take(member, AppendEntries) == []


def test_leader_transfer_ends_with_the_leadership():  # M16
    member = leading()
    member.transfer(2)
    take(member)
    member.step(Heartbeat(1, 3, member.raft.term + 1, 0, 1))
    assert member.raft.status().transferring_to == 0
    lead(member)
    ack(member, 2, 3)
    assert take(member, TimeoutNow) == []
    assert member.propose(b"x")


def test_a_lost_timeout_now_is_said_again():
    member = leading()
    member.transfer(2)
    take(member)
    member.tick(2)
    take(member)
    member.step(HeartbeatResponse(1, 2, member.raft.term, member.state.round))
    assert take(member, TimeoutNow) == [TimeoutNow(2, 1, member.raft.term)]


def test_a_follower_passes_a_transfer_to_the_leader():
    member = lone()
    assert not member.transfer(2)
    follow(member, 2, term=1)
    assert member.transfer(3)
    assert take(member) == [TransferRequest(2, 1, 0, 3)]
    member = leading()
    member.step(TransferRequest(1, 2, 0, 2))
    assert take(member, TimeoutNow) == [TimeoutNow(2, 1, member.raft.term)]


def test_only_the_leader_can_make_us_campaign():
    member = lone(term=1)
    follow(member, 2, term=1)
    member.step(TimeoutNow(1, 3, 1))
    assert member.raft.role is Role.FOLLOWER
    member.step(TimeoutNow(1, 3, 4))
    assert (member.raft.role, member.raft.term) == (Role.CANDIDATE, 5)


def test_a_transfer_works_within_the_lease_of_the_others():
    network = Network([1, 2, 3])
    leader = network.elect(1)
    for _ in range(5):
        network.tick(count=1)
        target = 2 if network.leader().id != 2 else 3
        leader = network.leader()
        assert leader.transfer(target)
        network.settle()
        assert network.leader().id == target
        network.tick(count=1)
    network.check()
