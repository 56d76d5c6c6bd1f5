"""Virtual time: what passes, what is finished, and what never ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater

from kvd.client import KeyNotFound, NoAnswer
from kvd.testing import InMemoryCluster, InMemoryMember, StillWaiting, TooManyTurns


def test_it_serves_as_soon_as_it_is_made():
    with InMemoryMember() as member:
        assert member.is_serving
        assert member.is_leader
    with InMemoryCluster(members=5) as cluster:
        assert all(each.is_serving for each in cluster.members)
        assert cluster.leader in cluster.members


def test_time_stands_still_by_itself(member):
    before = member.seconds
    asked = member.client().get("/")

    assert not asked.called
    assert member.seconds == before


def test_a_key_is_gone_when_its_time_to_live_has_passed(member):
    client = member.client()
    member.result_of(client.set("/session", "ann", ttl=30))

    member.advance(29)
    assert member.result_of(client.get("/session")).node.ttl == 1
    member.advance(1)
    with pytest.raises(KeyNotFound):
        member.result_of(client.get("/session"))


def test_watchers_have_heard_of_the_end_when_advance_returns(cluster):
    client = cluster.client()
    cluster.result_of(client.set("/session", "ann", ttl=30))
    watch = client.watch("/session")
    cluster.result_of(watch.start())
    changed = watch.next()

    cluster.advance(30)

    assert cluster.result_of(changed, seconds=0).action == "expire"


def test_settling_answers_what_is_under_way_in_milliseconds(cluster):
    before = cluster.seconds
    asked = cluster.client().set("/a", "1")

    cluster.settle()

    assert asked.result.node.value == "1"
    assert len({each.etcd_index for each in cluster.members}) == 1
    assert cluster.seconds - before < 0.1


def test_settling_lets_no_timer_run(member):
    ran = []
    waiting = member.reactor.callLater(0.05, ran.append, 1)

    member.settle()

    assert not ran
    waiting.cancel()


def test_settling_says_what_does_not_come_to_rest(member):
    def again():
        if not ended:
            client.get("/").addCallback(lambda _: again())

    client, ended = member.client(), []
    again()

    with pytest.raises(StillWaiting, match=r"everything to come to rest.*m1 leads"):
        member.settle(seconds=0.1)
    ended.append(True)


def test_timers_run_at_their_time(member):
    reactor, ran = member.reactor, []
    for seconds in (3, 1, 2):
        reactor.callLater(seconds, ran.append, seconds)

    member.advance(2)
    assert ran == [1, 2]
    member.advance(1)
    assert ran == [1, 2, 3]


def test_a_chain_of_timers_is_not_late(member):
    ran = []

    def again():
        ran.append(member.seconds)
        if len(ran) < 5:
            member.clock.callLater(1, again)

    member.clock.callLater(1, again)
    member.advance(5)

    assert len(ran) == 5


def test_a_looping_call_runs_once_each_interval(member):
    ran = []
    loop = LoopingCall(lambda: ran.append(member.seconds))
    loop.clock = member.clock
    loop.start(0.1, now=False)

    member.advance(100)
    loop.stop()

    assert len(ran) in {1000, 1001, 1002, 1003, 1004}  # what is finished takes a moment
    gaps = [later - sooner for sooner, later in pairwise(ran)]
    assert min(gaps) > 0.09


def test_what_a_timer_raises_comes_out_of_advance(member):
    def fail():
        raise LookupError("of the program")

    member.reactor.callLater(1, fail)

    with pytest.raises(LookupError, match="of the program"):
        member.advance(2)
    member.advance(2)


def test_a_result_is_returned_or_raised(member):
    async def work():
        await deferLater(member.clock, 5)
        return "done"

    assert member.result_of(work()) == "done"
    with pytest.raises(KeyNotFound):
        member.result_of(member.client().get("/none"))


def test_who_waits_in_vain_is_told_for_what(cluster):
    leader = cluster.leader
    client = cluster.client(leader)
    watch = client.watch("/never")

    async def work():
        await watch.start()
        return await watch.next()

    with pytest.raises(StillWaiting) as told:
        cluster.result_of(work(), seconds=5)

    text = str(told.value)
    assert "5 s of virtual time" in text
    assert "work (line" in text
    assert "GET /v2/keys/never?wait=true" in text
    assert f"at {leader.name}, for 5 s" in text
    watch.close()


def test_who_waits_in_vain_is_told_what_is_broken(cluster):
    cluster.fail_next(3, method="GET", key="/k")
    with pytest.raises(NoAnswer):
        cluster.result_of(cluster.client(cluster.members[0]).get("/k"))
    leader = cluster.drop_leader()
    others = [each for each in cluster.members if each is not leader]
    others[0].pause()
    others[1].cut_off(clients=True)
    asked = cluster.client(others[1]).get("/")
    asked.addErrback(lambda failure: failure.trap(CancelledError))

    with pytest.raises(StillWaiting) as told:
        cluster.result_of(Deferred(), seconds=1)

    text = str(told.value)
    assert "the result of a Deferred" in text
    assert "nobody leads" in text
    assert f"{leader.name} is down" in text
    assert f"{others[0].name} is paused" in text
    away = [each.name for each in cluster.members if each is not others[1]]
    cut = f"{others[1].name} is cut off from {' and '.join(away)} and is out of its"
    assert cut in text
    assert f"1 packets between the clients and {others[1].name}" in text
    assert "fail 2 x GET /v2/keys/k" in text
    asked.cancel()


def test_a_program_that_is_told_for_what_it_has_put_off(member):
    async def keep_alive():
        await deferLater(member.clock, 60)

    kept = Deferred.fromCoroutine(keep_alive())
    kept.addErrback(lambda _: None)

    with pytest.raises(
        StillWaiting, match=r"put off: \S*keep_alive \(line \d+\) in 50"
    ):
        member.result_of(Deferred(), seconds=10)
    kept.cancel()


def spin(reactor, seconds):
    reactor.callLater(seconds, spin, reactor, seconds)


@pytest.mark.parametrize("seconds", [0, 1e-7])
def test_an_endless_loop_is_an_error_that_names_it(seconds):
    with InMemoryMember(turns_max=1000) as member:
        spin(member.reactor, seconds)
        with pytest.raises(TooManyTurns, match=r"1000 turns .* x .*\.spin"):
            member.advance(3600)
        for timer in member.reactor.getDelayedCalls():
            timer.cancel()


def test_the_limit_of_turns_is_of_one_second():
    with InMemoryMember(turns_max=100) as member:
        member.advance(60)


def test_time_cannot_be_turned_by_what_it_calls(member):
    member.reactor.callLater(1, member.advance, 1)

    with pytest.raises(RuntimeError, match="passing already"):
        member.advance(1)


def course(seed):
    """Everything that a small story leads to."""
    with InMemoryCluster(seed=seed) as cluster:
        told = [cluster.seconds, cluster.leader.name]
        client = cluster.client()
        cluster.result_of(client.set("/a", "1"))
        cluster.drop_leader()
        cluster.wait_for_leader()
        answer = cluster.result_of(client.set("/b", "2"))
        return [*told, cluster.seconds, cluster.leader.name, answer]


def test_the_same_seed_has_the_same_course():
    assert course(7) == course(7)
    assert course(7) != course(8)


@pytest.mark.parametrize("members", [0, 10])
def test_there_is_no_cluster_of_that_size(members):
    with pytest.raises(ValueError, match="from 1 to 9"):
        InMemoryCluster(members)


def test_nothing_goes_back_in_time(member):
    with pytest.raises(ValueError, match="past"):
        member.advance(-1)
    with pytest.raises(ValueError, match="past"):
        member.reactor.callLater(-1, print)
    with pytest.raises(ValueError, match="a turn"):
        InMemoryMember(turns_max=0)


def test_what_is_closed_does_nothing_any_more():
    member = InMemoryMember()
    member.close()
    member.close()

    for action in (member.settle, member.client, lambda: member.advance(1)):
        with pytest.raises(RuntimeError, match="it is closed"):
            action()
