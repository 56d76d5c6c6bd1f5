"""Messages on their way into one connection: a bounded queue, and what overtakes."""

# Twisted leaves amp without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections import deque
from typing import Protocol

from twisted.logger import Logger
from twisted.protocols import amp

from kvd.peer.batches import frame
from kvd.peer.commands import PIECE_BYTES_MAX, Urgent
from kvd.peer.counts import PeerCounts
from kvd.peer.settings import PeerSettings

_NOTHING = memoryview(b"")

OVERTAKING_MAX = 100
"""Urgent messages written into a full buffer before it was empty again."""


class Line(Protocol):
    """A connection as its outflow sees it."""

    closed: bool
    full: bool

    def send_piece(self, piece: bytes | memoryview) -> None: ...

    def tell(self, command: type[amp.Command], **arguments: object) -> None: ...


class Outflow:
    """
    The queue in front of one connection, which it does not outlive.

    An old append that arrives after a new one only costs time, and Raft sends better
    ones later.

    :ivar counts: of what goes this way; the owner of the connection may change it.
    """

    _log = Logger()

    def __init__(
        self, line: Line, *, member_id: int, settings: PeerSettings, counts: PeerCounts
    ) -> None:
        self._line = line
        self._member_id = member_id
        self._settings = settings
        self.counts = counts
        self._queue: deque[bytes] = deque()
        self._rest = _NOTHING
        self._queued_bytes = 0
        self._overtaking = 0

    @property
    def waiting_bytes(self) -> int:
        """Of messages that the connection has not taken yet."""
        return self._queued_bytes + len(self._rest)

    def enqueue(self, message: bytes) -> bool:
        """Whether the message now waits for :meth:`flush`; dropped when not."""
        size = len(message)
        waiting = self._queued_bytes + len(self._rest)
        if size > self._settings.message_bytes_max:
            self._log.error(
                "a message of {size} bytes to member {member_id:x} is too large",
                size=size,
                member_id=self._member_id,
            )
        elif not waiting or waiting + size <= self._settings.queue_bytes_max:
            self._queue.append(message)
            self._queued_bytes += size
            return True
        return False

    def enqueue_urgent(self, message: bytes) -> bool:
        """
        As :meth:`enqueue`, but ahead of what waits while the line is full.

        A heartbeat behind megabytes on a slow line would come after the election that
        it was to prevent.
        """
        line = self._line
        if line.closed or not line.full:
            return self.enqueue(message)
        if self._overtaking >= OVERTAKING_MAX:
            return False
        self._overtaking += 1
        self.counts.sent_bytes += len(message)
        line.tell(Urgent, message=message)
        return True

    def flush(self) -> None:
        """Write what waits, as far as the transport takes it without buffering."""
        line = self._line
        while not line.closed and not line.full:
            if not self._rest:
                if not self._queue:
                    return
                self._rest = self._next_messages()
            piece = self._rest[:PIECE_BYTES_MAX]
            self._rest = self._rest[PIECE_BYTES_MAX:]
            self.counts.sent_bytes += len(piece)
            line.send_piece(piece)

    def room(self) -> None:
        """The transport's buffer is empty again."""
        self._overtaking = 0
        self.flush()

    def _next_messages(self) -> memoryview:
        """At least one message, more while they fit into one piece together."""
        frames: list[bytes] = []
        size = 0
        while self._queue:
            message = self._queue[0]
            if frames and size + len(message) > PIECE_BYTES_MAX:
                break
            self._queue.popleft()
            self._queued_bytes -= len(message)
            framed = frame(message)
            frames.append(framed)
            size += len(framed)
        return memoryview(frames[0] if len(frames) == 1 else b"".join(frames))
