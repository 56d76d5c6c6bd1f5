"""What operators ask of a simulated cluster: other leaders, other members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from random import Random

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.cluster.machine import encode_record
from kvd.cluster.members import MemberRecord, RefusedChange
from kvd.errors import ReconfigurationRefused, Unavailable
from kvd.node.interfaces import Applied
from kvd.raft.messages import ChangeKind, ConfigChange
from kvd.testing.cluster import SimulatedCluster
from kvd.testing.member import Run, record_of

MEMBERS_MAX = 8
AGAIN_SECONDS = 0.5


class Operator:
    """
    Each request goes to some member, whatever state the cluster is in.

    What an operator must not do, this one does not: take away a member while another
    one is destroyed, or destroy one while the outcome of a removal is not known.

    :ivar unfinished: what he goes on asking for until it is done: dead members that
        are to be removed, and wrong URLs that are to be put right.
    """

    def __init__(self, cluster: SimulatedCluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self._moves = 0
        self._removals = 0  # under way, or nobody knows what became of them
        self._maybe_at: defaultdict[int, set[str]] = defaultdict(set)
        self.unfinished: set[str] = set()
        self.stopped = False

    def transfer(self) -> bool:
        """Leadership to anybody; false if nobody leads."""
        leader = self._cluster.leader()
        if leader is None:
            return False
        target = self._random.choice(list(self._cluster.machines))

        def transfer(run: Run) -> None:
            run.node.transfer_leadership(target).addCallback(self._transferred)

        leader.process.after(0, transfer, leader)
        return True

    def _transferred(self, done: bool) -> None:
        self._cluster.counts["transfer_done"] += done

    # -- one change -----------------------------------------------------------

    def reconfigure(self) -> bool:
        """Add a member, promote a learner, move one or remove one."""
        runs = self._cluster.serving()
        if not runs:
            return False
        run = self._random.choice(runs)
        members = run.cluster.members()
        choice = self._random.random()
        learners = [record for record in members if record.learner]
        if choice < 0.3 and members:
            self._move(run, self._random.choice(members).member_id)
        elif choice < 0.45 and learners:
            self._promote(self._random.choice(learners).member_id)
        elif choice < 0.65 and len(members) > 1 and not self.unfinished:
            self._remove(run, self._random.choice(members).member_id)
        elif len(self._cluster.machines) < MEMBERS_MAX:
            self._add(run)
        else:
            return False
        return True

    def replace(self) -> bool:
        """A follower is lost for good; another one takes its place."""
        leader = self._cluster.leader()
        if leader is None or self._removals or self.unfinished:
            return False
        voters = leader.raft.status().configuration.voters
        followers = [
            machine
            for machine in self._cluster.machines.values()
            if machine.up
            and machine.member_id in voters
            and machine is not leader.machine
        ]
        if len(voters) < 3 or not followers:
            return False
        dead = self._random.choice(followers)
        self._cluster.destroy(dead)
        change = ConfigChange(ChangeKind.REMOVE, dead.member_id)
        self._insist(f"remove dead {dead.member_id}", change, self._replaced)
        return True

    def _replaced(self, _: Applied) -> None:
        runs = self._cluster.serving()
        if runs and not self.stopped:
            self._add(self._random.choice(runs))

    def _remove(self, run: Run, member_id: int) -> None:
        self._removals += 1

        def known(_: object) -> None:
            self._removals -= 1

        change = ConfigChange(ChangeKind.REMOVE, member_id)
        self._ask(run, change, "remove", applied=known, refused=known)

    def _add(self, run: Run) -> None:
        """A learner as a rule; some know the others, some have a wrong URL at first."""
        member_id = max(self._cluster.machines) + 1
        learner = self._random.random() < 0.7
        record = record_of(member_id, learner=learner)
        known = run.cluster.members() if self._random.random() < 0.5 else ()
        machine = self._cluster.add_machine(member_id, remotes=known)
        if learner and self._random.random() < 0.25:
            record = attrs.evolve(record, peer_urls=(f"http://wrong-{member_id}:2380",))
        self._cluster.timeline.after(
            self._random.random(), self._cluster.start, machine
        )
        kind = ChangeKind.ADD_LEARNER if learner else ChangeKind.ADD_VOTER
        change = ConfigChange(kind, member_id, encode_record(record))

        def added(_: object) -> None:
            if not machine.addresses.isdisjoint(record.peer_urls):
                return
            right = ConfigChange(
                ChangeKind.UPDATE, member_id, encode_record(record_of(member_id))
            )
            self._insist(f"put right {member_id}", right, lambda _: None)

        name = "add_learner" if learner else "add_voter"
        # Whatever became of it: the member may be there.
        self._ask(run, change, name, applied=added, unknown=added)

    def _promote(self, member_id: int) -> None:
        runs = self._cluster.serving()
        if runs:
            change = ConfigChange(ChangeKind.ADD_VOTER, member_id)
            self._ask(self._random.choice(runs), change, "promote_asked")

    def _move(self, run: Run, member_id: int) -> None:
        """The member listens at another place from now on."""
        machine = self._cluster.machines[member_id]
        if any(str(member_id) in what.split() for what in self.unfinished):
            return
        self._moves += 1
        url = f"http://peer-{member_id}-{self._moves}:2380"
        record = MemberRecord(member_id, "", (url,), ())
        machine.addresses.add(url)
        maybe_at = self._maybe_at[member_id]

        def moved(outcome: Applied) -> None:
            if isinstance(outcome.value, MemberRecord):
                machine.addresses = {url} | maybe_at
            else:
                not_moved(outcome)

        def not_moved(_: object) -> None:
            machine.addresses = machine.addresses - {url}

        def unknown(_: object) -> None:
            maybe_at.update(machine.addresses)

        change = ConfigChange(ChangeKind.UPDATE, member_id, encode_record(record))
        self._ask(
            run, change, "update", applied=moved, refused=not_moved, unknown=unknown
        )

    # -- asking ---------------------------------------------------------------

    def _insist(
        self, what: str, change: ConfigChange, done: Callable[[Applied], None]
    ) -> None:
        """Again and again, of anybody, until it is applied or refused for good."""
        self.unfinished.add(what)

        def again(_: object = None) -> None:
            self._cluster.timeline.after(AGAIN_SECONDS, ask)

        def ask() -> None:
            runs = self._cluster.serving()
            if not runs:
                again()
                return
            run = self._random.choice(runs)
            self._ask(
                run,
                change,
                what.partition(" ")[0],
                applied=applied,
                refused=again,
                unknown=again,
                ended=again,
            )

        def applied(outcome: Applied) -> None:
            self.unfinished.discard(what)
            done(outcome)

        again()

    def _ask(
        self,
        run: Run,
        change: ConfigChange,
        name: str,
        *,
        applied: Callable[[Applied], None] = lambda _: None,
        refused: Callable[[object], None] = lambda _: None,
        unknown: Callable[[object], None] = lambda _: None,
        ended: Callable[[object], None] | None = None,
    ) -> None:
        """
        :param ended: the run ended before it answered; ``unknown`` unless given.
        """
        over = False

        def once(tell: Callable[[], None]) -> None:
            nonlocal over
            if not over:
                over = True
                tell()

        def begin() -> None:
            answer: Deferred[Applied] = run.node.reconfigure(change)
            answer.addCallbacks(succeeded, failed)

        def succeeded(outcome: Applied) -> None:
            self._cluster.invariants.acknowledged(outcome.index, outcome.term)
            if not isinstance(outcome.value, RefusedChange):
                self._cluster.counts[name] += 1
            once(lambda: applied(outcome))

        def failed(failure: Failure) -> None:
            error = failure.value
            if isinstance(error, ReconfigurationRefused):
                self._cluster.counts["change_refused"] += 1
                once(lambda: refused(error))
            elif isinstance(error, Unavailable):
                tell = unknown if error.may_take_effect else refused
                once(lambda: tell(error))
            else:
                self._cluster.failed_elsewhere(error)

        gone = ended or unknown
        run.ended.append(lambda: once(lambda: gone(None)))
        self._cluster.note(f"{name} {change.member_id} by {run.member_id}")
        run.process.after(0, begin)
