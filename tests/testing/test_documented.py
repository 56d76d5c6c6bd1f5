"""Every example of docs/testing.rst, run as it stands: by pytest, by trial, by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/testing.rst"
_BLOCK = re.compile(
    r"^\.\. code-block:: python\n   :caption: (\S+)\n\n((?:   .*\n|\n)+)", re.MULTILINE
)
LIMIT_SECONDS = 300
TESTS = 7


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    found = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    for name, text in found:
        (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
    assert len(found) == PAGE.read_text(encoding="utf-8").count(".. code-block::")
    return folder


def run(folder, *arguments):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_pytest_runs_them_all(examples):
    strict = "error::kvd.testing.LeftoverWarning"
    said = run(examples, "-m", "pytest", "-q", "-W", strict, "-p", "no:cacheprovider")

    assert f"{TESTS} passed" in said


def test_trial_runs_test_cases(examples):
    trial = "from twisted.scripts.trial import run; run()"
    said = run(examples, "-c", trial, "test_greeting")

    assert "PASSED (successes=2)" in said
    assert "LeftoverWarning" not in said


def test_unittest_runs_them_too(examples):
    said = run(examples, "test_over_http_too.py")

    assert "OK" in said
