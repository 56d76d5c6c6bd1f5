"""
What a member does to its process: clock, signals, descriptors, garbage collector, exit
status.

A program that has a ``KvdService`` among others of its own gives it a process that
leaves these alone (:class:`Embedded`).
"""

from __future__ import annotations

import atexit
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Final, Protocol

import attrs
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from kvd.errors import ConfigError
from kvd.histogram import Histogram, doubling
from kvd.logs import Logs
from kvd.monotonic import use_monotonic_clock
from kvd.pauses import GcPauses

_SWITCH_SECONDS: Final = 0.0005
_GC_YOUNG: Final = 50_000  # net new containers between two looks at the youngest
_GC_MIDDLE: Final = 20
_GC_OLD: Final = 100
_LAG_SECONDS: Final = doubling(0.001, 12)
# Beside clients: files, ports, other members, the reactor's, who is told that there is
# no room, strangers on the peers' port, and what was cut off but closes a turn later.
_DESCRIPTORS: Final = 500

Reactor = Any  # Twisted's real reactors provide many interfaces, no one names all


class Process(Protocol):
    """The process as the service sees it."""

    def prepare(self, *, sockets_each: int = 1) -> int | None:
        """
        Once, at start, before anything is scheduled.

        :param sockets_each: what a client takes; of a proxy, one to a member, too.
        :returns: for how many clients there are descriptors, if that is fewer than
            ``connections-max``.
        :raises ConfigError: it cannot be prepared as it should be.
        """
        ...

    def on_hangup(self, callback: Callable[[], None]) -> None:
        """Call back whenever the operator asks for a new look at files (SIGHUP)."""
        ...

    def recovered(self) -> None:
        """What was read from the disk is in memory and will mostly stay there."""
        ...

    def serving(self) -> None:
        """Clients are answered from now on."""
        ...

    def end(self, status: int) -> None:
        """The member has ended; the process should, too, with this status."""
        ...

    def log_from(self, level: str) -> bool:
        """
        Log nothing less severe than this word of ``log-level`` from now on.

        :returns: False if the log is not the member's to change.
        """
        ...

    @property
    def gc_pauses(self) -> Sequence[Histogram]:
        """Of the garbage collector, by generation; empty if nobody measures."""
        ...


class Embedded:
    """
    The process belongs to somebody else, who is told when the member has ended.

    :param ended: called with 0 or 1.
    :param log_from: changes what is logged, when a client asks a member for it; without
        one the client is told that the log is somebody else's.
    """

    gc_pauses: Sequence[Histogram] = ()

    def __init__(
        self,
        ended: Callable[[int], None],
        log_from: Callable[[str], None] | None = None,
    ) -> None:
        self.end = ended
        self._log_from = log_from

    def log_from(self, level: str) -> bool:
        """Whoever owns the process does it, or nobody."""
        if self._log_from is None:
            return False
        self._log_from(level)
        return True

    def prepare(self, *, sockets_each: int = 1) -> None:
        """Nothing: clock, signals, descriptors and collector are the owner's."""

    def on_hangup(self, callback: Callable[[], None]) -> None:
        """Nothing: the owner takes signals, and may call the service's ``reload``."""

    def recovered(self) -> None:
        """Nothing."""

    def serving(self) -> None:
        """Nothing: the owner has the service's ``serving``."""


@attrs.frozen
class Limits:
    """
    How many descriptors the process may have: the soft limit, and the hard one up to
    which it may raise that itself.
    """

    get: Callable[[int], tuple[int, int]] = resource.getrlimit
    set: Callable[[int, tuple[int, int]], None] = resource.setrlimit


