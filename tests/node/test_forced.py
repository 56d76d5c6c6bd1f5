"""A cluster of one out of any: which changes it takes, and that each is accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd.apply.request import Request, RequestId, encode_request
from kvd.cluster.codec import encode_publish
from kvd.cluster.machine import ClusterMachine, encode_record
from kvd.cluster.members import MemberRecord
from kvd.errors import InvariantViolated
from kvd.node.changes import UNASKED, tag_change
from kvd.node.forced import (
    follow,
    forced_changes,
    forced_save,
    removals,
    restore_cluster,
)
from kvd.raft.codec import encode_change
from kvd.raft.membership import changed
from kvd.raft.messages import (
    ChangeKind,
    ConfigChange,
    Configuration,
    Entry,
    EntryKind,
    HardState,
)
from tests.apply.conftest import Machines

HERE = "http://127.0.0.1:2380"


def record(member_id, *urls, learner=False, name=""):
    urls = urls or (f"http://10.0.0.{member_id}:2380",)
    return MemberRecord(member_id, name or f"m{member_id}", urls, (), learner)


def added(member):
    kind = ChangeKind.ADD_LEARNER if member.learner else ChangeKind.ADD_VOTER
    return ConfigChange(kind, member.member_id, encode_record(member))


def cluster_of(*members):
    cluster = ClusterMachine()
    for member in members:
        cluster.change(added(member))
    return cluster


def configuration_of(cluster):
    members = cluster.members()
    return Configuration(
        frozenset(each.member_id for each in members if not each.learner),
        frozenset(each.member_id for each in members if each.learner),
    )


def steps(changes):
    return [(change.kind.name, change.member_id) for change in changes]


def test_the_others_are_removed_and_this_one_stays_as_it_is():
    cluster = cluster_of(record(1), record(2), record(3), record(4, learner=True))
    changes = forced_changes(cluster, record(2, HERE, name="other"))
    assert steps(changes) == [("REMOVE", 1), ("REMOVE", 3), ("REMOVE", 4)]
    assert cluster.members() == (record(2),)
    assert cluster.removed == {1, 3, 4}
    assert forced_changes(cluster, record(2, HERE)) == ()


def test_a_learner_is_promoted_first():
    cluster = cluster_of(record(1), record(2, learner=True))
    changes = forced_changes(cluster, record(2, HERE))
    assert steps(changes) == [("ADD_VOTER", 2), ("REMOVE", 1)]
    assert cluster.members() == (record(2),)


def test_one_that_was_none_is_added_before_the_last_one_goes():
    own = record(9, HERE, name="restored")
    cluster = cluster_of(record(1, HERE), record(2), record(3))
    changes = forced_changes(cluster, own)
    assert steps(changes) == [
        ("REMOVE", 1),
        ("REMOVE", 3),
        ("ADD_VOTER", 9),
        ("REMOVE", 2),
    ]
    assert cluster.members() == (own,)


def test_two_members_never_have_one_url():
    own = record(9, HERE)
    cluster = cluster_of(record(1, HERE))
    changes = forced_changes(cluster, own)
    assert steps(changes) == [("UPDATE", 1), ("ADD_VOTER", 9), ("REMOVE", 1)]
    assert cluster.members() == (own,)


def test_with_nobody_there_it_is_added():
    own = record(9, HERE)
    cluster = ClusterMachine()
    assert steps(forced_changes(cluster, own)) == [("ADD_VOTER", 9)]
    assert cluster.members() == (own,)


def test_a_removed_member_is_never_one_again():
    cluster = cluster_of(record(1), record(2))
    cluster.change(ConfigChange(ChangeKind.REMOVE, 2))
    with pytest.raises(InvariantViolated):
        forced_changes(cluster, record(2))


@given(
    kinds=st.lists(st.sampled_from(["voter", "learner"]), max_size=7),
    shared=st.integers(0, 6),
    me=st.integers(1, 12),
)
def test_whoever_is_there_this_one_is_left_and_can_vote(kinds, shared, me):
    members = [
        record(
            number + 1,
            *((HERE,) if number == shared and number + 1 != me else ()),
            learner=kind == "learner",
        )
        for number, kind in enumerate(kinds)
    ]
    cluster = cluster_of(*members)
    # Somebody votes in every cluster.
    if members and not configuration_of(cluster).voters:
        cluster.change(added(record(7)))
    before = configuration_of(cluster)
    changes = forced_changes(cluster, record(me, HERE, name="own"))
    configuration = before
    for change in changes:
        configuration = changed(configuration, change)
        assert configuration.voters, "somebody can vote at every moment"
    assert configuration == Configuration(frozenset({me}))
    assert configuration_of(cluster) == configuration
    assert forced_changes(cluster, record(me, HERE)) == ()


def test_one_save_commits_all_there_is_in_a_term_of_its_own():
    changes = [ConfigChange(ChangeKind.REMOVE, 1), ConfigChange(ChangeKind.REMOVE, 2)]
    hard_state, entries = forced_save(changes, last_index=7, member_id=3, term=4)
    assert hard_state == HardState(term=5, vote=3, commit=9)
    assert [(each.index, each.term) for each in entries] == [(8, 5), (9, 5)]
    cluster = cluster_of(record(1), record(2), record(3))
    follow(cluster, entries)
    assert cluster.members() == (record(3),)
    assert removals(entries, commit=9) == ((8, 1), (9, 2))
    assert removals(entries, commit=8) == ((8, 1),)


def entry(index, kind, data):
    return Entry(index, 1, kind, data)


def test_of_the_log_what_concerns_members_is_followed():
    cluster = ClusterMachine()
    change = encode_change(tag_change(added(record(1, name="old")), UNASKED))
    told = encode_publish(1, "new", ("http://127.0.0.1:2379",))

    def request(machine):
        return encode_request(Request(machine, RequestId(1, 1), 0, told))

    follow(
        cluster,
        [
            entry(1, EntryKind.CHANGE, change),
            entry(2, EntryKind.NOOP, b""),
            entry(3, EntryKind.NORMAL, b"\xff"),
            entry(4, EntryKind.NORMAL, request("v2")),
            entry(5, EntryKind.NORMAL, request("cluster")),
        ],
    )
    (member,) = cluster.members()
    assert (member.name, member.client_urls) == ("new", ("http://127.0.0.1:2379",))
    assert removals([entry(1, EntryKind.CHANGE, change)], commit=1) == ()


def test_the_cluster_is_read_from_the_beginning_of_a_snapshot():
    machines = Machines()
    machines.bootstrap(3)
    machines.set("/a", "x" * 1000)
    content = b"".join(machines.applier.snapshot())
    for size in range(len(content) - 900):
        cluster = ClusterMachine()
        if restore_cluster(cluster, content[:size]):
            break
    assert size < 1000, "the value was not needed"
    assert cluster.members() == machines.cluster.members()
    assert not restore_cluster(ClusterMachine(), content[: size - 1])


def test_another_order_of_sections_is_read_too():
    machines = Machines()
    machines.bootstrap(2)
    machines.applier._machines = dict(reversed(machines.applier._machines.items()))
    content = b"".join(machines.applier.snapshot())
    cluster = ClusterMachine()
    assert restore_cluster(cluster, content)
    assert cluster.members() == machines.cluster.members()
    other = ClusterMachine()
    other.name = "absent"
    assert not restore_cluster(other, content)
