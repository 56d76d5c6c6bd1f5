"""The program: which command was typed, and with what exit status it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence

from kvd import __version__
from kvd.kvctl import help as helping
from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.errors import BAD_ARGUMENTS, Failed, TwoForms, UsageProblem
from kvd.kvctl.flags import Parsed, Value, parse, reordered
from kvd.kvctl.streams import Streams, of_process
from kvd.kvctl.table import HELP, HELP_FLAG, PROGRAM

NO_SUCH_COMMAND = 3
INTERRUPTED = 128 + signal.SIGINT
PIPE_CLOSED = 128 + signal.SIGPIPE


def main() -> None:
    """What the process does, whose SIGINT still ends it without a word."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    streams = of_process()
    try:
        status = run(sys.argv[1:], os.environ, streams)
        streams.out.flush()
    except OSError as error:
        status = _unwritten(streams, error)
    if status == PIPE_CLOSED:
        # Nobody reads any more. End as programs do that never thought of it, and
        # before the interpreter tries to write the rest.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    raise SystemExit(status)


def _unwritten(streams: Streams, error: OSError) -> int:
    """The exit status when the result cannot be written."""
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED
    streams.err.write(f"Error:  {error.strerror}\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, streams.out.fileno())  # or it is tried again at the end
    os.close(nowhere)
    return BAD_ARGUMENTS


def run(argv: Sequence[str], environ: Mapping[str, str], streams: Streams) -> int:
    """
    Carry out what was typed.

    :param argv: without the program's name.
    :return: the exit status: 0 well, 1 bad arguments, 2 no connection, 3 no such command,
        4 refused by the cluster, 5 not healthy, 130 interrupted, 141 nobody reads.
    :raises OSError: the result cannot be written.
    """
    try:
        return _run(argv, environ, streams)
    except Failed as failure:
        _end_with(streams, failure.text)
        if failure.hint and streams.err.isatty():
            _end_with(streams, f"hint: {failure.hint}")
        return failure.status
    except UsageProblem as problem:
        _end_with(streams, str(problem))
        return BAD_ARGUMENTS
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED


def _end_with(streams: Streams, text: str) -> None:
    streams.out.flush()
    streams.err.write(f"{text}\n")
    streams.err.flush()


def _run(argv: Sequence[str], environ: Mapping[str, str], streams: Streams) -> int:
    _check_api(environ)
    path = [PROGRAM]
    values: dict[str, Value] = {}
    words = list(argv)
    while True:
        command = path[-1]
        parsed = _parsed(path, words, streams)
        values |= parsed.values
        words = parsed.words
        if values["help"]:
            streams.out.write(_help(path))
            return 0
        if values["version"]:
            streams.out.write(f"kvctl version: {__version__}\nAPI version: 2\n")
            return 0
        if not command.subcommands:
            break
        choice = (*command.subcommands, *(() if len(path) == 1 else (HELP,)))
        found = [each for each in choice if words and each.named(words[0])]
        if not found:
            return _explain(path, words, streams)
        path.append(found[0])
        words = words[1:]
    if command.run is None:
        return _explain(path[:-1], words, streams)
    context = Context(
        path=path, args=words, values=values, streams=streams, environ=environ
    )
    try:
        return command.run(context)
    finally:
        context.close()


def _parsed(path: Sequence[Command], words: Sequence[str], streams: Streams) -> Parsed:
    """
    Flags of the last command.

    :raises UsageProblem: after it was told and help was given, on standard output.
    """
    command = path[-1]
    flags = command.flags
    if len(path) > 1:
        flags = (*flags, HELP_FLAG)
        if not command.subcommands:
            words = reordered(flags, words)
    try:
        return parse(flags, words, forms_first=bool(command.subcommands))
    except UsageProblem as problem:
        if isinstance(problem, TwoForms) and command.subcommands:
            told = str(problem)
        else:
            sign = "." if command.subcommands else ":"
            told = f"Incorrect Usage{sign} {problem}\n"
        streams.out.write(f"{told}\n{_help(path)}")
        raise


def _explain(path: Sequence[Command], words: Sequence[str], streams: Streams) -> int:
    """
    Help for the word, or for the last command.

    :raises Failed: nothing is called so.
    """
    if not words or not words[0]:
        streams.out.write(_help(path))
        return 0
    for each in path[-1].subcommands:
        if each.named(words[0]):
            streams.out.write(_help([*path, each]))
            return 0
    from kvd.kvctl.hints import of_word  # noqa: PLC0415 -- seldom

    known = [
        name for each in path[-1].subcommands for name in (each.name, *each.aliases)
    ]
    raise Failed(
        NO_SUCH_COMMAND, f"No help topic for '{words[0]}'", of_word(words[0], known)
    )


def _help(path: Sequence[Command]) -> str:
    return helping.of_program(path[0]) if len(path) == 1 else helping.of_command(path)


def _check_api(environ: Mapping[str, str]) -> None:
    """:raises Failed: another API is asked for than the one that there is."""
    version = environ.get("KVCTL_API") or environ.get("ETCDCTL_API", "")
    if version in {"", "2"}:
        return
    if version == "3":
        raise Failed(
            BAD_ARGUMENTS,
            "ETCDCTL_API=3: kvctl speaks the v2 API; KVCTL_API=2 says that this is meant",
        )
    raise Failed(BAD_ARGUMENTS, f"unsupported API version {version}")
