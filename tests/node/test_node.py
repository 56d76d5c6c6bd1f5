"""Whole members on a Clock: what the door promises, and what happens when it cannot."""

from types import SimpleNamespace

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed

from kvd.apply.request import Request, RequestId, encode_request
from kvd.cluster.machine import encode_record
from kvd.cluster.members import MemberRecord
from kvd.errors import (
    InvariantViolated,
    PeerError,
    ReconfigurationRefused,
    RequestError,
    StorageError,
    Unavailable,
    UnavailableReason,
)
from kvd.node.changes import UNASKED, tag_change, untag_change
from kvd.node.interfaces import Applied
from kvd.node.promotion import Promotion
from kvd.raft.codec import encode_change
from kvd.raft.messages import (
    AppendEntries,
    ChangeKind,
    ChangeRefusal,
    ChangeRefused,
    ConfigChange,
    EntryKind,
    Propose,
    ReadIndexResponse,
)
from kvd.v2.commands import Command, Op, encode_command
from tests.node.fakes import SYNC_SECONDS, One, World


def put(one: One, path: str, value: str):
    return one.node.propose("v2", encode_command(Command(Op.SET, path, value)))


def value_of(one: One, path: str) -> str:
    return one.v2.get(path, recursive=False, sorted=False).node.value


def test_one_member_serves_by_itself():
    world = World(1).start()
    applied = world.result(put(world[1], "/a", "1"))
    assert isinstance(applied, Applied)
    assert applied.value.action == "set"
    assert applied.value.node.modified_index == 4, "V2-SPEC 7: the first write is 4"
    assert world[1].node.applied_index == applied.index == world[1].node.commit_index
    assert world[1].node.applied_term == applied.term


def test_three_members_start_at_index_seven():
    world = World(3).start()
    world.run(2.0)
    applied = world.result(put(world.leader, "/a", "1"))
    assert applied.value.node.modified_index == 8


def test_a_follower_forwards_and_answers_after_its_own_apply():
    world = World(3).start()
    follower = world.followers[0]
    world.result(put(follower, "/a", "1"))
    assert value_of(follower, "/a") == "1"


def test_a_write_through_a_follower_does_not_wait_for_a_heartbeat():
    world = World(3).start()
    before = world.clock.seconds()
    world.result(put(world.followers[0], "/a", "1"))
    assert world.clock.seconds() - before < 0.05


def test_many_writes_share_a_sync():
    world = World(1).start()
    before = world[1].disk.saves
    answers = [put(world[1], f"/k{n}", "v") for n in range(100)]
    world.result(answers[-1])
    assert world[1].disk.saves - before < 5


def test_quorum_read_sees_every_write_answered_before_it():
    world = World(3).start()
    world.result(put(world.leader, "/a", "1"))
    for one in world.all():
        index = world.result(one.node.read_index())
        assert index <= one.node.applied_index
        assert value_of(one, "/a") == "1"


def test_a_lost_read_answer_is_asked_again():
    world = World(3).start()
    lost = []

    def lose_first(message) -> bool:
        if isinstance(message, ReadIndexResponse) and not lost:
            lost.append(message)
            return True
        return False

    world.network.lost = lose_first
    assert isinstance(world.result(world.followers[0].node.read_index()), int)
    assert lost


def test_everything_survives_the_restart_of_all():
    world = World(3).start()
    world.result(put(world.leader, "/a", "1"))
    term = world.leader.node.status().raft.term
    for one in world.all():
        one.stop()
    world.run(1.0)
    world.start()
    assert all(value_of(one, "/a") == "1" for one in world.all())
    assert world.leader.node.status().raft.term > term


def test_writes_without_quorum_time_out_as_unknown():
    world = World(3).start()
    leader = world.leader
    for one in world.followers:
        one.stop()
    began = world.clock.seconds()
    error = world.result(put(leader, "/a", "1"))
    assert isinstance(error, Unavailable)
    assert error.may_take_effect
    assert error.reason is UnavailableReason.TIMED_OUT
    assert 6.9 < world.clock.seconds() - began < 7.3


def test_without_a_leader_a_write_waits_and_then_certainly_has_no_effect():
    world = World(3).start()
    follower, *others = world.followers
    world.leader.stop()
    others[0].stop()
    world.run(5.0)
    assert follower.node.status().leader == 0
    error = world.result(put(follower, "/a", "1"))
    assert error.reason is UnavailableReason.TIMED_OUT
    assert not error.may_take_effect


