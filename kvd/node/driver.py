"""
The Ready loop: what the core wants done, done in the right order.

::

    step/tick/propose -> wake -> turn:
        outbox -> core        (one batch)
        reads  -> core        (one round)
        core.ready():
            messages  -> transport          at once, whatever the disk does
            persist   -> persistence.save   then: persist.after -> transport, persisted
            restore   -> machines           from the snapshot that was just made durable
            committed -> applier            then: applied -> answers -> watchers
            reads     -> released when applied
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from kvd.apply.applier import Applier
from kvd.apply.machine import Restoring
from kvd.apply.request import RequestId
from kvd.cluster.members import MemberRecord
from kvd.errors import KvdError, StorageError, invariant
from kvd.node.changes import untag_change
from kvd.node.interfaces import Applied, Persistence, Transport
from kvd.node.proposals import Proposals
from kvd.node.reads import Reads
from kvd.node.settled import settled
from kvd.node.snapshots import Snapshots
from kvd.raft.codec import decode_change
from kvd.raft.core import Raft
from kvd.raft.messages import Entry, EntryKind, Notice, Persist, Ready, SnapshotMeta

TURNS_MAX = 8
RESTORE_CHUNK_BYTES = 1 << 20


@attrs.frozen
class Told:
    """Whom the driver tells: of a fatal error, a new configuration, a new leader."""

    fatal: Callable[[BaseException], None]
    membership_changed: Callable[[], None]
    leader_changed: Callable[[int], None]


class Driver:
    """
    Turns the core; everything that touches it goes through :meth:`guarded`.

    An exception out of the core, a machine or the disk may have left state half
    changed: the driver stops for good and tells ``told.fatal``.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        raft: Raft,
        applier: Applier,
        persistence: Persistence,
        transport: Transport,
        clock: IReactorTime,
        proposals: Proposals,
        reads: Reads,
        snapshots: Snapshots,
        catchup_entries: int,
        told: Told,
    ) -> None:
        self.raft = raft
        self._applier = applier
        self._persistence = persistence
        self._transport = transport
        self._clock = clock
        self._proposals = proposals
        self._reads = reads
        self._snapshots = snapshots
        self._catchup_entries = catchup_entries
        self._told = told
        self._turn_call: IDelayedCall | None = None
        self._saving: Deferred[None] | None = None
        self._saving_since = 0.0
        self._restoring: Deferred[None] | None = None
        self._leader = 0
        self.applied_term = 0
        self.stopped = False

    # -- entry points ---------------------------------------------------------------

    def wake(self) -> None:
        """See to it that a turn comes; cheap, any number of times."""
        if self._turn_call is None and not self.stopped:
            self._turn_call = self._clock.callLater(0, self._scheduled_turn)

    def guarded(self, work: Callable[[], None]) -> None:
        """Run something that touches the core; an exception is fatal."""
        if self.stopped:
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001 -- whatever it is, state is in doubt
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Stop for good: a promise can no longer be kept."""
        if not self.stopped:
            self.stopped = True
            if isinstance(error, StorageError):
                # The disk's trouble, not ours: one line that names the file.
                self._log.critical("the member stops: {error}", error=error)
            else:
                self._log.failure(
                    "the member stops: {error}",
                    failure=Failure(error),  # type: ignore[no-untyped-call]  # Twisted's
                    error=error,
                )
            self._told.fatal(error)

    def stop(self) -> Deferred[None]:
        """Fires when no save or restore is under way; nothing new is begun."""
        self.stopped = True
        if self._turn_call is not None:
            self._turn_call.cancel()
            self._turn_call = None
        pending = [d for d in (self._saving, self._restoring) if d is not None]
        return settled(gatherResults([settled(each) for each in pending]))

    @property
    def is_restoring(self) -> bool:
        """Whether a leader's snapshot is being taken over."""
        return self._restoring is not None

    @property
    def saving_seconds(self) -> float:
        """For how long the disk has been at work on a save; 0 if there is none."""
        if self._saving is None:
            return 0.0
        return self._clock.seconds() - self._saving_since

    # -- a turn ---------------------------------------------------------------------

    def _scheduled_turn(self) -> None:
        self._turn_call = None
        self.guarded(self._turn)

    def _turn(self) -> None:
        self._turn_core()
        if self.raft.leader != self._leader and not self.stopped:
            self._leader = self.raft.leader
            self._turn_core()  # what waited for a leader goes before anybody is told
            self._told.leader_changed(self._leader)
        if not self.stopped:
            self._maybe_snapshot()

    def _turn_core(self) -> None:
        raft = self.raft
        for _ in range(TURNS_MAX):
            if self._proposals.has_outgoing:
                batch = self._proposals.peek_batch()
                if raft.propose(batch):
                    self._proposals.drop_batch(len(batch))
            if self._reads.has_gathering:
                self._reads.ask(now=self._clock.seconds())
            if not raft.has_ready():
                break
            self._do(raft.ready())
            if self.stopped:
                return
        else:
            self.wake()

    def _do(self, ready: Ready) -> None:
        for notice in ready.notices:
            if notice.kind != "leader_changed":  # the node says it, once a turn
                self._log_notice(notice)
        if ready.messages:
            self._transport.send(ready.messages)
        if ready.persist is not None:
            self._save(ready.persist)
        if ready.restore is not None:
            self._begin_restore(ready.restore)
        if ready.committed:
            self._apply(ready.committed)
        for context in ready.dropped_reads:
            self._reads.drop(context)
        for read in ready.reads:
            self._reads.confirm(read.context, read.index)
        if ready.reads:
            self._reads.release(self.raft.applied_index)

    def _save(self, persist: Persist) -> None:
        invariant(self._saving is None, "two saves under way")
        saving = self._persistence.save(
            persist.hard_state, persist.entries, persist.snapshot
        )
        self._saving = saving
        self._saving_since = self._clock.seconds()
        saving.addCallbacks(partial(self._saved, persist), self._save_failed)

    def _saved(self, persist: Persist, _: object) -> None:
        self._saving = None
        self.guarded(partial(self._after_save, persist))

    def _after_save(self, persist: Persist) -> None:
        if persist.after:
            self._transport.send(persist.after)
        self.raft.persisted(persist)
        self._turn()

    def _save_failed(self, failure: Failure) -> None:
        self._saving = None
        self.failed(failure)

    def failed(self, failure: Failure) -> None:
        """As :meth:`fail`, for the end of a Deferred."""
        self.fail(failure.value or KvdError("failed without an error"))

    # -- applying -------------------------------------------------------------------

    def _apply(self, committed: tuple[Entry, ...]) -> None:
        invariant(self._restoring is None, "entries to apply during a restore")
        answers: list[tuple[RequestId, Applied]] = []
        membership_changed = False
        for entry in committed:
            if entry.kind is EntryKind.CHANGE:
                answers.append(self._apply_change(entry))
                membership_changed = True
            else:
                outcome = self._applier.apply(entry)
                if outcome.request is not None:
                    answers.append(
                        (
                            outcome.request,
                            Applied(entry.index, entry.term, outcome.value),
                        )
                    )
        last = committed[-1]
        self.raft.applied(last.index)
        self.applied_term = last.term
        if membership_changed:
            self._told.membership_changed()
        resolve = self._proposals.resolve
        for request_id, applied in answers:
            resolve(request_id, applied)
        self._reads.release(last.index)
        self._applier.publish()

    def _apply_change(self, entry: Entry) -> tuple[RequestId, Applied]:
        tagged = decode_change(entry.data)
        request_id, change = untag_change(tagged)
        outcome = self._applier.apply_change(entry, change)
        if isinstance(outcome.value, MemberRecord):
            self.raft.apply_change(change)
        else:
            self.raft.skip_change()
        return request_id, Applied(entry.index, entry.term, outcome.value)

    # -- snapshots ------------------------------------------------------------------

    def _maybe_snapshot(self) -> None:
        raft = self.raft
        applied = raft.applied_index
        if self._restoring is None and self._snapshots.due(applied):
            meta = SnapshotMeta(applied, self.applied_term, raft.status().configuration)
            self._snapshots.begin(meta, self._applier.snapshot())

    def snapshot_made(self, meta: SnapshotMeta, before: SnapshotMeta | None) -> None:
        """A snapshot of our own is durable: the core and the log may forget."""
        self.guarded(partial(self._forget, meta, before))

    def _forget(self, meta: SnapshotMeta, before: SnapshotMeta | None) -> None:
        self.raft.snapshot_made(meta)
        keep_from = meta.index - self._catchup_entries
        if keep_from > 0:
            self.raft.compact(keep_from)
        # The log stays back to the snapshot before, in case the newest is damaged.
        if before is not None:
            self._persistence.compact(before.index).addErrback(self.failed)

    def _begin_restore(self, meta: SnapshotMeta) -> None:
        invariant(self._restoring is None, "two restores under way")
        self._snapshots.installed(meta)
        self._restoring = Deferred.fromCoroutine(self._restore(meta))
        self._restoring.addErrback(self.failed)

    async def _restore(self, meta: SnapshotMeta) -> None:
        self._log.info("restoring from the snapshot at index {i}", i=meta.index)
        await self.load(meta)
        self._restoring = None
        if self.stopped:
            return
        self.raft.restored(meta)
        self._told.membership_changed()
        self._reads.release(meta.index)
        self._applier.publish()
        self._turn()

    async def load(self, meta: SnapshotMeta) -> None:
        """Fill the machines from the newest durable snapshot, which must be ``meta``."""
        reader = await self._persistence.open_snapshot()
        try:
            invariant(
                reader.meta.index == meta.index,
                f"the newest snapshot is at {reader.meta.index}, not at {meta.index}",
            )
            chunks = []
            while chunk := await reader.read(RESTORE_CHUNK_BYTES):
                chunks.append(chunk)
        finally:
            reader.close()
        if not await self._fill(self._applier.restoring(chunks)):
            return
        self.applied_term = meta.term
        self._snapshots.newest_bytes = reader.size

    async def _fill(self, restoring: Restoring) -> bool:
        """A step a turn, so that everything else goes on; False: we stop instead."""
        while not self.stopped:
            try:
                next(restoring)
            except StopIteration as done:
                done.value()
                return True
            await deferLater(self._clock, 0)
        return False

    def _log_notice(self, notice: Notice) -> None:
        fields = dict(notice.fields)
        self._log.info(
            "raft: {notice} {fields}",
            notice=notice.kind.replace("_", " "),
            fields=" ".join(f"{name}={value}" for name, value in fields.items()),
        )
