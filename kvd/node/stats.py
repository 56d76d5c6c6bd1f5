"""What a member counts of its raft traffic, for ``/v2/stats`` and operators."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from kvd.node.interfaces import Transport
from kvd.raft.messages import AppendEntries, AppendResponse, Entry, Message


class Rate:
    """Appends and bytes a second over the last 200 appends, as etcd counts them."""

    WINDOW = 200
    STALE_SECONDS = 1.0

    def __init__(self) -> None:
        self.count = 0
        self._window: deque[tuple[float, int]] = deque(maxlen=self.WINDOW)

    def add(self, *, now: float, size: int) -> None:
        self.count += 1
        self._window.append((now, size))

    def rates(self, *, now: float) -> tuple[float, float]:
        """Messages a second and bytes a second; 0 when the newest is over 1 s old."""
        window = self._window
        if not window or now - window[-1][0] > self.STALE_SECONDS:
            return 0.0, 0.0
        seconds = now - window[0][0]
        if seconds <= 0:
            return 0.0, 0.0
        return len(window) / seconds, sum(size for _, size in window) / seconds


class Latency:
    """Running minimum, maximum, mean and deviation, in milliseconds."""

    def __init__(self) -> None:
        self.success = 0
        self.fail = 0
        self.current = 0.0
        self.minimum = 0.0
        self.maximum = 0.0
        self._sum = 0.0
        self._sum_of_squares = 0.0

    def succeeded(self, milliseconds: float) -> None:
        self.success += 1
        self.current = milliseconds
        self.minimum = (
            milliseconds if self.success == 1 else min(self.minimum, milliseconds)
        )
        self.maximum = max(self.maximum, milliseconds)
        self._sum += milliseconds
        self._sum_of_squares += milliseconds * milliseconds

    @property
    def average(self) -> float:
        return self._sum / self.success if self.success else 0.0

    @property
    def standard_deviation(self) -> float:
        if not self.success:
            return 0.0
        average = self.average
        variance = self._sum_of_squares / self.success - average * average
        return math.sqrt(max(0.0, variance))


class RaftTraffic:
    """
    Append messages in both directions, and how long followers take to answer them.

    Latency is taken from one append at a time for each follower: the first that is
    sent after the last measured one was answered.
    """

    def __init__(self) -> None:
        self.sent_appends = Rate()
        self.received_appends = Rate()
        self.followers: dict[int, Latency] = {}
        self._measured: dict[int, tuple[int, float]] = {}

    def sent(self, messages: Sequence[Message], *, now: float) -> None:
        """Account for messages that leave."""
        for message in messages:
            if type(message) is AppendEntries:
                entries = message.entries
                self.sent_appends.add(now=now, size=_size(entries))
                if entries and message.to not in self._measured:
                    self._measured[message.to] = (entries[-1].index, now)

    def received(self, message: Message, *, now: float) -> None:
        """Account for a message that came."""
        if type(message) is AppendEntries:
            self.received_appends.add(now=now, size=_size(message.entries))
        elif type(message) is AppendResponse:
            measured = self._measured.get(message.sender)
            if measured is not None and (
                message.rejected or message.index >= measured[0]
            ):
                del self._measured[message.sender]
                if not message.rejected:
                    self._latency(message.sender).succeeded((now - measured[1]) * 1000)

    def failed(self, member_id: int) -> None:
        """Messages to it were lost."""
        self._measured.pop(member_id, None)
        self._latency(member_id).fail += 1

    def keep_only(self, member_ids: frozenset[int]) -> None:
        """Forget members that are gone."""
        for gone in [m for m in self.followers if m not in member_ids]:
            del self.followers[gone]
            self._measured.pop(gone, None)

    def _latency(self, member_id: int) -> Latency:
        return self.followers.setdefault(member_id, Latency())


class CountedTransport:
    """A transport with its appends counted."""

    def __init__(
        self, transport: Transport, traffic: RaftTraffic, clock: IReactorTime
    ) -> None:
        self._transport = transport
        self._traffic = traffic
        self._clock = clock
        self.set_peers = transport.set_peers
        self.connected = transport.connected

    def send(self, messages: Sequence[Message]) -> None:
        self._traffic.sent(messages, now=self._clock.seconds())
        self._transport.send(messages)


def _size(entries: tuple[Entry, ...]) -> int:
    return sum(len(entry.data) for entry in entries)
