"""
``twistd kvd``: the command line, and a service made from it.

Parsing reads the configuration file and nothing else; files, ports and timers begin in
``startService``, because twistd forks in between.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Final, NoReturn

from twisted.application.service import IService
from twisted.python import usage

import kvd
import twisted
from kvd.errors import ConfigError
from kvd.logs import Logs
from kvd.options.document import BYTES_MAX
from kvd.options.load import FILE_FLAGS, Loaded, load, nearest
from kvd.options.table import OLD_NAMES, OPTIONS
from kvd.options.unhonoured import EXPERIMENTAL, UNHONOURED_BY_NAME
from kvd.unixsockets import say

_PROBLEMS_SHOWN_MAX: Final = 100
IDENTITY_FILE: Final = "member/identity"
PROXY_FOLDER: Final = "proxy"
_ANYWHERE: Final = ("203.0.113.1", 9)  # kept for documentation: in nobody's network
_EXIT_BAD_CONFIGURATION: Final = 1
_EXIT_BAD_USAGE: Final = 2
_BOOLEANS: Final = frozenset(
    {option.name for option in OPTIONS if option.boolean}
    | {option.name for option in UNHONOURED_BY_NAME.values() if option.boolean}
)
_NAMES: Final = frozenset(
    {option.name for option in OPTIONS} | set(OLD_NAMES) | set(FILE_FLAGS)
)


class NotAFlagError(usage.UsageError):
    """A word that belongs to no flag; etcd's exit status differs from other mistakes."""