def test_a_write_that_waited_for_a_leader_is_carried_out():
    world = World(3).start()
    follower, other = world.followers
    world.leader.stop()
    other.stop()
    world.run(3.0)
    answer = put(follower, "/a", "1")
    world.run(1.0)
    assert not answer.called
    other.start()
    assert isinstance(world.result(answer), Applied)


def test_a_timeout_over_a_leader_failure_says_so():
    world = World(3).start()
    follower = world.followers[0]
    leader = world.leader
    world.network.lost = lambda message: isinstance(message, Propose)
    answer = put(follower, "/a", "1")
    leader.stop()
    error = world.result(answer)
    assert error.reason is UnavailableReason.LEADER_FAILURE


def test_a_timeout_without_connection_to_the_leader_says_so():
    world = World(3).start()
    follower = world.followers[0]
    world.run(3.0)
    pair = (follower.member_id, world.leader.member_id)
    world.network.cut.add(pair)
    error = world.result(put(follower, "/a", "1"))
    assert error.reason in (
        UnavailableReason.CONNECTION_LOST,
        UnavailableReason.LEADER_FAILURE,
    )


def test_a_plain_timeout_is_a_plain_timeout():
    world = World(3).start()
    follower = world.followers[0]
    world.run(3.0)
    world.network.lost = lambda message: isinstance(message, Propose)
    error = world.result(put(follower, "/a", "1"))
    assert error.reason is UnavailableReason.TIMED_OUT


def test_a_read_without_quorum_times_out():
    world = World(3).start()
    leader = world.leader
    for one in world.followers:
        one.stop()
    error = world.result(leader.node.read_index())
    assert isinstance(error, Unavailable)
    assert not error.may_take_effect


def test_forwarded_write_never_proposed_twice():
    """R26: a network that delivers twice does not make one request happen twice."""
    world = World(3).start()
    follower, leader = world.followers[0], world.leader
    kept = []

    def keep(message) -> bool:
        if isinstance(message, Propose):
            kept.append(message)
        return False

    world.network.lost = keep
    world.result(
        follower.node.propose(
            "v2", encode_command(Command(Op.CREATE_IN_ORDER, "/queue", "job"))
        )
    )
    leader.node.received(kept[0])
    world.run(1.0)
    queue = leader.v2.get("/queue", recursive=False, sorted=True).node.nodes
    assert len(queue) == 1


def test_a_forwarded_change_is_deduplicated_too():
    world = World(3).start()
    leader = world.leader
    change = tag_change(
        ConfigChange(ChangeKind.REMOVE, 99), UNASKED._replace(sequence=5)
    )
    message = Propose(
        leader.member_id, 2, 0, ((EntryKind.CHANGE, encode_change(change)),)
    )
    before = leader.node.status().raft.last_index
    leader.node.received(message)
    leader.node.received(message)
    world.run(1.0)
    assert leader.node.status().raft.last_index == before + 1


def test_what_was_seen_is_bounded(monkeypatch):
    monkeypatch.setattr("kvd.node.forwarded.SEEN_MAX", 3)
    world = World(3).start()
    for n in range(10):
        world.result(put(world.followers[0], f"/k{n}", "v"))
    assert len(world.leader.node._forwarded) <= 3


def test_a_request_too_large_is_refused_at_once():
    world = World(1, request_bytes_max=500).start()
    error = world.result(put(world[1], "/a", "x" * 1000))
    assert isinstance(error, RequestError)


def test_too_many_waiting_requests_are_refused_at_once():
    world = World(1, proposals_pending_max=2).start()
    answers = [put(world[1], "/a", "1") for _ in range(3)]
    assert world.result(answers[2]).reason is UnavailableReason.TOO_MANY_REQUESTS
    reads = [world[1].node.read_index() for _ in range(3)]
    assert world.result(reads[2]).reason is UnavailableReason.TOO_MANY_REQUESTS
    assert isinstance(world.result(answers[0]), Applied)
    change = ConfigChange(ChangeKind.REMOVE, 9)
    put(world[1], "/a", "1")
    put(world[1], "/a", "1")
    error = world.result(world[1].node.reconfigure(change))
    assert error.reason is UnavailableReason.TOO_MANY_REQUESTS