class OwnProcess:
    """
    The whole process is this member's, as under ``twistd kvd``.

    :param logs: what becomes of log lines.
    :param connections_max: as many clients must find a free descriptor.
    :param handshakes_max: and as many who are not let in yet.
    :param tell: passes a word on to whoever supervises the process, as systemd's
        ``sd_notify`` has it; None: nobody wants to know.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        *,
        logs: Logs | None = None,
        connections_max: int = 0,
        handshakes_max: int = 0,
        limits: Limits | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._tell = tell
        self._reactor = reactor
        self._logs = logs if logs is not None else Logs()
        self._connections_max = connections_max
        self._others = handshakes_max + _DESCRIPTORS
        self._limits = limits if limits is not None else Limits()
        self._pauses = GcPauses()
        self._status = 0
        self._prepared = False
        self._hangups: list[Callable[[], None]] = []

    def prepare(self, *, sockets_each: int = 1) -> int | None:
        if self._prepared:  # a member that became a proxy
            return self._take_descriptors(sockets_each)
        self._prepared = True
        problems: tuple[str, ...] = ()
        try:
            self._logs.begin()
        except ConfigError as error:
            problems = error.problems
        room = self._take_descriptors(sockets_each)
        use_monotonic_clock(self._reactor)
        self._reactor.callWhenRunning(self._take_signals)
        atexit.register(self._leave)
        # A thread that comes back from fsync waits for the interpreter this long at
        # most while the reactor is busy; the default is 5 ms, more than the fsync.
        sys.setswitchinterval(_SWITCH_SECONDS)
        # Reference counts free nearly everything of ours; the collector looks for the
        # rest, rarely: a full collection with 300,000 keys takes a quarter of a second.
        gc.set_threshold(_GC_YOUNG, _GC_MIDDLE, _GC_OLD)
        self._pauses.begin()
        if problems:
            raise ConfigError(problems)
        return room

    def on_hangup(self, callback: Callable[[], None]) -> None:
        self._hangups.append(callback)

    def recovered(self) -> None:
        """Take what is in memory out of the collector's sight."""
        gc.freeze()

    def serving(self) -> None:
        if self._tell is None:
            return
        try:
            self._tell("READY=1")
        except OSError as problem:
            self._log.warn("nobody was told that we serve: {why}", why=problem)

    def log_from(self, level: str) -> bool:
        self._logs.set_level(level)
        return True

    @property
    def gc_pauses(self) -> Sequence[Histogram]:
        return self._pauses.seconds

    def end(self, status: int) -> None:
        self._status = self._status or status
        self._reactor.callWhenRunning(self._stop_reactor)

    def _stop_reactor(self) -> None:
        with suppress(ReactorNotRunning):  # it is stopping already
            self._reactor.stop()

    def _take_signals(self) -> None:
        """
        Twisted's own handlers end the process *by* the signal; an orderly stop is
        exit status 0.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGHUP, self._hung_up)

    def _take_descriptors(self, sockets_each: int) -> int | None:
        wanted = self._connections_max * sockets_each + self._others
        had = allow_descriptors(wanted, self._limits)
        if had >= wanted:
            return None
        fitting = max((had - self._others) // sockets_each, 1)
        self._log.warn(
            "connections-max: {clients} clients need {wanted} file descriptors, the "
            "process may have {had}, so there is room for {fitting}; raise its limit "
            "(ulimit -n, LimitNOFILE=) or set connections-max to {fitting} at most",
            clients=self._connections_max,
            wanted=wanted,
            had=had,
            fitting=fitting,
        )
        return fitting

    def _signalled(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- what signal gives
        self._reactor.callFromThread(self._stop_reactor)

    def _hung_up(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- what signal gives
        for callback in self._hangups:
            self._reactor.callFromThread(callback)

    def _leave(self) -> None:
        """
        Give the status to a process whose main program always ends with 0.

        twistd has no way to say it; this is the last thing before the interpreter
        ends anyway, and what was written is flushed.
        """
        if self._status:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._status)


def allow_descriptors(wanted: int, limits: Limits) -> int:
    """
    Raise the soft limit as far as it is needed and the hard one lets us.

    :return: how many descriptors the process may have now, ``wanted`` for no limit.
    """
    soft, hard = limits.get(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if raised > soft:
        try:
            limits.set(resource.RLIMIT_NOFILE, (raised, hard))
        except (OSError, ValueError):  # a container or a sandbox may say no
            return soft
    return raised


class StallWatchdog:
    """
    Says so when the event loop stood still: a long computation, a swapped-out or
    suspended process. A stall of an election timeout costs the leadership.

    :param limit_seconds: a shorter one is not mentioned.
    :ivar lag_seconds: how much too late each look was.
    """

    _log = Logger()

    def __init__(
        self, *, clock: Reactor, interval_seconds: float, limit_seconds: float
    ) -> None:
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._limit_seconds = limit_seconds
        self._last = 0.0
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock
        self.stalls = 0
        self.longest_seconds = 0.0
        self.lag_seconds = Histogram(_LAG_SECONDS)

    def start(self) -> None:
        """Begin to look."""
        self._last = self._clock.seconds()
        self._loop.start(self._interval_seconds, now=False).addErrback(
            lambda failure: self._log.failure("the stall watchdog ended", failure)
        )

    def stop(self) -> None:
        """No more looks."""
        if self._loop.running:
            self._loop.stop()

    def _look(self) -> None:
        now = self._clock.seconds()
        late = now - self._last - self._interval_seconds
        self._last = now
        self.lag_seconds.observe(max(0.0, late))
        if late >= self._limit_seconds:
            self.stalls += 1
            self.longest_seconds = max(self.longest_seconds, late)
            self._log.warn(
                "the event loop stood still for {milliseconds} ms",
                milliseconds=round(late * 1000),
            )
