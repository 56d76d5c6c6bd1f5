"""``force-new-cluster``: on a member's own data, on a backup, and where it must not."""

from __future__ import annotations

import re
from random import Random

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from kvd.apply.request import Request, RequestId, encode_request
from kvd.cluster.facts import decode_facts
from kvd.cluster.machine import ClusterMachine, encode_publish, encode_record
from kvd.cluster.members import MemberRecord
from kvd.config import Config
from kvd.errors import ConfigError, StorageError
from kvd.forcing import force
from kvd.node.bootstrap import bootstrap_log
from kvd.node.changes import UNASKED, tag_change
from kvd.node.forced import follow
from kvd.peer.commands import Purpose, Refusal
from kvd.peer.receiving import Introduction
from kvd.raft.codec import encode_change
from kvd.raft.messages import (
    AppendEntries,
    ChangeKind,
    ConfigChange,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    SnapshotMeta,
)
from kvd.storage.backup import back_up
from kvd.storage.data_dir import Identity, StorageSettings
from kvd.storage.open import Opened
from tests.apply.conftest import Machines
from tests.storage.fakes import IDENTITY, Machine, PowerCut, entry, seeded
from tests.test_service import CONFIG, GET, PUT, THREE, House, Transport

ME = IDENTITY.member_id
BACKUP = Identity(0x1234, 0x5678)
RESTORED = attrs.evolve(CONFIG, data_dir="/backup", force_new_cluster=True)


@pytest.fixture
def house():
    made = House()

    def observe(event):
        if str(event.get("log_namespace", "")).startswith("kvd."):
            text = event["log_format"].format(**event)
            made.lines.append((event["log_level"].name, text))

    globalLogPublisher.addObserver(observe)
    yield made
    globalLogPublisher.removeObserver(observe)


def back_up_house(house, folder="/backup"):
    steps = back_up(
        house.disk,
        member=StorageSettings(data_folder="/data"),
        backup=StorageSettings(data_folder=folder),
        identity=BACKUP,
        pause=lambda _: None,
    )
    return list(steps)


def members(house):
    return house.ask(b"GET /v2/members HTTP/1.1\r\nHost: x\r\n\r\n").split(b"\r\n\r\n")[
        1
    ]


# -- whole members ------------------------------------------------------------------------


def test_a_survivor_of_three_becomes_a_cluster_of_its_own(house):
    house.start(THREE)
    house.run(15.0)  # the others are silent: it never has a leader
    assert house.ask(GET) == b""
    house.stop()
    # What founded the cluster is not looked at; its id and URLs stay.
    forced = attrs.evolve(
        CONFIG,
        force_new_cluster=True,
        initial_advertise_peer_urls=("http://10.9.9.9:2380",),
    )
    service = house.start(forced)
    house.run()
    for name in ("second", "third"):
        house.line(level="warn", text=f"force-new-cluster: member {name} ")
    house.line(level="warn", text="the only member is default, id ")
    house.line(level="warn", text="start it without force-new-cluster from now on")
    assert b"201 Created" in house.ask(PUT)
    assert members(house).count(b'"id"') == 1
    assert b'"peerURLs":["http://localhost:2380"]' in members(house)
    house.stop()
    entries = service._opened.recovered.entries
    # The flag is still there: nothing more to do. And then without it.
    for config in (forced, CONFIG):
        house.lines.clear()
        service = house.start(config)
        house.run()
        assert not any("is removed" in text for _, text in house.lines)
        assert b'"value":"1"' in house.ask(GET)
        assert members(house).count(b'"id"') == 1
        house.stop()
        found = service._opened.recovered.entries
        assert found[: len(entries)] == entries
        assert [e.kind for e in found].count(EntryKind.CHANGE) == 5


def test_the_removed_are_not_talked_to_even_before_that_is_applied(house):
    machine = founded(snapshot=True)  # in which all three are members
    machine.close()
    house.disk = machine.disk
    for config in (attrs.evolve(CONFIG, force_new_cluster=True), CONFIG):
        service = house.start(config)
        applied = 0
        while applied < 9:
            house.one_call()
            if service._parts is not None:
                assert service._parts.transport._peers == {}
                applied = service._parts.node.applied_index
        house.run()
        assert house.reactor.tcpClients == []
        house.stop()


def test_a_survivor_that_could_not_remove_the_others_is_helped_by_force(house):
    machine = removing_the_others(founded())
    machine.close()
    house.disk = machine.disk
    house.start(attrs.evolve(CONFIG, force_new_cluster=True))
    house.run()
    assert b"201 Created" in house.ask(PUT)
    assert members(house).count(b'"id"') == 1
    house.stop()


