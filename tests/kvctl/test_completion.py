"""Completion, as a shell does it: bash always, zsh and fish where they are."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from kvd.kvctl.completion import SHELLS, spots_of
from kvd.kvctl.table import HELP_FLAG, PROGRAM
from tests.kvctl.conftest import typed

SPOTS = {spot.path: spot for spot in spots_of(PROGRAM, HELP_FLAG)}
# In the place of kvctl: tells what it was called with, and lists keys.
LISTING = """\
#!/bin/sh
printf '%s\\n' "$*" >> "$0.called"
printf '%s\\n' '/a/b c' '/a/bee/' '/a/$(touch owned)' 'Password: ' '/x:y'
"""


@pytest.fixture
def place(tmp_path):
    program = tmp_path / "kvctl"
    program.write_text(LISTING)
    program.chmod(0o755)
    for shell in SHELLS:
        (tmp_path / f"complete.{shell}").write_text(typed("completion", shell).out)
    return tmp_path


def shell(place, *command, **environ):
    path = f"{place}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=place,
        env={"PATH": path, "HOME": str(place), "TERM": "dumb", **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


# As bash calls it, which gives it more than is used.
IN_BASH = r"""
source ./complete.bash
COMP_LINE=$LINE COMP_POINT=${#LINE}
compopt() { echo "option: $*"; }
_kvctl
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(place):
    return lambda line: [
        each for each in shell(place, "bash", "-c", IN_BASH, LINE=line) if each
    ]


def called(place):
    return (place / "kvctl.called").read_text().splitlines()


def test_every_command_and_flag_of_the_table_is_in_every_script(place):
    assert {"", "ls", "export", "completion"} < SPOTS.keys()
    for each in SHELLS:
        script = (place / f"complete.{each}").read_text()
        for spot in SPOTS.values():
            assert f'"{spot.path}"' in script
            for name in (*spot.words, *(n for f in spot.flags for n in f.names)):
                assert name in script


def test_an_unknown_shell_is_refused():
    for words in ([], ["tcsh"], ["bash", "zsh"]):
        ended = typed("completion", *words)
        assert (ended.status, ended.out) == (1, "")
        assert ended.err == "completion: expected one of bash, zsh, fish\n"


def test_bash_completes_commands(bash):
    assert bash("kvctl set") == ["set", "setdir"]
    assert set(SPOTS[""].words) == set(bash("kvctl "))


def test_bash_completes_flags_before_and_behind_a_command(bash):
    assert bash("kvctl --cert") == ["--cert-file"]
    assert bash("kvctl ls --rec") == ["--recursive"]
    assert bash("kvctl --debug ls /a --tr") == ["--tree"]


def test_bash_completes_what_an_argument_may_be(bash):
    assert bash("kvctl bench q") == ["quorum-get"]
    assert bash("kvctl completion ") == ["bash", "zsh", "fish"]
    assert bash("kvctl help exp") == ["export"]


def test_bash_leaves_files_to_itself(bash):
    assert bash("kvctl export ") == ["option: -o default"]
    assert bash("kvctl --ca-file ") == ["option: -o default"]
    assert bash("kvctl check --data-dir ") == ["option: -o default"]


def test_bash_offers_nothing_where_it_knows_nothing(bash):
    assert bash("kvctl --timeout ") == []
    assert bash("kvctl nothing such") == []
    assert bash("kvctl set /a ") == []


def test_bash_completes_keys_with_the_flags_that_were_given(bash, place):
    found = bash("kvctl --endpoints http://h:1,http://i:2 --no-sync get /a/b")
    assert found == ["/a/b\\ c", "/a/bee/"]
    (asked,) = called(place)
    assert asked == (
        "--endpoints http://h:1,http://i:2 --no-sync --timeout 500ms "
        "--total-timeout 1s ls -p -- /a"
    )


def test_bash_goes_on_behind_a_directory(bash, place):
    assert bash("kvctl get /a/bee") == ["option: -o nospace", "/a/bee/"]
    assert bash("kvctl ls /") != []
    assert called(place)[-1].endswith("ls -p -- /")


def test_a_key_with_a_colon_is_completed_behind_it(bash):
    assert bash("kvctl get /x:") == ["y"]


def test_no_key_is_run_by_the_shell(bash, place):
    assert bash("kvctl get /a/$") == ["/a/\\$\\(touch\\ owned\\)"]
    assert bash("kvctl get /a/")
    assert not (place / "owned").exists()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(place, name):
    if name != "bash" and shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    assert shell(place, name, "-n", f"complete.{name}") == []


FISH = ["fish", "--no-config", "-c", 'source complete.fish; complete -C "$LINE"']


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_commands_flags_and_keys(place):
    def fish(line):
        return [each.partition("\t")[0] for each in shell(place, *FISH, LINE=line)]

    assert fish("kvctl setd") == ["setdir"]
    assert fish("kvctl ls --rec") == ["--recursive"]
    assert "/a/bee/" in fish("kvctl get /a/")
    assert not (place / "owned").exists()
