"""The simulated network between two members that only write down what they hear."""

from random import Random

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from kvd.errors import StorageError
from kvd.raft.messages import (
    Configuration,
    Heartbeat,
    InstallSnapshot,
    SnapshotMeta,
)
from kvd.testing.clock import MachineClock, Process, Timeline
from kvd.testing.network import Network, SimulatedTransport, encode_and_decode

META = SnapshotMeta(7, 2, Configuration(frozenset((1, 2))))


def url(member_id):
    return f"http://peer-{member_id}:2380"


class Reader:
    def __init__(self, content):
        self.meta = META
        self.size = len(content)
        self._content = content
        self.closed = False

    def read(self, size):
        chunk, self._content = self._content[:size], self._content[size:]
        return succeed(chunk)

    def close(self):
        self.closed = True


class Writer:
    def __init__(self):
        self.content = b""
        self.state = "open"

    def write(self, chunk):
        self.content += chunk
        return succeed(None)

    def commit(self):
        self.state = "committed"
        return succeed(None)

    def abort(self):
        self.state = "aborted"
        return succeed(None)


class End:
    """An endpoint: process, persistence and events in one."""

    def __init__(self, network, member_id):
        self.said = []
        self.refusal = ""
        self.addresses = {url(member_id)}
        self.strangers = False
        self.reader = None
        self.writers = []
        machine = MachineClock(network.timeline, epoch_ns=0)
        self.process = Process(network.timeline, machine, crashed=lambda: None)
        self.persistence = self.events = self
        self.transport = SimulatedTransport(network, member_id, self.process)
        self.transport.owner = self
        network.endpoints[member_id] = self

    def refuses(self, member_id):
        return self.refusal

    def admits(self, member_id):
        return self.strangers or self.transport.knows(member_id)

    def open_snapshot(self):
        if self.reader is None:
            return fail(StorageError("there is none"))
        return succeed(self.reader)

    def receive_snapshot(self, meta):
        self.writers.append(Writer())
        return self.writers[-1]

    def received(self, message):
        self.said.append(message)

    def unreachable(self, member_id):
        self.said.append(("unreachable", member_id))

    def snapshot_sent(self, member_id, *, ok):
        self.said.append(("sent", member_id, ok))

    def removed(self, reason):
        self.said.append(("removed", reason))


class World:
    def __init__(self, seed=1):
        self.timeline = Timeline()
        self.network = Network(self.timeline, Random(seed))
        self.one = End(self.network, 1)
        self.two = End(self.network, 2)
        for end in (self.one, self.two):
            end.transport.set_peers({1: (url(1),), 2: (url(2),)})

    def beat(self, *rounds):
        self.one.transport.send([beat(number) for number in rounds])


def beat(number, to=2):
    return Heartbeat(to=to, sender=1, term=1, commit=0, round=number)


def install():
    meta = SnapshotMeta(3, 1, Configuration())
    return InstallSnapshot(to=2, sender=1, term=2, meta=meta)


@pytest.fixture
def world():
    return World()


def test_messages_arrive_later_and_in_order(world):
    world.beat(*range(20))
    assert world.two.said == []
    world.timeline.run(1)
    assert world.two.said == [beat(number) for number in range(20)]
    assert world.network.counts.delivered == 20


def test_a_cut_is_one_way_and_told_once(world):
    world.network.cut(1, 2)
    assert world.one.transport.connected() == frozenset()
    world.beat(1, 2, 3)
    world.timeline.run(1)
    assert world.two.said == []
    assert world.one.said == [("unreachable", 2)]
    world.two.transport.send([Heartbeat(1, 2, 1, 0, 9)])
    world.timeline.run(2)
    assert world.one.said[1:] == [Heartbeat(1, 2, 1, 0, 9)]
    world.network.heal()
    assert world.one.transport.connected() == {2}


def test_a_cut_takes_what_is_on_its_way(world):
    world.beat(1)
    world.network.cut(1, 2)
    world.timeline.run(1)
    assert world.two.said == []
    assert world.network.counts.cut == 1


def test_messages_to_nobody_and_to_strangers_are_dropped(world):
    world.one.transport.send([beat(1, to=9)])
    world.network.left(2)
    world.beat(1)
    world.timeline.run(1)
    assert world.one.said == [("unreachable", 2)]
    assert world.network.counts.cut == 1


def test_whoever_reaches_a_member_can_be_answered(world):
    newcomer = End(world.network, 3)
    newcomer.transport.set_peers({})
    answer = Heartbeat(1, 3, 1, 0, 1)
    newcomer.transport.send([answer])
    world.one.transport.set_peers({3: (url(3),)})
    newcomer.transport.send([answer])
    world.timeline.run(1)
    assert world.one.said == [], "it lets nobody in whom it does not know"
    newcomer.strangers = True
    newcomer.transport.send([answer])
    world.one.transport.send([beat(2, to=3)])
    world.timeline.run(2)
    assert world.one.said == [answer]
    assert newcomer.said == [beat(2, to=3)]


