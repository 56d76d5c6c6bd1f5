"""
Bugs that others have had, planted here, and the check that catches each.

A row is the number of RELIABILITY's table, a bug put in by patching one function, and
the test of the rule, which must fail with it. Some are also let loose in the storm of
``test_random``, which knows nothing of them.
"""

import attrs
import pytest

from kvd.errors import InvariantViolated
from kvd.raft import (
    election,
    install,
    intake,
    invariants,
    membership,
    outlet,
    reads,
    replication,
    roles,
)
from kvd.raft.codec import decode_change
from kvd.raft.messages import (
    AppendResponse,
    HardState,
    HeartbeatResponse,
    Propose,
    Read,
    ReadIndexRequest,
    Role,
)
from kvd.raft.progress import Progress
from kvd.raft.quorum import VoteResult, majority, reached_by_majority
from kvd.raft.state import State

from . import test_election, test_membership, test_reads, test_replication
from .test_random import storm

CAUGHT = (AssertionError, InvariantViolated, pytest.fail.Exception)


def commit_by_counting_old_terms(patch):
    patch.setattr(replication, "may_commit_by_counting", lambda state, index: True)


def vote_leaves_before_it_is_durable(patch):
    original = election.handle_request_vote

    def eager(state, message):
        original(state, message)
        state.messages.append(state.after.pop())

    patch.setattr(election, "handle_request_vote", eager)


def saving_otherwise(patch, change):
    """The core believes that it saves its hard state; something else is written."""
    original = outlet._next_persist

    def naive(state):
        persist = original(state)
        if persist is not None and persist.hard_state is not None:
            kept = persist.hard_state
            persist = attrs.evolve(persist, hard_state=change(kept))
            state.persisting = persist
        return persist

    patch.setattr(outlet, "_next_persist", naive)
    patch.setattr(election, "is_own_vote_durable", lambda state: True)


def vote_is_not_persisted(patch):
    saving_otherwise(patch, lambda state: attrs.evolve(state, vote=0))


def term_is_not_persisted(patch):
    saving_otherwise(patch, lambda state: HardState(0, 0, state.commit))


def append_is_acknowledged_before_it_is_durable(patch):
    def eager(state, leader, index):
        state.messages.append(
            AppendResponse(leader, state.me, state.term, index, False, 0, 0)
        )

    patch.setattr(replication, "answer", eager)


def leader_counts_its_memory(patch):
    original = replication.append_own

    def eager(state, kind, datas):
        original(state, kind, datas)
        state.progress[state.me].match = state.log.last

    patch.setattr(replication, "append_own", eager)


def durable_is_whatever_was_saved_last(patch):
    original = outlet.persisted

    def naive(state, persist):
        original(state, persist)
        if persist.entries and persist.entries[-1].index >= state.log.last:
            state.log.stable = state.log.handed = state.log.last

    patch.setattr(outlet, "persisted", naive)


def follower_takes_over_the_leaders_commit_index(patch):
    def naive(state, message):
        state.commit = message.commit
        state.messages.append(
            HeartbeatResponse(message.sender, state.me, state.term, message.round)
        )

    patch.setattr(replication, "handle_heartbeat", naive)


def match_follows_every_answer(patch):
    def naive(progress, index, last):
        progress.match = index
        progress.next = index + 1
        return True

    patch.setattr(Progress, "accepted", naive)


def every_append_truncates(patch):
    def naive(state, message):
        state.log.truncate(message.prev_index + 1)
        return message.entries

    patch.setattr(replication, "_without_known", naive)


def truncation_is_not_guarded(patch):
    patch.setattr(invariants, "truncation_allowed", lambda state, index: None)


def commit_is_not_limited(patch):
    patch.setattr(replication, "commit_known", lambda message, last_new: message.commit)


def strangers_votes_count(patch):
    def naive(votes, voters):
        won = sum(votes.values()) >= majority(len(voters))
        return VoteResult.WON if won else VoteResult.PENDING

    patch.setattr(election, "vote_result", naive)


