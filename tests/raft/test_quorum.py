"""Majorities against counting by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.raft.quorum import VoteResult, majority, reached_by_majority, vote_result


@pytest.mark.parametrize(
    ("count", "needed"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4)]
)
def test_a_majority_is_more_than_half(count, needed):
    assert majority(count) == needed


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=7))
def test_what_a_majority_has_reached(values):
    wanted = max(
        (v for v in range(10) if sum(x >= v for x in values) >= majority(len(values))),
        default=0,
    )
    assert reached_by_majority(values) == wanted


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.integers(1, 7), min_size=1),
    st.dictionaries(st.integers(1, 9), st.booleans()),
)
def test_an_election_is_decided_as_soon_as_it_can_be(voters, votes):
    yes = sum(votes.get(voter) is True for voter in voters)
    no = sum(votes.get(voter) is False for voter in voters)
    if yes > len(voters) / 2:
        wanted = VoteResult.WON
    elif no >= len(voters) / 2:
        wanted = VoteResult.LOST
    else:
        wanted = VoteResult.PENDING
    assert vote_result(votes, voters) is wanted
