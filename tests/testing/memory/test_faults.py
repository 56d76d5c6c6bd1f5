"""Each fault does what it says, as a client sees it."""

from __future__ import annotations

import pytest
from twisted.web.client import Agent

from kvd.client import (
    Client,
    Event,
    KeyNotFound,
    Limits,
    NoAnswer,
    Relisted,
    Unauthorized,
    Unknown,
)
from kvd.testing import InMemoryCluster, InMemoryMember, StillWaiting


def value(where, client, key, **options):
    return where.result_of(client.get(key, **options)).node.value


# -- members ----------------------------------------------------------------------


def test_when_the_leader_is_dropped_another_one_is_elected(cluster):
    client = cluster.client()
    cluster.result_of(client.set("/a", "1"))

    dropped = cluster.drop_leader()
    assert not dropped.is_running
    assert cluster.leader is None
    leader = cluster.wait_for_leader()

    assert leader is not dropped
    assert value(cluster, client, "/a", quorum=True) == "1"


def test_without_a_majority_nobody_is_elected(cluster):
    cluster.drop_leader()
    cluster.drop_leader()

    with pytest.raises(StillWaiting, match="for a leader"):
        cluster.wait_for_leader(seconds=20)


def test_a_member_that_is_cut_off_knows_only_the_past(cluster):
    cut, *others = cluster.members
    everybody, alone = cluster.client(*others), cluster.client(cut)
    before = cluster.result_of(everybody.set("/a", "old"))
    cluster.settle()

    cut.cut_off()
    cluster.wait_for_leader(other_than=cut)
    now = cluster.result_of(everybody.set("/a", "new"))

    stale = cluster.result_of(alone.get("/a"))
    assert stale.node.value == "old"
    assert before.etcd_index <= stale.etcd_index < now.etcd_index
    assert cut.etcd_index < others[0].etcd_index
    with pytest.raises(NoAnswer, match="timed out"):
        cluster.result_of(alone.get("/a", quorum=True))
    with pytest.raises(Unknown):
        cluster.result_of(alone.set("/a", "nobody hears it"))


def test_when_it_is_healed_it_catches_up(cluster):
    leader = cluster.leader
    leader.cut_off()
    other = cluster.wait_for_leader(other_than=leader)
    cluster.result_of(cluster.client(other).set("/a", "new"))

    cluster.heal()
    cluster.advance(2)

    assert value(cluster, cluster.client(leader), "/a", quorum=True) == "new"
    assert not leader.is_leader


def test_two_that_are_cut_off_stay_so_until_both_are_healed(cluster):
    first, second, _ = cluster.members
    first.cut_off()
    second.cut_off()

    first.heal()
    cluster.advance(5)
    with pytest.raises(Unknown):
        cluster.result_of(cluster.client(second).set("/a", "1"))
    second.heal()

    cluster.result_of(cluster.client(second).set("/a", "1"))


def test_a_split_cluster_goes_on_where_the_majority_is():
    with InMemoryCluster(5) as cluster:
        leader = cluster.leader
        others = [each for each in cluster.members if each is not leader]
        fewer, more = [leader, others[0]], others[1:]

        cluster.split(*fewer)
        assert cluster.wait_for_leader(other_than=leader) in more
        cluster.result_of(cluster.client(*more).set("/a", "1"))
        with pytest.raises(Unknown):
            cluster.result_of(cluster.client(*fewer).set("/a", "2"))

        cluster.heal()
        cluster.advance(2)
        assert value(cluster, cluster.client(*fewer), "/a", quorum=True) == "1"


def test_a_member_out_of_reach_is_silent_and_the_next_one_is_asked(cluster):
    out, other, _ = cluster.members
    client = cluster.client(out, other)
    assert cluster.result_of(client.get("/")).endpoint == out.url
    out.cut_off(members=False, clients=True)
    before = cluster.seconds

    assert cluster.result_of(client.get("/")).endpoint == other.url
    assert cluster.seconds - before > 9  # the connection was there, and silent

    with pytest.raises(NoAnswer, match="timeout"):
        cluster.result_of(cluster.client(out).get("/"))


def test_what_was_sent_to_a_member_out_of_reach_arrives_when_it_is_healed(member):
    client = member.client()
    member.result_of(client.get("/"))
    member.cut_off(clients=True)
    written = client.set("/a", "1")
    member.advance(3)
    assert not written.called

    member.heal()

    assert member.result_of(written, seconds=0.1).node.value == "1"


