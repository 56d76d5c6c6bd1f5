"""``kvctl export``: a tree into a file, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from kvd.kvctl.errors import (
    BAD_ARGUMENTS,
    SERVER_ERROR,
    BadAnswer,
    ClusterError,
    Failed,
    KeysRefused,
    failed,
)
from kvd.kvctl.keys import target
from kvd.kvctl.node import Node, Response, response_of
from kvd.kvctl.progress import bar
from kvd.kvctl.transfer.records import End, Header, Record, encode
from kvd.kvctl.transfer.trees import of_tree, piecewise

if TYPE_CHECKING:
    from kvd.kvctl.context import Context

NOT_FOUND: Final = 100
_TELL_EVERY: Final = 1000  # records

Write = Callable[[bytes], object]


def run(context: Context) -> int:
    """Read, and then write; what could not be read right is told."""
    if len(context.args) != 1:
        raise Failed(
            BAD_ARGUMENTS, "export: expected one file, or - for standard output"
        )
    prefix = prefix_of(context.text("prefix"))
    in_pieces = context.on("piecewise")
    _ = context.cluster
    top = _read(context, prefix, recursive=not in_pieces)
    if in_pieces:
        records = piecewise(top.node, lambda key: _fetch(context, key))
    else:
        records = of_tree(top.node)
    header = Header(prefix=prefix, index=top.etcd_index, piecewise=in_pieces)
    path = context.args[0]
    with _written(context, path) as write:
        count, lossy = _write(context, write, header, records)
    context.warn(
        f"kvctl: {count} records of what is below {prefix} at index {top.etcd_index}"
    )
    if lossy:
        context.warn(
            f"kvctl: {lossy} of them are marked as lossy: the API shows U+FFFD in them, "
            "which may stand for bytes that are no UTF-8, and only a backup has those"
        )
    return 0


def prefix_of(text: str) -> str:
    """
    As a key is written: with a slash at its start and none at its end.

    :raises Failed: no key is written so.
    """
    names = text.strip("/").split("/")
    if names != [""] and any(name in {"", ".", ".."} for name in names):
        raise Failed(BAD_ARGUMENTS, f"--prefix: {text} has an empty name, or dots")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Failed(BAD_ARGUMENTS, "--prefix: expected UTF-8") from None
    return "/" + "/".join(names)


def _read(context: Context, key: str, *, recursive: bool) -> Response:
    """
    What is there now, as a majority agrees.

    :raises Failed:
    """
    query = {"quorum": "true", "sorted": "true"}
    if recursive:
        query["recursive"] = "true"
    deadline = time.monotonic() + context.seconds("wait")
    try:
        answer = context.cluster.ask(
            "GET", target(key, query), patient=True, deadline=deadline
        )
        return response_of(answer)
    except BadAnswer as error:
        raise Failed(
            SERVER_ERROR, f"{error}\nkvctl: --piecewise asks for less at a time"
        ) from None
    except (ClusterError, KeysRefused) as error:
        raise failed(SERVER_ERROR, error) from error


def _fetch(context: Context, key: str) -> Node | None:
    try:
        return _read(context, key, recursive=False).node
    except Failed as failure:
        cause = failure.__cause__
        if isinstance(cause, KeysRefused) and cause.code == NOT_FOUND:
            return None
        raise


def _write(
    context: Context, write: Write, header: Header, records: Iterator[Record]
) -> tuple[int, int]:
    """How many records there are, and how many of them are lossy."""
    count = lossy = 0
    with bar(context, "export", None) as advance:
        write(encode(header))
        for record in records:
            write(encode(record))
            count += 1
            lossy += record.lossy
            if count % _TELL_EVERY == 0:
                advance(count)
        write(encode(End(count)))
    return count, lossy


@contextmanager
def _written(context: Context, path: str) -> Iterator[Write]:
    """
    Where the lines go; a file appears once it is complete and durable.

    :raises Failed: it cannot be written.
    """
    if path == "-":
        yield lambda data: context.streams.out.write(data.decode("utf-8"))
        return
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as special:  # a pipe, a device: it stays what it is
                yield special.write
            return
        with _replaced(os.path.realpath(path)) as file:
            yield file.write
    except OSError as error:
        why = error.strerror or str(error)
        raise Failed(BAD_ARGUMENTS, f"export: {path}: {why.lower()}") from None


@contextmanager
def _replaced(path: str) -> Iterator[BinaryIO]:
    """:raises OSError: it cannot be written; nothing has changed then."""
    # Values are not everybody's business: a new file, for its owner alone.
    opened, unfinished = tempfile.mkstemp(".tmp", ".export-", os.path.dirname(path))
    try:
        with open(opened, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        _forget(unfinished)
        raise


def _forget(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
