"""Those who judge who follows: they accept what may be, and notice the rest."""

from __future__ import annotations

import pytest

from tests.integration.contention.following_judges import (
    all_heard,
    config_reached,
    converged,
    judge_config,
    judge_durable,
    judge_lists,
    judge_messages,
    judge_nothing_missed,
    last_config,
)
from tests.integration.test_judges import Told

TTL = 3


class Following(Told):
    """A record in the making; what follows is a second later each time."""

    def __init__(self, *alive):
        super().__init__()
        self.now = 0.0
        for who in alive:
            self.tell(who, "begun")

    def tell(self, who, what, **facts):
        self.now += 1
        self.note(who, self.now, what, **facts)

    def list(self, who, *there):
        self.tell(who, "list", of="each", there=list(there))

    def found(self, who, what="found"):
        self.tell(who, what, of="each")

    def say(self, offset, text=None):
        self.tell("s", "saying", of="t", text=text or f"m{offset}")
        self.tell("s", "said", of="t", text=text or f"m{offset}", offset=offset)

    def listen(self, who, after, *offsets, by=""):
        self.tell(who, "listens", of="t", after=after, by=by)
        for each in offsets:
            self.hear(who, each, by=by)

    def hear(self, who, offset, text=None, by=""):
        text = text or f"m{offset}"
        self.tell(who, "heard", of="t", offset=offset, text=text, by=by)

    def miss(self, who, after, before, by=""):
        self.tell(who, "missed", of="t", after=after, before=before, by=by)

    def set(self, key, value, index):
        self.tell("s", "setting", key=key, value=value)
        if index:
            self.tell("s", "set", key=key, value=value, index=index)

    def config(self, who, index, **values):
        self.tell(who, "config", index=index, values=values)

    def lists(self):
        return judge_lists(self.record, "each", TTL)

    def messages(self):
        return judge_messages(self.record, "t")


@pytest.fixture
def told():
    return Following("a", "b")


# Lists


def test_lists_may_grow_and_lose_who_knows_that_it_is_lost(told):
    told.found("a")
    told.list("a", "a")
    told.found("b")
    told.list("a", "a", "b")
    told.list("b", "a", "b")
    told.found("b", "lost")
    told.found("b")
    told.list("a", "a")  # a has heard of it late
    told.list("a", "a", "b")
    assert told.lists() == []


def test_a_list_without_somebody_who_believes_to_be_in_it_may_not_be(told):
    told.found("b")
    told.list("a", "a", "b")
    told.list("a", "a")
    told.list("a", "a", "b")
    told.list("b", "a", "b")
    assert "does not know it" in told.lists()[0]


def test_who_sleeps_or_leaves_or_is_dead_may_be_gone(told):
    told.found("a")
    told.found("b")
    told.list("a", "a", "b", "c", "d")
    told.found("d", "leaves")
    told.list("a", "a", "b", "c")
    told.tell("c", "begun")
    told.found("c")
    told.kill("c", told.now)
    told.list("a", "a", "b")
    told.stall("b", told.now - 1, told.now + 5)
    told.now += 2
    told.list("a", "a")
    assert not any("does not know" in each for each in told.lists())


def test_who_is_dead_for_long_and_still_in_a_list_is_noticed(told):
    told.list("b", "a", "b", "c")
    told.kill("c", told.now)
    told.now += TTL + 11
    told.list("b", "a", "b")
    told.list("a", "a", "b")
    assert told.lists() == []
    told.list("a", "a", "b", "c")
    told.now += TTL + 20
    told.list("a", "a", "b")
    assert "c is dead, and a saw it" in told.lists()[0]


def test_a_list_that_is_told_twice_or_is_wrong_at_the_end_is_noticed(told):
    told.list("a", "a", "b")
    assert not converged(told.record, "each")
    told.list("b", "a", "b")
    assert converged(told.record, "each")
    told.found("a", "leaves")
    told.list("b", "b")
    assert told.lists() == [], "it is right until the first one leaves"
    told.list("b", "b")
    assert "told twice" in told.lists()[0]
    other = Following("a")
    other.list("a", "a", "x")
    assert "the lists" in other.lists()[0]


# Messages


def test_messages_may_be_heard_from_anywhere_on(told):
    for each in (5, 7, 9):
        told.say(each)
    told.tell("s", "saying", of="t", text="who knows")
    told.listen("a", 4, 5, 7, 9)
    told.hear("a", 11, "who knows")
    told.listen("b", 5, 7)
    told.listen("c", 0, 7, 9)
    told.miss("b", 7, 12)
    assert told.messages() == []


