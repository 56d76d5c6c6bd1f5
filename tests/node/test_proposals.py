"""Who waits for what, and that nothing is proposed twice."""

import pytest
from twisted.internet.defer import Deferred

from kvd.apply.request import RequestId
from kvd.errors import Unavailable, UnavailableReason
from kvd.node.interfaces import Applied
from kvd.node.proposals import BATCH_BYTES_MAX, Proposals
from kvd.raft.messages import EntryKind, Propose


def make(max_pending: int = 10, max_bytes: int = 100) -> Proposals:
    return Proposals(
        member_id=7,
        sequence_start=100,
        max_pending=max_pending,
        max_bytes=max_bytes,
    )


def failure_of(deferred: Deferred) -> Exception:
    caught = []
    deferred.addErrback(lambda f: caught.append(f.value))
    assert caught, "it has not failed"
    return caught[0]


def test_ids_are_ours_and_rise():
    proposals = make()
    assert proposals.next_id() == RequestId(7, 101)
    assert proposals.next_id() == RequestId(7, 102)


def test_a_request_leaves_the_outbox_once():
    proposals = make()
    for data in (b"a", b"b", b"c"):
        proposals.put(proposals.next_id(), data)
    assert proposals.peek_batch() == [b"a", b"b", b"c"]
    proposals.drop_batch(2)
    assert proposals.peek_batch() == [b"c"]
    proposals.drop_batch(1)
    assert not proposals.has_outgoing


def test_a_batch_is_bounded_but_never_empty():
    proposals = make()
    big = bytes(BATCH_BYTES_MAX + 1)
    proposals.put(proposals.next_id(), big)
    proposals.put(proposals.next_id(), b"x")
    assert proposals.peek_batch() == [big]


def test_the_waiter_gets_what_was_applied():
    proposals = make()
    request_id = proposals.next_id()
    answer = proposals.wait(request_id, now=0.0)
    proposals.resolve(request_id, Applied(5, 2, "value"))
    got = []
    answer.addCallback(got.append)
    assert got == [Applied(5, 2, "value")]
    assert len(proposals) == 0


def test_another_members_request_answers_nobody():
    proposals = make()
    request_id = proposals.next_id()
    answer = proposals.wait(request_id, now=0.0)
    proposals.resolve(RequestId(8, request_id.sequence), Applied(5, 2, None))
    assert not answer.called
    assert len(proposals) == 1


def test_cancelling_frees_the_place_but_takes_nothing_back():
    proposals = make(max_pending=1)
    request_id = proposals.next_id()
    answer = proposals.wait(request_id, now=0.0)
    proposals.put(request_id, b"data")
    answer.addErrback(lambda _: None)
    answer.cancel()
    assert len(proposals) == 0
    assert proposals.peek_batch() == [b"data"]
    proposals.resolve(request_id, Applied(1, 1, None))


def test_beyond_the_limit_a_request_is_refused():
    proposals = make(max_pending=1)
    proposals.wait(proposals.next_id(), now=0.0)
    with pytest.raises(Unavailable) as caught:
        proposals.wait(proposals.next_id(), now=0.0)
    assert caught.value.reason is UnavailableReason.TOO_MANY_REQUESTS
    assert not caught.value.may_take_effect


def test_lost_proposal_answers_unknown_not_failure():
    """R27: what the core has taken may still commit."""
    proposals = make()
    taken, kept = proposals.next_id(), proposals.next_id()
    first = proposals.wait(taken, now=0.0)
    second = proposals.wait(kept, now=1.0)
    third = proposals.wait(proposals.next_id(), now=9.0)
    proposals.put(taken, b"taken")
    proposals.put(kept, b"kept")
    proposals.drop_batch(1)
    proposals.expire(before=1.0, reason=lambda _: UnavailableReason.TIMED_OUT)
    assert failure_of(first).may_take_effect
    assert not failure_of(second).may_take_effect
    assert not third.called
    assert not proposals.has_outgoing, "a request given up on is never proposed"


def test_a_callback_may_ask_again_while_requests_expire():
    proposals = make()
    first_id = proposals.next_id()
    first = proposals.wait(first_id, now=0.0)
    second = proposals.wait(proposals.next_id(), now=0.0)
    second.addErrback(lambda _: None)
    first.addErrback(lambda _: second.cancel())
    proposals.expire(before=1.0, reason=lambda _: UnavailableReason.TIMED_OUT)
    assert len(proposals) == 0


def test_the_outbox_is_bounded_in_bytes_however_requests_leave_it():
    proposals = make(max_bytes=10)
    assert proposals.has_room(1000), "one of any size while it is empty"
    ids = [proposals.next_id() for _ in range(4)]
    for request_id in ids:
        proposals.put(request_id, b"12")
    assert proposals.has_room(2)
    assert not proposals.has_room(3)
    proposals.drop_batch(1)
    assert proposals.has_room(4)
    late = proposals.wait(ids[2], now=0.0)
    proposals.expire(before=1.0, reason=lambda _: UnavailableReason.TIMED_OUT)
    assert not failure_of(late).may_take_effect
    assert proposals.has_room(6)
    proposals.drop_batch(2)
    proposals.put(proposals.next_id(), b"1234567890")
    assert not proposals.has_room(1)
    forwarded = Propose(7, 8, 0, ((EntryKind.NORMAL, b"1"),))
    proposals.hold(forwarded)
    assert proposals.peek_batch() == [b"1234567890"]
    proposals.stop()
    proposals.hold(forwarded)
    assert proposals.peek_batch() == [b"1"]


def test_stopping_fails_every_waiter():
    proposals = make()
    sent, unsent = proposals.next_id(), proposals.next_id()
    first = proposals.wait(sent, now=0.0)
    second = proposals.wait(unsent, now=0.0)
    proposals.put(unsent, b"x")
    proposals.stop()
    error = failure_of(first)
    assert error.reason is UnavailableReason.STOPPED
    assert error.may_take_effect
    assert not failure_of(second).may_take_effect


def test_a_request_refused_at_once_tells_its_waiter():
    proposals = make()
    request_id = proposals.next_id()
    answer = proposals.wait(request_id, now=0.0)
    proposals.refuse(
        request_id, Unavailable(UnavailableReason.NO_SPACE, may_take_effect=False)
    )
    assert failure_of(answer).reason is UnavailableReason.NO_SPACE
    proposals.refuse(
        request_id, Unavailable(UnavailableReason.NO_SPACE, may_take_effect=False)
    )
