"""Each invariant with the smallest history that breaks it."""

import pytest

from kvd.raft.messages import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Role,
    SnapshotMeta,
)
from kvd.testing.invariants import DurableLog, Invariants, Violated

VOTERS = Configuration(frozenset((1, 2, 3)))


def entry(index, term, data=b"x"):
    return Entry(index, term, EntryKind.NORMAL, data)


@pytest.fixture
def invariants():
    found = Invariants()
    for member_id in (1, 2, 3):
        found.started(member_id)
    found.configured(1, VOTERS)
    return found


def save(invariants, member_id, entries=(), hard_state=None, snapshot=None):
    invariants.saving(member_id, hard_state, entries, snapshot)
    invariants.saved(member_id)


def turn(invariants, member_id, term, commit=0, role=Role.FOLLOWER):
    log = invariants.logs[member_id]
    invariants.turned(
        member_id, term=term, role=role, commit=commit, term_at=log.volatile_term
    )


def test_two_leaders_of_one_term_are_found(invariants):
    turn(invariants, 1, 2, role=Role.LEADER)
    turn(invariants, 2, 3, role=Role.LEADER)
    with pytest.raises(Violated, match="election safety"):
        turn(invariants, 3, 2, role=Role.LEADER)


def test_another_entry_at_the_same_place_of_the_same_term_is_found(invariants):
    save(invariants, 1, [entry(1, 1), entry(2, 1)])
    save(invariants, 2, [entry(1, 1), entry(2, 1)])
    with pytest.raises(Violated, match="log matching"):
        save(invariants, 3, [entry(1, 1), entry(2, 1, b"y")])


def test_the_same_entry_after_another_one_is_found(invariants):
    save(invariants, 1, [entry(1, 1), entry(2, 3)])
    with pytest.raises(Violated, match="log matching"):
        save(invariants, 2, [entry(1, 2), entry(2, 3)])


def test_a_leader_without_a_committed_entry_is_found(invariants):
    save(invariants, 1, [entry(1, 1), entry(2, 1)])
    turn(invariants, 1, 1, commit=2, role=Role.LEADER)
    save(invariants, 2, [entry(1, 1)])
    with pytest.raises(Violated, match="leader completeness"):
        turn(invariants, 2, 2, role=Role.LEADER)


def test_a_late_leader_of_an_old_term_need_not_know_what_came_after(invariants):
    save(invariants, 1, [entry(1, 3)])
    turn(invariants, 1, 3, commit=1, role=Role.LEADER)
    turn(invariants, 2, 2, role=Role.LEADER)


def test_a_commit_that_goes_back_is_found(invariants):
    save(invariants, 1, [entry(1, 1), entry(2, 1)])
    turn(invariants, 1, 1, commit=2)
    with pytest.raises(Violated, match="commit back"):
        turn(invariants, 1, 1, commit=1)


def test_a_term_that_goes_back_is_found(invariants):
    turn(invariants, 1, 5)
    with pytest.raises(Violated, match="back from term"):
        turn(invariants, 1, 4)


def test_two_committed_entries_at_one_index_are_found(invariants):
    save(invariants, 1, [entry(1, 1)])
    turn(invariants, 1, 1, commit=1)
    save(invariants, 2, [entry(1, 2)])
    with pytest.raises(Violated, match="others committed"):
        turn(invariants, 2, 2, commit=1)


def test_applying_is_in_order_once_and_the_same_everywhere(invariants):
    assert invariants.applies(1, entry(1, 1), 0, "said")
    assert not invariants.applies(2, entry(1, 1), 0, "said")
    with pytest.raises(Violated, match="state machine safety"):
        invariants.applies(3, entry(1, 2), 0, "said")
    with pytest.raises(Violated, match="another outcome"):
        invariants.applies(3, entry(1, 1), 0, "other")
    with pytest.raises(Violated, match="after entry"):
        invariants.applies(1, entry(1, 1), 1, "said")
    with pytest.raises(Violated, match="after entry"):
        invariants.applies(1, entry(3, 1), 1, "said")


