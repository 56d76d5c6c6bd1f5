"""What operators ask of a simulated cluster: other leaders, other members."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.cluster.machine import encode_record
from kvd.cluster.members import RefusedChange
from kvd.errors import ReconfigurationRefused, Unavailable
from kvd.node.interfaces import Applied
from kvd.raft.messages import ChangeKind, ConfigChange
from kvd.testing.cluster import SimulatedCluster
from kvd.testing.member import Run, record_of

MEMBERS_MAX = 6


class Operator:
    """Each request goes to some member, whatever state the cluster is in."""

    def __init__(self, cluster: SimulatedCluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
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

    def reconfigure(self) -> bool:
        """Add a learner or a voter on a new machine, promote one, or remove one."""
        runs = self._cluster.serving()
        if not runs:
            return False
        run = self._random.choice(runs)
        members = run.cluster.members()
        choice = self._random.random()
        learners = [record for record in members if record.learner]
        if learners and choice < 0.75:
            self._promote(self._random.choice(learners).member_id)
        elif len(members) - len(learners) > 2 and choice > 0.6:
            # Never one of two: if the other loses power before it has written down
            # that the removal is committed, it waits for a vote that is gone.
            target = self._random.choice(members).member_id
            self._reconfigure(run, ConfigChange(ChangeKind.REMOVE, target), "remove")
        elif len(self._cluster.machines) < MEMBERS_MAX:
            self._add(run)
        else:
            return False
        return True

    def _add(self, run: Run) -> None:
        member_id = max(self._cluster.machines) + 1
        learner = self._random.random() < 0.6
        record = record_of(member_id, learner=learner)
        kind = ChangeKind.ADD_LEARNER if learner else ChangeKind.ADD_VOTER
        change = ConfigChange(kind, member_id, encode_record(record))
        machine = self._cluster.add_machine(member_id)
        self._cluster.timeline.after(
            self._random.random(), self._cluster.start, machine
        )
        self._reconfigure(run, change, "add_learner" if learner else "add_voter")

    def _promote(self, member_id: int) -> None:
        runs = self._cluster.serving()
        if runs:
            change = ConfigChange(
                ChangeKind.ADD_VOTER, member_id, encode_record(record_of(member_id))
            )
            self._reconfigure(self._random.choice(runs), change, "promote")

    def _reconfigure(self, run: Run, change: ConfigChange, name: str) -> None:
        def begin() -> None:
            answer: Deferred[Applied] = run.node.reconfigure(change)
            answer.addCallback(applied).addErrback(refused)

        def applied(outcome: Applied) -> None:
            self._cluster.invariants.acknowledged(outcome.index, outcome.term)
            if not isinstance(outcome.value, RefusedChange):
                self._cluster.counts[name] += 1
                if name == "add_learner" and not self.stopped:
                    seconds = 0.5 + self._random.random()
                    self._cluster.timeline.after(
                        seconds, self._promote, change.member_id
                    )

        def refused(failure: Failure) -> None:
            if isinstance(failure.value, ReconfigurationRefused):
                self._cluster.counts["change_refused"] += 1
            elif not isinstance(failure.value, Unavailable):
                self._cluster.failed_elsewhere(failure.value)

        self._cluster.note(f"{name} {change.member_id} by {run.member_id}")
        run.process.after(0, begin)
