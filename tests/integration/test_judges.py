"""Those who judge contending processes: they accept what may be, and notice the rest."""

from __future__ import annotations

import pytest

from tests.integration.contention.chronicle import Happened
from tests.integration.contention.judges import (
    judge_barriers,
    judge_counter,
    judge_meetings,
    judge_observers,
    judge_queue,
    judge_turns,
    leaders,
)
from tests.integration.contention.record import Note, Record

TTL = 3


class Told:
    """A record in the making."""

    def __init__(self):
        self.notes = []
        self.killed = {}

    def note(self, who, at, what, **facts):
        self.notes.append(Note(who, at, what, facts))

    def hold(
        self, who, token, begun, over, *, of="lock", why="it was released", **facts
    ):
        self.note(who, begun, "held", of=of, token=token, **facts)
        if over is not None:
            self.note(who, over, "over", of=of, token=token, why=why)

    def stall(self, who, begun, over):
        self.note(who, over - 0.1, "stalled", since=begun)
        self.note(who, over, "awake")

    def kill(self, who, at):
        self.killed[who] = at

    @property
    def record(self):
        return Record(self.notes, self.killed)


@pytest.fixture
def told():
    return Told()


def turns(told):
    return judge_turns(told.record, "lock", TTL)


def test_one_after_the_other_may_be(told):
    told.hold("a", 5, 1.0, 2.0)
    told.hold("b", 7, 2.0, 3.0, why="it could not be kept alive")
    told.hold("c", 9, 3.5, None)
    told.kill("c", 4.0)
    told.hold("a", 11, 4.0, 5.0)
    told.hold("b", 6, 1.5, 2.5, of="another")
    assert turns(told) == []


def test_two_at_once_may_not_be(told):
    told.hold("a", 5, 1.0, 2.0)
    told.hold("b", 7, 1.9, 3.0)
    assert "held it while" in turns(told)[0]


def test_one_who_is_killed_held_it_until_then(told):
    told.hold("a", 5, 1.0, None)
    told.kill("a", 2.0)
    told.hold("b", 7, 1.9, 3.0)
    assert "held it while" in turns(told)[0]


def test_a_later_holder_with_an_older_token_may_not_be(told):
    told.hold("a", 7, 1.0, 2.0)
    told.hold("b", 5, 3.0, 4.0)
    assert "held it while" in turns(told)[0]


def test_one_token_twice_may_not_be(told):
    told.hold("a", 5, 1.0, 2.0)
    told.hold("b", 5, 3.0, 4.0)
    assert "one token" in turns(told)[0]


def test_who_sleeps_holds_it_in_his_dreams(told):
    told.hold("a", 5, 1.0, 9.0, why="it could not be kept alive")
    told.stall("a", 2.0, 9.0)
    told.hold("b", 7, 6.0, 8.0)
    told.hold("c", 8, 8.5, 9.5)
    assert turns(told) == []


def test_who_is_killed_when_he_wakes_up_held_it_in_his_dreams(told):
    told.hold("a", 5, 1.0, None)
    told.note("a", 5.0, "stalled", since=2.0)
    told.kill("a", 5.1)
    told.hold("b", 7, 4.5, 8.0)
    assert turns(told) == []


def test_who_wakes_up_and_goes_on_is_noticed(told):
    told.hold("a", 5, 1.0, 9.5, why="it could not be kept alive")
    told.stall("a", 2.0, 9.0)
    told.hold("b", 7, 6.0, 8.0)
    assert "held it while" in turns(told)[0]


def test_who_sleeps_longer_than_the_key_lives_must_notice(told):
    told.hold("a", 5, 1.0, 7.0)
    told.stall("a", 1.5, 6.0)
    assert "did not notice" in turns(told)[0]


def test_a_hold_that_never_ends_is_noticed(told):
    told.hold("a", 5, 1.0, None)
    assert "never ended" in turns(told)[0]


def event(index, action, name, created=None):
    return Happened(index, action, f"/e/{name}", "v", created or index)


HISTORY = [
    event(3, "create", "3"),
    event(4, "create", "4"),
    event(5, "create", "sub/5"),
    event(6, "delete", "3", 3),
    event(7, "expire", "4", 4),
    event(8, "create", "8"),
]


def test_history_says_who_led():
    assert leaders(HISTORY, "/e") == [0, 3, 4, 0, 8]


