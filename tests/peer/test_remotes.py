"""Who is not known, or cannot be reached, is answered on the connection it made."""

import pytest

from kvd.peer.batches import frame
from kvd.peer.commands import Ping, Purpose, Refusal, SnapshotChunk, batch_box
from kvd.peer.receiving import UNREAD_MAX
from kvd.peer.reception import REMOTES_MAX, Reception
from kvd.peer.settings import PeerSettings
from kvd.raft.codec import encode_message
from kvd.raft.messages import (
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    RequestVote,
)
from tests.peer.network import BUFFER_BYTES, META, World
from tests.peer.test_hello import Raw

NOBODY = 0
HEARTBEAT = Heartbeat(2, 1, 5, 0, 1)
ANSWER = HeartbeatResponse(1, 2, 5, 1)
STORED = AppendResponse(1, 2, 5, 9, False, 0, 0)


def leader_and_newcomer(settings=None):
    """Member 1 knows member 2, which knows nobody and hears no leader."""
    world = World(settings=settings)
    one, two = world.members
    two.leader = NOBODY
    two.transport.start()
    one.knows(two).transport.start()
    world.run(0.01)
    return world


def test_a_member_that_is_not_known_is_said_to_be_heard(log_lines):
    leader_and_newcomer()
    assert any("member 1 at 10.0.0.1" in line for line in log_lines)


def test_a_member_that_knows_nobody_answers_its_leader():
    world = leader_and_newcomer()
    one, two = world.members
    one.transport.send([HEARTBEAT])
    world.run(0.01)
    assert two.messages == [HEARTBEAT]
    two.transport.send([ANSWER, STORED])
    world.run(0.01)
    assert one.messages == [ANSWER, STORED]
    assert two.events.unreachable_ids == []
    assert world.streams(two, one) == []


def test_a_newcomer_without_a_way_back_would_be_noticed(monkeypatch):
    monkeypatch.setattr(Reception, "way_back", lambda self, member_id: None)
    with pytest.raises(AssertionError):
        test_a_member_that_knows_nobody_answers_its_leader()


def test_once_it_is_known_its_own_connection_is_taken():
    world = leader_and_newcomer()
    one, two = world.members
    two.knows(one)
    world.run(0.01)
    (_, server) = world.streams(one, two)[0]
    before = len(server.written)
    two.transport.send([STORED])
    world.run(0.01)
    assert one.messages == [STORED]
    assert len(server.written) == before


def test_a_known_member_at_an_unknown_place_is_answered_too():
    # It lags behind the change that moved its leader.
    world = World()
    one, two = world.members
    one.knows(two).transport.start()
    two.transport.set_peers({1: ("http://old-place:2380",)})
    two.transport.start()
    world.run(1)
    two.transport.send([ANSWER])
    world.run(0.01)
    assert one.messages == [ANSWER]


def test_who_hears_a_leader_lets_no_stranger_in(log_lines):
    # P02: only one that may be behind all others listens to somebody it does not know.
    world = World().start()
    one, _two = world.members
    vote = RequestVote(1, 77, 1_000_000, 5, 5, False, True)
    box = batch_box(frame(encode_message(vote)))
    assert Raw(world, one).hello(member=77).write(box).ended
    assert one.messages == []
    one.leader = 77  # it is the very leader, and lost its connection
    good = Raw(world, one).hello(member=77).write(box)
    assert not good.ended
    one.leader = 2
    again = Raw(world, one).hello(member=77).write(box)
    assert good.ended
    assert not again.ended
    assert one.messages == [vote, vote]


def test_nobody_is_not_let_in():
    # Id 0 is nobody's; with it the connection would be no stranger's and no member's.
    world = leader_and_newcomer()
    stranger = Raw(world, world.members[1]).hello(member=NOBODY, expected=2)
    assert stranger.ended
    assert stranger.answer()["refusal"] == Refusal.STRANGER.value


def test_a_removed_member_is_never_let_in():
    world = leader_and_newcomer()
    one, two = world.members
    two.removed_ids.add(1)
    assert Raw(world, two).hello(member=1, expected=2).ended
    # The one that is in already goes as soon as it is known to be none.
    two.transport.set_peers({})
    two.transport.send([ANSWER])
    world.run(0.01)
    assert one.messages == []


def test_who_founds_is_told_nothing_by_one_that_knows_nothing():
    world = leader_and_newcomer()
    _, two = world.members
    raw = Raw(world, two).hello(member=8, expected=2, purpose=b"founding")
    assert raw.answer()["refusal"] == b"stranger"


def test_strangers_that_are_heard_are_bounded():
    world = leader_and_newcomer()
    _, two = world.members
    raws = [
        Raw(world, two).hello(member=100 + each, expected=2)
        for each in range(REMOTES_MAX)
    ]
    assert sum(not raw.ended for raw in raws) == REMOTES_MAX - 1  # and member 1
    raws[0].stream.abortConnection()
    world.run(0.01)
    assert not Raw(world, two).hello(member=200, expected=2).ended
    assert Raw(world, two).hello(member=201, expected=2).ended


