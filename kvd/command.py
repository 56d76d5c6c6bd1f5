"""
The console script ``kvd``: the same as ``twistd -n kvd``, without a PID file.

``twistd`` writes ``twistd.pid`` into the current folder, where a second member would
find it and refuse to start. ``kvd backup`` is another program, and starts no member.
"""

from __future__ import annotations

import sys

from twisted.scripts.twistd import run

from kvd import backup


def main() -> None:
    """Run a member in the foreground with the options of this process, or a backup."""
    if sys.argv[1:2] == ["backup"]:
        raise SystemExit(backup.main(sys.argv[2:]))
    sys.argv[1:] = ["--nodaemon", "--pidfile=", "kvd", *sys.argv[1:]]
    run()  # type: ignore[no-untyped-call]  # Twisted's
