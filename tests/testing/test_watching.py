"""The one true order of events, and who contradicts it."""

import pytest

from kvd.errors import RequestError
from kvd.testing.invariants import Violated
from kvd.testing.watching import Chronicle, Glance, OpenWatch, glance
from kvd.v2.commands import Command, Op, encode_command
from kvd.v2.machine import V2


@pytest.fixture
def chronicle():
    return Chronicle()


def member(chronicle, name):
    v2 = V2()
    chronicle.follow(v2, name)
    return v2


def do(v2, op, path, value="", **fields):
    command = Command(op, path, value=value, **fields)
    v2.apply(index=0, time_ns=10**18, body=encode_command(command))
    v2.publish()


def test_members_that_say_the_same_agree(chronicle):
    one, two = member(chronicle, "one"), member(chronicle, "two")
    for v2 in (one, two):
        do(v2, Op.SET, "/k", "a")
        do(v2, Op.DELETE, "/k")
    assert chronicle.indexes == [1, 2]
    assert chronicle.actions("/k") == ["set", "delete"]


def test_a_member_that_says_something_else_is_found(chronicle):
    one, two = member(chronicle, "one"), member(chronicle, "two")
    do(one, Op.SET, "/k", "a")
    with pytest.raises(Violated, match="two tells"):
        do(two, Op.SET, "/k", "b")


def test_a_member_that_leaves_something_out_is_found(chronicle):
    one, two = member(chronicle, "one"), member(chronicle, "two")
    do(one, Op.SET, "/k", "a")
    do(one, Op.SET, "/k", "b")
    two._store.index += 1
    with pytest.raises(Violated, match="two tells"):
        do(two, Op.SET, "/k", "b")


def test_an_index_that_goes_back_is_found(chronicle):
    one = member(chronicle, "one")
    do(one, Op.SET, "/k", "a")
    do(one, Op.SET, "/k", "b")
    one._store.index = 0
    one._store.hub._at["/"].copy().popitem()[0].since = 0
    with pytest.raises(Violated, match="tells index"):
        do(one, Op.SET, "/k", "c")


def test_an_answer_must_be_the_next_event(chronicle):
    one = member(chronicle, "one")
    for value in "abc":
        do(one, Op.SET, "/k", value)
    chronicle.check_answer(2, 2, who="me")
    with pytest.raises(Violated, match="due was"):
        chronicle.check_answer(1, 2, who="me")
    with pytest.raises(Violated, match="due was"):
        chronicle.check_answer(4, 4, who="me")
    chronicle.check_silence(3, 2, who="me")
    with pytest.raises(Violated, match="not told"):
        chronicle.check_silence(3, 3, who="me")


def test_a_local_read_shows_a_moment_that_was(chronicle):
    one = member(chronicle, "one")
    seen = [glance(one, "/k")]
    do(one, Op.SET, "/k", "a")
    seen.append(glance(one, "/k"))
    do(one, Op.DELETE, "/k")
    seen.append(glance(one, "/k"))
    assert [look.value for look in seen] == [None, "a", None]
    for look in seen:
        chronicle.check_glance(look)
    for wrong in (
        Glance("/k", 1, 0, None),
        Glance("/k", 1, 1, "b"),
        Glance("/k", 2, 1, "a"),
        Glance("/never", 2, 1, "a"),
    ):
        with pytest.raises(Violated, match="never was true"):
            chronicle.check_glance(wrong)


def test_a_local_read_that_cannot_be_is_not_swallowed(chronicle):
    one = member(chronicle, "one")
    do(one, Op.SET, "/k", "a")
    with pytest.raises(RequestError):
        glance(one, "/k/below")


def test_a_watch_of_the_past_is_over_at_once_and_one_of_the_future_is_not(chronicle):
    one = member(chronicle, "one")
    do(one, Op.SET, "/k", "a")
    told = []
    past = OpenWatch(
        one, since=1, stream=True, told=lambda _, event: told.append(event)
    )
    future = OpenWatch(
        one, since=2, stream=False, told=lambda _, event: told.append(event)
    )
    assert past.over
    assert not future.over
    do(one, Op.SET, "/k", "b")
    assert future.over
    assert [event.node.value for event in told] == ["a", "b"]
