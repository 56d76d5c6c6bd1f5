"""Who leads: the rules of raft paper 5.2 and 5.4.1, thesis 4.2.3, 6.2 and 9.6."""

import pytest

from kvd.errors import InvariantViolated
from kvd.raft.messages import (
    AppendEntries,
    AppendResponse,
    ChangeKind,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
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
    change_entry,
    configuration,
    follow,
    lead,
    log_of,
    lone,
    take,
    terms_of,
    time_out,
)


def request(term, last=(0, 0), *, sender=2, pre=False, transfer=False):
    """RequestVote to member 1; ``last`` is (term, index), in the order they compare."""
    return RequestVote(1, sender, term, last[1], last[0], pre, transfer)


def the_answer(member):
    (answer,) = take(member, VoteResponse)
    return answer


# -- votes and the disk -----------------------------------------------------------------


def test_term_and_vote_fsynced_before_vote_reply():  # R02
    member = lone(term=1)
    member.saves_at_once = False
    member.step(request(2))
    assert take(member) == [], "a vote left before it was durable"
    assert member.saving.hard_state == HardState(2, 2, 0)
    member.crash()
    member.start()
    # The vote was never given; it may go to somebody else, once.
    member.saves_at_once = True
    member.step(request(2, sender=3))
    assert the_answer(member).granted
    member.crash()
    member.start()
    member.step(request(2, sender=2))
    assert not the_answer(member).granted


def test_term_and_vote_survive_restart_of_all():  # R03
    network = Network([1, 2, 3])
    term = network.until_leader().raft.term
    for member in network:
        member.crash()
    network.inflight.clear()
    for member in network:
        member.start()
    assert all(member.raft.term == term for member in network)
    assert all(member.state.vote != 0 for member in network)
    assert network.until_leader().raft.term > term
    network.check()


def test_a_candidate_asks_for_votes_only_when_its_own_is_durable():
    # Raft paper figure 2: respond, and here also ask, after updating stable storage.
    member = lone(pre_vote=False)
    member.saves_at_once = False
    time_out(member)
    assert take(member) == []
    for other in (2, 3):
        member.step(VoteResponse(1, other, 1, True, False))
    assert member.raft.role is Role.LEADER
    member = lone(pre_vote=False)
    member.saves_at_once = False
    time_out(member)
    member.step(VoteResponse(1, 2, 1, True, False))
    assert member.raft.role is Role.CANDIDATE, "it counted a vote it might forget"
    member.saved()
    assert member.raft.role is Role.LEADER
    assert {m.to for m in take(member, RequestVote)} == {2, 3}


def test_a_candidate_waits_for_a_slow_disk_instead_of_campaigning_again():
    member = lone(pre_vote=False)
    member.saves_at_once = False
    time_out(member)
    member.tick(100)
    assert member.raft.term == 1
    member.saved()
    member.tick(40)
    assert member.raft.term > 1


def test_the_only_voter_elects_itself_at_the_first_tick():
    member = lone(voters=(1,), term=3)
    member.tick()
    assert (member.raft.role, member.raft.term) == (Role.LEADER, 4)
    assert member.raft.commit == 1
    assert take(member) == []


def test_a_vote_of_the_only_voter_waits_for_its_disk():
    member = lone(voters=(1,))
    member.saves_at_once = False
    member.tick(30)
    assert (member.raft.role, member.raft.term) == (Role.CANDIDATE, 1)
    member.saved()
    assert member.raft.role is Role.LEADER


# -- counting ---------------------------------------------------------------------------


def test_votes_counted_once_and_only_for_this_term():  # R11
    member = lone(voters=(1, 2, 3, 4, 5), pre_vote=False)
    time_out(member)
    term = member.raft.term
    for _ in range(3):
        member.step(VoteResponse(1, 2, term, True, False))
    assert member.raft.role is Role.CANDIDATE, "one voter was counted twice"
    for other in (3, 4, 5):
        member.step(VoteResponse(1, other, term - 1, True, False))
    assert member.raft.role is Role.CANDIDATE, "votes of an earlier term were counted"
    for other in (6, 7, 8):
        member.step(VoteResponse(1, other, term, True, False))
    assert member.raft.role is Role.CANDIDATE, "strangers were counted"
    for other in (3, 4):
        member.step(VoteResponse(1, other, term, True, True))
    assert member.raft.role is Role.CANDIDATE, "pre-votes were counted as votes"
    member.step(VoteResponse(1, 2, term, False, False))
    member.step(VoteResponse(1, 3, term, True, False))
    assert member.raft.role is Role.LEADER


