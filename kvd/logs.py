"""
Which log lines are written, where, and in which form.

::

    Logger -> Twisted's publisher -> the level of its package -> each output

"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, Final

import attrs
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    LogPublisher,
    formatEvent,
    formatTime,
    globalLogPublisher,
    textFileLogObserver,
)

import kvd
import twisted
from kvd.errors import ConfigError

_LEVELS: Final = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
    "panic": LogLevel.critical,
    "fatal": LogLevel.critical,
}
# Where the lines of etcd's packages come from here.
_ETCD_PACKAGES: Final = {
    "etcdmain": "kvd.service",
    "embed": "kvd.ports",
    "etcdserver": "kvd.node",
    "raft": "kvd.node",
    "rafthttp": "kvd.peer",
    "etcdhttp": "kvd.http",
    "wal": "kvd.storage",
    "snap": "kvd.storage",
    "httpproxy": "kvd.proxy",
}
_EVERY_PACKAGE: Final = "*"
_DEFAULT: Final = "default"
_STRUCTURED: Final = "zap"

_Level = Any  # constantly, from where log levels are, has no types


def _open_to_append(path: str) -> IO[str]:
    return open(path, "a", encoding="utf-8")


@attrs.frozen
class Outputs:
    """
    What lines can be written to; Twisted takes ``sys.stdout`` for itself.

    :ivar open: a file to append to.
    """

    streams: Mapping[str, IO[str] | None] = attrs.field(
        factory=lambda: {"stdout": sys.__stdout__, "stderr": sys.__stderr__}
    )
    open: Callable[[str], IO[str]] = _open_to_append


class Logs:
    """
    The log lines of the process.

    :param level: etcd's word for the least severe lines that are written.
    :param package_levels: other levels for some packages, ``*`` for all.
    :param form: ``zap`` for a JSON object a line, otherwise Twisted's text.
    :param outputs: each ``default`` (where ``twistd`` writes), ``stdout``, ``stderr`` or
        a file; ``default`` is standard error for JSON, as it is for etcd.
    """

    def __init__(
        self,
        *,
        level: str = "info",
        package_levels: Sequence[tuple[str, str]] = (),
        form: str = "capnslog",
        outputs: Sequence[str] = (_DEFAULT,),
        available: Outputs | None = None,
        publisher: LogPublisher = globalLogPublisher,
    ) -> None:
        self._structured = form == _STRUCTURED
        self._outputs = tuple(outputs) or (_DEFAULT,)
        self._available = available if available is not None else Outputs()
        self._publisher = publisher
        self._levels = LogLevelFilterPredicate(_LEVELS[level])
        for package, word in package_levels:
            self._set(package, _LEVELS[word])

    def begin(self) -> None:
        """
        From now on lines go where they should; until then they went where
        ``twistd`` had begun to write.

        :raises ConfigError: a file cannot be written; all is as before.
        """
        before = list(self._publisher._observers)  # noqa: SLF001 -- no public way
        keep = _DEFAULT in self._outputs and not self._structured
        observers = [*(before if keep else ()), *self._opened()]
        for observer in before:
            self._publisher.removeObserver(observer)
        for observer in observers:
            self._publisher.addObserver(FilteringLogObserver(observer, [self._levels]))

    def set_level(self, word: str) -> None:
        """The least severe lines that are written, but for packages with their own."""
        self._levels.setLogLevelForNamespace("", _LEVELS[word])

    def _set(self, package: str, level: _Level) -> None:
        if package == _EVERY_PACKAGE:
            name = ""
        elif package.partition(".")[0] in {"kvd", "twisted"}:
            name = package
        else:
            last = package.rpartition("/")[2]
            name = _ETCD_PACKAGES.get(last, f"kvd.{last}")
        self._levels.setLogLevelForNamespace(name, level)

    def _opened(self) -> list[ILogObserver]:
        observers: list[ILogObserver] = []
        problems = []
        for output in dict.fromkeys(self._outputs):
            name = "stderr" if output == _DEFAULT else output
            if output == _DEFAULT and not self._structured:
                continue
            try:
                file = self._available.streams.get(name) or self._available.open(name)
            except OSError as error:
                problems.append(
                    f"log-outputs: cannot write to {output}: {error.strerror or error}; "
                    "expected default, stdout, stderr or a file"
                )
                continue
            observers.append(
                FileLogObserver(file, structured)
                if self._structured
                else textFileLogObserver(file)
            )
        if problems:
            raise ConfigError(problems)
        return observers


def structured(event: LogEvent) -> str:
    """An event as a JSON object on a line, with zap's names."""
    fields = {
        "level": event["log_level"].name,
        "ts": formatTime(event.get("log_time")),
        "logger": event.get("log_namespace", ""),
        "msg": formatEvent(event),
    }
    failure = event.get("log_failure")
    if failure is not None:
        fields["stacktrace"] = failure.getTraceback()
    return json.dumps(fields) + "\n"


EMBEDDING: Final = "the program around it"
"""The source of a configuration that nobody has read from anywhere."""


def say_who(log: Logger, source: str, warnings: Sequence[str]) -> None:
    """
    The first lines of a member's or a proxy's log.

    :param source: of the configuration; empty: no file.
    :param warnings: about the configuration.
    """
    log.info(
        "kvd {version} on Twisted {twisted}, Python {python}; configuration from "
        "{source}",
        version=kvd.__version__,
        twisted=twisted.__version__,
        python=platform.python_version(),
        source=source or "flags, environment and defaults",
    )
    for line in warnings:
        log.warn("{line}", line=line)  # noqa: G010 -- Twisted's, not the standard one
