"""One other member as we send to it: dialling, and dialling again."""

# Twisted leaves amp and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.errors import PeerError
from kvd.peer.commands import Purpose, Refusal
from kvd.peer.counts import PeerCounts
from kvd.peer.outflow import Outflow
from kvd.peer.sending import Dialler, Refused, SendingConnection
from kvd.peer.settings import PeerSettings
from kvd.raft.messages import Message


class Peer:
    """
    Keeps one connection to a member, with a bounded outflow into it.

    ::

        stopped -- start --> dialling -- Hello accepted --> connected
                               ^  | failed: next URL; after the last one, backoff
                               |  v                            |
                             waiting <------ lost -------------+

    Messages are dropped while not connected, unless the member has dialled us: they go
    on its connection then.

    :param deliver: takes what the member says on our connection.
    :param removed: called with a reason when the member says that we were removed.
    :param troubled: called when a message was dropped or the connection lost.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        member_id: int,
        urls: tuple[str, ...],
        dialler: Dialler,
        clock: IReactorTime,
        random: Callable[[], float],
        settings: PeerSettings,
        deliver: Callable[[Message], None],
        troubled: Callable[[int], None],
        removed: Callable[[str], None],
    ) -> None:
        self.member_id = member_id
        self.urls = urls
        self.url = urls[0] if urls else ""
        self._dialler = dialler
        self._clock = clock
        self._random = random
        self._settings = settings
        self._deliver = deliver
        self._troubled = troubled
        self._removed = removed
        self._connection: SendingConnection | None = None
        self._connected_since: float | None = None
        self._attempt: Deferred[SendingConnection] | None = None
        self._wait: IDelayedCall | None = None
        self._failures = 0
        self._said = ""
        self._running = False
        self.counts = PeerCounts()

    # -- what the transport asks ---------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether both Hellos were accepted and nothing went wrong since."""
        return self._connection is not None

    @property
    def outflow(self) -> Outflow | None:
        """Into our own connection to the member; None while there is none."""
        return self._connection.outflow if self._connection is not None else None

    @property
    def waiting_bytes(self) -> int:
        """Of messages that the connection has not taken yet."""
        outflow = self.outflow
        return outflow.waiting_bytes if outflow is not None else 0

    def start(self) -> None:
        """Dial, now and whenever the connection is lost."""
        self._running = True
        self._dial()

    def move(self, urls: tuple[str, ...]) -> None:
        """The member is to be reached elsewhere; a connection to an old place ends."""
        if urls == self.urls:
            return
        self.urls = urls
        self._failures = 0
        if self._connection is not None:
            if self.url not in urls:
                self._connection.drop("the member has other peer URLs now")
            return
        if self._attempt is not None:
            self._attempt.cancel()
        else:
            self.hurry()

    def hurry(self) -> None:
        """The member seems to be there: do not wait any longer before dialling."""
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None
            self._failures = 0
            self._dial()

    def stop(self) -> Deferred[None]:
        """Dial no more; fires when the connection has ended, and what waited left."""
        self._running = False
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None
        if self._attempt is not None:
            self._attempt.cancel()
        if self._connection is not None:
            if self.outflow is not None:
                self.outflow.flush()
            return self._connection.finish("we are stopping")
        return succeed(None)

    # -- dialling ------------------------------------------------------------------

    def _dial(self) -> None:
        self._wait = None
        if not self.urls:
            self._failed(Failure(PeerError("it has no peer URLs")))
            return
        self.url = self.urls[self._failures % len(self.urls)]
        attempt = self._attempt = self._dialler.dial(
            self.url, expected=self.member_id, purpose=Purpose.MESSAGES
        )
        attempt.addCallbacks(self._connected, self._failed)
        attempt.addErrback(lambda failure: self._log.failure("a peer", failure))

    def _connected(self, connection: SendingConnection) -> None:
        self._attempt = None
        self._said = ""
        self._connected_since = self._clock.seconds()
        self._connection = connection
        connection.outflow = Outflow(
            connection,
            member_id=self.member_id,
            settings=self._settings,
            counts=self.counts,
        )
        connection.on_message = self._deliver
        connection.on_round_trip = self.counts.round_trip_seconds.observe
        connection.on_gone = self._lost
        self._log.info(
            "connected to member {member_id:x} at {url}",
            member_id=self.member_id,
            url=self.url,
        )

    def _failed(self, failure: Failure) -> None:
        self._attempt = None
        if not self._running:
            return
        if isinstance(failure.value, CancelledError):
            self._dial()  # moved meanwhile
            return
        self._failures += 1
        self._say(failure.getErrorMessage())
        refused = failure.value if isinstance(failure.value, Refused) else None
        if refused is not None and refused.refusal is Refusal.REMOVED:
            self._removed(failure.getErrorMessage())
        if self.urls and self._failures % len(self.urls):
            self._wait = self._clock.callLater(0, self._dial)
        else:
            self._wait = self._clock.callLater(self._backoff_seconds(), self._dial)

    def _backoff_seconds(self) -> float:
        """Doubles from the first to the maximum, then half of it is chance."""
        rounds = min(self._failures // max(len(self.urls), 1), 30)
        seconds = min(
            self._settings.backoff_first_seconds * (1 << max(rounds - 1, 0)),
            self._settings.backoff_max_seconds,
        )
        return seconds * (0.5 + 0.5 * self._random())

    def _say(self, why: str) -> None:
        """One line for each new reason, not one for each attempt."""
        if why != self._said:
            self._said = why
            self._log.warn(
                "cannot send to member {member_id:x} at {url}: {why}",
                member_id=self.member_id,
                url=self.url,
                why=why,
            )

    def _lost(self, why: str) -> None:
        self._connection = None
        now, since = self._clock.seconds(), self._connected_since
        self._connected_since = None
        # One that ended at once counts as a failure: no storm of short connections.
        lived = since is not None and now - since >= self._settings.backoff_max_seconds
        self._failures = 0 if lived else self._failures + 1
        if not self._running:
            return
        self._said = why
        self.counts.disconnections += 1
        self._log.warn(
            "lost member {member_id:x} at {url}: {why}",
            member_id=self.member_id,
            url=self.url,
            why=why,
        )
        self._troubled(self.member_id)
        self._wait = self._clock.callLater(self._backoff_seconds(), self._dial)
