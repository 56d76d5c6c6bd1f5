"""Messages between members: order, bounds, loss, silence, moving."""

import itertools

import pytest
from twisted.internet.defer import fail

from kvd.peer.commands import PIECE_BYTES_MAX, Batch, Ping, batch_box
from kvd.peer.outflow import Outflow
from kvd.peer.reception import Reception
from kvd.peer.settings import PeerSettings
from kvd.raft.messages import AppendEntries, Entry, EntryKind, Heartbeat, RequestVote
from tests.peer.network import BUFFER_BYTES, Member, World


def heartbeat(number, to=2, sender=1, term=1):
    return Heartbeat(to, sender, term, 0, number)


def append(data, index=1, to=2, sender=1, term=1):
    entry = Entry(index, term, EntryKind.NORMAL, data)
    return AppendEntries(to, sender, term, index - 1, term, (entry,), 0)


def test_members_connect_and_exchange_messages_both_ways():
    world = World(3).start()
    one, two, three = world.members
    assert one.transport.connected() == {2, 3}
    assert two.transport.connected() == {1, 3}
    vote = RequestVote(2, 1, 5, 10, 4, True, False)
    one.transport.send([vote, heartbeat(1, to=3)])
    two.transport.send([heartbeat(2, to=1, sender=2)])
    assert two.messages == []
    world.run(0)
    world.run(0.001)
    assert two.messages == [vote]
    assert three.messages == [heartbeat(1, to=3)]
    assert one.messages == [heartbeat(2, to=1, sender=2)]


def test_what_goes_to_and_comes_from_each_member_is_counted():
    world = World(3).start()
    one, two, three = world.members
    one.transport.send([append(b"x" * 1000), append(b"", to=3)])
    world.run(1.0)  # and a ping each way
    told = one.transport.peers()
    assert [each.member_id for each in told] == [2, 3]
    assert all(each.connected for each in told)
    assert 1000 < told[0].counts.sent_bytes < 1200
    assert 0 < told[1].counts.sent_bytes < 200
    assert sum(told[0].counts.round_trip_seconds.counts) > 0
    (heard, _) = two.transport.peers()
    assert heard.received_bytes > 1000
    (client, server) = world.streams(one, two)[0]
    server.reading = False
    one.transport.send([append(bytes(1 << 20))])
    one.transport.send([heartbeat(1, to=9)])  # nobody: no drop of ours
    world.run(0.01)
    waits = one.transport.peers()[0].waiting_bytes
    assert (1 << 20) - 4 * BUFFER_BYTES < waits < 1 << 20
    urgent = one.transport.peers()[0].counts.sent_bytes
    one.transport.send([heartbeat(2)])
    assert one.transport.peers()[0].counts.sent_bytes > urgent
    client.protocol.drop("a cut")
    world.streams(two, one)[0][0].protocol.drop("the way back, too")
    world.run(0.001)
    one.transport.send([heartbeat(3)])
    counts = one.transport.peers()[0].counts
    assert (counts.disconnections, counts.dropped) == (1, 1)
    # What came on a connection that has ended is not forgotten, until its member is.
    before = two.transport.peers()[0].received_bytes
    world.run(2)
    assert two.transport.peers()[0].received_bytes > before > 1000
    two.knows(two, three)
    two.knows(one, two, three)
    world.run(0.001)
    assert two.transport.peers()[0].received_bytes < 1000


def test_messages_of_one_turn_travel_in_one_box():
    world = World().start()
    one, two = world.members
    (client, _server) = world.streams(one, two)[0]
    before = len(client.written)
    for number in range(50):
        one.transport.send([heartbeat(number)])
    world.run(0.01)
    assert [each.round for each in two.messages] == list(range(50))
    boxes = bytes(client.written[before:])
    assert boxes.count(b"\0\x05Batch") == 1


def test_the_box_made_directly_is_the_box_that_amp_makes():
    piece = bytes(range(256)) * 3
    box = Batch.makeArguments({"piece": piece}, None)
    box[b"_command"] = b"Batch"
    assert batch_box(piece) == box.serialize()
    assert batch_box(memoryview(piece)) == box.serialize()


