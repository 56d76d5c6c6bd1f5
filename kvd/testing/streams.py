"""A snapshot on its way from one simulated member's disk to another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.errors import KvdError
from kvd.node.interfaces import SnapshotReader, SnapshotWriter
from kvd.raft.messages import InstallSnapshot

if TYPE_CHECKING:
    from kvd.testing.network import Network, SimulatedTransport

_CHUNK_BYTES = 16_384


class Stream:
    """
    Reads at the sender, writes at the receiver, and hands over the message last.

    Whoever ends (a crash, a cut link) ends it: the receiver drops what it has, the
    sender is told. A process that pauses only makes it wait.
    """

    def __init__(
        self,
        network: Network,
        transport: SimulatedTransport,
        message: InstallSnapshot,
    ) -> None:
        self._network = network
        self._transport = transport
        self._message = message
        reached = transport.reaches(message.to)
        self._target = network.endpoints.get(message.to) if reached else None
        self._link = network.link(message.sender, message.to)
        self._back = network.link(message.to, message.sender)
        self._reader: SnapshotReader | None = None
        self._writer: SnapshotWriter | None = None
        self._writing = False
        self.ended = False

    def start(self) -> None:
        Deferred.fromCoroutine(self._copy()).addErrback(self._failed)

    def end(self, *, ok: bool) -> None:
        """Over; more calls do nothing."""
        if self.ended:
            return
        self.ended = True
        if self._reader is not None:
            self._reader.close()
        if not ok and not self._writing:
            self._abort()
        sender = self._transport
        sender.process.run(self._tell, ok)

    def _abort(self) -> None:
        """The receiver drops what it has; never while it is writing."""
        if self._writer is not None and self._target is not None:
            self._target.process.run(self._writer.abort)
            self._writer = None

    def _tell(self, ok: bool) -> None:
        self._transport.owner.events.snapshot_sent(self._message.to, ok=ok)

    def _failed(self, failure: Failure) -> None:
        failure.trap(KvdError)  # type: ignore[no-untyped-call]  # Twisted has no types here
        self.end(ok=False)

    def _broken(self) -> bool:
        """Whether somebody else has ended it, or must, now."""
        if not self.ended and (self._link.cut or self._back.cut):
            self.end(ok=False)
        return self.ended

    async def _copy(self) -> None:
        message, target = self._message, self._target
        await self._hop(there=True)
        if target is None or target.refuses(message.sender) or self._broken():
            self.end(ok=False)
            return
        sender = self._transport.owner
        reader = self._reader = await sender.persistence.open_snapshot()
        if self._broken():
            return
        meta = reader.meta
        writer = self._writer = target.persistence.receive_snapshot(meta)
        while chunk := await reader.read(_CHUNK_BYTES):
            await self._hop(there=True)
            if self._broken():
                return
            self._writing = True
            await writer.write(chunk)
            self._writing = False
            if self.ended:
                self._abort()
                return
        if self._broken():
            return
        self._writing = True
        await writer.commit()
        self._writer = None
        if self._broken():
            return
        self._network.counts.snapshots += 1
        final = InstallSnapshot(
            to=message.to, sender=message.sender, term=message.term, meta=meta
        )
        target.process.run(target.events.received, final)
        await self._hop(there=False)
        self.end(ok=True)

    def _hop(self, *, there: bool) -> Deferred[None]:
        hop: Deferred[None] = Deferred()
        link = self._link if there else self._back
        self._network.deliver_after(link, hop.callback, None)
        return hop
