"""``kvctl import``: a file of an export into a cluster."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from kvd.kvctl.cluster import Cluster
from kvd.kvctl.connecting import connect, settings
from kvd.kvctl.endpoint import endpoint_of
from kvd.kvctl.errors import (
    BAD_ARGUMENTS,
    SERVER_ERROR,
    ClusterError,
    Failed,
    failed,
)
from kvd.kvctl.progress import bar
from kvd.kvctl.transfer.export_command import prefix_of
from kvd.kvctl.transfer.importing import Importing, Progress, Stopped
from kvd.kvctl.transfer.putting import Ask, Outcome, Policy, Putting
from kvd.kvctl.transfer.reading import BrokenFile, Checked, check, records
from kvd.kvctl.tree import printable
from kvd.kvctl.wire import FORM, Answer, Settings, Wire

if TYPE_CHECKING:
    from kvd.kvctl.context import Context

JOBS: Final = (1, 256)
NOT_ALL: Final = 1


def run(context: Context, ask: Ask | None = None) -> int:
    """
    0, or 1 if a record is not in the cluster as the file has it.

    :param ask: asks the cluster, from whichever thread; None: as the flags say.
    """
    policy = _policy(context)
    with _file(context) as file:
        try:
            checked = check(file)
        except BrokenFile as broken:
            lines = "\n".join(
                f"{context.args[0]}: {printable(each)}" for each in broken.problems
            )
            raise Failed(
                BAD_ARGUMENTS, f"{lines}\nkvctl: nothing was imported"
            ) from None
        return _import(context, file, checked, policy, ask)


def _import(
    context: Context,
    file: BinaryIO,
    checked: Checked,
    policy: Policy,
    ask: Ask | None,
) -> int:
    source = checked.header.prefix
    given = context.text("prefix")
    if ask is None:
        asked = settings(context)
        clusters = _Clusters(context, connect(context, sync=True, asked=asked), asked)
        context.when_done(clusters.close)
        ask = clusters.ask
    putting = Putting(
        ask,
        source=source,
        destination=prefix_of(given) if given else source,
        policy=policy,
        lossy=context.on("lossy"),
        dry=context.on("dry-run"),
    )
    jobs = context.number("jobs")
    with (
        ThreadPoolExecutor(jobs, thread_name_prefix="kvctl") as executor,
        bar(context, "import", checked.count) as advance,
    ):
        importing = Importing(
            putting,
            executor,
            jobs=jobs,
            stop_at_conflict=policy is Policy.FAIL and not context.on("dry-run"),
            done=lambda progress: advance(progress.done),
        )
        try:
            importing.run(records(file))
        except (Stopped, ClusterError, BrokenFile, KeyboardInterrupt) as end:
            stopped: BaseException | None = end
        else:
            stopped = None
    return _report(context, importing.progress, checked, stopped)


def _report(
    context: Context,
    progress: Progress,
    checked: Checked,
    stopped: BaseException | None,
) -> int:
    """
    Tell what was done, and how far it came.

    :raises Failed: it did not come to its end because of the cluster.
    :raises KeyboardInterrupt: or because of who started it.
    """
    would = "would be " if context.on("dry-run") else ""
    counts = ", ".join(
        f"{progress.counts[each]} {would}{each.value}"
        for each in Outcome
        if progress.counts[each]
    )
    context.say(f"{counts or 'nothing done'}; {checked.count} in the file")
    for note in progress.notes:
        context.warn(f"kvctl: {printable(note)}")
    if stopped is not None:
        context.warn(
            f"kvctl: it stopped; all lines up to {progress.line} are done, and the same "
            "command goes on behind them: what is there already is left as it is"
        )
        if isinstance(stopped, KeyboardInterrupt):
            raise stopped
        if isinstance(stopped, ClusterError):
            raise failed(SERVER_ERROR, stopped)
        is_refused = not progress.counts[Outcome.CONFLICT]
        status = SERVER_ERROR if is_refused else NOT_ALL
        raise Failed(status, f"kvctl: {printable(str(stopped))}")
    missing = progress.counts[Outcome.CONFLICT] + progress.counts[Outcome.LEFT_OUT]
    return NOT_ALL if missing else 0


def _policy(context: Context) -> Policy:
    """
    What the flags say, after all of them were looked at.

    :raises Failed: they cannot be meant.
    """
    if len(context.args) != 1:
        raise Failed(
            BAD_ARGUMENTS, "import: expected one file, or - for standard input"
        )
    if not JOBS[0] <= context.number("jobs") <= JOBS[1]:
        raise Failed(BAD_ARGUMENTS, f"import: --jobs is from {JOBS[0]} to {JOBS[1]}")
    if context.on("overwrite") and context.on("skip"):
        raise Failed(BAD_ARGUMENTS, "import: either --overwrite or --skip")
    if context.on("overwrite"):
        return Policy.OVERWRITE
    return Policy.SKIP if context.on("skip") else Policy.FAIL


@contextmanager
def _file(context: Context) -> Iterator[BinaryIO]:
    """
    The file, which is read twice; what cannot be is kept in one for that.

    :raises Failed: it cannot be opened.
    """
    path = context.args[0]
    try:
        if path == "-":
            kept = _spooled(context.streams.stdin)
        else:
            kept = open(path, "rb")  # noqa: SIM115 -- closed below
            if not kept.seekable():
                with kept as pipe:
                    kept = _spooled(pipe)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Failed(BAD_ARGUMENTS, f"import: {path}: {why}") from None
    with kept:
        yield kept


def _spooled(source: BinaryIO) -> BinaryIO:
    """All of a stream that can be read but once, in a file without a name."""
    kept = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 -- by who uses it
    shutil.copyfileobj(source, kept)
    kept.seek(0)
    return kept


class _Clusters:
    """
    The cluster, asked by many threads, each on connections of its own.

    :param first: knows the endpoints.
    """

    def __init__(self, context: Context, first: Cluster, asked: Settings) -> None:
        self._endpoints = [endpoint_of(url) for url in first.endpoints]
        self._settings = asked
        self._total_seconds = context.timeouts.total_seconds
        self._of_thread = threading.local()
        self._wires: list[Wire] = []

    def close(self) -> None:
        """Drop all connections; for when no thread is at work any more."""
        for wire in self._wires:
            wire.close()

    def ask(self, method: str, where: str, form: bytes) -> Answer:
        """:raises ClusterError:"""
        cluster: Cluster | None = getattr(self._of_thread, "cluster", None)
        if cluster is None:
            wire = Wire(self._settings)
            self._wires.append(wire)
            cluster = self._of_thread.cluster = Cluster(
                self._endpoints,
                wire,
                total_seconds=self._total_seconds,
                shuffle=lambda given: random.sample(given, len(given)),
            )
        if method == "GET":
            return cluster.ask(method, where)
        # Sent again if an answer is lost: doing it twice is the same as doing it once.
        return cluster.ask(method, where, body=form, content_type=FORM)
