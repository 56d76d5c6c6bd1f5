"""What a bench asks."""

from __future__ import annotations

from collections import Counter
from random import Random

from kvd.kvctl.bench.plan import Ask, Kind, Plan


def plan(kind, *, total=None, keys=3, over=lambda: False):
    return Plan(
        kind,
        prefix="/bench",
        keys=keys,
        size=4,
        total=total,
        random=Random(1),
        over=over,
    )


def drawn(made):
    return list(iter(made.next, None))


def test_every_key_is_made_first_and_only_once():
    made = plan(Kind.GET)
    assert list(iter(made.fill, None)) == [
        Ask("PUT", f"/v2/keys/bench/{number}", b"value=vvvv") for number in range(3)
    ]
    assert made.fill() is None
    made.begin_filling()
    assert len(list(iter(made.fill, None))) == 3


def test_it_asks_so_often_and_no_more():
    asks = drawn(plan(Kind.PUT, total=50))
    assert len(asks) == 50
    assert {each.method for each in asks} == {"PUT"}
    assert {each.target for each in asks} == {f"/v2/keys/bench/{n}" for n in range(3)}


def test_reads_have_no_form_and_quorum_reads_say_so():
    assert set(drawn(plan(Kind.GET, total=9, keys=1))) == {
        Ask("GET", "/v2/keys/bench/0")
    }
    assert set(drawn(plan(Kind.QUORUM_GET, total=9, keys=1))) == {
        Ask("GET", "/v2/keys/bench/0?quorum=true")
    }


def test_a_mixture_is_four_reads_to_a_write():
    methods = Counter(each.method for each in drawn(plan(Kind.MIXED, total=10_000)))
    assert 7_700 < methods["GET"] < 8_300


def test_it_ends_when_the_time_is_up():
    left = [False] * 7
    assert len(drawn(plan(Kind.PUT, over=lambda: not left or left.pop()))) == 7