@pytest.mark.parametrize("seen", [[], [0], [0, 3, 4, 0, 8], [4, 0], [8]])
def test_an_observer_may_begin_and_end_anywhere(told, seen):
    for at, token in enumerate(seen):
        told.note("a", at, "saw", token=token, name="b")
    assert judge_observers(told.record, HISTORY, "/e") == []


@pytest.mark.parametrize("seen", [[3, 8], [4, 3], [3, 3], [0, 3, 4, 8], [5]])
def test_an_observer_who_misses_one_is_noticed(told, seen):
    for at, token in enumerate(seen):
        told.note("a", at, "saw", token=token, name="b")
    assert judge_observers(told.record, HISTORY, "/e")


def test_an_observer_who_is_told_another_name_is_noticed(told):
    told.hold("a", 3, 1.0, 2.0, of="election")
    told.note("b", 1.5, "saw", token=3, name="a")
    assert judge_observers(told.record, HISTORY, "/e") == []
    told.note("c", 1.5, "saw", token=3, name="b")
    assert "a had 3" in judge_observers(told.record, HISTORY, "/e")[0]


def add(told, who, begun, over=None, number=None, what="added"):
    told.note(who, begun, "adding", of="c")
    if over is not None:
        facts = {} if number is None else {"number": number}
        told.note(who, over, what, of="c", **facts)


@pytest.mark.parametrize("final", [2, 3])
def test_a_doubtful_addition_counts_or_not(told, final):
    add(told, "a", 1, 2, 1)
    add(told, "b", 1, 3, 2)
    add(told, "c", 1, 2, what="who knows")
    add(told, "d", 1, 2, what="not added")
    assert judge_counter(told.record, "c", final) == []


@pytest.mark.parametrize("final", [1, 4])
def test_an_addition_lost_or_made_twice_is_noticed(told, final):
    add(told, "a", 1, 2)
    add(told, "b", 1, 3)
    add(told, "c", 1, 2, what="who knows")
    assert "additions" in judge_counter(told.record, "c", final)[0]


def test_one_number_for_two_is_noticed(told):
    add(told, "a", 1, 2, 1)
    add(told, "b", 1, 3, 1)
    assert "1 for b and a" in judge_counter(told.record, "c", 2)[0]


def test_a_number_that_does_not_rise_is_noticed(told):
    add(told, "a", 1, 2, 2)
    add(told, "b", 3, 4, 1)
    assert "1 for b after 2" in judge_counter(told.record, "c", 2)[0]


def pass_gates(told, *notes):
    for at, (who, what) in enumerate(notes):
        told.note(who, at, what, gate="g")


@pytest.mark.parametrize(
    "notes",
    [
        # Before it is blocked for certain, and after its release was asked for.
        ["a waiting", "g blocking", "a passed"],
        ["a waiting", "g blocked", "a passed"],
        ["g blocked", "g releasing", "a waiting", "a passed"],
        ["g blocked", "a waiting", "g releasing", "a passed"],
        ["g blocked", "a waiting", "g releasing", "g blocked", "a passed"],
    ],
)
def test_one_may_pass(told, notes):
    pass_gates(told, *(note.split() for note in notes))
    assert judge_barriers(told.record) == []


@pytest.mark.parametrize(
    "notes",
    [
        ["g blocked", "a waiting", "a passed"],
        ["g releasing", "g blocked", "a waiting", "a passed", "g releasing"],
    ],
)
def test_passing_what_is_blocked_is_noticed(told, notes):
    pass_gates(told, *(note.split() for note in notes))
    assert "it is blocked" in judge_barriers(told.record)[0]


def test_never_passing_is_noticed_but_of_who_was_killed(told):
    pass_gates(told, ("a", "waiting"), ("b", "waiting"))
    told.kill("b", 5)
    assert judge_barriers(told.record) == ["a never passed g"]


