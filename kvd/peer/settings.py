"""Who we are to other members, and the bounds of what they may cost us."""

from __future__ import annotations

import attrs

PROTOCOL_VERSION = 1
"""The newest version of the peer protocol that this release speaks."""

OLDEST_VERSION = 1
"""The oldest one that it still understands."""


@attrs.frozen
class PeerIdentity:
    """What a Hello says of its sender; ids are never 0."""

    member_id: int
    cluster_id: int


@attrs.frozen(kw_only=True)
class PeerSettings:
    """
    Bounds and times of the peer port; all in seconds or bytes.

    :ivar queue_bytes_max: encoded messages that wait for one peer; a single larger
        message still passes when nothing waits.
    :ivar message_bytes_max: one encoded message; a peer that announces a longer one
        breaks the protocol.
    :ivar connect_seconds: from dialling to the accepted Hello.
    :ivar ping_seconds: between two pings on a connection that we dialled.
    :ivar silent_pings_max: so many pings without a byte from the other side mean that
        nobody is there. Ticks are counted, not seconds, so that a pause of our own
        process does not look like silence of the other.
    :ivar hello_seconds: how long a stranger may stay without a Hello.
    :ivar strangers_max: connections without an accepted Hello; the oldest makes room.
    :ivar snapshot_stall_seconds: without progress, a snapshot stream is given up.
    :ivar snapshot_commit_seconds: for the receiver to make a whole snapshot durable.
    :ivar close_seconds: for what was written to leave when a connection ends politely.
    """

    queue_bytes_max: int = 16 << 20
    message_bytes_max: int = 64 << 20
    connect_seconds: float = 3.0
    backoff_first_seconds: float = 0.05
    backoff_max_seconds: float = 2.0
    ping_seconds: float = 0.5
    silent_pings_max: int = 3
    hello_seconds: float = 5.0
    strangers_max: int = 64
    snapshot_stall_seconds: float = 15.0
    snapshot_commit_seconds: float = 120.0
    close_seconds: float = 2.0
