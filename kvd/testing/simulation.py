"""One simulation: a plan out of a seed, the run, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import attrs

from kvd.testing.clients import KEYS, TREES, Client
from kvd.testing.cluster import SimulatedCluster
from kvd.testing.faults import ALONE, NAMES, Nemesis
from kvd.testing.granting import GrantingClient
from kvd.testing.invariants import Violated
from kvd.testing.linearizability import check_indexes, keys_not_linearizable
from kvd.testing.member import Parts, Run, Sizes
from kvd.testing.network import encode_and_decode
from kvd.testing.watching import WatchingClient

SETTLE_ELECTIONS = 40
"""Election timeouts after healing within which a write must succeed."""

KINDS_MIN, KINDS_MAX = 3, 7
FINAL_READER = 99

OFTEN = {"reconfigure": 0.35, "replace": 0.1, "ring": 0.15, "crash_soon": 0.1}
"""How often kinds that rarely come to anything are added to those that were drawn."""


@attrs.frozen(kw_only=True)
class Plan:
    """
    What one simulation does; all of it follows from the seed, unless overridden.

    :ivar faults: the kinds that may strike.
    :ivar pause_seconds: between two faults, on average.
    :ivar wire: whether messages are encoded and decoded on their way.
    :ivar grants: whether users, roles and the switch are changed meanwhile.
    """

    seed: int
    members: int
    seconds: float
    clients: int
    think_seconds: float
    faults: tuple[str, ...]
    pause_seconds: float
    sizes: Sizes
    wire: bool = False
    grants: bool = False


def plan_of(seed: int, members: int = 0) -> Plan:
    """
    :param members: 0: let the seed choose.
    """
    random = Random(f"{seed} plan")
    drawn = random.choices((1, 3, 5), weights=(10, 60, 30))[0]
    count = members or drawn
    names = ALONE if count == 1 else NAMES
    kinds = set(random.sample(names, random.randint(KINDS_MIN, KINDS_MAX)))
    for name, share in OFTEN.items():
        if name in names and random.random() < share:
            kinds.add(name)
    return Plan(
        seed=seed,
        members=count,
        seconds=random.uniform(5.0, 9.0),
        clients=random.randint(2, 4),
        think_seconds=random.choice((0.08, 0.15, 0.3)),
        faults=tuple(sorted(kinds)),
        pause_seconds=random.choice((0.3, 0.6, 1.2)),
        sizes=Sizes(
            snapshot_count=random.choice((10, 25, 60, 1000)),
            catchup_entries=random.choice((0, 3, 10)),
            segment_bytes=random.choice((1024, 4096, 16384)),
            append_bytes_max=random.choice((1, 256, 4096)),
        ),
        wire=seed % 16 == 0,
        grants=seed % 4 == 3,
    )


@attrs.frozen(kw_only=True)
class Report:
    """
    What became of a simulation.

    :ivar problem: empty when everything held.
    :ivar counts: how often each fault, and some other things, happened.
    """

    seed: int
    members: int
    problem: str
    counts: Counter[str]
    operations: int
    plan: Plan
    error: BaseException | None = attrs.field(default=None, eq=False)


class Simulation:
    """A cluster, its clients, and its nemesis, as a plan says."""

    def __init__(
        self,
        plan: Plan,
        *,
        parts: Parts | None = None,
        trace: list[str] | None = None,
    ) -> None:
        self.plan = plan
        self.cluster = SimulatedCluster(
            str(plan.seed), plan.members, sizes=plan.sizes, parts=parts, trace=trace
        )
        if plan.wire:
            self.cluster.network.wire = encode_and_decode
        self.nemesis = Nemesis(
            self.cluster,
            Random(f"{plan.seed} nemesis"),
            names=plan.faults,
            pause_seconds=plan.pause_seconds,
        )
        self.clients = [
            Client(
                number,
                self.cluster,
                Random(f"{plan.seed} client {number}"),
                think_seconds=plan.think_seconds,
            )
            for number in range(plan.clients)
        ]
        self.granting = GrantingClient(self.cluster, Random(f"{plan.seed} granting"))
        self.watchers = [
            WatchingClient(
                number, self.cluster, Random(f"{plan.seed} watcher {number}")
            )
            for number in range(2)
        ]

    def run(self) -> Report:
        """Never raises for what the cluster does wrong; the report says it."""
        error: BaseException | None = None
        try:
            self._run()
        except Exception as caught:  # noqa: BLE001 -- whatever it is, it is a finding
            error = caught
        counts = self.cluster.counts
        network = self.cluster.network.counts
        counts["snapshot_streamed"] += network.snapshots
        counts["message_dropped"] += network.dropped
        counts["message_repeated"] += network.repeated
        counts["message_reordered"] += network.reordered
        return Report(
            seed=self.plan.seed,
            members=self.plan.members,
            problem=f"{type(error).__name__}: {error}" if error is not None else "",
            counts=counts,
            operations=len(self.cluster.histories.operations),
            plan=self.plan,
            error=error,
        )

    def _run(self) -> None:
        cluster = self.cluster
        cluster.start_all()
        for client in self.clients:
            client.start()
        for watcher in self.watchers:
            watcher.start()
        if self.plan.grants:
            self.granting.start()
        self.nemesis.start()
        cluster.run(self.plan.seconds)
        self.nemesis.stop()
        cluster.restarts = False
        cluster.heal()
        self._settle()
        self._judge()

    # -- the end --------------------------------------------------------------

    def _settle(self) -> None:
        """A leader, a write, all clients answered, all TTLs over, all members equal."""
        cluster = self.cluster
        election = cluster.sizes.election_seconds
        cluster.restarts = True
        probe = Client(
            FINAL_READER,
            cluster,
            Random(f"{self.plan.seed} probe"),
            think_seconds=0.1,
        )
        probe.stop()
        if not self._ask(probe, "set", KEYS[0], SETTLE_ELECTIONS * election):
            raise Violated(
                f"liveness: no write in {SETTLE_ELECTIONS} election timeouts after "
                f"everything was healed"
            )
        self.granting.stop()
        for client in self.clients:
            client.stop()
        self._wait("an answer", lambda: any(client.busy for client in self.clients))
        self._wait("the end of every TTL", lambda: bool(self._ttl_left()))
        for key in KEYS:
            if not self._ask(probe, "get", key, 10.0):
                raise Violated(f"no quorum read of {key} after healing")
        for watcher in self.watchers:
            watcher.stop()
        self._wait("operators", lambda: bool(self.nemesis.operator.unfinished))
        self._wait("members to catch up", self._differ)

    def _ask(self, probe: Client, name: str, key: str, seconds: float) -> bool:
        """Ask the leader, again and again, until it says yes or no."""
        cluster = self.cluster
        until = cluster.timeline.now + seconds
        operations = cluster.histories.operations
        while cluster.timeline.now < until:
            leader = cluster.leader()
            if leader is not None and leader.process.alive:
                probe.ask(name, leader, key)
                cluster.run_while(lambda: probe.busy, seconds)
                if operations[-1].client == FINAL_READER and operations[-1].outcome:
                    return True
            cluster.run(0.05)
        return False

    def _wait(
        self, for_what: str, condition: Callable[[], bool], seconds: float = 30.0
    ) -> None:
        cluster = self.cluster
        until = cluster.timeline.now + seconds
        while condition():
            if cluster.timeline.now > until:
                raise Violated(f"liveness: waited {seconds} s for {for_what}")
            cluster.run(0.1)

    def _ttl_left(self) -> set[str]:
        left: set[str] = set()
        for event in self.cluster.chronicle.events:
            key = event.node.key
            if key in self.cluster.histories.ttl_keys:
                if event.action == "expire":
                    left.discard(key)
                else:
                    left.add(key)
        return left

    def _voices(self) -> list[Run]:
        """The runs of all members that the leader knows."""
        leader = self.cluster.leader()
        if leader is None:
            return []
        ids = list(self.cluster.members(leader))
        runs = [run for run in self.cluster.serving() if run.member_id in ids]
        return runs if len(runs) == len(ids) else []

    def _differ(self) -> bool:
        voices = self._voices()
        return not voices or len({run.node.applied_index for run in voices}) > 1

    # -- the verdict ----------------------------------------------------------

    def _judge(self) -> None:
        cluster = self.cluster
        histories, chronicle = cluster.histories, cluster.chronicle
        voices = self._voices()
        if len({run.v2.digest() + run.auth.digest() for run in voices}) != 1:
            raise Violated("members differ although they applied the same")
        if len({run.cluster.members() for run in voices}) != 1:
            raise Violated("members differ in who is a member")
        for run in voices:
            if run.raft.status().configuration != run.membership():
                raise Violated(f"core and cluster machine of {run.member_id} differ")
        for who, since, index in histories.answers:
            chronicle.check_answer(since, index, who=who)
        for one in histories.glances:
            chronicle.check_glance(one)
        self._judge_writes()
        broken = keys_not_linearizable(histories.operations)
        if broken:
            raise Violated(f"not linearizable: {broken}")
        contradictions = check_indexes(histories.operations)
        if contradictions:
            raise Violated(contradictions[0])

    def _judge_writes(self) -> None:
        """Each write with a yes happened once, with a no never, and TTLs ended once."""
        histories = self.cluster.histories
        events = self.cluster.chronicle.events
        told = Counter(
            event.node.value for event in events if event.node.value is not None
        )
        twice = [value for value, count in told.items() if count > 1]
        if twice:
            raise Violated(f"took effect more than once: {twice}")
        wrongly = histories.never & set(told)
        if wrongly:
            raise Violated(f"refused, and took effect all the same: {wrongly}")
        written = {
            event.node.modified_index: (event.node.key, event.node.value)
            for event in events
        }
        for operation in histories.operations:
            outcome = operation.outcome
            if outcome is None or outcome.code or operation.name == "get":
                continue
            value = None if operation.name in {"delete", "cad"} else operation.value
            if written.get(outcome.modified) != (operation.key, value):
                raise Violated(f"an acknowledged write is gone: {operation}")
        expired = Counter(
            event.node.key for event in events if event.action == "expire"
        )
        for key, count in expired.items():
            asked = key in histories.ttl_keys or key in TREES
            if not asked or (count > 1 and key not in TREES):
                raise Violated(f"{key} expired {count} times")


def simulate(
    seed: int,
    *,
    members: int = 0,
    parts: Parts | None = None,
    trace: list[str] | None = None,
) -> Report:
    """One seed, from beginning to end."""
    return Simulation(plan_of(seed, members), parts=parts, trace=trace).run()
