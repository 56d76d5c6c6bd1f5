"""
Lists, topics and configurations on whole members in virtual time, where a minute of
absence costs nothing: what storms of processes cannot wait for.

``KVD_FOLLOWERS_SEEDS`` is how many courses of events each topic is led through.
"""

from __future__ import annotations

import os
import random

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from kvd.client import Closed, Limits, NoAnswer, Unknown
from kvd.client.recipes import (
    ConfigWatcher,
    Message,
    Missed,
    ServiceRegistry,
    Subscription,
    Topic,
)
from kvd.client.recipes.messages import Retention
from kvd.testing import InMemoryCluster

LIMITS = Limits(silent_seconds=5, request_seconds=3)
RETAIN_SECONDS = 60
SECONDS = 300
SEEDS = range(int(os.environ.get("KVD_FOLLOWERS_SEEDS", "2")))


@pytest.fixture
def cluster():
    with InMemoryCluster(3) as made:
        yield made


def test_a_list_leaves_a_member_that_is_cut_off(cluster):
    """It answers what it knows, and would do so for ever."""
    near, far = cluster.members[:2]
    client = cluster.client(near, far, limits=LIMITS)
    instances = ServiceRegistry(client, ttl=30).instances("web")
    cluster.result_of(instances.start())
    other = ServiceRegistry(cluster.client(*cluster.members[1:]), ttl=30)
    near.cut_off()
    cluster.advance(3)
    registration = cluster.result_of(other.register("web", "w1", "10.0.0.1:80"))
    cluster.advance(1)
    assert (instances.now, instances.age_seconds > 3) == ((), True)
    cluster.advance(10)
    assert [each.id for each in instances.now] == ["w1"]
    cluster.advance(60)
    assert instances.age_seconds < 2 * LIMITS.silent_seconds + LIMITS.request_seconds
    assert registration.is_registered
    cluster.result_of(registration.stop())
    instances.close()


def test_a_list_grows_old_with_the_whole_cluster_and_young_again(cluster):
    client = cluster.client(limits=LIMITS)
    registry = ServiceRegistry(client, ttl=30)
    registration = cluster.result_of(registry.register("web", "w1", "10.0.0.1:80"))
    instances = registry.instances("web")
    cluster.result_of(instances.start())
    for member in cluster.members:
        member.kill()
    cluster.advance(100)
    assert [each.id for each in instances.now] == ["w1"]
    assert instances.age_seconds > 90
    assert not registration.is_registered
    for member in cluster.members:
        member.start()
    cluster.result_of(registration.when_registered())
    cluster.advance(10)
    assert [each.id for each in instances.now] == ["w1"]
    assert instances.age_seconds < 15
    cluster.result_of(registration.stop())
    instances.close()


def test_a_configuration_is_that_of_the_cluster_after_history_is_lost(cluster):
    client = cluster.client(limits=LIMITS)
    told = []
    config = ConfigWatcher(
        client, "/config", changed=lambda settings, _: told.append(settings.index)
    )
    cluster.result_of(config.start())
    cluster.result_of(client.set("/config/a", "1"))
    cluster.settle()
    for member in cluster.members:
        member.cut_off(members=False, clients=True)
    for member in cluster.members[1:]:
        member.heal()
    other = cluster.client(*cluster.members[1:])
    cluster.result_of(other.set("/config/b", "2"))
    cluster.result_of(other.delete("/config/a"))
    cluster.clear_history()
    cluster.advance(60)
    cluster.heal()
    cluster.advance(10)
    assert dict(config) == {"b": "2"}
    assert told == sorted(set(told))
    config.close()


class Said:
    """A topic, and the offsets of what was published in it."""

    def __init__(self, cluster, chance, **retention):
        self.chance = chance
        self.clock = cluster.clock
        self.topics = [
            Topic(cluster.client(limits=LIMITS), "/topic", **retention)
            for _ in range(2)
        ]
        self.at = []
        self.over = False

    async def publish(self):
        """One message; whether it is known that it was."""
        try:
            offset = await self.chance.choice(self.topics).publish("x")
        except (NoAnswer, Unknown):
            return
        self.at.append(offset)

    async def go_on(self):
        """Publish now and then; some pauses are longer than messages are kept."""
        while not self.over:
            await self.publish()
            long = self.chance.random() < 0.05
            seconds = self.chance.uniform(50, 80) if long else self.chance.uniform(0, 3)
            await deferLater(self.clock, seconds)


class Listener:
    """
    One who listens, or does something else for up to so many seconds.

    :param dozes_seconds: 0: never anything else.
    """

    def __init__(self, said, subscription: Subscription, dozes_seconds):
        self.said = said
        self.subscription = subscription
        self.dozes_seconds = dozes_seconds
        self.after = None
        self.heard = []
        self.missed = []

    async def listen(self):
        clock, chance = self.said.clock, self.said.chance
        self.after = await self.subscription.start()
        try:
            while True:
                item = await self.subscription.next()
                match item:
                    case Message():
                        self.heard.append(item.offset)
                    case Missed():
                        self.missed.append(item)
                if self.dozes_seconds and chance.random() < 0.1:
                    await deferLater(clock, chance.uniform(0, self.dozes_seconds))
        except Closed:
            return

    def problems(self):
        heard, reached = self.heard, self.subscription.position
        if heard != sorted(set(heard)):
            yield f"heard {heard}"
        for offset in self.said.at:
            told = offset in heard or any(
                each.after < offset < each.before for each in self.missed
            )
            if self.after < offset <= reached and not told:
                yield f"{offset} was skipped"


