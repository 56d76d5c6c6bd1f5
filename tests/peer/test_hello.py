"""Who may talk to whom: strangers, other clusters, versions, the removed."""

import pytest
from twisted.internet.task import Clock
from twisted.protocols import amp

from kvd.peer.batches import frame
from kvd.peer.commands import Hello, Purpose, Refusal, batch_box
from kvd.peer.receiving import ReceivingConnection
from kvd.peer.reception import Reception
from kvd.peer.settings import PeerSettings
from kvd.raft.codec import encode_message
from kvd.raft.messages import Heartbeat, InstallSnapshot, RequestVote
from tests.peer.network import META, Member, Network, World


class Raw:
    """A client without manners: writes bytes to a member's peer port."""

    def __init__(self, world, member):
        self.world = world
        self.received = bytearray()
        self.ended = False
        world.network.connect(self, member.url)
        self.stream = world.network.connections[-1][1]

    def buildProtocol(self, addr):
        return self

    def makeConnection(self, transport):
        self.transport = transport

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.ended = True

    def write(self, data):
        self.stream.write(data)
        self.world.run(0.01)
        return self

    def hello(self, **changes):
        values = {
            "newest": 1,
            "oldest": 1,
            "cluster": 0xC1,
            "member": 2,
            "expected": 1,
            "purpose": b"messages",
            "ping_milliseconds": 500,
        }
        values.update(changes)
        box = Hello.makeArguments(values, None)
        box[b"_command"], box[b"_ask"] = b"Hello", b"1"
        return self.write(box.serialize())

    def answer(self):
        """The values of the only box that came."""
        return Hello.parseResponse(amp.parseString(bytes(self.received))[0], None)


def vote(**changes):
    return RequestVote(1, 2, 1_000_000, 5, 5, False, True)._replace(**changes)


def test_unauthenticated_peer_cannot_move_term():
    # P02: nothing of Raft is looked at before the Hello was accepted.
    world = World().start()
    one, _two = world.members
    box = batch_box(frame(encode_message(vote())))
    assert Raw(world, one).write(box).ended
    assert Raw(world, one).hello(cluster=0xC2).write(box).ended
    assert Raw(world, one).hello(member=77).write(box).ended
    assert Raw(world, one).hello(expected=3).write(box).ended
    assert Raw(world, one).hello(newest=9, oldest=9).write(box).ended
    assert one.messages == []
    # The same bytes after a good Hello do arrive: the test can fail.
    good = Raw(world, one).hello().write(box)
    assert not good.ended
    assert one.messages == [vote()]


def test_a_reception_that_trusts_everybody_would_be_noticed(monkeypatch):
    monkeypatch.setattr(Reception, "judge", lambda self, hello: None)
    with pytest.raises((AssertionError, KeyError)):
        test_unauthenticated_peer_cannot_move_term()


def test_a_connection_that_skips_the_hello_would_be_noticed(monkeypatch):
    was = ReceivingConnection.command_received

    def command_received(self, name, box):
        self.member_id = self.member_id or 2
        was(self, name, box)

    monkeypatch.setattr(ReceivingConnection, "command_received", command_received)
    with pytest.raises(AssertionError):
        test_unauthenticated_peer_cannot_move_term()


def test_a_member_speaks_only_for_itself_and_only_to_us():
    for message in (vote(sender=3), vote(to=3)):
        world = World(3).start()
        one = world.members[0]
        raw = Raw(world, one).hello()
        raw.write(batch_box(frame(encode_message(message))))
        assert raw.ended
        assert one.messages == []


def test_a_snapshot_is_not_taken_among_the_messages():
    world = World().start()
    one = world.members[0]
    message = InstallSnapshot(1, 2, 3, META)
    raw = Raw(world, one).hello()
    assert raw.write(batch_box(frame(encode_message(message)))).ended
    assert one.messages == []


def test_cluster_id_and_token_mismatch_refused(log_lines):
    # M17, the Hello's part: two clusters with crossed URLs never merge.
    network = Network(Clock())
    world = World.__new__(World)
    world.clock, world.network = network.clock, network
    ours, theirs = Member(network, 1, 0xC1), Member(network, 2, 0xC2)
    world.members = [ours, theirs]
    world.start()
    world.run(30)
    assert ours.transport.connected() == theirs.transport.connected() == frozenset()
    ours.transport.send([Heartbeat(2, 1, 9, 0, 0)])
    world.run(1)
    assert ours.messages == theirs.messages == []
    accepting = [line for line in log_lines if "refused a connection" in line]
    dialling = [
        line for line in log_lines if "cannot send" in line and "knocked" in line
    ]
    # Both sides dialled and both accepted: one line each says why, not one a try.
    assert len(accepting) == len(dialling) == 2
    assert all("c1" in line and "c2" in line for line in accepting + dialling)
    assert ours.events.removals == []


def test_crossed_urls_within_one_cluster_are_refused(log_lines):
    world = World(3)
    one, two, three = world.members
    one.transport.set_peers({2: (three.url,), 3: (two.url,)})
    two.knows(one), three.knows(one)
    for each in world.members:
        each.transport.start()
    world.run(1)
    assert one.transport.connected() == frozenset()
    assert any("looked for member 2 and found 3" in line for line in log_lines)
    one.transport.set_peers({2: (two.url,), 3: (three.url,)})
    world.run(5)
    assert one.transport.connected() == {2, 3}


