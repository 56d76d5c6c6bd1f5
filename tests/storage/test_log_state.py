"""What a save may be, when it is written and when it is read."""

import pytest

from kvd.errors import InvariantViolated
from kvd.raft.messages import HardState
from kvd.storage.log_state import LogState
from kvd.storage.records import Mark, Save
from tests.storage.fakes import entries, state


def at_ten():
    """Ten entries of term 2, six of them committed, a vote for 3."""
    log = LogState(HardState(), last_index=0, last_term=0)
    log.advance(Save(state(2, 3, 6), entries(1, 10, term=2), None))
    return log


def refused(save, why):
    with pytest.raises(InvariantViolated, match=why):
        at_ten().advance(save)


def test_promises_are_not_taken_back():
    refused(Save(state(1, 0, 6), (), None), "term goes backward")
    refused(Save(state(2, 4, 6), (), None), "second vote")
    refused(Save(state(2, 0, 6), (), None), "second vote")
    refused(Save(state(2, 3, 5), (), None), "commit index goes backward")
    refused(Save(state(2, 3, 11), (), None), "beyond the log's end")
    refused(Save(None, entries(12, 12, term=2), None), "gap")
    refused(Save(None, entries(6, 6, term=2), None), "replace committed")
    refused(Save(None, entries(11, 11, term=1), None), "entry's term goes backward")
    refused(Save(None, entries(11, 11, term=3), None), "beyond our own")
    refused(Save(None, (), Mark(6, 2, resets=True)), "news")


def test_what_a_log_may_do():
    log = at_ten()
    log.advance(Save(state(3, 5, 8), entries(9, 9, term=3), None))
    assert (log.last_index, log.last_term) == (9, 3)
    log.advance(Save(state(4, 0, 8), (), None))
    log.advance(Save(state(4, 1, 9), (), Mark(8, 2, resets=False)))
    assert (log.mark_index, log.base_index) == (8, 0)
    log.advance(Save(None, (), Mark(20, 4, resets=True)))
    assert (log.mark_index, log.base_index, log.last_index) == (20, 20, 20)
    assert log.hard_state == state(4, 1, 20)
    log.advance(Save(None, (), Mark(15, 4, resets=False)))
    assert log.mark_index == 20
    log.advance(Save(None, (), Mark(30, 6, resets=True)))
    assert log.hard_state == state(6, 0, 30)
    log.raise_commit(29)
    assert log.hard_state.commit == 30
