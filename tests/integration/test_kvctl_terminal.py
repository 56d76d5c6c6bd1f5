"""Questions for a password at a terminal, by kvctl and by etcdctl."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time

import pytest

from kvd.testing.servers import Make, kill_all, lone_member, missing_tools, start_all
from tests.integration.conftest import require

END_SECONDS = 30.0
ETCDCTL = ["etcdctl"]
KVCTL = [sys.executable, "-m", "kvd.kvctl"]


class Terminal:
    """A terminal, and one program that was started at it."""

    def __init__(self, words):
        self.shown = ""
        self._file, theirs = pty.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *words],
            env={**os.environ, "ETCDCTL_API": "2"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def wait_shown(self, text):
        """Until this is there, or the program has ended."""
        deadline = time.monotonic() + END_SECONDS
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if not self._read(1.0):
                break
        assert text in self.shown, self.shown

    def wait_hidden(self):
        """Until what is typed is not shown."""
        deadline = time.monotonic() + END_SECONDS
        while self.shows_what_is_typed():
            assert time.monotonic() < deadline, self.shown
            time.sleep(0.01)

    def shows_what_is_typed(self):
        return bool(termios.tcgetattr(self._file)[3] & termios.ECHO)

    def type(self, text):
        os.write(self._file, text.encode())

    def end(self):
        """Everything that was shown, and the exit status; the terminal stays open."""
        deadline = time.monotonic() + END_SECONDS
        while self._read(1.0):
            assert time.monotonic() < deadline, self.shown
        return self.shown, self._process.wait(END_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()  # unless it has ended
        self._process.wait()
        os.close(self._file)

    def _read(self, seconds):
        """Whether there may be more."""
        if not select.select([self._file], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._file, 4096)
        except OSError:  # the program has ended
            return False
        self.shown += data.decode()
        return bool(data)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = lone_member(Make.KVD, tmp_path_factory.mktemp("alone"))
    try:
        start_all([server])
        yield server
    finally:
        kill_all([server])


def at(server, program, line):
    # etcdctl counts the time at a question, too.
    flags = ["--timeout", "20s", "--total-timeout", "50s", "--endpoints", server.url]
    return Terminal([*program, *flags, "--no-sync", *line.split()])


def answered(server, program, line, *answers):
    """What is shown and the exit status, when each question has its answer."""
    with at(server, program, line) as terminal:
        for question, answer in answers:
            terminal.wait_shown(question)
            terminal.wait_hidden()
            terminal.type(f"{answer}\n")
        return terminal.end()


@pytest.mark.parametrize("program", [ETCDCTL, KVCTL], ids=["etcdctl", "kvctl"])
def test_passwords_are_asked_for_and_not_shown(server, program):
    if program is ETCDCTL:
        require(not missing_tools("etcdctl"), "etcdctl (Debian: etcd-client)")
    new = ("New password: ", "öffne dich")
    shown = answered(server, program, "user add root", new)
    assert shown == ("New password: \r\nUser root created\r\n", 0)
    shown = answered(server, program, "user passwd root", new)
    assert shown == ("New password: \r\nPassword updated\r\n", 0)
    assert answered(server, program, "auth enable")[1] == 0
    own = ("Password: ", new[1])
    shown = answered(
        server, program, "-u root user add ann", own, ("New password: ", "x")
    )
    assert shown == ("Password: \r\nNew password: \r\nUser ann created\r\n", 0)
    shown = answered(server, program, "-u root user list", ("Password: ", "wrong"))
    said = "Password: \r\nInsufficient credentials\r\n"
    if program is KVCTL:  # it may say more at a terminal, and there alone
        said += "hint: --username NAME says who asks: here it has to be a user in the "
        said += "role root\r\n"
    assert shown == (said, 1)
    assert answered(server, program, "-u root auth disable", own)[1] == 0
    for name in ("ann", "root"):
        assert answered(server, program, f"user remove {name}")[1] == 0


def test_a_terminal_that_was_left_with_ctrl_c_shows_what_is_typed_again(server):
    with at(server, KVCTL, "user add ann") as terminal:
        terminal.wait_shown("New password: ")
        terminal.wait_hidden()
        terminal.type("half a pass\x03")
        assert terminal.end() == ("New password: \r\n", 130)
        assert terminal.shows_what_is_typed()
    assert answered(server, KVCTL, "user list") == ("", 0)
