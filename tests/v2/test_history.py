"""A history of another size than etcd's, and what snapshots keep of it."""

from __future__ import annotations

import pytest

from kvd.errors import RequestError
from kvd.state import at_once
from kvd.v2.machine import V2

EVENTS = 5000


def of_size(size):
    return lambda: V2(history_max=size)


@pytest.fixture
def written(make_subject):
    subject = make_subject(of_size(EVENTS))
    for number in range(EVENTS):
        subject.set(f"/k/{number % 7}", str(number))
    return subject


def values_from(subject, index, count=1):
    """What one watcher after the other is told, each from the index after the last."""
    told = []
    for since in range(index, index + count):
        (event,) = subject.watch("/", recursive=True, since=since)
        assert event.node.modified_index == since
        told.append(event.node.value)
    return told


def restored(written, size, make_subject, before=0):
    other = make_subject(of_size(size))
    for number in range(before):
        other.set("/mine", str(number))
    section = written.v2.snapshot()
    at_once(other.v2.restoring(version=section.version, chunks=section.chunks))
    other.v2.publish()
    return other


@pytest.mark.parametrize("size", [EVENTS, 2 * EVENTS])
@pytest.mark.parametrize("before", [0, 50])
def test_every_event_is_in_the_snapshot_that_a_member_begins_or_goes_on_with(
    written, make_subject, size, before
):
    other = restored(written, size, make_subject, before)
    assert values_from(other, 1, EVENTS) == [str(number) for number in range(EVENTS)]


def test_a_larger_history_grows_from_what_the_snapshot_has(written, make_subject):
    other = restored(written, EVENTS + 10, make_subject)
    for number in range(10):
        other.set("/more", str(number))
    assert values_from(other, 1) == ["0"]
    other.set("/more", "10")
    with pytest.raises(RequestError, match=r"401: .* cleared \[2/1\]"):
        values_from(other, 1)
    assert values_from(other, 2) == ["1"]
    assert values_from(other, EVENTS + 11) == ["10"]


def test_a_smaller_history_keeps_the_newest(written, make_subject):
    other = restored(written, 3000, make_subject)
    with pytest.raises(RequestError, match=r"401: .* cleared \[2001/2000\]"):
        values_from(other, 2000)
    assert values_from(other, 2001, 3000) == [str(n) for n in range(2000, EVENTS)]
    # Made larger again, it has no more than that, and says so.
    again = restored(other, EVENTS, make_subject)
    with pytest.raises(RequestError, match=r"401: .* cleared \[2001/2000\]"):
        values_from(again, 2000)
    assert values_from(again, 2001) == ["2000"]


def test_a_watcher_that_missed_more_than_it_can_be_told_asks_the_history(
    written, make_subject
):
    other = make_subject(of_size(EVENTS))
    told = other.watch("/", recursive=True, stream=True, since=1)
    section = written.v2.snapshot()
    at_once(other.v2.restoring(version=section.version, chunks=section.chunks))
    other.v2.publish()
    assert told[-1] is None  # its body ends, and its client asks again
    last = told[-2].node.modified_index
    assert [event.node.value for event in told[:-1]] == [str(n) for n in range(last)]
    assert values_from(other, last + 1) == [str(last)]
