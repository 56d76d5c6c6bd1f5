"""A simulated cluster: its machines, its network, and the judge of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

from kvd.apply.request import decode_request
from kvd.cluster.members import MemberRecord
from kvd.errors import StorageError
from kvd.node.changes import untag_change
from kvd.raft.codec import decode_change
from kvd.raft.messages import ChangeKind, Entry, EntryKind, Message
from kvd.testing.clients import Histories
from kvd.testing.clock import Timeline
from kvd.testing.disk import SimulatedDisk
from kvd.testing.invariants import Invariants, Violated
from kvd.testing.member import (
    EPOCH_NS,
    Host,
    Machine,
    Parts,
    Run,
    Sizes,
    record_of,
)
from kvd.testing.network import Network
from kvd.testing.watching import Chronicle
from kvd.v2.commands import Op, decode_command

RESTART_SECONDS_MAX = 2.0
STEPS_MAX = 500_000


class SimulatedCluster(Host):
    """
    Members of one cluster on one timeline; everything random comes out of the seed.

    :ivar problems: what went wrong, oldest first; the simulation ends at the first.
    :ivar counts: how often each thing happened, faults among them.
    :ivar restarts: whether a member that stops comes back by itself.
    :ivar steps: calls that the timeline has made.
    :ivar trace: filled when it is a list.
    """

    def __init__(
        self,
        seed: str,
        members: int,
        *,
        sizes: Sizes | None = None,
        parts: Parts | None = None,
        trace: list[str] | None = None,
    ) -> None:
        self.seed = seed
        self.sizes = sizes or Sizes()
        self.parts = parts or Parts()
        self.trace = trace
        self.timeline = Timeline()
        self.network = Network(self.timeline, Random(f"{seed} network"))
        self.invariants = Invariants()
        self.chronicle = Chronicle()
        self.histories = Histories()
        self.counts: Counter[str] = Counter()
        self.problems: list[BaseException] = []
        self.machines: dict[int, Machine] = {}
        self.restarts = True
        self.steps = 0
        self._random = Random(f"{seed} restarts")
        if trace is not None:
            self.network.observer = self._trace_message
        founding = tuple(record_of(member_id) for member_id in range(1, members + 1))
        for record in founding:
            self.add_machine(record.member_id, founding)

    # -- machines -------------------------------------------------------------

    def add_machine(
        self,
        member_id: int,
        founding: tuple[MemberRecord, ...] = (),
        remotes: tuple[MemberRecord, ...] = (),
    ) -> Machine:
        """Without ``founding`` one that waits until the cluster speaks to it."""
        machine = Machine(
            member_id,
            timeline=self.timeline,
            seed=self.seed,
            disk=self.parts.disk,
            founding=founding,
            remotes=remotes,
        )
        self.machines[member_id] = machine
        return machine

    def start(self, machine: Machine) -> None:
        """Unless it runs."""
        if machine.run is not None:
            return
        run = machine.run = Run(
            machine,
            host=self,
            network=self.network,
            timeline=self.timeline,
            invariants=self.invariants,
            parts=self.parts,
            sizes=self.sizes,
        )
        self.note(f"start {machine.member_id}")
        run.start()

    def start_all(self) -> None:
        for machine in self.machines.values():
            self.start(machine)

    def serving(self) -> list[Run]:
        """Runs that clients can reach."""
        return [
            machine.run
            for machine in self.machines.values()
            if machine.run is not None and machine.run.ready
        ]

    def leader(self) -> Run | None:
        """The one with the highest term, if there are several."""
        leaders = [run for run in self.serving() if run.node.is_leader]
        return max(leaders, key=lambda run: run.raft.term, default=None)

    def power_cut(self, machine: Machine) -> None:
        """Nothing un-synced is safe; the machine comes back in a moment."""
        self._stop(machine, "power cut")
        disk = machine.disk
        torn, undone = disk.torn, disk.undone
        disk.power_cut()
        self.counts["torn_write"] += disk.torn - torn
        self.counts["undone_folder_step"] += disk.undone - undone
        self._restart_later(machine)

    def kill(self, machine: Machine) -> None:
        """Only the process is gone."""
        self._stop(machine, "killed")
        machine.disk.process_end()
        self._restart_later(machine)

    def destroy(self, machine: Machine) -> None:
        """It burns down, with its disk."""
        machine.removed = True
        self._stop(machine, "destroyed")
        machine.disk.process_end()

    def stop(self, run: Run) -> None:
        """In the member's own turn: let it end in good order, and start it again."""
        self.note(f"stop {run.member_id}")
        run.stop().addCallback(self._stopped, run)

    def _stopped(self, _: object, run: Run) -> None:
        self.counts["stopped"] += 1
        self.kill(run.machine)

    def _stop(self, machine: Machine, why: str) -> None:
        if machine.run is not None:
            self.note(f"{why} {machine.member_id}")
            machine.run.end()

    def _restart_later(self, machine: Machine) -> None:
        if self.restarts:
            seconds = 0.05 + RESTART_SECONDS_MAX * self._random.random() ** 2
            self.timeline.after(seconds, self._restart, machine)

    def _restart(self, machine: Machine) -> None:
        if not machine.removed:
            self.start(machine)

    # -- what runs tell -------------------------------------------------------

    def assembled(self, run: Run) -> None:
        self.chronicle.follow(run.v2, f"member {run.member_id}, run {run.number}")

    def crashed(self, run: Run) -> None:
        self.counts["crash_at_write"] += 1
        self.power_cut(run.machine)

    def failed(self, run: Run, error: BaseException | None) -> None:
        if not run.process.alive:
            return
        if isinstance(error, StorageError) and run.machine.storage_may_fail:
            self.counts["stopped_by_disk"] += 1
            self.kill(run.machine)
        else:
            self.failed_elsewhere(error)

    def failed_elsewhere(self, error: BaseException | None) -> None:
        self.problems.append(error or Violated("a failure of nothing"))

    def left(self, run: Run, reason: str) -> None:
        self.note(f"left {run.member_id}: {reason}")
        self.counts["left"] += 1
        run.machine.removed = True
        run.process.after(0, self._leave, run)

    def _leave(self, run: Run) -> None:
        run.end()
        run.machine.disk.process_end()

    def happened(self, what: str) -> None:
        self.counts[what] += 1

    def first_applied(self, entry: Entry, value: object) -> None:
        if entry.kind is EntryKind.CHANGE and isinstance(value, MemberRecord):
            _, change = untag_change(decode_change(entry.data))
            if change.kind is ChangeKind.ADD_VOTER and not change.context:
                self.counts["promote"] += 1
        if entry.kind is EntryKind.NORMAL and type(value) is tuple:
            self._check_expiry(entry, value)

    def _check_expiry(self, entry: Entry, events: tuple[object, ...]) -> None:
        """Nothing ends before its time, and only a leader says what time it is."""
        request = decode_request(entry.data)
        command = decode_command(request.body)
        if command.op is not Op.SYNC or command.expiration_ns is None:
            raise Violated(f"several events of {command}")
        if request.request_id.member_id not in self.invariants.leaders.values():
            raise Violated(f"a Sync of a member that never led: {request}")
        if command.expiration_ns > request.time_ns:
            raise Violated(f"a Sync ahead of its own clock: {request}, {command}")
        for event in events:
            prev = getattr(event, "prev", None)
            if prev is None or prev.expiration_ns > command.expiration_ns:
                raise Violated(
                    f"expired too early, at {command.expiration_ns}: {event}"
                )
        self.counts["expired"] += len(events)

    # -- running --------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """
        Let so much true time pass.

        :raises BaseException: the first problem.
        """
        self.run_while(lambda: True, seconds)

    def run_while(self, condition: Callable[[], bool], seconds: float) -> bool:
        """As ``run``, at most until a condition no longer holds; whether it does."""
        until = self.timeline.now + seconds
        step, problems = self.timeline.step, self.problems
        while condition():
            self.steps += 1
            if self.steps > STEPS_MAX:
                raise Violated(
                    f"no end after {STEPS_MAX} steps, at {self.timeline.now}"
                )
            if not step(until):
                self.timeline.now = until
                return not condition()
            if problems:
                raise problems[0]
        return True

    def heal(self) -> None:
        """No more faults: everything works, every clock is right, everybody is up."""
        self.network.heal()
        for machine in self.machines.values():
            self.mend_disk(machine.disk)
            machine.clock.correct(EPOCH_NS)
            if machine.run is not None:
                machine.run.process.resume()
            elif not machine.removed:
                self.start(machine)

    @staticmethod
    def mend_disk(disk: SimulatedDisk) -> None:
        disk.capacity = 1 << 40
        disk.failing_syncs = disk.failing_reads = 0
        disk.crash_after = -1
        disk.sync_seconds = 0.002

    def members(self, run: Run) -> Iterable[int]:
        """Ids of the members that a run knows."""
        return [record.member_id for record in run.cluster.members()]

    # -- the trace ------------------------------------------------------------

    def note(self, what: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.timeline.now:.9f} {what}")

    def _trace_message(self, message: Message) -> None:
        self.note(repr(message))
