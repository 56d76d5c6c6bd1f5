"""How logs become equal: raft paper 5.3, 5.4, 7 and thesis 10.2.1."""

import pytest

from kvd.errors import InvariantViolated
from kvd.raft import invariants
from kvd.raft.log import ENTRY_OVERHEAD_BYTES
from kvd.raft.messages import (
    AppendEntries,
    AppendResponse,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    Persist,
    Propose,
    RequestVote,
    Role,
    SnapshotMeta,
    TransferRequest,
)
from kvd.raft.progress import ProgressState

from .network import (
    Disk,
    Network,
    ack,
    configuration,
    follow,
    lead,
    log_of,
    lone,
    normal,
    take,
    terms_of,
)


def append(prev, *entries, term=None, commit=0, sender=2):
    """AppendEntries to member 1; ``prev`` is (index, term), entries are terms."""
    new = tuple(normal(i, t, b"new") for i, t in enumerate(entries, prev[0] + 1))
    term = term or max([prev[1], *entries])
    return AppendEntries(1, sender, term, prev[0], prev[1], new, commit)


def progress_of(member, other):
    return member.state.progress[other]


# -- what is committed ----------------------------------------------------------------------


def test_figure8_no_commit_by_counting_old_term():  # R01, raft paper 5.4.2 figure 8
    # (c): S1 leads in term 4 and has copied its entry of term 2 to a majority.
    member = lone((1, 2), term=3, voters=(1, 2, 3, 4, 5))
    term = lead(member)
    ack(member, 2, 3, index=2)
    assert member.raft.commit < 2, "committed by counting, may still be overwritten"
    # (e): an entry of its own term on a majority commits both.
    ack(member, 2, index=3)
    assert member.raft.commit == 0
    ack(member, 3, index=3)
    assert member.raft.commit == 3
    assert terms_of(member) == [1, 2, term]


def test_append_fsynced_before_ack():  # R04, raft paper figure 2
    member = lone()
    member.saves_at_once = False
    member.step(append((0, 0), 1, 1))
    assert take(member) == []
    assert len(member.saving.entries) == 2
    member.step(append((2, 1), 1))
    assert take(member) == [], "answered while the entries are not even on their way"
    member.saved()
    assert [a.index for a in take(member)] == [2]
    member.saved()
    assert [a.index for a in take(member)] == [3]
    assert [e.index for e in member.disk.entries] == [1, 2, 3]


def test_leader_counts_itself_only_when_durable():  # R05, thesis 10.2.1
    member = lone()
    lead(member)
    member.saves_at_once = False
    ack(member, 2)
    at = member.raft.commit
    member.propose(b"x")
    assert take(member, AppendEntries), "sent while its own disk is working"
    ack(member, 2)
    assert member.raft.commit == at
    member.saved()
    assert member.raft.commit == at + 1
    member.propose(b"y")
    ack(member, 2, 3)
    assert member.raft.commit == at + 2, "a majority without the leader is enough"
    assert member.applied[-1][0] == at + 1, "applied before it was durable here"
    member.saved()
    assert member.applied[-1][0] == at + 2


def test_leader_counts_itself_not_for_entries_of_an_earlier_leadership():  # R05
    # etcd/raft: TestLeaderMsgAppSelfAckAfterTermChange
    member = lone(pre_vote=False)
    lead(member)
    ack(member, 2)
    member.saves_at_once = False
    member.propose(b"x", b"y")
    old = member.saving
    assert [e.index for e in old.entries] == [2, 3]
    # Another leader replaces 2 and 3 while they are on their way to the disk, ...
    term = member.raft.term + 1
    member.step(append((1, term - 1), term, term=term, commit=1))
    assert member.log.last == 2
    # ... and then we are elected again.
    member.saved()
    assert member.log.stable == 1, "the new entry was taken for durable"
    member.saved()
    assert member.log.stable == 2


def test_commit_index_never_decreases():  # R06
    member = lone((1, 1, 1), commit=2)
    member.step(Heartbeat(1, 2, 1, 3, 1))
    assert member.raft.commit == 3
    member.step(Heartbeat(1, 2, 1, 1, 2))
    member.step(append((3, 1), commit=1))
    assert member.raft.commit == 3
    # A new leader that knows less.
    member.step(Heartbeat(1, 3, 2, 0, 1))
    member.step(append((3, 1), 2, term=2, commit=0, sender=3))
    assert member.raft.commit == 3
    term = lead(member)
    ack(member, 2, 3, index=1)
    assert (member.raft.term, member.raft.commit) == (term, 3)


