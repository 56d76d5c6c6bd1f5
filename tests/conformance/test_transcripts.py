"""What etcdctl and kvctl print, and their exit status, against kvd and against etcd."""

from __future__ import annotations

import json
import re
import time

import pytest

from kvd.testing.servers import Server
from tests.conformance.programs import PATIENTLY, PROGRAMS, Program, require_etcdctl

pytestmark = pytest.mark.oracle

ELECTION_MS = 500
NEW = "http://127.0.0.1:9"  # nobody is there, and nobody is to answer
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{12,16}(?![0-9a-f])")
# etcdctl asks the endpoints in an order of chance.
_NUMBER = re.compile(r"(?:; )?error #\d+: ")


class Operator:
    """
    Somebody who types commands for one of the clusters.

    :ivar words: what this cluster calls so, and a word for both.
    """

    def __init__(self, servers: list[Server]) -> None:
        self.endpoints = ",".join(server.url for server in servers)
        leads = servers[0].leader_name()
        self.servers = sorted(servers, key=lambda each: each.name != leads)
        self.words: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        members = json.loads(servers[0].ask("/v2/members")[2])["members"]
        by_name = {member["name"]: member for member in members}
        for word, server in zip(
            ("first", "second", "third"), self.servers, strict=True
        ):
            member = by_name[server.name]
            self.words[member["peerURLs"][0]] = f"<peer URL of {word}>"
            self.words[member["clientURLs"][0]] = f"<client URL of {word}>"
            self.words[member["clientURLs"][0].removeprefix("http://")] = f"<{word}>"
            self.words[f"name={server.name} "] = f"name=<{word}> "
            self.words[f"{server.name}=<peer"] = f"<{word}>=<peer"
            self.words[f" named {server.name};"] = f" named <{word}>;"
            self.words[f" ID of {server.name}."] = f" ID of <{word}>."
            self.words[member["id"]] = f"<id of {word}>"
            self.ids[word] = member["id"]
            self.ids[f"{word} name"] = server.name
            self.ids[f"{word} url"] = member["peerURLs"][0]

    def type(self, command: str, program: Program) -> tuple[int, list[str]]:
        """Exit status and lines; what is ordered by chance is put in order."""
        words = command.format(**self.ids).split()
        done = program([*PATIENTLY, "--endpoints", self.endpoints, *words], b"", {})
        said = f"{done.out}--- stderr\n{done.err}"
        said = re.sub(r"\b(?:etcd|kv)ctl member", "<program> member", said)
        added = re.search(r"Added member named new with ID ([0-9a-f]+) ", said)
        if added:
            self.ids["new"] = added[1]
            self.words[added[1]] = "<id of new>"
        for own, word in self.words.items():
            said = said.replace(own, word)
        said = _NUMBER.sub("\nerror: ", said)
        assert not _ID.search(said), said  # an id that nobody has
        return done.status, sorted(map(_in_order, said.splitlines()))


def _in_order(line: str) -> str:
    """The founders in the environment of a new member come in the order of their ids."""
    name, _, value = line.partition("ETCD_INITIAL_CLUSTER=")
    return line if not value else f"{name}{sorted(value.strip(chr(34)).split(','))}"


# The command, and its exit status.
HEALTHY = [
    ("member list", 0),
    ("member list all", 1),
    ("cluster-health", 0),
    ("cluster-health all", 0),
    (f"member add new {NEW}", 0),
    ("member list", 0),
    ("-o json member list", 0),
    ("cluster-health", 5),
    ("member add other {first url}", 1),
    ("member add other", 1),
    ("member add other bad", 1),
    ("member add other 127.0.0.1:1", 1),
    ("member add other http://127.0.0.1:1,http://127.0.0.1:2", 1),
    ("member add other http://127.0.0.1", 1),
    ("member add other http://127.0.0.1:x", 1),
    ("member add other http://127.0.0.1:1 more", 1),
    ("member add other http://127.0.0.1:1/path", 1),
    ("member update {new} http://127.0.0.1:8,http://127.0.0.1:7", 0),
    ("member list", 0),
    ("member update {new} {first url}", 1),
    ("member update {new} ftp://127.0.0.1:8", 1),
    ("member update {new}", 1),
    ("member update {new} http://127.0.0.1:8,", 1),
    ("member update 1 http://127.0.0.1:8", 1),
    ("member update zz http://127.0.0.1:6", 1),
    ("member remove zz", 1),
    ("member remove 1", 1),
    ("member remove", 1),
    ("member remove {first} {second}", 1),
    ("member remove {second name}", 1),
    ("member remove {new}", 0),
    ("member remove {new}", 1),
    ("member update {new} http://127.0.0.1:5", 1),
    ("member list", 0),
    ("cluster-health", 0),
    ("member nonsense", 3),
]
DEGRADED = [("cluster-health", 5), ("member list", 0), ("role list", 0)]
UNAVAILABLE = [("cluster-health", 5), ("member list", 1), ("role list", 0)]
NOBODY = [
    ("cluster-health", 4),
    ("member list", 2),
    ("member remove 1", 2),
    ("member add new bad", 2),
    ("user list", 2),
    ("user add ann", 2),
    ("role grant r --path /a --read", 2),
    ("auth enable", 2),
    ("--no-sync cluster-health", 4),
    ("--no-sync member list", 1),
    ("--no-sync member remove 1", 1),
    ("--no-sync user get ann", 1),
    ("--no-sync role add r", 1),
    ("--no-sync role grant r --path /a --read", 1),
    ("--no-sync auth disable", 1),
]


@pytest.fixture(scope="module")
def operators(make_clusters) -> list[Operator]:
    require_etcdctl()
    options = {
        "strict-reconfig-check": False,
        "join-as-voter": True,
        "election-timeout": ELECTION_MS,
    }
    return [Operator(servers) for servers in make_clusters(**options)]


def compare(operators: list[Operator], commands: list[tuple[str, int]]) -> None:
    """Each program does all of it at each cluster; etcdctl at etcd's is the first."""
    expected: dict[str, tuple[int, list[str]]] = {}
    for name, program in PROGRAMS.items():
        for place, (command, status) in enumerate(commands):
            for operator in operators:
                said = operator.type(command, program)
                told = expected.setdefault(f"{place}: {command}", said)
                assert said == told, (name, command)
                assert said[0] == status, (name, command)
            if command.startswith("member") and status == 0:
                time.sleep(0.1)  # etcd forgets a change that comes too early


def test_commands_about_members_and_health_print_the_same(operators) -> None:
    compare(operators, HEALTHY)
    for commands, place in ((DEGRADED, 2), (UNAVAILABLE, 0), (NOBODY, 1)):
        for operator in operators:
            operator.servers[place].kill()
        if commands is UNAVAILABLE:
            time.sleep(3 * ELECTION_MS / 1000)  # until the last one misses its leader
        compare(operators, commands)
        if commands is UNAVAILABLE:
            # They refuse it in other words: etcd lets the client wait.
            add = f"--timeout 2s --total-timeout 5s member add new {NEW}"
            for program in PROGRAMS.values():
                refusals = [operator.type(add, program) for operator in operators]
                assert [status for status, _ in refusals] == [1, 1]
