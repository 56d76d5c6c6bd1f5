"""Membership as a state machine: records, refusals, ids, bookkeeping."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.cluster.codec import decode_record, load
from kvd.cluster.ids import cluster_id_of, member_id_of
from kvd.cluster.machine import (
    ClusterMachine,
    encode_publish,
    encode_record,
    encode_version,
)
from kvd.cluster.members import MemberRecord, RefusalReason, RefusedChange
from kvd.errors import RequestError, StorageError
from kvd.raft.messages import ChangeKind, ConfigChange
from kvd.state import at_once


def record(n: int, **fields: object) -> MemberRecord:
    return attrs.evolve(MemberRecord(n, "", (f"http://h{n}:2380",), ()), **fields)


def add(cluster, made, kind=ChangeKind.ADD_VOTER):
    return cluster.change(ConfigChange(kind, made.member_id, encode_record(made)))


@pytest.fixture
def cluster() -> ClusterMachine:
    machine = ClusterMachine()
    for n in (3, 1, 2):
        add(machine, record(n))
    machine.take_writes()
    return machine


def writes(cluster) -> list[tuple[str, str]]:
    return [(write.action, write.key) for write in only_writes(cluster)]


def test_every_change_looks_at_the_members_and_at_those_who_were(cluster):
    """As etcd's does, which can be seen in the counters of its store."""

    def looks():
        writes = cluster.take_writes()
        return [(each.key, each.ok) for each in writes if each.action == "get"]

    here, gone = "/0/members", "/0/removed_members"
    add(cluster, record(1))  # refused
    assert looks() == [(here, True), (gone, False)]
    cluster.change(ConfigChange(ChangeKind.REMOVE, 2))
    assert looks() == [(here, True), (gone, False)]
    cluster.change(ConfigChange(ChangeKind.REMOVE, 2))
    assert looks() == [(here, True), (gone, True)]


def only_writes(cluster):
    """Without its looks at the lists of members and of those who were."""
    return [write for write in cluster.take_writes() if write.action != "get"]


def refused(value: object) -> RefusalReason:
    assert isinstance(value, RefusedChange)
    return value.reason


def tell(cluster, body: bytes) -> object:
    return cluster.apply(index=1, time_ns=0, body=body)


def test_ids_are_those_of_etcd():
    """As etcd 3.4.23 prints them for its defaults, and for a cluster of three."""
    first = member_id_of(["http://localhost:2380"], "etcd-cluster")
    assert f"{first:x}" == "8e9e05c52164694d"
    assert f"{cluster_id_of([first]):x}" == "cdf818194e3a8c32"
    urls = ["http://b:1", "http://a:1"]
    assert member_id_of(urls, "t") == member_id_of(sorted(urls), "t")
    assert cluster_id_of([2, 1]) == cluster_id_of([1, 2])


def test_members_are_listed_by_id(cluster):
    assert [member.member_id for member in cluster.members()] == [1, 2, 3]
    assert cluster.member(2) == record(2)
    assert cluster.member(9) is None


def test_an_added_member_is_unstarted_until_it_publishes_itself(cluster):
    assert add(cluster, record(4)) == record(4)
    assert writes(cluster) == [("create", "/0/members/4/raftAttributes")]
    urls = ("http://h4:2379",)
    published = tell(cluster, encode_publish(4, "four", urls))
    assert published == record(4, name="four", client_urls=urls)
    assert cluster.member(4) == published
    (write,) = only_writes(cluster)
    assert (write.action, write.key) == ("set", "/0/members/4/attributes")
    assert write.value == '{"name": "four", "clientURLs": ["http://h4:2379"]}'


def test_an_id_or_a_peer_url_is_not_used_twice(cluster):
    assert refused(add(cluster, record(1))) is RefusalReason.ID_EXISTS
    taken = record(4, peer_urls=("http://new:1", "http://h1:2380"))
    assert refused(add(cluster, taken)) is RefusalReason.PEER_URL_EXISTS
    assert len(cluster.members()) == 3
    assert writes(cluster) == []


def test_removal_is_for_ever(cluster):
    assert cluster.change(ConfigChange(ChangeKind.REMOVE, 0xAB)) == RefusedChange(
        RefusalReason.NOT_FOUND, 0xAB
    )
    assert cluster.change(ConfigChange(ChangeKind.REMOVE, 3)) == record(3)
    assert writes(cluster) == [
        ("delete", "/0/members/3"),
        ("create", "/0/removed_members/3"),
    ]
    assert cluster.removed == {3}
    for kind in ChangeKind:
        change = ConfigChange(kind, 3, encode_record(record(3)))
        assert refused(cluster.change(change)) is RefusalReason.REMOVED
    told = tell(cluster, encode_publish(3, "again", ()))
    assert refused(told) is RefusalReason.REMOVED
    assert writes(cluster) == []


def test_the_last_voter_stays(cluster):
    cluster.change(ConfigChange(ChangeKind.REMOVE, 1))
    cluster.change(ConfigChange(ChangeKind.REMOVE, 2))
    add(cluster, record(4), ChangeKind.ADD_LEARNER)
    last = cluster.change(ConfigChange(ChangeKind.REMOVE, 3))
    assert refused(last) is RefusalReason.LAST_VOTER
    assert cluster.change(ConfigChange(ChangeKind.REMOVE, 4)).learner