def test_match_index_never_decreases():  # R07
    member = lone((1, 1, 1))
    lead(member)
    ack(member, 2, index=4)
    for late in (1, 3, 0, 4, 2):
        ack(member, 2, index=late)
        assert progress_of(member, 2).match == 4
    member.step(AppendResponse(1, 2, member.raft.term, 1, True, 0, 0))
    assert progress_of(member, 2).match == 4
    assert progress_of(member, 2).next == 5


def test_an_answer_beyond_the_leaders_log_is_ignored():
    member = lone((1, 1))
    lead(member)
    ack(member, 2, index=50)
    assert progress_of(member, 2).match == 0
    assert member.has_notice("impossible_answer")


def test_old_append_does_not_truncate_matching_suffix():  # R08, raft paper 5.3
    member = lone((1, 1, 1, 1))
    follow(member, 2, term=1)
    before = list(member.log.entries)
    member.step(append((1, 1), 1))
    assert member.log.entries == before
    assert take(member)[-1].index == 2
    member.step(append((0, 0), 1, 1))
    assert member.log.entries == before


def test_a_conflict_cuts_exactly_there():  # raft paper figure 2, rules 3 and 4
    member = lone((1, 1, 2, 2), commit=1)
    member.step(append((1, 1), 1, 3, term=3))
    assert terms_of(member) == [1, 1, 3]
    assert [e.term for e in member.disk.entries] == [1, 1, 3]


def test_never_truncate_below_commit():  # R09
    member = lone((1, 1, 2), commit=3)
    member.step(append((1, 1), 3, term=3))
    assert terms_of(member) == [1, 1, 2], "what is committed stays"
    assert take(member, AppendResponse)[-1].index == 3
    for index, why in ((2, "committed"), (3, "committed")):
        with pytest.raises(InvariantViolated, match=why):
            invariants.truncation_allowed(member.state, index)
    lead(member)
    with pytest.raises(InvariantViolated, match="own log"):
        invariants.truncation_allowed(member.state, 4)


def test_follower_commit_limited_to_verified_prefix():  # R10, raft paper figure 2
    member = lone((1, 1, 1, 1))
    member.step(append((1, 1), 1, commit=4))
    assert member.raft.commit == 2, "entries 3 and 4 were not verified"
    member.step(append((2, 1), commit=4))
    assert member.raft.commit == 2
    member.step(append((4, 1), commit=3))
    assert member.raft.commit == 3


def test_a_heartbeat_commits_only_what_the_follower_is_known_to_have():
    member = lone((1, 1, 1))
    lead(member)
    ack(member, 2, index=4)
    ack(member, 3, index=1)
    take(member)
    member.tick()
    told = {m.to: m.commit for m in take(member, Heartbeat)}
    assert told == {2: 4, 3: 1}


def test_a_follower_that_lost_what_it_had_acknowledged_stops():
    member = lone((1,))
    with pytest.raises(InvariantViolated, match="lost"):
        member.raft.step(Heartbeat(1, 2, 1, 5, 1))


def test_the_commit_index_goes_to_the_disk_with_the_next_entry_only():
    member = lone((1,))
    member.step(append((1, 1), 1))
    persists = member.persists
    member.step(Heartbeat(1, 2, 1, 2, 1))
    assert member.raft.commit == 2
    assert member.persists == persists, "a sync for a commit index alone"
    member.step(append((2, 1), 1, commit=2))
    assert member.disk.hard_state == HardState(1, 0, 2)


def test_a_forgotten_commit_index_is_learnt_again():
    network = Network([1, 2, 3])
    network.elect(1).propose(b"x")
    network.settle()
    for member in network:
        network.restart(member.id)
    network.until_leader()
    network.tick(count=3)
    for member in network:
        assert member.applied[-1] == network[1].applied[-1]
        assert (5, 2, b"x") in member.applied
    network.check()


# -- finding the common prefix ----------------------------------------------------------------

LEADER = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
FIGURE_7 = {  # raft paper figure 7
    "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
    "b": (1, 1, 1, 4),
    "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
    "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
    "e": (1, 1, 1, 4, 4, 4, 4),
    "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
}