def test_writes_that_wait_for_a_leader_are_bounded_in_bytes():
    world = World(3, outbox_bytes_max=1000).start()
    follower, other = world.followers
    world.leader.stop()
    other.stop()
    world.run(5.0)
    first = put(follower, "/a", "x" * 600)
    error = world.result(put(follower, "/a", "x" * 600))
    assert error.reason is UnavailableReason.TOO_MANY_REQUESTS
    assert not error.may_take_effect
    other.start()
    assert isinstance(world.result(first), Applied)


def test_a_failed_save_stops_the_member_and_answers_nobody_with_success():
    world = World(1).start()
    one = world[1]
    one.disk.broken = StorageError("fdatasync failed")
    error = world.result(put(one, "/a", "1"))
    assert isinstance(error, Unavailable)
    assert error.may_take_effect
    assert one.fatal == [one.disk.broken]
    for ask in (one.node.propose("v2", b""), one.node.read_index()):
        assert world.result(ask).reason is UnavailableReason.STOPPED
    change = ConfigChange(ChangeKind.REMOVE, 9)
    assert world.result(one.node.reconfigure(change)).reason is (
        UnavailableReason.STOPPED
    )


def test_exception_in_raft_core_is_fatal(logged_failures):
    """T03: no half-updated state lives on behind a logged failure."""
    world = World(3).start()
    follower = world.followers[0]

    def boom(_message) -> None:
        raise InvariantViolated("planted")

    follower.node._raft.step = boom
    world.run(1.0)
    assert len(follower.fatal) == 1, "told once"
    assert isinstance(follower.fatal[0], InvariantViolated)
    assert world.result(follower.node.read_index()).reason is UnavailableReason.STOPPED
    logged_failures.clear()


def test_an_exception_in_a_machine_is_fatal(logged_failures):
    world = World(1).start()

    def boom(**_) -> None:
        raise ZeroDivisionError

    world[1].v2.apply = boom
    world.result(put(world[1], "/a", "1"))
    assert isinstance(world[1].fatal[0], ZeroDivisionError)
    logged_failures.clear()


def test_too_little_room_refuses_writes_and_serves_reads_until_it_returns():
    world = World(1).start()
    one = world[1]
    world.result(put(one, "/a", "1"))
    one.disk.free = 1000
    world.run(1.5)
    error = world.result(put(one, "/a", "2"))
    assert error.reason is UnavailableReason.NO_SPACE
    assert not error.may_take_effect
    assert one.node.status().out_of_space
    assert isinstance(world.result(one.node.read_index()), int)
    assert value_of(one, "/a") == "1"
    one.disk.free = 1 << 40
    world.run(1.5)
    assert isinstance(world.result(put(one, "/a", "3")), Applied)


def test_a_leader_without_room_makes_way_and_takes_no_forwarded_write():
    world = World(3).start()
    leader = world.leader
    leader.disk.free = 0
    world.run(3.0)
    assert world.leader is not leader
    assert isinstance(world.result(put(world.leader, "/a", "1")), Applied)
    before = leader.node.status().raft.last_index
    request = Request("v2", RequestId(2, 77), 0, b"")
    proposal = ((EntryKind.NORMAL, encode_request(request)),)
    leader.node.received(Propose(leader.member_id, 2, 0, proposal))
    world.run(1.0)
    assert leader.node.status().raft.last_index == before


def test_a_leader_whose_disk_is_stuck_makes_way():
    """Its heartbeats go on: without that it would lead, and apply nothing, for ever."""
    world = World(3).start()
    leader = world.leader
    leader.disk.sync_seconds = 6.0
    answer = put(leader, "/a", "1")
    world.run(6.5)
    assert world.leader is leader
    assert isinstance(world.result(answer), Applied)
    leader.disk.sync_seconds = 10_000.0
    answer = put(leader, "/a", "2")
    world.run(9.5)
    assert world.leader is not leader
    for one in world.followers:
        if one is not leader:
            assert isinstance(world.result(put(one, "/a", "3")), Applied)
    assert world.result(answer).may_take_effect


def test_a_member_alone_has_nobody_to_make_way_for():
    world = World(1).start()
    world[1].disk.sync_seconds = 20.0
    answer = put(world[1], "/a", "1")
    assert world.result(answer, 10.0).may_take_effect
    world.run(20.0)
    assert world[1].node.is_leader
    assert isinstance(world.result(world[1].node.read_index()), int)


