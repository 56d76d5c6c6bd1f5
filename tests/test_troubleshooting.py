"""What docs/troubleshooting.rst quotes of logs and answers is what kvd says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What the operating system says, not kvd.
OTHERS = {"Address already in use"}


def quotes():
    """Literals of the first column of the tables."""
    text = (ROOT / "docs" / "troubleshooting.rst").read_text(encoding="utf-8")
    cells = re.findall(r"^   \* - (.*?)(?=^     - )", text, re.MULTILINE | re.DOTALL)
    return [
        " ".join(quote.split())
        for cell in cells
        for quote in re.findall(r"``(.+?)``", cell, re.DOTALL)
    ]


def templates():
    """Texts of the source, with ``...`` for what is filled in."""
    found = []
    for path in (ROOT / "kvd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Constant(value=str(text)):
                    found.append(re.sub(r"\{[^{}]*\}", "...", text))
                case ast.JoinedStr(values=parts):
                    found.append(
                        "".join(
                            part.value if isinstance(part, ast.Constant) else "..."
                            for part in parts
                        )
                    )
    return found


TEMPLATES = templates()


def test_there_are_quotes():
    assert len(quotes()) > 25


@pytest.mark.parametrize("quote", [each for each in quotes() if each not in OTHERS])
def test_what_is_quoted_is_said_somewhere(quote):
    words = quote.removeprefix("...").removesuffix("...").strip()
    assert [text for text in TEMPLATES if words in text]
