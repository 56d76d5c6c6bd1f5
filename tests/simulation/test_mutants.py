"""
Planted bugs: the simulation must find each of them within a few seeds.

Every row is a bug of RELIABILITY's kind (its number is in the name), a way to plant it
through a constructor hook or one function of the core, and a mix of faults in which it
shows. What the simulation says of it must be one of the sentences expected here, so
that no bug counts as found because something else broke.
"""

import contextlib
import itertools
import re

import attrs
import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import LoopingCall

from kvd.apply.applier import Applier
from kvd.errors import RequestError, Unavailable
from kvd.node import driver
from kvd.node.node import Node
from kvd.node.reads import Reads
from kvd.node.requests import Requests
from kvd.raft import (
    election,
    invariants,
    membership,
    outlet,
    reads,
    replication,
    roles,
)
from kvd.raft.core import Raft
from kvd.raft.log import Log
from kvd.raft.messages import (
    NOBODY,
    Configuration,
    EntryKind,
    Role,
)
from kvd.raft.progress import Progress
from kvd.raft.state import State
from kvd.storage import segments, snapshots
from kvd.testing.disk import SimulatedDisk
from kvd.testing.invariants import Violated
from kvd.testing.member import Parts, Run, Sizes
from kvd.testing.network import SimulatedTransport
from kvd.testing.simulation import Simulation, plan_of
from kvd.testing.worker import SimulatedWorker
from kvd.v2 import mutations
from kvd.v2.commands import Op, decode_command
from kvd.v2.machine import V2, Watched
from kvd.v2.watchers import Watcher, WatcherHub

from .test_named_members import (
    everybody_else_is_replaced,
    everybody_moves,
    newcomer_joins,
    one_of_two_is_removed,
    removed_member_comes_back,
    slow_newcomer,
    two_changes_at_once,
)
from .test_named_raft import (
    _only_out,
    _ring,
    core_breaks,
    leader_dies_before_it_commits,
    partial_connectivity,
)
from .test_named_storage import single_node, slow_fsync
from .world import World

SEEDS_MAX = 60


def search(*, seeds=SEEDS_MAX, parts=None, members=3, faults, **plan):
    """The first problem that any of the seeds has, and how many seeds it took."""
    for seed in range(seeds):
        changed = attrs.evolve(
            plan_of(seed, members),
            faults=faults,
            **{"pause_seconds": 0.3, "think_seconds": 0.1, "wire": False, **plan},
        )
        report = Simulation(changed, parts=parts).run()
        if report.problem:
            return report.problem, seed + 1
    return "", seeds


def expect(sentence, **how):
    problem, seeds = search(**how)
    assert problem, f"not found in {seeds} seeds"
    assert re.search(sentence, problem), problem
    print(f"{seeds} seeds: {problem[:150]}")


CRASHES = ("power_cut", "power_cut_all", "crash_soon")
MANY_SNAPSHOTS = Sizes(snapshot_count=10, catchup_entries=0, segment_bytes=1024)
NO_SNAPSHOTS = Sizes(snapshot_count=10_000)


# -- the disk and what is said about it ---------------------------------------------


