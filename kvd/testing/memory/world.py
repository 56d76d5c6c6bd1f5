"""Everything that a test has in memory: members, their network, clients, and time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from kvd.node.node import Node
from kvd.node.settings import NodeSettings
from kvd.testing.clock import MachineClock
from kvd.testing.cluster import SimulatedCluster
from kvd.testing.member import EPOCH_NS, Machine, Parts, Run, Sizes
from kvd.testing.memory.errors import StillWaiting
from kvd.testing.memory.net import Listener, MemoryReactor, Net
from kvd.testing.memory.pipes import HOP_SECONDS, Line
from kvd.testing.memory.plans import Plan
from kvd.testing.memory.site import MemorySite, Underway
from kvd.testing.memory.turning import Turning, waiting_calls
from kvd.v2.machine import V2

CLIENT_PORT = 2379
MEMBERS_MAX = 9
_SHOWN_MAX = 8
_EXPIRY_SECONDS_MAX = 1.0  # a leader looks for what is over twice a second
_REST_SECONDS_MAX = 1.0
# As a member's own defaults; only the files are smaller.
_SIZES = Sizes(
    tick_seconds=0.1,
    election_ticks=10,
    request_timeout_seconds=7.0,
    snapshot_count=10_000,
    catchup_entries=5_000,
    segment_bytes=1 << 20,
    append_bytes_max=1 << 20,
)


class ForgetfulV2(V2):
    """A store whose history can be lost."""

    def clear_history(self) -> None:
        self._store.history.replace(())


def _node(
    settings: NodeSettings,
    **parts: object,
) -> Node:
    url = url_of(f"m{settings.member_id}")
    return Node(settings=attrs.evolve(settings, client_urls=(url,)), **parts)  # type: ignore[arg-type]  # as they were given


def url_of(name: str) -> str:
    """A member's client URL, as it tells everybody."""
    return f"http://{name}:{CLIENT_PORT}"


@attrs.define(eq=False)
class Place:
    """
    What the world has of one member, beside its machine.

    :ivar line: between it and all clients.
    :ivar cut_off: from the other members.
    """

    name: str
    address: str
    line: Line
    cut_off: bool = False
    site: MemorySite | None = None
    listener: Listener | None = None


