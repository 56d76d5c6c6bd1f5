"""What a program did not end is told when all is over."""

from __future__ import annotations

import warnings

import pytest
from twisted.internet.protocol import Factory

from kvd.client import Client
from kvd.testing import InMemoryMember, LeftoverWarning


def leftovers(member):
    """What closing it warns of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        member.close()
    assert {each.category for each in told} <= {LeftoverWarning}
    assert all(each.filename == __file__ for each in told)
    return [str(each.message) for each in told]


def test_nothing_is_left_of_who_has_ended_everything():
    member = InMemoryMember()
    client = member.client()
    member.result_of(client.set("/a", "1"))
    watch = client.watch("/a")
    member.result_of(watch.start())
    changed = watch.next()
    changed.addErrback(lambda _: None)
    member.settle()
    watch.close()

    assert leftovers(member) == []


def test_requests_that_are_under_way_come_to_their_end():
    member = InMemoryMember()
    written = member.client().set("/a", "1")

    assert leftovers(member) == []
    assert written.result.node.value == "1"


def test_a_watch_that_waits_is_left_over():
    member = InMemoryMember()
    watch = member.client().watch("/a")
    watch.each(lambda _: None)
    member.settle()

    (told,) = leftovers(member)
    assert told.startswith("watches that were not closed: GET /v2/keys/a?wait=true")


def test_a_client_of_the_programs_own_is_left_over():
    member = InMemoryMember()
    client = Client(member.reactor, [member.url])
    member.result_of(client.set("/a", "1"))

    told = leftovers(member)
    assert told[0] == ("connections of clients that were not closed: to 10.0.0.1:2379")


def test_a_timer_is_left_over_and_is_named():
    member = InMemoryMember()
    for _ in range(7):
        member.reactor.callLater(5, leftovers, member)

    (told,) = leftovers(member)
    assert told.startswith("timers that were not cancelled: ")
    assert f"{__name__}.leftovers in 5 s" in told
    assert told.endswith("and 2 more")


def test_a_port_is_left_over():
    member = InMemoryMember()
    port = member.reactor.listenTCP(8080, Factory()).getHost().port

    assert leftovers(member) == [f"ports that were not closed: {port}"]


def test_a_fault_that_no_request_has_met_is_left_over():
    member = InMemoryMember()
    member.lose_next_answer(method="PUT", key="/a")
    member.fail_next(2, method="GET")
    with pytest.raises(Exception, match="planned"):
        member.result_of(member.client().get("/"))

    assert leftovers(member) == [
        "faults that no request has met: lose the answer 1 x PUT /v2/keys/a to m1"
    ]
