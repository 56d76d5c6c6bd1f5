"""Help, made from the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvd import __version__
from kvd.kvctl.command import Command
from kvd.kvctl.flags import Flag, Kind


def of_program(program: Command) -> str:
    """All commands, and the flags before them."""
    return _text(
        f"{program.name} {__version__}: {program.help}",
        "usage",
        [f"{program.name} [flags] command [flags] [arguments]"],
        "commands",
        _columns([(_names(each), each.help) for each in program.subcommands]),
        "flags",
        _columns(map(_row, program.flags)),
        *_about(program),
    )


def of_command(path: Sequence[Command]) -> str:
    """One command, or a group of them."""
    name = " ".join(each.name for each in path)
    command = path[-1]
    parts: list[str | list[str]] = [f"{name}: {command.help}", "usage"]
    if command.subcommands:
        rows = [(_names(each), each.help) for each in command.subcommands]
        parts += [[f"{name} command [flags] [arguments]"], "commands", _columns(rows)]
    else:
        flags = " [flags]" if command.flags else ""
        parts += [[f"{name}{flags} {command.arguments}".rstrip()]]
    if command.flags:
        parts += ["flags", _columns(map(_row, command.flags))]
    return _text(*parts, *_about(command))


def _about(command: Command) -> Iterator[str | list[str]]:
    if command.about:
        yield "about"
        yield command.about.strip().splitlines()


def _text(*parts: str | list[str]) -> str:
    lines = [str(parts[0])]
    for part in parts[1:]:
        if isinstance(part, str):
            lines += ["", f"{part}:"]
        else:
            lines += [f"  {line}".rstrip() for line in part]
    return "\n".join(lines) + "\n"


def _names(command: Command) -> str:
    return ", ".join((command.name, *command.aliases))


def _row(flag: Flag) -> tuple[str, str]:
    placeholder = "" if flag.kind is Kind.SWITCH else f" {flag.placeholder}"
    names = ", ".join(
        f"{'-' if len(name) == 1 else '--'}{name}{placeholder}" for name in flag.names
    )
    default = "" if not flag.default else f" (default: {_shown(flag)})"
    return names, f"{flag.help}{default}"


def _shown(flag: Flag) -> str:
    if flag.kind is Kind.DURATION and isinstance(flag.default, float):
        return f"{flag.default:g}s"
    return str(flag.default)


def _columns(rows: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max((len(first) for first, _ in rows), default=0)
    return [f"{first:{width}}  {second}" for first, second in rows]