def test_a_snapshot_waits_for_room():
    world = World(1, snapshot_count=50, disk_floor_bytes=1000).start()
    one = world[1]
    for n in range(100):
        world.result(put(one, f"/k{n}", str(n)))
    world.run(1.0)
    first, content = one.disk.snapshot
    one.disk.free = 1000 + len(content) - 1
    world.run(1.5)
    for n in range(100):
        world.result(put(one, f"/k{n}", str(n)))
    world.run(1.0)
    assert one.disk.snapshot[0] == first
    one.disk.free = 1 << 40
    world.run(1.5)
    world.result(put(one, "/a", "1"))
    world.run(1.0)
    assert one.disk.snapshot[0].index > first.index


def test_a_snapshot_is_given_up_when_the_floor_is_reached():
    world = World(1, snapshot_count=50).start()
    one = world[1]
    one.disk.write_seconds = 2.0
    for n in range(60):
        put(one, f"/k{n}", str(n))
    world.run_until(lambda: one.node._snapshots._running is not None)
    one.disk.free = 0
    world.run(3.0)
    assert one.disk.aborted == 1
    assert one.disk.snapshot is None
    assert one.fatal == []


def test_a_restarted_member_knows_how_large_its_snapshot_is():
    world = World(1, snapshot_count=50).start()
    one = world[1]
    for n in range(100):
        world.result(put(one, f"/k{n}", str(n)))
    world.run(1.0)
    one.stop()
    world.start()
    assert one.node._snapshots.newest_bytes == len(one.disk.snapshot[1])


def test_a_forwarded_request_without_an_id_is_the_peers_mistake():
    world = World(3).start()
    leader = world.leader
    change = encode_change(ConfigChange(ChangeKind.REMOVE, 9))
    for proposal in ((EntryKind.NORMAL, b""), (EntryKind.CHANGE, change)):
        with pytest.raises(PeerError):
            leader.node.received(Propose(leader.member_id, 2, 0, (proposal,)))
    assert leader.fatal == []


def test_a_snapshot_is_made_and_the_log_forgotten():
    world = World(1, snapshot_count=50, catchup_entries=10).start()
    one = world[1]
    for n in range(200):
        world.result(put(one, f"/k{n % 7}", str(n)))
    world.run(1.0)
    assert one.disk.snapshot is not None
    assert one.disk.snapshot[0].index > 150
    assert one.disk.compacted, "the log before the snapshot before is released"
    assert one.disk.compacted[-1] < one.disk.snapshot[0].index
    assert one.node.status().raft.first_index > 100
    digest = one.v2.digest()
    one.stop()
    world.start()
    assert value_of(one, "/k0") == "196"
    assert digest != one.v2.digest(), "one index for publishing itself again"


def test_a_follower_far_behind_gets_a_snapshot():
    world = World(3, snapshot_count=20, catchup_entries=5).start()
    follower = world.followers[0]
    follower.stop()
    for n in range(100):
        world.result(put(world.leader, f"/k{n}", "v"))
    world.run(1.0)
    follower.start()
    world.run_until(lambda: value_or_none(follower, "/k99") == "v")
    world.run(2.0)
    assert follower.v2.digest() == world.leader.v2.digest()
    assert follower.node.status().raft.configuration.voters == {1, 2, 3}


