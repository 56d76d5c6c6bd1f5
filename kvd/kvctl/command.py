"""What a command is: a row of the table that parsing, help and completion read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kvd.kvctl.flags import Flag

if TYPE_CHECKING:
    from kvd.kvctl.context import Context

Run = Callable[["Context"], int]


class Command(NamedTuple):
    """
    One command, or a group of them.

    :ivar name: the word that is typed.
    :ivar help: one line.
    :ivar run: what it does; returns the exit status, or raises
        :class:`kvd.kvctl.errors.Failed`. None for a group.
    :ivar arguments: as its usage shows them, such as ``<key> <value>``.
    :ivar flags: its own, beside ``--help``.
    :ivar subcommands: of a group.
    :ivar about: more than a line, for its own help.
    :ivar aliases: other words for it.
    :ivar beyond: whether etcdctl has none such.
    """

    name: str
    help: str
    run: Run | None = None
    arguments: str = ""
    flags: tuple[Flag, ...] = ()
    subcommands: tuple[Command, ...] = ()
    about: str = ""
    aliases: tuple[str, ...] = ()
    beyond: bool = False

    def named(self, word: str) -> bool:
        """Whether this word means it."""
        return word == self.name or word in self.aliases
