"""``top``, with a cluster that is not there."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest

from kvd.kvctl import top
from kvd.kvctl.looking import NobodyAnswers
from tests.kvctl.conftest import typed
from tests.kvctl.looks import missing, seen

GETS = "etcd_http_received_total{method=GET}"


class Looking:
    """Looks that a test has prepared."""

    def __init__(self, *looks):
        self.looks = list(looks)

    def find(self):
        if self.looks[0] is None:
            self.looks.pop(0)
            raise NobodyAnswers({"http://m1": "refused", "http://m2": "timed out"})
        return self.looks.pop(0)

    def observe(self, found):
        return found


def tables(*looks):
    pauses = []
    made = top._tables(Looking(*looks), lambda: pauses.append(1))
    return [next(made) for _ in looks], pauses


def test_rates_are_those_since_the_look_before():
    first, second = tables(
        [seen(metrics={GETS: 1}, at=0.0)], [seen(metrics={GETS: 7}, at=2.0)]
    )[0]
    assert first[0].cells[5] == "-"
    assert second[0].cells[5] == "3.0"


def test_a_member_that_was_away_has_no_rate_but_its_row():
    found, pauses = tables([seen()], [missing("m1")], [seen()])
    assert [rows[0].cells[5] for rows in found] == ["-", "-", "-"]
    assert len(pauses) == 2


def test_when_nobody_answers_it_says_so_and_goes_on():
    (gone, back), _ = tables(None, [seen()])
    assert gone == (
        "no endpoint answers with a list of members:\n"
        "  http://m1: refused\n  http://m2: timed out"
    )
    assert back[0].cells[0] == "m1"


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Context:
    def __init__(self):
        self.streams = self
        self.out = Terminal()


def test_on_a_terminal_the_table_is_drawn_anew_until_it_is_interrupted():
    def shown():
        yield top.rows([seen("m1", state="leader"), missing("m2", "[red]x")])
        yield "nobody"
        raise KeyboardInterrupt

    context = Context()
    assert top._again_and_again(context, shown()) == 0
    out = context.out.getvalue()
    assert "unreachable" in out
    assert "[red]x" in out  # what a server says is no markup
    assert "nobody" in out
    assert "\x1b[?25h" in out  # the cursor is shown again


@pytest.mark.parametrize("interval", ["0", "50ms", "-1s"])
def test_an_interval_has_a_lower_bound(interval):
    ended = typed("top", "--interval", interval)
    assert (ended.status, ended.err) == (1, "--interval is at least 0.1s\n")


def test_without_anybody_it_ends_with_what_each_endpoint_said():
    with suppress(KeyError):
        ended = typed("--endpoints", "http://127.0.0.1:1", "top", "--interval", "100ms")
    assert ended.status == 2
    assert ended.err == (
        "no endpoint answers with a list of members:\n"
        "  http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused\n"
    )
