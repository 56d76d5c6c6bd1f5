"""Receiving a snapshot: one at a time, straight to the disk, delivered when durable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.errors import PeerError, StorageError
from kvd.node.interfaces import Persistence, SnapshotWriter
from kvd.peer.commands import CHUNKS_IN_FLIGHT_MAX, SnapshotChunk, SnapshotEnd
from kvd.peer.receiving import ReceivingConnection
from kvd.peer.settings import PeerSettings
from kvd.raft.messages import InstallSnapshot


class SnapshotReceiver:
    """
    One snapshot on its way to our disk.

    Chunks that arrive while the disk writes are gathered, at most a window of them,
    and go down in one write; each is acknowledged once it is written.

    ::

        opening -> receiving <-> writing -> committing -> done
           |           |            |           |
           +-----------+--- aborted +-----------+

    :param ready: fires when the one before it has been cleaned away.
    :param delivered: called once it is durable.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        persistence: Persistence,
        connection: ReceivingConnection,
        message: InstallSnapshot,
        size: int,
        ready: Deferred[None],
        delivered: Callable[[InstallSnapshot], None],
        clock: IReactorTime,
        settings: PeerSettings,
    ) -> None:
        self.message = message
        self.member_id = connection.member_id
        self._persistence = persistence
        self._connection = connection
        self._size = size
        self._delivered = delivered
        self._clock = clock
        self._stall_seconds = settings.snapshot_stall_seconds
        self._stall_call: IDelayedCall | None = None
        self._writer: SnapshotWriter | None = None
        self._waiting: list[tuple[bytes, bytes]] = []
        self._unwritten = 0
        self._busy = True
        self._over = False
        self._left = False
        self._digest = hashlib.sha256()
        self._received_bytes = 0
        self._ending: tuple[bytes, bytes] | None = None
        self.idle: Deferred[None] = Deferred()
        """Fires, once, when this receiver has left the disk alone for good."""
        ready.addCallback(self._open)

    def _open(self, _: object) -> None:
        self._busy = False
        if self._over:
            self._leave()
            return
        self._log.info(
            "snapshot at index {index} begins to arrive from member {member_id:x},"
            " {size} bytes",
            index=self.message.meta.index,
            member_id=self.member_id,
            size=self._size,
        )
        self._writer = self._persistence.receive_snapshot(self.message.meta)
        self._go_on()

    def chunk(self, content: bytes, tag: bytes) -> None:
        """Take a chunk; the answer to ``tag`` leaves when it is written."""
        self._unwritten += 1
        self._received_bytes += len(content)
        if (
            self._unwritten > CHUNKS_IN_FLIGHT_MAX
            or self._received_bytes > self._size
            or self._ending is not None
            or not content
        ):
            raise PeerError("a chunk of a snapshot that does not belong there")
        self._digest.update(content)
        self._waiting.append((content, tag))
        self._go_on()

    def end(self, checksum: bytes, tag: bytes) -> None:
        """All was sent; the answer to ``tag`` leaves when all is durable."""
        if self._received_bytes != self._size or self._ending is not None:
            raise PeerError(
                f"a snapshot of {self._size} bytes that ends after"
                f" {self._received_bytes}"
            )
        if checksum != self._digest.digest():
            raise PeerError("a snapshot whose checksum is wrong")
        self._ending = (checksum, tag)
        self._go_on()

    def abort(self, why: str) -> None:
        """The stream ended too early; :attr:`idle` fires when all of it is gone."""
        if not self._over:
            self._over = True
            self._stop_stall()
            self._log.warn(
                "snapshot from member {member_id:x} came to nothing after"
                " {received} of {size} bytes: {why}",
                member_id=self.member_id,
                received=self._received_bytes,
                size=self._size,
                why=why,
            )
            if not self._busy:
                self._leave()

    def _go_on(self) -> None:
        """Whatever is next: a write, the commit, or waiting for the sender."""
        self._stop_stall()
        if self._busy or self._writer is None:
            return
        if self._waiting:
            chunks, self._waiting = self._waiting, []
            self._busy = True
            self._writer.write(b"".join(content for content, _ in chunks)).addCallbacks(
                self._written, self._failed, callbackArgs=(chunks,)
            ).addErrback(self._failed)
        elif self._ending is not None:
            self._busy = True
            self._writer.commit().addCallback(self._committed).addErrback(self._failed)
        else:
            self._stall_call = self._clock.callLater(
                self._stall_seconds, self._connection.drop, "the snapshot stalled"
            )

    def _written(self, _: object, chunks: list[tuple[bytes, bytes]]) -> None:
        self._busy = False
        if self._over:
            self._leave()
            return
        for _content, tag in chunks:
            self._unwritten -= 1
            self._connection.answer(tag, SnapshotChunk)
        self._go_on()

    def _committed(self, _: object) -> None:
        self._busy = False
        self._writer = None
        if self._over:
            # Durable but nobody waits for it: the next save cleans it away.
            self._leave()
            return
        self._over = True
        self._log.info(
            "snapshot at index {index} from member {member_id:x} is complete",
            index=self.message.meta.index,
            member_id=self.member_id,
        )
        ending = self._ending
        if ending is not None:
            self._connection.answer(ending[1], SnapshotEnd)
        self._leave()
        self._delivered(self.message)

    def _failed(self, failure: Failure) -> None:
        """Our disk failed: the node learns it from its own saves; tell the operator."""
        self._busy = False
        if not isinstance(failure.value, StorageError):
            self._log.failure("receiving a snapshot", failure)
        else:
            self._log.error(
                "cannot write a snapshot: {why}", why=failure.getErrorMessage()
            )
        self._over = True
        self._connection.drop(f"cannot write it: {failure.getErrorMessage()}")
        self._leave()

    def _stop_stall(self) -> None:
        if self._stall_call is not None and self._stall_call.active():
            self._stall_call.cancel()
        self._stall_call = None

    def _leave(self) -> None:
        if self._left:
            return
        self._left = True
        self._stop_stall()
        writer, self._writer = self._writer, None
        aborted = writer.abort() if writer is not None else succeed(None)
        aborted.addBoth(lambda _: self.idle.callback(None))


