"""Programs that somebody types commands with: etcd's ``etcdctl``, and ``kvctl``."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pytest

from kvd.kvctl import program
from kvd.kvctl.streams import ERRORS, Streams
from kvd.testing.servers import missing_tools

COMMAND_SECONDS = 60
# A machine with other things to do may take long for what is asked.
PATIENTLY = ("--timeout", "20s", "--total-timeout", "50s")
_STTY = re.compile(r"^stty: .*\n", re.MULTILINE)


class Said(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


Program = Callable[[Sequence[str], bytes, Mapping[str, str]], Said]


def etcdctl(words: Sequence[str], stdin: bytes, environ: Mapping[str, str]) -> Said:
    """
    As a process, without what ``stty`` complains of when there is no terminal.

    :param environ: by the names behind ``ETCDCTL_``.
    """
    done = subprocess.run(
        ["etcdctl", *words],
        env={"PATH": os.environ["PATH"], "ETCDCTL_API": "2"}
        | {f"ETCDCTL_{name}": text for name, text in environ.items()},
        input=stdin,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    err = _STTY.sub("", _text(done.stderr))
    return Said(done.returncode, _text(done.stdout), err)


def kvctl(words: Sequence[str], stdin: bytes, environ: Mapping[str, str]) -> Said:
    """In this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", ERRORS) for _ in "oe")
    status = program.run(
        words,
        {f"ETCDCTL_{name}": text for name, text in environ.items()},
        Streams(io.BytesIO(stdin), out, err),
    )
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(_text(stream.buffer.getvalue()))
    return Said(status, *texts)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


PROGRAMS: dict[str, Program] = {"etcdctl": etcdctl, "kvctl": kvctl}


def require_etcdctl() -> None:
    """Skip without it, unless this is CI: there it is an error."""
    missing = missing_tools("etcdctl")
    if missing and os.environ.get("CI") != "true":
        pytest.skip("no etcdctl (Debian: etcd-client)")
    assert not missing