def test_what_can_be_read_of_a_running_node():
    world = World(3, snapshot_count=20, catchup_entries=5)
    before = world[1].start().node.figures
    assert before.free_bytes is None
    assert before.snapshot is None
    world = World(3, snapshot_count=20, catchup_entries=5).start()
    leader, follower = world.leader, world.followers[0]
    figures = leader.node.figures
    assert figures.leaders_seen == 1
    assert figures.free_bytes == leader.disk.free
    world.run(1.0)
    waiting = put(leader, "/k", "v")
    leader.node.read_index()
    assert figures.proposals_pending == 1
    assert figures.outbox[0] == 1
    assert figures.outbox[1] > len("/kv")
    assert figures.reads_pending == 1
    assert figures.saving_seconds == 0
    world.run(SYNC_SECONDS / 2)
    assert figures.outbox == (0, 0)
    assert 0 < figures.saving_seconds < SYNC_SECONDS
    world.result(waiting)
    assert figures.reads_pending == figures.proposals_pending == 0
    follower.stop()
    for n in range(100):
        world.result(put(leader, f"/k{n}", "v"))
    world.run(1.0)
    made = figures.snapshot
    assert made.index == leader.disk.snapshot[0].index
    assert made.size == len(leader.disk.snapshot[1])
    assert made.since < world.clock.seconds()
    assert sum(figures.snapshot_save_seconds.counts) > 1
    follower.start()
    taken = follower.node.figures
    open_snapshot, slow = follower.disk.open_snapshot, Deferred()
    follower.disk.open_snapshot = lambda: slow
    world.run_until(lambda: taken.is_restoring)
    open_snapshot().chainDeferred(slow)
    world.run_until(lambda: not taken.is_restoring)
    assert taken.snapshot.index == made.index
    assert taken.snapshot.since is not None
    assert sum(taken.snapshot_save_seconds.counts) == 0
    leader.stop()
    leader.start()
    world.run(0.05)
    assert leader.node.figures.snapshot.since is None


def far_behind() -> tuple[World, One]:
    """A world in which somebody is sent a snapshot, at the moment when it has come."""
    world = World(3, snapshot_count=20, catchup_entries=5).start()
    leader, follower = world.leader, world.followers[0]
    follower.stop()
    for n in range(1_000):
        put(leader, f"/k{n}", "v")
    world.result(put(leader, "/last", "v"))
    world.run(1.0)
    follower.start()
    while not follower.node.figures.is_restoring:
        world.step()
    return world, follower


def test_a_member_does_other_things_while_it_restores():
    world, follower = far_behind()
    turns = 0
    while follower.node.figures.is_restoring:
        assert value_or_none(follower, "/last") is None
        turns += 1
        world.step()
    assert turns > 4
    assert value_or_none(follower, "/last") == "v"
    world.run(2.0)
    assert follower.v2.digest() == world.leader.v2.digest()


def test_a_member_that_is_stopped_while_it_restores_gives_it_up():
    world, follower = far_behind()
    restored = follower.node.figures
    for _ in range(3):
        world.step()
    assert restored.is_restoring
    world.result(follower.node.stop())
    assert value_or_none(follower, "/last") is None


def test_requests_that_were_given_up_on_are_counted():
    world = World(3).start()
    leader = world.leader
    for follower in world.followers:
        follower.stop()
    put(leader, "/k", "v").addErrback(lambda _: None)
    leader.node.read_index().addErrback(lambda _: None)
    world.run(10.0)
    assert leader.node.figures.proposals_expired == 1
    assert leader.node.figures.reads_expired == 1


def value_or_none(one: One, path: str) -> str | None:
    try:
        return value_of(one, path)
    except RequestError:
        return None


def test_a_ttl_ends_through_the_log_by_the_leaders_clock():
    world = World(3).start()
    now = int((1_700_000_000 + world.clock.seconds()) * 1e9)
    command = Command(Op.SET, "/a", "1", expiration_ns=now + 2 * 10**9)
    world.result(world.leader.node.propose("v2", encode_command(command)))
    world.run(1.5)
    assert value_or_none(world.leader, "/a") == "1"
    world.run(1.5)
    assert all(value_or_none(one, "/a") is None for one in world.all())


def test_leadership_is_handed_over():
    world = World(3).start()
    leader = world.leader
    target = leader.node.successor()
    assert target not in (0, leader.member_id)
    assert world.result(leader.node.transfer_leadership(target)) is True
    assert world.leader.member_id == target
    assert world.result(leader.node.transfer_leadership(target)) is False
    assert world.result(world.leader.node.transfer_leadership(99)) is False


def test_a_forwarded_write_waits_for_the_handover_and_happens_once():
    world = World(3).start()
    leader, follower = world.leader, world.followers[0]
    target = next(o for o in world.followers if o is not follower)
    # The target's disk is slow, so that the handover takes a while.
    target.disk.sync_seconds = 0.3
    put(leader, "/first", "1")
    world.run(0.01)
    handover = leader.node.transfer_leadership(target.member_id)
    command = Command(Op.CREATE_IN_ORDER, "/queue", "job")
    answer = follower.node.propose("v2", encode_command(command))
    world.run(0.05)
    assert not handover.called
    assert leader.node._proposals.has_outgoing
    change = encode_change(tag_change(ConfigChange(ChangeKind.REMOVE, 9), UNASKED))
    leader.node.received(Propose(leader.member_id, 2, 0, ((EntryKind.CHANGE, change),)))
    assert world.result(handover) is True
    leader.stop()
    assert isinstance(world.result(answer, seconds=3.0), Applied)
    world.run(1.0)
    queue = target.v2.get("/queue", recursive=False, sorted=True).node.nodes
    assert len(queue) == 1


