"""Snapshots between members: complete, checked, one at a time, or not at all."""

import hashlib
import random

import pytest
from twisted.internet.defer import fail
from twisted.protocols import amp

from kvd.errors import PeerError
from kvd.peer.commands import (
    CHUNK_BYTES,
    CHUNKS_IN_FLIGHT_MAX,
    SnapshotChunk,
    SnapshotEnd,
    SnapshotStart,
)
from kvd.peer.inbox import SnapshotReceiver
from kvd.raft.codec import encode_message
from kvd.raft.messages import Heartbeat, InstallSnapshot
from tests.peer.network import META, World
from tests.peer.test_hello import Raw

CONTENT = random.Random(1).randbytes(3 * CHUNK_BYTES * CHUNKS_IN_FLIGHT_MAX + 17)
ASKED = InstallSnapshot(2, 1, 8, META)


def ready(content=CONTENT, count=2, settings=None):
    world = World(count, settings=settings).start()
    world.members[0].disk.snapshot = (META, content)
    return world, *world.members


def test_a_snapshot_arrives_whole_and_is_durable_before_it_is_delivered():
    world, one, two = ready()
    older = META.__class__(3, 1, META.configuration)
    one.transport.send([ASKED._replace(meta=older)])
    while not two.messages:
        world.run(0.001)
        if two.disk.writers:
            assert (two.disk.writers[0].state == "committed") == bool(two.messages)
    # The meta is that of the file, not that of the message.
    assert two.messages == [ASKED]
    (writer,) = two.disk.writers
    assert writer.meta == META
    assert bytes(writer.content) == CONTENT
    world.run(1)
    assert one.events.snapshots == [(2, True)]
    assert one.disk.readers[0].closed
    assert two.messages == [ASKED]
    assert one.transport.peers()[0].counts.sent_bytes == len(CONTENT)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 << 20])
def test_a_snapshot_of_any_size_arrives(size):
    content = bytes(size)
    world, one, two = ready(content)
    one.transport.send([ASKED])
    world.run(1)
    assert bytes(two.disk.writers[0].content) == content
    assert one.events.snapshots == [(2, True)]


def test_no_box_of_a_snapshot_is_over_the_bound_of_amp():
    world, one, _two = ready()
    one.transport.send([ASKED])
    world.run(1)
    (_, client, _) = world.network.connections[-1]
    boxes = amp.parseString(bytes(client.written))
    sizes = [len(box[b"content"]) for box in boxes if b"content" in box]
    assert sum(sizes) == len(CONTENT)
    assert max(sizes) == CHUNK_BYTES


def test_messages_overtake_a_snapshot():
    world, one, two = ready(bytes(20 << 20))
    one.transport.send([ASKED])
    world.run(0.005)
    rounds = 0
    while not any(isinstance(each, InstallSnapshot) for each in two.messages):
        one.transport.send([Heartbeat(2, 1, 8, 0, rounds)])
        world.run(0.0005)
        rounds += 1
        if isinstance(two.messages[-1], Heartbeat):
            assert two.messages[-1].round == rounds - 1
    assert rounds > 20


def test_unacknowledged_chunks_are_bounded():
    world, one, two = ready(bytes(10 << 20))
    two.disk.delay_seconds = 3600
    one.transport.send([ASKED])
    world.run(1)
    (_, client, _) = world.network.connections[-1]
    assert len(client.written) < (CHUNKS_IN_FLIGHT_MAX + 1) * CHUNK_BYTES
    assert two.disk.writes[0] <= CHUNKS_IN_FLIGHT_MAX * CHUNK_BYTES


def test_a_second_request_while_one_streams_changes_nothing():
    world, one, two = ready()
    one.transport.send([ASKED])
    world.run(0.004)
    one.transport.send([ASKED, ASKED])
    world.run(1)
    assert one.events.snapshots == [(2, True)]
    assert len(two.disk.writers) == 1
    one.transport.send([ASKED])
    world.run(1)
    assert one.events.snapshots == [(2, True)] * 2


def test_the_end_is_never_told_within_send():
    world, one, _two = ready()
    one.disk.snapshot = None
    one.transport.send([ASKED])
    assert one.events.snapshots == []
    world.run(1)
    assert one.events.snapshots == [(2, False)]


def test_a_lost_connection_aborts_on_both_sides(log_lines):
    world, one, two = ready(bytes(10 << 20))
    one.transport.send([ASKED])
    world.run(0.01)
    (_, _client, server) = world.network.connections[-1]
    server.abortConnection()
    world.run(1)
    assert one.events.snapshots == [(2, False)]
    assert two.messages == []
    assert two.disk.writers[0].state == "aborted"
    assert one.disk.readers[0].closed
    assert one.transport.connected() == {2}
    assert any("came to nothing" in line for line in log_lines)


