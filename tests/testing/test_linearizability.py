"""The checker against histories made by hand, and against a slow, obvious one."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.testing import linearizability
from kvd.testing.linearizability import (
    COMPARE_FAILED,
    EXISTS,
    NOT_FOUND,
    Operation,
    Outcome,
    check_indexes,
    keys_not_linearizable,
    linearizable,
    step_key,
)


def op(name, start, end, outcome, *, value="", key="/k", compare=None, index=0):
    return Operation(0, name, key, value, compare, index, start, end, outcome)


def wrote(index, prev=None):
    if prev is None:
        return Outcome(0, index, index, "v")
    return Outcome(0, index, index, "v", *prev)


def saw(value, modified, etcd_index=None):
    return Outcome(0, etcd_index or modified, modified, value)


def refused(code, etcd_index=1):
    return Outcome(code, etcd_index)


def fine(history):
    return keys_not_linearizable(history) == []


def test_one_after_the_other_is_linearizable():
    assert fine(
        [
            op("get", 0, 1, refused(NOT_FOUND)),
            op("set", 2, 3, wrote(5), value="a"),
            op("get", 4, 5, saw("a", 5)),
            op("delete", 6, 7, wrote(6, (5, "a"))),
            op("get", 8, 9, refused(NOT_FOUND)),
        ]
    )


def test_a_read_after_a_write_must_see_it():
    assert not fine(
        [
            op("set", 0, 1, wrote(5), value="a"),
            op("set", 2, 3, wrote(6, (5, "a")), value="b"),
            op("get", 4, 5, saw("a", 5)),
        ]
    )


def test_a_read_beside_a_write_may_see_either():
    write = [
        op("set", 0, 1, wrote(5), value="a"),
        op("set", 2, 6, wrote(6, (5, "a")), value="b"),
    ]
    assert fine([*write, op("get", 3, 4, saw("a", 5))])
    assert fine([*write, op("get", 3, 4, saw("b", 6))])


def test_reads_never_go_back_in_time():
    assert not fine(
        [
            op("set", 0, 1, wrote(5), value="a"),
            op("set", 2, 9, wrote(6, (5, "a")), value="b"),
            op("get", 3, 4, saw("b", 6)),
            op("get", 5, 6, saw("a", 5)),
        ]
    )


def test_an_unknown_write_may_happen_late_or_never():
    unknown = op("set", 0, math.inf, None, value="a")
    assert fine([unknown, op("get", 1, 2, refused(NOT_FOUND))])
    assert fine(
        [
            unknown,
            op("get", 1, 2, refused(NOT_FOUND)),
            op("get", 3, 4, saw("a", 7)),
        ]
    )
    assert not fine(
        [
            unknown,
            op("get", 1, 2, saw("a", 7)),
            op("get", 3, 4, refused(NOT_FOUND)),
        ]
    )


def test_an_unknown_write_happens_at_most_once():
    assert not fine(
        [
            op("set", 0, math.inf, None, value="a"),
            op("get", 1, 2, saw("a", 4)),
            op("set", 3, 4, wrote(6, (4, "a")), value="b"),
            op("get", 5, 6, saw("a", 4)),
        ]
    )


def test_of_two_creates_one_is_refused():
    assert fine(
        [
            op("create", 0, 5, wrote(3), value="a"),
            op("create", 1, 4, refused(EXISTS), value="b"),
        ]
    )
    assert not fine(
        [
            op("create", 0, 5, wrote(3), value="a"),
            op("create", 1, 4, wrote(4), value="b"),
        ]
    )


def test_compare_and_swap_takes_effect_once():
    first = op("set", 0, 1, wrote(3), value="a")
    swap = op("cas", 2, 5, wrote(4, (3, "a")), value="b", compare="a")
    assert fine([first, swap])
    again = op("cas", 2, 5, wrote(5, (3, "a")), value="c", compare="a")
    assert not fine([first, swap, again])
    late = op("cas", 2, 5, refused(COMPARE_FAILED), value="c", compare="a")
    assert fine([first, swap, late])
    assert not fine([first, late])


def test_compare_by_index_and_delete():
    first = op("set", 0, 1, wrote(3), value="a")
    assert fine([first, op("cad", 2, 3, wrote(4, (3, "a")), index=3)])
    assert not fine([first, op("cad", 2, 3, wrote(4, (3, "a")), index=2)])
    assert fine([first, op("cad", 2, 3, refused(COMPARE_FAILED), index=2)])
    assert not fine([first, op("cad", 2, 3, refused(NOT_FOUND), index=3)])


def test_update_needs_a_key():
    assert not fine([op("update", 0, 1, wrote(3), value="a")])
    assert fine([op("update", 0, 1, refused(NOT_FOUND), value="a")])


def test_a_write_that_shows_the_wrong_predecessor_is_found():
    assert not fine(
        [
            op("set", 0, 1, wrote(3), value="a"),
            op("set", 2, 3, wrote(4, (2, "z")), value="b"),
        ]
    )
    assert not fine([op("set", 2, 3, wrote(4, (2, "z")), value="b")])


def test_keys_are_judged_one_by_one():
    good = op("set", 0, 1, wrote(3), value="a", key="/good")
    bad = op("get", 0, 1, saw("x", 3), key="/bad")
    assert keys_not_linearizable([good, bad]) == ["/bad"]


def test_indexes_agree_with_real_time():
    first = op("set", 0, 1, wrote(5), value="a")
    second = op("set", 2, 3, wrote(4), value="b", key="/other")
    assert "had been answered" in check_indexes([first, second])[0]
    assert check_indexes([first, second._replace(outcome=wrote(6))]) == []


def test_two_writes_never_share_an_index():
    one = op("set", 0, 9, wrote(5), value="a")
    two = op("set", 1, 8, wrote(5), value="b", key="/other")
    assert "one index" in check_indexes([one, two])[0]


def test_a_read_that_misses_a_write_it_should_know_is_found():
    write = op("set", 0, 10, wrote(5), value="a")
    stale = op("get", 1, 9, saw("old", 3, 6))
    assert "stale" in check_indexes([write, stale])[0]
    ahead = op("get", 1, 9, saw("old", 7, 6))
    assert "future" in check_indexes([ahead])[0]


def _obvious(history):
    """Every order of every choice of unknown operations; exponential on purpose."""
    known = [one for one in history if one.outcome is not None]
    unknown = [one for one in history if one.outcome is None]
    for count in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, count):
            for order in itertools.permutations([*known, *some]):
                if any(
                    later.returned < earlier.invoked
                    for i, earlier in enumerate(order)
                    for later in order[i + 1 :]
                ):
                    continue
                state = ""
                for one in order:
                    state = step_key(state, one)
                    if state is None:
                        break
                else:
                    return True
    return False


@st.composite
def _operations(draw):
    name = draw(st.sampled_from(["get", "set", "create", "cas", "delete"]))
    start = draw(st.integers(0, 6))
    known = draw(st.booleans())
    end = start + draw(st.integers(1, 5)) if known else math.inf
    value = draw(st.sampled_from("ab"))
    compare = draw(st.sampled_from("ab")) if name == "cas" else None
    outcome = None
    if known:
        outcome = draw(
            st.one_of(
                st.sampled_from(
                    [refused(NOT_FOUND), refused(EXISTS), refused(COMPARE_FAILED)]
                ),
                st.builds(
                    Outcome,
                    st.just(0),
                    st.just(1),
                    st.integers(1, 3),
                    st.sampled_from("ab"),
                    st.integers(0, 3),
                    st.sampled_from(["a", "b", None]),
                ),
            )
        )
    return op(name, start, end, outcome, value=value, compare=compare)


@settings(max_examples=150, deadline=None)
@given(st.lists(_operations(), max_size=5))
def test_the_search_agrees_with_the_obvious_one(history):
    assert linearizable(history, "", step_key) == _obvious(history)


def test_a_search_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(linearizability, "STATES_MAX", 50)
    unknown = [op("set", i, math.inf, None, value=str(i)) for i in range(9)]
    with pytest.raises(linearizability.TooManyOrders):
        fine([*unknown, op("get", 100, 101, saw("never", 5))])


@pytest.mark.parametrize("count", [12])
def test_many_unknown_writes_do_not_explode(count):
    unknown = [op("set", i, math.inf, None, value=str(i)) for i in range(count)]
    reads = [op("get", 100 + i, 101 + i, refused(NOT_FOUND)) for i in range(40)]
    assert fine([*unknown, *reads])
