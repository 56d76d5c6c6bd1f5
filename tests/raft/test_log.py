"""The log in memory against a plain list."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.errors import InvariantViolated
from kvd.raft.log import ENTRY_OVERHEAD_BYTES, UNKNOWN_TERM, Log, make_entries
from kvd.raft.messages import ChangeKind, Entry, EntryKind

from .network import change_entry, log_of, normal


def filled(terms, offset=0):
    log = Log(offset, 1 if offset else 0)
    log.append([normal(i, t) for i, t in enumerate(terms, offset + 1)])
    return log


def test_entries_of_one_kind_are_made_in_one_go():
    made = make_entries(5, 2, EntryKind.NORMAL, [b"a", b"b"])
    assert made == [
        Entry(5, 2, EntryKind.NORMAL, b"a"),
        Entry(6, 2, EntryKind.NORMAL, b"b"),
    ]
    assert all(type(entry) is Entry for entry in made)


def test_terms_are_known_from_the_offset_to_the_end():
    log = filled([2, 2, 3], offset=4)
    assert [log.term(i) for i in range(3, 9)] == [
        UNKNOWN_TERM,
        1,
        2,
        2,
        3,
        UNKNOWN_TERM,
    ]


def test_gaps_and_falling_terms_are_refused():
    log = filled([1, 2])
    for wrong in (normal(4, 2), normal(2, 2), normal(3, 1)):
        with pytest.raises(InvariantViolated):
            log.append([wrong])
    with pytest.raises(InvariantViolated):
        Log(0, 0).saved([normal(1, 1), normal(3, 1)])
    with pytest.raises(InvariantViolated):
        log.slice(0, 2)
    log.stable = 1
    with pytest.raises(InvariantViolated, match="durable"):
        log.compact(2)


def test_truncation_takes_back_what_was_durable():
    log = filled([1, 1, 2, 2])
    log.handed = log.stable = 4
    log.truncate(3)
    assert (log.last, log.handed, log.stable) == (2, 2, 2)


def test_changes_are_found_by_position():
    log = filled([1])
    log.append([change_entry(2, 1, ChangeKind.REMOVE, 9), normal(3, 1)])
    log.append([change_entry(4, 1, ChangeKind.REMOVE, 9)])
    assert log.changes == [2, 4]
    assert log.has_change_between(1, 2)
    assert not log.has_change_between(2, 3)
    log.stable = 4
    log.compact(2)
    assert log.changes == [4]
    log.truncate(4)
    assert log.changes == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=12).map(sorted),
    st.integers(0, 3),
    st.integers(0, 14),
    st.integers(0, 5),
)
def test_the_last_entry_at_or_before_a_term(terms, compacted, index, term):
    log = filled(terms)
    log.stable = log.last
    log.compact(min(compacted, log.last))
    found = log.last_at_or_before(index, term)
    known = {0: 0, **dict(enumerate(terms, 1))}
    wanted = max(i for i, t in known.items() if i <= index and t <= term)
    if index < log.offset:
        assert found == index
    elif wanted >= log.offset:
        assert found == wanted
    else:
        assert found == max(log.offset - 1, 0), "it must point into the compacted part"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=30), min_size=1, max_size=10),
    st.integers(0, 300),
    st.data(),
)
def test_a_slice_fits_the_bytes_it_may_have(datas, limit, data):
    log = Log(0, 0)
    log.append(make_entries(1, 1, EntryKind.NORMAL, datas))
    sizes = [len(d) + ENTRY_OVERHEAD_BYTES for d in datas]
    compacted = data.draw(st.integers(0, len(datas) - 1))
    log.stable = log.last
    log.compact(compacted)
    first = data.draw(st.integers(compacted + 1, len(datas)))
    last = data.draw(st.integers(first, len(datas)))
    fitting = log.fit(first, last, limit)
    assert first <= fitting <= last
    size = sum(sizes[first - 1 : fitting])
    assert size == log.bytes_between(first - 1, fitting)
    assert size <= limit or fitting == first
    if fitting < last:
        assert size + sizes[fitting] > limit


def test_saved_entries_are_durable():
    log = Log(0, 0)
    log.saved(log_of([1, 1, 2]))
    assert (log.stable, log.handed, log.last, log.last_term) == (3, 3, 3, 2)
    log = Log(7, 3)
    log.saved([])
    assert (log.stable, log.last, log.last_term) == (7, 7, 3)
