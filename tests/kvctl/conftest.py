"""kvctl in-process, with a wire of the test's own or a real one."""

from __future__ import annotations

import io
from typing import NamedTuple

import pytest

from kvd.kvctl import program
from kvd.kvctl.streams import Streams


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def typed(*words: str, stdin: bytes = b"", environ: dict[str, str] | None = None):
    """What came of a command line."""
    streams = Streams(io.BytesIO(stdin), io.StringIO(), io.StringIO())
    status = program.run(words, environ or {}, streams)
    return Ended(status, streams.out.getvalue(), streams.err.getvalue())


@pytest.fixture
def kvctl():
    return typed