def test_a_majority_of_refusals_ends_the_election():
    member = lone(pre_vote=False)
    time_out(member)
    for other in (2, 3):
        member.step(VoteResponse(1, other, 1, False, False))
    assert member.raft.role is Role.FOLLOWER
    member.step(VoteResponse(1, 2, 1, True, False))
    assert member.raft.role is Role.FOLLOWER


def test_a_lost_pre_vote_leaves_the_term_alone():
    member = lone(term=4)
    time_out(member)
    assert member.raft.role is Role.PRE_CANDIDATE
    for other in (2, 3):
        member.step(VoteResponse(1, other, 4, False, True))
    assert (member.raft.role, member.raft.term) == (Role.FOLLOWER, 4)


def test_a_refused_pre_vote_of_a_later_term_is_believed():
    member = lone(term=4)
    time_out(member)
    member.step(VoteResponse(1, 2, 9, False, True))
    assert (member.raft.role, member.raft.term) == (Role.FOLLOWER, 9)


def test_up_to_date_check_is_term_then_index():  # R12, raft paper 5.4.1
    for last, granted in (
        ((2, 3), True),  # equal
        ((2, 4), True),  # longer
        ((2, 2), False),  # shorter
        ((3, 1), True),  # later term, shorter
        ((1, 9), False),  # earlier term, longer
    ):
        for pre in (False, True):
            member = lone((1, 1, 2))
            member.step(request(5, last, pre=pre))
            assert the_answer(member).granted is granted, (last, pre)


def test_one_vote_in_a_term_and_the_same_one_again():  # raft paper 5.2
    member = lone()
    for sender, granted in ((2, True), (3, False), (2, True)):
        member.step(request(1, sender=sender))
        assert the_answer(member).granted is granted


def test_no_vote_in_a_term_that_has_a_leader():
    member = lone(check_quorum=False)
    follow(member, 2, term=1)
    member.step(request(1, (5, 5), sender=3))
    assert not the_answer(member).granted


# -- pre-vote and leases ------------------------------------------------------------------


def test_prevote_isolated_node_keeps_term():  # R13, thesis 9.6
    network = Network([1, 2, 3])
    leader = network.elect(1)
    term = leader.raft.term
    network.isolate(3)
    network.tick(count=80)
    assert network[3].raft.term == term
    network.heal()
    network.tick(count=30)
    assert leader.raft.role is Role.LEADER, "its return made the leader step down"
    assert {member.raft.term for member in network} == {term}
    assert network[3].raft.leader == 1


def test_checkquorum_leader_steps_down():  # R14, thesis 6.2
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.isolate(1)
    network.tick(1, count=2 * 10)
    assert leader.raft.role is Role.FOLLOWER
    assert leader.raft.leader == 0
    assert leader.has_notice("stepped_down")


def test_a_leader_that_hears_a_majority_leads_on():
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.isolate(3)
    network.tick(count=100)
    assert leader.raft.role is Role.LEADER


def test_without_check_quorum_a_leader_alone_stays():
    network = Network([1, 2, 3], check_quorum=False)
    leader = network.elect(1)
    network.isolate(1)
    network.tick(1, count=50)
    assert leader.raft.role is Role.LEADER


def test_recent_leader_refuses_votes():  # R15, thesis 4.2.3
    for pre in (False, True):
        member = lone(term=1)
        follow(member, 2, term=1)
        member.tick(9)
        member.step(request(7, (7, 7), sender=3, pre=pre))
        assert take(member) == []
        assert member.raft.term == 1
        member.step(request(7, (7, 7), sender=3, transfer=True))
        assert the_answer(member).granted, "a leadership transfer is let through"
    member = lone(term=1)
    follow(member, 2, term=1)
    member.tick(10)
    member.step(request(7, (7, 7), sender=3))
    assert the_answer(member).granted, "an election timeout without a leader"


def test_a_leader_refuses_votes_while_it_hears_a_majority():
    member = lone()
    term = lead(member)
    member.step(request(term + 5, (9, 9), sender=3))
    assert member.raft.role is Role.LEADER


