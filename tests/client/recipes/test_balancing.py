"""Who is asked next: in turn, by load, and not for a while after failures."""

from collections import Counter

import pytest
from twisted.internet.task import Clock

from kvd.client.recipes import Instance, LeastUsed, Outliers, RoundRobin
from kvd.client.recipes.balancing import Balancer


@pytest.fixture
def clock():
    return Clock()


class Service:
    """A list that a test changes."""

    def __init__(self, clock, picker, *ids, **outliers):
        self.now = [Instance(each, f"{each}:80") for each in ids]
        self.balancer = Balancer(lambda: self.now, picker, Outliers(**outliers), clock)

    def pick(self, tried=()):
        load = self.balancer.pick(tried)
        return None if load is None else load.instance.id

    def picks(self, count):
        return "".join(self.pick() for _ in range(count))

    def load(self, name):
        return next(
            each for each in self.balancer._current() if each.instance.id == name
        )

    def ask(self, name):
        load = self.load(name)
        load.begin()
        return load

    def fail(self, name):
        load = self.ask(name)
        load.end()
        load.failed()


def test_round_robin_takes_one_after_the_other(clock):
    assert Service(clock, RoundRobin(), *"abc").picks(7) == "abcabca"


def test_round_robin_goes_on_where_it_was_when_the_list_changes(clock):
    service = Service(clock, RoundRobin(), *"abcd")
    assert service.picks(2) == "ab"
    del service.now[0]
    assert service.picks(2) == "cd"
    service.now.insert(0, Instance("a", "a:80"))
    assert service.picks(2) == "ab"


def test_the_least_used_is_who_has_the_fewest_answers_to_complete(clock):
    service = Service(clock, LeastUsed(), *"abc")
    for name in "aab":
        service.ask(name)
    assert service.picks(2) == "cc"
    service.ask("c")
    assert service.picks(4) == "bcbc"
    service.load("a").end()
    service.load("a").end()
    assert service.picks(2) == "aa"


def test_the_least_used_are_used_alike(clock):
    service = Service(clock, LeastUsed(), *"abc")
    asked = Counter()
    for _ in range(30):
        name = service.pick()
        service.ask(name)
        asked[name] += 1
    assert set(asked.values()) == {10}


def test_one_that_fails_is_left_alone_for_longer_each_time(clock):
    service = Service(
        clock, RoundRobin(), *"ab", failures_max=2, first_seconds=1, most_seconds=3
    )
    service.fail("a")
    assert service.picks(4) == "abab"
    for seconds in (1, 2, 3, 3):
        service.fail("a")
        assert service.picks(2) == "bb"
        clock.advance(seconds - 0.1)
        assert service.picks(2) == "bb"
        clock.advance(0.1)
        assert service.pick() == "a"
    service.load("a").succeeded()
    service.fail("a")
    assert set(service.picks(4)) == {"a", "b"}


def test_one_request_at_a_time_is_tried_on_one_that_failed(clock):
    service = Service(clock, LeastUsed(), *"ab")
    service.fail("a")
    clock.advance(1)
    trial = service.ask("a")
    assert service.picks(2) == "bb"
    trial.succeeded()
    trial.end()
    assert set(service.picks(2)) == {"a", "b"}


def test_a_trial_that_nobody_waited_for_lets_another_one_follow(clock):
    service = Service(clock, LeastUsed(), *"ab")
    service.fail("a")
    clock.advance(1)
    service.ask("a").end()
    assert service.pick() == "a"


def test_many_failures_at_once_count_once(clock):
    service = Service(clock, RoundRobin(), *"ab")
    loads = [service.ask("a") for _ in range(50)]
    for load in loads:
        load.end()
        load.failed()
    clock.advance(1)
    assert "a" in service.picks(2)


def test_when_all_fail_all_are_asked(clock):
    service = Service(clock, RoundRobin(), *"ab")
    service.fail("a")
    service.fail("b")
    assert service.picks(4) == "abab"


def test_who_was_tried_is_not_tried_again(clock):
    service = Service(clock, RoundRobin(), *"ab")
    tried = [service.load("a")]
    assert [service.pick(tried), service.pick(tried)] == ["b", "b"]
    assert service.pick([*tried, service.load("b")]) is None
    assert Service(clock, RoundRobin()).pick() is None


def test_what_is_known_of_one_that_is_gone_is_forgotten(clock):
    service = Service(clock, RoundRobin(), *"ab")
    busy = service.ask("a")
    service.fail("b")
    service.now = []
    assert service.pick() is None
    assert list(service.balancer._loads.values()) == [busy]
    busy.end()
    service.now = [Instance("a", "elsewhere:80"), Instance("b", "b:80")]
    assert service.picks(2) == "ab"
    assert len(service.balancer._loads) == 2


@pytest.mark.parametrize(
    "wrong", [{"failures_max": 0}, {"first_seconds": 0}, {"most_seconds": 0.5}]
)
def test_outliers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="outliers"):
        Outliers(**wrong)


def test_a_great_many_failures_are_no_greater_number(clock):
    assert Outliers().seconds(10**9) == 60