class Wrapped:
    """A persistence with one thing wrong."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)


def test_r02_a_vote_that_is_not_persisted():
    class Forgetful(Wrapped):
        def save(self, hard_state, entries, snapshot):
            if hard_state is not None:
                hard_state = attrs.evolve(hard_state, vote=NOBODY)
            return self._real.save(hard_state, entries, snapshot)

    expect(
        "restart forgot HardState",
        parts=Parts(persistence=Forgetful),
        faults=CRASHES,
    )


def test_r03_a_term_that_is_not_persisted():
    class Forgetful(Wrapped):
        def save(self, hard_state, entries, snapshot):
            if not entries and snapshot is None:
                hard_state = None
            return self._real.save(hard_state, entries, snapshot)

    expect(
        "restart forgot HardState|term is beyond our own",
        parts=Parts(persistence=Forgetful),
        faults=CRASHES,
    )


def test_t05_a_reply_before_the_sync():
    class Unordered(Wrapped):
        def save(self, hard_state, entries, snapshot):
            done = self._real.free_bytes()
            self._real.save(hard_state, entries, snapshot)
            return done.addCallback(lambda _: None)

    expect(
        "restart forgot",
        parts=Parts(persistence=Unordered),
        faults=("crash_soon", "power_cut_all", "slow_disk"),
    )


def test_s06_a_failed_sync_that_is_tried_again():
    class Stubborn(SimulatedDisk):
        def sync(self, inode):
            try:
                super().sync(inode)
            except OSError:
                super().sync(inode)

    expect(
        "restart forgot|liveness",
        parts=Parts(disk=Stubborn),
        faults=("sync_error", "power_cut"),
    )


def test_s07_a_full_disk_that_nobody_notices():
    class Deaf(SimulatedDisk):
        def append(self, inode, data):
            with contextlib.suppress(OSError):
                super().append(inode, data)

    expect(
        "restart forgot|liveness|StorageError",
        parts=Parts(disk=Deaf),
        faults=("disk_full", "kill"),
    )


def test_s09_a_folder_that_is_never_synced():
    class Careless(SimulatedDisk):
        def sync_folder(self, path):
            self.syncs += 1

    expect(
        "restart forgot|StorageError|liveness",
        parts=Parts(disk=Careless),
        faults=("power_cut",),
    )


def test_s01_a_torn_tail_that_is_taken_as_valid(monkeypatch):
    monkeypatch.setattr(
        segments.SegmentReader,
        "_whole_body",
        lambda self, offset, header: self.window.take(
            offset + segments.RECORD_HEADER_BYTES, header.length
        ).ljust(header.length, b"\0"),
    )
    expect(
        "log matching|made up|StorageError|forgot|InvariantViolated|outcome|safety"
        "|liveness",
        faults=("crash_soon", "power_cut_all"),
        seeds=150,
    )


def test_s11_a_log_trimmed_before_the_snapshot_is_durable():
    class Lazy(Wrapped):
        def create_snapshot(self, meta):
            writer = self._real.create_snapshot(meta)

            class NotYet:
                write, abort = writer.write, writer.abort

                def commit(self):
                    return writer.write(b"")

            return NotYet()

    expect(
        "released only up to a durable snapshot|there is no snapshot"
        "|no snapshot has it|newest snapshot",
        parts=Parts(persistence=Lazy),
        faults=("power_cut", "partition"),
        sizes=MANY_SNAPSHOTS,
    )


def test_s17_a_hard_state_that_comes_after_its_entries():
    class Split(Wrapped):
        def save(self, hard_state, entries, snapshot):
            done = self._real.save(None, entries, snapshot)
            if hard_state is not None:
                self._real.save(hard_state, (), None)
            return done

    expect(
        "restart forgot|term is beyond",
        parts=Parts(persistence=Split),
        faults=("crash_soon", "power_cut_all", "slow_disk"),
    )


# -- the core ------------------------------------------------------------------------


def figure_8():
    """
    The raft paper's figure 8, on whole members; returns the world at its end.

    1 or 2 lead with an entry x that only they have; another leads a later term with an
    entry that only it has; 1 or 2 lead again, and x reaches a third of five. Then the
    one with the later term comes back and must be able to win.
    """
    world = World(5, append_bytes_max=1, seed="figure 8")
    cluster, network = world.cluster, world.network
    leader = world.lead()
    if leader.member_id > 2:
        world.ask(leader, lambda run: run.node.transfer_leadership(1))
        leader = world.lead(among=[1, 2])
    world.settle()
    cluster.restarts = False
    network.isolate([1, 2], [3, 4, 5])
    world.begin(leader, Op.SET, "/x", "x")
    world.run(0.05)
    x = leader.raft.status().last_index
    for member_id in (1, 2):
        assert cluster.invariants.logs[member_id].last == x
        cluster.power_cut(world.machine(member_id))
    # b: one of the rest leads, and its first entry reaches nobody.
    later = world.until(cluster.leader)
    world.isolate(later.member_id)
    world.run(0.05)
    assert cluster.invariants.logs[later.member_id].last == x
    cluster.power_cut(later.machine)
    # c: the first ones come back; x reaches a third, nothing newer does.
    rest = [member for member in (3, 4, 5) if member != later.member_id]
    network.heal()
    network.isolate([1, 2], rest[1:])

    def third_has_x(message):
        entries = getattr(message, "entries", ())
        if message.to == rest[0] and any(entry.index == x for entry in entries):
            for member_id in (1, 2):
                network.cut(member_id, rest[0])

    for member_id in (1, 2):
        world.machine(member_id).removed = False
        cluster.start(world.machine(member_id))
    network.observer = third_has_x
    log = cluster.invariants.logs[rest[0]]
    world.until(lambda: log.last == x)
    world.run(0.02)
    for member_id in (1, 2):
        cluster.power_cut(world.machine(member_id))
    # d: the later term comes back.
    network.observer = None
    network.heal()
    cluster.start(later.machine)
    world.until(lambda: cluster.leader() and cluster.leader().ready)
    assert cluster.leader().member_id == later.member_id
    cluster.start_all()
    world.settle()
    return world


def test_figure_8_without_the_bug():
    assert figure_8().actions("/x") == []


def test_r01_commit_by_counting_old_terms(monkeypatch):
    monkeypatch.setattr(replication, "may_commit_by_counting", lambda *_: True)
    with pytest.raises(Violated, match="leader completeness"):
        figure_8()


def test_r04_an_append_that_is_acknowledged_before_it_is_durable(monkeypatch):
    true = outlet._next_persist

    def hasty(state):
        state.messages += state.after
        state.after = []
        return true(state)

    monkeypatch.setattr(outlet, "_next_persist", hasty)
    expect(
        "no quorum holds it|forgot|safety|completeness",
        faults=("slow_disk", "crash_soon"),
    )


def test_r05_a_leader_that_counts_itself_before_it_is_durable(monkeypatch):
    true = replication.append_own

    def append_own(state, kind, datas):
        true(state, kind, datas)
        progress = state.progress[state.me]
        if progress.accepted(state.log.last, state.log.last):
            replication.maybe_commit(state)

    monkeypatch.setattr(replication, "append_own", append_own)
    expect("no quorum holds it|forgot", faults=("slow_disk", "crash_soon"))


def test_r06_a_commit_index_that_goes_back(monkeypatch):
    def commit_to(self, index):
        self.commit = index

    true = replication.handle_append

    def handle_append(state, message):
        true(state, message)
        known = replication.commit_known(message, state.log.last)
        if known >= state.handed_out:
            state.commit = known

    monkeypatch.setattr(State, "commit_to", commit_to)
    monkeypatch.setattr(replication, "handle_append", handle_append)
    expect(
        "took its commit back|out of order",
        faults=("reorder", "delay", "slow_disk", "transfer"),
    )


def test_r07_a_match_index_that_goes_back(monkeypatch):
    def accepted(self, index, last):
        self.inflight.clear()
        self.inflight_bytes = 0
        if index == self.match:
            return False
        invariants.match_may_advance(self, index, last)
        self.match = index
        self.next = max(self.next, index + 1)
        return True

    monkeypatch.setattr(Progress, "accepted", accepted)
    expect("match index of", faults=("reorder", "repeat", "delay"))


def test_r08_an_old_append_that_truncates_what_matches(monkeypatch):
    def everything(state, message):
        first = message.entries[0].index
        if first <= state.log.last:
            state.log.truncate(first)
        return message.entries

    monkeypatch.setattr(replication, "_without_known", everything)
    expect(
        "no quorum|forgot|InvariantViolated|completeness",
        faults=("reorder", "repeat", "delay"),
    )


def test_r10_a_follower_that_commits_what_was_not_verified(monkeypatch):
    true = replication.handle_append

    def handle_append(state, message):
        true(state, message)
        if state.commit < min(message.commit, state.log.last):
            state.commit_to(min(message.commit, state.log.last))

    monkeypatch.setattr(replication, "handle_append", handle_append)
    expect(
        "others committed|safety|InvariantViolated|log matching",
        members=5,
        faults=("partition", "pause"),
        sizes=Sizes(append_bytes_max=1, snapshot_count=10_000),
        think_seconds=0.05,
        clients=4,
        seeds=100,
    )


def test_r11_votes_of_another_term_that_count(monkeypatch):
    def handle_vote_response(state, message):
        if state.role in {Role.PRE_CANDIDATE, Role.CANDIDATE}:
            state.votes[message.sender] = message.granted
            election._count(state)

    monkeypatch.setattr(election, "handle_vote_response", handle_vote_response)
    expect(
        "election safety|two leaders|completeness|InvariantViolated",
        members=5,
        faults=("partition", "delay", "kill", "repeat", "reorder"),
        seeds=150,
    )


def test_r12_a_vote_for_a_log_that_is_not_up_to_date(monkeypatch):
    monkeypatch.setattr(election, "is_up_to_date", lambda *_: True)
    expect(
        "leader completeness|InvariantViolated|others committed|safety",
        faults=("partition", "power_cut", "pause", "one_way_cut"),
    )


def test_a_vote_that_is_given_twice(monkeypatch):
    monkeypatch.setattr(election, "may_vote_for", lambda state, message: True)
    monkeypatch.setattr(
        roles, "give_vote", lambda state, candidate: setattr(state, "vote", candidate)
    )
    expect(
        "election safety|two leaders|second vote|log matching",
        members=5,
        faults=("kill", "partition", "delay"),
        seeds=150,
    )


def test_r20_a_read_index_before_the_first_commit_of_the_term(monkeypatch):
    monkeypatch.setattr(State, "has_committed_in_term", True)
    expect(
        "stale read|had been answered|linearizable|InvariantViolated",
        members=3,
        faults=("kill", "transfer", "slow_disk", "delay"),
        seeds=200,
    )


def test_r21_a_read_that_an_older_round_confirms(monkeypatch):
    def arrived(state, asker, context):
        reads._answer(state, asker, context, state.commit)

    monkeypatch.setattr(reads, "_arrived", arrived)
    expect(
        "stale read|had been answered|linearizable",
        faults=("partition", "pause"),
        think_seconds=0.04,
        seeds=100,
    )


def test_r24_a_read_from_the_local_state():
    class Local(Node):
        def read_index(self):
            return succeed(self.applied_index)

    expect(
        "stale read|had been answered|linearizable",
        parts=Parts(node=Local),
        faults=("partition", "delay"),
    )


def test_r26_a_forwarded_write_that_is_proposed_twice():
    class Forgetful:
        def admit(self, message, *, out_of_space, handing_over):
            return message

    class Twice(Node):
        def __init__(self, **parts):
            super().__init__(**parts)
            self._forwarded = Forgetful()

    expect(
        "took effect more than once",
        parts=Parts(node=Twice),
        faults=("repeat",),
    )


def test_r27_an_unknown_outcome_that_is_called_a_failure():
    class Sure(Node):
        def propose(self, machine, body):
            answer = super().propose(machine, body)

            def lie(failure):
                failure.value.may_take_effect = False
                return failure

            return answer.addErrback(lie)

    expect(
        "refused, and took effect all the same",
        parts=Parts(node=Sure),
        faults=("partition", "pause", "delay"),
    )


# -- membership ----------------------------------------------------------------------


def test_m10_a_snapshot_that_forgets_the_configuration():
    first = Configuration(frozenset((1, 2, 3)))

    class Forgetful(Wrapped):
        def create_snapshot(self, meta):
            return self._real.create_snapshot(attrs.evolve(meta, configuration=first))

    expect(
        "core and cluster machine|election safety|InvariantViolated|liveness",
        parts=Parts(persistence=Forgetful),
        faults=("reconfigure", "kill", "partition"),
        sizes=MANY_SNAPSHOTS,
    )


def test_m12_configuration_changes_that_are_not_replayed():
    class Deaf(Raft):
        def apply_change(self, change):
            status = self.status()
            if self._recovered_commit >= status.applied + 4:
                self.skip_change()
                return status.configuration
            return super().apply_change(change)

        def __init__(self, config, *, hard_state, **rest):
            self._recovered_commit = hard_state.commit
            super().__init__(config, hard_state=hard_state, **rest)

    expect(
        "core and cluster machine|election safety|liveness|InvariantViolated",
        parts=Parts(raft=Deaf),
        faults=("reconfigure", "kill"),
        sizes=NO_SNAPSHOTS,
    )


class NoWayBack(SimulatedTransport):
    """Answers go only to addresses that are known."""

    def has_way_back(self, member_id):
        return False


def test_a_newcomer_that_has_no_way_back(monkeypatch):
    expect(
        "liveness",
        parts=Parts(transport=NoWayBack),
        faults=("reconfigure", "kill"),
        sizes=NO_SNAPSHOTS,
    )
    for story in (newcomer_joins, everybody_moves, everybody_else_is_replaced):
        with pytest.raises(AssertionError):
            story(parts=Parts(transport=NoWayBack))


def test_a_member_that_lets_no_stranger_in(monkeypatch):
    def admits(self, member_id):
        return self.transport.knows(member_id) or bool(self.refuses(member_id))

    monkeypatch.setattr(Run, "admits", admits)
    expect("liveness", faults=("reconfigure", "kill"), sizes=NO_SNAPSHOTS)
    for story in (newcomer_joins, everybody_else_is_replaced):
        with pytest.raises(AssertionError):
            story()


def test_m05_a_removal_that_is_told_before_it_is_durable(monkeypatch):
    monkeypatch.setattr(State, "settled_commit", property(lambda state: state.commit))
    with pytest.raises(AssertionError):
        for seed in range(12):
            one_of_two_is_removed(seed)


def test_m15_a_learner_that_votes_before_it_has_caught_up(monkeypatch):
    def promotable(state, among):
        if state.role is not Role.LEADER or state.has_unapplied_change:
            return NOBODY
        return min(state.configuration.learners, default=NOBODY)

    monkeypatch.setattr(membership, "promotable", promotable)
    monkeypatch.setattr(membership, "_is_caught_up", lambda state, progress: True)
    monkeypatch.setattr(membership, "_is_healthy", lambda *_: True)
    with pytest.raises((AssertionError, Unavailable)):
        slow_newcomer()


def test_m02_a_refusal_that_reaches_nobody(monkeypatch):
    monkeypatch.setattr(Requests, "refused", lambda self, message: None)
    with pytest.raises(AssertionError):
        two_changes_at_once()


# -- applying ------------------------------------------------------------------------


def test_s13_an_entry_that_is_applied_twice_after_a_restart():
    class Twice(Applier):
        def restoring(self, chunks):
            self._again = True
            return super().restoring(chunks)

        def apply(self, entry):
            if getattr(self, "_again", False):
                self._again = False
                super().apply(entry)
                self.applied_index -= 1
            return super().apply(entry)

    expect(
        "another outcome|tells|differ",
        parts=Parts(applier=Twice),
        faults=("kill",),
        sizes=MANY_SNAPSHOTS,
    )


def test_k03_an_order_that_depends_on_the_hash_seed():
    seeds = itertools.count()

    class Hashed(V2):
        def __init__(self, **parts):
            super().__init__(**parts)
            self._seed = next(seeds)

        def apply(self, *, index, time_ns, body):
            value = super().apply(index=index, time_ns=time_ns, body=body)
            if isinstance(value, RequestError) and (self._seed + index) % 2:
                return RequestError(value.code, value.cause[::-1], value.index)
            return value

    expect("another outcome", parts=Parts(v2=Hashed), faults=("kill",))


def test_k06_a_compare_and_swap_that_does_not_compare(monkeypatch):
    class Blind(V2):
        def apply(self, *, index, time_ns, body):
            command = decode_command(body)
            if command.op is Op.COMPARE_AND_SWAP:
                blind = command._replace(prev_value=None, prev_index=0)
                return mutations.update(self._store, blind, time_ns)
            return super().apply(index=index, time_ns=time_ns, body=body)

    expect("linearizable", parts=Parts(v2=Blind), faults=("kill",))


def test_k01_a_member_that_expires_by_its_own_clock():
    class Impatient(Node):
        def __init__(self, *, applier, wall_time_ns, **rest):
            super().__init__(applier=applier, wall_time_ns=wall_time_ns, **rest)
            self.watched = applier
            self.my_time_ns = wall_time_ns
            self.my_loop = LoopingCall(self.expire_here)
            self.my_loop.clock = rest["clock"]
            self.my_loop.start(0.1, now=False)

        def expire_here(self):
            now = self.my_time_ns()
            for _, body in self.watched.due(now):
                self.watched._run.v2.apply(index=0, time_ns=now, body=body)

    expect(
        "tells|another outcome|differ|expired",
        parts=Parts(node=Impatient),
        faults=("clock_skew", "clock_step"),
    )


def test_k02_a_key_that_expires_early():
    class Early(V2):
        def due(self, *, time_ns):
            return super().due(time_ns=time_ns + 1_500_000_000)

    expect("ahead of its own clock", parts=Parts(v2=Early), faults=("kill",))


# -- watches -------------------------------------------------------------------------


def test_w01_a_watch_that_looks_at_the_history_and_registers_later():
    class Gap(V2):
        def watch(self, path, *, recursive, stream, since, callback):
            store = self._store
            if 1 < since <= store.index:
                watcher = Watcher(
                    path,
                    recursive=recursive,
                    stream=stream,
                    since=store.index + 1,
                    callback=callback,
                )
                return Watched(store.index, None, store.hub.add(watcher))
            return super().watch(
                path, recursive=recursive, stream=stream, since=since, callback=callback
            )

    expect("watched from", parts=Parts(v2=Gap), faults=("partition", "pause"))


def test_w02_a_watch_of_the_future_that_is_answered_with_the_past():
    class Eager(V2):
        def watch(self, path, *, recursive, stream, since, callback):
            return super().watch(
                path,
                recursive=recursive,
                stream=stream,
                since=min(since, self.index + 1),
                callback=callback,
            )

    expect("watched from", parts=Parts(v2=Eager), faults=("partition", "pause"))


def test_w04_a_history_that_does_not_survive_a_snapshot():
    class Forgetful(V2):
        def _replace(self, replace_store):
            super()._replace(replace_store)
            for _ in range(1000):
                self._store.history.append(None)

    expect(
        "watched from|401|dropped|cleared|tells|RequestError|differ",
        parts=Parts(v2=Forgetful),
        faults=("kill",),
        sizes=MANY_SNAPSHOTS,
    )


def test_w05_events_that_a_snapshot_skips(monkeypatch):
    monkeypatch.setattr(WatcherHub, "catch_up", lambda self, events: None)
    expect(
        "tells|watched from",
        faults=("partition", "kill"),
        sizes=MANY_SNAPSHOTS,
    )


# -- availability: the stories of RELIABILITY R16 ------------------------------------


def test_r13_an_isolated_member_that_moves_the_term():
    class Eager(Raft):
        def __init__(self, config, **rest):
            super().__init__(attrs.evolve(config, pre_vote=False), **rest)

    member_comes_back()
    with pytest.raises(AssertionError):
        member_comes_back(parts=Parts(raft=Eager))


def member_comes_back(parts=None):
    """Somebody who was cut off for long disturbs nobody."""
    world = World(3, parts=parts)
    leader = world.lead()
    world.put(leader, "/k", "before")
    term = leader.raft.term
    world.isolate(world.others(leader)[0].member_id)
    world.run(5.0)
    world.heal()
    world.run(3.0)
    assert world.cluster.leader() is leader
    assert leader.raft.term == term


def test_r14_a_leader_that_hears_nobody_and_stays(monkeypatch):
    monkeypatch.setattr(election, "is_quorum_active", lambda state: True)
    with pytest.raises((AssertionError, Unavailable)):
        partial_connectivity(_only_out, 1)


def test_r15_a_vote_against_a_leader_that_lives(monkeypatch):
    ring_keeps_its_leader()
    monkeypatch.setattr(election, "has_live_leader", lambda state: False)
    monkeypatch.setattr(
        election, "may_vote_for", lambda state, message: message.pre or not state.vote
    )
    with pytest.raises(AssertionError):
        ring_keeps_its_leader()


def ring_keeps_its_leader():
    """Two of five do not hear the leader; those who do give them no vote."""
    world = World(5)
    leader = world.lead()
    world.settle()
    term = leader.raft.term
    _ring(world.network)
    world.run(10.0)
    assert world.cluster.leader() is leader
    assert leader.raft.term == term


def test_r24_a_read_that_does_not_wait_for_apply(monkeypatch):
    true = Reads.confirm

    def confirm(self, context, index):
        true(self, context, index)
        self.release(1 << 62)

    monkeypatch.setattr(Reads, "confirm", confirm)
    expect(
        "stale read|had been answered|linearizable",
        faults=("delay", "slow_disk", "reorder"),
    )


def test_s10_a_snapshot_that_is_renamed_before_it_is_synced(monkeypatch):
    true = snapshots.Draft.finish

    def finish(self):
        file = self._open()
        inode, synced = file._inode, file._inode.synced
        true(self)
        inode.synced = synced

    monkeypatch.setattr(snapshots.Draft, "finish", finish)
    expect(
        "forgot the snapshot|StorageError|forgot entry",
        faults=("power_cut", "power_cut_all"),
        sizes=MANY_SNAPSHOTS,
    )


def test_k02_a_key_that_never_expires():
    class Never(V2):
        def due(self, *, time_ns):
            return ()

    expect("the end of every TTL", parts=Parts(v2=Never), faults=("kill",))


def test_w09_events_in_another_order(monkeypatch):
    true = WatcherHub.publish

    def publish(self):
        self._deliveries.reverse()
        true(self)

    monkeypatch.setattr(WatcherHub, "publish", publish)
    expect("tells index|tells Event", faults=("slow_disk", "partition"))


# -- the other stories -----------------------------------------------------------------


def test_r19_a_leader_that_begins_without_an_entry(monkeypatch):
    true = Log.append

    def append(self, entries):
        if entries[0].kind is not EntryKind.NOOP or entries[0].index < 5:
            true(self, entries)

    monkeypatch.setattr(Log, "append", append)
    with pytest.raises(AssertionError):
        leader_dies_before_it_commits()


def test_m06_a_removed_member_that_is_let_in_again(monkeypatch):
    monkeypatch.setattr(Run, "refuses", lambda self, member_id: "")
    with pytest.raises(AssertionError):
        removed_member_comes_back()


def test_s14_a_single_member_that_answers_before_it_saves():
    class Hasty(Wrapped):
        def save(self, hard_state, entries, snapshot):
            done = self._real.free_bytes()
            self._real.save(hard_state, entries, snapshot)
            return done.addCallback(lambda _: None)

    with pytest.raises(AssertionError):
        single_node(parts=Parts(persistence=Hasty))


def test_s19_a_sync_that_stops_the_process():
    class Blocking(SimulatedWorker):
        def _run(self):
            process, disk, syncs = self._process, self._disk, self._disk.syncs
            super()._run()
            seconds = disk.sync_seconds * (disk.syncs - syncs)
            if seconds > 1:
                process.pause()
                process.timeline.after(seconds, process.resume)

    with pytest.raises(AssertionError):
        slow_fsync("leader", parts=Parts(worker=Blocking))


def test_t03_an_exception_in_the_core_that_is_swallowed(monkeypatch):
    def guarded(self, work):
        with contextlib.suppress(RuntimeError):
            work()

    monkeypatch.setattr(driver.Driver, "guarded", guarded)
    with pytest.raises(AssertionError):
        core_breaks()