def test_a_member_is_reached_only_where_it_is(world):
    world.two.addresses = {"http://elsewhere:2380"}
    world.beat(1)
    assert world.one.transport.connected() == frozenset()
    world.timeline.run(1)
    assert world.two.said == [beat(1)], "it has reached us, and is answered"
    world.two.transport.set_peers({1: ("http://wrong:2380",)})
    world.beat(2)
    world.timeline.run(2)
    assert world.two.said == [beat(1)]
    assert world.one.said == [("unreachable", 2)]
    world.one.transport.set_peers({2: ("http://elsewhere:2380",)})
    world.beat(3)
    world.timeline.run(3)
    assert world.two.said == [beat(1), beat(3)]


def test_a_message_to_an_earlier_life_dies_with_it(world):
    world.beat(1)
    world.two.process.end()
    world.network.left(2)
    again = End(world.network, 2)
    world.timeline.run(1)
    assert again.said == []
    assert world.two.said == []


def test_drops_and_repeats_happen_as_often_as_asked(world):
    link = world.network.link(1, 2)
    link.drop = 0.5
    world.beat(*range(200))
    world.timeline.run(1)
    assert 60 < len(world.two.said) < 140
    link.drop, link.repeat = 0.0, 1.0
    world.two.said.clear()
    world.beat(7)
    world.timeline.run(2)
    assert world.two.said == [beat(7), beat(7)]


def test_a_link_that_swaps_reorders(world):
    link = world.network.link(1, 2)
    link.swap, link.jitter = 0.5, 0.1
    world.beat(*range(50))
    world.timeline.run(9)
    rounds = [message.round for message in world.two.said]
    assert sorted(rounds) == list(range(50))
    assert rounds != sorted(rounds)
    assert world.network.counts.reordered > 0


def test_one_who_was_removed_is_told_and_not_heard(world):
    world.two.refusal = "you were removed"
    world.beat(1)
    world.timeline.run(1)
    assert world.two.said == []
    assert world.one.said == [("removed", "you were removed")]


def test_an_observer_and_a_wire_see_each_message(world):
    seen = []
    world.network.observer = seen.append
    world.network.wire = encode_and_decode
    world.beat(5)
    world.timeline.run(1)
    assert seen == world.two.said == [beat(5)]


def test_a_snapshot_is_carried_and_handed_over_last(world):
    content = bytes(range(256)) * 300
    world.one.reader = Reader(content)
    world.one.transport.send([install(), install()])
    world.timeline.run(1)
    (writer,) = world.two.writers
    assert writer.content == content
    assert writer.state == "committed"
    assert world.two.said == [InstallSnapshot(2, 1, 2, META)]
    assert world.one.said == [("sent", 2, True)]
    assert world.one.reader.closed


def test_a_snapshot_breaks_when_the_receiver_ends(world):
    world.one.reader = Reader(bytes(100_000))
    world.network.link(1, 2).seconds = 0.1
    world.one.transport.send([install()])
    world.timeline.run(0.35)
    world.two.process.end()
    world.network.left(2)
    world.timeline.run(9)
    assert world.one.said == [("sent", 2, False)]
    assert world.one.reader.closed


def test_a_snapshot_breaks_when_the_sender_ends(world):
    world.one.reader = Reader(bytes(100_000))
    world.network.link(1, 2).seconds = 0.1
    world.one.transport.send([install()])
    world.timeline.run(0.35)
    world.one.process.end()
    world.network.left(1)
    world.timeline.run(9)
    assert world.two.writers[0].state == "aborted"
    assert world.two.said == []


def test_a_snapshot_breaks_when_the_link_is_cut_and_can_be_sent_again(world):
    world.one.reader = Reader(bytes(100_000))
    world.network.link(1, 2).seconds = 0.1
    world.one.transport.send([install()])
    world.timeline.run(0.35)
    world.network.cut(2, 1)
    world.timeline.run(9)
    assert world.two.writers[0].state == "aborted"
    assert world.one.said == [("sent", 2, False)]
    world.network.heal()
    world.one.reader = Reader(b"again")
    world.one.transport.send([install()])
    world.timeline.run(19)
    assert world.two.writers[1].content == b"again"


def test_a_snapshot_that_breaks_at_its_last_read_is_not_committed(world):
    last = Deferred()
    world.one.reader = Reader(b"")
    world.one.reader.read = lambda size: last
    world.one.transport.send([install()])
    world.timeline.run(1)
    world.two.process.end()
    world.network.left(2)
    last.callback(b"")
    world.timeline.run(2)
    assert world.two.writers[0].state == "open"
    assert world.one.said == [("sent", 2, False)]


def test_without_a_snapshot_the_sender_is_told(world):
    world.one.transport.send([install()])
    world.timeline.run(1)
    assert world.one.said == [("sent", 2, False)]


def test_a_snapshot_to_nobody_is_told_too(world):
    world.network.left(2)
    world.one.transport.send([install()])
    world.timeline.run(1)
    assert world.one.said == [("sent", 2, False)]


def test_a_paused_receiver_makes_a_snapshot_wait_and_no_more(world):
    waiting = Deferred()
    world.one.reader = Reader(b"content")
    world.two.receive_snapshot = lambda meta: writer
    writer = Writer()
    writer.commit = lambda: waiting
    world.one.transport.send([install()])
    world.timeline.run(5)
    assert world.one.said == []
    waiting.callback(None)
    world.timeline.run(6)
    assert world.one.said == [("sent", 2, True)]
