"""Password checks: few at a time, and nobody's flood delays the others."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from twisted.internet.defer import CancelledError, Deferred

from kvd.errors import Unavailable
from kvd.http.checks import Checks, Lane


class Bench:
    """Checks whose threads are told when to be done; ``order`` is what they ran."""

    def __init__(self, running_max: int = 1, waiting_max: int = 10) -> None:
        self.order: list[str] = []
        self.running: list[tuple[object, Deferred]] = []
        self.refused: list[str] = []
        self.checks = Checks(
            threads=self, running_max=running_max, waiting_max=waiting_max
        )

    def run(self, call) -> Deferred:
        done: Deferred = Deferred()
        self.running.append((call, done))
        return done

    def ask(self, name: str, address: str, user: str) -> Deferred:
        def call() -> str:
            self.order.append(name)
            return name

        answer = self.checks.run(call, Lane(address, user))
        return answer.addErrback(self._refused, name)

    def _refused(self, failure, name: str) -> None:
        failure.trap(Unavailable, CancelledError)
        self.refused.append(name)

    def finish(self) -> None:
        while self.running:
            call, done = self.running.pop(0)
            done.callback(call())


def test_so_many_run_at_a_time_and_the_rest_waits():
    bench = Bench(running_max=2)
    answers = [bench.ask(str(number), "a", "u") for number in range(5)]
    assert len(bench.running) == 2
    assert len(bench.checks) == 3
    got = []
    for answer in answers:
        answer.addCallback(got.append)
    bench.finish()
    assert got == bench.order == ["0", "1", "2", "3", "4"]
    assert len(bench.checks) == 0


def test_lanes_take_turns():
    bench = Bench()
    bench.ask("first", "z", "z")
    for number in range(3):
        bench.ask(f"flood{number}", "a", "ann")
    bench.ask("other address", "b", "ann")
    bench.ask("other user", "a", "bob")
    bench.finish()
    assert bench.order == [
        "first",
        "flood0",
        "other address",
        "other user",
        "flood1",
        "flood2",
    ]


@pytest.mark.parametrize("lane", [Lane("a", "bob"), Lane("b", "ann")])
def test_who_had_a_wrong_password_comes_behind_all_others(lane):
    """The address and the user, each by itself."""
    bench = Bench()
    bench.checks.judged(Lane("a", "ann"), right=False)
    bench.ask("running", "z", "z")
    for number in range(3):
        bench.ask(f"suspect{number}", *lane)
    bench.ask("one", "c", "carl")
    bench.ask("two", "d", "dora")
    bench.finish()
    assert bench.order[1:3] == ["one", "two"]
    assert bench.order[3:] == ["suspect0", "suspect1", "suspect2"]


def test_a_right_password_clears_its_address_and_user():
    bench = Bench()
    bench.checks.judged(Lane("a", "ann"), right=False)
    bench.checks.judged(Lane("a", "ann"), right=True)
    bench.ask("running", "z", "z")
    bench.ask("ann", "a", "ann")
    bench.ask("other", "b", "bob")
    bench.finish()
    assert bench.order == ["running", "ann", "other"]


def test_suspects_are_forgotten_when_there_are_too_many():
    bench = Bench()
    for number in range(5000):
        bench.checks.judged(Lane(f"a{number}", f"u{number}"), right=False)
    assert len(bench.checks._suspects) == 4096
    assert not bench.checks._suspected(Lane("a0", "u0"))
    assert bench.checks._suspected(Lane("a4999", "u4999"))


def test_when_there_is_no_room_a_suspects_newest_makes_way():
    bench = Bench(waiting_max=3)
    bench.checks.judged(Lane("bad", "x"), right=False)
    bench.ask("running", "z", "z")
    for number in range(4):
        bench.ask(f"guess{number}", "bad", f"u{number}")
    assert bench.refused == ["guess3"]  # no better than those who wait
    bench.ask("good", "b", "bob")
    assert len(bench.refused) == 2
    bench.finish()
    assert bench.order[:2] == ["running", "good"]


def test_when_there_is_no_room_the_address_with_most_makes_way():
    """One that makes up names has many lanes, but one address."""
    bench = Bench(waiting_max=3)
    bench.ask("running", "z", "z")
    for number in range(3):
        bench.ask(f"flood{number}", "a", f"u{number}")
    bench.ask("good", "b", "bob")
    bench.ask("flood3", "a", "u9")
    assert len(bench.refused) == 2
    assert "good" not in bench.refused
    assert "flood3" in bench.refused


def test_without_room_equals_are_refused():
    bench = Bench(waiting_max=1)
    for name in ("running", "first", "second"):
        bench.ask(name, name, name)
    assert bench.refused == ["second"]


def test_a_cancelled_check_that_waits_is_taken_back_and_one_that_runs_is_not():
    bench = Bench()
    running = bench.ask("running", "a", "u")
    waiting = [bench.ask(f"waiting{number}", "a", "u") for number in range(2)]
    waiting[1].cancel()
    running.cancel()
    assert len(bench.checks) == 1
    bench.finish()
    assert bench.order == ["running", "waiting0"]
    assert sorted(bench.refused) == ["running", "waiting1"]


def test_a_call_that_fails_fails_its_asker_and_nobody_else():
    bench = Bench()
    failed = []
    checks = bench.checks
    checks.run(lambda: 1 / 0, Lane("a", "u")).addErrback(failed.append)
    other = bench.ask("other", "b", "v")
    (_, done), bench.running = bench.running[0], []
    done.errback(ZeroDivisionError())
    bench.finish()
    assert failed[0].check(ZeroDivisionError)
    assert other.result == "other"


class Looks(OrderedDict):
    """Counts how often it was asked whether it holds something."""

    asked = 0

    def __contains__(self, key) -> bool:
        self.asked += 1
        return super().__contains__(key)


def test_a_flood_of_suspects_is_refused_without_a_look_at_all_who_wait():
    bench = Bench(waiting_max=100)
    bench.checks.judged(Lane("bad", "x"), right=False)
    bench.ask("running", "z", "z")
    for number in range(100):
        bench.ask(f"guess{number}", "bad", f"u{number}")
    looks = bench.checks._suspects = Looks(bench.checks._suspects)
    bench.ask("one more", "bad", "y")
    assert bench.refused == ["one more"]
    assert looks.asked <= 2


def test_who_is_turned_away_and_asks_again_at_once_finds_no_extra_room():
    bench = Bench(waiting_max=3)
    waiting = []

    def again(name: str) -> None:
        waiting.append(len(bench.checks))
        bench.ask(f"{name} again", "a", "other")
        waiting.append(len(bench.checks))

    bench.ask("running", "z", "z")
    for number in range(3):
        answer = bench.checks.run(str, Lane("a", f"u{number}"))
        answer.addErrback(lambda _, name=f"flood{number}": again(name))
    bench.ask("good", "b", "bob")
    assert waiting == [3, 3]
    assert bench.refused == ["flood0 again"]


def test_nothing_is_kept_of_those_who_waited():
    bench = Bench()
    for number in range(5):
        bench.ask(str(number), f"a{number}", "u")
    bench.finish()
    assert not bench.checks._lanes
    assert not bench.checks._shares