def test_a_snapshot_comes_from_a_leader_that_is_not_known():
    world = leader_and_newcomer()
    one, two = world.members
    one.disk.snapshot = (META, b"x" * 100_000)
    two.leader = 1
    one.transport.send([InstallSnapshot(2, 1, 5, META)])
    world.run(1)
    assert [type(each) for each in two.messages] == [InstallSnapshot]
    assert one.events.snapshots == [(2, True)]
    # But from nobody who has not spoken to us before.
    raw = Raw(world, two).hello(member=9, expected=2, purpose=b"snapshot")
    assert raw.answer()["refusal"] == b"stranger"


def test_one_that_dialled_takes_messages_of_the_other_alone():
    for message in (ANSWER._replace(sender=3), ANSWER._replace(to=3)):
        world = leader_and_newcomer()
        one, _ = world.members
        (client, server) = world.streams(one, world.members[1])[0]
        server.protocol.send_piece(frame(encode_message(message)))
        world.run(0.01)
        assert client.lost
        assert one.messages == []


def test_a_question_about_the_past_is_not_answered_with_messages():
    world = World().start()
    one, two = world.members
    found = []
    one.transport._dialler.dial(
        two.url, expected=2, purpose=Purpose.FOUNDING
    ).addCallback(found.append)
    world.run(0.01)
    _, _, server = world.network.connections[-1]
    server.protocol.send_piece(frame(encode_message(ANSWER)))
    world.run(0.01)
    assert found[0].closed
    assert one.messages == []


def test_answers_that_nobody_reads_are_bounded():
    bound = 1 << 20
    world = leader_and_newcomer(
        PeerSettings(queue_bytes_max=bound, silent_pings_max=1000)
    )
    one, two = world.members
    (client, server) = world.streams(one, two)[0]
    client.reading = False
    for _ in range(300):
        two.transport.send([STORED] * 1000)
        world.run(0.001)
    outflow = two.transport._reception.way_back(1)
    assert bound / 2 < outflow.waiting_bytes <= bound
    assert len(server.buffer) < 3 * BUFFER_BYTES
    # An urgent word overtakes what waits, and the line comes to life again.
    client.read_again()
    world.run(0.5)
    assert outflow.waiting_bytes == 0


def test_who_asks_on_and_on_and_does_not_read_is_dropped():
    world = leader_and_newcomer(PeerSettings(silent_pings_max=1000))
    one, two = world.members
    (client, server) = world.streams(one, two)[0]
    client.reading = False
    two.transport.send([STORED] * 4000)
    world.run(0.01)
    assert server.protocol.full
    for _ in range(UNREAD_MAX):
        client.protocol.request(Ping).addErrback(lambda _: None)
    world.run(0.01)
    assert not server.lost
    client.protocol.request(Ping).addErrback(lambda _: None)
    world.run(0.01)
    assert server.lost


def test_answers_over_a_slow_line_are_no_silence():
    world = leader_and_newcomer()
    one, two = world.members
    (client, _) = world.streams(one, two)[0]
    two.transport.send([STORED] * 20_000)
    world.run(5)
    assert len(one.messages) == 20_000
    assert not client.lost
    assert b"Received" in client.written


def test_the_wrong_url_of_a_new_member_harms_nobody(log_lines):
    # It leads nowhere, to somebody else, or to something that is no member.
    world = World(3).start()
    one, two, three = world.members

    class Babbler(Raw):
        def __init__(self):
            pass

        def buildProtocol(self, addr):
            return self

        def dataReceived(self, data):
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    world.network.listening["http://web:80"] = Babbler()
    world.network.unreachable.add("http://dark:2380")
    wrong = (two.url, "http://web:80", "http://dark:2380", "http://none:2380", "x")
    for member in world.members:
        member.transport.set_peers({1: (one.url,), 2: (two.url,), 3: (three.url,)})
        member.transport.set_peers(
            {1: (one.url,), 2: (two.url,), 3: (three.url,), 4: wrong}
        )
    attempts = len(world.network.attempts)
    for round_ in range(20):
        one.transport.send([HEARTBEAT._replace(to=each) for each in (2, 3, 4)])
        world.run(1)
        assert len(two.messages) == len(three.messages) == round_ + 1
    assert one.transport.connected() == {2, 3}
    assert set(one.events.unreachable_ids) == {4}
    assert len(world.network.attempts) - attempts < 3 * 20 * len(wrong)
    said = [line for line in log_lines if "cannot send to member 4" in line]
    assert len(said) < 3 * 8 * len(wrong)


def test_parts_of_a_snapshot_have_no_place_among_messages():
    world = leader_and_newcomer()
    one, two = world.members
    (client, server) = world.streams(one, two)[0]
    client.protocol.request(SnapshotChunk, content=b"x").addErrback(lambda _: None)
    world.run(0.01)
    assert server.lost
