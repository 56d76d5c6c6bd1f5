"""Every option that kvd acts on: etcd's here, kvd's own beside it."""

from __future__ import annotations

from typing import Final

from kvd.options.levels import PackageLevels
from kvd.options.option import Option, in_milliseconds, own
from kvd.options.own import OWN
from kvd.options.places import DiscoveryUrl, Domain, ProxyUrl, SrvSuffix
from kvd.options.tls import TLS
from kvd.options.values import (
    Boolean,
    Choice,
    MemberName,
    Members,
    Text,
    Urls,
    Whole,
    Words,
)

_COUNT_MAX: Final = 1_000_000_000
_HOUR: Final = 3_600_000

# In the order of the fields of Config, and of docs/configuration.rst.
OPTIONS: Final = (
    Option(
        "name",
        MemberName(),
        "this member's name, unique in its cluster",
        difference="No equals sign, comma or control character may be in it",
    ),
    Option(
        "data-dir",
        Text("FOLDER", empty=False),
        "where this member keeps its log, its snapshots and its identity",
        default="${name}.kvd",
        difference="Etcd's is ${name}.etcd: the files are others",
    ),
    Option(
        "wal-dir",
        Text("FOLDER"),
        "a separate folder for the log; empty: inside data-dir",
    ),
    Option(
        "snapshot-count",
        Whole(0, _COUNT_MAX, zero=100_000),
        "applied entries between two snapshots; 0: as many as by default",
    ),
    own(
        "snapshot-catchup-entries",
        Whole(0, _COUNT_MAX),
        "entries kept behind a snapshot for followers that are slow",
    ),
    Option(
        "heartbeat-interval",
        in_milliseconds(0, 60_000),
        "time between two heartbeats of a leader",
    ),
    Option(
        "election-timeout",
        in_milliseconds(0, _HOUR),
        "a follower that hears no leader for this to twice this long campaigns; "
        "at least five heartbeats, at most 50000",
    ),
    Option("max-snapshots", Whole(0, 10_000), "snapshot files kept; 0: all"),
    Option("max-wals", Whole(0, 10_000), "log segment files kept; 0: all"),
    Option(
        "listen-client-urls",
        Urls(bind=True, unix=True),
        "where clients are listened for: an address or localhost, or unix:///path",
        difference="Etcd knows no unix:///path, only unix://host:port",
    ),
    Option(
        "advertise-client-urls",
        Urls(unix=True),
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
        "new: found the cluster; existing: join one that runs",
    ),
    Option(
        "discovery",
        DiscoveryUrl(),
        "a token's URL of a discovery service, which tells the founders of each other",
        difference="No user and password may be in it",
    ),
    Option(
        "discovery-fallback",
        Choice(("exit", "proxy")),
        "what to do when others took all places of the discovery URL",
    ),
    Option(
        "discovery-proxy",
        ProxyUrl(),
        "an HTTP proxy on the way to the discovery service",
        difference="It takes no https discovery URL",
    ),
    Option(
        "discovery-srv",
        Domain(),
        "the domain whose SRV records name the founders",
    ),
    Option(
        "discovery-srv-name",
        SrvSuffix(),
        "the records are those of _etcd-server-NAME",
    ),
    Option(
        "cors",
        Words(),
        "origins allowed by CORS; *: all, empty: none",
        difference="Etcd 3.2 has none by default; 3.4 takes an empty one for all",
    ),
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
    Option("debug", Boolean(), "as log-level: debug, and goes before it"),
    Option(
        "log-package-levels",
        PackageLevels(),
        "other levels for some packages: etcd's names, or rooms of kvd such as http",
        difference="What cannot be understood is refused; etcd says so and goes on",
    ),
    Option(
        "logger",
        Choice(("capnslog", "zap"), unknown="unknown logger option"),
        "capnslog: lines of text, as twistd writes them; zap: a JSON object a line",
    ),
    Option(
        "log-outputs",
        Words(),
        "where lines go: default (as twistd's --logfile says), stdout, stderr, files",
        old_names=("log-output",),
        difference="Etcd takes more than one with zap only",
    ),
    Option(
        "force-new-cluster",
        Boolean(),
        "make a cluster of this member alone, of its own data or of a backup; for one "
        "start, when the other members are lost for good",
        difference="What is not known to be committed is kept; without data it is refused",
    ),
    Option(
        "listen-metrics-urls",
        Urls(bind=True, empty=True),
        "more places for /metrics, /health, /livez and /readyz, and nothing else",
        difference="Etcd has neither /livez nor /readyz",
    ),
    Option(
        "metrics",
        Choice(("basic", "extensive")),
        "etcd's extensive adds histograms of gRPC methods; here both are the same",
        difference="Etcd takes any other word for basic",
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
        difference="Etcd's default is false",
    ),
    Option(
        "proxy",
        Choice(("off", "readonly", "on")),
        "on: forward requests to the members of initial-cluster and be none of them; "
        "readonly: GET only",
        difference="What is forwarded, and how often, see the page on differences",
    ),
    Option(
        "proxy-failure-wait",
        in_milliseconds(0, 24 * _HOUR),
        "a member that did not answer a proxy is not asked again for this long",
    ),
    Option(
        "proxy-refresh-interval",
        in_milliseconds(100, 24 * _HOUR),
        "time between two questions of a proxy where the members are; a second while "
        "it knows none and this is at least 30000",
        difference="Etcd takes less than 100, too",
    ),
    Option(
        "proxy-dial-timeout",
        in_milliseconds(10, _HOUR),
        "a proxy's attempt to connect to a member is given up after this",
        difference="Etcd takes less than 10, too, and 0 for no time-out",
    ),
    Option(
        "proxy-write-timeout",
        in_milliseconds(0, 24 * _HOUR),
        "what a proxy sends must be acknowledged by the member's machine in this time; "
        "0: the system's, about a quarter of an hour",
    ),
    Option(
        "proxy-read-timeout",
        in_milliseconds(0, 24 * _HOUR),
        "a proxy gives a member up that sends nothing for this long, which ends quiet "
        "watches too; 0: never",
    ),
    Option(
        "bcrypt-cost",
        Whole(4, 31),
        "what a check of a new password costs: doubled with each step",
        difference="Etcd's v2 users always have 10",
    ),
    *TLS,
    *OWN,
)

BY_NAME: Final = {option.name: option for option in OPTIONS}
# An older name of etcd's -> today's.
OLD_NAMES: Final = {old: option.name for option in OPTIONS for old in option.old_names}
