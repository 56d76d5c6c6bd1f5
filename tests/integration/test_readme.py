"""Every command of README.rst, run as it stands but on other ports and folders."""

from __future__ import annotations

import subprocess

import etcd

from tests.integration.reader import ROOT, blocks, every_block_is_marked, needs_clients


def test_every_block_of_commands_is_marked():
    assert every_block_is_marked("README.rst")
    kinds = [kind for kind, _ in blocks("README.rst")]
    assert kinds == [
        *("member", "suite", "client", "client", "members", "client"),
        *("certificates", "secured", "client", "client"),
    ]


def test_the_suite_is_a_target_of_make():
    ((command, _),) = blocks("README.rst")[1][1]
    done = subprocess.run(
        [*command.split(), "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for stage in ("ruff", "mypy", "lint-imports", "coverage", "tests/integration"):
        assert stage in done.stdout


def test_the_first_minute_with_one_member(reader):
    needs_clients()
    ((run, _),) = blocks("README.rst")[0][1]
    port, peer = reader.ports["2379"], reader.ports["2380"]
    # make run has no options: the environment says where.
    reader.start(
        f"{run} -o .venv/.installed",
        KVD_LISTEN_CLIENT_URLS=f"http://127.0.0.1:{port}",
        KVD_ADVERTISE_CLIENT_URLS=f"http://localhost:{port}",
        KVD_LISTEN_PEER_URLS=f"http://127.0.0.1:{peer}",
    )
    reader.wait_ready()
    for _, pairs in blocks("README.rst")[2:4]:
        reader.type(pairs)
    assert (reader.folder / "default.kvd").is_dir()


def test_three_members(reader):
    needs_clients()
    for command, _ in blocks("README.rst")[4][1]:
        reader.start(command)
    reader.wait_ready()
    reader.type(blocks("README.rst")[5][1])
    assert reader.stop() == [0, 0, 0]


def test_three_members_with_tls(reader):
    needs_clients()
    steps = [pairs for _, pairs in blocks("README.rst")]
    reader.type(steps[6])
    for command, _ in steps[7]:
        reader.start(command)
    reader.wait_ready()
    reader.type(steps[8])
    python_etcd_reads(reader)
    reader.type(steps[9])
    assert reader.stop() == [0, 0, 0]


def python_etcd_reads(reader):
    folder = reader.folder / "certificates"
    client = etcd.Client(
        host="127.0.0.1",
        port=int(reader.ports["22379"]),
        protocol="https",
        ca_cert=str(folder / "ca.pem"),
        cert=(str(folder / "client-anna.pem"), str(folder / "client-anna.key")),
    )
    assert client.read("/secret").value == "sealed"
    client.http.clear()


def test_two_starts_of_the_single_example(reader):
    """``twistd -n kvd --config conf/single.yml``, as the issue has it."""
    for _ in range(2):
        reader.start(".venv/bin/twistd -n kvd --config conf/single.yml")
        reader.wait_ready()
        assert (reader.folder / "twistd.pid").exists()
        assert reader.stop() == [0]
        assert not (reader.folder / "twistd.pid").exists()
