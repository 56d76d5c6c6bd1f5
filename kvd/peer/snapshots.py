"""Sending a snapshot: a connection of its own, chunks, acknowledgements."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from kvd.errors import PeerError
from kvd.node.interfaces import Persistence, SnapshotReader
from kvd.peer.commands import (
    CHUNK_BYTES,
    CHUNKS_IN_FLIGHT_MAX,
    SnapshotChunk,
    SnapshotEnd,
    SnapshotStart,
)
from kvd.peer.protocol import Values
from kvd.peer.sending import SendingConnection
from kvd.peer.settings import PeerSettings
from kvd.raft.codec import encode_message
from kvd.raft.messages import InstallSnapshot

_READ_BYTES = CHUNK_BYTES * CHUNKS_IN_FLIGHT_MAX


class SnapshotSender:
    """
    Streams our newest snapshot to one member.

    The message's meta is replaced by that of the file: a newer snapshot may have been
    made since the core asked.

    :param dial: gives an accepted connection for a snapshot.
    """

    def __init__(
        self,
        *,
        persistence: Persistence,
        dial: Callable[[], Deferred[SendingConnection]],
        message: InstallSnapshot,
        clock: IReactorTime,
        settings: PeerSettings,
    ) -> None:
        self._persistence = persistence
        self._dial = dial
        self._message = message
        self._clock = clock
        self._settings = settings
        self._dialling: Deferred[SendingConnection] | None = None
        self._connection: SendingConnection | None = None
        self._cancelled = False
        self.sent_bytes = 0

    def run(self) -> Deferred[None]:
        """
        Fires when the receiver has it durable.

        Fails with :class:`PeerError` or :class:`StorageError`.
        """
        return Deferred.fromCoroutine(self._run())

    def cancel(self) -> None:
        """Give up; what :meth:`run` gave fails soon."""
        self._cancelled = True
        if self._dialling is not None:
            self._dialling.cancel()
        if self._connection is not None:
            self._connection.drop("the snapshot was given up")

    async def _run(self) -> None:
        reader = await self._persistence.open_snapshot()
        try:
            self._check()
            self._dialling = self._dial()
            try:
                connection = await self._dialling
            except CancelledError:
                raise PeerError("the snapshot was given up") from None
            finally:
                self._dialling = None
            self._connection = connection
            try:
                await self._stream(reader, connection)
            finally:
                self._connection = None
                connection.finish("the snapshot has ended")
        finally:
            reader.close()

    def _check(self) -> None:
        if self._cancelled:
            raise PeerError("the snapshot was given up")

    async def _stream(
        self, reader: SnapshotReader, connection: SendingConnection
    ) -> None:
        message = self._message._replace(meta=reader.meta)
        await self._answered(
            connection.request(
                SnapshotStart, message=encode_message(message), size=reader.size
            )
        )
        digest = hashlib.sha256()
        unanswered: deque[Deferred[Values]] = deque()
        try:
            while block := await reader.read(_READ_BYTES):
                if connection.closed:
                    raise PeerError(connection.ended_why)
                for start in range(0, len(block), CHUNK_BYTES):
                    chunk = block[start : start + CHUNK_BYTES]
                    digest.update(chunk)
                    while len(unanswered) >= CHUNKS_IN_FLIGHT_MAX:
                        await self._answered(unanswered.popleft())
                    unanswered.append(connection.request(SnapshotChunk, content=chunk))
                    self.sent_bytes += len(chunk)
            while unanswered:
                await self._answered(unanswered.popleft())
        finally:
            for each in unanswered:
                each.addErrback(lambda _: None)
        await self._answered(
            connection.request(SnapshotEnd, checksum=digest.digest()),
            self._settings.snapshot_commit_seconds,
        )

    async def _answered(
        self, answer: Deferred[Values], seconds: float | None = None
    ) -> None:
        if seconds is None:
            seconds = self._settings.snapshot_stall_seconds

        def timed_out(_: object, seconds: float) -> None:
            raise PeerError(f"no progress within {seconds:g} seconds")

        await answer.addTimeout(seconds, self._clock, timed_out)
