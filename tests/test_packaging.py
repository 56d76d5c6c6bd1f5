"""What a wheel of kvd holds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import kvd

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Made from a copy, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.rst", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("kvd", "twisted"):
        ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "-w",
            str(folder),
            str(source),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_is_txkvd_of_our_version(wheel):
    assert wheel.name == f"txkvd-{kvd.__version__}-py3-none-any.whl"


def test_the_wheel_holds_every_module_and_the_plugin(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "kvd").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= names
    assert "kvd/py.typed" in names
    assert "twisted/plugins/kvd_plugin.py" in names


def test_the_wheel_does_not_take_twisteds_place(wheel):
    """``twisted/__init__.py`` in it would hide Twisted itself."""
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.startswith("twisted/")] == [
        "twisted/plugins/kvd_plugin.py"
    ]
    assert not any(name.startswith(("tests/", "bench/")) for name in names)


def test_the_command_is_an_entry_point(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = [each for each in archive.namelist() if each.endswith("entry_points.txt")]
    names = archive.read(name).decode()
    assert "kvd = kvd.command:main" in names
    assert "kvctl = kvd.kvctl.__main__:main" in names


def test_the_plugin_is_found_in_an_unpacked_wheel(wheel, tmp_path):
    """As pip installs it: beside Twisted, whose plugin folder is another one."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from twisted.application.service import IServiceMaker\n"
        "from twisted.plugin import getPlugins\n"
        "import kvd\n"
        "print(kvd.__file__)\n"
        "print([p.tapname for p in getPlugins(IServiceMaker)].count('kvd') > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == [str(tmp_path / "kvd" / "__init__.py"), "True"]