@pytest.mark.parametrize("follower", FIGURE_7)
def test_fast_log_rejection_with_conflict_term(follower):  # R32, raft paper 5.3
    everyone = configuration(1, 2, 3)
    empty = SnapshotMeta(0, 0, everyone)
    disks = {
        1: Disk(HardState(7), empty, log_of(LEADER)),
        2: Disk(HardState(7), empty, log_of(FIGURE_7[follower])),
        3: Disk(HardState(7), empty, log_of(LEADER)),
    }
    network = Network(disks=disks)
    network.elect(3 if follower == "d" else 1)
    leader = network.leader()
    network.tick(count=3)
    network.settle()
    assert terms_of(network[2]) == terms_of(leader)
    refusals = [
        m
        for m in network.sent
        if isinstance(m, AppendResponse) and m.sender == 2 and m.rejected and m.index
    ]
    assert len(refusals) <= 2, "more round trips than conflicting terms"
    network.check()


def test_a_long_conflict_is_skipped_in_a_few_round_trips():  # R32
    # Both directions: the follower skips its own terms, the leader its own.
    ours = [1] * 10 + [3] * 200 + [6] * 200
    theirs = [1] * 10 + [2] * 300 + [4] * 200
    everyone = SnapshotMeta(0, 0, configuration(1, 2, 3))
    network = Network(
        disks={
            1: Disk(HardState(6), everyone, log_of(ours)),
            2: Disk(HardState(6), everyone, log_of(theirs)),
            3: Disk(HardState(6), everyone, log_of(ours)),
        }
    )
    network.elect(1)
    network.tick(count=2)
    assert terms_of(network[2]) == terms_of(network[1])
    refusals = [m for m in network.sent if isinstance(m, AppendResponse) and m.rejected]
    assert len(refusals) <= 4


# -- flow control -----------------------------------------------------------------------------


def replicating(**config):
    """A leader whose two followers have everything."""
    member = lone(**config)
    lead(member)
    ack(member, 2, 3)
    member.propose(b"first")
    ack(member, 2, 3)
    take(member)
    return member


def appends_to(member, other):
    return [m for m in take(member, AppendEntries) if m.to == other]


def test_entries_are_pipelined_without_waiting_for_answers():  # thesis 10.2.1
    member = replicating()
    prevs = []
    for _ in range(5):
        member.propose(b"x")
        prevs += [(m.prev_index, len(m.entries)) for m in appends_to(member, 2)]
    assert prevs == [(2, 1), (3, 1), (4, 1), (5, 1), (6, 1)]


def test_what_is_proposed_between_two_readies_shares_one_message():
    member = replicating()
    for _ in range(5):
        member.raft.propose([b"x"])
    member.turn()
    (message,) = appends_to(member, 2)
    assert len(message.entries) == 5


def test_followers_at_the_same_place_share_one_tuple():
    member = replicating()
    member.raft.propose([b"x", b"y"])
    ready = member.raft.ready()
    one, other = (m.entries for m in ready.messages if isinstance(m, AppendEntries))
    assert one is other
    assert ready.persist.entries is one


def test_flow_control_and_probe_recovery():  # R29
    member = replicating(inflight_messages_max=3)
    for _ in range(10):
        member.propose(b"x")
    assert len(appends_to(member, 2)) == 3, "the window is not bounded"
    # Everything is lost, without a word of the transport. The next heartbeat answer
    # finds out, the follower refuses, and it is probed.
    last = member.log.last
    for tick in range(2):
        member.tick()
        take(member)
        member.step(HeartbeatResponse(1, 2, member.raft.term, tick + 2))
    (question,) = appends_to(member, 2)
    assert question.entries == ()
    assert question.prev_index == 5
    member.step(AppendResponse(1, 2, member.raft.term, 5, True, 2, 2))
    assert progress_of(member, 2).state is ProgressState.PROBE
    (probe,) = appends_to(member, 2)
    assert probe.prev_index == 2
    member.propose(b"y")
    assert appends_to(member, 2) == [], "one probe at a time"
    ack(member, 2, index=probe.prev_index + len(probe.entries))
    assert progress_of(member, 2).state is ProgressState.REPLICATE
    assert [m.entries[-1].index for m in appends_to(member, 2)] == [last + 1]


def test_the_window_is_bounded_in_bytes_too():
    member = replicating(inflight_bytes_max=250, append_bytes_max=100)
    for _ in range(10):
        member.propose(b"x" * 76)
    assert len(appends_to(member, 2)) == 3
    ack(member, 2, index=3)
    assert len(appends_to(member, 2)) == 1


