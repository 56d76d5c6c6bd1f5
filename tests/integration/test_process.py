"""How a member starts, ends, starts again, and refuses to."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from kvd.testing.servers import (
    Make,
    cluster,
    free_ports,
    kill_all,
    lone_member,
    start_all,
)

KVD = [sys.executable, "-c", "from kvd.command import main; main()"]
SECONDS = 30


@pytest.fixture
def started():
    """Servers to end with the test."""
    made = []
    yield made
    kill_all(made)


def text_of(server):
    return (server.place.folder / "log").read_text(encoding="utf-8")


def put(server, key, value):
    status, _, body = server.ask(f"/v2/keys{key}", "PUT", f"value={value}")
    assert status in (200, 201), body
    return json.loads(body)["node"]["modifiedIndex"]


def value_of(server, key):
    status, _, body = server.ask(f"/v2/keys{key}?quorum=true")
    return json.loads(body)["node"]["value"] if status == 200 else status


def test_start_says_who_where_and_that_it_is_ready(started, tmp_path):
    server = lone_member(Make.KVD, tmp_path, **{"snapshot-cont": 7})
    started.append(server)
    start_all([server])
    said = text_of(server)
    assert "did you mean" in said
    assert "snapshot-count" in said
    for words in (
        "kvd 0.",
        f"configuration from {tmp_path / 'config.json'}",
        f"data in {tmp_path / 'data'}",
        f"members on {server.options['listen-peer-urls']}",
        f"clients on {server.url}",
        "member alone, id ",
        "ready to serve",
    ):
        assert said.count(words) == 1, words
    assert "Traceback" not in said
    level = '{"Level":"ERROR"}'
    assert server.ask("/config/local/log", "PUT", level)[0] == 204
    assert server.stop() == 0
    assert text_of(server) == said


def test_sigterm_ends_with_status_0_and_a_second_start_recovers(started, tmp_path):
    server = lone_member(Make.KVD, tmp_path)
    started.append(server)
    start_all([server])
    index = [put(server, f"/kept/{each}", each) for each in range(20)][-1]
    cluster_id = server.cluster_id()
    assert server.stop() == 0
    start_all([server])
    assert server.etcd_index() >= index  # it published itself again, as etcd does
    assert value_of(server, "/kept/19") == "19"
    assert server.cluster_id() == cluster_id
    server.kill()
    start_all([server])
    assert value_of(server, "/kept/0") == "0"
    assert put(server, "/more", 1) > index
    assert "Traceback" not in text_of(server)


def test_sigterm_transfers_and_flushes(started, tmp_path):
    # T04: the leader hands over, answers what is in flight, and exits 0; writers
    # through the others hardly notice. An election by time-out would take 3 s at least.
    servers = cluster(Make.KVD, tmp_path, 3, **{"election-timeout": 3000})
    started.extend(servers)
    start_all(servers)
    leader = next(each for each in servers if each.leader_name() == each.name)
    others = [each for each in servers if each is not leader]
    put(leader, "/before", 1)
    results, over = [], threading.Event()

    def write(server, name):
        serial = 0
        while not over.is_set():
            serial += 1
            key = f"/flow/{name}/{serial}"
            began = time.monotonic()
            status, _, _ = server.ask(f"/v2/keys{key}", "PUT", "value=x")
            took = time.monotonic() - began
            results.append((name, key, status, took))
            if status == 0 and server is leader:
                return  # it is gone: the port refuses

    threads = [
        threading.Thread(target=write, args=(server, f"{server.name}-{each}"))
        for server in servers
        for each in range(2)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1)
    began = time.monotonic()
    assert leader.stop() == 0
    leaders = {each.leader_name() for each in others}
    assert time.monotonic() - began < 2.5
    assert leaders < {each.name for each in others}
    time.sleep(1)
    over.set()
    for thread in threads:
        thread.join(SECONDS)
    taken = [key for _, key, status, _ in results if status == 201]
    for server in others:
        for key in taken:
            assert value_of(server, key) == "x", key
    # What a follower had just forwarded may be lost with its leader; nobody may send it
    # twice, so its writer waits in vain: one request at most of each.
    through_others = [each for each in results if not each[0].startswith(leader.name)]
    answered = [took for _, _, status, took in through_others if status == 201]
    lost = [name for name, _, status, _ in through_others if status != 201]
    assert len(lost) == len(set(lost)) <= 4
    assert len(answered) > 20
    # What was in flight at the leader was answered; only then did the port close.
    at_leader = [status for name, _, status, _ in results if name[:2] == leader.name]
    assert set(at_leader) <= {201, 503, 0}
    assert at_leader.count(0) <= 2
    said = text_of(leader)
    assert "Traceback" not in said
    start_all([leader])
    assert value_of(leader, taken[-1]) == "x"


def test_data_dir_lock(started, tmp_path):
    # S16: the second process on the same folder says why and exits non-zero.
    server = lone_member(Make.KVD, tmp_path)
    started.append(server)
    start_all([server])
    second = lone_member(Make.KVD, tmp_path / "second")
    second.options["data-dir"] = server.options["data-dir"]
    started.append(second)
    second.start()
    assert second._process.wait(SECONDS) == 1
    complaint = [line for line in text_of(second).splitlines() if "critical" in line]
    assert len(complaint) == 1
    assert str(tmp_path / "data") in complaint[0]
    assert "Traceback" not in text_of(second)
    assert put(server, "/unharmed", 1)


def run_kvd(*arguments, cwd, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "KVD_"))}
    return subprocess.run(
        [*KVD, *arguments],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_every_mistake_of_a_configuration_is_told_at_once(tmp_path):
    file = tmp_path / "bad.yml"
    file.write_text(
        "name: x\nlisten-client-urls: nonsense\nheartbeat-interval: -5\n"
        "initial-cluster: y=http://127.0.0.1:2380\n"
    )
    done = run_kvd("--config-file", str(file), cwd=tmp_path)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    for words in (
        "listen-client-urls",
        "nonsense",
        "heartbeat-interval",
        "-5",
        "initial-cluster",
    ):
        assert words in said, words
    assert not list(tmp_path.glob("*.kvd"))


def test_a_port_in_use_is_one_line_and_a_status(started, tmp_path):
    server = lone_member(Make.KVD, tmp_path / "first")
    started.append(server)
    start_all([server])
    second = lone_member(Make.KVD, tmp_path / "second")
    second.options["listen-client-urls"] = server.url
    started.append(second)
    second.start()
    assert second._process.wait(SECONDS) == 1
    said = text_of(second)
    assert str(server.port) in said
    assert "Traceback" not in said


def test_environment_speaks_for_the_file_and_flags_for_both(tmp_path):
    client_port, other_port, peer_port = free_ports(3)
    file = tmp_path / "config.yml"
    peer = f"http://127.0.0.1:{peer_port}"
    file.write_text(
        f"name: from-file\ndata-dir: {tmp_path / 'data'}\n"
        f"listen-client-urls: http://127.0.0.1:{other_port}\n"
        f"advertise-client-urls: http://127.0.0.1:{other_port}\n"
        f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n"
        f"initial-cluster: from-flag={peer}\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "KVD_"))}
    url = f"http://127.0.0.1:{client_port}"
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [*KVD, "--config-file", str(file), "--name", "from-flag"],
        cwd=tmp_path,
        env={
            **clean,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "ETCD_NAME": "from-environment",
            "ETCD_LISTEN_CLIENT_URLS": url,
            "KVD_ADVERTISE_CLIENT_URLS": url,
        },
        stdout=log,
        stderr=log,
    )
    log.close()
    try:
        end = time.monotonic() + SECONDS
        said = ""
        while "ready to serve" not in said:
            assert process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.1)
            said = (tmp_path / "log").read_text()
        assert "member from-flag" in said
        assert f"clients on {url}" in said
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def test_garbage_on_the_peer_port_costs_one_connection(started, tmp_path):
    server = lone_member(Make.KVD, tmp_path)
    started.append(server)
    start_all([server])
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0", b"\0\x08_command\0\x05Hello\0\0"):
        with socket.create_connection(("127.0.0.1", server.place.peer_port), 5) as peer:
            peer.settimeout(10)
            peer.sendall(data)
            with contextlib.suppress(ConnectionResetError):
                assert peer.recv(1000) == b""
    assert put(server, "/fine", 1)
    assert "Traceback" not in text_of(server)


def test_three_members_that_lose_one_and_then_two(started, tmp_path):
    servers = cluster(Make.KVD, tmp_path, 3, **{"election-timeout": 1000})
    started.extend(servers)
    start_all(servers)
    put(servers[0], "/a", 1)
    servers[2].kill()
    end = time.monotonic() + SECONDS
    while servers[0].ask("/v2/keys/b", "PUT", "value=2")[0] not in (200, 201):
        assert time.monotonic() < end
    servers[1].kill()
    assert json.loads(servers[0].ask("/v2/keys/b")[2])["node"]["value"] == "2"
    assert ask_slowly(servers[0]) in (500, 503)
    servers[1].start()
    servers[1].wait_ready()
    assert value_of(servers[0], "/b") == "2"
    servers[2].start()
    servers[2].wait_ready()
    assert value_of(servers[2], "/b") == "2"


def ask_slowly(server):
    """A write without a quorum: the status after etcd's time-out."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(
            "PUT",
            "/v2/keys/c",
            "value=3",
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        return connection.getresponse().status
    finally:
        connection.close()


def test_who_floods_the_port_does_not_take_the_descriptors_of_the_log(
    started, tmp_path
):
    server = lone_member(
        Make.KVD, tmp_path, **{"connections-max": 20, "segment-bytes": 65_536}
    )
    started.append(server)
    start_all([server])
    # As many as it asks for, and not one more.
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (520, 520))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    value = "value=" + "x" * 20_000
    with contextlib.ExitStack() as stack:
        writer = HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
        stack.callback(writer.close)
        writer.request("GET", "/version")  # it is let in
        writer.getresponse().read()
        for number in range(12):
            for _ in range(60):
                one = stack.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", server.port))
            writer.request("PUT", f"/v2/keys/{number}", value, form)
            answer = writer.getresponse()
            answer.read()
            assert answer.status == 201
    assert "EMFILE" not in text_of(server)
    assert "Traceback" not in text_of(server)