def test_whether_a_founder_has_run_may_be_in_what_is_not_known_to_be_committed(house):
    machine = founded()
    told = encode_request(
        Request("cluster", RequestId(2, 1), 1, encode_publish(2, "m2", ("http://c:1",)))
    )
    machine.save(None, [Entry(8, 2, EntryKind.NORMAL, told)])
    machine.close()
    house.disk = machine.disk
    hello = Introduction(IDENTITY.cluster_id, 2, ME, Purpose.FOUNDING)
    service = house.start(CONFIG)
    house.run()
    assert service._parts.node.applied_index == 5
    judge = service._parts.transport._reception.judge
    assert judge(hello).refusal is Refusal.STRANGER, "it is asked again"
    service._parts.node.received(Heartbeat(ME, 3, 2, 8, 1))
    house.run(0.5)
    assert service._parts.node.applied_index == 8
    assert judge(hello).refusal is Refusal.BOOTSTRAPPED
    assert judge(attrs.evolve(hello, member_id=3)) is None
    house.stop()


def test_nobody_is_told_of_members_before_all_that_is_known_is_applied(house):
    # One that lost its data would be let in again by a list of before it had any.
    machine = founded(snapshot=True)
    machine.close()
    house.disk = machine.disk
    service = house.start(CONFIG)
    seen = set()
    while 5 not in seen:
        house.one_call()
        if service._parts is not None:
            applied = service._parts.node.applied_index
            told = decode_facts(service._parts.transport._reception.facts()).members
            assert len(told) == (3 if applied == 5 else 0)
            seen.add(applied)
    assert seen == {3, 5}
    house.stop()


def test_nothing_is_heard_before_the_snapshot_is_in_the_machines(house):
    # The leader may be quicker than the disk, and is let in although nobody is known yet.
    machine = with_snapshot_alone()
    machine.close()
    house.disk = machine.disk
    service = house.start(CONFIG)
    while service._parts is None:
        house.one_call()
    node = service._parts.node
    hello = Introduction(IDENTITY.cluster_id, 2, ME, Purpose.MESSAGES)
    assert service._parts.transport._reception.judge(hello) is None
    news = AppendEntries(ME, 2, 3, 7, 2, (entry(8, 3),), 8)
    node.received(news)
    house.run(0.5)
    assert house.process.said == ["prepare"]
    assert (node.applied_index, node.status().leader) == (7, 0)
    node.received(news)  # as the leader goes on
    house.run(0.5)
    assert (node.applied_index, node.status().leader) == (8, 2)
    house.stop()


def test_a_backup_starts_only_by_force(house):
    house.start()
    house.run()
    house.ask(PUT)
    before = house.ask(GET)
    back_up_house(house)  # of a running member
    house.stop()
    house.start(attrs.evolve(RESTORED, force_new_cluster=False))
    house.run()
    assert house.process.said == ["prepare", 1]
    line = house.line(level="critical", text="cannot start")
    assert "data-dir /backup: a backup of member 8e9e05c52164694d of cluster" in line
    assert line.endswith("start it once with --force-new-cluster")
    house.stop()
    for config in (RESTORED, attrs.evolve(RESTORED, force_new_cluster=False)):
        house.lines.clear()
        house.start(attrs.evolve(config, name="restored"))
        house.run()
        house.line(level="info", text="member restored, id 1234, of cluster 5678")
        after = house.ask(GET)
        assert after.split(b"\r\n\r\n")[1] == before.split(b"\r\n\r\n")[1]
        assert b'"id":"1234","name":"restored"' in members(house)
        house.stop()


def test_a_backup_with_a_snapshot_keeps_every_index(house):
    config = attrs.evolve(CONFIG, snapshot_count=3, snapshot_catchup_entries=1)
    house.start(config)
    house.run()
    for _ in range(8):
        house.ask(PUT)
    post = PUT.replace(b"PUT /v2/keys/a", b"POST /v2/keys/queue")
    house.ask(post)
    every = GET.replace(b"/a", b"/?recursive=true&sorted=true")
    watch = GET.replace(b"/a", b"/?recursive=true&wait=true&waitIndex=5")
    before = [house.ask(each).split(b"\r\n\r\n")[1] for each in (every, watch)]
    back_up_house(house)
    house.stop()
    house.start(RESTORED)
    house.run()
    house.line(level="info", text="recovered in 0.0 s: snapshot at index")
    after = [house.ask(each).split(b"\r\n\r\n")[1] for each in (every, watch)]
    assert after == before
    house.stop()


