"""Every command line of the pages for users, typed as it stands."""

from __future__ import annotations

import re
import subprocess

import attrs
import pytest

from tests.integration.pages import (
    NOT_TYPED,
    ROOT,
    Commands,
    Line,
    commands,
    lines_of,
    steps,
    stray_commands,
)
from tests.integration.reader import needs_clients

DOCS = ROOT / "docs"
# Chapters of pages ("" is all of one) that are followed from the first step to the last.
FOLLOWED = (
    ("README.rst", ""),
    ("docs/quickstart.rst", ""),
    ("docs/tutorial-discovery.rst", ""),
    ("docs/tutorial-locks.rst", ""),
    ("docs/tutorial-queue.rst", ""),
    ("docs/tutorial-configuration.rst", ""),
    ("docs/v2-api.rst", ""),
    ("docs/operating.rst", ""),
    ("docs/clusters.rst", "Founding a cluster"),
    ("docs/clusters.rst", "Restarting one by one"),
    ("docs/authentication.rst", ""),
    ("docs/kvctl.rst", ""),
    ("docs/monitoring.rst", ""),
    ("docs/proxy.rst", ""),
    ("docs/migrating.rst", ""),
    ("docs/embedding.rst", ""),
)
# And those whose steps are taken by a test that looks at more than is shown.
ELSEWHERE = (
    ("docs/clusters.rst", "Changing the members"),  # test_changing_docs.py
    ("docs/recovery.rst", ""),  # test_recovery.py
)
PAGES = ("README.rst", *(f"docs/{each.name}" for each in sorted(DOCS.glob("*.rst"))))


def test_a_line_that_ends_with_a_backslash_goes_on():
    text = "$ one \\\n  two\nsaid\nmore\n$ three\n"
    assert lines_of(text) == (
        Line("one \\\n  two", "said\nmore\n"),
        Line("three"),
    )


@pytest.mark.parametrize(
    ("shown", "said", "same"),
    [
        ("a [b].", "a [b].", True),
        ("a [b].", "a b.", False),
        ("a", "a\nb", False),
        ("a ... c", "a b b c", True),
        ("a ... c", "a\nc", False),
        ("a\n...\nc", "a\nb\nb\nc", True),
        ("a\n...\nc", "a\nc", True),
        ("a\n...\nc", "a\nb", False),
        ('"2026-11-24T16:20:31.5Z"', '"2031-01-02T03:04:05.123456789Z"', True),
        ('"2026-11-24T16:20:31.5Z"', '"yesterday"', False),
        ("id 8e9e05c52164694d", "id cdf818194e3a8c32", True),
        ("id 8e9e05c52164694d", "id df818194e3a8c3z", False),
        ('{"ttl":30,"a":1}', '{"ttl":29,"a":1}', True),
        ('{"ttl":30,"a":1}', '{"ttl":30,"a":2}', False),
    ],
)
def test_what_is_shown_stands_for_what_may_come(shown, said, same):
    found = Line("", f"{shown}\n").pattern().fullmatch(f"{said}\n")
    assert (found is not None) == same


@pytest.mark.parametrize(
    "lines",
    [
        [Line("echo a", "b\n")],
        [Line("true", "a\n")],
        [Line("echo a")],
        [Line("false"), Line("true")],
        [Line("false")],
    ],
)
def test_what_does_not_come_as_it_is_shown_is_noticed(reader, lines):
    with pytest.raises(AssertionError):
        reader.type(lines)


def test_a_terminal_keeps_what_is_set_in_it(reader):
    reader.type([Line("export A=1"), Line("cd conf"), Line("f() { echo f$1; }")])
    reader.type(
        [Line("echo $A; f 2", "1\nf2\n"), Line("ls single.yml", "single.yml\n")]
    )
    reader.type([Line("(exit 4)"), Line("echo $?", "4\n")])


@pytest.mark.parametrize("document", PAGES)
def test_every_command_of_a_page_is_typed_by_a_test(document):
    typed = {chapter for page, chapter in (*FOLLOWED, *ELSEWHERE) if page == document}
    missing = [
        command for chapter, command in commands(document) if not typed & {"", chapter}
    ]
    assert [
        command
        for command in (*missing, *stray_commands(document))
        if (document, command) not in NOT_TYPED
    ] == []


def test_what_is_not_typed_stands_on_its_page():
    for document, command in NOT_TYPED:
        lines = [each for _, each in commands(document)] + stray_commands(document)
        assert command in lines


def test_the_suite_is_a_target_of_make():
    done = subprocess.run(
        ["make", "test", "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for stage in ("ruff", "mypy", "lint-imports", "coverage", "tests/integration"):
        assert stage in done.stdout


@pytest.mark.parametrize(("document", "chapter"), FOLLOWED)
def test_what_a_page_shows_is_what_happens(reader, document, chapter):
    needs_clients()
    reader.follow(steps(document, chapter))


@pytest.mark.parametrize(
    ("document", "chapters", "shown", "typed"),
    [
        ("README.rst", {"Two commands", "The first minute"}, "etcdctl", "kvctl"),
        ("docs/authentication.rst", {""}, "kvctl", "etcdctl"),
    ],
)
def test_one_word_may_be_typed_for_the_other(reader, document, chapters, shown, typed):
    needs_clients()
    reader.terminal.type("export ETCDCTL_API=2")
    replaced = 0
    for step in steps(document):
        if step.chapter not in chapters:
            continue
        if isinstance(step, Commands):
            replaced += sum(each.command.startswith(f"{shown} ") for each in step.lines)
            lines = (
                attrs.evolve(each, command=re.sub(rf"^{shown}\b", typed, each.command))
                for each in step.lines
            )
            step = attrs.evolve(step, lines=tuple(lines))  # noqa: PLW2901
        reader.do(step)
    assert replaced > 2


def test_two_starts_of_the_single_example(reader):
    """``twistd -n kvd --config conf/single.yml``, with a PID file."""
    for _ in range(2):
        running = reader.start("twistd -n kvd --config conf/single.yml")
        reader.wait_ready()
        assert (reader.folder / "twistd.pid").exists()
        assert reader.end_one(running) == 0
        assert not (reader.folder / "twistd.pid").exists()
