"""Levels of log lines for single packages, as etcd writes them."""

from __future__ import annotations

import re
from typing import Final

import attrs

_PACKAGE: Final = re.compile(r"\*|[A-Za-z0-9_][A-Za-z0-9_./-]*", re.ASCII)

# The words of log-level, and those of etcd's older logger with their short forms.
_WORDS: Final = {
    "debug": "debug",
    "info": "info",
    "warn": "warn",
    "error": "error",
    "panic": "fatal",
    "fatal": "fatal",
    "critical": "fatal",
    "warning": "warn",
    "notice": "info",
    "trace": "debug",
    "c": "fatal",
    "e": "error",
    "w": "warn",
    "n": "info",
    "i": "info",
    "d": "debug",
    "t": "debug",
}


@attrs.frozen
class PackageLevels:
    """``package=LEVEL,package2=LEVEL``; the package ``*`` is every one."""

    metavar: str = "PACKAGE=LEVEL,..."

    def read(self, text: str) -> tuple[tuple[str, str], ...]:
        levels: dict[str, str] = {}
        for piece in filter(None, map(str.strip, text.split(","))):
            package, equals, word = piece.partition("=")
            level = _WORDS.get(word.strip().lower())
            if not equals or level is None or not _PACKAGE.fullmatch(package.strip()):
                raise ValueError(
                    "expected package=LEVEL pairs, the levels being CRITICAL, ERROR, "
                    f"WARNING, NOTICE, INFO, DEBUG and TRACE, not {piece!r}"
                )
            levels[package.strip()] = level
        return tuple(levels.items())

    def show(self, value: object) -> str:
        if not isinstance(value, tuple):
            raise TypeError(value)
        return ",".join(f"{package}={level}" for package, level in value)