def test_a_stalled_sender_is_given_up():
    world, one, two = ready(bytes(10 << 20))
    one.transport.send([ASKED])
    world.run(0.005)
    one.disk.delay_seconds = 3600
    world.run(14)
    assert one.events.snapshots == []
    assert two.disk.writers[0].state == "open"
    world.run(2)
    assert two.disk.writers[0].state == "aborted"
    world.run(3601)
    assert one.events.snapshots == [(2, False)]
    assert one.disk.readers[0].closed


def test_a_stalled_receiver_is_given_up(log_lines):
    world, one, two = ready(bytes(10 << 20))
    one.transport.send([ASKED])
    world.run(0.005)
    two.disk.delay_seconds = 3600
    world.run(14)
    assert one.events.snapshots == []
    world.run(2)
    assert one.events.snapshots == [(2, False)]
    assert any("no progress within 15 seconds" in line for line in log_lines)
    world.run(3600 * 2)
    assert two.disk.writers[0].state == "aborted"


def test_a_long_commit_is_waited_for():
    world, one, two = ready()
    one.transport.send([ASKED])
    while not two.disk.writers or two.disk.writers[0].state != "committing":
        if two.disk.writers and len(two.disk.writers[0].content) == len(CONTENT):
            two.disk.delay_seconds = 100
        world.run(0.0005)
    world.run(110)
    assert one.events.snapshots == [(2, True)]
    assert two.messages == [ASKED]


def test_a_disk_that_fails_ends_the_stream_and_delivers_nothing(log_lines):
    world, one, two = ready(bytes(10 << 20))
    one.transport.send([ASKED])
    world.run(0.01)
    two.disk.broken = True
    world.run(1)
    assert one.events.snapshots == [(2, False)]
    assert two.messages == []
    assert two.disk.writers[0].state == "aborted"
    assert any(line.startswith("error cannot write a snapshot") for line in log_lines)


def test_a_disk_that_fails_at_the_sender_ends_the_stream():
    world, one, two = ready(bytes(10 << 20))
    one.transport.send([ASKED])
    world.run(0.01)
    one.disk.broken = True
    world.run(1)
    assert one.events.snapshots == [(2, False)]
    assert two.disk.writers[0].state == "aborted"


def start_box(message=None, size=10, tag=b"2"):
    message = message or InstallSnapshot(1, 2, 8, META)
    box = SnapshotStart.makeArguments(
        {"message": encode_message(message), "size": size}, None
    )
    box[b"_command"], box[b"_ask"] = b"SnapshotStart", tag
    return box.serialize()


def chunk_box(content, tag=b"3"):
    box = SnapshotChunk.makeArguments({"content": content}, None)
    box[b"_command"], box[b"_ask"] = b"SnapshotChunk", tag
    return box.serialize()


def end_box(checksum, tag=b"9"):
    box = SnapshotEnd.makeArguments({"checksum": checksum}, None)
    box[b"_command"], box[b"_ask"] = b"SnapshotEnd", tag
    return box.serialize()


GOOD = hashlib.sha256(b"0123456789").digest()


def test_a_stream_by_hand_is_taken():
    world, one, _two = ready()
    raw = Raw(world, one).hello(purpose=b"snapshot")
    raw.write(start_box()).write(chunk_box(b"01234")).write(chunk_box(b"56789", b"4"))
    raw.write(end_box(GOOD))
    assert one.messages == [InstallSnapshot(1, 2, 8, META)]
    answers = amp.parseString(bytes(raw.received))
    assert [each[b"_answer"] for each in answers] == [b"1", b"2", b"3", b"4", b"9"]


@pytest.mark.parametrize(
    "boxes",
    [
        [start_box(), chunk_box(b"0123456789"), end_box(bytes(32))],
        [start_box(), chunk_box(b"0123456780"), end_box(GOOD)],
        [start_box(), chunk_box(b"012345678"), end_box(GOOD)],
        [start_box(), chunk_box(b"0123456789A"), end_box(GOOD)],
        [start_box(), chunk_box(b"")],
        [start_box(), chunk_box(b"0123456789"), end_box(GOOD), chunk_box(b"0")],
        [start_box(), chunk_box(b"0123456789"), end_box(GOOD), end_box(GOOD)],
        [start_box(), b"".join(chunk_box(b"0") for _ in range(9))],
        [start_box(), start_box()],
        [start_box(InstallSnapshot(1, 3, 8, META))],
        [start_box(InstallSnapshot(3, 2, 8, META))],
        [start_box(Heartbeat(1, 2, 8, 0, 0))],
        [chunk_box(b"0")],
        [end_box(GOOD)],
        [start_box(), amp.AmpBox(_command=b"Tea", _ask=b"1").serialize()],
        [amp.AmpBox(_command=b"Batch", piece=b"").serialize()],
    ],
)
def test_a_stream_that_breaks_the_rules_ends_and_leaves_nothing(boxes):
    world, one, _two = ready()
    raw = Raw(world, one).hello(purpose=b"snapshot")
    raw.write(b"".join(boxes))
    assert raw.ended
    assert one.messages == []
    world.run(1)
    assert [each.state for each in one.disk.writers if each.state != "aborted"] == []