def test_append_and_snapshot_over_64k_are_chunked():
    # P01; the snapshot half is in test_snapshots.py.
    world = World().start()
    one, two = world.members
    value = bytes(range(256)) * (9 * 4096)
    assert len(value) == 9 << 20
    message = append(value)
    one.transport.send([heartbeat(1), message, heartbeat(2)])
    world.run(0.1)
    assert two.messages == [heartbeat(1), message, heartbeat(2)]


def test_a_piece_over_the_bound_of_amp_cannot_be_made():
    # The mutant of P01: without splitting, the length does not fit its two bytes.
    world = World().start()
    one, two = world.members
    assert PIECE_BYTES_MAX < 65_536
    with pytest.raises(Exception, match="format requires"):
        batch_box(bytes(65_536))
    one.transport.send([append(bytes(70_000))])
    world.run(0.01)
    assert len(two.messages) == 1


def test_the_transport_buffer_never_holds_more_than_a_piece_over_its_limit():
    world = World().start()
    one, two = world.members
    one.transport.send([append(bytes(9 << 20))])
    world.run(0.1)
    assert len(two.messages) == 1
    (client, _server) = world.streams(one, two)[0]
    assert client.buffer_max_seen <= BUFFER_BYTES + PIECE_BYTES_MAX + 100


def test_two_connections_one_peer_keep_order():
    # P05: the second connection takes the place of the first, whose late bytes count
    # for nothing any more.
    world = World().start()
    one, two = world.members
    one.transport.send([heartbeat(1)])
    world.run(0.01)
    (client, server) = world.streams(one, two)[0]
    client.cut = server.cut = True  # what follows is stuck in the network
    one.transport.send([heartbeat(2), heartbeat(3)])
    world.run(0.01)
    stuck = bytes(client.buffer)
    assert stuck
    client.protocol.drop("the dialler gave it up")
    world.run(1)
    assert len(world.streams(one, two)) == 2
    one.transport.send([heartbeat(4)])
    world.run(0.01)
    assert server.lost
    server.protocol.dataReceived(stuck)  # arrives after all
    one.transport.send([heartbeat(5)])
    world.run(0.01)
    assert [each.round for each in two.messages] == [1, 4, 5]


def test_two_connections_one_peer_would_reorder_without_replacement(monkeypatch):
    # The mutant of P05: a reception that leaves the old connection alone.
    def welcomed(self, connection):
        self._strangers.pop(connection, None)
        self._peers[connection.member_id].hurry()

    monkeypatch.setattr(Reception, "welcomed", welcomed)
    with pytest.raises(AssertionError):
        test_two_connections_one_peer_keep_order()


def test_what_waited_for_a_lost_connection_is_not_replayed_on_the_next():
    world = World().start()
    one, two = world.members
    (_client, server) = world.streams(one, two)[0]
    server.reading = False
    big = [append(bytes(100_000), index=each) for each in range(1, 6)]
    one.transport.send(big)
    world.run(0.01)
    server.abortConnection()
    world.run(1)
    assert one.transport.connected() == {2}
    one.transport.send([heartbeat(9)])
    world.run(0.01)
    assert two.messages == [heartbeat(9)]
    assert one.events.unreachable_ids == [2]


def test_half_open_peer_detected():
    # P06: no end and no reset arrives; pings stay without an answer.
    settings = PeerSettings(ping_seconds=0.1, silent_pings_max=3)
    world = World(settings=settings).start()
    one, two = world.members
    world.run(5)
    assert one.transport.connected() == {2}
    assert len(world.network.connections) == 2
    for _, client, server in world.network.connections:
        client.cut = server.cut = True
    del world.network.listening[one.url], world.network.listening[two.url]
    world.run(0.25)
    assert one.transport.connected() == {2}
    world.run(0.25)
    assert one.transport.connected() == frozenset()
    assert two.transport.connected() == frozenset()
    assert one.events.unreachable_ids == [2]
    world.run(0.2)  # the accepting sides count one ping more
    assert not one.transport._reception._accepted
    assert not two.transport._reception._accepted