def test_a_member_that_dials_itself_is_refused():
    world = World()
    one, _two = world.members
    one.transport.set_peers({2: (one.url,)})
    one.transport.start()
    world.run(1)
    assert one.transport.connected() == frozenset()


def test_a_joining_member_is_refused_until_it_is_known(log_lines):
    world = World(2)
    one, joining = world.members
    one.knows().transport.start()
    joining.knows(one).transport.start()
    world.run(3)
    assert joining.transport.connected() == frozenset()
    refusals = [line for line in log_lines if "is not known to member 1" in line]
    assert len(refusals) == 2  # one on each side
    assert joining.events.removals == []
    one.knows(joining)
    world.run(3)
    assert joining.transport.connected() == {1}
    assert one.transport.connected() == {2}


def test_a_removed_member_is_told_so(log_lines):
    world = World().start()
    one, two = world.members
    one.removed_ids.add(2)
    one.transport.set_peers({})
    world.run(1)
    assert two.transport.connected() == frozenset()
    assert two.events.removals
    assert "member 2 was removed from the cluster" in two.events.removals[0]
    assert any("refused a connection" in line for line in log_lines)


def test_only_a_member_of_our_own_cluster_can_tell_us_that_we_were_removed():
    for lie in ({"cluster": 0xC2, "member": 2}, {"cluster": 0xC1, "member": 3}):
        world = World()
        one, two = world.members

        class Liar:
            @staticmethod
            def buildProtocol(addr, lie=lie):
                class Protocol(amp.BinaryBoxProtocol):
                    def __init__(self):
                        super().__init__(self)

                    def startReceivingBoxes(self, sender):
                        pass

                    def stopReceivingBoxes(self, reason):
                        pass

                    def ampBoxReceived(self, box):
                        answer = Hello.makeResponse(
                            {
                                "version": 1,
                                "refusal": Refusal.REMOVED.value,
                                "reason": "you\nwere removed\x1b[2J",
                                **lie,
                            },
                            None,
                        )
                        answer[b"_answer"] = box[b"_ask"]
                        self.transport.write(answer.serialize())

                return Protocol()

        world.network.listening[two.url] = Liar
        one.knows(two).transport.start()
        world.run(1)
        assert one.transport.connected() == frozenset()
        assert one.events.removals == []


def test_the_dialler_checks_who_answers(log_lines):
    for wrong in ({"cluster": 0xC2}, {"member": 3}, {"version": 2}):
        world = World()
        one, two = world.members

        class Impostor(ReceivingConnection):
            def answer(self, tag, command, wrong=wrong, **response):
                super().answer(tag, command, **(response | wrong))

        def accept(transport=two.transport, kind=Impostor):
            reception = transport._reception
            return kind(
                clock=world.clock,
                settings=PeerSettings(),
                identity=reception._identity,
                host=reception,
            )

        two.knows(one).transport._reception.start()
        two.transport._reception.factory._accept = accept
        one.knows(two).transport.start()
        world.run(1)
        assert one.transport.connected() == frozenset()
        one.transport.send([Heartbeat(2, 1, 9, 0, 0)])
        world.run(1)
        assert two.messages == []
    said = "\n".join(log_lines)
    assert "it belongs to cluster c2" in said
    assert "it is member 3" in said
    assert "it chose protocol version 2" in said


def test_versions_overlap_or_are_refused_with_both_ranges():
    world = World().start()
    one = world.members[0]
    newer = Raw(world, one).hello(newest=7, oldest=1)
    assert newer.answer()["version"] == 1
    assert newer.answer()["refusal"] == b""
    future = Raw(world, one).hello(newest=9, oldest=8)
    assert future.answer()["refusal"] == Refusal.VERSION.value
    assert "8 to 9" in future.answer()["reason"]
    # A future Hello may look different behind its versions.
    box = amp.AmpBox(
        newest=(9).to_bytes(8, "big"), oldest=(9).to_bytes(8, "big"), more=b"?"
    )
    box[b"_command"], box[b"_ask"] = b"Hello", b"1"
    other = Raw(world, one).write(box.serialize())
    assert other.answer()["refusal"] == Refusal.VERSION.value


def test_a_stranger_who_says_nothing_is_shown_the_door():
    world = World().start()
    one = world.members[0]
    raw = Raw(world, one)
    world.run(4.9)
    assert not raw.ended
    world.run(0.2)
    assert raw.ended


def test_strangers_are_bounded_and_the_oldest_makes_room():
    world = World(settings=PeerSettings(strangers_max=5)).start()
    one = world.members[0]
    raws = [Raw(world, one) for _ in range(12)]
    world.run(0.01)
    assert [raw.ended for raw in raws] == [True] * 7 + [False] * 5
    assert raws[-1].hello().answer()["refusal"] == b""


def test_a_purpose_that_nobody_knows_ends_the_connection():
    world = World().start()
    raw = Raw(world, world.members[0]).hello(purpose=b"tea")
    assert raw.ended
    assert b"tea" not in {each.value for each in Purpose}


def test_refusals_said_are_bounded():
    world = World().start()
    one = world.members[0]
    for member in range(100, 500):
        Raw(world, one).hello(member=member)
    assert len(one.transport._reception._refusals_said) <= 256


def test_nothing_is_accepted_before_start_and_after_stop():
    world = World()
    one, two = world.members
    two.knows(one).transport.start()
    world.run(1)
    assert two.transport.connected() == frozenset()
    one.knows(two).transport.start()
    world.run(3)
    assert two.transport.connected() == {1}
    one.transport.stop()
    world.run(3)
    assert two.transport.connected() == frozenset()