def test_new_peer_urls_replace_the_old_ones_and_nothing_else(cluster):
    tell(cluster, encode_publish(1, "one", ("http://c:1",)))
    cluster.take_writes()
    given = record(1, peer_urls=("http://new:1",), name="ignored")
    updated = add(cluster, given, ChangeKind.UPDATE)
    assert updated == record(
        1, name="one", peer_urls=("http://new:1",), client_urls=("http://c:1",)
    )
    (write,) = only_writes(cluster)
    assert write[:2] == ("update", "/0/members/1/raftAttributes")
    assert write.value == '{"peerURLs": ["http://new:1"]}'
    own = add(cluster, given, ChangeKind.UPDATE)
    assert own == updated  # its own present URL is fine, and costs an index
    assert len(writes(cluster)) == 1
    missing = add(cluster, record(9), ChangeKind.UPDATE)
    assert refused(missing) is RefusalReason.NOT_FOUND
    taken = record(1, peer_urls=("http://h2:2380",))
    assert refused(add(cluster, taken, ChangeKind.UPDATE)) is (
        RefusalReason.PEER_URL_EXISTS
    )


def test_a_learner_is_promoted_by_adding_it_as_a_voter(cluster):
    learner = add(cluster, record(4), ChangeKind.ADD_LEARNER)
    assert learner.learner
    (write,) = only_writes(cluster)
    assert write.value == '{"peerURLs": ["http://h4:2380"]}'
    again = add(cluster, record(4), ChangeKind.ADD_LEARNER)
    assert refused(again) is RefusalReason.ID_EXISTS
    promoted = cluster.change(ConfigChange(ChangeKind.ADD_VOTER, 4))
    assert promoted == record(4)
    assert cluster.member(4) == promoted
    assert writes(cluster) == [], "clients could tell"


@pytest.mark.parametrize(
    "context",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b"9" * 5_000,
        b"\xff",
        encode_record(record(5)),  # of another member
        encode_record(record(4, peer_urls=())),
        encode_record(record(4)).replace(b'"4"', b'"zz"'),
        encode_record(record(4)).replace(b'"4"', b'"0"'),
        encode_record(record(4)).replace(b'"4"', b'"1' + b"0" * 16 + b'"'),
        encode_record(record(4)).replace(b'"http://h4:2380"', b"7"),
        encode_record(record(4)).replace(b"false", b"0"),
    ],
)
def test_a_record_that_cannot_be_read_changes_nothing(cluster, context):
    change = ConfigChange(ChangeKind.ADD_VOTER, 4, context)
    assert refused(cluster.change(change)) is RefusalReason.UNDECODABLE
    assert len(cluster.members()) == 3


@pytest.mark.parametrize(
    "body", [b"", b"null", b'{"publish": 1}', b'{"version": 3}', b'{"x": {}}']
)
def test_a_request_that_cannot_be_read_is_a_refusal(cluster, body):
    assert isinstance(tell(cluster, body), RequestError)
    assert writes(cluster) == []


def test_a_stranger_cannot_publish_itself(cluster):
    told = tell(cluster, encode_publish(9, "nine", ()))
    assert refused(told) is RefusalReason.NOT_FOUND


def test_the_version_only_rises_and_is_counted_when_it_does(cluster):
    assert cluster.version == ""
    assert tell(cluster, encode_version("3.4.0")) == "3.4.0"
    assert writes(cluster) == [("set", "/0/version")]
    assert tell(cluster, encode_version("3.4.0")) == "3.4.0"
    assert tell(cluster, encode_version("3.3.9")) == "3.4.0"
    assert writes(cluster) == []
    assert tell(cluster, encode_version("3.10.0")) == "3.10.0"
    assert cluster.version == "3.10.0"
    for bad in ("", "3.4", "3.4.x", "3.4.٣", "3.4.9999999999"):
        assert isinstance(tell(cluster, encode_version(bad)), RequestError)


urls = st.lists(st.text(max_size=10), max_size=3).map(tuple)


@given(
    st.builds(
        MemberRecord,
        member_id=st.integers(min_value=1, max_value=2**64 - 1),
        name=st.text(max_size=10),
        peer_urls=urls,
        client_urls=urls,
        learner=st.booleans(),
    )
)
@settings(max_examples=60, deadline=None)
def test_a_record_is_decoded_to_what_was_encoded(made):
    assert decode_record(encode_record(made)) == made


def test_a_snapshot_carries_members_removed_ids_and_version(cluster):
    cluster.change(ConfigChange(ChangeKind.REMOVE, 3))
    add(cluster, record(2**64 - 1), ChangeKind.ADD_LEARNER)
    tell(cluster, encode_publish(1, "one", ("http://c:1",)))
    tell(cluster, encode_version("3.4.0"))
    section = cluster.snapshot()
    again = ClusterMachine()
    add(again, record(8))
    at_once(again.restoring(version=section.version, chunks=section.chunks))
    assert again.members() == cluster.members()
    assert again.removed == {3}
    assert again.version == "3.4.0"
    assert writes(again) == []
    assert b"".join(again.snapshot().chunks) == b"".join(cluster.snapshot().chunks)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"members":[{}],"removed":[],"version":""}',
        b'{"members":[],"removed":["zz"],"version":""}',
        b'{"members":[],"removed":[1],"version":""}',
    ],
)
def test_a_snapshot_that_cannot_be_read_is_refused(cluster, data):
    with pytest.raises(StorageError):
        at_once(cluster.restoring(version=1, chunks=[data]))
    assert len(cluster.members()) == 3


def test_a_snapshot_of_an_unknown_version_is_refused(cluster):
    with pytest.raises(StorageError):
        at_once(cluster.restoring(version=2, chunks=cluster.snapshot().chunks))


def test_it_watches_and_expires_nothing(cluster):
    cluster.publish()
    cluster.internal_writes([])
    assert cluster.due(time_ns=2**62) == ()


def test_what_is_not_json_is_a_refusal():
    with pytest.raises(RequestError):
        load(b"\x80")
