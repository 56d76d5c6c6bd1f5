"""
Pages of the documentation, as the steps that their reader takes.

A ``console`` block is typed line by line into one terminal, and what is shown below a
line must come of it (see ``Shown``). A ``code-block`` with a caption is a file that the
reader writes. Comments before a block say what is not to be seen:

``.. test: servers``
    each line has a terminal of its own, and goes on; nothing else is typed before all
    of them are ready to serve
``.. test: runs``
    the same of other programs; nothing else is typed before what is shown is there
``.. test: waits``
    the same of a program that waits for an event; what is shown comes later
``.. test: seen WORD``
    where the text says so, it has come; no block belongs to this
``.. test: ended WORD``, ``.. test: killed WORD``
    where the text says so, Ctrl-C or ``kill -9`` end what was started in a terminal of
    its own by a line with the word in it, or all of it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives

ROOT = Path(__file__).parent.parent.parent

_LONG = "measures, for minutes"
# Every line that looks like a command and is not typed by a test, and why.
NOT_TYPED: dict[tuple[str, str], str] = {
    ("README.rst", "make test"): "runs this very test; test_pages.py looks at its plan",
    (
        "docs/clusters.rst",
        (
            "kvd --name infra0 --discovery-srv example.com "
            "--initial-advertise-peer-urls http://infra0.example.com:2380 ..."
        ),
    ): "example.com has no such records; test_namespaces.py has a name server",
    (
        "docs/differences.rst",
        (
            "etcdctl backup --data-dir etcd-1.etcd --backup-dir backup "
            "[--wal-dir W] [--backup-wal-dir BW]"
        ),
    ): "shows which flags there are",
    ("docs/v2-coverage.rst", "make conformance"): "a part of make test, as this is",
    ("docs/benchmark.rst", "make bench"): _LONG,
    ("docs/benchmark.rst", ".venv/bin/python bench/run.py --quick"): _LONG,
    (
        "docs/benchmark.rst",
        '.venv/bin/python bench/run.py --only "put, 64" --rounds 5',
    ): _LONG,
    ("docs/benchmark.rst", ".venv/bin/python bench/run.py --subject etcd"): _LONG,
    ("docs/benchmark.rst", ".venv/bin/python bench/auth.py --rounds 9"): _LONG,
}

_COMMAND = re.compile(
    r"(\$ )?(sudo |exec )?(\S*/)?"
    r"(curl|etcdctl|kvctl|kvd (-|backup)|twistd|make|python3?|pip|pytest|trial) ?"
)
# What is shown, and what may come for it.
_WILD = (
    (r"\.\.\.", r".*"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", r"[-0-9T:.]+Z"),
    (r"\b[0-9a-f]{16}\b", r"[0-9a-f]{12,16}"),
    (r"ttl\":\d+", r"ttl\":\d+"),
    (r"TTL: \d+", r"TTL: \d+"),
)
_ANY_WILD = re.compile("|".join(f"({shown})" for shown, _ in _WILD))


@attrs.frozen
class Line:
    """
    A command and what is shown below it.

    In what is shown ``...`` stands for anything in its line, and alone in a line for
    any number of lines. Times, ids and remaining seconds are those of somebody else's
    day, so any others may come in their place.
    """

    command: str
    shown: str = ""

    def pattern(self) -> re.Pattern[str]:
        return re.compile("".join(map(_pattern, self.shown.splitlines())))


def _pattern(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    parts = []
    end = 0
    for wild in _ANY_WILD.finditer(line.rstrip()):
        assert wild.lastindex is not None
        parts += [re.escape(line[end : wild.start()]), _WILD[wild.lastindex - 1][1]]
        end = wild.end()
    return "".join([*parts, re.escape(line[end:].rstrip()), r"\n"])


@attrs.frozen
class Commands:
    """A block; ``how`` is typed, servers, runs or waits."""

    chapter: str
    how: str
    lines: tuple[Line, ...]


@attrs.frozen
class File:
    """What the reader saves under a name."""

    chapter: str
    name: str
    text: str


@attrs.frozen
class Told:
    """Of what a line with the word has started; ``how`` is seen, ended or killed."""

    chapter: str
    how: str
    word: str


Step = Commands | File | Told


class _Code(Directive):
    """What Sphinx makes of a block, without Sphinx."""

    has_content = True
    optional_arguments = 1
    option_spec = {
        "caption": directives.unchanged,
        "emphasize-lines": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        text = "\n".join(self.content)
        block = nodes.literal_block(text, text)
        block["language"] = (self.arguments or [""])[0]
        block["caption"] = self.options.get("caption", "")
        return [block]


directives.register_directive("code-block", _Code)


def lines_of(text: str) -> tuple[Line, ...]:
    """A line that ends with a backslash goes on in the next one."""
    found: list[Line] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Line(line[2:]))
        elif not found[-1].shown and found[-1].command.endswith("\\"):
            found[-1] = Line(f"{found[-1].command}\n{line}")
        else:
            found[-1] = attrs.evolve(found[-1], shown=f"{found[-1].shown}{line}\n")
    return tuple(found)


def _blocks(document: str) -> Iterator[tuple[str, nodes.comment | nodes.literal_block]]:
    """Comments and blocks, each with the chapter that it stands in."""
    tree = publish_doctree(
        (ROOT / document).read_text(encoding="utf-8"),
        settings_overrides={
            "doctitle_xform": False,
            # Roles and directives of Sphinx alone: Sphinx looks at them.
            "report_level": 5,
            "halt_level": 5,
        },
    )
    for node in tree.findall(
        lambda node: isinstance(node, nodes.comment | nodes.literal_block)
    ):
        sections = []
        above = node.parent
        while above is not None:
            if isinstance(above, nodes.section):
                sections.append(above[0].astext())
            above = above.parent
        yield (sections[-2] if len(sections) > 1 else ""), node


def _everything(document: str) -> Iterator[Step]:
    how = "typed"
    for chapter, node in _blocks(document):
        if isinstance(node, nodes.comment):
            kind, _, rest = node.astext().partition(": ")
            word, _, argument = rest.partition(" ")
            if kind != "test":
                continue
            if word in {"seen", "ended", "killed"}:
                yield Told(chapter, word, argument)
            else:
                assert word in {"servers", "runs", "waits"}, f"{document}: {rest}"
                how = word
        elif node.get("caption"):
            yield File(chapter, node["caption"], f"{node.astext()}\n")
        elif node.get("language") == "console":
            yield Commands(chapter, how, lines_of(node.astext()))
            how = "typed"
    assert how == "typed", f"{document}: no block follows {how}"


def steps(document: str, chapter: str = "") -> list[Step]:
    """What can be done of a page, or of one chapter of it."""
    found: list[Step] = []
    for step in _everything(document):
        if chapter and step.chapter != chapter:
            continue
        if isinstance(step, Commands):
            lines = (
                each for each in step.lines if (document, each.command) not in NOT_TYPED
            )
            step = attrs.evolve(step, lines=tuple(lines))  # noqa: PLW2901
        found.append(step)
    return found


def commands(document: str) -> list[tuple[str, str]]:
    """Every command of a page, each with its chapter."""
    return [
        (step.chapter, line.command)
        for step in _everything(document)
        if isinstance(step, Commands)
        for line in step.lines
    ]


def stray_commands(document: str) -> list[str]:
    """Lines that look like commands in blocks which nobody types."""
    return [
        line
        for _, node in _blocks(document)
        if isinstance(node, nodes.literal_block)
        and node.get("language") != "console"
        and not node.get("caption")
        for line in node.astext().splitlines()
        if _COMMAND.match(line)
    ]
