"""A counter: each addition once, or an honest word that nobody knows."""

from urllib.parse import parse_qs

import pytest

from kvd.client import NoAnswer, Unauthorized, Unknown
from kvd.client.recipes import Counter, NotANumber
from tests.client.cluster import A, Cluster, refusal, result, waiting


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def counter(cluster):
    names = (f"u{number}" for number in range(1, 100))
    return Counter(
        cluster.client(A),
        "/hits",
        remembered_max=3,
        patience_seconds=5,
        unique=lambda: next(names),
    )


def read(cluster, value, index=7):
    """It is read with a quorum, and is this."""
    assert (cluster.last.method, cluster.last.target) == (
        "GET",
        "/v2/keys/hits?quorum=true",
    )
    if value is None:
        cluster.last.answer(404, refusal(100))
        return
    node = {"key": "/hits", "value": value, "createdIndex": 3, "modifiedIndex": index}
    cluster.last.answer(200, {"action": "get", "node": node})


def asked(cluster):
    assert (cluster.last.method, cluster.last.target) == ("PUT", "/v2/keys/hits")
    return {
        name: value for name, [value] in parse_qs(cluster.last.body.decode()).items()
    }


def swapped(cluster, value, prev_index, index=8):
    """It is swapped for this, and that succeeds."""
    assert asked(cluster) == {"value": value, "prevIndex": str(prev_index)}
    node = {"key": "/hits", "value": value, "createdIndex": 3, "modifiedIndex": index}
    cluster.last.answer(200, {"action": "compareAndSwap", "node": node})


def test_the_first_addition_creates_it(cluster, counter):
    adding = counter.add(5)
    read(cluster, None)
    assert asked(cluster) == {"value": "5 1 u1", "prevExist": "false"}
    node = {"key": "/hits", "value": "5 1 u1", "createdIndex": 3, "modifiedIndex": 3}
    cluster.last.answer(201, {"action": "create", "node": node})
    assert result(adding) == 5


def test_an_addition_fires_with_the_number_after_it(cluster, counter):
    adding = counter.add(-2)
    read(cluster, "5 1 a")
    swapped(cluster, "3 2 a u1", 7)
    assert result(adding) == 3


def test_only_the_latest_operations_are_remembered(cluster, counter):
    adding = counter.add()
    read(cluster, "5 9 a b c")
    swapped(cluster, "6 10 b c u1", 7)
    assert result(adding) == 6


def test_a_plain_number_is_where_it_begins(cluster, counter):
    adding = counter.add()
    read(cluster, "41")
    swapped(cluster, "42 1 u1", 7)
    assert result(adding) == 42


