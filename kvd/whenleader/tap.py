"""The options of ``twistd kvd-when-leader``, and the service made from them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import NoReturn

from twisted.application.service import IService, IServiceMaker
from twisted.plugin import getPlugins
from twisted.python import usage

from kvd.client import TLS, Client
from kvd.client.endpoints import Endpoints
from kvd.client.tls import Policy
from kvd.monotonic import use_monotonic_clock
from kvd.whenleader.settings import Settings
from kvd.whenleader.what import What, what_of

_PROGRAM = "kvd-when-leader"
_PASSWORD_BYTES_MAX = 4096
_EXIT_BAD_USAGE = 2
SYNC_SECONDS = 60.0
"""After which the members are asked for again: they may have moved."""


class Options(usage.Options):
    """
    What an election needs, and after ``--`` what is run by whoever wins it.

    :ivar settings: once :meth:`parseOptions` has returned.
    :ivar what: the same.
    """

    synopsis = "--election PATH [options] -- PLUGIN [its options] | FILE.tac"
    longdesc = (
        "Runs a service in one of many processes, the elected leader: a plugin of twistd, "
        "or the application of a .tac or .py file. It is started when this process has "
        "won the election, and stopped before another one can win it."
    )
    optParameters: Sequence[Sequence[object]] = [
        [
            "endpoints",
            "e",
            "http://127.0.0.1:2379",
            "the cluster's client URLs, by commas",
        ],
        [
            "election",
            None,
            None,
            "a directory of the election's own, such as /elections/x",
        ],
        ["name", None, None, "what the others are told [host and process id]"],
        ["ttl", None, "30", "seconds until a leader that is gone is replaced"],
        ["margin", None, None, "of these, seconds for a lost leader to stop [a fifth]"],
        ["ca-file", None, "", "certificates to trust, for https"],
        ["cert-file", None, "", "the certificate to show"],
        ["key-file", None, "", "and its key"],
        ["username", "u", None, "who asks, while authentication is on"],
        ["password-file", None, None, "the first line is the user's password"],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.settings: Settings | None = None
        self.what: What | None = None
        self._words: tuple[str, ...] = ()

    def parseArgs(self, *words: str) -> None:
        """What is run; :meth:`parseOptions` looks at it."""
        self._words = words

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse, and check everything.

        A mistake ends the process with one line on standard error: twistd would print
        all its own options before it.
        """
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]  # Twisted's
            self.settings = self._settings()
            self.what = what_of(
                self._words, makers=getPlugins(IServiceMaker), parent=self.parent
            )
        except usage.UsageError as problem:
            _end(str(problem))

    def _settings(self) -> Settings:
        """:raises usage.UsageError:"""
        election: str | None = self["election"]
        if not election or not election.strip("/"):
            raise usage.UsageError("--election: say where, such as /elections/x")
        for name in ("election", "name", "username"):
            try:
                (self[name] or "").encode()
            except UnicodeEncodeError:
                raise usage.UsageError(f"--{name}: it is no UTF-8") from None
        ttl = self._number("ttl")
        margin_seconds = ttl / 5 if self["margin"] is None else self._number("margin")
        settings = Settings(
            endpoints=tuple(each for each in self["endpoints"].split(",") if each),
            election=election,
            name=self["name"] or "",
            ttl=int(ttl),
            margin_seconds=margin_seconds,
            tls=self._tls(),
            auth=self._auth(),
        )
        try:
            Endpoints(settings.endpoints, settings.limits)
            Policy(settings.tls or TLS())
        except ValueError as problem:
            raise usage.UsageError(str(problem)) from None
        if ttl != settings.ttl or not 0 < margin_seconds <= ttl / 2:
            raise usage.UsageError(
                "--ttl is whole seconds, at least 1, and --margin more than nothing and "
                "at most half of that"
            )
        return settings

    def _number(self, name: str) -> float:
        try:
            number = float(self[name])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise usage.UsageError(f"--{name}: {self[name]!r} is no number")
        return number

    def _tls(self) -> TLS | None:
        names = {
            name: self[name.replace("_", "-")]
            for name in ("ca_file", "cert_file", "key_file")
        }
        try:
            return TLS.from_files(**names) if any(names.values()) else None
        except OSError as problem:
            raise usage.UsageError(f"{problem.filename}: {problem.strerror}") from None

    def _auth(self) -> tuple[str, str] | None:
        user, path = self["username"], self["password-file"]
        if user is None and path is None:
            return None
        if not user or not path:
            raise usage.UsageError("--username and --password-file go together")
        try:
            with open(path, "rb") as file:
                first = file.readline(_PASSWORD_BYTES_MAX)
            return user, first.decode("utf-8").rstrip("\r\n")
        except OSError as problem:
            raise usage.UsageError(f"{path}: {problem.strerror}") from None
        except UnicodeDecodeError:
            raise usage.UsageError(f"{path}: it is no UTF-8") from None


def makeService(options: Options) -> IService:
    """Not started; what is run is made when it is."""
    from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses it before

    from kvd.whenleader.guard import Alarm  # noqa: PLC0415 -- the same
    from kvd.whenleader.service import WhenLeader  # noqa: PLC0415 -- the same

    settings, what = options.settings, options.what
    if settings is None or what is None:
        raise usage.UsageError("no options were parsed")
    # How long a leadership lasts must not depend on who sets the clock.
    use_monotonic_clock(reactor)
    client = Client(
        reactor,
        settings.endpoints,
        tls=settings.tls,
        auth=settings.auth,
        limits=settings.limits,
        sync_seconds=SYNC_SECONDS,
    )
    return WhenLeader(
        reactor=reactor, client=client, settings=settings, what=what, guard=Alarm()
    )


def _end(problem: str) -> NoReturn:
    sys.stderr.write(f"{_PROGRAM}: {problem}\n")
    raise SystemExit(_EXIT_BAD_USAGE)