@pytest.mark.parametrize(
    "cuts",
    [
        [(1, 3), (3, 1)],  # a bridge: 2 sees both
        [(1, 3)],  # one way
        [(3, 1)],
        [(1, 2), (1, 3)],  # deaf to one
        [(2, 1), (3, 1)],
    ],
)
def test_partial_connectivity_elects_and_keeps_leader(cuts):  # R16
    for first in (1, 2, 3):
        network = Network([1, 2, 3], seed=first)
        network.elect(first)
        network.cut.update(cuts)
        network.tick(count=80)
        leader = network.leader()
        assert leader is not None
        term = leader.raft.term
        assert leader.propose(b"x")
        network.settle()
        assert leader.raft.commit == leader.log.last
        network.tick(count=200)
        assert network.leader() is leader, "leadership was not kept"
        assert leader.raft.term == term
        network.check()


def test_partial_connectivity_ring_of_five_keeps_one_leader():  # R16, Cloudflare 2020
    network = Network([1, 2, 3, 4, 5])
    network.elect(1)
    for one in range(1, 6):
        for other in range(1, 6):
            if (one - other) % 5 in {2, 3}:
                network.cut.add((one, other))
    network.tick(count=100)
    leader = network.leader()
    term = leader.raft.term
    assert leader.propose(b"x")
    network.tick(count=200)
    assert network.leader() is leader
    assert leader.raft.term == term
    assert leader.raft.commit == leader.log.last


def test_election_timer_reset_rules():  # R17
    def elapsed_after(message, **how):
        member = lone((1, 1), term=2, **how)
        member.tick(7)
        member.step(message)
        return member.state.election_elapsed

    assert elapsed_after(request(3, (1, 2))) == 0, "a vote that we gave"
    assert elapsed_after(request(3, (1, 1))) == 7, "a vote that we refused"
    assert elapsed_after(request(3, (1, 2), pre=True)) == 7, "a pre-vote"
    assert elapsed_after(Heartbeat(1, 2, 2, 0, 1)) == 0, "a valid leader"
    assert elapsed_after(Heartbeat(1, 2, 1, 0, 1)) == 7, "a leader of the past"
    assert elapsed_after(AppendEntries(1, 2, 2, 9, 2, (), 0)) == 0, "though refused"
    assert elapsed_after(AppendResponse(1, 2, 5, 0, True, 0, 0)) == 7, "a later term"
    meta = SnapshotMeta(9, 2, configuration(1, 2, 3))
    assert elapsed_after(InstallSnapshot(1, 2, 2, meta)) == 0


def test_split_vote_resolves_randomized_timeout():  # R18, raft paper 5.2
    drawn = []
    member = lone(pre_vote=False)
    for _ in range(60):
        drawn.append(member.state.election_timeout)
        time_out(member)
    assert set(drawn) == set(range(10, 20)), "not the whole of [n, 2n) is used"
    # Everybody times out at once; the next timeouts differ, and somebody wins.
    network = Network([1, 2, 3])
    for member in network:
        member.state.election_timeout = 10
    network.until_leader(ticks=200)


def test_a_new_timeout_is_drawn_for_each_attempt():
    draws = iter([1, 3, 5, 7, 2, 4])
    member = lone(pre_vote=False)
    member.state.randbelow = lambda n: next(draws)
    for drawn in (1, 3, 5):
        time_out(member)
        assert member.state.election_timeout == 10 + drawn


def test_noop_on_election_commits_previous_terms():  # R19, raft paper 5.4.2 and 8
    member = lone((1, 1, 2))
    term = lead(member)
    assert terms_of(member) == [1, 1, 2, term]
    assert member.log.entries[-1] == Entry(4, term, EntryKind.NOOP, b"")
    assert member.raft.commit == 0
    ack(member, 2)
    assert member.raft.commit == 4


# -- terms --------------------------------------------------------------------------------


def test_stale_term_messages_ignored_and_answered():  # R31
    member = lone((1, 2), term=5)
    for message in (
        AppendEntries(1, 2, 4, 2, 2, (Entry(3, 4, EntryKind.NORMAL, b""),), 3),
        Heartbeat(1, 2, 4, 2, 1),
        InstallSnapshot(1, 2, 4, SnapshotMeta(9, 4, configuration(1, 2))),
    ):
        member.step(message)
        assert take(member) == [AppendResponse(2, 1, 5, 0, True, 0, 0)]
    member.step(request(4, (9, 9)))
    assert take(member) == [VoteResponse(2, 1, 5, False, False)]
    for message in (
        VoteResponse(1, 2, 4, True, False),
        AppendResponse(1, 2, 4, 2, False, 0, 0),
        HeartbeatResponse(1, 2, 4, 1),
        TimeoutNow(1, 2, 4),
    ):
        member.step(message)
        assert take(member) == []
    assert (member.raft.role, member.raft.term) == (Role.FOLLOWER, 5)
    assert (member.raft.commit, member.log.last) == (0, 2)