def test_one_who_was_overtaken_adds_to_what_there_is_now(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a", index=7)
    cluster.last.answer(412, refusal(101))
    read(cluster, "2 2 a b", index=8)
    swapped(cluster, "3 3 a b u1", 8)
    assert result(adding) == 3


def test_a_creation_that_was_overtaken_is_an_addition(cluster, counter):
    adding = counter.add()
    read(cluster, None)
    cluster.last.answer(412, refusal(105))
    read(cluster, "2 2 a b", index=8)
    swapped(cluster, "3 3 a b u1", 8)
    assert result(adding) == 3


def test_an_addition_whose_answer_was_lost_is_recognized(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a")
    cluster.last.break_off()
    read(cluster, "2 2 a u1", index=8)
    assert result(adding) == 2


def test_one_that_was_not_made_is_sent_again_for_only_one_can_be(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a")
    cluster.last.break_off()
    read(cluster, "1 1 a")
    assert waiting(adding)
    cluster.clock.advance(0.2)
    swapped(cluster, "2 2 a u1", 7)
    assert result(adding) == 2


def test_the_first_of_both_may_have_been_made_after_all(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a")
    cluster.last.break_off()
    read(cluster, "1 1 a")
    cluster.clock.advance(0.2)
    cluster.last.answer(412, refusal(101))
    read(cluster, "2 2 a u1", index=8)
    assert result(adding) == 2


def test_others_may_have_added_since(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a")
    cluster.last.break_off()
    read(cluster, "4 4 u1 x y", index=10)
    read(cluster, "4 4 u1 x y", index=10)
    assert result(adding) == 2, "the number just after it"


def test_one_that_certainly_was_not_made_is_made(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a")
    cluster.last.break_off()
    read(cluster, "3 3 a x y", index=9)
    read(cluster, "3 3 a x y", index=9)
    read(cluster, "3 3 a x y", index=9)
    swapped(cluster, "4 4 x y u1", 9)
    assert result(adding) == 4


def test_when_too_many_others_came_since_nobody_knows(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a")
    cluster.last.break_off()
    read(cluster, "5 5 w x y", index=11)
    read(cluster, "5 5 w x y", index=11)
    with pytest.raises(Unknown):
        result(adding)


def test_when_nobody_tells_who_came_since_nobody_knows(cluster, counter):
    """It may have been made: no answer to a later look says that nothing was."""
    adding = counter.add()
    read(cluster, "1 1 a", index=7)
    cluster.last.break_off()
    read(cluster, "4 3 a u1 b", index=9)
    cluster.clock.advance(5)
    cluster.last.refuse()
    with pytest.raises(Unknown):
        result(adding)


def test_a_refusal_to_look_does_not_say_that_nothing_was_added(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a", index=7)
    cluster.last.break_off()
    cluster.last.answer(401, refusal(110))
    with pytest.raises(Unknown):
        result(adding)


def test_an_operation_that_is_remembered_is_not_done_again(cluster, counter):
    adding = counter.add(10, operation="order-17")
    read(cluster, "12 2 order-17 x")
    assert result(adding) == 12
    assert len(cluster.asked) == 1


def test_an_operation_has_its_own_name(cluster, counter):
    adding = counter.add(10, operation="order-17")
    read(cluster, "2 1 x")
    swapped(cluster, "12 2 x order-17", 7)
    assert result(adding) == 12


@pytest.mark.parametrize("name", ["", "two words", " x", "x\n"])
def test_a_name_that_cannot_be_written_down_is_refused(cluster, counter, name):
    with pytest.raises(ValueError, match="space"):
        counter.add(operation=name)
    assert not cluster.asked


def test_when_nobody_answers_nothing_was_added(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a")
    for _ in range(26):
        assert waiting(adding)
        cluster.last.refuse()
        cluster.clock.advance(0.2)
    with pytest.raises(NoAnswer):
        result(adding)


@pytest.mark.parametrize("answers", [True, False])
def test_when_nobody_answers_any_more_nobody_knows(cluster, counter, answers):
    adding = counter.add()
    read(cluster, "1 1 a")
    cluster.last.break_off()
    while cluster.clock.seconds() < 5 + 0.3 and waiting(adding):
        if cluster.last.method == "GET" and answers:
            read(cluster, "1 1 a")
        elif cluster.last.method == "GET":
            cluster.last.refuse()
        else:
            cluster.last.break_off()
            continue
        cluster.clock.advance(0.2)
    with pytest.raises(Unknown):
        result(adding)


def test_not_sent_after_a_lost_answer_is_not_known_either(cluster, counter):
    adding = counter.add()
    read(cluster, "1 1 a")
    cluster.last.break_off()
    read(cluster, "1 1 a")
    for _ in range(26):
        cluster.clock.advance(0.2)
        cluster.last.outcome.called or cluster.last.refuse()
    with pytest.raises(Unknown):
        result(adding)


def test_its_value_is_read_through_failures(cluster, counter):
    asking = counter.value()
    cluster.last.refuse()
    cluster.clock.advance(0.2)
    read(cluster, "12 2 a b")
    assert result(asking) == 12
    asking = counter.value()
    read(cluster, None)
    assert result(asking) == 0


@pytest.mark.parametrize("value", ["", "many", "1 many", "1.5"])
def test_what_is_no_number_is_left_alone(cluster, counter, value):
    adding = counter.add()
    read(cluster, value)
    with pytest.raises(NotANumber):
        result(adding)
    assert len(cluster.asked) == 1


def test_who_may_not_is_told_so(cluster, counter):
    adding = counter.add()
    read(cluster, "1")
    cluster.last.answer(401, refusal(110))
    with pytest.raises(Unauthorized):
        result(adding)


def test_an_answer_that_no_server_gives_is_not_tried_again(cluster, counter):
    adding = counter.add()
    cluster.last.answer(200, b"hello")
    with pytest.raises(Unknown):
        result(adding)
    adding = counter.add()
    read(cluster, "1")
    cluster.last.answer(200, b"hello")
    with pytest.raises(Unknown):
        result(adding)


def test_one_has_to_be_remembered(cluster):
    with pytest.raises(ValueError, match="remembered"):
        Counter(cluster.client(A), "/hits", remembered_max=0)
