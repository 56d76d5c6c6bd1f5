"""What user, role and auth print, and their exit status: both programs, both servers."""

from __future__ import annotations

import shlex

import pytest

from kvd.testing.servers import Server
from tests.conformance.oddserver import PLAIN, odd_server
from tests.conformance.programs import (
    PATIENTLY,
    PROGRAMS,
    Program,
    kvctl,
    require_etcdctl,
)

pytestmark = pytest.mark.oracle

ROOT = "--username root:pw"
ANN = "--username ann:pw"

# The command, its exit status, and what is typed when it asks for a password. At the end
# everything is as it was at the beginning, for the next program.
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
    ("user add two names", 1),
    ("user add :pw", 1),
    ("user add bob:", 1),
    ("user add bob:with:colons", 0),
    ("--username bob:with:colons user list", 0),
    ("user add bob", 0, "typed\nnot read\n"),
    ("user add 'bob b'", 0, "no line end"),
    ("user get 'bob b'", 0),
    ("user remove 'bob b'", 0),
    ("user add bert", 1, ""),
    ("user add bert", 1, "\n"),
    ("user passwd bob", 0, "again\r\n"),
    ("user passwd bob", 1),
    ("user passwd", 1),
    ("user remove bob", 0),
    ("user remove", 1),
    ("user remove ''", 1),
    ("user get", 1),
    ("user get ''", 0),
    ("user list all", 1),
    ("user get ann", 0),
    ("user get root", 0),
    ("user list", 0),
    ("user passwd ann", 0),
    ("role add reader", 0),
    ("role add reader", 1),
    ("role add root", 1),
    ("role add", 1),
    ("role add 'two words' more", 1),
    ("role add 'two words'", 0),
    ("role add café", 0),
    ("role list", 0),
    ("role get 'two words'", 0),
    ("role remove 'two words'", 0),
    ("role remove café", 0),
    ("role add x/y", 1),
    ("role add ../keys", 1),
    ("role add ''", 1),
    ("role get ''", 0),
    ("role get", 1),
    ("role remove", 1),
    ("role remove ''", 1),
    ("role remove root", 1),
    ("role list all", 1),
    ("role get reader", 0),
    ("role get root", 0),
    ("role grant reader --path /a --read", 0),
    ("role grant reader --path /a --read", 1),
    ("role grant reader --path /b* --readwrite", 0),
    ("role grant reader --path /w --write", 0),
    ("role grant reader --path a --read", 1),
    ("role grant reader --path /a", 1),
    ("role grant reader --path /a --read --write", 1),
    ("role grant reader --path /a --read --rw", 1),
    ("role grant --path /a --read", 1),
    ("role grant reader --path '' --read", 1),
    ("role grant reader --path /a/../../b/./c/ --write", 1),
    ("role grant reader --path //a//b --write", 1),
    ("role grant reader --path '*' --write", 1),
    ("role grant reader --path /slash/ --write", 0),
    ("role grant reader --path '/<&>' --write", 0),
    ("role get reader", 0),
    ("role revoke reader --path=/slash/ --write=true", 0),
    ("role revoke reader --path '/<&>' -rw", 0),
    ("role revoke nothing --path /a --rw", 1),
    ("role grant root --path /a --rw", 1),
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
    ("user grant --roles reader", 1),
    ("user grant ann --roles r1 --roles r2", 0),
    ("role add r1", 0),
    ("role add r2", 0),
    ("role add one,two", 0),
    ("user get ann", 0),
    ("role remove one,two", 0),
    ("role remove r1", 0),
    ("role remove r2", 0),
    ("user revoke ann --roles r1 --roles r2", 0),
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
    ("auth disable all", 1),
    ("auth nonsense", 3),
    ("user nonsense", 3),
    ("role nonsense", 3),
    ("user remove root", 0),
    ("user list", 0),
    ("role list", 0),
]

# What is asked, too.
DEBUG = [
    ('--debug user add "ann:p\\"w<&>"', 0),
    ("--debug user add bob", 0, "pw\x01\b\f\x7f\xa0\u2028\\\n"),
    ("--debug user list", 0),
    ("--debug user grant ann --roles r", 0),
    ("--debug user revoke ann --roles r", 0),
    ("--debug user get ann", 0),
    ("--debug user remove ann", 0),
    ("--debug user remove bob", 0),
    ("--debug role add 'a+b;c=d?e#f%g!'", 0),
    ("--debug role get 'a+b;c=d?e#f%g!'", 0),
    ("--debug role grant 'a+b;c=d?e#f%g!' --path /a --read", 0),
    ("--debug role grant 'a+b;c=d?e#f%g!' --path /a --write", 0),
    ("--debug role revoke 'a+b;c=d?e#f%g!' --path /a --rw", 0),
    ("--debug role remove 'a+b;c=d?e#f%g!'", 0),
    ("--debug role list", 0),
    ("--debug auth enable", 1),
    ("--debug auth disable", 1),
    ("--debug member list", 0),
    ("--debug member add new http://127.0.0.1:1/path", 1),
    ("--debug member update 1 http://127.0.0.1:2,http://127.0.0.1:1", 1),
    ("--debug member remove 1", 1),
]


def typed(
    server: Server, program: Program, command: str, stdin: str = ""
) -> tuple[int, str]:
    """Exit status, and all that was said."""
    words = [*PATIENTLY, "--no-sync", "--endpoints", server.url]
    done = program([*words, *shlex.split(command)], stdin.encode(), {})
    said = f"{done.out}--- stderr\n{done.err}"
    return done.status, said.replace(server.url, "<server>")


@pytest.fixture(scope="module")
def servers(lone_servers) -> list[Server]:
    require_etcdctl()
    return lone_servers()


@pytest.mark.parametrize("commands", [COMMANDS, DEBUG], ids=["printed", "asked"])
def test_commands_about_users_and_roles_print_the_same(servers, commands):
    expected: dict[str, tuple[int, str]] = {}
    for name, program in PROGRAMS.items():
        for place, (command, status, *stdin) in enumerate(commands):
            for server in servers:
                said = typed(server, program, command, *stdin)
                told = expected.setdefault(f"{place}: {command}", said)
                assert said == told, (name, server.make, command)
                assert said[0] == status, (name, server.make, said)


# etcdctl does not follow a redirect that names no host.
ODD = [*(PLAIN.keys() - {"here"}), "closes", "cut", "chunked", "torn", "old", "garbage"]


@pytest.mark.parametrize(
    "command",
    [
        "member list",
        "user grant ann --roles r",
        "role list",
        "auth enable",
        "cluster-health",
    ],
)
def test_answers_that_no_v2_server_gives_are_read_the_same(command):
    require_etcdctl()
    with odd_server() as server:
        for how in ODD:
            words = ["--no-sync", "--endpoints", f"{server}/{how}", *command.split()]
            theirs, ours = (
                program([*PATIENTLY, *words], b"", {}) for program in PROGRAMS.values()
            )
            # Go has names of its own for a value of a wrong type.
            if "json: cannot unmarshal" in theirs.err:
                theirs = theirs._replace(err=ours.err)
            assert ours == theirs, how


def test_a_name_that_nobody_has_gets_no_password(servers):
    """etcdctl creates the user, and then fails without a word."""
    for server in servers:
        status, said = typed(server, kvctl, "user passwd nobody", "secret\n")
        assert status == 1
        assert said.endswith("--- stderr\nauth: User nobody does not exist.\n")
        assert "nobody" not in typed(server, kvctl, "user list")[1]
