"""Endpoints in turn, and the members that a cluster says it has."""

from __future__ import annotations

import json

import pytest

from kvd.kvctl.cluster import ENDPOINTS_MAX, Cluster
from kvd.kvctl.endpoint import endpoint_of
from kvd.kvctl.errors import (
    AllFailed,
    BadAnswer,
    DeadlineExceeded,
    EndpointFailed,
    NoEndpoints,
)
from kvd.kvctl.wire import Answer

TOTAL_SECONDS = 5.0
A, B, C = (f"http://{name}:2379" for name in "abc")


class Wire:
    """
    In place of connections.

    :ivar says: what each endpoint answers: a status, a document, or an exception.
    """

    def __init__(self):
        self.says = {}
        self.asked = []
        self.deadlines = []

    def ask(self, endpoint, request, deadline):
        self.asked.append(endpoint.url)
        self.deadlines.append(deadline)
        said = self.says.get(endpoint.url, 200)
        if isinstance(said, Exception):
            raise said
        status, body = (said, b"") if isinstance(said, int) else (200, json.dumps(said))
        return Answer(endpoint.url, status, {}, body)

    def close(self): ...


@pytest.fixture
def wire():
    return Wire()


def down(url):
    return EndpointFailed(url, f"dial {url}", connection=True)


def cluster(wire, *urls, now=100.0):
    return Cluster(
        [endpoint_of(url) for url in urls],
        wire,
        total_seconds=TOTAL_SECONDS,
        shuffle=lambda given: given,
        clock=lambda: now,
    )


def members(*urls):
    return {"members": [{"clientURLs": [url]} for url in urls]}


def test_the_next_endpoint_is_asked_when_one_fails(wire):
    wire.says = {A: down(A), B: 503}
    assert cluster(wire, A, B, C).ask("GET", "/x").endpoint == C
    assert wire.asked == [A, B, C]


def test_who_answered_last_is_asked_first(wire):
    wire.says = {A: down(A)}
    asking = cluster(wire, A, B, C)
    asking.ask("GET", "/x")
    asking.ask("GET", "/x")
    assert wire.asked == [A, B, B]


def test_a_status_below_500_is_an_answer(wire):
    wire.says = {A: 404}
    assert cluster(wire, A, B).ask("GET", "/x").status == 404


def test_when_all_fail_each_one_is_heard(wire):
    wire.says = {A: down(A), B: 502, C: 500}
    with pytest.raises(AllFailed) as caught:
        cluster(wire, A, B, C).ask("GET", "/x")
    assert caught.value.detail == (
        f"error #0: dial {A}\n"
        f"error #1: client: etcd member {B} returns server error [Bad Gateway]\n"
        f"error #2: client: etcd member {C} has no leader\n"
    )
    assert not caught.value.connection  # two of them were reached
    assert [each.endpoint for each in caught.value.failures] == [A, B, C]


def test_what_may_be_sent_once_is_not_sent_to_the_next(wire):
    wire.says = {A: down(A)}
    asking = cluster(wire, A, B)
    with pytest.raises(EndpointFailed, match=f"^dial {A}$"):
        asking.ask("PUT", "/x", once=True)
    assert wire.asked == [A]
    # The next command begins with the next one.
    assert asking.ask("PUT", "/x", once=True).endpoint == B


def test_the_end_of_the_time_is_the_end_of_the_turns(wire):
    wire.says = {A: DeadlineExceeded()}
    with pytest.raises(DeadlineExceeded):
        cluster(wire, A, B).ask("GET", "/x")
    assert wire.asked == [A]


def test_each_command_has_all_its_time_a_watch_any_and_several_requests_share_theirs(
    wire,
):
    asking = cluster(wire, A)
    asking.ask("GET", "/x")
    asking.ask("GET", "/x", patient=True)
    asking.ask("GET", "/x", deadline=102.0)
    assert asking.deadline() == 100.0 + TOTAL_SECONDS
    assert wire.deadlines == [100.0 + TOTAL_SECONDS, None, 102.0]


def test_without_endpoints_there_is_nobody_to_ask(wire):
    with pytest.raises(NoEndpoints):
        cluster(wire).ask("GET", "/x")


def test_the_members_urls_take_the_place_of_what_was_given(wire):
    wire.says = {A: members(B, C)}
    asking = cluster(wire, A)
    asking.sync()
    assert asking.endpoints == (B, C)


def test_the_same_urls_in_another_order_leave_everything_as_it_was(wire):
    wire.says = {A: down(A), B: members(B, A)}
    asking = cluster(wire, A, B)
    asking.sync()
    assert asking.endpoints == (A, B)
    asking.ask("GET", "/x")
    assert wire.asked == [A, B, B]


@pytest.mark.parametrize(
    ("given", "listed", "taken"),
    [
        (["https://a:1"], ["http://b:1", "https://b:2"], ["https://b:2"]),
        (["https://a:1"], ["http://b:1"], ["http://b:1"]),
        (["http://a:1"], ["http://b:1", "https://b:2"], ["http://b:1", "https://b:2"]),
    ],
)
def test_who_was_given_https_stays_with_it_if_members_have_it(
    wire, given, listed, taken
):
    wire.says = {given[0]: members(*listed)}
    asking = cluster(wire, *given)
    asking.sync()
    assert asking.endpoints == tuple(taken)


@pytest.mark.parametrize(
    "document", [{}, {"members": None}, {"members": []}, {"members": [{"id": "1"}]}]
)
def test_members_that_publish_nothing_leave_nobody(wire, document):
    wire.says = {A: document}
    with pytest.raises(NoEndpoints):
        cluster(wire, A).sync()


@pytest.mark.parametrize(
    "said",
    [404, 204, [], "text", {"members": 5}, {"members": [5]}, members("http://a b")],
)
def test_what_is_no_list_of_members_changes_nothing(wire, said):
    wire.says = {A: said}
    asking = cluster(wire, A)
    with pytest.raises(BadAnswer):
        asking.sync()
    assert asking.endpoints == (A,)


def test_no_more_endpoints_are_taken_than_there_may_be(wire):
    many = [f"http://m{number}:1" for number in range(ENDPOINTS_MAX + 5)]
    assert len(cluster(wire, *many).endpoints) == ENDPOINTS_MAX
    wire.says = {A: members(*many)}
    asking = cluster(wire, A)
    asking.sync()
    assert len(asking.endpoints) == ENDPOINTS_MAX


def test_one_endpoint_can_be_asked_beside_the_cluster(wire):
    wire.says = {B: 500}
    asking = cluster(wire, A)
    assert asking.ask_endpoint(B, "GET", "/health").status == 500
    assert wire.deadlines == [100.0 + TOTAL_SECONDS]
    with pytest.raises(EndpointFailed):
        asking.ask_endpoint("http://a b", "GET", "/health")