def votes_are_counted_as_often_as_they_come(patch):
    def naive(state, message):
        if state.role is Role.CANDIDATE and message.granted:
            state.votes[len(state.votes) + 1] = True
            if sum(state.votes.values()) >= majority(len(state.configuration.voters)):
                roles.become_leader(state)

    patch.setattr(election, "handle_vote_response", naive)


def votes_of_any_term_count(patch):
    def naive(state, message):
        if state.role is Role.CANDIDATE:
            state.votes.setdefault(message.sender, message.granted)
            election._count(state)

    patch.setattr(election, "handle_vote_response", naive)
    patch.setattr(intake, "_is_timely", lambda state, message: True)


def longer_log_wins(patch):
    patch.setattr(
        election,
        "is_up_to_date",
        lambda state, message: message.last_index >= state.log.last,
    )


def no_pre_vote(patch):
    patch.setattr(
        election,
        "campaign",
        lambda state, *, transfer=False: election._stand(state, transfer=transfer),
    )


def no_check_quorum(patch):
    patch.setattr(election, "is_quorum_active", lambda state: True)


def no_lease(patch):
    patch.setattr(election, "has_live_leader", lambda state: False)


def every_term_change_resets_the_timer(patch):
    original = roles.become_follower

    def eager(state, term, leader):
        original(state, term, leader)
        state.election_elapsed = 0

    patch.setattr(roles, "become_follower", eager)


def no_empty_entry_at_the_start_of_a_term(patch):
    original = roles.become_leader

    def lazy(state):
        original(state)
        last = state.log.last
        del state.log.entries[-1]
        state.log.last = last - 1

    patch.setattr(roles, "become_leader", lazy)


def read_index_before_the_first_commit(patch):
    patch.setattr(State, "has_committed_in_term", property(lambda state: True))


def read_joins_the_round_before_it(patch):
    original = reads._arrived

    def eager(state, asker, context):
        if state.round and state.has_committed_in_term:
            state.reads.rounds.append((state.round, state.commit, [(asker, context)]))
            reads.confirm(state)
        else:
            original(state, asker, context)

    patch.setattr(reads, "_arrived", eager)


def read_needs_no_round(patch):
    patch.setattr(
        reads,
        "_arrived",
        lambda state, asker, context: reads._answer(
            state, asker, context, state.commit
        ),
    )


def read_retries_share_a_number(patch):
    def naive(state, context):
        state.reads.forwarded[1] = context
        state.messages.append(ReadIndexRequest(state.leader, state.me, 0, 1))
        return True

    original = reads.ask
    patch.setattr(
        reads,
        "ask",
        lambda state, context: (original if state.role is Role.LEADER else naive)(
            state, context
        ),
    )


def reads_outlive_the_leader(patch):
    patch.setattr(reads, "drop_all", lambda state: None)


def read_index_is_what_is_applied_here(patch):
    def naive(state, message):
        context = state.reads.forwarded.pop(message.context, None)
        if context is not None:
            state.confirmed.append(Read(context, state.applied))

    patch.setattr(reads, "responded", naive)


def proposals_are_passed_on(patch):
    original = intake._proposed

    def helpful(state, message):
        if state.role is Role.LEADER:
            original(state, message)
        elif state.leader:
            state.messages.append(Propose(state.leader, state.me, 0, message.proposals))

    patch.setattr(intake, "_proposed", helpful)


def losing_leadership_says_that_proposals_failed(patch):
    original = roles.become_follower

    def hasty(state, term, leader):
        if state.role is Role.LEADER:
            state.notice("proposals_refused")
        original(state, term, leader)

    patch.setattr(roles, "become_follower", hasty)


def change_before_a_commit_in_the_term(patch):
    original = membership.refusal_of

    def lax(state, change):
        refusal = original(state, change)
        ready = refusal is not membership.ChangeRefusal.NOT_READY
        return refusal if ready else None

    patch.setattr(membership, "refusal_of", lax)


def changes_overlap(patch):
    patch.setattr(State, "has_unapplied_change", property(lambda state: False))


