"""What etcdctl's user, role and auth print, and their exit status, on kvd and etcd."""

from __future__ import annotations

import os
import subprocess

import pytest

from kvd.testing.servers import Server, missing_tools

pytestmark = pytest.mark.oracle

COMMAND_SECONDS = 30
ROOT = "--username root:pw"
ANN = "--username ann:pw"

# The command, and its exit status; each pair of servers is asked them in this order.
COMMANDS = [
    ("user list", 0),
    ("role list", 0),
    ("auth enable", 1),
    ("auth disable", 1),
    ("user get nobody", 1),
    ("user remove nobody", 1),
    ("user grant nobody --roles r", 1),
    ("role get nothing", 1),
    ("role remove nothing", 1),
    ("role grant nothing --path /a --read", 1),
    ("user add root:pw", 0),
    ("user add root:pw", 0),  # then it sets the password
    ("user add ann:pw", 0),
    ("user add", 1),
    ("user get ann", 0),
    ("user get root", 0),
    ("user list", 0),
    ("user passwd ann", 0),
    ("role add reader", 0),
    ("role add reader", 1),
    ("role add root", 1),
    ("role get reader", 0),
    ("role get root", 0),
    ("role grant reader --path /a --read", 0),
    ("role grant reader --path /a --read", 1),
    ("role grant reader --path /b* --readwrite", 0),
    ("role grant reader --path /w --write", 0),
    ("role grant reader --path a --read", 1),
    ("role grant reader --path /a", 1),
    ("role grant reader --path /a --read --write", 1),
    ("role grant reader --read", 1),
    ("role get reader", 0),
    ("role revoke reader --path /w --write", 0),
    ("role revoke reader --path /w --write", 1),
    ("role get reader", 0),
    ("role list", 0),
    ("user grant ann --roles reader", 0),
    ("user grant ann --roles reader", 1),
    ("user grant ann --roles one,two", 0),
    ("user grant ann", 1),
    ("user get ann", 1),
    ("user revoke ann --roles one,two", 0),
    ("user revoke ann --roles never", 1),
    ("user get ann", 0),
    ("set /a one", 0),
    ("auth enable", 0),
    ("auth enable", 1),
    (f"{ROOT} auth enable", 1),
    ("user list", 1),
    ("role list", 1),
    ("user get ann", 1),
    ("role add other", 1),
    ("user add other:pw", 1),
    ("user remove ann", 1),
    ("auth disable", 1),
    (f"{ANN} user list", 1),
    ("--username root:wrong user list", 1),
    ("--username nobody:pw get /a", 4),
    (f"{ROOT} user list", 0),
    (f"{ROOT} role list", 0),
    (f"{ROOT} role get guest", 0),
    (f"{ROOT} user remove root", 1),
    ("get /a", 0),
    (f"{ROOT} role revoke guest --path /* --readwrite", 0),
    ("get /a", 4),
    ("set /a two", 4),
    ("ls /", 4),
    (f"{ANN} get /a", 0),
    (f"{ANN} set /a two", 4),
    (f"{ANN} set /b/k two", 0),
    (f"{ANN} get /b/k", 0),
    (f"{ANN} rm --recursive /b", 0),
    (f"{ANN} ls /", 4),
    (f"{ROOT} user remove ann", 0),
    (f"{ANN} get /a", 4),
    (f"{ROOT} role remove reader", 0),
    (f"{ROOT} role remove guest", 0),
    (f"{ROOT} auth disable", 0),
    ("auth disable", 1),
    ("user remove root", 0),
    ("user list", 0),
]


def typed(server: Server, command: str) -> tuple[int, str]:
    """Exit status, and all that was said."""
    done = subprocess.run(
        ["etcdctl", "--no-sync", "--endpoints", server.url, *command.split()],
        env={**os.environ, "ETCDCTL_API": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    said = f"{done.stdout}--- stderr\n{done.stderr}"
    return done.returncode, said.replace(server.url, "<server>")


def test_commands_about_users_and_roles_print_the_same(lone_servers):
    missing = missing_tools("etcdctl")
    if missing and os.environ.get("CI") != "true":
        pytest.skip("no etcdctl (Debian: etcd-client)")
    assert not missing
    oracle, subject = lone_servers()
    for command, status in COMMANDS:
        told, ours = typed(oracle, command), typed(subject, command)
        assert ours == told, command
        assert ours[0] == status, (command, ours)
