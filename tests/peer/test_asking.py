"""Who is no member may ask who the members are, and gets nothing else."""

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.protocols import amp

from kvd.cluster.facts import ClusterFacts
from kvd.cluster.members import MemberRecord
from kvd.errors import PeerError
from kvd.peer.asking import ASK_SECONDS, ask_members
from kvd.peer.batches import frame
from kvd.peer.commands import FACTS_BYTES_MAX, PIECE_BYTES_MAX, Members, batch_box
from kvd.peer.receiving import ReceivingConnection
from kvd.peer.settings import PeerSettings
from kvd.raft.codec import encode_message
from kvd.raft.messages import RequestVote
from tests.peer.network import World
from tests.peer.test_hello import Raw

RECORDS = (
    MemberRecord(1, "one", ("http://m1:2380",), ("http://m1:2379",)),
    MemberRecord(2, "", ("http://m2:2380", "http://other:2380"), (), learner=True),
)


class Asked:
    """A question to the peer ports, and what came of it."""

    def __init__(self, world, *urls):
        self.result = None
        began = world.clock.seconds()
        self.after_seconds = None
        self.question = Deferred.fromCoroutine(
            ask_members(world.network.endpoint, world.clock, urls)
        )

        def ended(result):
            self.result = getattr(result, "value", result)
            self.after_seconds = world.clock.seconds() - began

        self.question.addBoth(ended)
        world.run(0.01)

    @property
    def problem(self):
        assert type(self.result) is PeerError
        return str(self.result)


def knowing(records=RECORDS):
    world = World().start()
    for member in world.members:
        member.records = records
    return world


def question(start=0, newest=1, oldest=1):
    values = {"newest": newest, "oldest": oldest, "start": start}
    box = Members.makeArguments(values, None)
    box[b"_command"], box[b"_ask"] = b"Members", b"1"
    return box.serialize()


def test_anybody_is_told_the_cluster_and_its_members(log_lines):
    world = knowing()
    log_lines.clear()
    asked = Asked(world, "http://m1:2380")
    assert asked.result == ClusterFacts(0xC1, "3.4.0", RECORDS)
    world.run(10)
    assert log_lines == []
    _, client, server = world.network.connections[-1]
    assert client.lost and server.lost


def test_a_long_list_comes_in_pieces_and_is_that_of_one_moment():
    urls = tuple(f"http://host-{number}.example:2380" for number in range(5000))
    records = (MemberRecord(1, "one", urls, ()),)
    world = knowing(records)
    one = world.members[0]
    raw = Raw(world, one).write(question())
    one.records = RECORDS
    first = Members.parseResponse(amp.parseString(bytes(raw.received))[0], None)
    assert len(first["piece"]) == PIECE_BYTES_MAX < first["size"]
    raw.received.clear()
    raw.write(question(start=PIECE_BYTES_MAX))
    second = Members.parseResponse(amp.parseString(bytes(raw.received))[0], None)
    assert second["size"] == first["size"]
    assert Asked(world, "http://m2:2380").result.members == records


def test_the_urls_are_tried_in_turn_and_each_has_its_time():
    world = knowing()
    world.network.unreachable.add("http://dark:2380")
    asked = Asked(world, "no url", "http://dark:2380", "http://m2:2380")
    assert asked.result is None
    world.run(ASK_SECONDS)
    assert asked.result.members == RECORDS
    assert asked.after_seconds == ASK_SECONDS


def test_if_nobody_answers_it_is_said_what_each_did():
    world = knowing(records=())
    world.members[1].transport.stop()
    world.run(1)
    asked = Asked(world, "http://m1:2380", "http://m2:2380", "http://none:2380")
    assert "http://m1:2380: it does not know the members (yet)" in asked.problem
    assert "http://m2:2380: " in asked.problem
    assert "http://none:2380: " in asked.problem
    assert "nobody to ask" in Asked(world).problem


