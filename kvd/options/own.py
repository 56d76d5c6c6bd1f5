"""kvd's own options; most of them are limits of what may be outstanding at one time."""

from __future__ import annotations

from typing import Final

from kvd.options.option import in_bytes, in_milliseconds, own
from kvd.options.places import NameServers
from kvd.options.values import Boolean, Whole

_HOUR: Final = 3_600_000
_GIBIBYTE: Final = 1 << 30

OWN: Final = (
    own(
        "tls-handshake-timeout",
        in_milliseconds(100, _HOUR),
        "a TLS handshake must be complete this long after the connection began",
        reached="the connection ends",
    ),
    own(
        "tls-handshakes-max",
        Whole(1, 1_000_000),
        "TLS handshakes of one port that are not complete at one time",
        reached="the oldest connection ends",
    ),
    own(
        "tls-reload-interval",
        in_milliseconds(100, 24 * _HOUR),
        "time between two looks at certificates, keys and revocation lists",
    ),
    own(
        "name-servers",
        NameServers(),
        "who is asked for the records of discovery-srv; empty: those of "
        "/etc/resolv.conf",
    ),
    own(
        "segment-bytes",
        in_bytes(1 << 16, 4 * _GIBIBYTE),
        "a log segment is closed once it is this long",
    ),
    own(
        "disk-floor-bytes",
        in_bytes(0, 1 << 50),
        "with less disk space free than this, writes are refused; reads go on",
    ),
    own(
        "disk-check-interval",
        in_milliseconds(10, _HOUR),
        "time between two looks at the free disk space",
    ),
    # More than this would not fit into one message between members, which no option
    # changes; nor then would the log ever get past the entry.
    own(
        "request-bytes-max",
        in_bytes(1024, 60 << 20),
        "the longest request body",
        reached="400 with code 210, http: POST too large, of a proxy 413; the "
        "connection ends",
    ),
    own(
        "header-bytes-max",
        in_bytes(1024, 1 << 26),
        "all headers of a request together",
        reached="431; the connection ends",
    ),
    own(
        "header-count-max",
        Whole(8, 100_000),
        "headers of one request",
        reached="431; the connection ends",
    ),
    own(
        "request-line-bytes-max",
        in_bytes(256, 1 << 26),
        "the longest request line",
        reached="431; the connection ends",
    ),
    own(
        "path-depth-max",
        Whole(1, 10_000_000),
        "names of a key; how deep a tree may be",
        reached="400 with code 209 and the option's name",
    ),
    own(
        "path-bytes-max",
        in_bytes(64, 1 << 26),
        "the longest key",
        reached="400 with code 209 and the option's name",
    ),
    own(
        "header-timeout",
        in_milliseconds(100, 24 * _HOUR),
        "a request's headers must be complete this long after their first byte",
        reached="408; the connection ends",
    ),
    own(
        "body-timeout",
        in_milliseconds(100, 24 * _HOUR),
        "a request's body must be complete this long after its headers",
        reached="408; the connection ends",
    ),
    own(
        "idle-timeout",
        in_milliseconds(0, 24 * _HOUR),
        "time without a request after which a connection is closed; 0: never; "
        "an open watch is a request",
        reached="the connection is closed without an answer",
    ),
    own(
        "connections-max",
        Whole(1, 1_000_000),
        "client connections at one time",
        reached="503, too many connections; the connection ends",
    ),
    own(
        "pipelined-max",
        Whole(1, 10_000),
        "requests of one connection answered before others have their turn",
        reached="nothing: the rest is answered a turn later",
    ),
    own(
        "watchers-max",
        Whole(1, 10_000_000),
        "watchers at one time",
        reached="500 with code 300, etcdserver: too many watchers",
    ),
    own(
        "event-history",
        Whole(1, 10_000_000),
        "events kept for waitIndex, also over restarts; etcd keeps 1000",
        reached="a waitIndex of before: 400 with code 401, as etcd's",
    ),
    own(
        "stream-backlog-max",
        Whole(1, 1_000_000),
        "events that a stream's reader may be behind before it is cut",
        reached="the body ends; the client asks again with a waitIndex",
    ),
    own(
        "proposals-pending-max",
        Whole(1, 10_000_000),
        "writes waiting for their place in the log at one time",
        reached="500 with code 300, etcdserver: too many requests",
    ),
    own(
        "outbox-bytes-max",
        in_bytes(1 << 20, 16 * _GIBIBYTE),
        "writes that wait for a leader to take them, and at a proxy bodies that wait "
        "for an answer; beyond it they are refused",
        reached="500 with code 300, etcdserver: too many requests; of a proxy 503",
    ),
    own(
        "peer-queue-bytes-max",
        in_bytes(1 << 20, 16 * _GIBIBYTE),
        "messages waiting to be sent to one other member; more is dropped",
        reached="nothing: the members send again",
    ),
    own(
        "json-depth-max",
        Whole(4, 500),
        "levels of a JSON request body",
        reached="400 with a message",
    ),
    own(
        "auth-cache-max",
        Whole(1, 10_000_000),
        "credentials remembered as right, and as many as wrong",
        reached="nothing: what was not used for longest is checked again",
    ),
    own(
        "auth-checks-running-max",
        Whole(1, 1000),
        "password checks at one time, each on a processor",
        reached="nothing: they wait",
    ),
    own(
        "auth-checks-waiting-max",
        Whole(1, 1_000_000),
        "password checks that wait; who had a wrong one lately makes way first",
        reached="500, etcdserver: too many requests (keys: with code 300)",
    ),
    own(
        "join-as-voter",
        Boolean(),
        "a member added with this one's help votes at once, as in etcd; otherwise it "
        "learns first, and votes once it has caught up",
    ),
)