class Worked(Told):
    """A queue in which two items were put and done, one of them in two tries."""

    def __init__(self):
        super().__init__()
        self.failed = {}
        self.history = [
            self.happened(1, "create", "items/1", "0 0 m a"),
            self.happened(2, "create", "items/2", "0 0 m b"),
            self.happened(3, "create", "claims/1"),
            self.happened(4, "create", "claims/2"),
            self.happened(5, "expire", "claims/1"),
            self.happened(6, "create", "claims/1"),
            self.happened(7, "compareAndDelete", "items/1"),
            self.happened(8, "compareAndDelete", "items/2"),
        ]
        for text in "ab":
            self.note("p", 0.0, "putting", text=text)
            self.note("p", 0.1, "put", text=text)
        self.try_item("w", "a", 3, 1.0, 2.0, attempts=1)
        self.kill("w", 2.0)
        self.try_item("v", "a", 6, 3.0, 4.0, attempts=2)
        self.note("v", 3.5, "worked", text="a")
        self.note("v", 4.1, "done", text="a")
        self.try_item("x", "b", 4, 1.5, 2.5, attempts=1)
        self.note("x", 2.0, "worked", text="b")

    def happened(self, index, action, name, value="c"):
        return Happened(index, action, f"/q/{name}", value, index)

    def try_item(self, who, text, token, begun, over, *, attempts):
        self.hold(who, token, begun, over, of=f"item {text}", attempts=attempts)

    def forget(self, what, text):
        self.notes = [
            note
            for note in self.notes
            if (note.what, note.facts.get("text")) != (what, text)
        ]

    def judged(self):
        return judge_queue(self.record, self.history, "/q", self.failed, 3)


def test_a_queue_whose_items_were_done_is_accepted():
    assert Worked().judged() == []


def test_what_is_set_aside_need_not_be_done():
    told = Worked()
    told.forget("worked", "b")
    told.failed["b"] = 3
    assert told.judged() == []


@pytest.mark.parametrize(
    ("breach", "said"),
    [
        (lambda told: told.forget("worked", "a"), "never done"),
        (lambda told: told.forget("worked", "a"), "nobody worked on it"),
        (lambda told: told.forget("putting", "b"), "never put"),
        (
            lambda told: told.try_item("y", "a", 9, 3.9, 5.0, attempts=3),
            "held it while",
        ),
        (lambda told: told.try_item("y", "a", 9, 5.0, 6.0, attempts=3), "came again"),
        (lambda told: told.try_item("y", "b", 9, 5.0, 6.0, attempts=1), "was tried"),
        (lambda told: told.history.pop(2), "order"),
        (lambda told: told.try_item("y", "b", 9, 5.0, 6.0, attempts=4), "was tried"),
        (lambda told: told.failed.update(b=2), "set aside after 2"),
    ],
)
def test_a_queue_that_breaks_its_promise_is_noticed(breach, said):
    told = Worked()
    breach(told)
    assert any(said in problem for problem in told.judged())


def meet(told, who, came, begun, over, left=None, *, number=9, why="it was released"):
    token = 100 * number + ord(who)
    told.note(who, came, "entering")
    told.hold(who, token, begun, over, of="meeting", why=why, round=number)
    if left is not None:
        told.note(who, left, "left", round=number)


def met(told):
    meet(told, "a", 1.0, 3.0, 5.0, 6.0)
    meet(told, "b", 2.9, 3.5, 5.9, 6.1)


def meetings(told):
    return judge_meetings(told.record, 2)


def test_those_who_meet_come_and_leave_together(told):
    met(told)
    meet(told, "a", 7.0, 8.0, 9.0, 12.0, number=10)
    meet(told, "c", 6.0, 8.0, None, number=10)
    told.kill("c", 9.5)
    meet(told, "d", 13.0, 14.0, 15.0, 19.0, number=11)
    meet(told, "e", 13.0, 14.0, 20.0, number=11, why="it could not be kept alive")
    told.stall("e", 14.5, 20.0)
    assert meetings(told) == []


def test_three_are_one_too_many(told):
    met(told)
    meet(told, "c", 2.0, 3.0, 5.0)
    assert "3 met" in meetings(told)[0]


def test_one_who_goes_on_before_the_other_one_came_is_noticed(told):
    meet(told, "a", 1.0, 3.0, 5.0)
    meet(told, "b", 3.1, 3.5, 5.0)
    assert "went on before b" in meetings(told)[0]


def test_one_who_goes_before_the_other_one_left_is_noticed(told):
    meet(told, "a", 1.0, 3.0, 5.0, 5.5)
    meet(told, "b", 2.0, 3.5, 5.9)
    assert "a left" in meetings(told)[0]


def test_notes_are_read_up_to_the_last_whole_line(tmp_path):
    (tmp_path / "w0.0.notes").write_text('["w0.0", 2.5, "begun", {}]\n["w0.0", 3')
    record = Record.read(tmp_path, {})
    assert record.notes == [Note("w0.0", 2.5, "begun", {})]
