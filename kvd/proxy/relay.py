"""The body of an answer, from a member to the client, a piece at a time."""

from __future__ import annotations

from twisted.logger import Logger

from kvd.http.exchange import Outlet
from kvd.proxy.upstream import Answered, Source


class Relay:
    """
    Takes from one side and gives to the other; what waits in between is what the
    transports hold: when the client does not take it, the member is not read.

    Provides ``Taker`` for the member's side and ``Stream`` for the client's.

    ::

        open -- end of the body, or finish() after a whole event --> over
          |---- the member breaks off --> the client's connection is cut
          `---- the client is gone -----> the member's connection is closed

    :param endless: a watch, which may be ended after any of its events.
    """

    _log = Logger()

    def __init__(self, outlet: Outlet, *, endless: bool) -> None:
        self._outlet = outlet
        self._endless = endless
        self._source: Source | None = None
        self._over = False
        self._finishing = False
        self._between_events = True

    def begin(self, answered: Answered) -> None:
        """Let the member's pieces come."""
        source = answered.deliver(self)
        if self._over:
            return
        self._source = source
        if self._outlet.blocked:
            source.pause()

    # -- from the member ------------------------------------------------------------------

    def piece(self, data: bytes) -> None:
        if not data or self._over:
            return
        self._between_events = data.endswith(b"\n")
        self._outlet.send(data)
        if self._finishing:
            self._end_if_whole()
        if self._outlet.blocked and self._source is not None and not self._over:
            self._source.pause()

    def ended(self) -> None:
        if not self._over:
            self._over = True
            self._outlet.end()

    def broken(self, why: str) -> None:
        # The client must see that something lacks, so the body gets no proper end.
        if not self._over:
            self._over = True
            self._log.info("an answer broke off: {why}", why=why)
            self._outlet.abort()

    # -- from the client ------------------------------------------------------------------

    def taken(self) -> None:
        if self._source is not None and not self._over:
            self._source.resume()

    def stop(self) -> None:
        self._over = True
        self._drop()

    def finish(self) -> None:
        # Only a watch has places where it may end; any other body is let come to its
        # own end, or is cut when that takes too long.
        self._finishing = self._endless
        if self._finishing and not self._over:
            self._end_if_whole()

    def _end_if_whole(self) -> None:
        if self._between_events:
            self._over = True
            self._drop()
            self._outlet.end()

    def _drop(self) -> None:
        if self._source is not None:
            self._source.drop()