def test_a_pause_of_our_own_process_is_not_silence_of_the_other():
    world = World().start()
    one, _two = world.members
    world.clock.advance(60)  # one leap: every timer is late, no byte was read
    world.run(3)
    assert one.transport.connected() == {2}
    assert len(world.network.connections) == 2


def test_a_long_batch_on_a_slow_line_is_not_silence():
    settings = PeerSettings(ping_seconds=0.1, silent_pings_max=3)
    world = World(settings=settings).start()
    one, two = world.members
    (_client, server) = world.streams(one, two)[0]
    one.transport.send([append(bytes(9 << 20))])
    for _ in range(80):  # at most 256 KiB each 0.2 s: pings wait behind it
        for _ in range(4):
            server.other._move()
        server.reading = False
        world.run(0.2)
        server.reading = True
    server.read_again()
    world.run(0.1)
    assert len(two.messages) == 1
    assert len(world.streams(one, two)) == 1


def test_answers_are_heard_while_our_own_buffer_is_full():
    world = World().start()
    one, two = world.members
    (client, server) = world.streams(one, two)[0]
    connection = client.protocol
    world.run(0.7)
    server.reading = False
    one.transport.send([append(bytes(1 << 20))])
    world.run(0.01)
    assert connection.full
    heard = []
    connection.request(Ping).addCallback(heard.append)
    server.protocol.answer(b"%x" % connection._last_tag, Ping)
    world.run(0.01)
    assert heard == [{}]


def test_heartbeats_overtake_megabytes_on_a_slow_line():
    world = World(settings=PeerSettings(silent_pings_max=1000)).start()
    one, two = world.members
    (client, server) = world.streams(one, two)[0]
    server.reading = False
    one.transport.send([append(bytes(9 << 20)), append(b"second", index=2)])
    world.run(0.01)
    assert client.protocol.full
    vote = RequestVote(2, 1, 5, 10, 4, True, False)
    one.transport.send([heartbeat(1), append(b"third", index=3), vote])
    server.reading = True
    for _ in range(6):  # about a piece each, far from all of it
        client._move()
    server.reading = False
    assert two.messages == [heartbeat(1), vote]
    server.read_again()
    world.run(1)
    assert [each.entries[0].index for each in two.messages[2:]] == [1, 2, 3]


def test_what_overtakes_is_bounded_too():
    world = World(settings=PeerSettings(silent_pings_max=1000)).start()
    one, two = world.members
    (client, server) = world.streams(one, two)[0]
    server.reading = False
    one.transport.send([append(bytes(1 << 20))])
    world.run(0.01)
    before = len(client.buffer)
    for number in range(5000):
        one.transport.send([heartbeat(number)])
    world.run(0.01)
    assert len(client.buffer) - before < 20_000
    assert one.events.unreachable_ids == [2]
    server.read_again()
    world.run(0.1)
    one.transport.send([heartbeat(5000)])
    world.run(0.1)
    assert two.messages[-1] == heartbeat(5000)
    assert len(two.messages) == 1 + 100 + 1


def test_peer_backpressure_bounded():
    # P07: a follower that reads nothing costs its queue and one TCP buffer.
    bound = 2 << 20
    settings = PeerSettings(queue_bytes_max=bound, silent_pings_max=1000)
    world = World(settings=settings).start()
    one, two = world.members
    (client, server) = world.streams(one, two)[0]
    server.reading = False
    peer = one.transport._peers[2]
    sent = 199
    for index in range(1, sent + 1):
        one.transport.send([append(bytes(50_000), index=index)])
        world.run(0.001)
        held = peer.waiting_bytes + len(client.buffer)
        assert held <= bound + BUFFER_BYTES + 2 * PIECE_BYTES_MAX
    assert held > bound / 2
    assert set(one.events.unreachable_ids) == {2}
    # It recovers: what was queued arrives, in order, and new messages after it.
    server.read_again()
    world.run(0.1)
    one.transport.send([heartbeat(7)])
    world.run(0.1)
    indexes = [each.entries[0].index for each in two.messages[:-1]]
    assert indexes == list(range(1, len(indexes) + 1))
    assert len(indexes) < sent - 100
    assert two.messages[-1] == heartbeat(7)