@pytest.mark.parametrize("how", ["kill", "power_cut", "stop"])
def test_a_member_keeps_its_data(member, how):
    client = member.client()
    member.result_of(client.set("/a", "1"))

    getattr(member, how)()
    assert not member.is_running
    with pytest.raises(NoAnswer, match="refused"):
        member.result_of(client.get("/a"))
    member.start()
    member.wait_until_serving()

    assert value(member, client, "/a") == "1"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_restart_breaks_connections_and_watches_live_through_it(member, how):
    client = member.client()
    watch = client.watch("/a")
    member.result_of(watch.start())
    changed = watch.next()
    member.settle()

    getattr(member, how)()
    member.restart()
    member.result_of(client.set("/a", "1"))

    assert member.result_of(changed).node.value == "1"


def test_who_stops_hands_leadership_over_and_answers_what_is_under_way(cluster):
    leader = cluster.leader
    written = cluster.client(leader).set("/a", "1")
    leader.stop()

    assert not leader.is_running
    assert cluster.leader not in {None, leader}
    assert cluster.result_of(written).node.value == "1"


def test_a_dead_member_is_said_to_be_down(member):
    member.kill()

    for action in (member.pause, member.resume, lambda: member.etcd_index):
        with pytest.raises(RuntimeError, match="m1 is down"):
            action()
    assert not member.is_leader
    assert not member.is_serving
    member.stop()
    assert "m1" in repr(member)


def test_a_member_that_is_paused_does_nothing_and_goes_on_afterwards(member):
    client = member.client()
    member.pause()
    written = client.set("/a", "1")
    member.advance(1)
    assert not written.called

    member.resume()

    assert member.result_of(written).node.value == "1"


def test_a_paused_leader_is_replaced(cluster):
    leader = cluster.leader
    leader.pause()

    assert cluster.wait_for_leader(other_than=leader) is not leader
    cluster.heal()
    cluster.advance(2)
    assert not leader.is_leader


def test_a_slow_disk_makes_writes_slow_and_reads_not(member):
    client = member.client()
    member.slow_disk(3.0)
    before = member.seconds

    member.result_of(client.set("/a", "1"))
    after = member.seconds
    member.result_of(client.get("/a"))

    assert after - before > 1
    assert member.seconds - after < 0.1
    with pytest.raises(ValueError, match="past"):
        member.slow_disk(-1)


def test_when_history_is_cleared_a_watch_is_told_what_is_there(cluster):
    client = cluster.client()
    first = cluster.result_of(client.set("/a", "1"))
    cluster.result_of(client.set("/a", "2"))
    watch = client.watch("/a", after_index=first.etcd_index)

    cluster.clear_history()

    change = cluster.result_of(watch.next())
    assert isinstance(change, Relisted)
    assert change.node.value == "2"
    following = watch.next()
    cluster.settle()
    cluster.result_of(client.set("/a", "3"))
    event = cluster.result_of(following)
    assert isinstance(event, Event)
    assert event.node.value == "3"


def test_history_is_cleared_on_those_that_are_there(cluster):
    cluster.drop_leader()
    cluster.clear_history()


# -- requests ---------------------------------------------------------------------


def test_a_failed_request_has_done_nothing_but_who_asked_cannot_know(member):
    client = member.client()
    member.fail_next()

    with pytest.raises(Unknown, match=r"status 500: .*planned by the test"):
        member.result_of(client.set("/a", "1"))
    with pytest.raises(KeyNotFound):
        member.result_of(client.get("/a"))


def test_a_failed_read_is_tried_elsewhere(cluster):
    client = cluster.client()
    cluster.fail_next(2, status=503)
    assert cluster.result_of(client.get("/")).node.dir

    cluster.fail_next(3)
    with pytest.raises(NoAnswer):
        cluster.result_of(client.get("/"))


def test_a_lost_answer_leaves_a_write_done_and_unknown(member):
    client = member.client()
    member.lose_next_answer()

    with pytest.raises(Unknown):
        member.result_of(client.set("/a", "1"))
    assert value(member, client, "/a") == "1"


def test_a_lost_request_leaves_it_undone_and_unknown(member):
    client = member.client()
    member.lose_next_request()

    with pytest.raises(Unknown):
        member.result_of(client.set("/a", "1"))
    with pytest.raises(KeyNotFound):
        member.result_of(client.get("/a"))


def test_lost_reads_are_asked_again(member):
    client = member.client()
    member.lose_next_answer(method="GET")
    with pytest.raises(NoAnswer):
        member.result_of(client.get("/"))
    member.lose_next_answer(method="GET")
    with pytest.raises(NoAnswer):
        member.result_of(client.get("/", quorum=True))


