"""The applier: one position once, refusals as values, S13 and S15."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kvd.apply.applier import Applier, Outcome
from kvd.apply.request import Request, RequestId, encode_request
from kvd.cluster.machine import ClusterMachine
from kvd.cluster.members import RefusedChange
from kvd.errors import InvariantViolated, RequestError, StorageError
from kvd.raft.messages import ChangeKind, ConfigChange, Entry, EntryKind
from kvd.state import at_once
from kvd.v2.accounts import PutRole, PutUser, Refused
from kvd.v2.auth import Done
from kvd.v2.authcodec import RemoveRole, Switch
from kvd.v2.commands import Asker, Command, Op, encode_command
from kvd.v2.events import Event
from kvd.v2.machine import V2
from kvd.v2.permissions import Permissions

from .conftest import GUEST, NOW, SECOND, Machines


def test_a_request_reaches_its_machine_and_its_answer_knows_its_asker(machines):
    outcome = machines.set("/k", "1")
    assert outcome.request == RequestId(1, 1)
    assert isinstance(outcome.value, Event)
    assert machines.applier.applied_index == 1


def test_a_no_op_only_moves_the_applied_index(machines):
    assert machines.give(Entry(1, 1, EntryKind.NOOP, b"")) == Outcome(None, None)
    assert machines.applier.applied_index == 1
    assert machines.v2.index == 0


def test_an_unknown_machine_is_a_refusal_that_reaches_its_asker(machines):
    outcome = machines.request("v9", b"body")
    assert outcome.request == RequestId(1, 1)
    assert isinstance(outcome.value, RequestError)
    assert machines.applier.applied_index == 1


def test_garbage_is_a_refusal_without_an_asker(machines):
    for data in (b"", b"\x02" + bytes(40), bytes(25), b"\x01" + bytes(24) + b"\x05ab"):
        outcome = machines.give(
            Entry(machines.applier.applied_index + 1, 1, EntryKind.NORMAL, data)
        )
        assert outcome.request is None
        assert isinstance(outcome.value, RequestError)


def test_a_change_and_a_request_do_not_change_places(machines):
    change = ConfigChange(ChangeKind.REMOVE, 1)
    with pytest.raises(InvariantViolated):
        machines.applier.apply(Entry(1, 1, EntryKind.CHANGE, b""))
    with pytest.raises(InvariantViolated):
        machines.applier.apply_change(Entry(1, 1, EntryKind.NORMAL, b""), change)
    assert machines.applier.applied_index == 0


def test_two_machines_of_one_name_are_refused():
    with pytest.raises(InvariantViolated):
        Applier([V2(), V2()], ClusterMachine())


def test_the_cluster_may_be_among_the_machines():
    cluster = ClusterMachine()
    Applier([cluster, V2()], cluster)


def test_what_is_due_comes_with_the_name_of_its_machine(machines):
    machines.set("/k", "1", expiration_ns=NOW)
    assert machines.applier.due(NOW - 1) == []
    ((name, body),) = machines.applier.due(NOW)
    (event,) = machines.request(name, body).value
    assert event.action == "expire"


def test_a_machine_that_raises_is_not_taken_for_applied(machines):
    class Broken:
        name = "broken"

        def apply(self, *, index, time_ns, body):
            raise ZeroDivisionError

    machines.applier._machines["broken"] = Broken()
    with pytest.raises(ZeroDivisionError):
        machines.request("broken", b"")
    assert machines.applier.applied_index == 0


@pytest.mark.parametrize(("members", "index"), [(1, 3), (3, 7)])
def test_a_new_cluster_is_at_the_index_of_etcds(machines, members, index):
    """V2-SPEC 7: one for each member added, each published, and the version."""
    machines.bootstrap(members)
    assert machines.v2.index == index
    event = machines.set("/k", "1").value
    assert event.node.modified_index == index + 1
    stats = machines.v2.stats
    assert (stats.creates_success, stats.sets_success) == (members, members + 2)


def test_bookkeeping_costs_what_it_costs_in_etcd_and_shows_nothing(machines):
    machines.bootstrap(3)
    seen = []
    machines.v2.watch("/", recursive=True, stream=True, since=0, callback=seen.append)
    first = machines.record(0).member_id

    def cost(change: ConfigChange) -> int:
        before = machines.v2.index
        machines.change(change)
        return machines.v2.index - before

    from kvd.cluster.machine import encode_publish, encode_record

    def record(n, **fields):
        return encode_record(machines.record(n, **fields))

    added = machines.record(7)
    assert cost(ConfigChange(ChangeKind.ADD_VOTER, added.member_id, record(7))) == 1
    assert cost(ConfigChange(ChangeKind.ADD_VOTER, added.member_id, record(7))) == 0
    update = ConfigChange(ChangeKind.UPDATE, first, record(0))
    assert cost(update) == 1
    assert cost(ConfigChange(ChangeKind.REMOVE, first)) == 2
    assert cost(ConfigChange(ChangeKind.REMOVE, first)) == 0
    before = machines.v2.index
    machines.request("cluster", encode_publish(added.member_id, "m7", ()))
    machines.request("cluster", encode_publish(first, "gone", ()))
    assert machines.v2.index == before + 1
    assert seen == []
    listing = machines.v2.get("/", recursive=True, sorted=False)
    assert listing.node.nodes is None


# -- S13 --


def apply_is_atomic(make_machines, make) -> None:
    """Restore and replay from any point; the wrong position is never accepted."""
    reference = make_machines(make)
    reference.bootstrap()
    for turn in range(6):
        reference.set("/k", f"{turn}")
    log = reference.log
    for crash in range(len(log) + 1):
        before = make_machines(make)
        for entry, change in log[:crash]:
            before.give(entry, change)
        chunks = list(before.applier.snapshot())
        after = make_machines(make)
        at_once(after.applier.restoring(chunks))
        assert after.applier.applied_index == crash
        for entry, change in log[:crash]:  # everything once more: refused
            with pytest.raises(InvariantViolated):
                after.give(entry, change)
        for entry, change in log[crash + 1 :]:  # one left out: refused
            with pytest.raises(InvariantViolated):
                after.give(entry, change)
        for entry, change in log[crash:]:
            after.give(entry, change)
        assert after.digest() == reference.digest()


class AppliesWhateverComes(Applier):
    def _check_next(self, index):
        pass


class ForgetsAppliedIndex(Applier):
    def restoring(self, chunks):
        replace = yield from super().restoring(chunks)

        def forget():
            replace()
            self.applied_index = 0

        return forget


def test_no_duplicate_or_skipped_apply_after_crash(make_machines):
    apply_is_atomic(make_machines, Applier)
    for mutant in (AppliesWhateverComes, ForgetsAppliedIndex):
        with pytest.raises((AssertionError, InvariantViolated, pytest.fail.Exception)):
            apply_is_atomic(make_machines, mutant)


# -- S15 --

REPLAY = """
import hashlib, sys
from tests.apply.conftest import Machines
from tests.apply.test_applier import a_long_log
machines = Machines()
told = a_long_log(machines)
snapshot = b"".join(machines.applier.snapshot())
print(hashlib.sha256(repr((machines.digest(), told)).encode()).hexdigest())
print(hashlib.sha256(snapshot).hexdigest())
"""


def a_long_log(machines: Machines) -> list[object]:
    """TTLs, in-order keys, removals and failures, with a watcher of it all."""
    told: list[object] = []
    machines.bootstrap(3)
    machines.v2.watch("/", recursive=True, stream=True, since=0, callback=told.append)
    for turn in range(3_000):
        name = f"/d{turn % 7}/k{turn * 7919 % 1_400}"
        instant = NOW + turn % 50 * SECOND if turn % 3 == 0 else None
        machines.set(name, f"{turn}", expiration_ns=instant)
        if turn % 10 == 0:
            post = Command(Op.CREATE_IN_ORDER, "/q", expiration_ns=instant)
            machines.request("v2", encode_command(post))
        if turn % 100 == 99:
            some_auth(machines, turn)
        if turn % 250 == 249:
            sync = Command(Op.SYNC, "", expiration_ns=NOW + turn // 80 * SECOND)
            machines.request("v2", encode_command(sync))
            delete = Command(Op.DELETE, f"/d{turn % 5}", recursive=True)
            machines.request("v2", encode_command(delete))
    return told


def some_auth(machines: Machines, turn: int) -> None:
    """Users and roles come and go, the switch is on now and then."""
    root = Asker("root", machines.auth.index)
    if turn == 99:
        machines.authorise(PutUser("root", "hash"))
    machines.authorise(PutUser(f"u{turn % 7}", f"{turn}", roles=("b", "a")), by=root)
    patterns = Permissions((f"/d{turn % 7}/*",), None)
    machines.authorise(PutRole(f"r{turn % 5}", grant=patterns), by=root)
    machines.authorise(PutRole(f"r{turn % 5}", patterns), by=root)
    machines.authorise(RemoveRole(f"r{turn % 3}"), by=root)
    machines.authorise(Switch(turn % 200 == 99), by=root)
    # While it is on, a guest may, and a user whom nobody knows may not.
    by = Asker(("", "nobody")[turn % 400 == 99], machines.auth.index - 1)
    machines.set("/d1/by", f"{turn}", by=by)


def replay_is_deterministic(make_machines, make) -> None:
    reference = make_machines(make)
    a_long_log(reference)
    log = reference.log
    for restart in (0, 17, 1_500, len(log)):
        again = make_machines(make)
        for entry, change in log[:restart]:
            again.give(entry, change)
        again = again.restarted()
        for entry, change in log[restart:]:
            again.give(entry, change)
        assert again.digest() == reference.digest()
        some = again.v2.index - 500
        for path in ("/", "/q", "/d3"):
            hits = [
                machines.v2.watch(
                    path, recursive=True, stream=False, since=some, callback=print
                ).event
                for machines in (again, reference)
            ]
            assert hits[0] == hits[1]


class StampsWithItsOwnCount(Applier):
    """Time taken from something that a restart does not bring back."""

    count = 0

    def _request(self, index, data):
        self.count += 1
        outcome = super()._request(index, data)
        if self.count % 1_000 == 0:
            sync = Command(Op.SYNC, "", expiration_ns=NOW + self.count * SECOND // 100)
            body = encode_command(sync)
            self._machines["v2"].apply(index=index, time_ns=0, body=body)
        return outcome


def test_replay_is_deterministic(make_machines):
    replay_is_deterministic(make_machines, Applier)
    with pytest.raises(AssertionError):
        replay_is_deterministic(make_machines, StampsWithItsOwnCount)


def test_nothing_depends_on_the_hash_seed(request):
    """S15: the same state and the same bytes of a snapshot in other processes."""
    root = request.config.rootpath
    printed = {
        subprocess.run(
            [sys.executable, "-c", REPLAY],
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(printed) == 1
    assert len(printed.pop().split()) == 2


# -- the whole snapshot --


def test_a_snapshot_brings_back_all_machines(machines):
    machines.bootstrap(3)
    machines.set("/k", "1")
    machines.change(ConfigChange(ChangeKind.REMOVE, machines.record(0).member_id))
    again = machines.restarted()
    assert again.digest() == machines.digest()
    refused = again.change(
        ConfigChange(ChangeKind.REMOVE, machines.record(0).member_id)
    )
    assert isinstance(refused.value, RefusedChange)


def test_a_snapshot_of_before_authentication_has_no_users_and_the_switch_off(machines):
    machines.set("/k", "1")
    before = Applier([machines.v2], machines.cluster)
    before.applied_index = 1
    again = Machines()
    again.authorise(PutUser("root", "hash"))
    again.authorise(Switch(True))
    at_once(again.applier.restoring(list(before.snapshot())))
    assert again.digest() == machines.digest()
    assert again.auth.user("root") is None
    assert not again.auth.enabled


# -- authentication --


def test_the_first_auth_write_costs_five_of_the_stores_steps_and_others_one(machines):
    """V2-SPEC 7."""

    def cost(change, *, by=GUEST) -> int:
        before = machines.v2.index
        machines.authorise(change, by=by)
        return machines.v2.index - before

    assert cost(Switch(True)) == 0  # no user root
    assert cost(PutUser("root", "hash")) == 5
    assert cost(PutUser("ann", "hash")) == 1
    assert cost(PutUser("ann", "hash", roles=("r",))) == 0
    assert cost(Switch(True)) == 2  # and the guest role
    assert cost(PutUser("bob", "hash")) == 0
    root = Asker("root", machines.auth.index)
    assert cost(Switch(False), by=root) == 1
    assert cost(Switch(True)) == 1
    stats = machines.v2.stats
    assert (stats.creates_success, stats.creates_fail) == (7, 1)
    assert (stats.updates_success, stats.sets_success) == (3, 0)


def test_a_removal_in_vain_makes_etcds_folders_all_the_same(machines):
    refused = machines.authorise(RemoveRole("r")).value
    assert refused == Refused(404, "auth: Role r doesn't exist.")
    assert machines.v2.index == 4
    assert machines.v2.stats.deletes_fail == 1
    assert (machines.auth.written, machines.auth.index) == (True, 0)


def test_auth_decided_at_log_index(make_machines):
    """RELIABILITY A03: behind a revocation no write of the user is carried out."""
    machines = make_machines()
    assert machines.authorise(PutUser("root", "hash")).value == Done(
        machines.auth.user("root"), created=True
    )
    machines.authorise(PutRole("r", Permissions(("/*",), ("/a/*",))))
    machines.authorise(PutRole("guest", Permissions()))
    machines.authorise(PutUser("ann", "hash", roles=("r",)))
    machines.authorise(Switch(True))
    index = machines.auth.index
    ann, root = Asker("ann", index), Asker("root", index)

    def refused(path: str, by: Asker | None) -> bool:
        value = machines.set(path, "1", by=by).value
        if isinstance(value, RequestError):
            assert (value.code, value.cause, value.index) == (
                110,
                "Insufficient credentials",
                0,
            )
            return True
        return False

    assert not refused("/a/k", ann)
    assert refused("/a/k", None)  # let in before there was a switch
    revoke = PutUser("ann", revoke=("r",))
    machines.authorise(revoke, by=root)
    # Another member let them in before it knew of the revocation.
    assert refused("/a/k", ann)
    assert not refused("/a/k", root)
    machines.authorise(PutUser("ann", grant=("r",)), by=root)
    assert not refused("/a/k", ann)
    assert refused("/b", ann)
    assert refused("/a", ann)
    # Whoever knew the old password is nobody, also if the name exists again.
    machines.authorise(PutUser("ann", "new"), by=root)
    assert refused("/a/k", ann)
    assert not refused("/a/k", Asker("ann", machines.auth.index))
    # Expiry asks nobody; and a root that is none any more cannot turn it off.
    sync = encode_command(Command(Op.SYNC, "", expiration_ns=NOW))
    assert machines.request("v2", sync).value == ()
    refusal = Refused(401, "Insufficient credentials")
    assert machines.authorise(Switch(False), by=ann).value == refusal
    assert machines.authorise(Switch(False)).value == refusal
    machines.authorise(PutUser("root", "new"), by=root)
    assert machines.authorise(Switch(False), by=root).value == refusal


@pytest.mark.parametrize(
    ("path", "slash", "pattern"),
    [("/", False, ""), ("/", True, "/"), ("/a", False, "/a"), ("/a", True, "/a/")],
)
def test_a_write_is_judged_by_the_path_as_it_was_sent(machines, path, slash, pattern):
    machines.authorise(PutUser("root", "hash"))
    machines.authorise(PutRole("guest", Permissions(None, (pattern,))))
    machines.authorise(Switch(True))

    def answer(slash: bool) -> object:
        post = Command(Op.CREATE_IN_ORDER, path, by=GUEST, slash=slash)
        return machines.request("v2", encode_command(post)).value

    # The root's pattern is empty, and an empty pattern is none.
    assert isinstance(answer(slash), RequestError) is (pattern == "")
    assert isinstance(answer(not slash), RequestError)


def test_a_snapshot_shows_the_moment_of_its_capture(machines):
    machines.bootstrap()
    for n in range(3_000):
        machines.set(f"/k/{n}", "1")
    digest = machines.digest()
    chunks = machines.applier.snapshot()
    machines.set("/later", "1")
    kept = []
    for chunk in chunks:
        assert len(chunk) <= 64 << 10
        kept.append(chunk)
        machines.set("/k/1", f"{len(kept)}")
    again = Machines()
    at_once(again.applier.restoring(kept))
    assert again.digest() == digest


def test_machines_are_replaced_together_or_not_at_all(machines):
    machines.bootstrap()
    machines.set("/k", "1")
    chunks = list(machines.applier.snapshot())
    again = Machines()
    again.bootstrap()
    digest = again.digest()
    data = b"".join(chunks)
    with pytest.raises(StorageError):
        at_once(again.applier.restoring([data[:-1]]))
    restoring = again.applier.restoring(chunks)
    for _ in restoring:
        assert again.digest() == digest
    assert again.digest() == digest  # nobody has taken what it returned
    at_once(again.applier.restoring(chunks))
    assert again.digest() == machines.digest()


def test_a_snapshot_of_other_machines_is_refused(machines):
    class Other(V2):
        name = "v3"

    more = Applier([V2(), Other()], ClusterMachine())
    with pytest.raises(StorageError, match="unknown"):
        at_once(machines.applier.restoring(list(more.snapshot())))
    with pytest.raises(StorageError, match="lacks"):
        at_once(more.restoring(list(Applier([V2()], ClusterMachine()).snapshot())))


def test_a_request_is_encoded_to_the_bytes_that_are_documented():
    data = encode_request(Request("v2", RequestId(2, 3), 4, b"body"))
    assert (
        data.hex()
        == ("01000000000000000200000000000000030000000000000004027632") + b"body".hex()
    )