def test_without_data_there_is_nothing_to_make_a_cluster_of(house):
    for state in ("new", "existing"):
        house.lines.clear()
        house.start(
            attrs.evolve(CONFIG, force_new_cluster=True, initial_cluster_state=state)
        )
        house.run()
        assert house.process.said == ["prepare", 1]
        line = house.line(level="critical", text="cannot start: force-new-cluster: ")
        assert "there is no member's data to make a cluster of" in line
        house.stop()
    assert house.disk.list("/data/member") == ["snap", "wal"]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_was_acknowledged_when_a_backup_began_is_in_it(house, seed):
    """A backup at any turn of a member that writes and takes snapshots."""
    random = Random(seed)
    config = attrs.evolve(
        CONFIG,
        snapshot_count=random.randint(3, 20),
        snapshot_catchup_entries=0,
        segment_bytes=600,
        max_wals=1,
        max_snapshots=1,
    )
    house.start(config)
    house.run()
    begun = {}
    acknowledged = number = 0
    answer = b""
    transport = None
    while len(begun) < 8:
        if transport is None:
            number += 1
            body = b"value=%d" % number
            put = PUT.removesuffix(b"value=1").replace(b": 7", b": %d" % len(body))
            protocol = house.reactor.ports["127.0.0.1", 2379].factory.buildProtocol(
                None
            )
            transport = Transport(protocol, house.reactor)
            protocol.makeConnection(transport)
            protocol.dataReceived(put + body)
        for _ in range(random.randint(1, 4)):
            house.one_call()
        answer = transport.value()
        if b"\r\n\r\n" in answer:
            assert b'"value":"%d"' % number in answer
            acknowledged, transport = number, None
        if acknowledged and random.randrange(40) == 0:
            folder = f"/backup{len(begun)}"
            back_up_house(house, folder)
            begun[folder] = (acknowledged, number)
    house.run(0.5)
    house.stop()
    for folder, (least, most) in begun.items():
        house.start(attrs.evolve(RESTORED, data_dir=folder))
        house.run()
        found = int(re.search(rb'"value":"(\d+)"', house.ask(GET))[1])
        assert least <= found <= most
        house.stop()


# -- the log alone ------------------------------------------------------------------------


def three():
    urls = {ME: "http://127.0.0.1:2380", 2: "http://10.0.0.2:2380", 3: "http://c:1"}
    return [MemberRecord(id_, f"m{id_:x}", (url,), ()) for id_, url in urls.items()]


def founded(*, snapshot=False):
    """A member of three whose last entries may or may not be committed."""
    machine = Machine().open()
    state, entries = bootstrap_log(three())
    machine.save(state, entries)
    machine.save(HardState(term=2, vote=2, commit=5), [entry(4, 2), entry(5, 2)])
    if snapshot:
        machines = Machines()
        for member in three():
            change = ConfigChange(
                ChangeKind.ADD_VOTER, member.member_id, encode_record(member)
            )
            machines.change(change)
        meta = SnapshotMeta(3, 1, Configuration(frozenset({ME, 2, 3})))
        machine.write_snapshot(meta, b"".join(machines.applier.snapshot()))
    machine.save(None, [entry(6, 2), entry(7, 2)])
    return machine


def with_snapshot_alone():
    """A member of three whose snapshot holds all that it knows to be committed."""
    machine = founded(snapshot=True)
    machines = Machines()
    for member in three():
        machines.change(
            ConfigChange(ChangeKind.ADD_VOTER, member.member_id, encode_record(member))
        )
    for index in range(4, 8):
        machines.applier.apply(entry(index, 2))
    machine.save(HardState(term=2, vote=2, commit=7))
    meta = SnapshotMeta(7, 2, Configuration(frozenset({ME, 2, 3})))
    machine.write_snapshot(meta, b"".join(machines.applier.snapshot()))
    return machine


def forced(machine, **options):
    opened = Opened(machine.persistence, machine.recovered)
    identity = machine.recovered.identity
    config = Config(data_dir=machine.settings.data_folder, **options)
    return machine.do(Deferred.fromCoroutine(force(opened, identity, config)))


def at_the_end(machine):
    """Who is a member once the log is applied, from its very beginning."""
    cluster = ClusterMachine()
    if machine.recovered.snapshot:
        for member in three():
            kind, id_ = ChangeKind.ADD_VOTER, member.member_id
            cluster.change(ConfigChange(kind, id_, encode_record(member)))
    follow(cluster, machine.recovered.entries)
    return [record.member_id for record in cluster.members()]


