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
from tests.conformance.programs import PROGRAMS

_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")


class Typed(NamedTuple):
    """One row: what is typed, the exit status, and what is sent to it."""

    line: str
    status: int = 0
    stdin: bytes = b""


class Four:
    """etcdctl and kvctl, each with an etcd and a kvd of its own."""

    def __init__(self, folder):
        self._servers: dict[tuple[str, Make], Server] = {}
        for name in PROGRAMS:
            for make in Make:
                server = lone_member(make, folder / name / make.value)
                server.options["advertise-client-urls"] = server.url
                self._servers[name, make] = server
        self._dead = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.index = 0

    def start(self):
        for server in self._servers.values():
            start_all([server])

    def kill(self):
        kill_all(list(self._servers.values()))

    def said(self, name: str, make: Make, row: Typed, **environ: str):
        """Exit status, standard output and standard error of one of them."""
        server = self._servers[name, make]
        line = row.line.format(
            server=server.url,
            dead=self._dead,
            index=self.index,
            **{f"after{number}": self.index + number for number in range(1, 6)},
        )
        words = shlex.split(line)
        if "ENDPOINTS" not in environ and not any(
            self.names_endpoint(w) for w in words
        ):
            words = ["--endpoints", server.url, *words]
        status, *texts = PROGRAMS[name](words, row.stdin, environ)
        return status, *(self._plain(text, server) for text in texts)

    def names_endpoint(self, word: str) -> bool:
        return word.startswith(("--endpoint", "--peers", "-C"))

    def _plain(self, text: str, server: Server) -> str:
        text = text.replace(server.url, "<server>").replace(self._dead, "<dead>")
        text = text.replace(f"127.0.0.1:{server.port}", "<address>")
        text = text.replace(self._dead.removeprefix("http://"), "<dead address>")
        return _TIME.sub("<time>", text)

    def difference(self, row: Typed, shorten: Callable[[str], str]) -> str:
        """What differs between the four, or from the row's exit status; or nothing."""
        told = {
            f"{name}, {make.value}": self.said(name, make, row)
            for name in PROGRAMS
            for make in Make
        }
        told = {
            who: (status, shorten(out), err) for who, (status, out, err) in told.items()
        }
        if len(set(told.values())) == 1 and told["etcdctl, etcd"][0] == row.status:
            return ""
        shown = "\n".join(f"{who}: {each}" for who, each in told.items())
        return f"{row.line} ({row.status} expected)\n{shown}"

    def agree(
        self, rows: Sequence[Typed], shorten: Callable[[str], str] = lambda text: text
    ) -> None:
        """All four say the same to each row, and end as it says."""
        found = [self.difference(row, shorten) for row in rows]
        found = [each for each in found if each]
        assert not found, "\n".join(found)

    def begin(self) -> None:
        """Nothing is there, and all four have the same index."""
        servers = list(self._servers.values())
        for server in servers:
            listed = json.loads(server.ask("/v2/keys")[2])["node"].get("nodes", [])
            for node in listed:
                server.ask(f"/v2/keys{quote(node['key'])}?recursive=true", "DELETE")
        self.index = max(server.etcd_index() for server in servers)
        for server in servers:
            while server.etcd_index() < self.index:
                server.ask("/v2/keys/_filler", "PUT", "value=")
