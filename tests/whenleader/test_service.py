"""A service that runs where it is led: a member without sockets, time moved by hand."""

from __future__ import annotations

import os
import socket

import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import globalLogPublisher

from kvd.whenleader.service import AGAIN_SECONDS, TOKEN_VARIABLE, WhenLeader
from kvd.whenleader.settings import Settings
from kvd.whenleader.what import What
from tests.embedding.test_inprocess import Inside

PATH = "/elections/x"


class Work(Service):
    """What is run; it stops when the test says so, if ``slow``."""

    def __init__(self, candidate):
        self.candidate = candidate
        self.token = int(os.environ[TOKEN_VARIABLE])
        self.stopped = None

    def startService(self):
        super().startService()
        if self.candidate.start_problem is not None:
            raise self.candidate.start_problem
        self.candidate.running.append(self)

    def stopService(self):
        super().stopService()
        if self.candidate.stop_problem is not None:
            raise self.candidate.stop_problem
        self.stopped = Deferred()
        if not self.candidate.slow:
            self.end()
        return self.stopped

    def end(self):
        if self in self.candidate.running:
            self.candidate.running.remove(self)
        self.stopped.callback(None)


class Candidate:
    """One process: its guard says when it would have been ended."""

    def __init__(self, world, name, **settings):
        self.world = world
        self.running = []
        self.slow = False
        self.start_problem = None
        self.stop_problem = None
        self.until = None
        chosen = {
            "endpoints": ("http://localhost:80",),
            "election": PATH,
            "name": name,
            "ttl": 20,
            "margin_seconds": 4.0,
            **settings,
        }
        self.settings = Settings(**chosen)
        self.client = world.inside.client(limits=self.settings.limits)
        self.service = WhenLeader(
            reactor=world.inside.clock,
            client=self.client,
            settings=self.settings,
            what=What("work", lambda: Work(self)),
            guard=self,
        )

    def arm(self, seconds):
        self.until = self.world.inside.clock.seconds() + seconds

    def disarm(self):
        self.until = None

    def start(self):
        self.service.startService()
        self.world.run(0.5)
        return self


class World:
    """A member, candidates, and a clock that both go by."""

    def __init__(self):
        self.inside = Inside()
        self.lines = []
        self.cut = False  # the member answers nobody

    def run(self, seconds):
        for _ in range(round(seconds / 0.1)):
            self.inside.clock.advance(0.1)
            if not self.cut:
                self.inside.port.settle()
                self.inside.port.settle()
            self._expire()

    def _expire(self):
        now_ns = self.inside.port.wall_time_ns()
        for body in self.inside.port.v2.due(time_ns=now_ns):
            if not self.cut:
                self.inside.member.propose("v2", body)
                self.inside.member.turn(now_ns=now_ns)

    def said(self, text):
        return [line for line in self.lines if text in line]

    def keys(self):
        found = self.inside.port.v2.get(PATH, recursive=True, sorted=True).node
        return [each.key for each in found.nodes or ()]


@pytest.fixture
def world():
    made = World()

    def observe(event):
        if str(event.get("log_namespace", "")).startswith("kvd.whenleader"):
            made.lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield made
    globalLogPublisher.removeObserver(observe)


def test_only_the_first_one_runs(world):
    first = Candidate(world, "a").start()
    second = Candidate(world, "b").start()
    assert len(first.running) == 1
    assert second.running == []
    world.run(60)
    assert len(first.running) == 1
    assert second.running == []
    assert world.said("a leads")
    assert world.said("leading, with token")


def test_who_has_no_name_is_known_by_host_and_process(world):
    Candidate(world, "").start()
    Candidate(world, "b").start()
    (*_, line) = world.said(" leads")
    assert line == f"{socket.gethostname()}:{os.getpid()} leads"


def test_a_stopped_leader_stops_its_service_before_the_next_one_begins(world):
    first = Candidate(world, "a").start()
    second = Candidate(world, "b").start()
    first.slow = True
    (work,) = first.running
    stopped = first.service.stopService()
    world.run(30)
    assert not stopped.called
    assert second.running == []
    work.end()
    world.run(0.5)
    assert stopped.called
    (next_work,) = second.running
    assert next_work.token > work.token


def test_the_guard_lets_a_service_stop_as_slowly_as_it_likes_while_it_leads(world):
    first = Candidate(world, "a").start()
    first.slow = True
    (work,) = first.running
    first.service.stopService()
    for _ in range(100):
        world.run(0.3)
        assert first.until > world.inside.clock.seconds()
    work.end()
    world.run(0.5)
    assert first.until is None


def test_a_leader_that_cannot_keep_its_key_stops_before_it_runs_out(world):
    first = Candidate(world, "a").start()
    begun = world.inside.clock.seconds()
    world.cut = True
    while first.running:
        world.run(0.1)
    assert world.inside.clock.seconds() - begun <= 16.5
    assert first.until is None
    assert world.said("the leadership is lost: it could not be kept alive")
    world.cut = False
    world.run(30)
    assert len(first.running) == 1, "it stands again"


