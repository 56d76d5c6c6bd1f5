"""What is counted of each other member, for those who watch over this one."""

from __future__ import annotations

import attrs

from kvd.histogram import Histogram, doubling

ROUND_TRIP_SECONDS = doubling(0.0001, 16)  # etcd's bounds


class PeerCounts:
    """
    Of what we send to one member.

    :ivar sent_bytes: of messages and snapshots, without AMP's own.
    :ivar dropped: messages that found no connection or no room.
    :ivar disconnections: accepted connections that were lost.
    :ivar round_trip_seconds: of pings.
    """

    __slots__ = ("disconnections", "dropped", "round_trip_seconds", "sent_bytes")

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.dropped = 0
        self.disconnections = 0
        self.round_trip_seconds = Histogram(ROUND_TRIP_SECONDS)


@attrs.frozen(kw_only=True)
class PeerFigures:
    """
    One member at this moment.

    :ivar waiting_bytes: of messages that wait to be written.
    :ivar received_bytes: all that came from it.
    """

    member_id: int
    connected: bool
    waiting_bytes: int
    received_bytes: int
    counts: PeerCounts