class SnapshotInbox:
    """
    At most one incoming snapshot; a new one takes the place of an older.

    Of two leaders the one with the higher term is right, so a stream of a lower term
    than the present one's is refused.
    """

    def __init__(
        self,
        *,
        persistence: Persistence,
        delivered: Callable[[InstallSnapshot], None],
        clock: IReactorTime,
        settings: PeerSettings,
    ) -> None:
        self._persistence = persistence
        self._delivered = delivered
        self._clock = clock
        self._settings = settings
        self._current: tuple[ReceivingConnection, SnapshotReceiver] | None = None
        self._disk_free: Deferred[None] = succeed(None)

    def offered(
        self, connection: ReceivingConnection, message: InstallSnapshot, size: int
    ) -> SnapshotReceiver:
        """
        Begin to take a stream.

        :raises PeerError: one of a newer leader is under way.
        """
        if self._current is not None:
            if message.term < self._current[1].message.term:
                raise PeerError("a snapshot of a newer leader is under way")
            self._current[0].drop("a newer snapshot takes its place")
            self.ended(self._current[0], "a newer one takes its place")
        ready: Deferred[None] = Deferred()
        self._disk_free.addCallback(lambda _: ready.callback(None))
        receiver = SnapshotReceiver(
            persistence=self._persistence,
            connection=connection,
            message=message,
            size=size,
            ready=ready,
            delivered=self._complete,
            clock=self._clock,
            settings=self._settings,
        )
        self._current = (connection, receiver)
        self._disk_free = receiver.idle
        return receiver

    def ended(self, connection: ReceivingConnection, why: str) -> None:
        """A connection for a snapshot is gone."""
        if self._current is not None and self._current[0] is connection:
            receiver = self._current[1]
            self._current = None
            receiver.abort(why)

    def stop(self) -> Deferred[None]:
        """Give up what is under way; fires when the disk is left alone."""
        if self._current is not None:
            self.ended(self._current[0], "we are stopping")
        stopped: Deferred[None] = Deferred()
        self._disk_free.addCallback(lambda _: stopped.callback(None))
        return stopped

    def _complete(self, message: InstallSnapshot) -> None:
        self._current = None
        self._delivered(message)