class World(SimulatedCluster):
    """
    A simulated cluster whose members have a client port, and who uses it.

    :ivar reactor: of the program under test.
    :ivar underway: what members have not answered, oldest first.
    """

    def __init__(self, members: int, *, seed: int, turns_max: int) -> None:
        if not 1 <= members <= MEMBERS_MAX:
            raise ValueError(f"a cluster in memory has from 1 to {MEMBERS_MAX} members")
        if turns_max < 1:
            raise ValueError("there must be a turn")
        super().__init__(
            str(seed),
            members,
            sizes=_SIZES,
            parts=Parts(node=_node, v2=partial(ForgetfulV2, history_max=1000)),
        )
        self.restarts = False
        self.plan = Plan()
        self.underway: dict[Underway, None] = {}
        self.net = Net(self.timeline)
        self.reactor = MemoryReactor(
            self.timeline, MachineClock(self.timeline, epoch_ns=EPOCH_NS), self.net
        )
        self.places = {member_id: self._place(member_id) for member_id in self.machines}
        self._turning = Turning(
            self.timeline, turns_max=turns_max, after_each=self._raise_problem
        )

    def _place(self, member_id: int) -> Place:
        name, address = f"m{member_id}", f"10.0.0.{member_id}"
        return Place(name, address, self.net.add_host(name, address))

    # -- what runs tell -----------------------------------------------------------

    def assembled(self, run: Run) -> None:
        """Nobody keeps a chronicle of it."""

    def ready(self, run: Run) -> None:
        place = self.places[run.member_id]
        site = MemorySite(
            run,
            name=place.name,
            url=url_of(place.name),
            world=self,
            secret=run.machine.random.randbytes(32),
        )
        place.site = site
        place.listener = self.net.listen(place.address, CLIENT_PORT, run.process, site)
        run.ended.append(partial(self._ended, place))
        serving = run.node.when_ready()
        serving.addCallback(lambda _: site.open_for_business())
        serving.addErrback(lambda failure: self.failed(run, failure.value))

    def _ended(self, place: Place) -> None:
        if place.listener is not None:
            self.net.crash(place.listener)
        place.listener = place.site = None
        for noted in [each for each in self.underway if each.member == place.name]:
            del self.underway[noted]

    # -- time -----------------------------------------------------------------------

    def _raise_problem(self) -> None:
        if self.problems:
            raise self.problems[0]

    def turn_while(self, condition: Callable[[], bool], seconds: float) -> bool:
        """See :meth:`Turning.run_while`; seconds from now."""
        return self._turning.run_while(condition, self.timeline.now + seconds)

    def pass_time(self, seconds: float) -> None:
        """So much of it, and then whatever came due by its end is done."""
        due = self._due_then(seconds)
        self.turn_while(lambda: True, seconds + 1e-6)
        self.turn_while(due, _EXPIRY_SECONDS_MAX)
        self.turn_while(self.is_moving, _REST_SECONDS_MAX)

    def _due_then(self, seconds: float) -> Callable[[], bool]:
        until = self.timeline.now + seconds

        def due() -> bool:
            leader = self.leader()
            if leader is None or leader.process.paused:
                return False
            late_ns = int((self.timeline.now - until) * 1_000_000_000)
            then_ns = leader.machine.clock.wall_time_ns() - late_ns
            return bool(leader.v2.due(time_ns=then_ns))

        return due

    def let_know(self) -> None:
        """Clients learn that a process has gone, unless one of them has asked for it."""
        if not self._turning.is_running:
            self.turn_while(lambda: True, 2 * HOP_SECONDS)

    def is_moving(self) -> bool:
        """Whether anything is on its way, or at work."""
        return self.timeline.is_moving()

    def wait(
        self, for_what: str, condition: Callable[[], bool], seconds: float
    ) -> None:
        """
        Until this is so.

        :raises StillWaiting: it is not, after so many seconds.
        """
        if not self.turn_while(lambda: not condition(), seconds):
            raise StillWaiting(
                f"waited {seconds:g} s of virtual time for {for_what}; {self.tell()}"
            )

    # -- what there is to tell ----------------------------------------------------------

    def tell(self) -> str:
        """The state of everything, for somebody who wonders why nothing happens."""
        now = self.timeline.now
        lines = [
            _listed(
                "under way",
                [f"{each}, for {now - each.began:.3g} s" for each in self.underway],
            ),
            _listed("not arrived", self._held()),
            _listed("put off", waiting_calls(self.reactor)),
            _listed("planned", [str(each) for each in self.plan.planned]),
        ]
        leader = self.leader()
        leads = self.places[leader.member_id].name if leader is not None else "nobody"
        states = [
            f"{place.name} {state}"
            for member_id, place in self.places.items()
            if (state := self._state(self.machines[member_id], place))
        ]
        lines.append(", ".join([f"{leads} leads", *states]))
        return "; ".join(each for each in lines if each)

    def _held(self) -> list[str]:
        return [
            f"{place.line.held} packets between the clients and {place.name}"
            for place in self.places.values()
            if place.line.held
        ]

    def _cut(self, member_id: int) -> list[str]:
        """The names of the members that this one is cut off from."""
        link = self.network.link
        return [
            place.name
            for other, place in self.places.items()
            if link(member_id, other).cut or link(other, member_id).cut
        ]

    def _state(self, machine: Machine, place: Place) -> str:
        run = machine.run
        if run is None:
            return "is down"
        words = []
        if run.process.paused:
            words.append("is paused")
        cut = self._cut(machine.member_id)
        if cut:
            words.append(f"is cut off from {' and '.join(cut)}")
        if place.line.cut:
            words.append("is out of its clients' reach")
        if place.site is None or not place.site.is_open:
            words.append("does not serve yet")
        return " and ".join(words)


def _listed(title: str, what: list[str]) -> str:
    if not what:
        return ""
    more = [f"and {len(what) - _SHOWN_MAX} more"] if len(what) > _SHOWN_MAX else []
    return f"{title}: {', '.join([*what[:_SHOWN_MAX], *more])}"
