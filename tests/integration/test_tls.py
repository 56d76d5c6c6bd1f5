"""Members with TLS, real ones: identity, rotation under load, who is refused."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import time
import urllib.request

import etcd
import pytest

from kvd.testing.servers import (
    HOST,
    Make,
    Server,
    cluster,
    kill_all,
    missing_tools,
    start_all,
)
from tests.integration.conftest import require
from tests.integration.secure import (
    Busy,
    Client,
    Folder,
    eventually,
    secure_port,
    secured,
)


@pytest.fixture
def files(tmp_path):
    return Folder(tmp_path / "certificates")


@pytest.fixture
def members(files, tmp_path):
    made = []

    def make(size, make=Make.KVD):
        servers = secured(tmp_path / make.value, files, size, make)
        made.extend(servers)
        start_all(servers)
        return servers

    yield make
    kill_all(made)


def refused(server, context):
    """Whether a client with this certificate, or none, is not served."""
    try:
        Client(server, context, keep=False).ask("/v2/keys/")
    except OSError:
        return True
    return False


def test_rotation_and_revocation_under_load_disturb_nobody_else(files, members):
    servers = members(3)
    anna = files.context("anna")
    busy = [
        Busy(Client(server, anna, keep=keep), f"{server.name}{keep}")
        for server in servers
        for keep in (True, False)
    ]
    for each in busy:
        each.start()
    time.sleep(1)
    bert = files.context("bert")
    assert not any(refused(server, bert) for server in servers)
    before = certificate_of(servers[0], files)
    files.make("--renew", "--revoke", "bert")
    eventually(
        "new certificates are shown",
        lambda: all(certificate_of(server, files) != before for server in servers),
    )
    eventually(
        "bert is refused", lambda: all(refused(server, bert) for server in servers)
    )
    # Between members, too, new connections use the new files.
    follower = next(server for server in servers if not leads(server))
    follower.kill()
    done = [each.done for each in busy]
    others = [each for each in busy if not each._key.startswith(follower.name)]
    eventually(
        "the rest goes on",
        lambda: all(
            each.done > count + 5
            for each, count in zip(busy, done, strict=True)
            if each in others
        ),
    )
    for each in busy:
        each.end()
    assert [each.trouble for each in others] == [[]] * len(others)
    follower.start()
    follower.wait_ready()
    assert any(
        "certificate of bert: it was revoked" in server.last_words()
        for server in servers
    )


def test_python_etcd_comes_in_with_a_certificate(files, members):
    (server,) = members(1)
    client = etcd.Client(
        host=HOST,
        port=secure_port(server),
        protocol="https",
        ca_cert=files.file("ca.pem"),
        cert=(files.file("client-anna.pem"), files.file("client-anna.key")),
    )
    client.write("/secret", "sealed")
    assert client.read("/secret").value == "sealed"
    client.http.clear()


def leads(server):
    return server.leader_name() == server.name


def certificate_of(server, files):
    with (
        socket.create_connection((HOST, secure_port(server)), timeout=5) as plain,
        files.context("anna").wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        return secure.getpeercert(binary_form=True)


@pytest.mark.parametrize("make", Make, ids=lambda make: make.value)
def test_the_common_name_is_the_user(files, members, make):
    require(not missing_tools("etcd"), "etcd (Debian: etcd-server)")
    (server,) = members(1, make)
    root = Client(server, files.context("root"), keep=False)
    anna = Client(server, files.context("anna"), keep=False)
    nobody = Client(server, files.context("bert"), keep=False)
    json_type = {"Content-Type": "application/json"}

    def put(client, path, body, **headers):
        return client.ask(path, "PUT", body, **{**json_type, **headers})[0]

    assert put(root, "/v2/auth/users/root", '{"user":"root","password":"r"}') == 201
    assert put(root, "/v2/auth/users/anna", '{"user":"anna","password":"a"}') == 201
    role = '{"role":"r","permissions":{"kv":{"read":["/a"],"write":["/a"]}}}'
    assert put(root, "/v2/auth/roles/r", role) == 201
    grant = '{"user":"anna","grant":["r"]}'
    assert put(root, "/v2/auth/users/anna", grant) == 200
    server.ask("/v2/auth/enable", "PUT", "x")
    assert (
        put(
            root,
            "/v2/auth/roles/guest",
            '{"role":"guest","revoke":{"kv":{"read":["/*"],"write":["/*"]}}}',
        )
        == 200
    )

    def write(client, key, **headers):
        form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return client.ask(f"/v2/keys{key}", "PUT", "value=1", **form)[0]

    assert write(anna, "/a") == 201
    assert write(anna, "/b") == 401
    assert write(nobody, "/a") == 401
    assert write(root, "/b") == 201
    # A header decides, right or wrong.
    right = "Basic " + base64.b64encode(b"root:r").decode()
    wrong = "Basic " + base64.b64encode(b"root:x").decode()
    assert write(anna, "/b", Authorization=right) == 200
    assert write(root, "/b", Authorization=wrong) == 401
    assert put(anna, "/v2/auth/roles/x", '{"role":"x"}') == 401
    assert anna.ask("/v2/stats/self")[0] == 200


def test_a_stop_waits_for_nobody_who_hangs(files, members):
    (server,) = members(1)
    port = secure_port(server)
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as page:
        metrics = page.read().decode()
    for option in ("cert-file", "trusted-ca-file", "peer-cert-file"):
        assert f'kvd_certificate_days_left{{file="{option}"}} ' in metrics, option
    with (
        socket.create_connection((HOST, port), timeout=10) as silent,
        socket.create_connection((HOST, port), timeout=10) as plain,
        files.context("anna").wrap_socket(plain, server_hostname=HOST) as passive,
    ):
        passive.sendall(b"GET /version HTTP/1.1\r\nHost: kvd\r\n\r\n")
        assert passive.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        assert server.stop() == 0
        assert passive.recv(1) == b""  # a goodbye; who is cut off gets an error
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b""
    assert "refused" not in server.last_words()
    assert "Traceback" not in server.last_words()


def test_a_plain_or_foreign_member_is_no_peer(files, members, tmp_path):
    servers = members(1)
    (server,) = servers
    port = server.place.peer_port
    with socket.create_connection((HOST, port), timeout=10) as plain:
        plain.sendall(b"\0\x04_ask\0\x011\0\x08_command\0\x05Hello\0\0")
        assert plain.recv(100)[:1] in {b"", b"\x15"}  # closed, or a TLS alert first
    foreign = Folder(tmp_path / "foreign")
    context = ssl.create_default_context(cafile=files.file("ca.pem"))
    context.load_cert_chain(foreign.file("peer.pem"), foreign.file("peer.key"))
    with (
        pytest.raises(OSError),
        socket.create_connection((HOST, port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        secure.sendall(b"hello")
        if not secure.recv(1):
            raise ConnectionError("closed")
    eventually(
        "who was refused is in the log",
        lambda: "an authority that is not ours has signed it" in server.last_words(),
    )
    assert server.healthy()


def test_certificates_of_our_own_making_do_for_trying(tmp_path):
    servers = cluster(Make.KVD, tmp_path, 3)
    for server in servers:
        for name in (
            "listen-peer-urls",
            "initial-advertise-peer-urls",
            "initial-cluster",
        ):
            server.options[name] = str(server.options[name]).replace("http:", "https:")
        server.options["peer-auto-tls"] = True
    try:
        start_all(servers)
        assert servers[0].ask("/v2/keys/a", "PUT", "value=1")[0] == 201
        assert servers[2].ask("/v2/keys/a?quorum=true")[0] == 200
    finally:
        kill_all(servers)


def test_a_start_with_bad_files_is_a_line_for_each(files, tmp_path):
    (server,) = secured(tmp_path, files, 1)
    for name in ("server.key", "peer.pem"):
        (files.path / name).write_text("rubbish")
    server.start()
    assert exit_status(server) == 1
    words = server.last_words()
    assert "cannot start: key-file: " in words
    assert "cannot start: peer-cert-file: " in words
    assert "Traceback" not in words


def exit_status(server: Server) -> int:
    return server._process.wait(30)
