"""Requests on their way through the log, and who waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.internet.defer import Deferred

from kvd.apply.request import RequestId
from kvd.errors import KvdError, Unavailable, UnavailableReason
from kvd.node.interfaces import Applied
from kvd.raft.messages import EntryKind, Propose

BATCH_BYTES_MAX = 1 << 20


class Waiter(NamedTuple):
    """``began`` in the clock's seconds."""

    answer: Deferred[Applied]
    began: float


class Proposals:
    """
    The outbox of encoded requests, and the waiters of all that are not yet answered.

    A request leaves the outbox once, when the core has taken it; from then on it may
    take effect, and nothing here ever proposes it again.

    :param max_pending: waiters at one time; beyond it requests are refused at once.
    :param max_bytes: in the outbox, where requests gather while nobody leads; one of
        any size is taken while it is empty.
    :ivar expired: how many were given up on.
    :param sequence_start: differs between two starts of a member, so that an entry of
        an earlier life never answers a request of this one.
    """

    def __init__(
        self, *, member_id: int, sequence_start: int, max_pending: int, max_bytes: int
    ) -> None:
        self._member_id = member_id
        self._sequence = sequence_start
        self._max_pending = max_pending
        self._waiters: dict[int, Waiter] = {}
        self._max_bytes = max_bytes
        self._outbox: dict[int, bytes] = {}
        self._outbox_bytes = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def outbox(self) -> tuple[int, int]:
        """Requests that the core has not taken, and their bytes."""
        return len(self._outbox), self._outbox_bytes

    @property
    def has_outgoing(self) -> bool:
        return bool(self._outbox)

    def next_id(self) -> RequestId:
        """An id that no other request of this cluster has."""
        self._sequence += 1
        return RequestId(self._member_id, self._sequence)

    def put(self, request_id: RequestId, data: bytes) -> None:
        """Into the outbox."""
        self._outbox[request_id.sequence] = data
        self._outbox_bytes += len(data)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may wait in the outbox."""
        return not self._outbox or self._outbox_bytes + size <= self._max_bytes

    def _take_out(self, sequence: int) -> bytes | None:
        data = self._outbox.pop(sequence, None)
        if data is not None:
            self._outbox_bytes -= len(data)
        return data

    def hold(self, message: Propose) -> None:
        """
        Requests forwarded to a leader that is handing over wait beside our own.

        The core has not taken them, so that whoever leads then gets them once. A
        membership change is not held, its asker may ask again; nor what finds no room.
        """
        for kind, data in message.proposals:
            if kind is EntryKind.NORMAL and self.has_room(len(data)):
                self.put(self.next_id(), data)

    def wait(self, request_id: RequestId, *, now: float) -> Deferred[Applied]:
        """
        Fires when the request has been applied here.

        :raises Unavailable: too many wait already.
        """
        if len(self._waiters) >= self._max_pending:
            raise Unavailable(
                UnavailableReason.TOO_MANY_REQUESTS, may_take_effect=False
            )
        sequence = request_id.sequence
        waiters = self._waiters

        def forget(_: Deferred[Applied]) -> None:
            waiters.pop(sequence, None)

        answer: Deferred[Applied] = Deferred(forget)
        waiters[sequence] = Waiter(answer, now)
        return answer

    def peek_batch(self) -> list[bytes]:
        """The oldest of the outbox, up to 1 MiB but at least one."""
        batch: list[bytes] = []
        size = 0
        for data in self._outbox.values():
            size += len(data)
            if batch and size > BATCH_BYTES_MAX:
                break
            batch.append(data)
        return batch

    def drop_batch(self, count: int) -> None:
        """The oldest ``count`` have been taken by the core."""
        outbox = self._outbox
        if count == len(outbox):
            outbox.clear()
            self._outbox_bytes = 0
            return
        for sequence in list(outbox)[:count]:
            self._take_out(sequence)

    def resolve(self, request_id: RequestId, applied: Applied) -> None:
        """Answer the waiter, if it was ours and still listens."""
        if request_id.member_id == self._member_id:
            waiter = self._waiters.pop(request_id.sequence, None)
            if waiter is not None:
                waiter.answer.callback(applied)

    def refuse(self, request_id: RequestId, error: KvdError) -> None:
        """Whoever was to take the request has not; it was never in the outbox."""
        if request_id.member_id == self._member_id:
            waiter = self._waiters.pop(request_id.sequence, None)
            if waiter is not None:
                waiter.answer.errback(error)

    def expire(
        self, *, before: float, reason: Callable[[float], UnavailableReason]
    ) -> None:
        """
        Give up on every request that began before; it may still take effect unless
        it never left the outbox.

        :param reason: why, for a request that began at the given second.
        """
        late = []
        for sequence, waiter in self._waiters.items():
            if waiter.began > before:
                break
            late.append(sequence)
        for sequence in late:
            found = self._waiters.pop(sequence, None)
            kept = self._take_out(sequence)
            if found is not None:
                self.expired += 1
                found.answer.errback(
                    Unavailable(reason(found.began), may_take_effect=kept is None)
                )

    def stop(self) -> None:
        """Nobody will be answered any more."""
        waiters, self._waiters = self._waiters, {}
        outbox, self._outbox = self._outbox, {}
        self._outbox_bytes = 0
        for sequence, waiter in waiters.items():
            waiter.answer.errback(
                Unavailable(
                    UnavailableReason.STOPPED, may_take_effect=sequence not in outbox
                )
            )