def new_leader_forgets_the_pending_change(patch):
    def own(state):
        changes = state.log.changes
        return (
            bool(changes)
            and changes[-1] > state.applied
            and state.log.term(changes[-1]) == state.term
        )

    patch.setattr(State, "has_unapplied_change", property(own))


def removed_leader_stays(patch):
    patch.setattr(membership, "maybe_resign", lambda state: None)


def removed_leader_counts_itself(patch):
    def naive(state):
        voters = {*state.configuration.voters, state.me}
        index = reached_by_majority(state.progress[v].match for v in voters)
        if index > state.commit and state.log.term(index) == state.term:
            state.commit_to(index)
            state.send_wanted = True

    patch.setattr(replication, "maybe_commit", naive)


def removed_leader_goes_at_once(patch):
    original = membership.apply

    def hasty(state, change):
        after = original(state, change)
        if state.role is Role.LEADER and not state.is_voter:
            roles.become_follower(state, state.term, 0)
        return after

    patch.setattr(membership, "apply", hasty)


def removed_leader_goes_on_proposing(patch):
    patch.setattr(membership, "_look_ahead", lambda state: None)


def strangers_terms_count(patch):
    patch.setattr(State, "is_member", lambda state, member_id: True)


def snapshot_forgets_the_configuration(patch):
    original = install.restored

    def forgetful(state, meta):
        before = state.configuration
        original(state, meta)
        state.configuration = before

    patch.setattr(install, "restored", forgetful)


def change_takes_effect_when_appended(patch):
    original = replication.handle_append

    def eager(state, message):
        original(state, message)
        for entry in message.entries:
            if entry.kind == 1:
                state.configuration = membership.changed(
                    state.configuration, decode_change(entry.data)
                )

    patch.setattr(replication, "handle_append", eager)


def changes_are_not_replayed(patch):
    original = State.__init__

    def forgetful(state, *args, **kwargs):
        original(state, *args, **kwargs)
        state.applied = state.handed_out = min(state.commit, state.log.last)

    patch.setattr(State, "__init__", forgetful)


def own_vote_counts_at_once(patch):
    original = roles.become_candidate

    def eager(state):
        original(state)
        state.votes[state.me] = True

    patch.setattr(roles, "become_candidate", eager)


def campaign_with_an_unapplied_change(patch):
    patch.setattr(State, "may_campaign", property(lambda state: state.is_voter))


def changes_are_told_before_they_are_durable(patch):
    patch.setattr(State, "settled_commit", property(lambda state: state.commit))


E = test_election
A = test_replication
Q = test_reads
M = test_membership

