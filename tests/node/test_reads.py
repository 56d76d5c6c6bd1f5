"""Rounds of ReadIndex: shared, never used twice, released by apply."""

import pytest

from kvd.errors import Unavailable, UnavailableReason
from kvd.node.reads import Reads


class Core:
    """Records contexts; says no while there is no leader."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.has_leader = True

    def ask(self, context: int) -> bool:
        if self.has_leader:
            self.asked.append(context)
        return self.has_leader


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def reads(core: Core) -> Reads:
    return Reads(core.ask, max_pending=3)


def result(deferred):
    got = []
    deferred.addBoth(got.append)
    return got[0] if got else None


def test_reads_of_one_turn_share_a_round(core, reads):
    first, second = reads.wait(now=0.0), reads.wait(now=0.0)
    reads.ask(now=0.0)
    assert core.asked == [1]
    reads.confirm(1, 5)
    reads.release(5)
    assert (result(first), result(second)) == (5, 5)


def test_read_waits_for_apply(core, reads):
    """R24."""
    answer = reads.wait(now=0.0)
    reads.ask(now=0.0)
    reads.confirm(1, 5)
    reads.release(4)
    assert not answer.called
    reads.release(6)
    assert result(answer) == 6


def test_read_index_retry_takes_new_index(core, reads):
    """R22: a late answer to the first round must not answer the retried read."""
    answer = reads.wait(now=0.0)
    reads.ask(now=0.0)
    reads.retry(asked_before=0.5)
    reads.ask(now=0.5)
    assert core.asked == [1, 2]
    reads.confirm(1, 3)
    reads.release(100)
    assert not answer.called
    reads.confirm(2, 7)
    reads.release(100)
    assert result(answer) == 100


def test_a_round_still_young_is_not_retried(core, reads):
    reads.wait(now=0.0)
    reads.ask(now=1.0)
    reads.retry(asked_before=0.5)
    assert not reads.has_gathering


def test_read_index_dropped_on_leader_change(core, reads):
    """R23: the owner asks again, in a new round."""
    answer = reads.wait(now=0.0)
    reads.ask(now=0.0)
    reads.drop(1)
    reads.drop(1)
    assert reads.has_gathering
    reads.ask(now=0.0)
    reads.confirm(2, 1)
    reads.release(1)
    assert result(answer) == 1


def test_without_a_leader_reads_wait_and_then_ask(core, reads):
    core.has_leader = False
    reads.wait(now=0.0)
    reads.ask(now=0.0)
    assert reads.has_gathering
    core.has_leader = True
    reads.ask(now=0.0)
    assert len(core.asked) == 1
    reads.ask(now=0.0)
    assert len(core.asked) == 1, "nothing gathered, nothing asked"


def test_beyond_the_limit_a_read_is_refused(reads):
    for _ in range(3):
        reads.wait(now=0.0)
    with pytest.raises(Unavailable) as caught:
        reads.wait(now=0.0)
    assert caught.value.reason is UnavailableReason.TOO_MANY_REQUESTS


def test_late_reads_expire_wherever_they_wait(core, reads):
    confirmed = reads.wait(now=0.0)
    reads.ask(now=0.0)
    reads.confirm(1, 9)
    asked = reads.wait(now=0.0)
    reads.ask(now=0.0)
    gathering = reads.wait(now=0.0)
    reads.expire(before=1.0, reason=lambda _: UnavailableReason.TIMED_OUT)
    for answer in (confirmed, asked, gathering):
        assert result(answer).value.reason is UnavailableReason.TIMED_OUT
    assert len(reads) == 0


def test_young_reads_survive_an_expiry(core, reads):
    old = reads.wait(now=0.0)
    young = reads.wait(now=5.0)
    reads.ask(now=5.0)
    reads.expire(before=1.0, reason=lambda _: UnavailableReason.TIMED_OUT)
    assert result(old) is not None
    reads.confirm(1, 2)
    reads.release(2)
    assert result(young) == 2


def test_cancelled_reads_free_their_place(core, reads):
    answers = [reads.wait(now=0.0) for _ in range(3)]
    for answer in answers:
        answer.addErrback(lambda _: None)
    answers[0].cancel()
    reads.ask(now=0.0)
    answers[1].cancel()
    reads.expire(before=-1.0, reason=lambda _: UnavailableReason.TIMED_OUT)
    assert len(reads) == 1
    reads.confirm(1, 1)
    answers[2].cancel()
    reads.release(1)
    assert len(reads) == 0


def test_a_release_below_every_index_answers_nobody(core, reads):
    reads.release(1)
    answer = reads.wait(now=0.0)
    reads.ask(now=0.0)
    reads.confirm(1, 10)
    reads.release(2)
    assert not answer.called


def test_stopping_fails_every_read(core, reads):
    answer = reads.wait(now=0.0)
    reads.stop()
    assert result(answer).value.reason is UnavailableReason.STOPPED