def test_a_message_carries_at_most_so_many_bytes_but_one_entry_always():
    member = replicating(append_bytes_max=2 * (10 + ENTRY_OVERHEAD_BYTES))
    member.raft.propose([b"x" * 10] * 5 + [b"x" * 500])
    member.turn()
    assert [len(m.entries) for m in appends_to(member, 2)] == [2, 2, 1, 1]


def test_a_lost_probe_is_sent_again_after_a_heartbeat_answer():  # R29
    # etcd/raft testdata: heartbeat_resp_recovers_from_probing.txt
    member = lone((1, 1))
    lead(member)
    assert progress_of(member, 2).paused
    member.tick(2)
    take(member)
    member.step(HeartbeatResponse(1, 2, member.raft.term, 1))
    assert len(appends_to(member, 2)) == 1


def test_an_unreachable_follower_is_probed_when_it_answers():  # R29
    member = replicating()
    member.raft.report_unreachable(2)
    member.raft.report_unreachable(99)
    member.propose(b"x")
    assert appends_to(member, 2) == [], "sent into the void again"
    member.tick()
    take(member)
    member.step(HeartbeatResponse(1, 2, member.raft.term, 2))
    (probe,) = appends_to(member, 2)
    assert probe.prev_index == 2


def test_many_read_rounds_do_not_make_it_ask_more_often():
    member = replicating()
    member.propose(b"x")
    member.tick(2)
    take(member)
    for number in range(2, 12):
        member.step(HeartbeatResponse(1, 2, member.raft.term, number))
    assert len(appends_to(member, 2)) == 1


def test_the_last_message_lost_is_noticed_without_new_proposals():  # R29
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.lose = lambda m: isinstance(m, AppendEntries) and m.to == 3
    leader.propose(b"x")
    network.settle()
    network.heal()
    network.tick(count=4)
    assert network[3].applied == leader.applied


def test_a_late_refusal_is_old_news():
    member = replicating()
    before = progress_of(member, 2).next
    member.step(AppendResponse(1, 2, member.raft.term, 1, True, 0, 0))
    assert progress_of(member, 2).state is ProgressState.REPLICATE
    assert progress_of(member, 2).next == before
    member = lone((1, 1, 1))
    lead(member)
    member.step(AppendResponse(1, 2, member.raft.term, 2, True, 1, 1))
    assert appends_to(member, 2) == [], "not the refusal of the probe that is out"
    member.step(AppendResponse(1, 2, member.raft.term, 3, True, 1, 1))
    (probe,) = appends_to(member, 2)
    assert probe.prev_index == 1


def test_a_commit_is_told_at_once():
    member = replicating()
    member.propose(b"x")
    take(member)
    ack(member, 2)
    assert [(m.to, m.commit, m.entries) for m in take(member, AppendEntries)] == [
        (2, 3, ()),
        (3, 3, ()),
    ]


def test_slow_disk_does_not_stop_a_leaders_heartbeats():
    member = replicating()
    member.saves_at_once = False
    member.propose(b"x")
    member.propose(b"y")
    take(member)
    member.tick()
    assert {m.to for m in take(member, Heartbeat)} == {2, 3}
    assert len(member.saving.entries) == 1
    member.saved()
    assert len(member.saving.entries) == 1, "what gathered goes in one save"


def test_uncommitted_log_bounded_while_partitioned():  # R28
    member = lone(uncommitted_bytes_max=1000, check_quorum=False)
    lead(member)
    ack(member, 2)
    taken = 0
    while member.propose(b"x" * 76):
        taken += 1
        assert taken < 100
    assert taken == 10
    assert member.step(Propose(1, 3, 0, ((EntryKind.NORMAL, b"y" * 76),))) is None
    assert member.has_notice("proposals_dropped")
    assert member.log.last == 1 + taken
    ack(member, 2)
    assert member.propose(b"x" * 2000), "one alone may be larger"


# -- proposals that travel ----------------------------------------------------------------------


