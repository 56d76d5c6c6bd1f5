"""What can go wrong in a simulated cluster, and who makes it go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from kvd.testing.cluster import SimulatedCluster
from kvd.testing.member import Machine
from kvd.testing.operators import Operator

Undo = Callable[[], None]


def nothing() -> None:
    """There is nothing to undo."""


class Nemesis:
    """
    Makes faults, one after the other and overlapping, and undoes each after a while.

    A method ``fault_<name>`` returns what undoes it, or None if it was not possible
    just now. Faults that only prepare something (a write at which the power will go)
    are counted where it happens, the others here.
    """

    def __init__(
        self,
        cluster: SimulatedCluster,
        random: Random,
        *,
        names: Sequence[str],
        pause_seconds: float,
    ) -> None:
        self._cluster = cluster
        self._random = random
        self._names = names
        self._pause_seconds = pause_seconds
        self.operator = Operator(cluster, random)
        self.stopped = False

    def start(self) -> None:
        self._wait()

    def stop(self) -> None:
        self.stopped = self.operator.stopped = True

    def _wait(self) -> None:
        seconds = 0.05 + self._random.expovariate(1 / self._pause_seconds)
        self._cluster.timeline.after(seconds, self._strike)

    def _strike(self) -> None:
        if self.stopped or not self._names:
            return
        self.strike(self._random.choice(self._names))
        self._wait()

    def strike(self, name: str) -> None:
        """One fault of this kind, if it is possible now."""
        undo: Undo | None = getattr(self, f"fault_{name}")()
        if undo is None:
            return
        self._cluster.note(f"fault {name}")
        self._cluster.counts[name] += 1
        if undo is not nothing:
            seconds = 0.2 + 2.5 * self._random.random()
            self._cluster.timeline.after(seconds, self._undo, undo)

    def _undo(self, undo: Undo) -> None:
        if not self.stopped:  # else everything has been healed
            undo()

    # -- whom -----------------------------------------------------------------

    def _machine(self) -> Machine | None:
        up = [machine for machine in self._cluster.machines.values() if machine.up]
        return self._random.choice(up) if up else None

    def _often_leader(self) -> Machine | None:
        leader = self._cluster.leader()
        if leader is not None and self._random.random() < 0.5:
            return leader.machine
        return self._machine()

    def _ids(self) -> list[int]:
        ids = list(self._cluster.machines)
        self._random.shuffle(ids)
        return ids

    # -- the network ----------------------------------------------------------

    def fault_partition(self) -> Undo | None:
        ids = self._ids()
        if len(ids) < 2:
            return None
        cut = self._random.randint(1, len(ids) - 1)
        self._cluster.network.isolate(ids[:cut], ids[cut:])
        return self._cluster.network.heal

    def fault_one_way_cut(self) -> Undo | None:
        ids = self._ids()
        if len(ids) < 2:
            return None
        incoming = self._random.random() < 0.5
        for other in ids[1:]:
            if incoming:
                self._cluster.network.cut(other, ids[0])
            else:
                self._cluster.network.cut(ids[0], other)
        return self._cluster.network.heal

    def fault_ring(self) -> Undo | None:
        """Each hears only its two neighbours."""
        ids = self._ids()
        if len(ids) < 4:
            return None
        for place, one in enumerate(ids):
            for other in ids[place + 2 : place + len(ids) - 1]:
                self._cluster.network.isolate([one], [other])
        return self._cluster.network.heal

    def fault_bridge(self) -> Undo | None:
        """Two halves that only one member connects."""
        ids = self._ids()
        if len(ids) < 3:
            return None
        half = len(ids) // 2
        self._cluster.network.isolate(ids[1 : half + 1], ids[half + 1 :])
        return self._cluster.network.heal

    def _all_links(self, change: Callable[[int, int], None]) -> Undo | None:
        ids = self._ids()
        if len(ids) < 2:
            return None
        for one in ids:
            for other in ids:
                if one != other:
                    change(one, other)
        return self._cluster.network.heal

    def fault_drop(self) -> Undo | None:
        share = self._random.choice((0.05, 0.2, 0.5))

        def change(one: int, other: int) -> None:
            self._cluster.network.link(one, other).drop = share

        return self._all_links(change)

    def fault_repeat(self) -> Undo | None:
        def change(one: int, other: int) -> None:
            self._cluster.network.link(one, other).repeat = 0.3

        return self._all_links(change)

    def fault_delay(self) -> Undo | None:
        seconds = self._random.choice((0.02, 0.1, 0.4))

        def change(one: int, other: int) -> None:
            link = self._cluster.network.link(one, other)
            link.seconds, link.jitter = seconds, seconds

        return self._all_links(change)

    def fault_reorder(self) -> Undo | None:
        def change(one: int, other: int) -> None:
            link = self._cluster.network.link(one, other)
            link.swap, link.jitter = 0.3, 0.02

        return self._all_links(change)

    # -- processes and machines -----------------------------------------------

    def fault_power_cut(self) -> Undo | None:
        machine = self._often_leader()
        if machine is None:
            return None
        self._cluster.power_cut(machine)
        return nothing

    def fault_kill(self) -> Undo | None:
        machine = self._often_leader()
        if machine is None:
            return None
        self._cluster.kill(machine)
        return nothing

    def fault_stop(self) -> Undo | None:
        """SIGTERM: what is under way is finished, the files are closed."""
        machine = self._often_leader()
        run = machine.run if machine is not None else None
        if run is None or not run.ready:
            return None
        run.process.after(0, self._cluster.stop, run)
        return nothing

    def fault_power_cut_all(self) -> Undo | None:
        for machine in self._cluster.machines.values():
            if machine.up:
                self._cluster.power_cut(machine)
        return nothing

    def fault_crash_soon(self) -> Undo | None:
        """The power goes at one of the next writes."""
        machine = self._often_leader()
        if machine is None:
            return None
        machine.disk.crash_after = self._random.randrange(12)
        return nothing

    def fault_pause(self) -> Undo | None:
        machine = self._often_leader()
        run = machine.run if machine is not None else None
        if run is None:
            return None
        run.process.pause()
        return run.process.resume

    # -- disks ----------------------------------------------------------------

    def fault_slow_disk(self) -> Undo | None:
        machine = self._often_leader()
        if machine is None:
            return None
        disk = machine.disk
        disk.sync_seconds = self._random.choice((0.05, 0.3, 1.0))

        def undo() -> None:
            disk.sync_seconds = 0.002

        return undo

    def fault_sync_error(self) -> Undo | None:
        machine = self._often_leader()
        if machine is None:
            return None
        machine.storage_may_fail = True
        machine.disk.failing_syncs = 1
        return nothing

    def fault_read_error(self) -> Undo | None:
        """The member cannot start, or cannot send its snapshot."""
        machine = self._machine()
        if machine is None:
            return None
        machine.storage_may_fail = True
        machine.disk.failing_reads = 1
        if self._random.random() < 0.7:
            self._cluster.kill(machine)
        return nothing

    def fault_disk_full(self) -> Undo | None:
        machine = self._often_leader()
        if machine is None:
            return None
        machine.storage_may_fail = True
        disk = machine.disk
        disk.capacity = disk.used + self._random.randrange(2000)

        def undo() -> None:
            disk.capacity = 1 << 40

        return undo

    def fault_low_space(self) -> Undo | None:
        """Less than the floor, more than will be written."""
        machine = self._often_leader()
        if machine is None:
            return None
        disk = machine.disk
        disk.capacity = disk.used + self._cluster.sizes.disk_floor_bytes - 1
        machine.storage_may_fail = True

        def undo() -> None:
            disk.capacity = 1 << 40

        return undo

    # -- clocks ---------------------------------------------------------------

    def fault_clock_skew(self) -> Undo | None:
        machine = self._machine()
        if machine is None:
            return None
        clock = machine.clock
        clock.set_rate(self._random.choice((0.5, 0.8, 1.25, 2.0)))

        def undo() -> None:
            clock.set_rate(1.0)

        return undo

    def fault_clock_step(self) -> Undo | None:
        machine = self._often_leader()
        if machine is None:
            return None
        machine.clock.step_wall(self._random.choice((-3.0, -1.0, 1.0, 3.0)))
        return nothing

    # -- asked for by operators -----------------------------------------------

    def fault_transfer(self) -> Undo | None:
        return nothing if self.operator.transfer() else None

    def fault_reconfigure(self) -> Undo | None:
        return nothing if self.operator.reconfigure() else None

    def fault_replace(self) -> Undo | None:
        return nothing if self.operator.replace() else None


NAMES = tuple(
    name.removeprefix("fault_") for name in vars(Nemesis) if name.startswith("fault_")
)

ALONE = tuple(
    name
    for name in NAMES
    if name
    not in {
        "partition",
        "one_way_cut",
        "ring",
        "bridge",
        "drop",
        "repeat",
        "delay",
        "reorder",
        "transfer",
        "replace",
    }
)
"""Those that a cluster of one can have."""
