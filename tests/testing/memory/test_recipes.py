"""Recipes on virtual time: the point of it all."""

from __future__ import annotations

from twisted.internet.task import deferLater

from kvd.client.recipes import Election, Lock


def test_a_lock_is_kept_as_long_as_it_is_refreshed(member):
    held = member.result_of(Lock(member.client(), "/lock", ttl=10).acquire())

    member.advance(100)

    assert held.is_held
    member.result_of(held.release())


def test_a_lock_is_lost_when_time_passes_without_a_refresh(cluster):
    first, second = cluster.members[:2]
    held = cluster.result_of(Lock(cluster.client(first), "/lock", ttl=10).acquire())
    waiting = Lock(cluster.client(second), "/lock", ttl=10).acquire()
    lost = held.when_lost()
    cluster.settle()

    first.cut_off(clients=True)
    cluster.advance(8)
    assert held.is_held
    assert not waiting.called
    cluster.advance(2)

    assert not held.is_held
    assert "kept alive" in cluster.result_of(lost, seconds=0)
    following = cluster.result_of(waiting)
    assert following.token > held.token
    cluster.result_of(following.release())
    cluster.heal()
    cluster.advance(30)


def test_an_election_moves_on_when_its_leader_is_cut_off(cluster):
    ours, theirs = cluster.members[:2]
    leading = cluster.result_of(
        Election(cluster.client(ours), "/cron", ttl=5).campaign("ours")
    )
    election = Election(cluster.client(theirs), "/cron", ttl=5)
    coming = election.campaign("theirs")
    cluster.settle()

    ours.cut_off(clients=True)
    held = cluster.result_of(coming)

    assert not leading.is_held
    assert cluster.result_of(election.leader()).name == "theirs"
    assert held.token > leading.token
    cluster.result_of(held.release())
    cluster.heal()
    cluster.advance(30)


def test_an_election_lives_through_the_loss_of_the_clusters_leader(cluster):
    election = Election(cluster.client(), "/cron", ttl=30)
    held = cluster.result_of(election.campaign("ours"))

    cluster.drop_leader()
    cluster.advance(60)

    assert held.is_held
    cluster.result_of(held.release())


def test_a_lock_whose_creation_is_unknown_is_found_again(member):
    client = member.client()
    member.lose_next_answer(method="POST")

    held = member.result_of(Lock(client, "/lock").acquire())

    assert len(member.result_of(client.ls("/lock"))) == 1
    member.result_of(held.release())


def test_a_program_that_sleeps_for_long_is_awake_at_once(member):
    client = member.client()

    async def report():
        for _ in range(3):
            await deferLater(member.reactor, 600)
            await client.set("/report", str(member.seconds), ttl=900)

    member.result_of(report(), seconds=3600)
    assert member.seconds > 1800
