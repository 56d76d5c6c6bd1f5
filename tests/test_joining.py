"""A new member asks those that run who it is (V2-SPEC 15.2)."""

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed

from kvd.cluster.members import MemberRecord
from kvd.config import Config
from kvd.errors import ConfigError
from kvd.joining import JOIN_SECONDS, Joined, Joining
from kvd.storage.data_dir import Identity
from tests.peer.network import World

ONE = MemberRecord(1, "one", ("http://m1:2380",), ("http://m1:2379",))
TWO = MemberRecord(2, "two", ("http://m2:2380", "http://b2:2380"), ("http://m2:2379",))
NEW = MemberRecord(7, "", ("http://localhost:2380",), (), learner=True)
CONFIG = Config(
    name="new",
    initial_cluster_state="existing",
    initial_cluster=(
        ("one", ("http://m1:2380",)),
        ("other", ("http://b2:2380", "http://m2:2380")),
        ("new", ("http://127.0.0.1:2380",)),
    ),
)
IDENTITY = Identity(7, 0xC1)


NAMES = {"m2.example": {"10.0.0.2"}, "b2.example": {"10.0.1.2", "10.0.0.7"}}


def asked(world, config=CONFIG, begun=None, looked_up=None):
    def lookup(host):
        if looked_up is not None:
            looked_up.append(host)
        return succeed(frozenset(NAMES.get(host, ())))

    joining = Joining(
        config=config,
        connect=world.network.endpoint,
        lookup=lookup,
        clock=world.clock,
        begun=begun,
    )
    found = []
    Deferred.fromCoroutine(joining.ask()).addBoth(found.append)
    world.run(JOIN_SECONDS + 0.1)
    return getattr(found[0], "value", found[0])


def running(*records):
    world = World().start()
    for member in world.members:
        member.records = records
    return world


def refusal(*args, **kwargs):
    error = asked(*args, **kwargs)
    assert isinstance(error, ConfigError)
    (line,) = error.problems
    return line


def test_the_cluster_says_which_member_it_is():
    assert asked(running(ONE, TWO, NEW)) == Joined(IDENTITY, (ONE, TWO, NEW))


def test_a_member_that_lags_behind_is_not_the_last_word():
    world = running(ONE, TWO, NEW)
    world.members[0].records = (ONE, TWO)
    assert asked(world).identity == IDENTITY


def test_a_member_that_nobody_has_added_is_refused():
    line = refusal(running(ONE, TWO))
    assert line.startswith("initial-cluster: error validating peerURLs of cluster c1 (")
    assert "one=http://m1:2380" in line
    assert "member count is unequal" in line
    assert "add this member to the cluster first" in line


def test_all_peer_urls_of_each_member_must_be_named():
    other = attrs.evolve(TWO, peer_urls=("http://m2:2380",))
    line = refusal(running(ONE, other, NEW))
    assert "PeerURLs: no match found for existing member (2, [http://m2:2380])" in line
    elsewhere = attrs.evolve(NEW, peer_urls=("http://m9:2380",))
    assert "existing member (7, [http://m9:2380])" in refusal(
        running(ONE, TWO, elsewhere)
    )


def test_names_are_looked_up_where_urls_are_written_in_another_way():
    by_name = ("http://m2.example:2380", "http://b2.example:2380")
    config = attrs.evolve(
        CONFIG,
        initial_cluster=(
            ("one", ("http://m1:2380",)),
            ("other", by_name),
            ("new", ("http://127.0.0.1:2380",)),
        ),
    )
    members = ("http://10.0.1.2:2380", "http://10.0.0.2:2380")
    looked_up = []
    world = running(ONE, attrs.evolve(TWO, peer_urls=members), NEW)
    assert asked(world, config, looked_up=looked_up).identity == IDENTITY
    assert sorted(set(looked_up)) == sorted(looked_up), "each once"
    # Another port, another address, or a name that nobody knows are other places.
    for wrong in ("http://10.0.1.2:2381", "http://10.0.1.3:2380", "http://x.y:2380"):
        urls = (wrong, members[1])
        line = refusal(running(ONE, attrs.evolve(TWO, peer_urls=urls), NEW), config)
        assert "no match found for existing member (2, [" in line
    # As it is written it is right, and nobody needs a name server.
    looked_up.clear()
    world = running(ONE, attrs.evolve(TWO, peer_urls=by_name), NEW)
    assert asked(world, config, looked_up=looked_up).identity == IDENTITY
    assert set(looked_up) <= {"m1"}


def test_a_list_with_one_member_twice_is_no_list():
    assert "no match found" in refusal(running(ONE, TWO, attrs.evolve(ONE, name="x")))


def test_if_nobody_answers_nothing_is_begun():
    world = running(ONE, TWO, NEW)
    for member in world.members:
        world.network.unreachable.add(member.url)
    line = refusal(world)
    assert line.startswith(
        "initial-cluster: cannot fetch cluster info from peer urls: could not retrieve "
        "cluster information from the given URLs (http://m1:2380: no answer within"
    )
    alone = attrs.evolve(CONFIG, initial_cluster=CONFIG.initial_cluster[2:])
    assert "it names no other member" in refusal(world, alone)


def test_options_that_contradict_themselves_ask_nobody():
    world = running(ONE, TWO, NEW)
    world.network.attempts.clear()
    assert "couldn't find local name" in refusal(
        world, attrs.evolve(CONFIG, name="who")
    )
    assert world.network.attempts == []


def test_joining_again_after_a_crash_is_the_same_member():
    # It stopped between writing its identity and its first entry.
    world = running(ONE, TWO, NEW)
    assert asked(world, begun=IDENTITY).identity == IDENTITY
    for member in world.members:
        world.network.unreachable.add(member.url)
    assert asked(world, begun=IDENTITY) == Joined(IDENTITY, ())


def test_the_files_of_a_removed_member_are_not_those_of_its_successor():
    line = refusal(running(ONE, TWO, NEW), begun=Identity(6, 0xC1))
    assert line == (
        "data-dir: it belongs to member 6 of cluster c1, the cluster knows this member "
        "as 7 of c1; remove the data folder"
    )


def test_a_member_that_lost_its_data_does_not_join_again():
    # As with founding: it has forgotten whom it voted for and what it acknowledged.
    started = attrs.evolve(NEW, client_urls=("http://127.0.0.1:2379",))
    line = refusal(running(ONE, TWO, started))
    assert line.startswith("data-dir: member 7 has already been bootstrapped")
    assert asked(running(ONE, TWO, started), begun=IDENTITY).identity == IDENTITY


@pytest.mark.parametrize(
    ("version", "fits"),
    [("", True), ("3.4.99", True), ("2.3.0", True), ("3.5.0", False)],
)
def test_an_older_member_does_not_join_a_newer_cluster(monkeypatch, version, fits):
    monkeypatch.setattr("tests.peer.network.VERSION", version)
    world = running(ONE, TWO, NEW)
    if fits:
        assert asked(world).identity == IDENTITY
    else:
        line = refusal(world)
        assert "incompatible with current running cluster" in line
        assert "3.5.0" in line
