"""A bar that shows how far a command came, on a terminal and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvd.kvctl.context import Context

Advance = Callable[[float], object]
"""Is told how much is done in all."""


@contextmanager
def bar(context: Context, what: str, total: float | None) -> Iterator[Advance]:
    """
    Shown on standard error, so that the result may go elsewhere.

    :param total: None if nobody knows.
    """
    if not context.streams.err.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 -- on a terminal only
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(
        console=Console(file=context.streams.err), transient=True
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
