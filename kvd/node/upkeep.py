"""What a member does of its own accord: expiry, its own record, room on the disk."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.apply.applier import Applier
from kvd.cluster.machine import ClusterMachine, encode_publish, encode_version
from kvd.errors import Unavailable
from kvd.node.interfaces import Applied, Persistence
from kvd.node.settings import NodeSettings

PUBLISH_RETRY_SECONDS = 0.5


class Upkeep:
    """
    Time enters the log here, and only from the leader.

    :param propose: as ``Member.propose``, but not refused for lack of space.
    :param submit: the same, when nobody waits for the answer.
    :param saving_seconds: how long the save that is under way has taken so far.
    :param make_way: called again and again while the disk has too little room, or is
        stuck in a save of ours as leader: somebody else should lead.
    :param published: called once, when this member's own record has been applied.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        settings: NodeSettings,
        applier: Applier,
        cluster: ClusterMachine,
        persistence: Persistence,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
        is_leader: Callable[[], bool],
        propose: Callable[[str, bytes], Deferred[Applied]],
        submit: Callable[[str, bytes], None],
        published: Callable[[], None],
        saving_seconds: Callable[[], float],
        make_way: Callable[[], None],
        failed: Callable[[Failure], None],
    ) -> None:
        self._settings = settings
        self._applier = applier
        self._cluster = cluster
        self._persistence = persistence
        self._clock = clock
        self._wall_time_ns = wall_time_ns
        self._is_leader = is_leader
        self._propose = propose
        self._submit = submit
        self._published = published
        self._saving_seconds = saving_seconds
        self._make_way = make_way
        self._failed = failed
        self._running = False
        self._loops: list[LoopingCall] = []
        self._free_bytes: int | None = None
        self.out_of_space = False

    def start(self) -> None:
        """Begin all of it; the first look at the disk is at once."""
        self._running = True
        self._every(self._settings.expiry_seconds, self._expire)
        self._every(self._settings.disk_check_seconds, self._check_disk, now=True)
        self._every(self._settings.election_seconds, self._check_save)
        self._publish()

    def stop(self) -> None:
        self._running = False
        for loop in self._loops:
            if loop.running:
                loop.stop()

    def _every(
        self, seconds: float, work: Callable[[], object], *, now: bool = False
    ) -> None:
        loop = LoopingCall(work)
        loop.clock = self._clock
        loop.start(seconds, now=now).addErrback(self._failed)
        self._loops.append(loop)

    def leader_changed(self) -> None:
        """A new leader decides the cluster's version, if nobody has."""
        if self._is_leader() and not self._cluster.version:
            self._submit("cluster", encode_version(self._settings.cluster_version))

    def _expire(self) -> None:
        if self._is_leader():
            for machine, body in self._applier.due(self._wall_time_ns()):
                self._submit(machine, body)

    def _publish(self) -> None:
        if self._running:
            body = encode_publish(
                self._settings.member_id,
                self._settings.name,
                self._settings.client_urls,
            )
            self._propose("cluster", body).addCallbacks(
                lambda _: self._published(), self._publish_failed
            )

    def _publish_failed(self, failure: Failure) -> None:
        failure.trap(Unavailable)  # type: ignore[no-untyped-call]  # Twisted's
        if self._running:
            self._clock.callLater(PUBLISH_RETRY_SECONDS, self._publish)

    def _check_disk(self) -> Deferred[None]:
        return self._persistence.free_bytes().addCallback(self._seen_free)

    @property
    def free_bytes(self) -> int | None:
        """As last seen; None before the first look."""
        return self._free_bytes

    def has_room(self, size: int) -> bool:
        """Whether the floor would hold after so many bytes more, as far as is known."""
        free = self._free_bytes
        return free is None or free - size >= self._settings.disk_floor_bytes

    def _seen_free(self, free: int) -> None:
        floor = self._settings.disk_floor_bytes
        self._free_bytes = free
        if free < floor and not self.out_of_space:
            self._log.error(
                "{free} bytes are free, less than disk-floor-bytes ({floor}): "
                "writes are refused until there is room again",
                free=free,
                floor=floor,
            )
        elif free >= floor and self.out_of_space:
            self._log.info("{free} bytes are free again: writes go on", free=free)
        self.out_of_space = free < floor
        if self.out_of_space:
            self._make_way()

    def _check_save(self) -> None:
        """
        A leader goes on with the disks of the others, and need not notice its own.

        But nothing is applied here meanwhile: our clients wait in vain, and the log in
        memory grows and grows. A slow disk may be slow; one that takes longer than any
        client waits is stuck.
        """
        seconds = self._saving_seconds()
        if seconds > self._settings.request_timeout_seconds and self._is_leader():
            self._log.error(
                "the disk has been at work on a save for {seconds:.0f} s: "
                "somebody else should lead",
                seconds=seconds,
            )
            self._make_way()
