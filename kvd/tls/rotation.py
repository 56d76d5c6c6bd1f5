"""New certificates, keys, authorities and revocations without a restart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.errors import ConfigError
from kvd.tls.material import days_left
from kvd.tls.port import TlsPort

WARN_DAYS: Final = 30.0
"""A certificate that expires within this time is warned about, once a day."""

_DAY_SECONDS: Final = 86_400.0


class Rotation:
    """
    Reads the files of all TLS ports again, when they have changed or when told to.

    What is bad is refused with a line in the log, once for each state of the files,
    and what was read before goes on serving; connections that exist are not touched.

    :param now: the wall clock, aware of its zone.
    :param interval_seconds: between two looks at the files.
    :param renew: called once a day; whether it has made certificates anew.
    """

    _log = Logger()

    def __init__(
        self,
        ports: Mapping[str, TlsPort],
        *,
        clock: IReactorTime,
        now: Callable[[], datetime],
        interval_seconds: float,
        renew: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ports = dict(ports)
        self._now = now
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._renew = renew
        self._said: dict[str, Sequence[str]] = {}
        self._loops: list[LoopingCall] = []

    def start(self) -> None:
        """Look at the certificates' dates now, and at the files from now on."""
        self._every(_DAY_SECONDS, self._daily, now=True)
        self._every(self._interval_seconds, self.reload, now=False)

    def stop(self) -> None:
        for loop in self._loops:
            if loop.running:
                loop.stop()
        self._loops.clear()

    def _every(self, seconds: float, work: Callable[[], object], *, now: bool) -> None:
        loop = LoopingCall(work)
        loop.clock = self._clock
        loop.start(seconds, now=now).addErrback(self._broken)
        self._loops.append(loop)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("the certificates are not looked after any more", failure)

    def _daily(self) -> None:
        if self._renew():
            self.reload()
        self.warn()

    def reload(self) -> None:
        """Read everything; what is new counts for connections from now on."""
        for what, port in self._ports.items():
            try:
                is_new = port.load()
            except ConfigError as error:
                if self._said.get(what) != error.problems:
                    self._said[what] = error.problems
                    for line in error.problems:
                        self._log.error(
                            "{what} TLS: {line}; what was read before stays in force",
                            what=what,
                            line=line,
                        )
                continue
            self._said.pop(what, None)
            if is_new:
                self._log.info(
                    "{what} TLS: new files are in force for new connections", what=what
                )
                self._warn(what, port)

    def warn(self) -> None:
        """Of certificates, and of revocation lists, that end soon or have ended."""
        for what, port in self._ports.items():
            self._warn(what, port)

    def _warn(self, what: str, port: TlsPort) -> None:
        now = self._now()
        ends = [
            (f"the certificate of {whose}", end) for whose, end in port.material.ends()
        ]
        if port.material.next_crl is not None:
            ends.append(("the revocation list", port.material.next_crl))
        for whose, end in ends:
            days = days_left(end, now=now)
            if days < 0:
                self._log.warn(
                    "{what} TLS: {whose} expired {days:.0f} days ago",
                    what=what,
                    whose=whose,
                    days=-days,
                )
            elif days <= WARN_DAYS:
                self._log.warn(
                    "{what} TLS: {whose} expires in {days} days",
                    what=what,
                    whose=whose,
                    days=math.floor(days),
                )

    def days_left(self) -> tuple[tuple[str, float], ...]:
        """Each file of certificates, and the days until the first in it expires."""
        now = self._now()
        return tuple(
            (option, min(days_left(end, now=now) for end in ends))
            for port in self._ports.values()
            for option, ends in port.files()
        )
