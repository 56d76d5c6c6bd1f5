"""The discovery protocol, one member's side of it (V2-SPEC 16.1)."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from kvd.discovery.failures import ClusterIsFull, DiscoveryFailed, Unreachable
from kvd.discovery.fetch import Fetched
from kvd.discovery.registry import WATCH_SECONDS, Registry
from kvd.discovery.token import AGAIN_SECONDS, TokenDiscovery
from kvd.options.values import Members
from tests.discovery.service import FOLDER, URL, Service

A, B, C, D = (f"{name}=http://10.0.0.{n}:2380" for n, name in enumerate("abcd", 1))


class Member:
    """One that looks for the others."""

    def __init__(self, service, member_id="a1", value=A, *, again=False, look=False):
        self.clock = service.clock
        self.result = None
        discovery = TokenDiscovery(
            registry=Registry(url=URL, fetch=service),
            clock=service.clock,
            url=URL,
            member_id=member_id,
            value=value,
            read=Members().read,
            again=again,
        )
        self.joining = Deferred.fromCoroutine(
            discovery.look() if look else discovery.join()
        )
        self.joining.addBoth(self.ended)

    def ended(self, result):
        self.result = getattr(result, "value", result)

    def pass_seconds(self, seconds):
        for _ in range(int(seconds / 0.5)):
            self.clock.advance(0.5)

    @property
    def text(self):
        return Members().show(self.result)

    @property
    def failure(self):
        assert isinstance(self.result, DiscoveryFailed), self.result
        return str(self.result)


@pytest.fixture
def service():
    return Service(Clock())


@pytest.fixture
def log_lines():
    lines = []

    def observe(event):
        if str(event.get("log_namespace", "")).startswith("kvd.discovery"):
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def test_founders_are_told_of_each_other(service, log_lines):
    one = Member(service, "a1", A)
    two = Member(service, "b2", B)
    assert one.result is two.result is None
    three = Member(service, "c3", C)
    assert one.text == two.text == three.text == f"{A},{B},{C}"
    assert service.keys["b2"][0] == B
    for there in (1, 2):
        missing = 3 - there
        line = f"discovery service {URL}: {there} of 3 members are there, waiting for {missing} more"
        assert line in log_lines
    assert f"registered at the discovery service {URL} as a1" in log_lines
    assert service.clock.getDelayedCalls() != []  # the watches' own, in the service


def test_several_peer_urls_stay_together(service):
    service.put("_config/size", "2")
    one = Member(service, value=f"{A},a=http://10.0.1.1:2380")
    Member(service, "b2", B)
    assert dict(one.result) == {
        "a": ("http://10.0.0.1:2380", "http://10.0.1.1:2380"),
        "b": ("http://10.0.0.2:2380",),
    }


def test_a_cluster_of_one_waits_for_nobody(service):
    service.put("_config/size", "1")
    assert Member(service).text == A


def test_who_comes_too_late_is_told_who_the_cluster_is(service):
    for name, value in zip("abc", (A, B, C), strict=True):
        Member(service, f"{name}1", value)
    late = Member(service, "d4", D)
    assert late.failure == "discovery: cluster is full"
    assert Members().show(late.result.founders) == f"{A},{B},{C}"
    assert "d4" not in service.keys


def test_who_registered_too_late_is_not_a_founder_either(service):
    """Two see one free place; the one that was created first has it."""
    service.put("x", "x=http://10.0.0.8:2380")
    service.put("y", "y=http://10.0.0.9:2380")
    before = service.get("")
    service.put("b2", B)
    service.answers = [None, before]  # the size; who was there a moment ago
    late = Member(service)
    assert late.failure == "discovery: cluster is full"
    assert [name for name, _ in late.result.founders] == ["x", "y", "b"]


def test_a_full_cluster_may_be_unreadable(service):
    for name in "xyz":
        service.put(name, "nonsense")
    late = Member(service)
    assert isinstance(late.result, ClusterIsFull)
    assert late.result.founders == ()


def test_an_id_is_registered_once(service):
    Member(service)
    assert Member(service).failure == "discovery: found duplicate id"
    # It is not seen yet by the member of the service that was asked.
    service.answers = [None, service.answer(200, {"node": {}})]
    assert Member(service).failure == "discovery: found duplicate id"


def test_an_attempt_that_was_cut_short_goes_on(service):
    Member(service).joining.cancel()
    again = Member(service, again=True)
    Member(service, "b2", B)
    Member(service, "c3", C)
    assert again.text == f"{A},{B},{C}"


def test_the_entry_of_an_attempt_before_must_say_the_same(service):
    service.put("a1", B)
    assert Member(service, again=True).failure == "discovery: found duplicate id"


def test_names_are_different(service):
    one = Member(service)
    Member(service, "b2", "a=http://10.0.0.2:2380")
    Member(service, "c3", C)
    assert one.failure == "discovery: found duplicate name"


@pytest.mark.parametrize("value", ["b", "b=", "b=ftp://x:1", "b=http://x", ""])
def test_what_others_registered_must_be_urls(service, value):
    service.put("_config/size", "2")
    service.put("b2", value)
    one = Member(service)
    want = "discovery: found duplicate name" if not value else "discovery: invalid URL"
    assert one.failure.startswith(want)


def test_there_must_be_a_size():
    assert Member(Service(Clock(), None)).failure == "discovery: size key not found"


@pytest.mark.parametrize(
    "size", ["", "three", "0", "-1", "+3", "3.0", "1_0", "101", "9" * 30, "٣", "3 "]
)
def test_the_size_is_a_number_within_bounds(size):
    one = Member(Service(Clock(), size))
    assert one.failure == (
        "discovery: size key is bad: expected a whole number from 1 to 100, got "
        f'"{size.strip()[:200]}"'
    )


def test_a_service_that_cannot_be_reached_is_asked_again_and_again(service, log_lines):
    # etcd's pauses: 2, 4, ..., 256 s, then 256 s each
    service.answers = [Unreachable("no route")] * 10
    one = Member(service)
    pauses = [2, 4, 8, 16, 32, 64, 128, 256, 256, 256]
    for number, seconds in enumerate(pauses, start=1):
        assert len(service.asked) == number
        assert log_lines[-1] == (
            f"discovery service at {URL}: no route; asking again in {seconds} s"
        )
        one.clock.advance(seconds - 0.1)
        assert len(service.asked) == number
        one.clock.advance(0.1)
    assert service.keys["a1"][0] == A


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_service_in_trouble_is_asked_again(service, log_lines, status):
    service.answers = [service.error(300, "Raft Internal Error", status)]
    one = Member(service)
    assert log_lines == [
        (
            f"discovery service at {URL}: HTTP status {status}: 300: Raft Internal Error "
            "(c) [9]; asking again in 2 s"
        )
    ]
    one.clock.advance(2)
    assert "a1" in service.keys


def test_a_registration_whose_answer_was_lost_is_ours(service):
    service.lost = [Unreachable("connection lost")]
    one = Member(service)
    assert "a1" in service.keys
    one.clock.advance(2)
    Member(service, "b2", B)
    Member(service, "c3", C)
    assert one.text == f"{A},{B},{C}"


def test_a_lost_answer_of_a_service_that_lags_is_ours_too(service):
    """The entry is there, but whom we ask about it has not heard of it."""
    service.put("b2", B)
    before = service.get("")
    service.lost = [Unreachable("connection lost")]
    service.answers = [None, None, None, None, before, None, before]
    one = Member(service)
    one.clock.advance(2)
    Member(service, "c3", C)
    one.pass_seconds(AGAIN_SECONDS + WATCH_SECONDS)
    assert one.text == f"{B},{A},{C}"


def test_our_entry_is_waited_for_at_a_service_that_lags(service):
    before = service.get("")
    service.answers = [None, None, None, before]
    one = Member(service)
    assert service.asked[-2:] == [("GET", FOLDER), ("GET", FOLDER)]  # watched, looked
    Member(service, "b2", B)
    Member(service, "c3", C)
    assert one.text == f"{A},{B},{C}"


def test_an_entry_that_somebody_removed_is_not_waited_for(service):
    one = Member(service)
    service.remove("a1")
    assert one.failure == "discovery: the entry of this member (a1) was removed"


def test_somebody_elses_entry_may_go_and_come(service):
    one = Member(service)
    Member(service, "b2", B).joining.cancel()
    service.remove("b2")
    assert one.result is None
    Member(service, "c3", C)
    Member(service, "d4", D)
    assert one.text == f"{A},{C},{D}"


def test_a_watch_without_news_looks_again(service, log_lines):
    one = Member(service)
    asked = len(service.asked)
    one.pass_seconds(WATCH_SECONDS + AGAIN_SECONDS)
    assert asked < len(service.asked) < asked + 5
    assert sum("1 of 3" in line for line in log_lines) == 2
    Member(service, "b2", B)
    Member(service, "c3", C)
    assert one.text == f"{A},{B},{C}"


def test_a_watch_that_ends_at_once_does_not_keep_anybody_busy(service):
    index_cleared = service.error(401, "The event in requested index is cleared", 400)
    service.answers = [None] * 4
    for _ in range(10):
        service.answers += [index_cleared, None, None]
    one = Member(service)
    asked = len(service.asked)
    one.pass_seconds(5 * AGAIN_SECONDS)
    assert len(service.asked) - asked <= 20
    assert one.result is None


def test_a_stop_ends_the_watch_and_nothing_is_asked_any_more(service):
    one = Member(service)
    one.joining.cancel()
    assert isinstance(one.result, CancelledError)
    asked = len(service.asked)
    one.pass_seconds(300)
    assert len(service.asked) == asked


def test_a_stop_ends_the_pause(service):
    service.answers = [Unreachable("no route")]
    one = Member(service)
    one.joining.cancel()
    assert isinstance(one.result, CancelledError)
    assert service.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"node":7}',
        b"\xff" * 500,
        b"[" * 100_000,
        b'{"node":{"nodes":7}}',
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_whoever_answers_something_else_is_no_discovery_service(service, body, at):
    service.answers = [None] * at + [Fetched(200, 4, body)]
    one = Member(service)
    if at == 0 and b"nodes" in body:
        assert one.failure.startswith("discovery: size key is bad")
    else:
        assert one.failure.startswith(
            "discovery: bad discovery endpoint: HTTP status 200"
        )
        assert len(one.failure) < 1500


def test_a_refusal_is_told_as_it_came(service):
    service.answers = [service.error(110, "The request requires user authentication")]
    assert Member(service).failure == (
        "discovery: 110: The request requires user authentication (c) [9]"
    )
    service.answers = [None, service.error(100)]
    assert Member(service).failure == "discovery: token not found"
    service.answers = [None, None, service.error(110, "Insufficient credentials", 401)]
    assert "Insufficient credentials" in Member(service).failure
    service.answers = [Fetched(404, 0, b"404 page not found\n")]
    assert Member(service).failure == (
        'discovery: bad discovery endpoint: HTTP status 404, "404 page not found"'
    )


def test_what_is_no_entry_is_not_counted(service):
    service.put("_config/size", "1")
    nodes = [7, {"key": "x", "dir": True}, {"key": 5, "value": 6, "createdIndex": "x"}]
    odd = service.answer(200, {"node": {"nodes": nodes}})
    service.answers = [None, odd]
    # The third is one: who registers nonsense takes a place all the same.
    assert Member(service).failure == "discovery: cluster is full"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://d/T", "/T/_config/size"),
        ("http://d//a//T/", "/a/T/_config/size"),
        ("http://d/a%2Fb'", "/a%2Fb%27/_config/size"),
    ],
)
def test_the_token_is_a_clean_path(url, path):
    asked = []

    def fetch(method, url, *, form="", seconds):
        asked.append(url)
        return Deferred()

    Deferred.fromCoroutine(Registry(url=url, fetch=fetch).size())
    assert asked == [f"http://d{path}"]


def test_who_only_looks_takes_no_place(service):
    watching = Member(service, "d4", D, look=True)
    Member(service, "a1", A)
    Member(service, "b2", B)
    assert watching.result is None
    Member(service, "c3", C)
    assert watching.text == Member(service, "d4", D, look=True).text == f"{A},{B},{C}"
    assert "d4" not in service.keys


def test_who_only_looks_is_told_what_is_wrong(service):
    service.put("a1", A)
    service.put("a2", A)
    service.put("a3", A)
    looking = Member(service, "d4", D, look=True)
    assert looking.failure == "discovery: found duplicate name"


def test_who_only_looks_asks_again(service):
    service.answers = [Unreachable("no route")]
    looking = Member(service, "d4", D, look=True)
    service.put("_config/size", "1")
    service.put("a1", A)
    looking.clock.advance(2)
    assert looking.text == A


def test_a_service_that_goes_away_while_it_is_watched_is_asked_again(service):
    one = Member(service)
    ((_, watch),) = service.watches
    watch.errback(Unreachable("connection lost"))
    Member(service, "b2", B)
    Member(service, "c3", C)
    assert one.result is None
    one.clock.advance(2)
    assert one.text == f"{A},{B},{C}"
    assert [each for each, _ in service.asked].count("PUT") == 3