PLANTED = [
    ("R01", commit_by_counting_old_terms, A.test_figure8_no_commit_by_counting_old_term),
    ("R02", vote_leaves_before_it_is_durable, E.test_term_and_vote_fsynced_before_vote_reply),
    ("R02", vote_is_not_persisted, E.test_term_and_vote_fsynced_before_vote_reply),
    ("R02", own_vote_counts_at_once, E.test_a_candidate_asks_for_votes_only_when_its_own_is_durable),
    ("R03", term_is_not_persisted, E.test_term_and_vote_survive_restart_of_all),
    ("R04", append_is_acknowledged_before_it_is_durable, A.test_append_fsynced_before_ack),
    ("R05", leader_counts_its_memory, A.test_leader_counts_itself_only_when_durable),
    ("R05", durable_is_whatever_was_saved_last, A.test_leader_counts_itself_not_for_entries_of_an_earlier_leadership),
    ("R06", follower_takes_over_the_leaders_commit_index, A.test_commit_index_never_decreases),
    ("R07", match_follows_every_answer, A.test_match_index_never_decreases),
    ("R08", every_append_truncates, A.test_old_append_does_not_truncate_matching_suffix),
    ("R09", truncation_is_not_guarded, A.test_never_truncate_below_commit),
    ("R10", commit_is_not_limited, A.test_follower_commit_limited_to_verified_prefix),
    ("R11", strangers_votes_count, E.test_votes_counted_once_and_only_for_this_term),
    ("R11", votes_are_counted_as_often_as_they_come, E.test_votes_counted_once_and_only_for_this_term),
    ("R11", votes_of_any_term_count, E.test_votes_counted_once_and_only_for_this_term),
    ("R12", longer_log_wins, E.test_up_to_date_check_is_term_then_index),
    ("R13", no_pre_vote, E.test_prevote_isolated_node_keeps_term),
    ("R14", no_check_quorum, E.test_checkquorum_leader_steps_down),
    ("R15", no_lease, E.test_recent_leader_refuses_votes),
    ("R17", every_term_change_resets_the_timer, E.test_election_timer_reset_rules),
    ("R19", no_empty_entry_at_the_start_of_a_term, E.test_noop_on_election_commits_previous_terms),
    ("R20", read_index_before_the_first_commit, Q.test_read_index_waits_for_first_commit_of_term),
    ("R21", read_joins_the_round_before_it, Q.test_read_index_needs_quorum_after_arrival),
    ("R21", read_needs_no_round, Q.test_read_index_needs_quorum_after_arrival),
    ("R22", read_retries_share_a_number, Q.test_read_index_retry_takes_new_index),
    ("R23", reads_outlive_the_leader, Q.test_read_index_dropped_on_leader_change),
    ("R24", read_index_is_what_is_applied_here, Q.test_read_waits_for_apply),
    ("R26", proposals_are_passed_on, A.test_forwarded_write_never_proposed_twice),
    ("R27", losing_leadership_says_that_proposals_failed, A.test_lost_proposal_answers_unknown_not_failure),
    ("M01", change_before_a_commit_in_the_term, M.test_single_step_change_needs_commit_in_term),
    ("M02", changes_overlap, M.test_one_config_change_in_flight),
    ("M03", new_leader_forgets_the_pending_change, M.test_new_leader_rederives_pending_change),
    ("M04", campaign_with_an_unapplied_change, E.test_no_campaign_with_unapplied_change),
    ("M05", removed_leader_stays, M.test_remove_leader_commits_then_steps_down),
    ("M05", removed_leader_goes_at_once, M.test_remove_leader_commits_then_steps_down),
    ("M05", removed_leader_goes_on_proposing, M.test_remove_leader_commits_then_steps_down),
    ("M05", removed_leader_counts_itself, M.test_a_leader_without_a_vote_does_not_count_itself_for_commit),
    ("M05", changes_are_told_before_they_are_durable, M.removal_of_one_of_two),
    ("M06", strangers_terms_count, M.test_removed_member_cannot_disrupt_or_rejoin),
    ("M10", snapshot_forgets_the_configuration, M.test_snapshot_carries_membership),
    ("M11", change_takes_effect_when_appended, M.test_truncated_config_change_rolls_back),
    ("M12", changes_are_not_replayed, M.test_config_changes_replayed_at_restart),
]  # fmt: skip


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        pytest.param(plant, rule, id=f"{row}-{plant.__name__}")
        for row, plant, rule in PLANTED
    ],
)
def test_a_planted_bug_is_caught_by_the_test_of_its_rule(plant, rule, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(CAUGHT):
        rule()


def test_every_marked_row_has_a_planted_bug():
    rows = {row for row, _, _ in PLANTED}
    marked = {f"R{n:02}" for n in (*range(1, 16), 17, *range(19, 25), 26, 27)}
    marked |= {f"M{n:02}" for n in (1, 2, 3, 5, 6, 10, 11, 12)}
    assert rows >= marked


STORMY = [
    append_is_acknowledged_before_it_is_durable,
    commit_is_not_limited,
    every_append_truncates,
    match_follows_every_answer,
    read_needs_no_round,
]


@pytest.mark.parametrize("plant", STORMY, ids=lambda plant: plant.__name__)
def test_the_storm_finds_a_planted_bug_without_being_told(plant, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(CAUGHT):
        for seed in range(60, 200):  # where the rarest of them shows soon
            storm(seed)
