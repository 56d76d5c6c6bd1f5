"""Bars: on a terminal, and nowhere else."""

from __future__ import annotations

import io

from kvd.kvctl.progress import bar
from tests.kvctl.answering import context_of


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(err, total):
    context = context_of("export -")
    context.streams = context.streams._replace(err=err)
    with bar(context, "export", total) as advance:
        advance(1)
        advance(2)
    return err.getvalue()


def test_a_script_sees_no_bar():
    assert shown(io.StringIO(), 2) == ""


def test_a_terminal_sees_one_and_then_it_is_gone():
    for total in (2, None):
        text = shown(Terminal(), total)
        assert "export" in text
        assert text.endswith("\x1b[2K")
        assert "\x1b[?25h" in text