def test_an_acknowledged_entry_must_be_on_a_quorum(invariants):
    save(invariants, 1, [entry(1, 1)])
    with pytest.raises(Violated, match="no quorum"):
        invariants.acknowledged(1, 1)
    invariants.saving(2, None, [entry(1, 1)], None)
    with pytest.raises(Violated, match="no quorum"):
        invariants.acknowledged(1, 1)
    invariants.saved(2)
    invariants.acknowledged(1, 1)


def test_a_snapshot_holds_what_is_before_it(invariants):
    save(invariants, 1, snapshot=SnapshotMeta(5, 2, VOTERS))
    save(invariants, 2, snapshot=SnapshotMeta(5, 2, VOTERS))
    invariants.acknowledged(3, 1)
    invariants.acknowledged(5, 2)
    with pytest.raises(Violated, match="no quorum"):
        invariants.acknowledged(6, 2)


def test_two_saves_at_one_time_are_found(invariants):
    invariants.saving(1, None, [entry(1, 1)], None)
    with pytest.raises(Violated, match="twice"):
        invariants.saving(1, None, [entry(2, 1)], None)


class TestRecovery:
    @pytest.fixture
    def log(self):
        log = DurableLog()
        log.pending = (HardState(2, 3, 1), [entry(1, 1), entry(2, 2)], None)
        log.done()
        return log

    def test_all_of_it_is_right(self, log):
        log.recovered(HardState(2, 3, 1), None, [entry(1, 1), entry(2, 2)])
        assert log.last == 2

    def test_a_forgotten_entry_is_found(self, log):
        with pytest.raises(Violated, match="forgot entry 2"):
            log.recovered(HardState(2, 3, 1), None, [entry(1, 1)])

    def test_a_forgotten_term_or_vote_is_found(self, log):
        with pytest.raises(Violated, match="forgot"):
            log.recovered(HardState(1, 3, 1), None, [entry(1, 1), entry(2, 2)])
        with pytest.raises(Violated, match="forgot"):
            log.recovered(HardState(2, 0, 1), None, [entry(1, 1), entry(2, 2)])

    def test_an_entry_that_nobody_wrote_is_found(self, log):
        with pytest.raises(Violated, match="made up entry 3"):
            log.recovered(
                HardState(2, 3, 1), None, [entry(1, 1), entry(2, 2), entry(3, 2)]
            )

    def test_a_save_under_way_may_be_there_or_not(self, log):
        log.pending = (None, [entry(2, 3), entry(3, 3)], None)
        log.recovered(HardState(2, 3, 1), None, [entry(1, 1), entry(2, 2)])
        log.pending = (None, [entry(2, 3), entry(3, 3)], None)
        log.recovered(HardState(2, 3, 1), None, [entry(1, 1), entry(2, 3)])
        assert log.term(2) == 3
        assert log.last == 2

    def test_a_snapshot_of_its_own_stands_for_the_entries_before(self, log):
        log.recovered(HardState(2, 3, 1), SnapshotMeta(1, 1, VOTERS), [entry(2, 2)])
        assert log.holds(1, 1)
        assert log.holds(2, 2)

    def test_a_snapshot_that_no_save_named_is_found(self, log):
        with pytest.raises(Violated, match="no save named"):
            log.recovered(HardState(2, 3, 1), SnapshotMeta(9, 2, VOTERS), [])

    def test_a_received_snapshot_under_way_may_be_taken(self, log):
        log.pending = (None, [], SnapshotMeta(9, 2, VOTERS))
        log.recovered(HardState(2, 3, 9), SnapshotMeta(9, 2, VOTERS), [])
        assert log.base == 9
        assert log.holds(4, 1)

    def test_a_received_snapshot_that_was_saved_stays(self, log):
        log.pending = (None, [], SnapshotMeta(9, 2, VOTERS))
        log.done()
        with pytest.raises(Violated, match="forgot the snapshot"):
            log.recovered(HardState(2, 3, 1), None, [entry(1, 1)])

    def test_a_commit_beyond_everything_found_is_found(self):
        log = DurableLog()
        log.hard_state = HardState(1, 0, 5)
        with pytest.raises(Violated, match="commit"):
            log.recovered(HardState(1, 0, 5), None, [])

    def test_done_twice_is_found(self, log):
        with pytest.raises(Violated, match="twice"):
            log.done()
