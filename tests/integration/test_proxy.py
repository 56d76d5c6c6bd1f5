"""A proxy before real members: what it passes through, whom it follows, how it starts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from kvd.testing.servers import (
    Make,
    Server,
    cluster,
    free_ports,
    kill_all,
    lone_member,
    proxy_before,
    start_all,
)
from kvd.testing.wire import Closed, Connection
from kvd.tls.generate import main as make_certificates
from tests.integration.conftest import require, run

SECONDS = 30.0
LOCAL = "/v2/config/local/proxy"
REFRESHED = {"proxy-refresh-interval": 200}
SMALL = {"heartbeat-interval": 50, "election-timeout": 500}


@pytest.fixture
def started() -> Iterator[list[Server]]:
    """Servers to end with the test."""
    made: list[Server] = []
    yield made
    kill_all(made)


def wait_for(condition: Callable[[], object], server: Server) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, server.last_words()
        time.sleep(0.02)


def peers(servers) -> list[str]:
    return [str(server.options["listen-peer-urls"]) for server in servers]


def run_proxy(started, server: Server, endpoints: int) -> Server:
    """Start it, and wait until it has so many endpoints."""
    started.append(server)
    server.start()
    wait_for(lambda: has(server, endpoints), server)
    return server


def has(server: Server, endpoints: int) -> bool:
    """Whether it answers, and has so many endpoints."""
    found = server.endpoints()
    return found is not None and len(found) == endpoints


def log_of(server: Server) -> str:
    return (server.place.folder / "log").read_text(encoding="utf-8")


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def put(server: Server, key: str, value: object) -> int:
    return server.ask(f"/v2/keys{key}", "PUT", f"value={value}")[0]


@pytest.fixture
def connect() -> Iterator[Callable[[Server], Connection]]:
    """Open connections that are closed with the test."""
    opened: list[Connection] = []

    def make(server: Server) -> Connection:
        opened.append(Connection(server.port, timeout_seconds=SECONDS))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def open_watch(connect) -> Callable[[Server, str], Connection]:
    def make(server: Server, target: str) -> Connection:
        watch = connect(server)
        watch.send(get(target))
        head = watch.read_head()
        assert head.code == 200
        assert head.header("Transfer-Encoding") == "chunked"
        return watch

    return make


def value_of(chunk: bytes) -> str:
    value: str = json.loads(chunk)["node"]["value"]
    return value


def watchers(server: Server) -> int:
    count: int = json.loads(server.ask("/v2/stats/store")[2])["watchers"]
    return count


def test_watches_and_streams_pass_through_as_they_come(started, open_watch, tmp_path):
    member = lone_member(Make.KVD, tmp_path / "member")
    member.options["advertise-client-urls"] = member.url
    started.append(member)
    start_all([member])
    # The member's advertised peer URL leads nowhere: the list is asked for once.
    proxy = proxy_before(Make.KVD, tmp_path / "proxy", peers([member]))
    run_proxy(started, proxy, 1)
    watch = open_watch(proxy, "/v2/keys/a?wait=true")
    stream = open_watch(proxy, "/v2/keys/a?wait=true&stream=true")
    gone = open_watch(proxy, "/v2/keys/a?wait=true&stream=true")
    assert watchers(member) == 3
    gone.close()
    wait_for(lambda: watchers(member) == 2, proxy)
    for number in range(3):
        assert put(proxy, "/a", number) in {200, 201}
        assert value_of(stream.read_chunk()) == str(number)
    assert value_of(watch.read_chunk()) == "0"
    assert watch.read_chunk() == b""  # it has ended, and the connection goes on
    watch.send(get("/v2/keys/a"))
    assert watch.read_answer().code == 200
    # The end of the proxy is a proper end of the stream.
    assert proxy.stop() == 0
    assert stream.read_chunk() == b""
    with pytest.raises(Closed):
        stream.read_chunk()
    wait_for(lambda: watchers(member) == 0, member)
    assert "Traceback" not in log_of(proxy)


def test_members_die_one_after_the_other_and_the_proxy_finds_the_rest(
    started, open_watch, tmp_path
):
    servers = cluster(Make.KVD, tmp_path, 3, **SMALL)
    started.extend(servers)
    start_all(servers)
    proxy = proxy_before(
        Make.KVD,
        tmp_path / "proxy",
        peers(servers),
        **REFRESHED,
        **{"proxy-failure-wait": 60_000},
    )
    run_proxy(started, proxy, 3)
    assert put(proxy, "/a", 1) == 201
    # Whose watch is it? The one who serves dies; the client's connection breaks.
    stream = open_watch(proxy, "/v2/keys/a?wait=true&stream=true")
    assert put(proxy, "/a", 2) == 200
    assert value_of(stream.read_chunk()) == "2"
    serving = next(each for each in servers if watchers(each))
    serving.kill()
    with pytest.raises(Closed):
        stream.read_chunk()
    rest = [each for each in servers if each is not serving]
    # No read and no write fails for long: there is an election at most.
    assert proxy.ask("/v2/keys/a")[0] == 200
    deadline = time.monotonic() + SECONDS
    while put(proxy, "/b", 2) not in {200, 201}:
        assert time.monotonic() < deadline
    assert serving.url not in (proxy.endpoints() or [])
    assert proxy.endpoints() == sorted(each.url for each in rest)
    index = json.loads(proxy.ask("/v2/keys/b")[2])["node"]["modifiedIndex"]
    again = open_watch(proxy, f"/v2/keys/b?wait=true&waitIndex={index}")
    assert value_of(again.read_chunk()) == "2"
    assert "Traceback" not in log_of(proxy)


def test_it_follows_a_cluster_that_grows_and_starts_again_without_being_told(
    started, connect, tmp_path
):
    (first,) = servers = cluster(Make.KVD, tmp_path, 1, **SMALL)
    started.append(first)
    start_all(servers)
    proxy = proxy_before(Make.KVD, tmp_path / "proxy", peers(servers), **REFRESHED)
    run_proxy(started, proxy, 1)
    kept = tmp_path / "proxy" / "data" / "proxy" / "cluster"
    wait_for(kept.exists, proxy)
    assert json.loads(kept.read_bytes()) == {"PeerURLs": peers(servers)}
    assert kept.stat().st_mode & 0o777 == 0o600
    client_port, peer_port = free_ports(2)
    peer_url = f"http://127.0.0.1:{peer_port}"
    status, body = post_member(
        connect(proxy), peer_url
    )  # a member is added through the proxy
    assert status == 201, body
    second = cluster(Make.KVD, tmp_path / "second", 1, **SMALL)[0]
    second.options |= {
        "name": "m2",
        "listen-client-urls": f"http://127.0.0.1:{client_port}",
        "advertise-client-urls": f"http://127.0.0.1:{client_port}",
        "listen-peer-urls": peer_url,
        "initial-advertise-peer-urls": peer_url,
        "initial-cluster": f"m1={peers([first])[0]},m2={peer_url}",
        "initial-cluster-state": "existing",
    }
    started.append(second)
    second.start()
    wait_for(lambda: has(proxy, 2), proxy)
    wait_for(lambda: peer_url in kept.read_text(), proxy)
    # Started again with nothing but its folder, it is a proxy for the same cluster.
    assert proxy.stop() == 0
    del proxy.options["proxy"]
    proxy.options["initial-cluster"] = "elsewhere=http://127.0.0.1:1"
    proxy.start()
    wait_for(lambda: has(proxy, 2), proxy)
    assert "is a proxy's, which it stays" in log_of(proxy)
    assert put(proxy, "/a", 1) == 201
    assert "Traceback" not in log_of(proxy)


def post_member(connection: Connection, peer_url: str) -> tuple[int, bytes]:
    body = json.dumps({"peerURLs": [peer_url]}).encode()
    head = (
        f"POST /v2/members HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/json\r\n\r\n"
    )
    connection.send(head.encode() + body)
    answer = connection.read_answer()
    return answer.code, answer.body


def test_a_member_that_stands_still_is_given_up(started, connect, tmp_path):
    member = lone_member(Make.KVD, tmp_path / "member")
    member.options["advertise-client-urls"] = member.url
    started.append(member)
    start_all([member])
    proxy = proxy_before(
        Make.KVD,
        tmp_path / "proxy",
        peers([member]),
        **{"proxy-write-timeout": 500, "proxy-failure-wait": 0},
    )
    run_proxy(started, proxy, 1)
    os.kill(member.pid, signal.SIGSTOP)
    try:
        connection = connect(proxy)
        length = 8 << 20  # more than two sockets hold
        connection.send(
            b"PUT /v2/keys/big HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
            % length
            + bytes(length)
        )
        answer = connection.read_answer()
    finally:
        os.kill(member.pid, signal.SIGCONT)
    assert answer.code == 502
    assert b"it may have been carried out" in answer.body
    wait_for(lambda: put(proxy, "/small", 1) in {200, 201}, proxy)


def test_a_proxy_of_kvds_before_a_member_of_etcds(started, tmp_path):
    require(shutil.which("etcd") is not None, "etcd (Debian: etcd-server)")
    require(shutil.which("etcdctl") is not None, "etcdctl (Debian: etcd-client)")
    (member,) = cluster(Make.ETCD, tmp_path, 1)
    started.append(member)
    start_all([member])
    proxy = proxy_before(Make.KVD, tmp_path / "proxy", peers([member]), **REFRESHED)
    run_proxy(started, proxy, 1)
    assert proxy.endpoints() == [member.url]

    def etcdctl(*words: str) -> str:
        done = run("etcdctl", "--endpoints", proxy.url, *words, ETCDCTL_API="2")
        assert done.returncode == 0, done
        return done.stdout

    assert etcdctl("set", "/color/of/roses", "red") == "red\n"
    assert etcdctl("get", "/color/of/roses") == "red\n"
    assert etcdctl("ls", "--recursive") == "/color\n/color/of\n/color/of/roses\n"
    assert "cluster is healthy" in etcdctl("cluster-health")


def test_with_tls_on_every_side(started, tmp_path, curl_installed):
    certs = tmp_path / "certs"
    assert make_certificates([str(certs)]) == 0
    authority = str(certs / "ca.pem")
    peers_own = {
        "peer-cert-file": str(certs / "peer.pem"),
        "peer-key-file": str(certs / "peer.key"),
        "peer-trusted-ca-file": authority,
    }
    (member,) = cluster(Make.KVD, tmp_path, 1, **peers_own)
    for name, said in member.options.items():
        member.options[name] = str(said).replace("http:", "https:")
    member.options |= {
        "cert-file": str(certs / "server.pem"),
        "key-file": str(certs / "server.key"),
    }
    started.append(member)
    member.start()
    wait_for(lambda: "ready to serve" in log_of(member), member)
    (plain_port,) = free_ports(1)
    proxy = proxy_before(Make.KVD, tmp_path / "proxy", peers([member]), **peers_own)
    secure, plain = f"https://127.0.0.1:{proxy.port}", f"http://127.0.0.1:{plain_port}"
    proxy.options |= {
        "listen-client-urls": f"{secure},{plain}",
        "cert-file": str(certs / "peer.pem"),  # it is shown to members, too
        "key-file": str(certs / "peer.key"),
        "trusted-ca-file": authority,
    }
    started.append(proxy)
    proxy.start()
    wait_for(lambda: "ready to serve" in log_of(proxy), proxy)

    def curl(*words: str) -> str:
        done = run("curl", "-sS", *words)
        assert done.returncode == 0, done
        return done.stdout

    shown = ("--cacert", authority, "--cert", f"{certs}/peer.pem", "--key")
    url = f"{secure}/v2/keys/a"
    put_there = curl(*shown, f"{certs}/peer.key", url, "-XPUT", "-dvalue=1")
    assert json.loads(put_there)["node"]["value"] == "1"
    assert json.loads(curl(f"{plain}/v2/keys/a"))["node"]["value"] == "1"
    assert curl(f"{plain}{LOCAL}") == f'{{"endpoints":["{advertised(member)}"]}}\n'
    assert run("curl", "-sS", "-k", url).returncode != 0  # no certificate is shown
    assert "Traceback" not in log_of(proxy)


def advertised(server: Server) -> str:
    return str(server.options["advertise-client-urls"])


def test_data_dir_lock(started, tmp_path):
    # S16: no kvd starts in a folder that a proxy uses.
    proxy = proxy_before(Make.KVD, tmp_path / "proxy", ["http://127.0.0.1:1"])
    run_proxy(started, proxy, 0)
    second = proxy_before(
        Make.KVD, tmp_path / "second", ["http://127.0.0.1:1"], proxy="off"
    )
    second.options["data-dir"] = proxy.options["data-dir"]
    started.append(second)
    second.start()
    assert second._process.wait(SECONDS) == 1
    said = [line for line in log_of(second).splitlines() if "critical" in line]
    assert len(said) == 1
    assert "another kvd" in said[0]
    assert "Traceback" not in log_of(second)


def test_a_members_folder_stays_a_members_and_one_of_both_is_refused(started, tmp_path):
    member = lone_member(Make.KVD, tmp_path)
    started.append(member)
    start_all([member])
    assert put(member, "/a", 1) == 201
    assert member.stop() == 0
    member.options["proxy"] = "on"
    start_all([member])
    assert "proxy: on is ignored" in log_of(member)
    assert member.ask("/v2/keys/a")[0] == 200
    assert member.stop() == 0
    (tmp_path / "data" / "proxy").mkdir()
    member.start()
    assert member._process.wait(SECONDS) == 1
    both = "invalid datadir. Both member and proxy directories exist."
    assert both in log_of(member)
    assert "Traceback" not in log_of(member)
