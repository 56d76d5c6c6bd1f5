"""``kvd backup``: a copy of a member's data, taken while it is at work or at rest."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NoReturn

from kvd.errors import StorageError
from kvd.storage.backup import UNFINISHED, BackedUp, back_up
from kvd.storage.data_dir import Identity, StorageSettings
from kvd.storage.disk import Disk, RealDisk

_FLAGS: Final = {
    "data-dir": "the data folder of the member, which may be running",
    "backup-dir": "a folder for the backup, which does not exist yet or is empty",
    "wal-dir": "the member's log, if it has a wal-dir of its own",
    "backup-wal-dir": "a separate folder for the backup's log; empty: in backup-dir",
}
_REQUIRED: Final = ("data-dir", "backup-dir")
_WITH_V3: Final = "with-v3"
_USAGE: Final = "Usage: kvd backup --data-dir FOLDER --backup-dir FOLDER [options]"
_ABOUT: Final = (
    "Copies the newest snapshot and the log behind it, without disturbing the member. "
    "The copy belongs to a member and a cluster of its own: start it with "
    "--force-new-cluster."
)

Write = Callable[[str], object]


def main(
    arguments: Sequence[str],
    *,
    disk: Disk | None = None,
    out: Write | None = None,
    err: Write | None = None,
) -> int:
    """The exit status: 0, or 1 after a line for each problem."""
    out = out or sys.stdout.write
    err = err or sys.stderr.write
    problems: list[str] = []
    flags = parse(arguments, problems)
    if "help" in flags:
        out(help_text())
        return 0
    problems.extend(_folder_problems(flags, problems))
    if problems:
        return _failed(problems, err)
    if flags.get(_WITH_V3, "false") != "false":
        err(
            "kvd: with-v3: there is no v3 data yet; all there is will be in the backup\n"
        )
    member = _settings(flags, "data-dir", "wal-dir")
    backup = _settings(flags, "backup-dir", "backup-wal-dir")
    steps = back_up(
        disk or RealDisk(),
        member=member,
        backup=backup,
        identity=Identity(_new_id(), _new_id()),
        pause=time.sleep,
    )
    # What is unfinished is removed then, too.
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        while True:
            err(f"kvd: {next(steps)}\n")
    except StopIteration as end:
        done: BackedUp = end.value
    except StorageError as error:
        return _failed([explain(error, member, backup)], err)
    except KeyboardInterrupt:
        return _failed(["interrupted; nothing was left behind"], err)
    finally:
        signal.signal(signal.SIGTERM, before)
    for note in done.notes:
        err(f"kvd: {note}\n")
    out(report(done, backup.data_folder))
    return 0


def parse(arguments: Sequence[str], problems: list[str]) -> dict[str, str]:
    """
    Name and text of each flag, one or two dashes, ``=`` or the next argument, as
    etcdctl takes them; what is wrong becomes a problem in its words.
    """
    flags: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name = argument.removeprefix("-").removeprefix("-")
        if name == argument or not name:
            problems.append(f"'{argument}' is not a valid flag")
            continue
        name, equals, text = name.partition("=")
        if name in {"h", "help"}:
            return {"help": "true"}
        if name not in {*_FLAGS, _WITH_V3}:
            problems.append(
                f"flag provided but not defined: -{name} (kvd backup --help lists all)"
            )
            break  # what follows may be its value
        if name == _WITH_V3:
            text = text if equals else "true"
        elif not equals:
            if not rest:
                problems.append(f"flag needs an argument: -{name}")
                break
            text = rest.pop(0)
        flags[name] = text
    return flags


def _folder_problems(flags: dict[str, str], found: Sequence[str]) -> list[str]:
    """What can be said of the folders before anything is read."""
    problems = []
    if not found:
        problems += [
            f"{name}: expected {_FLAGS[name]} (--{name} FOLDER)"
            for name in _REQUIRED
            if not flags.get(name)
        ]
    kept = [
        (name, os.path.realpath(flags[name]))
        for name in ("data-dir", "wal-dir")
        if flags.get(name)
    ]
    targets: list[tuple[str, str]] = []
    for name in ("backup-dir", "backup-wal-dir"):
        path = os.path.abspath(flags.get(name) or os.curdir)
        if not flags.get(name):
            continue
        for each in (path, path + UNFINISHED):
            if os.path.islink(each):
                problems.append(
                    f"{name}: {each} is a symbolic link, expected a folder that does "
                    "not exist yet"
                )
        path = os.path.realpath(path)
        problems += [
            f"{name}: {path} lies in {other}, expected a place outside"
            for other, folder in [*kept, *targets]
            if os.path.commonpath([path, folder]) == folder
        ]
        targets.append((name, path))
    return problems


def explain(
    error: StorageError, member: StorageSettings, backup: StorageSettings
) -> str:
    """The option, and the error that names file and offset."""
    folders = [
        (member.data_folder, "data-dir"),
        (member.wal_folder, "wal-dir"),
        (backup.data_folder, "backup-dir"),
        (backup.wal_folder, "backup-wal-dir"),
    ]
    # The longest first, should one of them lie in another.
    for folder, option in sorted(folders, key=lambda each: len(each[0]), reverse=True):
        if folder and error.path.startswith(folder):
            line = f"{option}: {error}"
            break
    else:
        line = str(error)
    inside = f"{member.data_folder}/member/wal"
    if not member.wal_folder and error.path == inside:
        line += "; if the member has a wal-dir, name it with --wal-dir"
    if error.path == member.data_folder and error.offset < 0:
        line += "; expected a folder with a member's log in it"
    if error.offset >= 0:
        line += "; make the backup of another member, this one has to be replaced"
    if error.path in {backup.data_folder, backup.wal_folder}:
        line += "; expected a folder that is empty, or does not exist yet"
    return line


def report(done: BackedUp, folder: str) -> str:
    """What there is to know of a finished backup, one thing a line."""
    whose = f"{done.member.member_id:x} of cluster {done.member.cluster_id:x}"
    snapshot = "no snapshot"
    if done.snapshot_index:
        snapshot = (
            f"snapshot at index {done.snapshot_index}, {done.snapshot_bytes} bytes"
        )
    log = (
        f"{done.entries} log entries, {done.entries_bytes} bytes, up to index "
        f"{done.last_index} of term {done.last_term}"
    )
    return (
        f"backup of member {whose} in {folder}\n"
        f"{snapshot}\n{log}\nsha256 {done.checksum}\n"
        f"start it with: kvd --force-new-cluster --data-dir {folder}\n"
    )


def help_text() -> str:
    lines = [_USAGE, "", *textwrap.wrap(_ABOUT, 78), "", "Options:"]
    for name, meaning in _FLAGS.items():
        lines += [f"  --{name} FOLDER", f"        {meaning}"]
    lines += [
        f"  --{_WITH_V3}",
        "        taken for etcdctl's sake: there is no v3 data yet",
        "  --help",
        "        print this and exit",
    ]
    return "\n".join(lines) + "\n"


def _settings(flags: dict[str, str], data: str, wal: str) -> StorageSettings:
    folder = flags.get(wal, "")
    return StorageSettings(
        data_folder=os.path.abspath(flags[data]),
        wal_folder=os.path.abspath(folder) if folder else "",
    )


def _new_id() -> int:
    """At random, and not 0, which is nobody."""
    return secrets.randbelow((1 << 64) - 1) + 1


def _failed(problems: Sequence[str], err: Write) -> int:
    for line in problems:
        err(f"kvd: {line}\n")
    return 1


def _terminated(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 -- what signal gives
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
