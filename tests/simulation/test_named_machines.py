"""RELIABILITY's K and W rows on whole members."""

from kvd.errors import RequestError, Unavailable
from kvd.v2.accounts import PutRole, PutUser, Refused
from kvd.v2.authcodec import RemoveUser, Switch
from kvd.v2.commands import Asker, Op
from kvd.v2.permissions import Permissions

from .world import World


def test_ttl_expires_only_through_the_log_by_the_leader():
    world = World(3)
    leader = world.lead()
    world.put(leader, "/t", "v", ttl=2)
    world.settle()
    followers = world.others(leader)
    # Their clocks say that its time has long come; it is not theirs to say.
    for run in followers:
        run.machine.clock.step_wall(3600)
    world.run(1.0)
    assert world.actions("/t") == ["set"]
    # Without a quorum nobody can say it.
    for run in [leader, *followers]:
        world.isolate(run.member_id)
    world.run(8.0)
    assert world.actions("/t") == ["set"]
    assert all(world.value(run, "/t") == "v" for run in [leader, *followers])
    world.heal()
    world.lead()
    world.until(lambda: world.actions("/t") == ["set", "expire"])
    world.settle()


def test_ttl_once_not_early_not_never():
    """Over a change of leader, a restart of all, snapshots, and steps of the clock."""
    world = World(3, snapshot_count=10, catchup_entries=0)
    leader = world.lead()
    for number in range(30):
        world.put(leader, f"/t{number}", "v", ttl=3 + number * 0.2)
    began = world.timeline.now
    world.cluster.kill(leader.machine)
    leader = world.lead()
    leader.machine.clock.step_wall(-2)
    world.run(0.5)
    for machine in world.cluster.machines.values():
        world.cluster.power_cut(machine)
    leader = world.lead()
    assert world.cluster.counts["snapshot_made"] > 0
    slow = world.others(leader)[0]
    world.isolate(slow.member_id)
    world.run(2.0)
    leader.machine.clock.correct(1_700_000_000 * 10**9)
    world.heal()
    world.run(max(0.0, began + 14.0 - world.timeline.now))
    world.settle()
    for number in range(30):
        assert world.actions(f"/t{number}") == ["set", "expire"]
    # That none was early the cluster has checked at each Sync.
    assert world.cluster.counts["expired"] == 30


def test_wait_index_in_future_on_lagging_follower():
    world = World(3)
    leader = world.lead()
    slow = world.others(leader)[0]
    world.settle()
    world.isolate(slow.member_id)
    index = slow.v2.index
    for number in range(10):
        world.put(leader, "/k", str(number))
    told = world.watch(slow, since=index + 8)
    once = world.watch(slow, since=index + 8, stream=False)
    world.run(2.0)
    assert told == once == []
    world.heal()
    world.settle()
    assert [event.node.modified_index for event in told] == list(
        range(index + 8, index + 11)
    )
    assert [event.node.modified_index for event in once] == [index + 8]


def test_history_survives_restart_and_snapshot_install():
    world = World(3, snapshot_count=10, catchup_entries=0)
    leader = world.lead()
    slow = world.others(leader)[0].member_id
    world.isolate(slow)
    events = [world.put(leader, "/k", str(number)) for number in range(50)]
    world.heal()
    world.settle()
    assert world.cluster.counts["snapshot_restored"] > 0
    for machine in world.cluster.machines.values():
        world.cluster.power_cut(machine)
    world.lead()
    world.settle()
    for run in world.cluster.serving():
        for event in events[::7]:
            since = event.node.modified_index
            assert world.watch(run, since=since) == [event]


def test_no_event_before_apply_none_skipped_on_snapshot():
    world = World(3, snapshot_count=10, catchup_entries=0)
    leader = world.lead()
    slow = world.others(leader)[0]
    world.settle()
    since = slow.v2.index + 1
    told = world.watch(slow, since=since)
    seen_early = []
    world.isolate(slow.member_id)
    expected = [
        world.put(leader, f"/k{number % 3}", str(number)) for number in range(40)
    ]
    restored = world.cluster.counts["snapshot_restored"]

    def early():
        for event in told:
            if event.node.modified_index > slow.v2.index:
                seen_early.append(event)
        return world.cluster.counts["snapshot_restored"] > restored

    world.heal()
    world.until(early)
    expected += [world.put(leader, "/k", str(number)) for number in range(5)]
    world.settle()
    assert told == expected
    assert seen_early == []


