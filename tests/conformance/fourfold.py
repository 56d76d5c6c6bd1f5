"""
The same command line typed to etcdctl and to kvctl, at an etcd and at a kvd.

Each program has servers of its own, so that both see the same indexes; kvctl runs
in-process.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from kvd.testing.servers import (
    Make,
    Server,
    free_ports,
    kill_all,
    lone_member,
    start_all,
)
from tests.conformance.programs import PATIENTLY, PROGRAMS, Said

_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
# Seconds go by between two commands.
_TTL = re.compile(r'("ttl":|TTL: )(\d+)')
# What only one of the programs has to tell.
_GUESS = re.compile(r' \(possibly because of ".*?" while .*? certificate ".*?"\)')


def _rounded(seconds: int) -> int:
    """Up to twenties: what was 1000 is that for a while."""
    return -(-seconds // 20) * 20


class Typed(NamedTuple):
    """
    One row: what is typed, the exit status, what is sent to it, and the environment.

    ``{server}`` is the server's URL, ``{dead}`` one where nobody listens, ``{after1}``
    the index of the first change; other words are what the test says.
    """

    line: str
    status: int = 0
    stdin: bytes = b""
    environ: str = ""


class Four:
    """etcdctl and kvctl, each with an etcd and a kvd of its own."""

    def __init__(self, servers: dict[tuple[str, Make], Server]) -> None:
        self.servers = servers
        self.dead = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.index = 0
        self.words: dict[str, str] = {}

    @classmethod
    def lone(cls, folder: Path) -> Four:
        """Four members, each of a cluster of its own, all of which say the same."""
        servers = {}
        for name in PROGRAMS:
            for make in Make:
                server = lone_member(make, folder / name / make.value)
                server.options["advertise-client-urls"] = server.url
                servers[name, make] = server
        return cls(servers)

    def start(self) -> None:
        for server in {*self.servers.values()}:
            start_all([server])

    def kill(self) -> None:
        kill_all(list(self.servers.values()))

    def said(self, name: str, make: Make, row: Typed) -> Said:
        """What one of the programs said, in words that do not depend on places."""
        server = self.servers[name, make]
        words = {
            "server": str(server.options["advertise-client-urls"]),
            "dead": self.dead,
            **self.words,
        }
        for number in range(6):
            words[f"after{number}"] = str(self.index + number)
        line = shlex.split(row.line.format(**words))
        environ = dict(
            each.split("=", 1) for each in shlex.split(row.environ.format(**words))
        )
        endpoints = ("--endpoint", "--peers", "-C", "ENDPOINT", "PEERS")
        if not any(each.startswith(endpoints) for each in (*line, *environ)):
            line = ["--endpoints", words["server"], *line]
        status, *texts = PROGRAMS[name]([*PATIENTLY, *line], row.stdin, environ)
        return Said(status, *(self._plain(text, words) for text in texts))

    def _plain(self, text: str, words: dict[str, str]) -> str:
        for name, word in words.items():
            for shown in (word, word.partition("://")[2]):
                if ":" in shown:
                    text = text.replace(shown, f"<{name}>")
        text = _TTL.sub(lambda found: found[1] + str(_rounded(int(found[2]))), text)
        return _GUESS.sub("", _TIME.sub("<time>", text))

    def difference(
        self, row: Typed, shorten: Callable[[str], str], makes: Sequence[Make]
    ) -> str:
        """What differs between them, or from the row's exit status; or nothing."""
        told = {}
        for name in PROGRAMS:
            for make in makes:
                status, out, err = self.said(name, make, row)
                told[f"{name}, {make.value}"] = status, shorten(out), err
        statuses = {status for status, _, _ in told.values()}
        if len(set(told.values())) == 1 and statuses == {row.status}:
            return ""
        shown = "\n".join(f"{who}: {each}" for who, each in told.items())
        return f"{row.line} ({row.status} expected)\n{shown}"

    def agree(
        self,
        rows: Sequence[Typed],
        shorten: Callable[[str], str] = lambda text: text,
        makes: Sequence[Make] = tuple(Make),
    ) -> None:
        """All say the same to each row, at servers of all makes, and end as it says."""
        found = [self.difference(row, shorten, makes) for row in rows]
        found = [each for each in found if each]
        assert not found, "\n".join(found)

    def begin(self) -> None:
        """Nothing is there, and all four have the same index."""
        servers = list(self.servers.values())
        for server in servers:
            listed = json.loads(server.ask("/v2/keys")[2])["node"].get("nodes", [])
            for node in listed:
                server.ask(f"/v2/keys{quote(node['key'])}?recursive=true", "DELETE")
        self.index = max(server.etcd_index() for server in servers)
        for server in servers:
            while server.etcd_index() < self.index:
                server.ask("/v2/keys/_filler", "PUT", "value=")
