"""Clients over a socket in the file system."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
from http.client import HTTPConnection

import pytest

from kvd.testing.servers import Make, ServerFailed, kill_all, lone_member, start_all


class UnixConnection(HTTPConnection):
    """HTTP over the socket of a path."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path, method, target, form=None):
    connection = UnixConnection(path)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    try:
        connection.request(method, target, form, headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.fixture
def server(tmp_path):
    # The folder of a test may be too long for a socket's name: etcd's form is relative.
    made = lone_member(Make.KVD, tmp_path)
    made.options["listen-client-urls"] += ",unix://localhost:2379"
    made.options["advertise-client-urls"] += ",unix://localhost:2379"
    yield made
    kill_all([made])


def test_a_socket_in_the_file_system_serves_and_leaves_nothing(server, monkeypatch):
    monkeypatch.chdir(server.place.folder)
    path = server.place.folder / "localhost:2379"
    start_all([server])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    event = ask(path.name, "PUT", "/v2/keys/a", f"value={'x' * 1_000_000}")
    assert event["action"] == "set"
    assert ask(path.name, "GET", "/v2/keys/a") == event | {"action": "get"}
    (member,) = ask(path.name, "GET", "/v2/members")["members"]
    assert member["clientURLs"][1] == "unix://localhost:2379"
    # Killed, it leaves the file behind; that is no obstacle.
    server.kill()
    assert path.exists()
    start_all([server])
    assert ask(path.name, "GET", "/v2/keys/a")["node"]["value"][0] == "x"
    # Somebody who lives is one.
    other = lone_member(Make.KVD, server.place.folder)
    other.options["listen-client-urls"] += ",unix://localhost:2379"
    other.options["data-dir"] += "2"
    other.start()
    with pytest.raises(ServerFailed, match="unix://localhost:2379: Address already"):
        other.wait_ready()
    assert server.stop() == 0
    assert not path.exists()
    # Nor is it one that somebody removes the file meanwhile.
    start_all([server])
    path.unlink()
    assert server.stop() == 0
    assert not path.exists()
    assert "Traceback" not in server.last_words()


@pytest.mark.parametrize("name", ["notify", "@kvd-notify"])
def test_systemd_is_told_once_clients_are_answered(reader, name):
    # A path would be too long for a socket, so it is one of the current folder.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        mine = f"{name}-{reader.ports['2379']}"
        with contextlib.chdir(reader.folder):
            supervisor.bind(f"\0{mine[1:]}" if mine.startswith("@") else mine)
        supervisor.settimeout(60)
        running = reader.start("kvd --config conf/single.yml", NOTIFY_SOCKET=mine)
        assert supervisor.recv(100) == b"READY=1"
        assert "ready to serve" in running.said()
    assert reader.end_one(running) == 0
