"""The doors to members in memory: a cluster of them, or one alone."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kvd.client import Client
from kvd.testing.memory.errors import LeftoverWarning, StillWaiting
from kvd.testing.memory.member import Member
from kvd.testing.memory.net import MemoryReactor
from kvd.testing.memory.plans import Faults
from kvd.testing.memory.turning import place_of, waiting_calls
from kvd.testing.memory.world import World

T = TypeVar("T")
SERVING_SECONDS = 60.0
RESULT_SECONDS = 60.0
CLIENTS_MAX = 1000
_SHOWN_MAX = 5
_REST_SECONDS_MAX = 1.0


class InMemory:
    """
    What a cluster and a lone member have in common: virtual time, and clients.

    Time stands still until the test lets it pass, with :meth:`advance`, :meth:`settle` or
    :meth:`result_of`; then members, clients, time-outs and the program's own timers all
    go by it. The same seed and the same calls give the same course of events.

    .. versionadded:: 0.1
    """

    _world: World
    members: tuple[Member, ...]

    def _begin(self, world: World) -> None:
        self._world = world
        self._clients: list[Client] = []
        self._closed = False
        self.members = tuple(
            Member(world, machine) for machine in world.machines.values()
        )
        world.start_all()
        world.wait(
            "the members to serve",
            lambda: all(each.is_serving for each in self.members),
            SERVING_SECONDS,
        )
        world.turn_while(world.is_moving, _REST_SECONDS_MAX)

    # -- who uses it ----------------------------------------------------------------

    @property
    def reactor(self) -> MemoryReactor:
        """For the program under test, in place of Twisted's: time, and TCP in memory."""
        return self._world.reactor

    @property
    def clock(self) -> IReactorTime:
        """The same, for what wants only time."""
        return cast(IReactorTime, self._world.reactor)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The members' client URLs."""
        return tuple(each.url for each in self.members)

    # Client's options have many types.
    def client(self, *members: Member, **options: Any) -> Client:  # noqa: ANN401
        """
        A :class:`kvd.client.Client` of these members, or of all; closed by :meth:`close`.

        :param options: of the client: ``auth``, ``limits``, ...
        """
        self._check_open()
        if len(self._clients) >= CLIENTS_MAX:
            raise RuntimeError(f"{CLIENTS_MAX} clients were made already")
        endpoints = [each.url for each in members or self.members]
        client = Client(self._world.reactor, endpoints, **options)
        self._clients.append(client)
        return client

    # -- time -----------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Virtual time since the members were first started."""
        return self._world.timeline.now

    def advance(self, seconds: float) -> None:
        """
        Let so much time pass, and finish what came due in it.

        After ``advance(ttl)`` a key with that time to live is gone, although a leader
        looks for those only twice a second: that takes up to a second more. The same
        holds for what is on its way at the end.

        :raises TooManyTurns: an endless loop.
        """
        self._check_open()
        if seconds < 0:
            raise ValueError(f"{seconds} s is in the past")
        self._world.pass_time(seconds)

    def settle(self, seconds: float = 10.0) -> None:
        """
        Let happen what is on its way, and nothing that waits for its time.

        Requests are answered, unless their members wait for others; what was written
        reaches every member that can be reached. It takes some milliseconds.

        :raises StillWaiting: something moves after so many virtual seconds.
        :raises TooManyTurns: an endless loop.
        """
        self._check_open()
        world = self._world
        world.wait("everything to come to rest", lambda: not world.is_moving(), seconds)

    def result_of(
        self,
        awaited: Deferred[T] | Coroutine[Deferred[Any], Any, T],
        seconds: float = RESULT_SECONDS,
    ) -> T:
        """
        Let time pass until there is a result, and return it, or raise it.

        :raises StillWaiting: there is none within so many virtual seconds.
        :raises TooManyTurns: an endless loop.
        """
        self._check_open()
        place = ""
        if isinstance(awaited, Deferred):
            deferred = awaited
        else:
            deferred = Deferred.fromCoroutine(awaited)
        got: list[T | Failure] = []
        deferred.addBoth(got.append)
        if not self._world.turn_while(lambda: not got, seconds):
            if not isinstance(awaited, Deferred):
                place = f", which waits at {place_of(awaited)}"
            raise StillWaiting(
                f"waited {seconds:g} s of virtual time for the result of "
                f"{getattr(awaited, '__qualname__', 'a Deferred')}{place}; "
                f"{self._world.tell()}"
            )
        outcome = got[0]
        if isinstance(outcome, Failure):
            outcome.raiseException()
        return outcome

    # -- the end --------------------------------------------------------------------

    def close(self) -> None:
        """
        End all of it, and warn of what is left over.

        Watches, connections, ports and timers that nobody ended, and planned faults that
        no request has met, each lead to a :class:`LeftoverWarning`.

        Clients that :meth:`client` made are closed here.
        """
        if self._closed:
            return
        world = self._world
        try:
            world.turn_while(world.is_moving, _REST_SECONDS_MAX)
            watches = [str(each) for each in world.underway if each.is_watch]
            # Twice, since a request that ends meanwhile leaves a connection behind.
            for _ in range(2):
                for client in self._clients:
                    client.close()
                world.turn_while(world.is_moving, _REST_SECONDS_MAX)
            connections = [
                f"to {each.getPeer().host}:{each.getPeer().port}"
                for each in world.reactor.pipes
            ]
            ports = [str(each.getHost().port) for each in world.reactor.ports]
            timers = waiting_calls(world.reactor)
        finally:
            self._closed = True
            for machine in world.machines.values():
                if machine.run is not None:
                    machine.run.end()
        unmet = [str(each) for each in world.plan.planned if not each.met]
        _warn("faults that no request has met", unmet)
        _warn("watches that were not closed", watches)
        _warn("connections of clients that were not closed", connections)
        _warn("ports that were not closed", ports)
        _warn("timers that were not cancelled", timers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("it is closed")


class InMemoryCluster(InMemory, Faults):
    """
    Members of one cluster, in memory, started and serving.

    ::

        with InMemoryCluster(members=3) as cluster:
            client = cluster.client()
            cluster.result_of(client.set("/greeting", "hello"))
            cluster.drop_leader()
            cluster.result_of(client.get("/greeting", quorum=True))

    :param members: how many, from 1 to 9.
    :param seed: everything that is random comes out of it.
    :param turns_max: in one second of virtual time; more are an endless loop.
    :ivar members: ``m1``, ``m2``, ...

    .. versionadded:: 0.1
    """

    def __init__(
        self, members: int = 3, *, seed: int = 0, turns_max: int = 100_000
    ) -> None:
        world = World(members, seed=seed, turns_max=turns_max)
        self._plan = world.plan
        self._begin(world)

    @property
    def leader(self) -> Member | None:
        """Who leads; of two who think so the one that is right."""
        run = self._world.leader()
        return self._member(run.member_id) if run is not None else None

    def wait_for_leader(
        self, *, other_than: Member | None = None, seconds: float = 30.0
    ) -> Member:
        """
        Let time pass until there is one.

        :raises StillWaiting: there is none within so many virtual seconds.
        """
        self._check_open()

        def found() -> bool:
            leader = self.leader
            return leader is not None and leader is not other_than

        self._world.wait("a leader", found, seconds)
        leader = self.leader
        assert leader is not None  # noqa: S101 -- for the type checker
        return leader

    def drop_leader(self) -> Member:
        """
        Kill whoever leads (and wait for one, if nobody does); returns it.

        The others elect another one when time passes.
        """
        leader = self.wait_for_leader()
        leader.kill()
        return leader

    def split(self, *members: Member) -> None:
        """No packet passes between these and the other members, until :meth:`heal`."""
        ids = [each.member_id for each in members]
        others = [each for each in self._world.machines if each not in ids]
        self._world.network.isolate(ids, others)

    def heal(self) -> None:
        """Every network and disk works, nobody is paused; who is down stays down."""
        for member in self.members:
            member.heal()

    def clear_history(self) -> None:
        """Forget all events, on all members that are there."""
        for member in self.members:
            if member.is_running:
                member.clear_history()

    def _member(self, member_id: int) -> Member:
        return self.members[member_id - 1]


class InMemoryMember(InMemory, Member):
    """
    A cluster of one member, in memory, started and serving.

    ::

        with InMemoryMember() as member:
            client = member.client()
            member.result_of(client.set("/session", "ann", ttl=30))
            member.advance(30)

    :param seed: everything that is random comes out of it.
    :param turns_max: in one second of virtual time; more are an endless loop.

    .. versionadded:: 0.1
    """

    def __init__(self, *, seed: int = 0, turns_max: int = 100_000) -> None:
        world = World(1, seed=seed, turns_max=turns_max)
        Member.__init__(self, world, world.machines[1])
        self._begin(world)


def _warn(what: str, leftovers: Sequence[str]) -> None:
    if leftovers:
        shown = ", ".join(leftovers[:_SHOWN_MAX])
        more = len(leftovers) - _SHOWN_MAX
        text = f"{what}: {shown}" + (f" and {more} more" if more > 0 else "")
        warnings.warn(text, LeftoverWarning, stacklevel=3)
