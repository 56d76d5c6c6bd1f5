"""The program around the commands: versions, help, and how it ends."""

from __future__ import annotations

import io

import pytest

import kvd
from kvd.kvctl import program
from kvd.kvctl.help import of_command, of_program
from kvd.kvctl.streams import ERRORS, Streams
from kvd.kvctl.table import GLOBAL_FLAGS, PROGRAM

GONE = ["--no-sync", "--endpoints", "unix:///nowhere"]


def commands(path=(PROGRAM,)):
    for each in path[-1].subcommands:
        yield (*path, each)
        yield from commands((*path, each))


def test_the_version_is_kvds_and_the_api_is_2(kvctl):
    for flag in ("--version", "-v"):
        shown = f"kvctl version: {kvd.__version__}\nAPI version: 2\n"
        assert kvctl(flag, "zz") == (0, shown, "")


def test_another_api_is_refused_unless_kvctls_own_variable_knows_better(kvctl):
    ended = kvctl("help", environ={"ETCDCTL_API": "3"})
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == (
        "ETCDCTL_API=3: kvctl speaks the v2 API; KVCTL_API=2 says that this is meant\n"
    )
    assert kvctl("help", environ={"ETCDCTL_API": "3", "KVCTL_API": "2"}).status == 0
    assert kvctl("help", environ={"ETCDCTL_API": "2"}).status == 0
    ended = kvctl("help", environ={"ETCDCTL_API": "4"})
    assert ended == (1, "", "unsupported API version 4\n")


def test_variables_of_kvctls_own_come_first(kvctl):
    environ = {"ETCDCTL_ENDPOINTS": "unix:///theirs", "KVCTL_ENDPOINTS": "unix:///ours"}
    assert "dial unix /ours: connect" in kvctl("ls", environ=environ).err
    del environ["KVCTL_ENDPOINTS"]
    assert "dial unix /theirs: connect" in kvctl("ls", environ=environ).err
    assert (
        "dial unix /flag:"
        in kvctl("--endpoints", "unix:///flag", "ls", environ=environ).err
    )


def test_a_socket_that_is_not_there_is_said_so_with_etcdctls_statuses(kvctl):
    ended = kvctl("--endpoints", "unix:///nowhere", "get", "/a")
    assert (ended.status, ended.out) == (2, "")
    text = "dial unix /nowhere: connect: no such file or directory"
    assert ended.err.splitlines()[-2] == f"error #0: {text}"
    assert kvctl(*GONE, "get", "/a").status == 4


@pytest.mark.parametrize(
    "path", list(commands()), ids=lambda path: "-".join(each.name for each in path)
)
def test_every_command_has_help_with_all_its_flags(kvctl, path):
    words = [each.name for each in path[1:]]
    shown = of_command(path)
    if path[-1].name != "help":
        assert kvctl(*words, "--help") == (0, shown, "")
    assert kvctl(*words[:-1], "help", words[-1]) == (0, shown, "")
    assert kvctl(*words[:-1], "h", words[-1]) == (0, shown, "")
    for flag in path[-1].flags:
        assert f"--{flag.name}" in shown or f"-{flag.name}" in shown
    assert shown.startswith(f"kvctl {' '.join(words)}: ")


def test_help_lists_all_commands_and_global_flags(kvctl):
    shown = of_program(PROGRAM)
    assert kvctl() == kvctl("help") == kvctl("-h") == (0, shown, "")
    for each in PROGRAM.subcommands:
        assert f"\n  {each.name}" in shown
    for flag in GLOBAL_FLAGS:
        assert f"\n  --{flag.name}" in shown


def test_a_usage_error_is_followed_by_help_and_said_on_both_streams(kvctl):
    ended = kvctl("ls", "--x")
    problem = "flag provided but not defined: -x"
    assert ended.status == 1
    assert ended.err == f"{problem}\n"
    assert ended.out.startswith(f"Incorrect Usage: {problem}\n\nkvctl ls: ")
    assert kvctl("--x").out.startswith(f"Incorrect Usage. {problem}\n\nkvctl ")


def test_values_and_their_bytes_go_through_the_streams_as_they_are():
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", ERRORS)
    out.write("é \udcff\ud800\U0001d11e\n")
    out.flush()
    assert out.buffer.getvalue() == b"\xc3\xa9 \xff\xef\xbf\xbd\xf0\x9d\x84\x9e\n"


class Closed(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


class Impatient(io.BytesIO):
    def read(self, *_):
        raise KeyboardInterrupt


def test_a_reader_that_went_away_and_ctrl_c_have_statuses_of_their_own():
    streams = Streams(Impatient(), io.StringIO(), io.StringIO())
    assert program.run([*GONE, "set", "/a"], {}, streams) == 130
    assert streams.err.getvalue() == ""
    assert program.run(["help"], {}, streams._replace(out=Closed())) == 141
