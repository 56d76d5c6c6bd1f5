"""Clock, signals, collector and exit status of a member's process."""

from __future__ import annotations

import atexit
import gc
import os
import resource
import signal
import sys

import pytest
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, LogPublisher, globalLogPublisher

from kvd.errors import ConfigError
from kvd.logs import Logs, Outputs
from kvd.process import (
    Embedded,
    Limits,
    OwnProcess,
    StallWatchdog,
    allow_descriptors,
)


def test_loop_stall_watchdog():
    clock = Clock()
    watchdog = StallWatchdog(clock=clock, interval_seconds=0.1, limit_seconds=0.25)
    lines = []
    globalLogPublisher.addObserver(lines.append)
    try:
        watchdog.start()
        for step in (0.1, 0.1, 0.3, 0.1, 1.1, 0.1):
            clock.advance(step)
    finally:
        globalLogPublisher.removeObserver(lines.append)
    watchdog.stop()
    watchdog.stop()
    assert watchdog.stalls == 1
    assert watchdog.longest_seconds == pytest.approx(1.0)
    assert sum(watchdog.lag_seconds.counts) == 6  # 1.1 s are one look
    assert watchdog.lag_seconds.total == pytest.approx(1.2)
    (line,) = lines
    assert line["log_level"].name == "warn"
    assert line["milliseconds"] == 1000
    assert clock.getDelayedCalls() == []


def test_who_supervises_is_told_that_clients_are_answered():
    said = []
    OwnProcess(FakeReactor(), tell=said.append).serving()
    assert said == ["READY=1"]
    OwnProcess(FakeReactor()).serving()
    Embedded(said.append).serving()
    assert said == ["READY=1"]


def test_a_supervisor_that_is_gone_is_no_reason_to_stop():
    def gone(words):
        raise FileNotFoundError(2, "no such file", "/run/notify")

    lines = []
    globalLogPublisher.addObserver(lines.append)
    try:
        OwnProcess(FakeReactor(), tell=gone).serving()
    finally:
        globalLogPublisher.removeObserver(lines.append)
    (line,) = lines
    assert line["log_level"] is LogLevel.warn


class FakeReactor:
    """What OwnProcess asks of a reactor."""

    def __init__(self, *, running=True):
        self.running = running
        self.stops = 0
        self.when_running = []

    def callWhenRunning(self, call):
        if self.running:
            call()
        else:
            self.when_running.append(call)

    callFromThread = callWhenRunning
    seconds = staticmethod(lambda: 0.0)

    def getDelayedCalls(self):
        return []

    def stop(self):
        self.stops += 1
        if self.stops > 1:
            raise ReactorNotRunning


@pytest.fixture
def restored():
    """What a process changes for itself is the tests' again afterwards."""
    switch, thresholds = sys.getswitchinterval(), gc.get_threshold()
    observers = list(globalLogPublisher._observers)
    callbacks = list(gc.callbacks)
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    yield
    sys.setswitchinterval(switch)
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    gc.callbacks[:] = callbacks
    for observer in set(globalLogPublisher._observers) - set(observers):
        globalLogPublisher.removeObserver(observer)
    for observer in observers:
        globalLogPublisher.addObserver(observer)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("restored")
def test_sigterm_stops_the_reactor_and_is_not_what_ends_the_process():
    reactor = FakeReactor()
    process = OwnProcess(reactor)
    process.prepare()
    atexit.unregister(process._leave)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    assert reactor.stops == 2
    assert process._status == 0
    assert gc.get_threshold() == (50_000, 20, 100)
    assert sys.getswitchinterval() < 0.001
    gc.collect()
    assert sum(process.gc_pauses[2].counts) > 0


@pytest.mark.usefixtures("restored")
def test_a_member_that_becomes_a_proxy_only_needs_more_descriptors():
    reactor = FakeReactor()
    soft = []
    limits = Limits(get=lambda _: (10, 5000), set=lambda _, both: soft.append(both[0]))
    process = OwnProcess(reactor, connections_max=1000, limits=limits)
    assert process.prepare() is None
    observers = list(globalLogPublisher._observers)
    assert process.prepare(sockets_each=2) is None
    atexit.unregister(process._leave)
    assert soft == [1500, 2500]
    assert globalLogPublisher._observers == observers
    os.kill(os.getpid(), signal.SIGTERM)
    assert reactor.stops == 1


@pytest.mark.usefixtures("restored")
def test_a_log_that_cannot_be_written_is_told_once_all_else_is_prepared():
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    logs = Logs(
        outputs=("/var/log/kvd",),
        available=Outputs(streams={}, open=refuse),
        publisher=LogPublisher(),
    )
    process = OwnProcess(FakeReactor(), logs=logs)
    with pytest.raises(ConfigError, match="cannot write to /var/log/kvd: Permission"):
        process.prepare()
    atexit.unregister(process._leave)
    assert gc.get_threshold() == (50_000, 20, 100)


