"""One member in memory, and everything that can happen to it."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred

from kvd.testing.disk import SimulatedDisk
from kvd.testing.member import Machine, Run
from kvd.testing.memory.plans import Faults
from kvd.testing.memory.world import ForgetfulV2, World, url_of

DRAIN_SECONDS = 5.0


class Member(Faults):
    """
    A whole member: its Raft, store, log and client port are the real ones, its clock,
    disk and network are simulated.

    Nothing here lets time pass, unless it says so.

    :ivar name: such as ``m1``.
    :ivar url: its client URL, which the reactor in memory can reach.

    .. versionadded:: 0.1
    """

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._plan = world.plan
        self._machine = machine
        self._place = world.places[machine.member_id]
        self.name = self._faulty = self._place.name
        self.url = url_of(self.name)

    def __repr__(self) -> str:
        return f"<member {self.name}>"

    # -- what it is -----------------------------------------------------------------

    @property
    def member_id(self) -> int:
        return self._machine.member_id

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._machine.up

    @property
    def is_serving(self) -> bool:
        """Whether it answers clients: it runs, and has had a leader since it began."""
        site = self._place.site
        return self.is_running and site is not None and site.is_open

    @property
    def is_leader(self) -> bool:
        """Whether it thinks so itself; one that was cut off may be wrong for a while."""
        run = self._machine.run
        return run is not None and run.ready and run.node.is_leader

    @property
    def etcd_index(self) -> int:
        """
        How far it has come; a member that lags has a smaller one than the others.

        :raises RuntimeError: it is down.
        """
        return self._run().v2.index

    def _run(self) -> Run:
        run = self._machine.run
        if run is None or not run.ready:
            raise RuntimeError(f"{self.name} is down")
        return run

    # -- its process ----------------------------------------------------------------

    def kill(self) -> None:
        """
        As SIGKILL: the process is gone; what it has written is still there.

        A millisecond passes, in which its clients lose their connections.
        """
        self._world.kill(self._machine)
        self._world.let_know()

    def power_cut(self) -> None:
        """As kill, and of what no sync has covered some is lost, maybe a part."""
        self._world.power_cut(self._machine)
        self._world.let_know()

    def stop(self, seconds: float = 30.0) -> None:
        """
        As SIGTERM: leadership is handed over, what is under way answered; time passes.

        :raises StillWaiting: it did not end within so many virtual seconds.
        """
        if not self.is_running:
            return
        stopping = Deferred.fromCoroutine(self._stop(self._run()))
        self._world.wait(
            f"{self.name} to stop",
            lambda: stopping.called or not self.is_running,
            seconds,
        )
        self.kill()

    async def _stop(self, run: Run) -> None:
        target = run.node.successor() if run.node.is_leader else 0
        if target:
            await run.node.transfer_leadership(target)
        if self._place.site is not None:
            await self._place.site.drain(DRAIN_SECONDS)
        await run.stop()

    def start(self) -> None:
        """Begin again with what is on its disk; :meth:`wait_until_serving` follows."""
        self._world.start(self._machine)

    def restart(self) -> None:
        """Kill it, start it, and let time pass until it serves."""
        self.kill()
        self.start()
        self.wait_until_serving()

    def wait_until_serving(self, seconds: float = 30.0) -> None:
        """
        Let time pass until it does.

        :raises StillWaiting: it has not within so many virtual seconds.
        """
        self._world.wait(f"{self.name} to serve", lambda: self.is_serving, seconds)

    def pause(self) -> None:
        """As SIGSTOP: nothing of it runs, and its connections stay."""
        self._running().process.pause()

    def resume(self) -> None:
        """As SIGCONT: everything that came due meanwhile happens."""
        self._running().process.resume()

    def _running(self) -> Run:
        run = self._machine.run
        if run is None:
            raise RuntimeError(f"{self.name} is down")
        return run

    # -- its network, disk and history --------------------------------------------------

    def cut_off(self, *, members: bool = True, clients: bool = False) -> None:
        """
        No packet passes between it and the others, until :meth:`heal`.

        :param members: the others of its cluster.
        :param clients: whoever uses it; their connections stay open, and are silent.
        """
        if members:
            own = self._machine.member_id
            others = [each for each in self._world.machines if each != own]
            self._world.network.isolate([own], others)
            self._place.cut_off = True
        if clients:
            self._place.line.cut = True

    def heal(self) -> None:
        """
        Its network, its disk and its process work as they should.

        One that is down stays down. What is cut off itself stays cut off from it.
        """
        world, own = self._world, self._machine.member_id
        self._place.cut_off = False
        for member_id, place in world.places.items():
            if member_id != own and not place.cut_off:
                world.network.link(own, member_id).heal()
                world.network.link(member_id, own).heal()
        self._place.line.heal()
        world.mend_disk(self._machine.disk)
        if self._machine.run is not None:
            self._machine.run.process.resume()

    def slow_disk(self, sync_seconds: float) -> None:
        """Each sync of its disk takes about so long, from now on."""
        if sync_seconds < 0:
            raise ValueError(f"{sync_seconds} s is in the past")
        disk: SimulatedDisk = self._machine.disk
        disk.sync_seconds = sync_seconds

    def clear_history(self) -> None:
        """
        Forget all events, as after a thousand others.

        Who asks for an older one is told that it is gone. After a restart the member has
        those again that its log has.
        """
        cast(ForgetfulV2, self._run().v2).clear_history()