def test_watch_order_over_leader_change_and_hop():
    """One client follows with waitIndex, on another member after each event."""
    world = World(3, snapshot_count=20, catchup_entries=0)
    leader = world.lead()
    since = leader.v2.index + 1
    written = 0
    got = []
    for step in range(60):
        runs = world.cluster.serving()
        run = runs[step % len(runs)]
        told = world.watch(run, since=since, stream=False)
        if step % 10 == 5:
            world.cluster.kill(world.lead().machine)
        answers = []
        while not told:
            leader = world.lead()
            if not answers or isinstance(answers[0], (Unavailable, RequestError)):
                answers = world.begin(leader, Op.SET, "/k", str(written))
                written += 1
            world.run(0.05)
            if not run.process.alive:
                runs = world.cluster.serving()
                run = runs[0]
                told = world.watch(run, since=since, stream=False)
        (event,) = told
        got.append(event)
        since = event.node.modified_index + 1
    world.settle()
    events = world.cluster.chronicle.events
    start = events.index(got[0])
    assert got == events[start : start + 60]


def test_enable_auth_keeps_members_identical():
    """A05: with writes under way, a member cut off, snapshots, and a crash of all."""
    world = World(3, snapshot_count=10, catchup_entries=0)
    leader = world.lead()
    slow = world.others(leader)[0]
    assert world.authorise(leader, PutUser("root", "hash")).created
    world.authorise(leader, PutRole("r", Permissions(None, ("/mine/*",))))
    world.authorise(leader, PutUser("ann", "hash", roles=("r",)))
    world.settle()
    world.isolate(slow.member_id)
    early = [world.begin(leader, Op.SET, f"/k{n}", "v") for n in range(5)]
    assert world.authorise(leader, Switch(True)).created  # and the guest role
    late = [world.begin(leader, Op.SET, f"/l{n}", "v") for n in range(5)]
    world.until(lambda: all(early) and all(late))
    root = Asker("root", leader.auth.index)
    world.authorise(
        leader, PutRole("guest", revoke=Permissions(("/*",), ("/*",))), root
    )
    refused = world.begin(leader, Op.SET, "/k", "v")
    ann = Asker("ann", leader.auth.index)
    written = world.begin(leader, Op.SET, "/mine/k", "v", by=ann)
    world.until(lambda: refused and written)
    assert refused[0].value.code == 110
    assert written[0].value.action == "set"
    assert not slow.auth.enabled
    world.heal()
    world.settle()
    assert world.cluster.counts["snapshot_restored"] > 0
    for machine in world.cluster.machines.values():
        world.cluster.power_cut(machine)
    leader = world.lead()
    world.settle()
    assert all(run.auth.enabled for run in world.cluster.serving())
    refusal = Refused(401, "Insufficient credentials")
    assert world.authorise(leader, Switch(False)) == refusal


def test_a_right_that_was_revoked_is_refused_on_every_member():
    """A03: a member that lags lets a write in, and the log refuses it."""
    world = World(3)
    leader = world.lead()
    world.authorise(leader, PutUser("root", "hash"))
    world.authorise(leader, PutRole("r", Permissions(None, ("/mine/*",))))
    world.authorise(leader, PutUser("ann", "hash", roles=("r",)))
    world.authorise(leader, Switch(True))
    world.settle()
    slow = world.others(leader)[0]
    ann, root = Asker("ann", slow.auth.index), Asker("root", slow.auth.index)
    world.isolate(slow.member_id)
    world.authorise(leader, PutUser("ann", revoke=("r",)), root)
    # It has not heard of it, and by its own state ann still may.
    answer = world.begin(slow, Op.SET, "/mine/k", "v", by=ann)
    world.run(0.5)
    world.heal()
    world.until(lambda: answer)
    if not isinstance(answer[0], Unavailable):
        assert answer[0].value.code == 110
    world.settle()
    for run in world.cluster.serving():
        denied = world.begin(run, Op.SET, "/mine/k", "v", by=ann)
        world.until(lambda denied=denied: denied)
        assert denied[0].value.code == 110
        assert world.value(run, "/mine/k") is None
    assert world.authorise(leader, RemoveUser("ann"), root).account is None