def test_forwarded_write_never_proposed_twice():  # R26
    member = lone(term=1)
    assert not member.propose(b"x"), "nobody to send it to"
    follow(member, 2, term=1)
    assert member.propose(b"x", b"y")
    forwarded = Propose(2, 1, 0, ((EntryKind.NORMAL, b"x"), (EntryKind.NORMAL, b"y")))
    assert take(member) == [forwarded]
    # The leader changes, is lost, comes back: it is not sent again.
    follow(member, 3, term=2)
    member.tick(200)
    follow(member, 3, term=5)
    assert take(member, Propose) == []
    # And a follower that is asked does not pass it on.
    member.step(Propose(1, 3, 0, ((EntryKind.NORMAL, b"z"),)))
    assert take(member, Propose) == []
    member.step(TransferRequest(1, 3, 0, 2))
    assert take(member) == []


def test_lost_proposal_answers_unknown_not_failure():  # R27
    # A proposal that was taken is never taken back: it was on its way, and nothing that
    # happens later says that it failed. Here it is overtaken, and commits after all.
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.cut.update({(1, 2), (2, 1), (3, 1)})
    assert leader.propose(b"x")
    network.settle()
    network.tick(1, count=25)
    assert leader.raft.role is Role.FOLLOWER
    assert not [n for n in leader.notices if "drop" in n.kind or "refus" in n.kind]
    network.heal()
    network.elect(3)
    network.tick(count=3)
    assert any(data == b"x" for _, _, data in network[2].applied)
    network.check()


def test_an_empty_batch_is_nothing():
    member = replicating()
    assert member.propose()
    assert member.log.last == 2


# -- snapshots --------------------------------------------------------------------------------


def meta(index, term, *voters):
    return SnapshotMeta(index, term, configuration(*(voters or (1, 2, 3))))


def test_slow_follower_after_compaction_gets_snapshot():  # R30, raft paper 7
    network = Network([1, 2, 3])
    leader = network.elect(1)
    network.isolate(3)
    for number in range(5):
        leader.propose(b"%d" % number)
        network.settle()
    first = leader.snapshot()
    network.heal()
    # The next compaction overtakes the snapshot while it is on its way.
    network.isolate()
    network.tick(count=1)
    held = []
    for _ in range(20):
        for message in list(network.inflight):
            network.inflight.remove(message)
            if isinstance(message, InstallSnapshot):
                held.append(message)
            else:
                network.hand_over(message)
        leader.tick()
        if held:
            break
    assert held[0].meta == first
    while network.inflight:
        network.hand_over(network.inflight.pop(0))
    for number in range(5):
        leader.propose(b"later %d" % number)
        network.settle()
    second = leader.snapshot()
    network.hand_over(held[0])
    network.settle()
    network.tick(count=5)
    assert network[3].raft.applied_index == leader.raft.applied_index
    assert network[3].applied == leader.applied
    assert network[3].disk.snapshot in {first, second}
    network.check()


def test_a_snapshot_is_sent_only_to_a_member_that_answers():
    member = lone((1, 1, 1), commit=3)
    lead(member)
    member.snapshot()
    member.step(AppendResponse(1, 2, member.raft.term, 3, True, 0, 0))
    assert [m.meta.index for m in take(member, InstallSnapshot)] == [3]
    assert progress_of(member, 2).state is ProgressState.SNAPSHOT
    # It was never heard from 3: nothing is streamed into the void.
    member.state.progress[3].next = 1
    member.state.progress[3].paused = False
    member.propose(b"x")
    assert take(member, InstallSnapshot) == []
    member.tick()
    member.step(HeartbeatResponse(1, 3, member.raft.term, 1))
    assert [m.to for m in take(member, InstallSnapshot)] == [3]


def sending():
    """A leader that is sending its snapshot at 4 to member 2."""
    member = lone((1, 1, 1), commit=3, snapshot_retry_ticks=30)
    lead(member)
    ack(member, 3)
    member.snapshot()
    member.step(AppendResponse(1, 2, member.raft.term, 3, True, 0, 0))
    take(member)
    return member


def answers_heartbeats(member, *others):
    member.tick(2)
    sent = take(member)
    for other in others:
        member.step(HeartbeatResponse(1, other, member.raft.term, member.state.round))
    return sent + take(member)


def test_nothing_else_is_sent_while_a_snapshot_is_on_its_way():
    member = sending()
    member.propose(b"x")
    assert [m for m in take(member, AppendEntries) if m.to == 2] == []
    member.step(AppendResponse(1, 2, member.raft.term, 3, True, 0, 0))
    answers_heartbeats(member, 2, 3)
    assert progress_of(member, 2).state is ProgressState.SNAPSHOT