def test_an_unbounded_queue_would_be_noticed(monkeypatch):
    def enqueue(self, message):
        self._queue.append(message)
        self._queued_bytes += len(message)
        return True

    monkeypatch.setattr(Outflow, "enqueue", enqueue)
    with pytest.raises(AssertionError):
        test_peer_backpressure_bounded()


def test_one_message_larger_than_the_queue_passes_when_nothing_waits():
    world = World(settings=PeerSettings(queue_bytes_max=1000)).start()
    one, two = world.members
    one.transport.send([append(bytes(5000)), append(bytes(5000), index=2)])
    world.run(0.01)
    assert len(two.messages) == 1
    assert one.events.unreachable_ids == [2]


def test_a_message_that_no_peer_would_take_is_dropped_here(log_lines):
    settings = PeerSettings(message_bytes_max=10_000)
    world = World(settings=settings).start()
    one, two = world.members
    one.transport.send([append(bytes(20_000)), heartbeat(1)])
    world.run(0.01)
    assert two.messages == [heartbeat(1)]
    assert one.events.unreachable_ids == [2]
    assert len(world.streams(one, two)) == 1
    assert any("too large" in line for line in log_lines)


def test_messages_to_nobody_and_to_the_unconnected_are_dropped():
    world = World()
    one, two = world.members
    one.knows(two)
    one.transport.start()
    one.transport.send([heartbeat(1), heartbeat(1, to=99)])
    assert one.events.unreachable_ids == []  # never within send
    world.run(0)
    assert one.events.unreachable_ids == [2]


def test_reconnect_backs_off_with_jitter_and_up_to_a_bound():
    world = World()
    one, two = world.members
    chances = iter([0.0, 1.0] * 1000)
    one = Member(world.network, 1, random=lambda: next(chances))
    one.knows(two)
    del world.network.listening[two.url]
    one.transport.start()
    world.run(60)
    times = [at for at, _ in world.network.attempts]
    waits = [round(b - a, 4) for a, b in itertools.pairwise(times)]
    assert waits[:6] == [0.025, 0.1, 0.1, 0.4, 0.4, 1.6]
    assert set(waits[6:]) == {1.0, 2.0}


def test_several_urls_are_tried_in_turn_without_waiting_between_them():
    world = World()
    one, two = world.members
    two.knows(one).transport.start()
    one.transport.set_peers({2: ("http://gone:1", "nonsense", two.url)})
    one.transport.start()
    world.run(0.01)
    assert one.transport.connected() == {2}
    assert [url for _, url in world.network.attempts if "gone" in url]


def test_an_attempt_that_nobody_answers_ends():
    world = World()
    one, two = world.members
    world.network.unreachable.add(two.url)
    one.knows(two).transport.start()
    world.run(2.9)
    assert len(world.network.attempts) == 1
    world.run(0.2)
    assert len(world.network.attempts) == 2
    world.network.unreachable.clear()
    two.knows(one).transport.start()
    world.run(5)
    assert one.transport.connected() == {2}


def test_a_peer_that_dials_us_is_dialled_at_once():
    settings = PeerSettings(backoff_first_seconds=60, backoff_max_seconds=60)
    world = World(settings=settings)
    one, two = world.members
    one.knows(two).transport.start()
    world.run(1)
    assert one.transport.connected() == frozenset()
    two.knows(one).transport.start()
    world.run(0.1)
    assert two.transport.connected() == {1}
    assert one.transport.connected() == {2}


def test_connections_that_end_at_once_make_no_storm():
    world = World().start()
    one, two = world.members
    for _ in range(300):
        for _, _, server in world.network.connections:
            if not server.lost:
                server.abortConnection()
        world.run(0.1)
    assert len(world.streams(one, two)) < 40


