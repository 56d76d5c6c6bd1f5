"""
The table of all commands; parsing, help and completion are made from it.

A module of commands exports ``COMMANDS``; here stands the order in which help lists them.
"""

from __future__ import annotations

from typing import Final

from kvd.kvctl import (
    authority,
    backup,
    beyond,
    health,
    members,
    reading,
    roles,
    users,
    watching,
    writing,
)
from kvd.kvctl.command import Command
from kvd.kvctl.flags import Flag, Kind

ANSWER_BYTES_MAX: Final = 1 << 30

GLOBAL_FLAGS: Final = (
    Flag(("debug",), "tell on standard error what is asked, as curl's command lines"),
    Flag(("no-sync",), "ask the given endpoints, not the ones that members publish"),
    Flag(
        ("output", "o"),
        "how results are shown: simple, extended or json",
        Kind.TEXT,
        "simple",
        "format",
    ),
    Flag(
        ("discovery-srv", "D"),
        "take the endpoints from this domain's SRV records",
        Kind.TEXT,
        placeholder="domain",
    ),
    Flag(("insecure-discovery",), "also take records of endpoints without TLS"),
    Flag(("peers", "C"), "an old name of --endpoints", Kind.TEXT, placeholder="urls"),
    Flag(("endpoint",), "an old name of --endpoints", Kind.TEXT, placeholder="urls"),
    Flag(
        ("endpoints",),
        "client URLs of members, with commas between them "
        "(default: http://127.0.0.1:2379,http://127.0.0.1:4001)",
        Kind.TEXT,
        placeholder="urls",
    ),
    Flag(("cert-file",), "this client's certificate", Kind.TEXT, placeholder="file"),
    Flag(("key-file",), "the certificate's key", Kind.TEXT, placeholder="file"),
    Flag(
        ("ca-file",),
        "certificates of the authorities that servers' ones must come from",
        Kind.TEXT,
        placeholder="file",
    ),
    Flag(
        ("username", "u"),
        "who asks; without a password it is asked for",
        Kind.TEXT,
        placeholder="name[:password]",
    ),
    Flag(
        ("timeout",),
        "how long an endpoint may take to answer",
        Kind.DURATION,
        2.0,
        "duration",
    ),
    Flag(
        ("total-timeout",),
        "how long a command may take, other than a watch",
        Kind.DURATION,
        5.0,
        "duration",
    ),
    Flag(
        ("answer-bytes-max",),
        "the longest answer that is taken",
        Kind.NUMBER,
        ANSWER_BYTES_MAX,
        "bytes",
        beyond=True,
    ),
)
HELP_FLAG: Final = Flag(("help", "h"), "show this")
VERSION_FLAG: Final = Flag(("version", "v"), "show the version")
HELP: Final = Command(
    "help",
    "list all commands, or explain one",
    arguments="[command]",
    aliases=("h",),
)

_ORDER: Final = [
    "backup",
    "cluster-health",
    "mk",
    "mkdir",
    "rm",
    "rmdir",
    "get",
    "ls",
    "set",
    "setdir",
    "update",
    "updatedir",
    "watch",
    "exec-watch",
    "member",
    "user",
    "role",
    "auth",
]
"""etcdctl's commands as its help lists them; others follow."""


def _in_order() -> list[Command]:
    commands = [
        *backup.COMMANDS,
        *health.COMMANDS,
        *reading.COMMANDS,
        *writing.COMMANDS,
        *watching.COMMANDS,
        *members.COMMANDS,
        *users.COMMANDS,
        *roles.COMMANDS,
        *authority.COMMANDS,
        *beyond.COMMANDS,
    ]
    places = {name: place for place, name in enumerate(_ORDER)}
    return sorted(commands, key=lambda each: places.get(each.name, len(_ORDER)))


PROGRAM: Final = Command(
    "kvctl",
    "a command line for kvd, and for etcd's v2 API",
    flags=(*GLOBAL_FLAGS, HELP_FLAG, VERSION_FLAG),
    subcommands=(*_in_order(), HELP),
)