@pytest.mark.parametrize("ok", [True, False])
def test_the_end_of_a_snapshot_leads_back_to_probing(ok):
    member = sending()
    member.raft.report_snapshot(2, ok)
    member.raft.report_snapshot(99, ok)
    member.raft.report_snapshot(3, ok)
    member.turn()
    assert progress_of(member, 2).state is ProgressState.PROBE
    assert take(member) == [], "not before it is heard from"
    sent = answers_heartbeats(member, 2, 3)
    if ok:
        probes = [m for m in sent if isinstance(m, AppendEntries) and m.to == 2]
        assert probes[0].prev_index == 4
    else:
        assert [m.meta.index for m in sent if isinstance(m, InstallSnapshot)] == [4]


def test_an_installed_snapshot_leads_to_replication():
    member = sending()
    member.propose(b"x")
    member.step(AppendResponse(1, 2, member.raft.term, 4, False, 0, 0))
    assert progress_of(member, 2).state is ProgressState.REPLICATE
    (message,) = [m for m in take(member, AppendEntries) if m.to == 2]
    assert (message.prev_index, len(message.entries)) == (4, 1)


def test_a_snapshot_nobody_reports_about_is_taken_for_lost():
    member = sending()
    sent = []
    for _ in range(16):
        sent += answers_heartbeats(member, 2, 3)
    assert any(isinstance(m, InstallSnapshot) for m in sent)
    assert member.has_notice("snapshot_ended")


def test_a_snapshot_behind_the_commit_index_is_not_installed():
    member = lone((1, 1, 1), commit=2)
    member.step(InstallSnapshot(1, 2, 1, meta(2, 1)))
    assert take(member) == [AppendResponse(2, 1, 1, 2, False, 0, 0)]
    assert member.disk.snapshot.index == 0


def test_a_snapshot_that_the_log_holds_only_moves_the_commit_index():
    # Raft paper figure 13, rule 6: retain what follows.
    member = lone((1, 1, 1))
    member.step(InstallSnapshot(1, 2, 1, meta(2, 1)))
    assert take(member) == [AppendResponse(2, 1, 1, 2, False, 0, 0)]
    assert (member.raft.commit, member.log.last) == (2, 3)
    assert member.disk.snapshot.index == 0


def test_a_snapshot_replaces_a_log_that_differs():  # raft paper figure 13, rule 7
    member = lone((1, 1, 1))
    member.saves_at_once = False
    member.step(InstallSnapshot(1, 2, 5, meta(2, 4, 1, 2)))
    assert take(member) == []
    assert member.saving.snapshot == meta(2, 4, 1, 2)
    assert member.raft.applied_index == 0
    member.saved()
    assert take(member) == [AppendResponse(2, 1, 5, 2, False, 0, 0)]
    assert member.raft.status().configuration == configuration(1, 2)
    assert (member.raft.applied_index, member.log.last) == (2, 2)
    assert member.disk.entries == []


def test_a_snapshot_is_accepted_while_older_entries_are_being_saved():
    member = lone((1,))
    member.saves_at_once = False
    member.step(append((1, 1), 1, 1))
    member.step(InstallSnapshot(1, 2, 1, meta(9, 1)))
    member.step(append((9, 1), 1, commit=10))
    member.saved()
    assert member.log.stable < 9, "the snapshot is not durable yet"
    assert member.raft.applied_index == 0
    member.saved()
    assert (member.log.stable, member.raft.applied_index) == (10, 10)
    assert [a.index for a in take(member, AppendResponse)][-1] == 10


def test_a_second_snapshot_waits_until_the_first_is_installed():
    member = lone((1,))
    member.saves_at_once = False
    member.step(InstallSnapshot(1, 2, 1, meta(9, 1)))
    member.step(InstallSnapshot(1, 2, 1, meta(20, 1)))
    assert member.raft.commit == 9
    member.saved()
    member.step(InstallSnapshot(1, 2, 1, meta(20, 1)))
    member.saved()
    assert member.raft.applied_index == 20


