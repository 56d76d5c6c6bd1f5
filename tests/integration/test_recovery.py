"""The steps of docs/recovery.rst, typed as they stand, and what must come of them."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import threading
import time
from http.client import HTTPConnection, HTTPException

import pytest

from kvd import backup
from kvd.kvctl import program
from kvd.kvctl.streams import Streams
from kvd.testing.servers import FORM, HOST
from tests.integration.reader import END_SECONDS, Chapter, Reader, needs_clients

FORCE = "force-new-cluster: "


class Operator(Reader):
    """Who goes through the page, and looks at what is in the stores."""

    def ask(self, port, path, method="GET", form=None):
        connection = HTTPConnection(HOST, int(self.ports[port]), timeout=20)
        try:
            connection.request(method, path, form, FORM if form else {})
            answer = connection.getresponse()
            return answer.status, answer.headers, json.loads(answer.read() or b"null")
        finally:
            connection.close()


@pytest.fixture
def operator(tmp_path):
    needs_clients()
    made = Operator(tmp_path)
    yield made
    made.kill()


class Writer:
    """Writes on and on; what is acknowledged is remembered."""

    def __init__(self, operator, port):
        self.operator = operator
        self.port = port
        self.acknowledged = []
        self.stopping = False
        # A test that fails does not stop it.
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        number = 0
        while not self.stopping:
            number += 1
            try:
                status, _, _ = self.operator.ask(
                    self.port, "/v2/keys/queue", "POST", f"value={number}"
                )
            except (OSError, HTTPException):
                continue
            if status == 201:
                self.acknowledged.append(str(number))

    def stop(self):
        self.stopping = True
        self.thread.join()


def content(operator, port, *, quorum="true"):
    path = f"/v2/keys/?recursive=true&sorted=true&quorum={quorum}"
    status, headers, body = operator.ask(port, path)
    assert status == 200
    nodes = {}

    def walk(node):
        for child in node.get("nodes", ()):
            nodes[child["key"]] = {
                name: child.get(name)
                for name in ("value", "createdIndex", "modifiedIndex", "expiration")
            }
            walk(child)

    walk(body["node"])
    return int(headers["X-Etcd-Index"]), nodes


def cluster_id(operator, port):
    return operator.ask(port, "/v2/members")[1]["X-Etcd-Cluster-Id"]


def add_one(chapter, first, voters):
    """Step 4 or 5: added, started, caught up."""
    chapter.type("member add")
    added = chapter.start("--initial-cluster-state existing")
    first.wait_said(f"voters={voters} learners=0")
    return added


def kvd_backup(arguments):
    said = []
    return backup.main(arguments, out=said.append, err=said.append), "".join(said)


def kvctl_backup(arguments):
    out = io.StringIO()
    status = program.run(["backup", *arguments], {}, Streams(io.BytesIO(), out, out))
    return status, out.getvalue()


@pytest.mark.parametrize("type_backup", [kvd_backup, kvctl_backup])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ""),
        (["--bogus"], "flag provided but not defined: -bogus"),
        (["--data-dir"], "flag needs an argument: -data-dir"),
        (["--data-dir", "nowhere", "--backup-dir", "b"], "nowhere"),
        (["-data-dir=nowhere", "-backup-dir=b", "-wal-dir=w", "-with-v3"], "nowhere"),
    ],
)
def test_flags_and_statuses_are_etcdctls(
    tmp_path, monkeypatch, etcdctl_installed, arguments, words, type_backup
):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    theirs = subprocess.run(
        ["etcdctl", "backup", *arguments],
        env={**os.environ, "ETCDCTL_API": "2"},
        cwd=tmp_path / "theirs",
        capture_output=True,
        text=True,
        check=False,
    )
    monkeypatch.chdir(tmp_path / "ours")
    status, said = type_backup(arguments)
    assert status == theirs.returncode
    assert words in theirs.stdout + theirs.stderr
    assert words in said
    assert list((tmp_path / "ours").iterdir()) == []
    if arguments == ["--help"]:
        flags = re.findall(r"^ +(--[a-z0-9-]+)", theirs.stdout, re.MULTILINE)
        assert len(flags) == 5
        assert [flag for flag in flags if f"  {flag}" not in said] == []


def test_backup_restore_lost_majority_and_moving(operator):
    page = Chapter(operator, "docs/recovery.rst")
    operator.three()
    put = operator.ask
    assert put("12379", "/v2/keys/motto", "PUT", "value=two+of+three")[0] == 201
    assert put("22379", "/v2/keys/soon", "PUT", "value=1&ttl=3600")[0] == 201
    # A backup of a member that is at work.
    writer = Writer(operator, "12379")
    while len(writer.acknowledged) < 50:
        time.sleep(0.01)
    before = list(writer.acknowledged)
    page.type("backups/monday")
    writer.stop()
    page.type("backups/check")
    index, nodes = content(operator, "12379")
    old_cluster = cluster_id(operator, "12379")
    assert operator.stop() == [0, 0, 0]

    # All of it from the backup.
    page.type("mv etcd-1.kvd")
    page.type("cp -a backups/monday")
    forced = page.start("--force-new-cluster")
    assert forced.said().count(FORCE) == 5
    new_index, restored = content(operator, "12379")
    assert restored.items() <= nodes.items(), "every index is what it was"
    queue = {node["value"] for key, node in restored.items() if "/queue/" in key}
    assert set(before) <= queue
    assert "/soon" in restored
    # Three were removed, one was added, and it told its name.
    last = max(node["modifiedIndex"] for node in restored.values())
    assert last < new_index <= index + 3 * 2 + 3
    page.type("/v2/keys/motto")
    event = operator.ask(
        "12379", f"/v2/keys/queue?recursive=true&wait=true&waitIndex={last}"
    )
    assert event[2]["node"]["modifiedIndex"] == last
    assert operator.end_one(forced) == 0
    again = list(page.left)
    first = page.start("etcd-1.yml")
    assert FORCE not in first.said()

    # A member of the old cluster disturbs nobody.
    ghost = operator.start(
        "kvd --config conf/cluster/etcd-2.yml --data-dir old/etcd-2.kvd"
    )
    first.wait_said(f"cluster {old_cluster} knocked at")
    assert put("12379", "/v2/keys/alone", "PUT", "value=1")[0] == 201
    assert operator.end_one(ghost) == 0

    second = add_one(page, first, 2)
    third = add_one(page, first, 3)
    page.type("cluster-health")
    assert content(operator, "32379") == content(operator, "12379")
    new_cluster = cluster_id(operator, "12379")
    assert new_cluster != old_cluster

    # To another machine, which is another port here.
    assert operator.end_one(third) == 0
    page.type("member update")
    third = page.start("--data-dir moved.kvd")
    assert content(operator, "42379") == content(operator, "12379")

    # Two of three are lost; what was acknowledged last is not.
    writer = Writer(operator, "12379")
    while len(writer.acknowledged) < 50:
        time.sleep(0.01)
    for member in (second, third, first):
        operator.end_one(member, signal.SIGKILL)
    writer.stop()
    (operator.folder / "etcd-2.kvd").rename(operator.folder / "ghost.kvd")
    survivor = page.start("--force-new-cluster")
    assert page.left == []
    assert survivor.said().count(FORCE) == 3
    _, nodes = content(operator, "12379")
    queue = {node["value"] for key, node in nodes.items() if "/queue/" in key}
    assert set(writer.acknowledged) <= queue
    assert cluster_id(operator, "12379") == new_cluster
    assert operator.end_one(survivor) == 0
    page.left = again
    first = page.start("etcd-1.yml")
    # A member that was removed is told so, and ends.
    ghost = operator.start("kvd --config conf/cluster/etcd-2.yml --data-dir ghost.kvd")
    assert ghost.process.wait(END_SECONDS) == 1
    assert "removed" in ghost.said()
    operator.servers.remove(ghost)
    assert put("12379", "/v2/keys/alone", "PUT", "value=2")[0] == 200
    add_one(page, first, 2)
    assert content(operator, "22379") == content(operator, "12379")
