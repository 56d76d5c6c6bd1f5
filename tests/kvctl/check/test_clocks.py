"""What ``Date`` tells of clocks, and how exactly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvd.kvctl.check.clocks import Between, Glimpse, ahead, check_clocks, date_of
from kvd.kvctl.check.findings import Level


def glimpses(offset, times=(100.0, 100.3, 100.6, 100.9), trip=0.01):
    """Of a clock that is ahead by so much; it is looked at in the middle of a trip."""
    return [
        Glimpse(now, now + trip, float(int(now + trip / 2 + offset))) for now in times
    ]


@given(
    st.floats(-1e4, 1e4),
    st.lists(st.floats(1e5, 1e5 + 60), min_size=1, max_size=8),
    st.floats(0, 2),
)
def test_the_truth_lies_between(offset, times, trip):
    found = ahead(glimpses(offset, times, trip))
    assert found is not None
    assert found.least - 1e-6 <= offset <= found.most + 1e-6


def test_more_looks_see_closer():
    once, often = ahead(glimpses(0.0, [100.5])), ahead(glimpses(0.0))
    assert once.most - once.least > 1
    assert often.most - often.least < 0.4


def test_looks_that_contradict_each_other_say_nothing():
    assert ahead([Glimpse(0, 0, 0), Glimpse(1, 1, 60)]) is None
    assert ahead([]) is None


def test_two_clocks_are_compared_by_what_is_certain():
    assert Between(1, 2).minus(Between(-1, 0.5)) == Between(0.5, 3)
    assert Between(-1, 2).certainly == 0
    assert Between(-4, -3).certainly == 3


def levels(**members):
    return [each.level for each in check_clocks(members)]


def told(**members):
    return " | ".join(each.seen for each in check_clocks(members))


def test_clocks_in_step_are_said_to_be_so_and_how_exactly():
    found = told(m1=glimpses(0.0), m2=glimpses(0.1))
    assert levels(m1=glimpses(0.0), m2=glimpses(0.1)) == [Level.OK, Level.OK]
    assert "members' clocks show no difference (seen to within 0.2 s)" in found


def test_members_apart_are_told_by_name_even_if_both_differ_from_us():
    found = told(m1=glimpses(10.0), m2=glimpses(8.0), m3=glimpses(9.0))
    assert "m2 and m1 are 1.9 s apart or more" in found
    assert "m1 and this machine are 10.0 s apart or more" in found
    assert levels(m1=glimpses(10.0), m2=glimpses(8.0)) == [Level.WARNING, Level.PROBLEM]


def test_one_member_is_compared_with_this_machine():
    assert levels(m1=glimpses(0.0)) == [Level.OK]


def test_a_member_that_said_nothing_is_not_judged():
    assert levels(m1=[]) == []


def test_a_clock_that_was_set_meanwhile_is_told():
    assert levels(m1=[Glimpse(0, 0, 0), Glimpse(1, 1, 60)]) == [Level.WARNING]


def test_the_date_is_found_in_the_headers():
    assert date_of({"Date": "Tue, 24 Nov 2026 16:06:32 GMT"}) == 1795536392.0
    assert date_of({"date": "yesterday"}) is None
    assert date_of({}) is None
