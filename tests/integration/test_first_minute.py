"""
What goes wrong in the first minute: one line that names the option and what to do.

All rows run at once, each as the process that an operator starts; etcd runs beside, and
where it ends, too, the exit status is the same.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import attrs
import pytest

from kvd.testing.servers import free_ports, missing_tools

KVD = (sys.executable, "-c", "from kvd.command import main; main()")
SECONDS = 120


@attrs.frozen
class Row:
    """
    :ivar flags: ``{folder}``, ``{taken}`` (a port in use), ``{free}`` are filled in.
    :ivar line: how the one line begins, without the folder.
    :ivar fix: what it says should be done, or what was expected.
    :ivar etcd: whether etcd 3.4 ends as well.
    """

    name: str
    flags: str
    line: str
    fix: str
    status: int = 1
    etcd: bool = True


ROWS = (
    Row(
        "no such file",
        "--config-file {folder}/none.yml",
        "config-file: {folder}/none.yml:",
        "No such file or directory",
    ),
    Row(
        "a file that cannot be read",
        "--config-file {folder}",
        "config-file: {folder}:",
        "Is a directory",
    ),
    Row(
        "a file that is something else",
        "--config-file {folder}/binary",
        "{folder}/binary:1:7:",
        "expected UTF-8, found byte 0xff",
    ),
    Row(
        "an option of the file is wrong",
        "--config-file {folder}/wrong.yml",
        "snapshot-count:",
        'expected a whole number from 0 to 1000000000 (got "many", {folder}/wrong.yml:2)',
    ),
    Row(
        "a flag that does not exist",
        "--listen-client-url http://127.0.0.1:1",
        "flag provided but not defined: -listen-client-url",
        "did you mean --listen-client-urls?",
        status=2,
    ),
    Row(
        "the client port is in use",
        "--listen-client-urls http://127.0.0.1:{taken} "
        "--advertise-client-urls http://127.0.0.1:{taken} "
        "--listen-peer-urls http://127.0.0.1:{free} --data-dir {folder}/a",
        "cannot start: listen-client-urls: cannot listen on http://127.0.0.1:{taken}:",
        "Address already in use; expected a free address of this machine",
    ),
    Row(
        "the peer port is in use",
        "--listen-peer-urls http://127.0.0.1:{taken} --data-dir {folder}/b "
        "--listen-client-urls http://127.0.0.1:{free} "
        "--advertise-client-urls http://127.0.0.1:{free}",
        "cannot start: listen-peer-urls: cannot listen on http://127.0.0.1:{taken}:",
        "Address already in use; expected a free address of this machine",
    ),
    Row(
        "the address is another machine's",
        "--listen-peer-urls http://192.0.2.77:{free} --data-dir {folder}/c "
        "--listen-client-urls http://127.0.0.1:{free} "
        "--advertise-client-urls http://127.0.0.1:{free}",
        "cannot start: listen-peer-urls: cannot listen on http://192.0.2.77:",
        "Cannot assign requested address; expected a free address of this machine",
    ),
    Row(
        "the data folder cannot be made",
        "--data-dir /proc/kvd/data {ports}",
        "cannot start: data-dir",
        "/proc/kvd",
    ),
    Row(
        "there is a file in the way of the data folder",
        "--data-dir {folder}/binary {ports}",
        "cannot start: data-dir",
        "{folder}/binary",
    ),
    Row(
        "the log's folder cannot be made",
        "--wal-dir /proc/kvd/wal --data-dir {folder}/d {ports}",
        "cannot start: wal-dir",
        "/proc/kvd",
        etcd=False,  # it panics
    ),
    Row(
        "the name is none of the founders",
        "--name m9 --initial-cluster m1=http://127.0.0.1:1 --data-dir {folder}/e {ports}",
        'initial-cluster: couldn\'t find local name "m9" in the initial cluster',
        '(got "m1=http://127.0.0.1:1", flag --initial-cluster)',
    ),
    Row(
        "the own URL is another one than the founders know",
        "--name m1 --initial-cluster m1=http://127.0.0.1:1,m1=http://127.0.0.1:2 "
        "--initial-advertise-peer-urls http://127.0.0.1:2 --data-dir {folder}/f {ports}",
        "initial-advertise-peer-urls: --initial-cluster has m1=http://127.0.0.1:1 but "
        "missing from --initial-advertise-peer-urls=http://127.0.0.1:2",
        "flag --initial-advertise-peer-urls)",
    ),
    Row(
        "the log cannot be written",
        "--log-outputs {folder}/none/log --logger zap --data-dir {folder}/g {ports}",
        "cannot start: log-outputs: cannot write to {folder}/none/log:",
        "No such file or directory; expected default, stdout, stderr or a file",
    ),
    Row(
        "https without a certificate",
        "--listen-peer-urls https://127.0.0.1:{free} --data-dir {folder}/h",
        "peer-cert-file: TLS key/cert (--peer-cert-file, --peer-key-file) must be "
        "provided for peer url https://127.0.0.1:{free} with HTTPS scheme",
        "flag --listen-peer-urls)",
    ),
    Row(
        "nothing to serve",
        "--enable-v2=false --data-dir {folder}/i {ports}",
        "enable-v2: the v2 API is the one that kvd serves",
        "nothing would be served",
        etcd=False,
    ),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """What every row's processes said, by name: kvd's and etcd's."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "binary").write_bytes(b"name: \xff")
    (folder / "wrong.yml").write_text("name: m1\nsnapshot-count: many\n")
    environment = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("ETCD_", "KVD_"))
    }
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        taken = listening.getsockname()[1]
        running = {}
        etcd = [] if missing_tools("etcd") else ["etcd"]
        places = {}
        for row in ROWS:
            free, other = free_ports(2)
            places[row.name] = place = {
                "folder": folder,
                "taken": taken,
                "free": free,
                "ports": f"--listen-peer-urls http://127.0.0.1:{free} "
                f"--listen-client-urls http://127.0.0.1:{other} "
                f"--advertise-client-urls http://127.0.0.1:{other}",
            }
            arguments = row.flags.format(**place).split()
            for command in (KVD, *((name,) for name in etcd if row.etcd)):
                running[row.name, command[0] == "etcd"] = subprocess.Popen(
                    [*command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    cwd=folder,
                    env=environment,
                )
        said = {}
        for key, process in running.items():
            try:
                text, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                text, _ = process.communicate()
                text += "\n(killed: it did not end)"
            said[key] = (process.returncode, text)
    return places, said


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_goes_wrong_at_first_is_one_line(table, row):
    places, said = table
    status, text = said[row.name, False]
    assert status == row.status, text
    assert "Traceback" not in text
    marks = ("kvd: ", "#critical] ")
    lines = [line for line in text.splitlines() if any(mark in line for mark in marks)]
    assert len(lines) == 1, text
    for words in (row.line, row.fix):
        assert words.format(**places[row.name]) in lines[0]
    if (row.name, True) in said:
        status, text = said[row.name, True]
        assert status == row.status, text
