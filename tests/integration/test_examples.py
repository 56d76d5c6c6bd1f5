"""The programs of docs/examples, each as processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from kvd.testing.servers import (
    HOST,
    Make,
    free_ports,
    kill_all,
    lone_member,
    start_all,
)
from tests.integration.pages import ROOT

EXAMPLES = ROOT / "docs" / "examples"
SECONDS = 60
# Of a leadership, and how much of it is for stopping: a machine under load may let a
# process wait for a second.
TTL = 6
MARGIN = 2


def until(holds, what):
    """Return what it returned once that is true."""
    deadline = time.monotonic() + SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)
    return found


class Programs:
    """Of one test; nothing of them outlives it."""

    def __init__(self, folder):
        self.folder = folder
        self.running = {}

    def start(self, name, *command, **environment):
        with open(self.folder / f"{name}.out", "ab") as out:
            self.running[name] = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def said(self, name):
        return (self.folder / f"{name}.out").read_text()

    def all_said(self):
        return "\n".join(f"{name}:\n{self.said(name)}" for name in self.running)

    def kill(self, name):
        self.running[name].kill()
        self.running.pop(name).wait()

    def end(self, name):
        """As an operator ends it; its exit status."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(SECONDS)

    def close(self):
        for name in list(self.running):
            self.kill(name)