def test_peer_url_update_reconnects():
    # M18
    world = World().start()
    one, two = world.members
    elsewhere = "http://elsewhere:2380"
    one.transport.set_peers({2: (two.url,)})
    world.run(1)
    assert len(world.streams(one, two)) == 1  # nothing changed
    one.transport.set_peers({2: (two.url, elsewhere)})
    world.run(1)
    assert len(world.streams(one, two)) == 1  # still a place where it is
    one.transport.set_peers({2: (elsewhere,)})
    world.run(1)
    assert one.transport.connected() == frozenset()
    world.network.listening[elsewhere] = two.transport.factory
    world.run(3)
    assert one.transport.connected() == {2}
    assert world.network.connections[-1][0] == elsewhere
    one.transport.send([heartbeat(1)])
    world.run(0.1)
    assert two.messages == [heartbeat(1)]


def test_new_urls_interrupt_an_attempt_and_a_wait():
    world = World()
    one, two = world.members
    two.knows(one).transport.start()
    elsewhere = "http://elsewhere:2380"
    world.network.unreachable.add(elsewhere)
    one.transport.set_peers({2: (elsewhere,)})
    one.transport.start()
    world.run(1)
    one.transport.set_peers({2: (two.url,)})
    world.run(0.01)
    assert one.transport.connected() == {2}


def test_a_member_without_urls_is_waited_for():
    world = World()
    one, two = world.members
    two.knows(one).transport.start()
    one.transport.set_peers({2: ()})
    one.transport.start()
    world.run(10)
    assert world.network.attempts[0][1] == one.url  # only two dialled
    one.transport.set_peers({2: (two.url,)})
    world.run(0.01)
    assert one.transport.connected() == {2}


def test_stop_sends_what_waits_and_then_is_quiet():
    world = World().start()
    one, two = world.members
    stopped = []
    one.transport.send([heartbeat(1)])
    one.transport.stop().addCallback(stopped.append)
    assert stopped == []
    world.run(0.1)
    assert stopped == [None]
    assert two.messages == [heartbeat(1)]
    two.transport.send([heartbeat(2, to=1, sender=2)])
    world.run(10)
    assert one.messages == []
    assert one.events.unreachable_ids == []
    assert two.events.unreachable_ids
    two.transport.stop()
    world.run(10)
    assert world.clock.getDelayedCalls() == []


def test_stop_does_not_wait_for_a_peer_that_reads_nothing():
    world = World().start()
    one, two = world.members
    (_client, server) = world.streams(one, two)[0]
    server.reading = False
    one.transport.send([append(bytes(1 << 20))])
    world.run(0.01)
    stopped = []
    one.transport.stop().addCallback(stopped.append)
    world.run(1.9)
    assert stopped == []
    world.run(0.2)
    assert stopped == [None]


def test_a_forgotten_member_gets_what_waited_and_no_more():
    world = World().start()
    one, two = world.members
    one.transport.send([heartbeat(1)])
    one.transport.set_peers({})
    world.run(0.1)
    assert two.messages == [heartbeat(1)] or two.messages == []
    one.transport.send([heartbeat(2)])
    world.run(0.1)
    assert heartbeat(2) not in two.messages
    assert one.transport.connected() == frozenset()


def test_nothing_is_delivered_once_the_connection_is_closed_in_between():
    # The member may change its mind about a sender while it takes a message of it.
    world = World().start()
    one, two = world.members

    def received(message):
        two.events.messages.append(message)
        two.transport.set_peers({})

    two.events.received = received
    one.transport.send([heartbeat(1), heartbeat(2), heartbeat(3)])
    world.run(0.01)
    assert two.messages == [heartbeat(1)]


def test_an_endpoint_that_fails_in_its_own_way_is_a_failed_attempt(log_lines):
    world = World()
    one, two = world.members

    class Broken:
        def connect(self, factory):
            return fail(OSError("no route"))

    one.transport._dialler._connect = lambda url: Broken()
    one.knows(two).transport.start()
    world.run(1)
    assert any("OSError: no route" in line for line in log_lines)
    assert one.transport.connected() == frozenset()


def test_a_connection_that_moves_while_it_closes_is_left_to_close():
    world = World().start()
    one, two = world.members
    peer = one.transport._peers[2]
    connection = peer._connection
    peer.stop()
    one.transport.send([heartbeat(1)])
    world.run(0.01)
    ends = []
    connection.finish("twice").addCallback(ends.append)
    assert ends == [None]
    assert two.messages == []
