"""A command that is run without a network: a test gives the answers."""

from __future__ import annotations

import io
import json
import shlex
from typing import NamedTuple

from kvd.kvctl.cluster import Cluster
from kvd.kvctl.context import Context
from kvd.kvctl.endpoint import endpoint_of
from kvd.kvctl.errors import Failed
from kvd.kvctl.flags import parse, reordered
from kvd.kvctl.streams import Streams
from kvd.kvctl.table import GLOBAL_FLAGS, PROGRAM
from kvd.kvctl.wire import Answer

URL = "http://m1:2379"


class Ended(NamedTuple):
    """
    What came of a command.

    :ivar asked: method, target and body of each request.
    :ivar hint: what a terminal would see besides.
    """

    status: int
    out: str
    err: str
    asked: list[tuple[str, str, str]]
    hint: str


class Wire:
    """
    In place of the real one.

    :param answers: to one request after the other: a document or bytes with status 200,
        a status with either, or an exception.
    """

    def __init__(self, answers):
        self.answers = list(answers)
        self.asked = []
        self.endpoints = []
        self.anonymous = []

    def ask(self, endpoint, request, deadline):
        self.endpoints.append(endpoint.url)
        self.anonymous.append(request.anonymous)
        body = (request.body or b"").decode()
        self.asked.append((request.method, request.target, body))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        status, document = answer if isinstance(answer, tuple) else (200, answer)
        if not isinstance(document, bytes):
            document = json.dumps(document).encode()
        return Answer(endpoint.url, status, {}, document)


class _Context(Context):
    """With a cluster of one endpoint, behind the wire of the test."""

    wire: Wire

    def connect(self, *, sync=True):
        return Cluster(
            [endpoint_of(URL)],
            self.wire,
            total_seconds=5.0,
            shuffle=lambda given: given,
        )


def context_of(line: str, *answers, stdin: bytes = b"") -> Context:
    """What a command runs with; flags stand behind the command's words."""
    path, words = [PROGRAM], shlex.split(line)
    while path[-1].subcommands:
        word = words.pop(0)
        path.extend(each for each in path[-1].subcommands if each.named(word))
    values = {flag.name: flag.unset for flag in GLOBAL_FLAGS}
    parsed = parse(path[-1].flags, reordered(path[-1].flags, words))
    context = _Context(
        path=path,
        args=parsed.words,
        values=values | parsed.values,
        streams=Streams(io.BytesIO(stdin), io.StringIO(), io.StringIO()),
        environ={},
    )
    context.wire = Wire(answers)
    return context


def ended(context: Context, run=None, **others) -> Ended:
    """Run the context's command, or another function in its place."""
    run = run or context.path[-1].run
    try:
        status, said, hint = run(context, **others), "", ""
    except Failed as failure:
        status, said, hint = failure.status, f"{failure.text}\n", failure.hint
    out, err = (each.getvalue() for each in context.streams[1:])
    assert not context.wire.answers, "nobody asked for the rest"
    return Ended(status, out, err + said, context.wire.asked, hint)


def run(line: str, *answers, stdin: bytes = b"") -> Ended:
    return ended(context_of(line, *answers, stdin=stdin))