def test_who_gives_up_asking_hangs_up():
    world = knowing()
    world.network.unreachable.add("http://dark:2380")
    asked = Asked(world, "http://dark:2380", "http://m1:2380")
    asked.question.cancel()
    assert isinstance(asked.result, CancelledError)
    world.network.attempts.clear()
    world.run(ASK_SECONDS + 1)
    assert [url for _, url in world.network.attempts if "m1" in url] == []


def test_who_is_cancelled_amid_the_answer_hangs_up():
    world = knowing()
    slow = Deferred.fromCoroutine(
        ask_members(world.network.endpoint, world.clock, ["http://m1:2380"])
    )
    _, client, _ = world.network.connections[-1]
    slow.cancel()
    world.run(0.01)
    assert client.lost
    found = []
    slow.addErrback(found.append)
    assert isinstance(found[0].value, CancelledError)


def vote_box():
    vote = RequestVote(1, 2, 1_000_000, 5, 5, False, True)
    return batch_box(frame(encode_message(vote)))


def test_whoever_asks_cannot_move_a_term():
    # P02: the connection of somebody who asked carries nothing of Raft, ever.
    world = knowing()
    one = world.members[0]
    assert not Raw(world, one).write(question()).ended
    assert Raw(world, one).write(question()).write(vote_box()).ended
    assert Raw(world, one).write(question()).hello().ended
    assert Raw(world, one).write(vote_box()).ended
    assert one.messages == []


def test_an_asker_that_becomes_a_member_would_be_noticed(monkeypatch):
    was = ReceivingConnection._members_asked

    def members_asked(self, tag, box):
        was(self, tag, box)
        self.member_id = 2

    monkeypatch.setattr(ReceivingConnection, "_members_asked", members_asked)
    with pytest.raises(AssertionError):
        test_whoever_asks_cannot_move_a_term()


def test_whoever_asks_is_shown_the_door_like_any_stranger():
    world = knowing()
    raw = Raw(world, world.members[0]).write(question())
    world.run(PeerSettings().hello_seconds - 0.1)
    assert not raw.ended
    world.run(0.1)
    assert raw.ended


def test_those_who_ask_are_bounded():
    world = knowing()
    one = world.members[0]
    first = Raw(world, one).write(question())
    for _ in range(PeerSettings().strangers_max):
        Raw(world, one).write(question())
    assert first.ended
    assert one.transport.connected() == {2}


def test_a_question_without_sense_ends_the_connection():
    world = knowing()
    one = world.members[0]
    assert Raw(world, one).write(question(start=1 << 63)).ended
    assert Raw(world, one).write(b"\0\x08_command\0\x07Members\0\0").ended


def test_versions_that_do_not_meet_are_told_apart():
    world = knowing()
    raw = Raw(world, world.members[0]).write(question(newest=9, oldest=9))
    values = Members.parseResponse(amp.parseString(bytes(raw.received))[0], None)
    assert values == {"version": 1, "size": 0, "piece": b""}
    assert raw.ended


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"version": 9}, "it speaks protocol version 9"),
        ({"size": FACTS_BYTES_MAX + 1}, f"of {FACTS_BYTES_MAX + 1} bytes"),
        ({"piece": b""}, "does not fit together"),
        ({"size": 3}, "does not fit together"),
        ({"piece": b"{}", "size": 2}, "cannot be read"),
        ({"piece": b"[", "size": 1}, "cannot be read"),
    ],
)
def test_an_answer_without_sense_is_no_answer(monkeypatch, changes, problem):
    world = knowing()
    was = ReceivingConnection.answer

    def answer(self, tag, command, **response):
        was(self, tag, command, **(response | changes))

    monkeypatch.setattr(ReceivingConnection, "answer", answer)
    assert problem in Asked(world, "http://m1:2380").problem


def test_a_question_in_place_of_an_answer_is_refused(monkeypatch):
    world = knowing()

    def answer(self, tag, command, **response):
        self.transport.write(question())

    monkeypatch.setattr(ReceivingConnection, "answer", answer)
    assert "one who asks does not take" in Asked(world, "http://m1:2380").problem
