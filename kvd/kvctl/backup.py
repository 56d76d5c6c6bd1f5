"""
``kvctl backup``: the same as ``kvd backup``, under etcdctl's name.

The one command that reads files and asks nobody; what reads them is loaded when it runs.
"""

from __future__ import annotations

from typing import Final

from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.flags import Flag, Kind

_FOLDERS: Final = (
    Flag(("data-dir",), "the member's data folder; it may be running", Kind.TEXT),
    Flag(("wal-dir",), "the member's log, if it has a wal-dir of its own", Kind.TEXT),
    Flag(("backup-dir",), "a folder that does not exist yet or is empty", Kind.TEXT),
    Flag(("backup-wal-dir",), "a separate folder for the backup's log", Kind.TEXT),
)
_WITH_V3: Final = Flag(
    ("with-v3",), "taken for etcdctl's sake: there is no v3 data yet"
)


def _run(context: Context) -> int:
    from kvd import backup  # noqa: PLC0415 -- it needs much that no other command does

    folders = [(flag.name, context.text(flag.name)) for flag in _FOLDERS]
    arguments = [f"--{name}={folder}" for name, folder in folders if folder]
    if context.on(_WITH_V3.name):
        arguments.append(f"--{_WITH_V3.name}")
    return backup.main(
        arguments, out=context.streams.out.write, err=context.streams.err.write
    )


COMMANDS: Final = (
    Command(
        "backup",
        "copy the data of a member of kvd's",
        _run,
        flags=(*_FOLDERS, _WITH_V3),
    ),
)