def harm(cluster, chance):
    """
    Something that happens to a cluster, and is over after some seconds.

    :return: how many answers will be lost.
    """
    lost = 0
    match chance.choice(["history", "leader", "cut", "answer", "pause", "nothing"]):
        case "history":
            cluster.clear_history()
        case "leader":
            cluster.drop_leader().restart()
        case "cut":
            chance.choice(cluster.members).cut_off(clients=chance.random() < 0.5)
        case "answer":
            cluster.lose_next_answer(method="POST")
            lost = 1
        case "pause":
            chance.choice(cluster.members).pause()
    cluster.advance(chance.uniform(0, 8))
    cluster.heal()
    cluster.advance(chance.uniform(0, 4))
    return lost


def run(cluster, seed, **retention):
    """Some minutes of a topic; those who listen to it."""
    chance = random.Random(seed)
    said = Said(cluster, chance, **retention)
    publishing = Deferred.fromCoroutine(said.go_on())
    awake = Listener(said, said.topics[0].subscribe(), 0)
    dozing = [Listener(said, topic.subscribe(), 150) for topic in said.topics]
    listening = [Deferred.fromCoroutine(each.listen()) for each in (awake, *dozing)]
    lost = 0
    while cluster.seconds < SECONDS:
        lost += harm(cluster, chance)
    cluster.clear_history()
    said.over = True
    cluster.result_of(publishing, seconds=200)
    for _ in range(1 + lost):
        cluster.result_of(said.publish())
    cluster.advance(200)
    for each in (awake, *dozing):
        each.subscription.close()
    for each in listening:
        cluster.result_of(each, seconds=200)
    assert len(said.at) > 20, "hardly anything was said"
    return said, awake, dozing


@pytest.mark.parametrize("seed", SEEDS)
def test_what_runs_out_unheard_is_said_to_be_missed(seed):
    with InMemoryCluster(3, seed=seed) as cluster:
        said, awake, dozing = run(cluster, seed, retain_seconds=RETAIN_SECONDS)
    for each in (awake, *dozing):
        assert list(each.problems()) == []
    # Who was never away for long has missed nothing, and is not told so.
    assert awake.missed == []
    assert max(said.at) in awake.heard
    assert any(each.missed for each in dozing), "this seed proves nothing"


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_one_too_many_is_said_to_be_missed(seed):
    with InMemoryCluster(3, seed=seed) as cluster:
        said, awake, dozing = run(cluster, seed, retain_seconds=None, retain_max=8)
        client = cluster.client()
        retained = cluster.result_of(client.get("/topic", quorum=True)).node.nodes
    for each in (awake, *dozing):
        assert list(each.problems()) == []
    assert 8 <= len(retained) <= 10
    kept = sorted(each.created_index for each in retained)
    # One that came late, and nobody was told of, is one of them, too.
    assert set(kept) >= {each for each in said.at if each >= kept[-8]}


def test_a_member_that_comes_back_does_not_hide_what_ran_out(cluster):
    """What it tells of first is old, though it has only just heard of it."""
    cluster.wait_for_leader()
    near, far = sorted(cluster.members, key=lambda each: not each.is_leader)[:2]
    client = cluster.client(near)
    published = Topic(client, "/topic", retain_seconds=RETAIN_SECONDS)
    listening = Topic(
        cluster.client(far, limits=LIMITS), "/topic", retain_seconds=RETAIN_SECONDS
    ).subscribe(after=0)
    cluster.result_of(published.publish("heard"))
    assert cluster.result_of(listening.next()).text == "heard"
    heard = listening.next()
    cluster.settle()
    far.cut_off()
    cluster.result_of(published.publish("first"))
    cluster.result_of(published.publish("never heard"))
    cluster.advance(RETAIN_SECONDS + 10)
    for number in range(1100):
        client.set("/other", str(number))
        if number % 100 == 0:
            cluster.settle()
    last = cluster.result_of(published.publish("last"))
    cluster.advance(1)
    far.heal()
    items = [cluster.result_of(heard)]
    while items[-1] != Message(last, "last"):
        items.append(cluster.result_of(listening.next()))
    assert any(isinstance(each, Missed) for each in items), items
    listening.close()


def test_a_topic_that_never_says_so_is_found_out(monkeypatch):
    monkeypatch.setattr(Retention, "may_have_taken", lambda *_, **__: False)
    with InMemoryCluster(3, seed=0) as cluster:
        _, _, dozing = run(cluster, 0, retain_seconds=RETAIN_SECONDS)
    assert any("skipped" in said for each in dozing for said in each.problems())