def test_what_may_have_been_acknowledged_is_kept():
    # The commit index on the disk is that of the save before: entries 6 and 7 may well
    # have been answered for.
    machine = founded().reopen()
    assert machine.recovered.hard_state.commit == 5
    log = forced(machine)
    assert log.hard_state == HardState(term=3, vote=ME, commit=9)
    assert [each.index for each in log.entries] == list(range(1, 10))
    assert log.entries[5:7] == (entry(6, 2), entry(7, 2))
    machine.reopen()
    assert machine.recovered.entries == log.entries
    assert machine.recovered.hard_state == log.hard_state
    assert at_the_end(machine) == [ME]


def removing_the_others(machine):
    """Both are in the log of the member, and nobody else may have them."""
    for index, member_id in enumerate((2, 3), 8):
        change = tag_change(ConfigChange(ChangeKind.REMOVE, member_id), UNASKED)
        entry_ = Entry(index, 2, EntryKind.CHANGE, encode_change(change))
        machine.save(HardState(term=2, vote=2, commit=index - 1), [entry_])
    return machine


def test_a_removal_that_nobody_could_commit_is_committed():
    # Of two members the other one is lost. It was to be removed, in vain, since that
    # needs its vote: then it is force that the operator turns to.
    machine = removing_the_others(founded()).reopen()
    assert machine.recovered.hard_state.commit == 8
    assert at_the_end(machine) == [ME]
    log = forced(machine)
    assert log.hard_state == HardState(term=3, vote=ME, commit=9)
    assert log.entries == machine.recovered.entries
    machine.reopen()
    assert machine.recovered.hard_state == log.hard_state
    assert forced(machine).hard_state == log.hard_state, "nothing is left to do"


def test_a_member_that_was_removed_is_told_what_to_do():
    machine = founded()
    change = tag_change(ConfigChange(ChangeKind.REMOVE, ME), UNASKED)
    gone = Entry(8, 2, EntryKind.CHANGE, encode_change(change))
    machine.save(HardState(term=2, vote=2, commit=8), [gone])
    machine.reopen()
    with pytest.raises(
        ConfigError, match=r"was removed from its cluster .* kvd backup"
    ):
        forced(machine)


def test_a_snapshot_without_the_cluster_stops_it():
    machine = founded()
    machine.write_snapshot(
        SnapshotMeta(5, 2, Configuration(frozenset({ME, 2, 3}))), b"not one of ours"
    )
    machine.reopen()
    with pytest.raises(StorageError, match="the snapshot says nothing of the cluster"):
        forced(machine)
    assert machine.reopen().recovered.entries[-1].index == 7


def backed_up(snapshot):
    machine = founded(snapshot=snapshot)
    list(
        back_up(
            machine.disk,
            member=machine.settings,
            backup=StorageSettings(data_folder="/backup"),
            identity=BACKUP,
            pause=lambda _: None,
        )
    )
    machine.close()
    other = Machine(machine.disk)
    other.settings = StorageSettings(data_folder="/backup", segment_bytes=1)
    other.look()
    return other


def of_its_own(snapshot):
    machine = founded(snapshot=snapshot)
    machine.reopen()
    return machine


@pytest.mark.parametrize("snapshot", [False, True], ids=["log", "snapshot"])
@pytest.mark.parametrize("start", [of_its_own, backed_up])
def test_the_power_may_go_at_any_moment_of_it(start, snapshot):
    urls = {"initial_advertise_peer_urls": ("http://10.0.0.2:2380",)}
    machine = start(snapshot)
    before = machine.recovered
    machine.disk.cut_at = 1 << 30
    forced(machine, **urls)
    total = (1 << 30) - machine.disk.cut_at
    assert total >= 2
    ends = set()
    for cut_at in range(total + 1):
        for seed in range(2):
            machine = start(snapshot)
            machine.disk.cut_at = cut_at
            try:
                forced(machine, **urls)
            except PowerCut:
                machine.disk.power_cut(seeded(seed))
            else:
                machine.disk.restart()
            found = machine.look()
            old = before.entries
            assert found.entries[: len(old)] == old
            ends.add((len(found.entries) - len(old), found.backup_of is None))
            # Whatever was done of it, doing it again finishes it, once.
            forced(machine, **urls)
            machine.disk.restart()
            last = machine.look()
            assert last.backup_of is None
            assert last.entries[: len(found.entries)] == found.entries
            assert at_the_end(machine) == [last.identity.member_id]
            assert last.hard_state.commit == last.entries[-1].index
    added = max(count for count, _ in ends)
    backup = before.backup_of is not None
    assert ends >= {(0, not backup), (added, True)}
    assert {count for count, _ in ends} == {0, added}, "all of it or nothing"