def test_a_handover_to_somebody_gone_ends_with_false():
    world = World(3).start()
    leader = world.leader
    target = world.followers[0]
    target.stop()
    assert world.result(leader.node.transfer_leadership(target.member_id)) is False


def test_leader_changes_are_told():
    world = World(3).start()
    follower = world.followers[0]
    seen = []
    follower.node.on_leader_changed(seen.append)
    world.leader.stop()
    world.run(5.0)
    assert 0 in seen
    assert seen[-1] == world.leader.member_id


def learner_9():
    record = MemberRecord(9, "", ("http://peer-9:2380",), (), learner=True)
    return record, ConfigChange(ChangeKind.ADD_LEARNER, 9, encode_record(record))


def test_a_learner_joins_and_is_promoted_by_the_leader():
    # M14, M15: it costs no index that clients could count, and nobody asks for it.
    world = World(3).start()
    leader = world.leader
    record, change = learner_9()
    applied = world.result(world.followers[0].node.reconfigure(change))
    assert applied.value == record
    world.run(3.0)
    assert leader.node.status().raft.configuration.learners == {9}
    index = leader.v2.index
    newcomer = One(world, 9)
    world.network.members[9] = newcomer
    newcomer.start()
    world.run_until(
        lambda: leader.node.status().raft.configuration.voters == {1, 2, 3, 9}
    )
    world.run(1.0)
    assert newcomer.node.applied_index == leader.node.applied_index
    assert newcomer.node.status().ready_to_serve
    assert leader.v2.index == index + 1, "only its own name"
    assert isinstance(world.result(put(newcomer, "/a", "1")), Applied)


def test_a_learner_of_which_nobody_would_know_that_it_has_run_is_not_promoted():
    # Should it lose its disk now, it is let in again with nothing, and whatever it
    # voted for and acknowledged would be forgotten.
    world = World(3).start()
    leader = world.leader
    _, change = learner_9()
    world.result(leader.node.reconfigure(change))
    world.network.lost = lambda message: (
        isinstance(message, Propose) and message.sender == 9
    )
    newcomer = One(world, 9)
    world.network.members[9] = newcomer
    newcomer.start()
    world.run(5.0)
    assert newcomer.node.applied_index == leader.node.applied_index
    assert leader.node.status().raft.configuration.learners == {9}
    world.network.lost = lambda message: False
    world.run_until(
        lambda: leader.node.status().raft.configuration.voters == {1, 2, 3, 9}
    )
    assert leader.cluster.member(9).client_urls


def test_a_learner_serves_like_any_member():
    world = World(3, promote_learners=False).start()
    _, change = learner_9()
    world.result(world.leader.node.reconfigure(change))
    newcomer = One(world, 9, promote_learners=False)
    world.network.members[9] = newcomer
    newcomer.start()
    world.run_until(lambda: newcomer.node.status().ready_to_serve)
    assert world.leader.node.status().raft.configuration.learners == {9}
    assert world.leader.cluster.member(9).name == "m9"
    assert isinstance(world.result(put(newcomer, "/a", "1")), Applied)
    assert isinstance(world.result(newcomer.node.read_index()), int)
    assert value_of(newcomer, "/a") == "1"


def test_a_promotion_that_is_refused_is_tried_again():
    world = World(3).start()
    leader = world.leader
    asked = []
    learner = attrs.evolve(learner_9()[0], learner=True, client_urls=("http://c:1",))
    promotion = Promotion(
        raft=SimpleNamespace(promotable=lambda among: min(among, default=0)),
        cluster=SimpleNamespace(members=lambda: [learner]),
        reconfigure=lambda change: (asked.append(change), answers[len(asked) - 1])[1],
        clock=world.clock,
        pause_seconds=1.0,
    )
    first: Deferred = Deferred()
    answers = [
        first,
        fail(Unavailable(UnavailableReason.TIMED_OUT, may_take_effect=True)),
        succeed(Applied(1, 1, None)),
        Deferred(),
    ]
    promotion.look()
    promotion.look()
    assert asked == [ConfigChange(ChangeKind.ADD_VOTER, 9)], "one at a time"
    first.errback(ReconfigurationRefused("another one is on its way"))
    promotion.look()
    assert len(asked) == 1, "after a while"
    world.run(1.0)
    promotion.look()
    assert len(asked) == 2
    world.run(1.0)
    promotion.look()
    promotion.look()
    assert len(asked) == 4
    assert leader.running