def test_nothing_is_applied_and_nobody_campaigns_during_a_restore():
    member = lone((1,))
    raft = member.raft
    raft.step(InstallSnapshot(1, 2, 1, meta(9, 1)))
    ready = raft.ready()
    assert raft.applied_index == 0
    raft.persisted(ready.persist)
    raft.step(append((9, 1), 1, commit=10))
    ready = raft.ready()
    assert ready.restore == meta(9, 1)
    assert ready.committed == ()
    raft.persisted(ready.persist)
    for _ in range(50):
        raft.tick()
    assert raft.role is Role.FOLLOWER
    assert not raft.ready().committed
    raft.restored(meta(9, 1))
    assert [e.index for e in raft.ready().committed] == [10]
    with pytest.raises(InvariantViolated):
        raft.restored(meta(9, 1))


def test_compaction_keeps_to_what_a_snapshot_has():
    member = lone((1, 1, 1, 1), commit=3)
    member.raft.compact(2)
    assert member.log.offset == 0
    member.raft.snapshot_made(meta(2, 1))
    member.raft.snapshot_made(meta(1, 1))
    member.raft.compact(3)
    assert (member.log.offset, member.log.offset_term) == (2, 1)
    member.raft.compact(1)
    assert member.log.offset == 2
    with pytest.raises(InvariantViolated):
        member.raft.snapshot_made(meta(4, 1))


def test_a_log_compacted_without_a_snapshot_stops_the_member():
    member = lone((1, 1, 1), commit=3)
    lead(member)
    member.log.compact(2)
    with pytest.raises(InvariantViolated, match="no snapshot"):
        member.step(AppendResponse(1, 2, member.raft.term, 3, True, 0, 0))


@pytest.mark.parametrize("window", [0, 64])
def test_what_is_sent_out_of_the_compacted_part_becomes_a_snapshot(window):
    member = lone((1, 1, 1), commit=3)
    lead(member)
    ack(member, 2, index=1)
    ack(member, 3)
    member.snapshot()
    take(member)
    progress = progress_of(member, 2)
    progress.next = 2
    progress.inflight.extend([(2, 1)] * window)
    member.tick(2)
    member.step(HeartbeatResponse(1, 2, member.raft.term, 2))
    assert len(take(member, InstallSnapshot)) == 1


# -- recovery and contract --------------------------------------------------------------------


def test_committed_entries_come_out_again_after_a_restart():
    network = Network([1])
    member = network[1]
    member.tick()
    member.propose(b"x", b"y")
    applied = list(member.applied)
    network.restart(1)
    member.tick()
    assert member.applied[: len(applied)] == applied


def test_committed_entries_come_in_bounded_portions():
    member = lone((1,) * 6, commit=6, committed_bytes_max=2 * ENTRY_OVERHEAD_BYTES)
    raft = type(member.raft)(
        member.config,
        hard_state=HardState(1, 0, 6),
        snapshot=meta(0, 0),
        entries=log_of((1,) * 6),
        randbelow=lambda n: 0,
    )
    sizes = []
    while raft.has_ready():
        committed = raft.ready().committed
        sizes.append(len(committed))
        raft.applied(committed[-1].index)
    assert sizes == [2, 2, 2]


def test_the_driver_is_held_to_its_contract():
    member = lone((1, 1))
    with pytest.raises(InvariantViolated, match="another Persist"):
        member.raft.persisted(Persist(None, (), None, ()))
    with pytest.raises(InvariantViolated, match="handed out"):
        member.raft.applied(2)


def test_status_is_a_copy_of_what_it_knows():
    member = lone((1, 1))
    status = member.raft.status()
    assert (status.last_index, status.first_index, status.progress) == (2, 1, ())
    lead(member)
    ack(member, 2)
    status = member.raft.status()
    assert status.leader == status.member_id == member.raft.leader == 1
    assert [(p.member_id, p.match, p.state) for p in status.progress] == [
        (2, 3, "replicate"),
        (3, 0, "probe"),
    ]
    assert [p.recently_active for p in status.progress] == [True, False]


def test_a_vote_request_with_entries_unsaved_still_waits():
    member = lone((1,))
    member.saves_at_once = False
    member.step(append((1, 1), 1))
    member.step(RequestVote(1, 3, 1, 9, 9, True, False))
    assert take(member) == []


def test_nothing_is_compacted_without_a_snapshot():
    member = Network([1])[1]
    member.tick()
    member.raft.compact(1)
    assert member.log.offset == 0


def test_heartbeats_may_be_rarer_than_ticks():
    member = lone(heartbeat_ticks=3)
    lead(member)
    sent = []
    for _ in range(7):
        member.tick()
        sent.append(len(take(member, Heartbeat)))
    assert sent == [0, 0, 2, 0, 0, 2, 0]
