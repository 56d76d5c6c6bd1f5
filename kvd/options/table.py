"""Every option that kvd acts on: etcd's, and its own."""

from __future__ import annotations

from typing import Final

import attrs

from kvd.config import Config
from kvd.options.values import (
    Boolean,
    Choice,
    Kind,
    MemberName,
    Members,
    Text,
    Urls,
    Whole,
    Words,
)

_COUNT_MAX: Final = 1_000_000_000
_HOUR: Final = 3_600_000
_GIBIBYTE: Final = 1 << 30


@attrs.frozen
class Option:
    """
    One option; the same name in a file, as ``--name`` and as ``KVD_NAME``.

    :ivar default: shown, where it follows from other options.
    :ivar ours: kvd's own, so ``ETCD_`` variables do not set it.
    """

    name: str
    kind: Kind
    meaning: str
    default: str = ""
    ours: bool = False

    @property
    def field(self) -> str:
        """Its attribute of :class:`kvd.config.Config`."""
        return self.name.replace("-", "_")

    @property
    def boolean(self) -> bool:
        """Whether ``--name`` alone means true."""
        return isinstance(self.kind, Boolean)

    @property
    def default_text(self) -> str:
        return self.default or self.kind.show(getattr(Config(), self.field))


def _ours(name: str, kind: Kind, meaning: str) -> Option:
    return Option(name, kind, meaning, ours=True)


def _bytes(minimum: int, maximum: int) -> Whole:
    return Whole(minimum, maximum, "bytes")


def _milliseconds(minimum: int, maximum: int) -> Whole:
    return Whole(minimum, maximum, "ms")


OPTIONS: Final = (
    Option("name", MemberName(), "this member's name, unique in its cluster"),
    Option(
        "data-dir",
        Text("FOLDER", empty=False),
        "where this member keeps its log, its snapshots and its identity",
        default="${name}.kvd",
    ),
    Option(
        "wal-dir",
        Text("FOLDER"),
        "a separate folder for the log; empty: inside data-dir",
    ),
    Option(
        "snapshot-count",
        Whole(1, _COUNT_MAX),
        "applied entries between two snapshots",
    ),
    _ours(
        "snapshot-catchup-entries",
        Whole(0, _COUNT_MAX),
        "entries kept behind a snapshot for followers that are slow",
    ),
    Option(
        "heartbeat-interval",
        _milliseconds(0, 60_000),
        "time between two heartbeats of a leader",
    ),
    Option(
        "election-timeout",
        _milliseconds(0, _HOUR),
        "a follower that hears no leader for this to twice this long campaigns; "
        "at least five heartbeats, at most 50000",
    ),
    Option("max-snapshots", Whole(0, 10_000), "snapshot files kept; 0: all"),
    Option("max-wals", Whole(0, 10_000), "log segment files kept; 0: all"),
    Option(
        "listen-client-urls",
        Urls(bind=True),
        "where clients are listened for; an address or localhost",
    ),
    Option(
        "advertise-client-urls",
        Urls(),
        "what clients are told; required with listen-client-urls",
    ),
    Option(
        "listen-peer-urls",
        Urls(bind=True),
        "where the other members are listened for; an address or localhost",
    ),
    Option(
        "initial-advertise-peer-urls",
        Urls(),
        "what the other members are told; used when the cluster is founded",
    ),
    Option(
        "initial-cluster",
        Members(),
        "the founding members; used when the cluster is founded",
        default="${name}=http://localhost:2380",
    ),
    Option(
        "initial-cluster-token",
        Text("TOKEN"),
        "tells apart clusters with the same URLs; used when the cluster is founded",
    ),
    Option(
        "initial-cluster-state",
        Choice(("new", "existing")),
        "new: found the cluster; existing: join it (not supported yet)",
    ),
    Option("cors", Words(), "origins allowed by CORS; *: all, empty: none"),
    Option(
        "host-whitelist",
        Words(),
        "Host headers answered over plain HTTP; * or empty: all",
    ),
    Option(
        "log-level",
        Choice(("debug", "info", "warn", "error", "panic", "fatal")),
        "the least severe lines that are logged",
    ),
    Option(
        "strict-reconfig-check",
        Boolean(),
        "refuse a membership change that would lose quorum",
    ),
    Option(
        "pre-vote",
        Boolean(),
        "ask before campaigning, so that a member that was cut off disturbs nobody",
    ),
    _ours(
        "segment-bytes",
        _bytes(1 << 16, 4 * _GIBIBYTE),
        "a log segment is closed once it is this long",
    ),
    _ours(
        "disk-floor-bytes",
        _bytes(0, 1 << 50),
        "with less disk space free than this, writes are refused; reads go on",
    ),
    _ours(
        "disk-check-interval",
        _milliseconds(10, _HOUR),
        "time between two looks at the free disk space",
    ),
    # More than this would not fit into one message between members, which no option
    # changes; nor then would the log ever get past the entry.
    _ours("request-bytes-max", _bytes(1024, 60 << 20), "the longest request body"),
    _ours(
        "header-bytes-max", _bytes(1024, 1 << 26), "all headers of a request together"
    ),
    _ours("header-count-max", Whole(8, 100_000), "headers of one request"),
    _ours("request-line-bytes-max", _bytes(256, 1 << 26), "the longest request line"),
    _ours(
        "header-timeout",
        _milliseconds(100, 24 * _HOUR),
        "a request's headers must be complete this long after their first byte",
    ),
    _ours(
        "body-timeout",
        _milliseconds(100, 24 * _HOUR),
        "a request's body must be complete this long after its headers",
    ),
    _ours("connections-max", Whole(1, 1_000_000), "client connections at one time"),
    _ours(
        "pipelined-max",
        Whole(1, 10_000),
        "requests read ahead on one connection while one is answered",
    ),
    _ours("watchers-max", Whole(1, 10_000_000), "watchers at one time"),
    _ours(
        "event-history",
        Whole(1, 10_000_000),
        "events kept for waitIndex; must be the same on every member",
    ),
    _ours(
        "stream-backlog-max",
        Whole(1, 1_000_000),
        "events that a stream's reader may be behind before it is cut",
    ),
    _ours(
        "proposals-pending-max",
        Whole(1, 10_000_000),
        "writes waiting for their place in the log at one time",
    ),
    _ours(
        "outbox-bytes-max",
        _bytes(1 << 20, 16 * _GIBIBYTE),
        "writes that wait for a leader to take them; beyond it they are refused",
    ),
    _ours(
        "peer-queue-bytes-max",
        _bytes(1 << 20, 16 * _GIBIBYTE),
        "messages waiting to be sent to one other member; more is dropped",
    ),
    _ours("json-depth-max", Whole(4, 500), "levels of a JSON request body"),
)

BY_NAME: Final = {option.name: option for option in OPTIONS}