def test_a_change_that_the_leader_refuses_is_refused_at_its_asker():
    """M02: with the reason, and not by a time-out."""
    world = World(3).start()
    one, two = world.followers
    _, change = learner_9()
    answers = [
        one.node.reconfigure(change),
        two.node.reconfigure(ConfigChange(ChangeKind.REMOVE, 77)),
    ]
    began = world.clock.seconds()
    results = [world.result(answer) for answer in answers]
    assert world.clock.seconds() - began < 1.0
    (refused,) = [each for each in results if not isinstance(each, Applied)]
    assert isinstance(refused, ReconfigurationRefused)
    assert "another membership change" in str(refused)


def test_a_change_during_a_handover_is_refused_at_its_asker():
    world = World(3).start()
    leader, (asker, target) = world.leader, world.followers
    world.network.cut.add((leader.member_id, target.member_id))
    put(leader, "/a", "1")
    world.run(0.01)
    leader.node.transfer_leadership(target.member_id)
    _, change = learner_9()
    refused = world.result(asker.node.reconfigure(change))
    assert isinstance(refused, ReconfigurationRefused)
    assert "transferred" in str(refused)


def test_a_repetition_of_a_refused_change_is_refused_for_ever():
    # R26, R27: who was told that nothing happened must be able to rely on it.
    world = World(3).start()
    leader = world.leader
    leader.node._upkeep.out_of_space = True
    _, change = learner_9()
    tagged = tag_change(change, RequestId(2, 5))
    message = Propose(
        leader.member_id, 2, 0, ((EntryKind.CHANGE, encode_change(tagged)),)
    )
    leader.node.received(message)
    leader.node._upkeep.out_of_space = False
    leader.node.received(message)
    world.run(1.0)
    assert leader.cluster.member(9) is None


def test_a_refusal_of_nothing_is_the_peers_mistake():
    world = World(1).start()
    change = encode_change(ConfigChange(ChangeKind.REMOVE, 9, b"short"))
    refused = ChangeRefused(1, 2, 0, ChangeRefusal.PENDING, change)
    with pytest.raises(PeerError):
        world[1].node.received(refused)
    # One for somebody else, or for a request that is over, is none of our business.
    for request_id in (RequestId(2, 1), RequestId(1, 1)):
        tagged = tag_change(ConfigChange(ChangeKind.REMOVE, 9), request_id)
        world[1].node.received(refused._replace(change=encode_change(tagged)))


def test_one_config_change_in_flight():
    """M02: the second is refused with an error, not dropped."""
    world = World(3).start()
    leader = world.leader
    first = leader.node.reconfigure(
        ConfigChange(
            ChangeKind.ADD_LEARNER,
            9,
            encode_record(MemberRecord(9, "", ("http://peer-9:1",), ())),
        )
    )
    second = leader.node.reconfigure(ConfigChange(ChangeKind.REMOVE, 9))
    assert isinstance(world.result(second), ReconfigurationRefused)
    assert isinstance(world.result(first), Applied)


def test_a_refused_change_leaves_the_configuration_alone():
    world = World(3).start()
    applied = world.result(
        world.leader.node.reconfigure(ConfigChange(ChangeKind.REMOVE, 77))
    )
    assert not isinstance(applied.value, MemberRecord)
    assert world.leader.node.status().raft.configuration.voters == {1, 2, 3}
    assert isinstance(world.result(put(world.leader, "/a", "1")), Applied)


