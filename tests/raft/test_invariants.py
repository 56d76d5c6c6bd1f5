"""Each thing that must never happen stops the member, and says what it was."""

import pytest

from kvd.errors import InvariantViolated
from kvd.raft import invariants
from kvd.raft.progress import Progress

from .network import log_of, lone, normal


@pytest.fixture
def state():
    return lone((1, 1, 2), vote=2, commit=2).state


def test_the_commit_index_neither_goes_back_nor_beyond_the_log(state):
    for index, why in ((1, "went back"), (4, "lost")):
        with pytest.raises(InvariantViolated, match=why):
            invariants.commit_may_advance(state, index)
    invariants.commit_may_advance(state, 3)


def test_terms_and_votes_are_not_taken_back(state):
    with pytest.raises(InvariantViolated, match="went back"):
        invariants.term_may_advance(state, 1)
    with pytest.raises(InvariantViolated, match="second vote"):
        invariants.vote_may_be_given(state, 3)
    invariants.vote_may_be_given(state, 2)


def test_a_match_index_neither_goes_back_nor_beyond_the_log():
    progress = Progress(2, match=3, next_index=4)
    for index in (2, 9):
        with pytest.raises(InvariantViolated, match="match index"):
            invariants.match_may_advance(progress, index, 5)
    invariants.match_may_advance(progress, 3, 5)


def test_indexes_out_of_order_are_noticed_at_the_next_ready():
    member = lone((1, 1, 2), commit=2)
    member.state.applied = 3
    with pytest.raises(InvariantViolated, match="out of order"):
        member.raft.ready()
    member = lone((1, 1, 2), commit=2)
    member.log.stable = 9
    with pytest.raises(InvariantViolated, match="out of order"):
        member.raft.ready()


def test_a_log_has_neither_gaps_nor_falling_terms(state):
    for wrong in (normal(5, 2), normal(4, 1)):
        with pytest.raises(InvariantViolated):
            invariants.entries_follow(state.log, wrong)
    one, two = log_of([2, 2])
    invariants.entries_are_neighbours(one, two)
    for wrong in (normal(3, 2), normal(2, 1)):
        with pytest.raises(InvariantViolated):
            invariants.entries_are_neighbours(one, wrong)
