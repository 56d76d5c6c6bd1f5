"""Authentication on real members: what one has acknowledged counts on all of them."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from http.client import HTTPConnection

import pytest

from kvd.testing.servers import HOST

READER = {
    "role": "reader",
    "permissions": {"kv": {"read": ["/mine/*"], "write": ["/mine/*"]}},
}


def ask(server, method, target, body=None, user=""):
    """Status and body; ``user`` has a password after a colon."""
    connection = HTTPConnection(HOST, server.port, timeout=30)
    headers = {}
    if user:
        headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
    if isinstance(body, str):
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif body is not None:
        body = json.dumps(body)
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def put(server, kind, account, user="root:pw"):
    """A user or a role."""
    target = f"/v2/auth/{kind}/{account[kind[:-1]]}"
    return ask(server, "PUT", target, account, user)[0]


def turn_on(server):
    put(server, "roles", READER)
    put(server, "users", {"user": "ann", "password": "pw", "roles": ["reader"]})
    put(server, "users", {"user": "root", "password": "pw"})
    assert ask(server, "PUT", "/v2/auth/enable")[0] == 200


@pytest.fixture
def members(make_cluster):
    """Three, with cheap passwords, users, and the switch on."""
    servers = make_cluster(3, **{"bcrypt-cost": 4})
    turn_on(servers[0])
    return servers


def test_what_is_taken_away_is_gone_on_every_member(members):
    quorum = "/v2/keys/mine/k?quorum=true"
    for server in members:
        assert ask(server, "GET", quorum, user="ann:pw")[0] in {200, 404}
        assert ask(server, "PUT", "/v2/keys/mine/k", "value=1", "ann:pw")[0] < 300
    for number, server in enumerate(members):
        revoke = {"user": "ann", "revoke": ["reader"]}
        assert put(server, "users", revoke) == 200
        for other in members:
            written = ask(other, "PUT", "/v2/keys/mine/k", "value=2", "ann:pw")
            assert written[0] == 401
            assert ask(other, "GET", quorum, user="ann:pw")[0] == 401
        password = f"new{number}"
        grant = {"user": "ann", "grant": ["reader"], "password": password}
        assert put(server, "users", grant) == 200
        for other in members:
            assert ask(other, "GET", quorum, user="ann:pw")[0] == 401
            assert ask(other, "GET", quorum, user=f"ann:{password}")[0] == 200
        again = {"user": "ann", "password": "pw"}
        assert put(server, "users", again) == 200
    value = json.loads(ask(members[0], "GET", "/v2/keys/mine/k")[1])["node"]["value"]
    assert value == "1"


def test_users_and_the_switch_survive_restarts_and_snapshots(make_cluster):
    (server,) = make_cluster(1, **{"bcrypt-cost": 4, "snapshot-count": 20})
    turn_on(server)
    guest = {"role": "guest", "revoke": {"kv": {"write": ["/*"]}}}
    assert put(server, "roles", guest) == 200
    for number in range(60):
        status, _ = ask(server, "PUT", "/v2/keys/mine/k", f"value={number}", "ann:pw")
        assert status < 300
    index = server.etcd_index()
    for end in (server.stop, server.kill):
        end()
        server.start()
        server.wait_ready(index)
        index += 1  # it publishes itself
        assert ask(server, "PUT", "/v2/keys/mine/k", "value=1")[0] == 401
        assert ask(server, "PUT", "/v2/keys/mine/k", "value=1", "ann:no")[0] == 401
        assert ask(server, "PUT", "/v2/keys/mine/k", "value=1", "ann:pw")[0] == 200
        index += 1


def test_nobody_has_to_wait_for_a_flood_of_wrong_passwords(make_cluster):
    """Who is known waits for no check; who is not waits behind one or two of them."""
    (server,) = make_cluster(1, **{"bcrypt-cost": 10})
    turn_on(server)
    assert ask(server, "GET", "/v2/keys/mine/k", user="ann:pw")[0] == 404
    over = threading.Event()
    answers = []

    def guess(number):
        tries = 0
        while not over.is_set():
            tries += 1
            user = f"root:{number}.{tries}"
            answers.append(ask(server, "GET", "/v2/keys/x", user=user)[0])

    guessers = [threading.Thread(target=guess, args=(n,)) for n in range(8)]
    for each in guessers:
        each.start()
    try:
        before = len(answers)
        for _ in range(50):
            assert ask(server, "GET", "/v2/keys/mine/k", user="ann:pw")[0] == 404
            assert ask(server, "GET", "/health")[0] == 200
        # Each of them would have had to wait for a check or two.
        assert len(answers) - before < 100
    finally:
        over.set()
        for each in guessers:
            each.join()
    assert set(answers) == {401}


def test_no_secret_is_in_what_a_member_says_or_keeps(make_cluster):
    (server,) = make_cluster(1, **{"snapshot-count": 10, "log-level": "debug"})
    secret = "correct-horse-battery"
    put(server, "users", {"user": "root", "password": secret})
    assert ask(server, "PUT", "/v2/auth/enable")[0] == 200
    for _ in range(15):
        ask(server, "PUT", "/v2/keys/k", "value=1", f"root:{secret}")
    ask(server, "PUT", "/v2/auth/users/x", {"user": "y"}, f"root:{secret}")
    ask(server, "GET", "/v2/keys", user=f"root:{secret}x")
    server.stop()
    clear = {secret.encode(), b64encode(f"root:{secret}".encode())}
    looked_at = 0
    for path in server.place.folder.rglob("*"):
        if path.is_file():
            looked_at += 1
            data = path.read_bytes()
            assert not [each for each in clear if each in data], path
    assert looked_at > 3
