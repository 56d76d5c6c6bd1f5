"""A member without data asks the others before it begins (V2-SPEC 15.2)."""

import pytest
from twisted.internet.defer import CancelledError, Deferred

from kvd.peer.batches import frame
from kvd.peer.commands import Refusal, batch_box
from kvd.peer.founding import ASK_SECONDS, Founding
from kvd.peer.reception import Reception
from kvd.peer.sending import Refused
from kvd.peer.settings import PeerIdentity
from kvd.raft.codec import encode_message
from kvd.raft.messages import RequestVote
from tests.peer.network import Member, World
from tests.peer.test_hello import Raw


class Asked:
    """Member 1 comes without data; the rest of the world has begun."""

    def __init__(self, world, cluster_id=0xC1):
        self.world = world
        others = {each.member_id: (each.url,) for each in world.members}
        self.result = None
        self.after_seconds = None
        began = world.clock.seconds()
        self.question = Deferred.fromCoroutine(
            Founding(
                connect=world.network.endpoint,
                clock=world.clock,
                identity=PeerIdentity(1, cluster_id),
                founders=others | {1: ("http://m1:2380",)},
            ).ask()
        )

        def ended(result):
            self.result = getattr(result, "value", "may begin")
            self.after_seconds = world.clock.seconds() - began

        self.question.addBoth(ended)
        world.run(0.01)


def others(count=3):
    """All but member 1, which they know."""
    world = World(count).start()
    first = world.members.pop(0)
    del world.network.listening[first.url]
    first.transport.stop()
    world.run(1)
    return world


def test_a_member_that_ran_before_does_not_begin_again(log_lines):
    world = others()
    world.members[1].run_ids.add(1)
    asked = Asked(world)
    assert isinstance(asked.result, Refused)
    assert asked.result.refusal is Refusal.BOOTSTRAPPED
    assert "member 1 has already been bootstrapped" in str(asked.result)
    assert any(
        "refused a connection" in line and "already been bootstrapped" in line
        for line in log_lines
    )


def test_a_founder_that_answers_everybody_would_be_noticed(monkeypatch):
    monkeypatch.setattr(Reception, "judge", lambda self, hello: None)
    with pytest.raises(AssertionError):
        test_a_member_that_ran_before_does_not_begin_again([])


def test_a_removed_member_does_not_begin_again():
    world = others()
    world.members[0].removed_ids.add(1)
    asked = Asked(world)
    assert asked.result.refusal is Refusal.REMOVED


def test_a_member_that_nobody_has_seen_may_begin(log_lines):
    world = others()
    log_lines.clear()
    asked = Asked(world)
    assert asked.result == "may begin"
    world.run(1)
    assert not any("connection from member 1" in line for line in log_lines)


def test_the_first_of_all_may_begin_at_once():
    world = others()
    for member in world.members:
        member.transport.stop()
    world.run(1)
    world.network.listening.pop(world.members[0].url)  # refused; the other closes
    asked = Asked(world)
    assert asked.result == "may begin"
    assert asked.after_seconds == 0


def test_nobody_waits_for_ever_for_founders_that_are_silent():
    world = others()
    world.network.unreachable.update(each.url for each in world.members)
    asked = Asked(world)
    world.run(ASK_SECONDS - 0.1)
    assert asked.result is None
    world.run(0.1)
    assert asked.result == "may begin"


def test_one_that_knows_is_enough():
    world = others()
    world.network.unreachable.add(world.members[0].url)
    world.members[1].run_ids.add(1)
    assert Asked(world).result.refusal is Refusal.BOOTSTRAPPED


def test_a_founder_that_still_reads_its_log_is_asked_again():
    world = others(2)
    other = world.members[0]
    other.transport.set_peers({})  # nobody is known to it yet
    asked = Asked(world)
    world.run(1)
    assert asked.result is None
    other.run_ids.add(1)
    other.transport.set_peers({1: ("http://m1:2380",)})
    world.run(1)
    assert asked.result.refusal is Refusal.BOOTSTRAPPED


def test_a_founder_with_more_in_its_log_than_it_has_applied_is_asked_again(log_lines):
    world = others(2)
    other = world.members[0]
    other.reads_its_log = True
    asked = Asked(world)
    world.run(1)
    assert asked.result is None
    other.reads_its_log = False
    world.run(1)
    assert asked.result == "may begin"
    assert any(
        "whether member 1 has run is not known yet" in line for line in log_lines
    )


def test_the_word_of_another_cluster_counts_for_nothing():
    world = others()
    for member in world.members:
        member.run_ids.add(1)
        member.removed_ids.add(1)
    assert Asked(world, cluster_id=0xC2).result == "may begin"


def test_who_stops_asks_no_more():
    world = others()
    world.network.unreachable.update(each.url for each in world.members)
    asked = Asked(world)
    asked.question.cancel()
    assert isinstance(asked.result, CancelledError)
    world.network.attempts.clear()
    world.network.unreachable.clear()
    for member in world.members:
        member.transport.stop()
    world.run(ASK_SECONDS + 1)
    assert world.network.attempts == []


def test_a_question_carries_no_messages_and_takes_nobodys_place():
    world = World().start()
    one, two = world.members
    vote = RequestVote(1, 2, 9, 5, 5, False, True)
    box = batch_box(frame(encode_message(vote)))
    asked = Raw(world, one).hello(purpose=b"founding")
    assert asked.answer()["refusal"] == b""
    assert asked.write(box).ended
    assert one.messages == []
    assert two.transport.connected() == {1}


def test_a_refusal_of_a_later_release_is_only_a_refusal(monkeypatch):
    class Later:
        value = b"of-next-year"

    world = others(2)
    was = Reception.judge

    def judge(self, hello):
        found = was(self, hello)
        return type(found)(Later, found.reason) if found is not None else None

    monkeypatch.setattr(Reception, "judge", judge)
    world.members[0].run_ids.add(1)
    assert Asked(world).result == "may begin"


def test_each_url_of_a_founder_is_tried():
    world = others(2)
    other = world.members[0]
    other.run_ids.add(1)
    member = Member(world.network, 1)
    question = Deferred.fromCoroutine(
        Founding(
            connect=world.network.endpoint,
            clock=world.clock,
            identity=PeerIdentity(member.member_id, 0xC1),
            founders={2: ("http://nowhere:2380", "no url", other.url)},
        ).ask()
    )
    found = []
    question.addErrback(found.append)
    world.run(0.01)
    assert found[0].value.refusal is Refusal.BOOTSTRAPPED