def test_a_removed_member_is_a_peer_until_the_last_word_has_left():
    # M07: that its removal is committed leaves in the turn after it was applied.
    world = World(3).start()
    leader, victim = world.leader, world.followers[0]
    told = []
    keep = leader.link.set_peers

    def set_peers(peer_urls):
        told.append(set(peer_urls))
        keep(peer_urls)

    leader.link.set_peers = set_peers
    rest = {1, 2, 3} - {leader.member_id, victim.member_id}
    world.result(
        leader.node.reconfigure(ConfigChange(ChangeKind.REMOVE, victim.member_id))
    )
    assert told == [rest | {victim.member_id}]
    world.run(0.2)
    assert told == [rest | {victim.member_id}, rest]


def test_a_removed_member_is_told_once():
    world = World(3).start()
    victim = world.followers[0]
    world.result(
        world.leader.node.reconfigure(ConfigChange(ChangeKind.REMOVE, victim.member_id))
    )
    world.run(2.0)
    victim.node.removed("again")
    assert len(victim.removed) == 1
    assert victim.member_id not in world.leader.link.peers


def test_a_leader_that_removes_itself_leaves_the_rest_able_to_elect():
    world = World(2).start()
    leader, other = world.leader, world.followers[0]
    world.result(
        leader.node.reconfigure(ConfigChange(ChangeKind.REMOVE, leader.member_id))
    )
    world.run_until(lambda: bool(leader.removed))
    leader.stop()
    world.run_until(lambda: other.node.is_leader)
    assert isinstance(world.result(put(other, "/a", "1")), Applied)


def test_status_shows_the_member():
    world = World(3).start()
    status = world.leader.node.status()
    assert status.is_leader
    assert status.ready_to_serve
    assert status.leader == world.leader.member_id
    assert status.connected == {o.member_id for o in world.followers}
    assert status.pending_proposals == 0


def test_when_ready_fires_once_published():
    world = World(1)
    one = world[1].start()
    ready = one.node.when_ready()
    assert not ready.called
    world.result(ready)
    assert one.cluster.member(1).name == "m1"
    assert one.node.when_ready().called


def test_stopping_waits_for_the_disk_and_tells_the_waiters():
    world = World(1).start()
    answer = put(world[1], "/a", "1")
    world.clock.advance(0)
    stopped = world[1].node.stop()
    assert world.result(answer).reason is UnavailableReason.STOPPED
    assert not stopped.called
    world.result(stopped)


def test_stopping_during_a_snapshot_aborts_it():
    world = World(1, snapshot_count=5).start()
    one = world[1]
    one.disk.write_seconds = 0.1
    for n in range(20):
        put(one, f"/k{n}", "v")
    world.run_until(lambda: one.node._snapshots._running is not None)
    world.result(one.node.stop())
    assert one.disk.aborted == 1
    assert one.fatal == []


def test_traffic_is_counted():
    world = World(3).start()
    for n in range(10):
        world.result(put(world.leader, f"/k{n}", "v"))
    traffic = world.leader.node.traffic
    assert traffic.sent_appends.count > 10
    assert set(traffic.followers) == {o.member_id for o in world.followers}
    follower = world.followers[0]
    assert follower.node.traffic.received_appends.count > 10
    world.leader.node.unreachable(follower.member_id)
    assert traffic.followers[follower.member_id].fail == 1


def test_a_slow_disk_does_not_stop_the_heartbeats():
    """S19: with a sync of two seconds the leader keeps its term."""
    world = World(3).start()
    leader = world.leader
    term = leader.node.status().raft.term
    leader.disk.sync_seconds = 2.0
    answer = put(leader, "/a", "1")
    assert isinstance(world.result(answer), Applied)
    world.run(3.0)
    assert world.leader is leader
    assert leader.node.status().raft.term == term


def test_changes_carry_their_askers_id():
    change = ConfigChange(ChangeKind.REMOVE, 9, b"record")
    request_id = UNASKED._replace(member_id=1, sequence=2)
    assert untag_change(tag_change(change, request_id)) == (request_id, change)
    with pytest.raises(InvariantViolated):
        untag_change(change)


def test_no_append_answer_leaves_before_it_is_durable():
    """R04 at member level: the leader's commit waits for the followers' disks."""
    world = World(3).start()
    leader = world.leader
    for one in world.followers:
        one.disk.sync_seconds = 1.0
    sent = []

    def watch(message) -> bool:
        if isinstance(message, AppendEntries) and message.entries:
            sent.append(world.clock.seconds())
        return False

    world.network.lost = watch
    world.result(put(leader, "/a", "1"))
    assert world.clock.seconds() - sent[0] >= 1.0
