"""Asking peers, kvd's or etcd's, where all members are."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from kvd.cluster.members import MemberRecord
from kvd.errors import PeerError
from kvd.proxy.asking import ASK_SECONDS, Asking
from kvd.proxy.documents import BYTES_MAX, Listed
from kvd.proxy.upstream import Lost, Unreached
from tests.peer.network import World
from tests.proxy.conftest import FakeUpstream

RECORDS = (
    MemberRecord(1, "one", ("http://m1:2380",), ("http://m1:2379",)),
    MemberRecord(2, "", ("http://m2:2380",), ()),
    MemberRecord(3, "three", ("http://m3:2380",), ("http://m3:2379", "http://x:2379")),
)
URLS = ("http://m1:2380", "http://m2:2380")
ETCDS = (
    b'[{"id":1,"peerURLs":["http://e1:2380"],"name":"e","clientURLs":'
    b'["http://e1:2379"]}]'
)
LISTED = Listed(("http://e1:2380",), ("http://e1:2379",))


class House:
    """Peers that speak AMP, behind them ones that speak HTTP, and one who asks."""

    def __init__(self, records=RECORDS):
        self.world = World().start()
        for member in self.world.members:
            member.records = records
        self.upstream = FakeUpstream()
        self.asking = Asking(
            connect=self.world.network.endpoint,
            clock=self.world.clock,
            upstream=self.upstream,
        )

    def ask(self, urls=URLS):
        self.result = None
        self.question = Deferred.fromCoroutine(self.asking.ask(urls))

        def ended(result):
            self.result = getattr(result, "value", result)

        self.question.addBoth(ended)
        self.world.run(0.01)
        return self

    @property
    def problem(self):
        assert type(self.result) is PeerError
        return str(self.result)


def test_a_kvd_is_asked_by_amp():
    house = House().ask()
    assert house.result == Listed(
        ("http://m1:2380", "http://m2:2380", "http://m3:2380"),
        ("http://m1:2379", "http://m3:2379", "http://x:2379"),
    )
    assert not house.upstream.asked


def test_an_etcd_is_asked_by_http():
    house = House(()).ask()
    asked = house.upstream.last
    assert asked.url == "http://m1:2380"
    assert (asked.question.method, asked.question.target) == (b"GET", b"/members")
    asked.answer(200, ETCDS)
    assert house.result == LISTED


def test_what_worked_is_tried_first_the_next_time():
    house = House(()).ask()
    house.upstream.last.answer(200, ETCDS)
    connections = len(house.world.network.connections)
    house.ask()
    house.upstream.last.answer(200, ETCDS)
    assert house.result == LISTED
    assert len(house.world.network.connections) == connections


def test_an_etcd_that_became_a_kvd_is_found_again():
    house = House(()).ask()
    house.upstream.last.answer(200, ETCDS)
    for member in house.world.members:
        member.records = RECORDS
    house.ask()
    for _ in URLS:
        house.upstream.last.fail(Lost("garbage"))
    house.world.run(0.01)
    assert house.result.client_urls[0] == "http://m1:2379"


def test_when_nobody_knows_it_is_told_what_each_said():
    house = House(()).ask()
    house.upstream.last.fail(Unreached("refused"))
    house.upstream.last.answer(404, b"404 page not found\n")
    assert "http://m1:2380: it does not know the members (yet)" in house.problem
    assert "http://m1:2380/members: refused" in house.problem
    assert "http://m2:2380/members: status 404" in house.problem
    house.ask(())
    assert "nobody to ask" in house.problem


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"nonsense", "cannot be read"),
        (b"{}", "cannot be read"),
        (b"[]", "does not know"),
        (b" " * (BYTES_MAX + 1), "endless"),
    ],
)
def test_what_is_no_list_of_members_is_none(body, said):
    house = House(()).ask(URLS[:1])
    house.upstream.last.answer(200, body)
    assert said in house.problem


def test_an_endless_list_is_cut():
    house = House(()).ask(URLS[:1])
    source = house.upstream.last.answer()
    for _ in range(BYTES_MAX // 65536):
        source.taker.piece(b" " * 65536)
        assert source.said == []
    source.taker.piece(b" ")
    assert source.said == ["drop"]
    assert "endless" in house.problem
    source.taker.ended()


def test_a_list_that_breaks_off_is_none():
    house = House(()).ask(URLS[:1])
    source = house.upstream.last.answer()
    source.taker.piece(b"[")
    source.taker.broken("reset")
    assert "/members: reset" in house.problem


def test_each_has_its_time():
    house = House(()).ask()
    house.upstream.last.answer().taker.piece(b"[")
    house.world.run(ASK_SECONDS - 0.1)
    assert len(house.upstream.asked) == 1
    house.world.run(0.2)
    assert house.upstream.asked[0].source.said == ["drop"]
    assert house.upstream.last.url == URLS[1]
    house.world.run(ASK_SECONDS)
    assert house.upstream.last.cancelled
    assert "no answer within 3 seconds" in house.problem


def test_cancelling_gives_up_at_once():
    house = House(()).ask()
    house.question.cancel()
    assert isinstance(house.result, CancelledError)
    assert house.upstream.last.cancelled
    assert len(house.upstream.asked) == 1