def test_a_receiver_that_checks_nothing_would_be_noticed(monkeypatch):
    def end(self, checksum, tag):
        self._ending = (checksum, tag)
        self._go_on()

    monkeypatch.setattr(SnapshotReceiver, "end", end)
    with pytest.raises(AssertionError):
        test_a_stream_that_breaks_the_rules_ends_and_leaves_nothing(
            [start_box(), chunk_box(b"0123456780"), end_box(GOOD)]
        )


def test_a_new_stream_takes_the_place_of_an_older_one():
    world, one, _two = ready()
    first = Raw(world, one).hello(purpose=b"snapshot")
    first.write(start_box()).write(chunk_box(b"01234"))
    one.disk.delay_seconds = 0.5
    second = Raw(world, one).hello(purpose=b"snapshot")
    second.write(start_box() + chunk_box(b"0123456789") + end_box(GOOD))
    assert first.ended
    world.run(5)
    # The disk refuses a second writer while the first is not gone (see network.py).
    assert [each.state for each in one.disk.writers] == ["aborted", "committed"]
    assert one.messages == [InstallSnapshot(1, 2, 8, META)]


def test_an_older_leader_does_not_displace_a_newer_one():
    world, one, *_ = ready(count=3)
    newer = Raw(world, one).hello(purpose=b"snapshot", member=3)
    newer.write(start_box(InstallSnapshot(1, 3, 9, META)))
    older = Raw(world, one).hello(purpose=b"snapshot")
    older.write(start_box(InstallSnapshot(1, 2, 8, META)))
    assert older.ended
    assert not newer.ended


def test_a_stream_replaced_before_it_could_begin_leaves_nothing():
    world, one, _two = ready()
    raws = []
    one.disk.delay_seconds = 0.1
    for _ in range(4):
        raws.append(Raw(world, one).hello(purpose=b"snapshot"))
        raws[-1].write(start_box() + chunk_box(b"01234"))
    world.run(1)
    assert [raw.ended for raw in raws] == [True, True, True, False]
    raws[-1].write(chunk_box(b"56789") + end_box(GOOD))
    world.run(10)
    assert one.messages == [InstallSnapshot(1, 2, 8, META)]


def test_a_member_that_is_forgotten_gets_no_snapshot_any_more():
    world, one, two = ready(bytes(20 << 20))
    one.transport.send([ASKED])
    world.run(0.01)
    one.transport.set_peers({})
    world.run(1)
    assert one.events.snapshots == [(2, False)]
    assert two.disk.writers[0].state == "aborted"


def test_stop_gives_up_what_streams_in_and_out():
    world, one, two = ready(bytes(20 << 20))
    one.transport.send([ASKED])
    world.run(0.01)
    stopped = []
    two.disk.delay_seconds = 0.1
    two.transport.stop().addCallback(stopped.append)
    one.transport.stop().addCallback(stopped.append)
    world.run(3)
    assert stopped == [None, None]
    assert two.disk.writers[0].state == "aborted"
    assert one.disk.readers[0].closed
    assert one.events.snapshots == []
    world.run(20)
    assert world.clock.getDelayedCalls() == []


@pytest.mark.parametrize("when", [0.0, 0.0005, 0.0015, 0.0025])
def test_giving_up_early_ends_cleanly(when):
    world, one, two = ready()
    world.network.unreachable.add(two.url)
    one.transport.send([ASKED])
    world.run(when)
    one.transport.set_peers({})
    world.run(5)
    assert one.events.snapshots == [(2, False)]
    assert all(reader.closed for reader in one.disk.readers)


def test_the_request_of_a_closed_connection_fails():
    world = World().start()
    one, _two = world.members
    connection = one.transport._peers[2]._connection
    connection.drop("over")
    failures = []
    connection.request(SnapshotEnd, checksum=b"").addErrback(failures.append)
    assert isinstance(failures[0].value, PeerError)
    ends = []
    world.run(0.01)
    connection.finish("again").addCallback(ends.append)
    assert ends == [None]


def test_a_stream_lost_during_its_commit_delivers_nothing():
    world, one, two = ready()
    one.transport.send([ASKED])
    while not two.disk.writers or two.disk.writers[0].state != "committing":
        if two.disk.writers and len(two.disk.writers[0].content) == len(CONTENT):
            two.disk.delay_seconds = 1
        world.run(0.0005)
    (_, _client, server) = world.network.connections[-1]
    server.abortConnection()
    world.run(5)
    assert one.events.snapshots == [(2, False)]
    assert two.messages == []
    one.transport.send([ASKED])
    world.run(10)
    assert two.messages == [ASKED]


def test_an_error_of_our_own_while_receiving_ends_the_stream(logged_failures):
    world, one, two = ready(bytes(10 << 20))
    one.transport.send([ASKED])
    world.run(0.005)
    two.disk.writers[0].write = lambda chunk: fail(ZeroDivisionError())
    world.run(1)
    assert one.events.snapshots == [(2, False)]
    assert two.disk.writers[0].state == "aborted"
    assert [each.type for each in logged_failures] == [ZeroDivisionError]
    logged_failures.clear()