def test_a_stuck_candidate_of_a_later_term_is_freed():  # R31
    network = Network([1, 2, 3], pre_vote=False)
    network.elect(1)
    network.isolate(3)
    network.tick(3, count=60)  # its term runs away
    ahead = network[3].raft.term
    network.heal()
    network.tick(count=60)
    leader = network.leader()
    assert leader.raft.term >= ahead
    assert network[3].raft.leader == leader.id
    network.check()


def test_a_later_term_makes_a_follower_of_anybody():  # raft paper 5.1
    member = lone()
    term = lead(member)
    member.step(AppendResponse(1, 2, term + 3, 0, True, 0, 0))
    assert (member.raft.role, member.raft.term) == (Role.FOLLOWER, term + 3)
    assert member.raft.leader == 0


def test_a_leader_of_the_same_term_ends_a_candidacy():  # raft paper 5.2
    member = lone(pre_vote=False)
    time_out(member)
    member.step(Heartbeat(1, 2, member.raft.term, 0, 1))
    assert (member.raft.role, member.raft.leader) == (Role.FOLLOWER, 2)


def test_two_leaders_in_one_term_stop_the_member():
    member = lone()
    term = lead(member)
    with pytest.raises(InvariantViolated, match="two leaders"):
        member.raft.step(Heartbeat(1, 2, term, 0, 1))
    member = lone()
    follow(member, 2, term=3)
    with pytest.raises(InvariantViolated, match="two leaders"):
        member.raft.step(Heartbeat(1, 3, 3, 0, 1))


def test_misdirected_messages_do_nothing():
    member = lone()
    member.step(Heartbeat(2, 3, 7, 0, 1))
    member.step(Heartbeat(1, 1, 7, 0, 1))
    assert member.raft.term == 0
    assert member.has_notice("misdirected")


def test_answers_of_an_earlier_term_do_not_leave_after_a_term_change():
    member = lone(term=1)
    member.saves_at_once = False
    member.step(request(2, sender=2))
    member.step(request(3, sender=3))
    member.saved()
    member.saved()
    answers = take(member, VoteResponse)
    assert [(a.to, a.term) for a in answers] in ([(3, 3)], [(2, 2), (3, 3)])


# -- who may campaign ---------------------------------------------------------------------


def test_a_member_that_is_no_voter_never_campaigns():
    for how in ({"voters": (2, 3)}, {"voters": (2, 3), "learners": (1,)}):
        member = lone(**how)
        follow(member, 2, term=1)
        member.tick(100)
        assert member.raft.role is Role.FOLLOWER
        assert member.raft.leader == 0, "it still believes in a leader long gone"
        assert take(member) == []


def test_no_campaign_with_unapplied_change():  # M04
    network = Network([1, 2, 3])
    member = network[1]
    member.step(
        AppendEntries(1, 2, 1, 3, 1, (change_entry(4, 1, ChangeKind.ADD_VOTER, 4),), 3)
    )
    # It learns that the change is committed but the driver has not applied it yet.
    member.raft.step(Heartbeat(1, 2, 1, 4, 1))
    take(member)
    for _ in range(100):
        member.raft.tick()
    assert member.raft.role is Role.FOLLOWER
    member.raft.step(TimeoutNow(1, 2, 1))
    assert member.raft.role is Role.FOLLOWER
    member.turn()
    assert 4 in member.state.configuration.voters
    member.tick()
    assert member.raft.role is Role.PRE_CANDIDATE


def test_recovered_state_that_contradicts_itself_is_refused():
    for disk in (
        Disk(HardState(1, 0, 5), None, log_of([1, 1])),  # commit beyond the log
        Disk(HardState(1, 0, 0), None, log_of([1, 2])),  # an entry of a later term
        Disk(HardState(3, 0, 0), None, log_of([1, 2])[1:]),  # a gap
        Disk(HardState(3, 0, 0), None, log_of([2, 1])),  # a term that falls
    ):
        with pytest.raises(InvariantViolated):
            Network(disks={1: disk})


def test_an_older_write_does_not_make_our_vote_durable():
    member = lone(pre_vote=False)
    member.saves_at_once = False
    entry = Entry(1, 1, EntryKind.NORMAL, b"")
    member.step(AppendEntries(1, 2, 1, 0, 0, (entry,), 0))
    time_out(member)
    member.step(VoteResponse(1, 3, 2, True, False))
    member.saved()
    assert member.raft.role is Role.CANDIDATE
    member.saved()
    assert member.raft.role is Role.LEADER