def test_one_that_does_not_stop_in_time_is_ended_before_another_begins(world):
    first = Candidate(world, "a").start()
    first.slow = True
    second = Candidate(world, "b").start()
    kept = first.client.refresh
    first.client.refresh = lambda *_, **__: Deferred()
    while not second.running:
        ended = first.until
        world.run(0.1)
        assert ended is None or world.inside.clock.seconds() <= 40
    assert first.running, "it still works"
    assert first.until <= world.inside.clock.seconds() - 0.5, "the guard has ended it"
    first.client.refresh = kept


def test_the_guard_ends_a_process_whose_event_loop_stands_still(world):
    first = Candidate(world, "a").start()
    assert world.inside.clock.seconds() < first.until
    assert first.until <= world.inside.clock.seconds() + 3


def test_one_that_stood_still_is_not_given_more_time_for_that(world):
    clock = world.inside.clock
    created = clock.seconds()
    first = Candidate(world, "a").start()
    first.slow = True
    world.cut = True
    world.run(created + 15.8 - clock.seconds())
    assert first.service.running
    assert first.until <= clock.seconds() + 3
    clock.advance(2.9)  # at once: what was due meanwhile comes now
    assert world.said("the leadership is lost: ")
    assert first.until <= created + 19, (
        "a quarter of the margin before the key runs out"
    )


def test_one_whose_key_was_removed_stops_and_stands_again(world):
    first = Candidate(world, "a").start()
    (work,) = first.running
    (key,) = world.keys()
    deleted = world.inside.client().delete(key)
    world.run(8)
    assert deleted.called
    assert world.said("the leadership is lost: its key is gone")
    (again,) = first.running
    assert again is not work
    assert again.token > work.token


def test_who_waits_gives_its_place_up_when_it_stops(world):
    Candidate(world, "a").start()
    second = Candidate(world, "b").start()
    assert len(world.keys()) == 2
    world.cut = True
    stopped = second.service.stopService()
    world.run(1)
    assert not stopped.called
    world.cut = False
    world.run(1)
    assert stopped.called
    assert len(world.keys()) == 1


def test_who_stops_as_it_wins_does_not_begin(world):
    first = Candidate(world, "a")
    held = Deferred()
    first.service._election.campaign = lambda _: held
    first.start()
    first.service._stopping = True

    class Held:
        def release(self):
            world.lines.append("released")
            return Deferred()

    held.callback(Held())
    world.run(1)
    assert first.running == []
    assert world.said("released")


def test_a_service_that_cannot_start_leaves_the_lead_to_others(world):
    first = Candidate(world, "a")
    first.start_problem = CannotListenError("", 80, OSError("in use"))
    first.start()
    assert world.said("cannot start work: Couldn't listen on any:80: in use.")
    assert list(first.service) == []
    second = Candidate(world, "b").start()
    assert len(second.running) == 1
    world.run(AGAIN_SECONDS)
    assert len(world.keys()) == 2, "it stands again"


def test_what_a_service_raises_is_logged(world, logged_failures):
    first = Candidate(world, "a")
    first.start_problem = ZeroDivisionError()
    first.start()
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()
    first.start_problem = None
    world.run(AGAIN_SECONDS + 1)
    (_,) = first.running
    first.stop_problem = ZeroDivisionError()
    stopped = first.service.stopService()
    world.run(1)
    assert stopped.called
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()
    assert world.keys() == []


def test_a_program_that_leaves_instead_of_starting_leaves_the_lead_to_others(world):
    first = Candidate(world, "a")
    first.start_problem = SystemExit("no database")
    first.start()
    assert world.said("cannot start work: SystemExit: no database")
    assert first.until is None
    second = Candidate(world, "b").start()
    assert len(second.running) == 1
    first.start_problem = None
    second.service.stopService()
    world.run(AGAIN_SECONDS + 1)
    assert len(first.running) == 1, "it stood again"


def test_a_bug_ends_a_candidacy_and_not_all_that_follow(world, logged_failures):
    first = Candidate(world, "a")
    leader, first.service._election.leader = first.service._election.leader, lambda: 1
    first.start()
    assert [each.type for each in logged_failures] == [TypeError]
    logged_failures.clear()
    first.service._election.leader = leader
    world.run(AGAIN_SECONDS + 1)
    assert len(first.running) == 1


def test_what_waiting_does_not_help_against_is_said_once(world):
    world.inside.users("ann")
    first = Candidate(world, "a")
    first.client = None
    asks_as = world.inside.client(user="ann", limits=first.settings.limits)
    first.service._client = asks_as
    first.service._election._client = asks_as
    first.start()
    world.run(4 * AGAIN_SECONDS)
    assert len(world.said("cannot campaign: ")) == 1
    assert "nsufficient" in world.said("cannot campaign: ")[0]
    stopped = first.service.stopService()
    world.run(0.5)
    assert stopped.called


def test_a_cluster_that_does_not_answer_is_told_of_once(world):
    world.cut = True
    first = Candidate(world, "a").start()
    world.run(30)
    (line,) = world.said("cannot campaign: ")
    assert "http://localhost:80: no answer within" in line
    world.cut = False
    world.run(AGAIN_SECONDS + 1)
    assert len(first.running) == 1
