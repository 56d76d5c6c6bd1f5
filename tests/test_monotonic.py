"""Time that does not go back."""

from __future__ import annotations

import os
import time

import pytest
from twisted.internet.selectreactor import SelectReactor

from kvd.monotonic import use_monotonic_clock


class Hand:
    """A clock that is set by hand."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def reactor():
    """A real reactor, neither installed nor run."""
    made = SelectReactor()
    yield made
    made.disconnectAll()
    made.removeAll()
    for end in (made.waker.i, made.waker.o):
        os.close(end)


def heartbeats_after_the_wall_is_set_back(reactor, *, install):
    wall, monotonic = Hand(1_000_000.0), Hand(50.0)
    reactor.seconds = wall
    if install:
        use_monotonic_clock(reactor, monotonic)
    beats = []
    reactor.callLater(0.1, beats.append, "beat")
    wall.now -= 120.0
    monotonic.now += 0.1
    reactor.runUntilCurrent()
    return beats


def test_reactor_clock_is_monotonic(reactor):
    beats = heartbeats_after_the_wall_is_set_back(reactor, install=True)
    assert beats == ["beat"]


def test_without_it_a_wall_clock_set_back_stops_the_heartbeats(reactor):
    """The planted bug: T01 fails when nothing is installed."""
    assert heartbeats_after_the_wall_is_set_back(reactor, install=False) == []


@pytest.mark.parametrize("start", [50.0, 2_000_000.0])
def test_what_is_scheduled_already_keeps_its_remaining_time(reactor, start):
    wall, monotonic = Hand(1_000_000.0), Hand(start)
    reactor.seconds = wall
    fired = []
    for delay in (7, 3, 9, 1, 5, 8, 2):
        reactor.callLater(delay, fired.append, delay)
    reactor.callLater(4, fired.append, "never").cancel()
    reactor.runUntilCurrent()  # moves them from the new ones into the heap
    postponed = reactor.callLater(1, fired.append, 6)
    postponed.delay(5)
    use_monotonic_clock(reactor, monotonic)
    use_monotonic_clock(reactor, monotonic)
    for _ in range(10):
        monotonic.now += 1
        reactor.runUntilCurrent()
    assert fired == [1, 2, 3, 5, 6, 7, 8, 9]
    assert postponed.seconds is monotonic


def test_the_clock_goes_on_while_the_machine_sleeps(reactor, monkeypatch):
    """Others take over meanwhile, so who wakes up must not think that nothing was."""
    now = {time.CLOCK_MONOTONIC: 50.0, time.CLOCK_BOOTTIME: 50.0}
    monkeypatch.setattr("time.clock_gettime", now.__getitem__)
    monkeypatch.setattr("time.monotonic", lambda: now[time.CLOCK_MONOTONIC])
    use_monotonic_clock(reactor)
    told = []
    reactor.callLater(20, told.append, "lost")
    now[time.CLOCK_BOOTTIME] += 3600
    reactor.runUntilCurrent()
    assert told == ["lost"]