def test_a_watch_whose_answer_is_lost_misses_nothing(member):
    client = member.client()
    watch = client.watch("/a")
    member.result_of(watch.start())
    member.lose_next_answer(key="/a")
    changed = watch.next()
    member.settle()

    member.result_of(client.set("/b", "1"))
    member.result_of(client.set("/a", "1"))

    assert member.result_of(changed).node.value == "1"


def test_a_fault_is_for_the_requests_that_it_is_for(cluster):
    first, second, _ = cluster.members
    first.fail_next(method="PUT", key="/a/")

    cluster.result_of(cluster.client(second).set("/a", "1"))
    client = cluster.client(first)
    cluster.result_of(client.set("/b", "1"))
    cluster.result_of(client.get("/a"))
    with pytest.raises(Unknown):
        cluster.result_of(client.set("/a", "2"))
    cluster.result_of(client.set("/a", "3"))


def test_a_delayed_request_is_taken_up_later(member):
    client = member.client()
    member.delay_next(4.0)
    before = member.seconds

    member.result_of(client.set("/a", "1"))
    assert 4 < member.seconds - before < 4.5
    member.delay_next(4.0)
    assert value(member, client, "/a") == "1"


def test_a_delayed_watch_hears_what_it_waits_for(member):
    client = member.client()
    watch = client.watch("/a")
    member.result_of(watch.start())
    member.delay_next(1.0, method="GET", key="/a")
    changed = watch.next()
    member.advance(2)

    member.result_of(client.set("/a", "1"))
    assert member.result_of(changed).node.value == "1"


def test_a_delayed_request_whose_sender_has_gone_is_not_carried_out(member):
    client = member.client(limits=Limits(request_seconds=1.0))
    member.delay_next(4.0)

    with pytest.raises(Unknown, match="no answer within 1 s"):
        member.result_of(client.set("/a", "1"))
    member.advance(10)
    with pytest.raises(KeyNotFound):
        member.result_of(client.get("/a"))


def test_faults_that_cannot_be_are_refused(member):
    with pytest.raises(ValueError, match="not the status"):
        member.fail_next(status=404)
    with pytest.raises(ValueError, match="are none"):
        member.fail_next(0)
    with pytest.raises(ValueError, match="past"):
        member.delay_next(-1.0)


def test_faults_are_limited(member, monkeypatch):
    monkeypatch.setattr("kvd.testing.memory.plans.PLANNED_MAX", 3)
    for _ in range(3):
        member.fail_next()

    with pytest.raises(ValueError, match="3 faults"):
        member.fail_next()
    for _ in range(3):
        with pytest.raises(NoAnswer):
            member.result_of(member.client().get("/"))


# -- the rest of a member is there --------------------------------------------------


def test_users_and_passwords_work(member):
    client = member.client()
    member.result_of(client.auth.create_user("root", "secret"))
    member.result_of(client.auth.enable())
    root = member.client(auth=("root", "secret"))
    assert member.result_of(root.auth.enabled())
    wrong = member.client(auth=("root", "wrong"))
    with pytest.raises(Unauthorized):
        member.result_of(wrong.set("/a", "1"))


def test_the_members_are_discovered(cluster):
    client = cluster.client(cluster.members[0], sync_seconds=60)
    cluster.result_of(client.get("/"))

    assert sorted(client.endpoints) == sorted(cluster.endpoints)
    version = cluster.result_of(client.version())
    assert version.cluster == "3.4.0"
    assert cluster.result_of(client.health())
    assert cluster.result_of(client.stats())["name"] == "m1"


@pytest.mark.parametrize("page", ["metrics", "debug/vars", "v2/stats/store", "health"])
def test_the_pages_beside_the_api_are_there(member, page):
    agent = Agent(member.reactor)
    url = f"{member.url}/{page}".encode()

    assert member.result_of(agent.request(b"GET", url)).code == 200
    member.settle()


def test_a_client_of_the_programs_own_works_the_same(member):
    client = Client(member.reactor, [member.url])
    member.result_of(client.set("/a", "1"))
    member.result_of(client.close())


def test_clients_are_limited(member, monkeypatch):
    monkeypatch.setattr("kvd.testing.memory.cluster.CLIENTS_MAX", 2)
    member.client()
    member.client()

    with pytest.raises(RuntimeError, match="2 clients"):
        member.client()


def test_two_worlds_have_nothing_in_common():
    with InMemoryMember() as one, InMemoryCluster() as other:
        one.result_of(one.client().set("/a", "1"))
        with pytest.raises(KeyNotFound):
            other.result_of(other.client().get("/a"))
