"""``watch`` and ``exec-watch``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.errors import (
    BAD_ARGUMENTS,
    EMPTY_BODY,
    SERVER_ERROR,
    BadAnswer,
    ClusterError,
    Failed,
    KeysRefused,
    failed,
)
from kvd.kvctl.flags import Flag, Kind
from kvd.kvctl.keys import key_of, target
from kvd.kvctl.node import Response, response_of, show

RUNNING_MAX: Final = 1000
"""Commands of one ``exec-watch`` that run at a time; then it waits for one to end."""

Start = Callable[[Context, list[str], Response], "subprocess.Popen[bytes]"]

_AFTER_INDEX = Flag(
    ("after-index",), "begin with the first change after this index", Kind.NUMBER
)


def changes(context: Context, key: str) -> Iterator[Response]:
    """
    The changes of a key, or of all below it, each one asked for by the index of the last.

    :raises Failed: the cluster cannot be asked, or no longer knows what came next.
    """
    after = context.number("after-index")
    index = (after + 1) % 2**64 if after else 0
    while True:
        query = {
            "wait": "true",
            "waitIndex": str(index),
            "recursive": "true" if context.on("recursive") else "false",
        }
        try:
            answer = context.cluster.ask("GET", target(key, query), patient=True)
            response = response_of(answer)
        except BadAnswer as error:
            if str(error) == EMPTY_BODY:
                continue  # the member ended it without an event
            raise failed(SERVER_ERROR, error) from None
        except (ClusterError, KeysRefused) as error:
            raise failed(SERVER_ERROR, error) from None
        index = response.node.modified_index + 1
        yield response


def _watch(context: Context) -> int:
    _ = context.cluster
    key = key_of(context)
    try:
        for response in changes(context, key):
            if response.node.is_dir:
                continue
            if context.on("recursive"):
                context.say(f"[{response.action}] {response.node.key}")
            show(context, response)
            context.streams.out.flush()
            if not context.on("forever"):
                break
    except KeyboardInterrupt:
        pass  # which is how it ends
    return 0


def _exec_watch(context: Context) -> int:
    _ = context.cluster
    words = list(context.args)
    if words[1:2] == ["--"]:
        del words[1]
    if len(words) < 2:
        raise failed(BAD_ARGUMENTS, "key and command to exec required")
    with suppress(KeyboardInterrupt):  # which is how it ends
        run_for_each(context, words[0], words[1:])
    return 0


def run_for_each(
    context: Context,
    key: str,
    command: list[str],
    *,
    running_max: int = RUNNING_MAX,
    start: Start | None = None,
) -> None:
    """
    Run a command for each change, without waiting for it to end.

    :param running_max: at a time; then the oldest one is waited for.
    :param start: how it is started; None: as a process.
    :raises Failed: there is no such command, or no further change.
    """
    running: list[subprocess.Popen[bytes]] = []
    for response in changes(context, key):
        if response.node.is_dir:
            context.warn(f"Ignored dir {response.node.key} change")
            continue
        running = [each for each in running if each.poll() is None]
        if len(running) >= running_max:
            running.pop(0).wait()
        running.append((start or _started)(context, command, response))


def _started(
    context: Context, command: list[str], response: Response
) -> subprocess.Popen[bytes]:
    """:raises Failed: there is no such command."""
    about = {
        "ETCD_WATCH_ACTION": response.action,
        "ETCD_WATCH_MODIFIED_INDEX": str(response.node.modified_index),
        "ETCD_WATCH_KEY": response.node.key,
        "ETCD_WATCH_VALUE": response.node.value,
    }
    try:
        return subprocess.Popen(  # noqa: S603 -- it is what the user asked for
            command, stdin=subprocess.DEVNULL, env={**context.environ, **about}
        )
    except OSError as error:
        if isinstance(error, FileNotFoundError) and "/" not in command[0]:
            text = f'exec: "{command[0]}": executable file not found in $PATH'
        else:
            text = f"fork/exec {command[0]}: {os.strerror(error.errno or 0).lower()}"
        raise Failed(BAD_ARGUMENTS, text) from None
    except ValueError:
        raise Failed(
            BAD_ARGUMENTS, "a value with a NUL in it cannot be given to a command"
        ) from None


COMMANDS: Final = (
    Command(
        "watch",
        "wait for a change of a key",
        _watch,
        "<key>",
        (
            Flag(("forever", "f"), "one change after the other, until CTRL+C"),
            _AFTER_INDEX,
            Flag(("recursive", "r"), "also of all that is below it"),
        ),
    ),
    Command(
        "exec-watch",
        "run a command at each change of a key, until CTRL+C",
        _exec_watch,
        "<key> <command> [args...]",
        (_AFTER_INDEX, Flag(("recursive", "r"), "also of all that is below it")),
        about="""
The command finds the change in its environment: ETCD_WATCH_ACTION, ETCD_WATCH_KEY,
ETCD_WATCH_VALUE and ETCD_WATCH_MODIFIED_INDEX. Two dashes before the command keep its own
flags from being read:

  kvctl exec-watch --recursive /key -- sh -c 'echo "$ETCD_WATCH_KEY"'
""",
    ),
)
