"""Clusters of three that are found: by a discovery service, or in the DNS (V2-SPEC 16)."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kvd.cluster.ids import member_id_of
from kvd.testing.servers import (
    HOST,
    Make,
    Place,
    Server,
    cluster,
    free_ports,
    kill_all,
    lone_member,
    missing_tools,
)
from tests.integration.conftest import require
from tests.integration.nameserver import name_server

SECONDS = 30
PEERS = "initial-advertise-peer-urls"
FAST = {"heartbeat-interval": 50, "election-timeout": 500}
_tokens = itertools.count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Server]:
    """A kvd that serves as discovery service."""
    made = lone_member(Make.KVD, tmp_path_factory.mktemp("service"))
    made.options["advertise-client-urls"] = made.url
    try:
        made.start()
        made.wait_ready()
        yield made
    finally:
        made.kill()


@pytest.fixture
def started(tmp_path) -> Iterator[Callable[..., list[Server]]]:
    """Start members; all end with the test."""
    made: list[Server] = []

    def start(count: int, make: Make = Make.KVD, **options: object) -> list[Server]:
        members = founders(make, tmp_path / f"{len(made)}", count, **options)
        made.extend(members)
        for each in members:
            each.start()
        return members

    yield start
    kill_all(made)


def founders(make: Make, folder: Path, count: int, **options: object) -> list[Server]:
    """Members that do not know each other."""
    members = cluster(make, folder, count, **{**FAST, **options})
    for each in members:
        del each.options["initial-cluster"]
    return members


def token(service: Server, size: object = 3) -> str:
    """The URL of a new one."""
    path = f"/v2/keys/_etcd/registry/token{next(_tokens)}"
    if size is not None:
        status, _, _ = service.ask(f"{path}/_config/size", "PUT", f"value={size}")
        assert status == 201
    return f"{service.url}{path}"


def all_serve(members: list[Server]) -> None:
    """They are one cluster: what one takes, the others have."""
    for each in members:
        each.wait_ready(index=2 * len(members) + 1)
    assert len({each.cluster_id() for each in members}) == 1
    _, _, body = members[0].ask("/v2/members")
    assert {each["name"] for each in json.loads(body)["members"]} == {
        each.name for each in members
    }
    assert members[0].ask("/v2/keys/found", "PUT", "value=yes")[0] in {200, 201}
    for each in members:
        assert b'"value":"yes"' in each.ask("/v2/keys/found?quorum=true")[2]


def log_of(server: Server) -> str:
    return (server.place.folder / "log").read_text(encoding="utf-8")


def ends(server: Server) -> str:
    """The log of a start that is refused."""
    assert server._process.wait(SECONDS) == 1
    return log_of(server)


def until(true: Callable[[], object], server: Server) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, server.last_words()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def found(service, tmp_path_factory) -> Iterator[list[Server]]:
    """Three that found each other through kvd: one came late, one came twice."""
    members = founders(Make.KVD, tmp_path_factory.mktemp("found"), 3)
    status, _, body = service.ask("/new?size=3")
    assert status == 200
    url = body.decode()
    assert url.startswith(f"{service.url}/v2/keys/_etcd/registry/")
    for each in members:
        each.options["discovery"] = url
    try:
        for each in members[:2]:
            each.start()
        text = "2 of 3 members are there, waiting for 1 more"
        until(lambda: text in log_of(members[0]), members[0])
        members[1].kill()  # it goes on where it was
        members[1].start()
        members[2].start()
        all_serve(members)
        yield members
    finally:
        kill_all(members)


def check_entries(service: Server, members: list[Server]) -> None:
    """Each registered its name and URL under its id, which follows from URL and token."""
    url = str(members[0].options["discovery"])
    _, _, body = service.ask(url.removeprefix(service.url))
    nodes = json.loads(body)["node"]["nodes"]
    peers = {each.name: str(each.options[PEERS]) for each in members}
    assert {node["key"].rpartition("/")[2]: node["value"] for node in nodes} == {
        f"{member_id_of([peer], url):x}": f"{name}={peer}"
        for name, peer in peers.items()
    }


def test_members_find_each_other_through_kvd(found, service):
    check_entries(service, found)


def test_a_full_cluster_takes_nobody(found, started):
    url = found[0].options["discovery"]
    (late,) = started(1, discovery=url, name="late", **{"discovery-fallback": "exit"})
    log = ends(late)
    assert "failed to join discovery cluster (discovery: cluster is full)" in log
    assert f"discovery token {url} was used, but failed to bootstrap the cluster" in log


def test_who_comes_too_late_becomes_a_proxy(found, started):
    url = found[0].options["discovery"]
    (late,) = started(1, discovery=url, name="late")
    (asked_to,) = started(1, discovery=url, name="asked", proxy="on")
    late.wait_ready()
    assert "discovery: cluster is full; falling back to proxy" in log_of(late)
    for proxy in (late, asked_to):
        proxy.wait_ready()
        assert b'"value":"yes"' in proxy.ask("/v2/keys/found")[2]
        assert "proxy for the cluster with the peer URLs" in log_of(proxy)
    assert late.stop() == 0
    late.start()  # its folder is a proxy's now
    late.wait_ready()
    assert log_of(late).count("falling back to proxy") == 1


def test_a_founder_without_its_data_is_a_duplicate(found, tmp_path):
    first = found[0]
    (ports,) = [free_ports(2)]
    options = {
        **first.options,
        "data-dir": str(tmp_path / "data"),
        "listen-client-urls": f"http://{HOST}:{ports[0]}",
        "listen-peer-urls": f"http://{HOST}:{ports[1]}",
    }
    again = Server(Make.KVD, Place(tmp_path, *ports), options)
    again.start()
    log = ends(again)
    assert "discovery: found duplicate id" in log
    assert 'member "m1" has previously registered with discovery service token' in log
    assert f"in the given data dir ({tmp_path / 'data'})" in log


def test_a_member_with_data_needs_no_discovery_service(found, service):
    service.stop()
    try:
        first = found[0]
        first.stop()
        first.start()
        first.wait_ready()
        assert f"{first.options['discovery']} is ignored" in log_of(first)
        assert b'"value":"yes"' in first.ask("/v2/keys/found?quorum=true")[2]
    finally:
        service.start()
        service.wait_ready()


@pytest.fixture(scope="module")
def etcd(tmp_path_factory) -> Iterator[Server]:
    """An etcd that serves as discovery service."""
    require(not missing_tools("etcd"), "etcd (Debian: etcd-server)")
    made = lone_member(Make.ETCD, tmp_path_factory.mktemp("etcd"))
    try:
        made.start()
        made.wait_ready()
        yield made
    finally:
        made.kill()


@pytest.mark.oracle
def test_members_find_each_other_through_etcd(etcd, started):
    all_serve(started(3, discovery=token(etcd)))


@pytest.mark.oracle
def test_members_of_etcd_find_each_other_through_kvd(etcd, service, started):
    members = started(3, Make.ETCD, discovery=token(service))
    all_serve(members)
    check_entries(service, members)


def srv(server: str) -> dict[str, object]:
    """Options of a member that asks this name server."""
    return {
        "discovery-srv": "cluster.example",
        "discovery-srv-name": "blue",
        "name-servers": server,
    }


def test_members_are_found_in_the_dns(started, tmp_path):
    members = founders(Make.KVD, tmp_path / "srv", 3)
    ports = [each.place.peer_port for each in members]
    services = [f"_etcd-server-blue._tcp=localhost:{port}" for port in ports]
    try:
        with name_server("cluster.example", *services) as server:
            for each in members:
                each.options |= srv(server)
                each.start()
            all_serve(members)
            (stranger,) = started(1, name="x", **srv(server))
            text = 'discovery-srv: cannot find local etcd member "x" in SRV records'
            assert text in ends(stranger)
    finally:
        kill_all(members)


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "discovery: size key not found"), ("three", "discovery: size key is bad")],
)
def test_a_token_without_a_proper_size_founds_nothing(service, started, size, text):
    (member,) = started(1, discovery=token(service, size))
    assert f"failed to join discovery cluster ({text}" in ends(member)


def test_two_of_one_name_found_nothing(service, started):
    url = token(service, 2)
    for each in [*started(1, discovery=url), *started(1, discovery=url)]:
        log = ends(each)
        assert "discovery: found duplicate name" in log
        assert f"has registered with discovery service token({url})" in log


class Forwarding(BaseHTTPRequestHandler):
    """An HTTP proxy."""

    seen: list[str] = []

    def forward(self):
        self.seen.append(self.path)
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        host = self.path.split("/")[2]
        connection = http.client.HTTPConnection(host, timeout=SECONDS)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
        except OSError:
            self.send_error(502)
            return
        finally:
            connection.close()
        self.send_response(answer.status)
        self.send_header("X-Etcd-Index", answer.headers["X-Etcd-Index"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = forward

    def log_message(self, *arguments):
        pass


def test_a_service_that_comes_later_is_waited_for_through_a_proxy(started, tmp_path):
    late = lone_member(Make.KVD, tmp_path / "late")
    proxy = ThreadingHTTPServer((HOST, 0), Forwarding)
    threading.Thread(target=proxy.serve_forever).start()
    try:
        late.start()
        late.wait_ready()
        url = token(late, 1)
        late.stop()
        (member,) = started(
            1,
            discovery=url,
            **{"discovery-proxy": f"{HOST}:{proxy.server_port}"},
        )
        until(lambda: "asking again in 2 s" in log_of(member), member)
        late.start()
        member.wait_ready()
        assert any(path.startswith(f"{url}/") for path in Forwarding.seen)
    finally:
        proxy.shutdown()
        proxy.server_close()
        late.kill()


def test_a_member_that_waits_for_a_silent_service_can_be_stopped(started):
    with socket.create_server((HOST, 0)) as silent:
        url = f"http://{HOST}:{silent.getsockname()[1]}/token"
        (member,) = started(1, discovery=url)
        silent.settimeout(SECONDS)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(20).startswith(b"GET /token/_config")
            assert member.stop() == 0
    assert "stopped" in log_of(member)
