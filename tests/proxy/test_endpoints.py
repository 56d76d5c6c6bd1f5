"""Which members are tried, in which order, and which are left alone for a while."""

from __future__ import annotations

from twisted.internet.task import Clock

from kvd.proxy.endpoints import Endpoints


def endpoints(clock, shuffle=lambda urls: None):
    return Endpoints(clock=clock, shuffle=shuffle, failure_wait_seconds=5.0)


def test_there_are_none_at_first():
    assert endpoints(Clock()).available() == ()


def test_each_refresh_brings_them_into_another_order():
    def turn(urls):
        urls.reverse()

    made = endpoints(Clock(), shuffle=turn)
    made.replace(["http://b:1", "http://a:1", "http://b:1"])
    assert made.available() == ("http://b:1", "http://a:1")


def test_one_that_failed_is_skipped_for_the_failure_wait():
    clock = Clock()
    made = endpoints(clock)
    made.replace(["http://a:1", "http://b:1"])
    made.failed("http://a:1", "refused")
    assert made.available() == ("http://b:1",)
    clock.advance(4.9)
    made.failed("http://a:1", "again, of a request that was under way")
    assert made.available() == ("http://b:1",)
    clock.advance(0.1)
    assert made.available() == ("http://a:1", "http://b:1")


def test_a_refresh_does_not_let_a_failed_one_back():
    made = endpoints(Clock())
    made.replace(["http://a:1", "http://b:1"])
    made.failed("http://a:1", "refused")
    made.replace(["http://a:1", "http://b:1"])
    assert made.available() == ("http://b:1",)


def test_what_is_gone_is_forgotten_with_its_failure():
    made = endpoints(Clock())
    made.replace(["http://a:1"])
    made.failed("http://a:1", "refused")
    made.replace(["http://b:1"])
    made.failed("http://a:1", "refused")
    made.replace(["http://a:1"])
    assert made.available() == ("http://a:1",)
