"""
Commands that etcdctl has not: here stands how they are called.

What they do is imported when one of them is run, for it needs more than a plain command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvd.kvctl.command import Command
from kvd.kvctl.flags import Flag, Kind

if TYPE_CHECKING:
    from kvd.kvctl.context import Context


def _top(context: Context) -> int:
    from kvd.kvctl.top import run  # noqa: PLC0415

    return run(context)


def _check(context: Context) -> int:
    from kvd.kvctl.check.command import run  # noqa: PLC0415

    return run(context)


def _bench(context: Context) -> int:
    from kvd.kvctl.bench.command import run  # noqa: PLC0415

    return run(context)


def _export(context: Context) -> int:
    from kvd.kvctl.transfer.export_command import run  # noqa: PLC0415

    return run(context)


def _import(context: Context) -> int:
    from kvd.kvctl.transfer.import_command import run  # noqa: PLC0415

    return run(context)


def _completion(context: Context) -> int:
    from kvd.kvctl.completion import run  # noqa: PLC0415

    return run(context)


def _flag(
    name: str,
    explained: str,
    kind: Kind = Kind.SWITCH,
    default: str | float | None = None,
    placeholder: str = "value",
) -> Flag:
    return Flag((name,), explained, kind, default, placeholder, beyond=True)


COMMANDS: Final = (
    Command(
        "top",
        "show what the members do, again and again",
        _top,
        flags=(
            _flag("once", "show it once, as where there is no terminal"),
            _flag("interval", "between two looks", Kind.DURATION, 2.0, "duration"),
        ),
        beyond=True,
    ),
    Command(
        "check",
        "look for what is wrong with the cluster and around it",
        _check,
        flags=(
            _flag(
                "data-dir",
                "also try the disk under this folder, with a small file",
                Kind.TEXT,
                placeholder="folder",
            ),
            _flag(
                "config",
                "also check this configuration file of a member",
                Kind.TEXT,
                placeholder="file",
            ),
        ),
        about="Ends with 1 if there is a problem; warnings alone are 0.",
        beyond=True,
    ),
    Command(
        "bench",
        "put a load on the cluster and measure it",
        _bench,
        "[put|get|quorum-get|mixed]",
        (
            _flag("clients", "at the same time", Kind.NUMBER, 64, "number"),
            _flag("total", "requests in all", Kind.NUMBER, 10_000, "number"),
            _flag(
                "seconds",
                "for so long, instead of --total",
                Kind.DURATION,
                None,
                "duration",
            ),
            _flag("size", "of a value", Kind.NUMBER, 256, "bytes"),
            _flag("keys", "different ones", Kind.NUMBER, 1_000, "number"),
        ),
        about="Other clients of the cluster wait meanwhile. Ends with 4 if a request "
        "failed.",
        beyond=True,
    ),
    Command(
        "export",
        "write a tree to a file",
        _export,
        "<file>|-",
        (
            _flag("prefix", "what to write", Kind.TEXT, "/", "key"),
            _flag("piecewise", "ask for one directory after the other"),
            _flag(
                "wait",
                "how long an answer may take",
                Kind.DURATION,
                600.0,
                "duration",
            ),
        ),
        about="All of it is of one moment, unless it is read piecewise. Hidden keys are "
        "left out.",
        beyond=True,
    ),
    Command(
        "import",
        "put the tree of such a file into the cluster",
        _import,
        "<file>|-",
        (
            _flag(
                "prefix", "where to put it, if not where it was", Kind.TEXT, "", "key"
            ),
            _flag("overwrite", "replace what is there with other content"),
            _flag("skip", "leave it as it is"),
            _flag("lossy", "also what may not be what was stored"),
            _flag("dry-run", "only tell what would be done"),
            _flag("jobs", "requests at the same time", Kind.NUMBER, 16, "number"),
        ),
        about="Without --overwrite and --skip it ends where something else is there.",
        beyond=True,
    ),
    Command(
        "completion",
        "print a script that completes words of kvctl in a shell",
        _completion,
        "bash|zsh|fish",
        beyond=True,
    ),
)