@pytest.mark.parametrize(
    ("after", "offsets"), [(4, (5, 9)), (4, (5, 9, 7)), (4, (5, 7, 7, 9)), (0, (5, 9))]
)
def test_skipped_or_repeated_messages_may_not_be(told, after, offsets):
    for each in (5, 7, 9):
        told.say(each)
    told.listen("a", after, *offsets)
    assert "hear" in told.messages()[0]


def test_messages_that_nobody_said_may_not_be(told):
    told.say(5)
    told.listen("a", 4)
    told.hear("a", 5, "m6")
    told.hear("a", 7)
    assert len(told.messages()) == 2


def test_a_message_that_was_skipped_outside_of_what_was_missed_is_noticed(told):
    for each in (5, 7, 9):
        told.say(each)
    told.listen("a", 4)
    told.miss("a", 5, 9)
    told.hear("a", 9)
    assert "did not hear [5]" in told.messages()[0]


def test_where_nothing_is_removed_nothing_is_missed(told):
    told.miss("a", 3, 5)
    told.say(5)
    assert judge_nothing_missed(told.record, "t") == []
    told.miss("a", 5, 9)
    assert len(judge_nothing_missed(told.record, "t")) == 1


def test_all_is_heard_when_everybody_has_reached_the_last(told):
    told.say(5)
    told.say(7)
    told.listen("a", 4, 5, 7)
    told.listen("b", 6)
    told.listen("a", 4, 5, by="n")
    assert not all_heard(told.record, "t", set())
    told.miss("b", 6, 8)
    assert all_heard(told.record, "t", set())
    assert not all_heard(told.record, "t", {"n"})
    told.listen("b", 6, 7, by="n")
    assert all_heard(told.record, "t", {"n"})


def consumed(told, resumed, *, heard=(9,)):
    for each in (5, 7, 9):
        told.say(each)
    told.listen("a", 4, 5, 7, by="n")
    told.tell("a", "finishing", by="n", position=5)
    told.tell("a", "finished", by="n", position=5)
    told.tell("a", "finishing", by="n", position=7)
    told.listen("b", resumed, *heard, by="n")
    return judge_durable(told.record, "t", "n")


def test_a_name_may_go_on_after_what_was_or_may_have_been_done(told):
    assert consumed(told, 7) == []
    assert consumed(Following(), 5, heard=(7, 9)) == []


@pytest.mark.parametrize(
    ("resumed", "said"), [(9, "skips"), (4, "goes back"), (8, "skips")]
)
def test_a_name_that_goes_on_elsewhere_is_noticed(told, resumed, said):
    assert said in consumed(told, resumed)[0]


def test_a_message_that_nobody_with_a_name_heard_is_noticed(told):
    told.say(5)
    told.say(7)
    told.listen("a", 4, 7, by="n")
    assert "never heard 5" in judge_durable(told.record, "t", "n")[0]


# Configurations


def test_values_may_be_those_of_their_index(told):
    told.set("k", "1", 5)
    told.set("k", "2", 0)
    told.set("k", None, 7)
    told.config("a", 4)
    told.config("a", 5, k="1")
    told.config("a", 6, k="2")
    told.config("a", 7)
    told.config("b", 9)
    assert judge_config(told.record) == []
    assert last_config(told.record, "a") == {}


@pytest.mark.parametrize(
    ("index", "values"), [(4, {"k": "1"}), (5, {}), (8, {"k": "1"}), (9, {"x": "1"})]
)
def test_values_of_another_index_may_not_be(told, index, values):
    told.set("k", "1", 5)
    told.set("k", None, 7)
    told.config("a", index, **values)
    assert len(judge_config(told.record)) == 1


def test_an_index_that_goes_back_is_noticed(told):
    told.config("a", 5)
    told.config("b", 4)
    told.config("a", 5)
    assert "went from 5 to 5" in judge_config(told.record)[0]


def test_a_configuration_is_reached_when_everybody_is_past_the_last_write(told):
    told.set("k", "1", 5)
    told.set("k", None, 9)  # it was not there, at whatever index
    told.tell("a", "config reached", index=5)
    assert not config_reached(told.record)
    told.tell("b", "config reached", index=6)
    assert config_reached(told.record)