@pytest.fixture
def programs(tmp_path):
    made = Programs(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    server = lone_member(Make.KVD, tmp_path_factory.mktemp("alone"))
    try:
        start_all([server])
        yield server
    finally:
        kill_all([server])


# -- a rate limit -------------------------------------------------------------------------


def ask(port):
    """Status and headers of one visit."""
    connection = HTTPConnection(HOST, port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        return answer.status, dict(answer.getheaders())


def test_three_instances_share_a_rate_limit(programs):
    ports = free_ports(9)
    names = ("one", "two", "three")
    peers = [f"http://{HOST}:{port}" for port in ports[:3]]
    cluster = ",".join(f"{name}={url}" for name, url in zip(names, peers, strict=True))
    for name, client, web in zip(names, ports[3:6], ports[6:], strict=True):
        programs.start(
            name,
            str(EXAMPLES / "rate_limit.py"),
            f"--name={name}",
            f"--cluster={cluster}",
            f"--client=http://{HOST}:{client}",
            f"--data={name}.kvd",
            f"--web={web}",
            "--limit=7",
            "--seconds=600",
        )
    webs = ports[6:]
    # Whoever is first waits for the cluster.
    until(lambda: all(map(_listens, webs)), programs.all_said)
    with ThreadPoolExecutor(12) as visitors:
        answers = list(visitors.map(ask, webs * 12))
    assert Counter(status for status, _ in answers) == {200: 7, 429: 29}
    refused = [headers for status, headers in answers if status == 429]
    assert all(0 < int(each["Retry-After"]) <= 600 for each in refused)
    # What was counted outlives an instance.
    programs.kill("one")
    status = until(
        lambda: {ask(port)[0] for port in webs[1:]} - {503} or None,
        programs.all_said,
    )
    assert status == {429}
    assert programs.end("two") in {0, -signal.SIGTERM}


def _listens(port):
    with (
        contextlib.suppress(OSError),
        contextlib.closing(HTTPConnection(HOST, port)) as c,
    ):
        c.connect()
        return True
    return False


# -- a pool of workers --------------------------------------------------------------------


def tree(server, path):
    """Names and values below a directory, or trees of them."""
    status, _, body = server.ask(f"/v2/keys{path}?recursive=true&quorum=true")
    return _tree(json.loads(body)["node"]) if status == 200 else {}


def _tree(node):
    if not node.get("dir"):
        return node["value"]
    return {
        each["key"].rpartition("/")[2]: _tree(each) for each in node.get("nodes", ())
    }


def test_a_pool_of_workers_goes_on_when_its_leader_dies(programs, alone):
    names = ("w1", "w2", "w3")
    for name in names:
        programs.start(
            name,
            str(EXAMPLES / "worker_pool.py"),
            f"--endpoints={alone.url}",
            f"--name={name}",
        )
    until(lambda: len(tree(alone, "/pool/workers")) == 3, programs.all_said)
    texts = [f"task {number}" for number in range(45)]
    for text in texts:
        form = f"value={text.replace(' ', '+')}"
        assert alone.ask("/v2/keys/pool/tasks", "POST", form)[0] == 201
    # All of them have work, and have not done it all.
    until(lambda: workers(alone) == {*names}, programs.all_said)
    programs.kill(until(lambda: leader_of(programs), programs.all_said))
    until(lambda: len(tree(alone, "/pool/done")) == len(texts), programs.all_said)
    done = tree(alone, "/pool/done").values()
    assert {each.partition(" (by ")[0] for each in done} == {
        each.upper() for each in texts
    }
    until(lambda: not tree(alone, "/pool/tasks"), programs.all_said)
    until(lambda: leader_of(programs), programs.all_said)
    assert all("Traceback" not in programs.said(name) for name in programs.running)


def workers(server):
    """Who has done anything."""
    done = tree(server, "/pool/done").values()
    return {each.partition(" (by ")[2].removesuffix(")") for each in done}


def leader_of(programs):
    """Of those that run; whoever said last that it leads."""
    last = {name: programs.said(name).splitlines()[-1:] for name in programs.running}
    leaders = [name for name, said in last.items() if said == [f"{name} leads"]]
    return leaders[0] if len(leaders) == 1 else None


# -- a service on the leader alone --------------------------------------------------------


@pytest.fixture
def reporters(programs, alone):
    def start(name, *what):
        programs.start(
            name,
            "-c",
            "from twisted.scripts.twistd import run; run()",
            "-n",
            "--pidfile=",
            "kvd-when-leader",
            f"--endpoints={alone.url}",
            f"--election=/elections/{programs.folder.name}",
            f"--name={name}",
            f"--ttl={TTL}",
            f"--margin={MARGIN}",
            *what,
            REPORT=str(programs.folder / "report"),
        )

    return start


def report(programs):
    """Token, process and word of each line."""
    file = programs.folder / "report"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.split() for line in lines]


def began(programs):
    return [line for line in report(programs) if line[2] == "begins"]


def led_by(programs, count):
    """Wait for so many beginnings; whose the last one was."""
    found = until(
        lambda: (lines := began(programs)) and len(lines) >= count and lines,
        programs.all_said,
    )
    pids = {str(each.pid): name for name, each in programs.running.items()}
    return pids[found[-1][1]]


def test_a_service_runs_on_the_leader_and_moves_when_that_ends_or_dies(
    programs, reporters
):
    tac = str(EXAMPLES / "reporter.tac")
    reporters("a", "--", tac)
    assert led_by(programs, 1) == "a"
    reporters("b", "--", tac)
    until(lambda: "a leads" in programs.said("b"), programs.all_said)
    # Ended: the next one begins once this one has stopped.
    assert programs.end("a") in {0, -signal.SIGTERM}
    assert led_by(programs, 2) == "b"
    lines = [line[2] for line in report(programs) if line[2] != "works"]
    assert lines == ["begins", "ends", "begins"]
    # Killed: the next one begins once the leadership has run out.
    reporters("c", "--", tac)
    until(lambda: "b leads" in programs.said("c"), programs.all_said)
    programs.kill("b")
    assert led_by(programs, 3) == "c"
    tokens = [int(line[0]) for line in report(programs)]
    assert tokens == sorted(tokens)
    assert len(set(tokens)) == 3
    # Stopped for too long: it does nothing more when it goes on.
    process = programs.running["c"]
    process.send_signal(signal.SIGSTOP)
    time.sleep(MARGIN)
    written = report(programs)
    process.send_signal(signal.SIGCONT)
    assert process.wait(SECONDS) == -signal.SIGALRM
    assert report(programs) == written


STUCK = """
import sys, time
from twisted.application.service import Application, Service
from twisted.internet import reactor

class Stuck(Service):
    def startService(self):
        print("begins", flush=True)
        reactor.callLater(0.2, self.stand_still)

    def stand_still(self):
        while True:
            time.sleep(1)

application = Application("stuck")
Stuck().setServiceParent(application)
"""


def test_a_process_that_stands_still_is_ended_before_another_one_leads(
    programs, reporters
):
    stuck = programs.folder / "stuck.tac"
    stuck.write_text(STUCK)
    reporters("a", "--", str(stuck))
    until(lambda: "begins" in programs.said("a"), programs.all_said)
    reporters("b", "--", str(EXAMPLES / "reporter.tac"))
    process = programs.running["a"]
    until(lambda: process.poll() is not None or began(programs), programs.all_said)
    assert not began(programs), "nobody else began before the process had ended"
    assert process.returncode == -signal.SIGALRM
    assert led_by(programs, 1) == "b"


def test_a_plugin_of_twistds_runs_on_the_leader(programs, reporters):
    (port,) = free_ports(1)
    (programs.folder / "index.html").write_text("here")
    web = (
        "--",
        "web",
        f"--listen=tcp:{port}:interface={HOST}",
        f"--path={programs.folder}",
    )
    reporters("a", *web)
    until(lambda: _listens(port), programs.all_said)
    assert ask(port)[0] == 200
    reporters("b", *web)
    until(lambda: "a leads" in programs.said("b"), programs.all_said)
    programs.end("a")
    until(lambda: "leading, with token" in programs.said("b"), programs.all_said)
    until(lambda: _listens(port), programs.all_said)