@pytest.mark.usefixtures("restored")
def test_an_end_before_the_reactor_runs_stops_it_when_it_does(monkeypatch):
    reactor = FakeReactor(running=False)
    process = OwnProcess(reactor)
    process.end(1)
    process.end(0)
    assert reactor.stops == 0
    for call in reactor.when_running:
        call()
    assert reactor.stops == 2
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    process._leave()
    assert left == [1]


def test_a_process_that_ended_well_leaves_as_it_likes(monkeypatch):
    process = OwnProcess(FakeReactor())
    monkeypatch.setattr(os, "_exit", pytest.fail)
    process.end(0)
    process._leave()


@pytest.mark.usefixtures("restored")
def test_what_was_recovered_is_out_of_the_collectors_sight():
    OwnProcess(FakeReactor()).recovered()
    assert gc.get_freeze_count() > 0


class Descriptors:
    """A limit as the kernel keeps it."""

    def __init__(self, soft, hard, *, refusal=None):
        self.now = (soft, hard)
        self.refusal = refusal
        self.limits = Limits(self.get, self.set)

    def get(self, number):
        assert number == resource.RLIMIT_NOFILE
        return self.now

    def set(self, number, limits):
        assert number == resource.RLIMIT_NOFILE
        assert limits != self.now
        if self.refusal is not None:
            raise self.refusal
        self.now = limits


NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ((1024, 4096), (2000, 4096), 2000),
        ((1024, NO_LIMIT), (2000, NO_LIMIT), 2000),
        ((1024, 1500), (1500, 1500), 1500),
        ((1024, 1024), (1024, 1024), 1024),
        # Enough already: never lowered.
        ((2000, 4096), (2000, 4096), 2000),
        ((4096, 4096), (4096, 4096), 2000),
        ((NO_LIMIT, NO_LIMIT), (NO_LIMIT, NO_LIMIT), 2000),
    ],
)
def test_descriptors_are_taken_as_needed_and_allowed(before, after, allowed):
    descriptors = Descriptors(*before)
    assert allow_descriptors(2000, descriptors.limits) == allowed
    assert descriptors.now == after


@pytest.mark.parametrize("refusal", [PermissionError(1, "no"), ValueError("no")])
def test_a_limit_that_cannot_be_raised_stays(refusal):
    descriptors = Descriptors(1024, 4096, refusal=refusal)
    assert allow_descriptors(2000, descriptors.limits) == 1024
    assert descriptors.now == (1024, 4096)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("descriptors", "room", "line"),
    [
        (Descriptors(1024, 10_600), None, None),
        (
            Descriptors(1024, 4096),
            3496,
            (
                "connections-max: 10000 clients need 10600 file descriptors, the process "
                "may have 4096, so there is room for 3496; raise its limit (ulimit -n, "
                "LimitNOFILE=) or set connections-max to 3496 at most"
            ),
        ),
    ],
)
def test_too_few_descriptors_for_the_clients_are_one_line(descriptors, room, line):
    events = []
    globalLogPublisher.addObserver(events.append)
    process = OwnProcess(
        FakeReactor(),
        connections_max=10_000,
        handshakes_max=100,
        limits=descriptors.limits,
    )
    assert process.prepare() == room
    atexit.unregister(process._leave)
    warned = [each for each in events if each["log_level"] is LogLevel.warn]
    assert [each["log_format"].format(**each) for each in warned] == (
        [line] if line else []
    )
    assert descriptors.now[0] == descriptors.now[1]


def test_the_limits_are_the_processs_own():
    assert Limits().get(resource.RLIMIT_NOFILE) == resource.getrlimit(
        resource.RLIMIT_NOFILE
    )
    assert Limits().set is resource.setrlimit


def test_an_embedded_member_leaves_the_process_alone():
    ended = []
    process = Embedded(ended.append)
    before = (sys.getswitchinterval(), gc.get_threshold())
    process.prepare()
    process.recovered()
    process.end(1)
    assert ended == [1]
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


def test_what_is_logged_can_be_changed_while_the_member_runs():
    seen = []
    publisher = LogPublisher(seen.append)
    logs = Logs(publisher=publisher)
    logs.begin()
    process = OwnProcess(FakeReactor(), logs=logs)
    log = Logger(namespace="kvd.x", observer=publisher)
    log.debug("1")
    assert process.log_from("debug")
    log.debug("2")
    assert process.log_from("fatal")
    log.error("3")
    assert [event["log_format"] for event in seen] == ["2"]


def test_the_log_of_a_process_that_is_somebody_elses_is_theirs():
    assert not Embedded(lambda status: None).log_from("debug")
    levels = []
    assert Embedded(lambda status: None, levels.append).log_from("debug")
    assert levels == ["debug"]
    assert Embedded(lambda status: None).gc_pauses == ()
