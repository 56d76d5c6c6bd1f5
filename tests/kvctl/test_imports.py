"""A command in a shell's loop starts fast: what it imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each takes about as long to import as all that a plain command needs.
HEAVY = [
    "attr",
    "twisted",
    "treq",
    "rich",
    "klein",
    "OpenSSL",
    "cryptography",
    "asyncio",
]
PROGRAM = f"""
import io, sys
from kvd.kvctl import program
from kvd.kvctl.streams import Streams

program.run(
    sys.argv[1:], {{}}, Streams(io.BytesIO(), io.StringIO(), io.StringIO())
)
print(*(name for name in {HEAVY} if name in sys.modules))
"""


@pytest.mark.parametrize(
    "line",
    [
        "--no-sync get",  # up to where it would ask
        "--no-sync set /a",
        "--no-sync --endpoints http://127.0.0.1:2379/path,https://[::1]:1 rm",
        "--no-sync --ca-file /none watch",
        "--no-sync member add",
        "--no-sync user add",
        "--no-sync role grant",
        "help",
        "zz",
    ],
)
def test_plain_commands_import_no_more_than_the_standard_library(line):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *line.split()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


def test_the_list_is_of_modules_that_there_are():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import importlib as i\nfor m in {HEAVY}: i.import_module(m)",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
