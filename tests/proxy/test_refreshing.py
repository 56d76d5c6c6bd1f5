"""Keeping the list of endpoints current."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kvd.errors import PeerError, StorageError
from kvd.proxy.documents import Listed
from kvd.proxy.endpoints import Endpoints
from kvd.proxy.refreshing import Refreshing

PEERS = ("http://p1:2380",)
LISTED = Listed(("http://p1:2380", "http://p2:2380"), ("http://c1:2379",))


class House:
    def __init__(self, interval_seconds=30.0):
        self.clock = Clock()
        self.endpoints = Endpoints(
            clock=self.clock, shuffle=lambda urls: None, failure_wait_seconds=5.0
        )
        self.asked = []
        self.kept = []
        self.question = None
        self.keeping = None
        self.refreshing = Refreshing(
            clock=self.clock,
            endpoints=self.endpoints,
            ask=self.ask,
            keep=self.keep,
            interval_seconds=interval_seconds,
        )

    async def ask(self, peer_urls):
        self.asked.append(peer_urls)
        self.question = Deferred()
        return await self.question

    async def keep(self, peer_urls):
        self.kept.append(peer_urls)
        if self.keeping is not None:
            await self.keeping

    def start(self, kept=()):
        self.first = []
        self.refreshing.start(PEERS, kept=kept).addCallback(self.first.append)
        return self

    def answer(self, listed=LISTED):
        self.question.callback(listed)

    def fail(self):
        self.question.errback(PeerError("refused"))

    def stop(self):
        stopped = []
        self.refreshing.stop().addCallback(stopped.append)
        return stopped


def test_an_answer_gives_endpoints_and_the_next_peers():
    house = House().start()
    assert house.first == []
    house.answer()
    assert house.first == [None]
    assert house.endpoints.available() == LISTED.client_urls
    assert house.kept == [LISTED.peer_urls]
    house.clock.advance(29.9)
    assert house.asked == [PEERS]
    house.clock.advance(0.1)
    assert house.asked == [PEERS, LISTED.peer_urls]
    house.answer()
    assert house.kept == [LISTED.peer_urls]  # they have not changed


def test_who_is_removed_is_not_asked_any_more_and_who_is_new_is():
    house = House().start()
    house.answer()
    house.clock.advance(30)
    house.answer(Listed(("http://p2:2380", "http://p3:2380"), ("http://c3:2379",)))
    assert house.endpoints.available() == ("http://c3:2379",)
    house.clock.advance(30)
    assert house.asked[-1] == ("http://p2:2380", "http://p3:2380")
    assert len(house.kept) == 2


def test_what_was_written_before_is_not_written_again():
    house = House().start(kept=LISTED.peer_urls)
    house.answer()
    assert house.kept == []


def test_as_long_as_there_is_no_endpoint_it_asks_every_second():
    house = House().start()
    house.fail()
    assert house.first == [None]  # whatever came of it
    for times in range(2, 5):
        house.clock.advance(1)
        assert len(house.asked) == times
        house.fail()
    house.clock.advance(1)
    house.answer()
    house.clock.advance(1)
    assert len(house.asked) == 5


def test_a_shorter_interval_is_kept():
    house = House(interval_seconds=2.0).start()
    house.fail()
    house.clock.advance(1.9)
    assert len(house.asked) == 1
    house.clock.advance(0.1)
    assert len(house.asked) == 2


def test_when_nobody_answers_all_stays_as_it_is():
    house = House().start()
    house.answer()
    house.clock.advance(30)
    house.fail()
    assert house.endpoints.available() == LISTED.client_urls
    assert house.refreshing.peer_urls == LISTED.peer_urls
    house.clock.advance(30)
    house.answer(Listed(("http://p9:2380",), ()))  # nobody has told its URLs yet
    assert house.endpoints.available() == LISTED.client_urls
    assert house.refreshing.peer_urls == ("http://p9:2380",)


def test_urls_that_cannot_be_used_are_left_out():
    house = House().start()
    house.answer(
        Listed(("ftp://p1:2380",), ("https://c1:2379", "unix://c", "http://c2:2379"))
    )
    assert set(house.endpoints.available()) == {"https://c1:2379", "http://c2:2379"}
    assert house.refreshing.peer_urls == PEERS
    assert house.kept == []


def test_peers_that_cannot_be_written_down_do_not_stop_it():
    house = House(interval_seconds=1.0)
    house.keeping = Deferred()
    house.start()
    house.answer()
    assert house.first == []
    house.keeping.errback(StorageError("no space"))
    assert house.first == [None]
    assert house.endpoints.available() == LISTED.client_urls
    house.keeping = None
    house.clock.advance(1)
    house.answer()
    assert house.kept == [LISTED.peer_urls] * 2  # tried again


def test_a_bug_is_logged_and_the_next_turn_comes(logged_failures):
    house = House(interval_seconds=1.0).start()
    house.question.errback(ZeroDivisionError())
    assert house.first == [None]
    assert logged_failures.pop().check(ZeroDivisionError)
    house.clock.advance(1)
    assert len(house.asked) == 2


def test_stopping_ends_what_is_under_way():
    house = House().start()
    assert house.stop() == [None]
    assert house.first == [None]
    assert not house.clock.getDelayedCalls()


def test_stopping_between_two_turns_ends_the_waiting():
    house = House().start()
    house.answer()
    assert house.stop() == [None]
    assert not house.clock.getDelayedCalls()


def test_after_a_stop_nothing_is_begun():
    house = House()
    assert house.stop() == [None]
    house.start()
    assert house.first == [None]
    assert house.asked == []
