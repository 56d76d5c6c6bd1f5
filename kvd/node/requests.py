"""What may be asked of a member, on its way to the core."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from kvd.apply.request import Request, RequestId, encode_request
from kvd.errors import (
    InvariantViolated,
    PeerError,
    ReconfigurationRefused,
    RequestError,
    Unavailable,
    UnavailableReason,
)
from kvd.node.changes import tag_change, untag_change
from kvd.node.driver import Driver
from kvd.node.interfaces import Applied
from kvd.node.proposals import Proposals
from kvd.node.reads import Reads
from kvd.raft.codec import decode_change
from kvd.raft.messages import ChangeRefused, ConfigChange

_TOO_LARGE = 210


class Requests:
    """
    Numbers requests, encodes them, and wakes the driver.

    Refusals are failed Deferreds, so that a caller has one place for all of them.
    """

    def __init__(
        self,
        *,
        driver: Driver,
        proposals: Proposals,
        reads: Reads,
        clock: IReactorTime,
        wall_time_ns: Callable[[], int],
        request_bytes_max: int,
    ) -> None:
        self._driver = driver
        self._proposals = proposals
        self._reads = reads
        self._clock = clock
        self._wall_time_ns = wall_time_ns
        self._request_bytes_max = request_bytes_max
        self._stopped = False

    def stop(self) -> None:
        """Refuse whatever comes, and tell all who wait."""
        self._stopped = True
        self._proposals.stop()
        self._reads.stop()

    def propose(self, machine: str, body: bytes) -> Deferred[Applied]:
        """See ``Member.propose``."""
        if len(body) > self._request_bytes_max:
            return fail(RequestError(_TOO_LARGE, "request too large"))
        if not self._proposals.has_room(len(body)):
            too_many = UnavailableReason.TOO_MANY_REQUESTS
            return fail(Unavailable(too_many, may_take_effect=False))
        request_id = self._proposals.next_id()
        try:
            answer = self._wait(request_id)
        except Unavailable as error:
            return fail(error)
        self._put(request_id, machine, body)
        return answer

    def submit(self, machine: str, body: bytes) -> None:
        """Propose without waiting."""
        if not self._stopped:
            self._put(self._proposals.next_id(), machine, body)

    def read_index(self) -> Deferred[int]:
        """See ``Member.read_index``."""
        try:
            self._check_running()
            answer = self._reads.wait(now=self._clock.seconds())
        except Unavailable as error:
            return fail(error)
        self._driver.wake()
        return answer

    def reconfigure(self, change: ConfigChange) -> Deferred[Applied]:
        """See ``Member.reconfigure``; refused with ``ReconfigurationRefused``."""
        request_id = self._proposals.next_id()
        try:
            answer = self._wait(request_id)
        except Unavailable as error:
            return fail(error)
        self._driver.guarded(partial(self._propose_change, change, request_id))
        self._driver.wake()
        return answer

    def refused(self, message: ChangeRefused) -> None:
        """
        The leader has not taken a change that we passed on.

        :raises PeerError: it is none of ours.
        """
        try:
            request_id, _ = untag_change(decode_change(message.change))
        except InvariantViolated as error:
            raise PeerError(f"a refusal of nothing: {error}") from error
        self._proposals.refuse(
            request_id, ReconfigurationRefused(message.refusal.value)
        )

    def _check_running(self) -> None:
        if self._stopped:
            raise Unavailable(UnavailableReason.STOPPED, may_take_effect=False)

    def _wait(self, request_id: RequestId) -> Deferred[Applied]:
        self._check_running()
        return self._proposals.wait(request_id, now=self._clock.seconds())

    def _put(self, request_id: RequestId, machine: str, body: bytes) -> None:
        request = Request(machine, request_id, self._wall_time_ns(), body)
        self._proposals.put(request_id, encode_request(request))
        self._driver.wake()

    def _propose_change(self, change: ConfigChange, request_id: RequestId) -> None:
        refusal = self._driver.raft.propose_change(tag_change(change, request_id))
        if refusal is not None:
            self._proposals.refuse(request_id, ReconfigurationRefused(refusal.value))