class Options(usage.Options):
    """
    Every option of a member: ``--name value``, ``--name=value``, ``-name value``.

    :ivar loaded: the configuration, once :meth:`parseOptions` has returned.
    """

    longdesc = (
        "A key-value daemon for etcd v2 clients. Every option may also stand in the "
        "configuration file (name: value) or in the environment (KVD_NAME, or ETCD_NAME "
        "as for etcd). Flags go before the environment, it before the file."
    )
    optParameters: Sequence[Sequence[object]] = [
        ["config", "c", None, "read options from this YAML or JSON file"],
        ["config-file", None, None, "the same as --config"],
        *(
            [option.name, None, None, f"{option.meaning} [{option.default_text}]"]
            for option in OPTIONS
        ),
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.loaded: Loaded | None = None

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse, read the file, and check everything.

        Mistakes end the process with a line each on standard error: twistd would print
        all its own options before them.
        """
        given = sys.argv[1:] if options is None else options
        try:
            flags = split_flags(given)
            names = {name for name, _ in flags}
            if "help" in names:
                _say(str(self))
            if "version" in names:
                _say(version())
            self.loaded = load(
                flags=flags,
                environ=os.environ,
                read_file=_read_file,
                is_new=_is_new,
                is_proxy=_is_proxy,
                default_host=_default_host,
            )
        except NotAFlagError as error:
            _end([str(error)], _EXIT_BAD_CONFIGURATION)
        except usage.UsageError as error:
            _end([str(error)], _EXIT_BAD_USAGE)
        except ConfigError as error:
            status = _EXIT_BAD_USAGE if error.unread else _EXIT_BAD_CONFIGURATION
            _end(error.problems, status)

    def getSynopsis(self) -> str:
        return "Usage: kvd [options], or twistd [twistd's options] kvd [options]\n"

    def getUsage(self, width: int | None = None) -> str:
        columns = width or 80
        lines = [*textwrap.wrap(self.longdesc, columns - 2), "", "Options:"]

        def describe(flag: str, meaning: str) -> None:
            lines.append(f"  {flag}")
            lines.extend(
                " " * 8 + line for line in textwrap.wrap(meaning, columns - 10)
            )

        describe("--config FILE", "read options from this YAML or JSON file")
        for option in OPTIONS:
            value = f"[={option.kind.metavar}]" if option.boolean else ""
            value = value or f" {option.kind.metavar}"
            text = f"{option.meaning} [{option.default_text}]"
            describe(f"--{option.name}{value}", text)
        describe("--version", "print kvd's version and exit")
        describe("--help", "print this and exit")
        lines += ["", "kvd backup --help tells how to copy a member's data."]
        return "\n".join(lines) + "\n"


def split_flags(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """
    Name and text of each flag, by etcd's rules: one or two dashes, ``=`` or the next
    argument, and a boolean alone is true.

    :raises usage.UsageError: not a flag, not one that is known, or without a value.
    """
    flags = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name = argument.removeprefix("-").removeprefix("-")
        if name == argument or not name:
            raise NotAFlagError(f"'{argument}' is not a valid flag")
        name, equals, text = name.partition("=")
        name = {"h": "help", "c": "config"}.get(name, name)
        if name not in _NAMES | {"help", "version"} | set(
            UNHONOURED_BY_NAME
        ) and not name.startswith(EXPERIMENTAL):
            near = nearest(name)
            hint = f", did you mean --{near}?" if near else ""
            raise usage.UsageError(
                f"flag provided but not defined: -{name}{hint} (kvd --help lists all)"
            )
        if not equals and name in _BOOLEANS:
            text = "true"
        elif not equals and name not in {"help", "version"}:
            if not rest:
                raise usage.UsageError(f"flag needs an argument: -{name}")
            text = rest.pop(0)
        flags.append((name, text))
    return flags


def version() -> str:
    """Four lines, as etcd's; tools look for ``etcd Version``: what we answer as."""
    from kvd.http.status import SERVER_VERSION  # noqa: PLC0415 -- not at every start

    return (
        f"etcd Version: {SERVER_VERSION}\n"
        f"kvd Version: {kvd.__version__}\n"
        f"Twisted Version: {twisted.__version__}\n"
        f"Python Version: {platform.python_version()} "
        f"({sys.platform}/{platform.machine()})\n"
    )


def makeService(options: Options) -> IService:
    """The member or proxy, not started."""
    from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses it before

    from kvd.process import OwnProcess  # noqa: PLC0415 -- the same
    from kvd.role import Daemon  # noqa: PLC0415 -- the same
    from kvd.secured import handshakes_max  # noqa: PLC0415 -- the same

    if options.loaded is None:
        raise usage.UsageError("no options were parsed")
    loaded = options.loaded
    config = loaded.config
    supervisor = os.environ.get("NOTIFY_SOCKET")
    return Daemon(
        reactor=reactor,
        config=config,
        process=OwnProcess(
            reactor,
            logs=Logs(
                level="debug" if config.debug else config.log_level,
                package_levels=config.log_package_levels,
                form=config.logger,
                outputs=config.log_outputs,
            ),
            connections_max=config.connections_max,
            handshakes_max=handshakes_max(config),
            tell=partial(say, supervisor) if supervisor else None,
        ),
        warnings=loaded.warnings,
        source=loaded.file,
    )


def _say(text: str) -> NoReturn:
    sys.stdout.write(text)
    raise SystemExit(0)


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(BYTES_MAX + 1)


def _default_host() -> str:
    """The address of the default route; nothing is sent, a route is looked up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as looking:
        try:
            looking.connect(_ANYWHERE)
        except OSError:
            return ""
        return str(looking.getsockname()[0])


def _is_new(data_dir: str) -> bool:
    return not os.path.exists(os.path.join(data_dir, IDENTITY_FILE))


def _is_proxy(data_dir: str) -> bool:
    return os.path.exists(os.path.join(data_dir, PROXY_FOLDER))


def _end(problems: Sequence[str], status: int) -> NoReturn:
    for line in problems[:_PROBLEMS_SHOWN_MAX]:
        sys.stderr.write(f"kvd: {line}\n")
    if len(problems) > _PROBLEMS_SHOWN_MAX:
        more = len(problems) - _PROBLEMS_SHOWN_MAX
        sys.stderr.write(f"kvd: and {more} more\n")
    raise SystemExit(status)
