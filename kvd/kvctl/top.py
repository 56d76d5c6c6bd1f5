"""``kvctl top``: what the members do, again and again, or once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from kvd.kvctl.connecting import given_endpoints, settings
from kvd.kvctl.errors import BAD_ARGUMENTS, BAD_CONNECTION, Failed
from kvd.kvctl.looking import Looking, NobodyAnswers, Wires, threads
from kvd.kvctl.observing import Observation
from kvd.kvctl.toptable import HEADINGS, Row, fitting, notes, plain, rows
from kvd.kvctl.tree import printable

if TYPE_CHECKING:
    from rich.console import Group

    from kvd.kvctl.context import Context

SHORTEST_SECONDS: Final = 0.1

Rows = Sequence[Row]


def run(context: Context) -> int:
    """Until interrupted on a terminal; once with ``--once``, or where there is none."""
    pause_seconds = context.seconds("interval")
    if pause_seconds < SHORTEST_SECONDS:
        raise Failed(BAD_ARGUMENTS, f"--interval is at least {SHORTEST_SECONDS:g}s")
    wires = Wires(settings(context), total_seconds=context.timeouts.total_seconds)
    context.when_done(wires.close)
    executor = threads()
    try:
        looking = Looking(given_endpoints(context), wires, executor)
        tables = _tables(looking, lambda: time.sleep(pause_seconds))
        if context.on("once") or not context.streams.out.isatty():
            return _once(context, tables)
        return _again_and_again(context, tables)
    finally:
        executor.shutdown()


def _tables(looking: Looking, pause: Callable[[], object]) -> Iterator[Rows | str]:
    """Rows, or why there are none; the first ones have no rates yet."""
    before: dict[str, Observation] = {}
    while True:
        try:
            now = looking.observe(looking.find())
        except NobodyAnswers as nobody:
            yield _why(nobody)
        else:
            yield rows(now, before)
            before = {each.member.member_id: each for each in now if each.answers}
        pause()


def _why(nobody: NobodyAnswers) -> str:
    lines = [
        f"  {url}: {printable(trouble)}" for url, trouble in nobody.troubles.items()
    ]
    return "\n".join([f"{nobody}:", *lines])


def _once(context: Context, tables: Iterator[Rows | str]) -> int:
    """Two looks, for the rates; the second one is shown."""
    next(tables)
    found = next(tables)
    if isinstance(found, str):
        raise Failed(BAD_CONNECTION, found)
    for line in plain(found):
        context.say(line)
    return 0


def _again_and_again(context: Context, tables: Iterator[Rows | str]) -> int:
    from rich.console import Console  # noqa: PLC0415 -- on a terminal only
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=context.streams.out)
    try:
        with Live(console=console, auto_refresh=False, screen=False) as live:
            for found in tables:
                if isinstance(found, str):
                    live.update(Text(found), refresh=True)
                else:
                    live.update(_table(found, console.width), refresh=True)
    except KeyboardInterrupt:
        pass
    return 0


def _table(found: Rows, width: int) -> Group:
    from rich.console import Group  # noqa: PLC0415 -- on a terminal only
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    columns = fitting(found, width)
    for at in columns:
        is_text = HEADINGS[at] in {"MEMBER", "STATE"}
        table.add_column(HEADINGS[at], justify="left" if is_text else "right")
    for row in found:
        style = "red" if row.bad else "bold" if row.cells[1] == "leader" else ""
        table.add_row(*(Text(row.cells[at], style=style) for at in columns))
    return Group(table, *(Text(line, style="red") for line in notes(found)))
