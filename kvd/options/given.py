"""A value as somebody wrote it, and where."""

from __future__ import annotations

import attrs

_SHOWN_MAX = 100


@attrs.frozen
class Given:
    """
    One option's text.

    :ivar where: for the operator: ``kvd.yml:3``, ``environment variable KVD_NAME``.
    :ivar nested: a mapping stood there, for which no option of ours has a use.
    :ivar flag: it is from the command line.
    """

    text: str
    where: str
    nested: bool = False
    flag: bool = False


def problem(option: str, message: str, given: Given | None) -> str:
    """One line: the option, what was expected, what was found, and where."""
    if given is None:
        return f"{option}: {message}"
    return f"{option}: {message} (got {shown(given.text)}, {given.where})"


def shown(text: str) -> str:
    """Quoted, without control characters, and not longer than a line can bear."""
    cut = text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut) + '"'
