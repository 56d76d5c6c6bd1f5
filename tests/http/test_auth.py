"""``/v2/auth`` and what it guards; the whole of it is compared with etcd elsewhere."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import fail

from kvd.errors import RequestError, Unavailable, UnavailableReason
from kvd.v2.accounts import PutRole, PutUser
from kvd.v2.authcodec import RemoveRole, RemoveUser, Switch, decode_auth_request
from kvd.v2.commands import Asker, decode_command
from kvd.v2.permissions import Permissions

from .accounts import HASH, ask, basic, change, guard, hashed

USERS = "/v2/auth/users"
ROLES = "/v2/auth/roles"
SWITCH = "/v2/auth/enable"
CLUSTER = "d141b266ca1a82cc"


def message(answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["message"]


# -- the API --


def test_a_user_is_put_with_a_hash_and_shown_without_it(port):
    body = {"user": "ann", "password": "secret"}
    answer = ask(port, "PUT", f"{USERS}/ann", body=body)
    assert (answer.status, answer.body) == (201, b'{"user":"ann","roles":null}\n')
    assert answer["X-Etcd-Cluster-Id"] == CLUSTER
    stored = port.auth.user("ann").password_hash
    assert stored.startswith("$2a$04$")
    assert len(stored) == 60
    for target in (USERS, f"{USERS}/ann"):
        assert b"$2a$" not in ask(port, "GET", target).body


def test_a_users_roles_are_shown_whole_and_missing_ones_are_left_out_or_told(port):
    change(port, PutRole("r", Permissions(("/a",), None)))
    change(port, PutUser("ann", HASH, roles=("r", "gone")))
    role = '{"role":"r","permissions":{"kv":{"read":["/a"],"write":null}}}'
    listing = ask(port, "GET", USERS)
    assert listing.body.decode() == f'{{"users":[{{"user":"ann","roles":[{role}]}}]}}\n'
    missing = (404, "auth: Role gone does not exist.")
    assert message(ask(port, "GET", f"{USERS}/ann")) == missing
    assert ask(port, "GET", f"{ROLES}/r").body.decode() == f"{role}\n"


def test_a_removal_and_the_switch_answer_with_nothing(port):
    change(port, PutUser("root", HASH))
    for method, target in (
        ("PUT", SWITCH),
        ("DELETE", f"{ROLES}/guest"),
        ("DELETE", SWITCH),
        ("DELETE", f"{USERS}/root"),
    ):
        answer = ask(port, method, target, "root")
        assert (answer.status, answer.body) == (200, b"")
        assert answer["Content-Type"] == "application/json"


def test_a_role_is_put_changed_listed_and_removed(port):
    grant = {"kv": {"read": ["/b"]}}
    posted = {"role": "r", "permissions": {"kv": {"read": ["/a"]}}, "grant": {}}
    kv = '{"kv":{"read":["/a"],"write":null}}'
    empty = '{"kv":{"read":null,"write":null}}'
    shown = f'{{"role":"r","permissions":{kv},"grant":{empty}}}'
    created = ask(port, "PUT", f"{ROLES}/r", body=posted)
    assert (created.status, created.body.decode()) == (201, f"{shown}\n")
    listing = ask(port, "GET", ROLES).body.decode()
    assert listing.startswith(f'{{"roles":[{shown},{{"role":"root",')
    changed = ask(port, "PUT", f"{ROLES}/r", body={"role": "r", "grant": grant})
    kv = '{"kv":{"read":["/a","/b"],"write":[]}}'
    assert changed.status == 200
    assert changed.body.decode() == f'{{"role":"r","permissions":{kv}}}\n'
    missing = ask(port, "PUT", f"{ROLES}/x", body={"role": "x", "revoke": grant})
    assert message(missing) == (404, "auth: Role x does not exist.")
    assert message(ask(port, "GET", f"{ROLES}/x"))[0] == 404
    assert ask(port, "GET", f"{ROLES}?a=%zz").status == 500
    assert ask(port, "DELETE", f"{ROLES}/r").status == 200
    both = {"role": "e", "permissions": {}, "revoke": {"kv": {}}}
    assert b'"revoke":' in ask(port, "PUT", f"{ROLES}/e", body=both).body


def test_a_user_shows_all_of_its_roles(port):
    change(port, PutRole("r"))
    change(port, PutUser("ann", HASH, roles=("r", "root")))
    assert ask(port, "GET", f"{USERS}/ann").body.count(b'"permissions"') == 2
    assert message(ask(port, "GET", f"{USERS}/bob"))[0] == 404
    assert ask(port, "GET", f"{USERS}/ann?a=%zz").status == 500
    updated = ask(port, "PUT", f"{USERS}/ann", body={"user": "ann", "grant": ["x"]})
    assert updated.body == b'{"user":"ann","roles":["r","root","x"]}\n'
    again = ask(port, "PUT", f"{USERS}/ann", body={"user": "ann"})
    assert message(again)[0] == 400


def test_who_loses_the_right_while_his_request_is_under_way_is_refused(port):
    guard(port)
    head = f"DELETE {USERS}/ann HTTP/1.1\r\nHost: k\r\n{basic('root')}\r\n\r\n"
    client = port.connect().send(head)
    port.threads.turn()
    change(port, PutUser("root", hashed("new")))
    port.settle()
    (answer,) = port.read(client.said)
    assert message(answer) == (401, "Insufficient credentials")
    assert answer["X-Etcd-Cluster-Id"] is None


def test_methods_that_are_none_of_the_apis_are_told_which_are(port):
    for target, allowed in ((USERS, "GET"), (f"{ROLES}/a", "GET,PUT,DELETE")):
        answer = ask(port, "POST", target)
        assert (answer.status, answer["Allow"]) == (405, allowed)


def test_until_the_cluster_has_a_version_nothing_can_be_asked(port):
    port.cluster.version = ""
    refusal = (500, "Not capable of accessing auth feature during rolling upgrades.")
    for target in (USERS, f"{ROLES}/a", SWITCH):
        assert message(ask(port, "GET", target)) == refusal


@pytest.mark.parametrize(
    ("target", "body", "text"),
    [
        (f"{USERS}/a", "x", "Invalid JSON in request body."),
        (f"{ROLES}/a", "x", "Invalid JSON in request body."),
        (
            f"{USERS}/a",
            {"user": "b"},
            "User JSON name does not match the name in the URL",
        ),
        (
            f"{ROLES}/a",
            {"role": "b"},
            "Role JSON name does not match the name in the URL",
        ),
        (
            f"{USERS}/a",
            {"user": "a", "roles": ["r"], "grant": ["s"]},
            "User JSON contains both roles and grant/revoke",
        ),
        (
            f"{ROLES}/a",
            {
                "role": "a",
                "permissions": {"kv": {"read": ["/"]}},
                "revoke": {"kv": {"read": ["/"]}},
            },
            "Role JSON contains both permissions and grant/revoke",
        ),
        (f"{USERS}/a/b", {"user": "a"}, "Invalid path"),
    ],
)
def test_a_request_that_says_nothing_sensible_never_reaches_the_log(
    port, target, body, text
):
    assert message(ask(port, "PUT", target, body=body)) == (400, text)
    assert port.member.commit_index == 7


def test_a_body_that_is_too_long_or_cut_off_is_refused(port):
    head = f"PUT {USERS}/a HTTP/1.1\r\nHost: k\r\nContent-Length: 2000000\r\n\r\n"
    said, _ = port.ask(head)
    assert b"413 Request Entity Too Large" in said.split(b"\r\n")[0]
    head = (
        f"PUT {ROLES}/a HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    said, _ = port.ask(head)
    assert b"Invalid JSON in request body." in said


def test_who_cannot_be_answered_is_told_500(port):
    port.member.refusal = Unavailable(UnavailableReason.TIMED_OUT, may_take_effect=True)
    internal = (500, "Internal Server Error")
    assert message(ask(port, "DELETE", f"{USERS}/a")) == internal
    port.member.refusal = RequestError(210, "request too large")
    assert message(ask(port, "PUT", SWITCH)) == internal
    port.member.refusal = None
    assert message(ask(port, "GET", f"{USERS}?a=%zz")) == internal


def test_an_entry_that_nobody_can_read_is_answered_500(port):
    client = port.connect().send(f"DELETE {ROLES}/a HTTP/1.1\r\nHost: k\r\n\r\n")
    ((waiting, machine, _),) = port.member.proposals
    port.member.proposals = [(waiting, machine, b"garbage")]
    port.settle()
    assert b"500 Internal Server Error" in client.said.split(b"\r\n")[0]


def test_no_secret_is_in_a_log_or_an_entry(port, monkeypatch):
    body = {"user": "root", "password": "s3cret"}
    head = f"PUT {USERS}/root HTTP/1.1\r\nHost: k\r\nContent-Length: 38\r\n\r\n"
    port.connect().send(head + json.dumps(body))
    assert not port.member.proposals  # it is being hashed
    port.threads.turn()
    ((_, machine, entry),) = port.member.proposals
    assert machine == "auth"
    assert b"s3cret" not in entry
    assert "s3cret" not in repr(decode_auth_request(entry))
    assert "$2a$" not in repr(decode_auth_request(entry))
    port.settle()
    snapshot = b"".join(port.auth.snapshot().chunks)
    assert b"$2a$" in snapshot
    assert b"s3cret" not in snapshot


# -- who may --


def test_a_guest_a_user_and_root_may_what_their_roles_allow(port):
    guard(port)
    for user, method, target, status in (
        ("", "GET", "/open", 404),
        ("", "GET", "/a", 401),
        ("", "PUT", "/open", 401),
        ("ann", "GET", "/a", 404),
        ("ann", "GET", "/a/", 401),
        ("ann", "HEAD", "/open", 401),
        ("ann", "PUT", "/a/k", 201),
        ("ann", "PUT", "/a", 401),
        ("ann:wrong", "GET", "/a", 401),
        ("ann", "GET", "/a?recursive=true", 401),
        ("ann", "GET", "/a?quorum=true", 200),
        ("ann", "GET", "/b?quorum=true", 401),
        ("root", "DELETE", "/a?recursive=true", 200),
    ):
        assert ask(port, method, f"/v2/keys{target}", user).status == status, target


def test_a_refusal_is_etcds(port):
    guard(port)
    answer = ask(port, "PUT", "/v2/keys/a", "ann:wrong")
    assert json.loads(answer.body) == {
        "errorCode": 110,
        "message": "The request requires user authentication",
        "cause": "Insufficient credentials",
        "index": 0,
    }
    assert answer["X-Etcd-Index"] == "0"
    assert answer["X-Raft-Index"] is None
    answer = ask(port, "GET", USERS, "ann")
    assert message(answer) == (401, "Insufficient credentials")
    assert answer["X-Etcd-Cluster-Id"] is None
    assert answer["WWW-Authenticate"] is None


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic !!!!",
        "Basic cHc",
        "Basic cHc=",  # no colon
        "Basic OnB3",  # no name
        "Bearer cm9vdDpwdw==",
        "Basic  cm9vdDpwdw==",
    ],
)
def test_credentials_that_are_none_are_refused_without_a_check(port, value):
    guard(port)
    field = f"Authorization: {value}\r\n"
    assert port.request("GET", "/v2/keys/open", headers=field).status == 401
    assert not port.threads.ran


def test_a_write_says_who_asked_when_and_for_which_path(port):
    guard(port)
    field = basic("ann")
    put = "PUT /v2/keys/a/d/ HTTP/1.1\r\nHost: k\r\n"
    port.connect().send(f"{put}{field}\r\n\r\n")
    port.threads.turn()
    ((*_, body),) = port.member.proposals
    command = decode_command(body)
    assert command.by == Asker("ann", port.auth.index)
    assert command.asked_path == "/a/d/"
    port.settle()
    change(port, Switch(False))
    port.connect().send(f"{put}\r\n")
    ((*_, body),) = port.member.proposals
    assert body[0] == 1  # nobody was asked who he is


def test_a_write_is_judged_again_when_it_is_applied(port):
    guard(port)
    assert ask(port, "PUT", "/v2/keys/a/k", "ann").status == 201
    field = basic("ann")
    client = port.connect().send(
        f"PUT /v2/keys/a/k HTTP/1.1\r\nHost: k\r\n{field}\r\n\r\n"
    )
    change(port, PutUser("ann", revoke=("a",)))
    port.settle()
    assert client.said.startswith(b"HTTP/1.1 401 ")


def test_a_quorum_read_is_decided_after_the_read_index(port):
    guard(port)
    field = basic("ann")
    get = f"GET /v2/keys/a?quorum=true HTTP/1.1\r\nHost: k\r\n{field}\r\n\r\n"
    for what in (PutUser("ann", revoke=("a",)), PutUser("ann", grant=("a",))):
        client = port.connect().send(get)
        change(port, what)
        port.settle()
        expected = b"HTTP/1.1 401 " if what.revoke else b"HTTP/1.1 404 "
        assert client.said.startswith(expected)


def test_who_is_refused_is_not_counted(port):
    guard(port)
    received = port.site.counts.received
    for user in ("ann", "ann:no", ""):
        ask(port, "GET", "/v2/keys/a", user)
        ask(port, "GET", "/v2/keys/a?quorum=true", user)
        ask(port, "PUT", "/v2/keys/a/k", user)
    assert (received["GET"], received["QGET"], received["PUT"]) == (1, 1, 1)


def test_a_watch_needs_to_be_allowed_to_read_at_its_start(port):
    guard(port)
    field = basic("ann")
    watch = f"GET /v2/keys/%s?wait=true HTTP/1.1\r\nHost: k\r\n{field}\r\n\r\n"
    client = port.connect().send(watch % "a")
    port.settle()
    assert client.said.startswith(b"HTTP/1.1 200 ")
    denied = port.connect().send(watch % "b")
    port.settle()
    assert denied.said.startswith(b"HTTP/1.1 401 ")
    change(port, PutUser("ann", revoke=("a",)))
    assert client.end == "open"  # later changes do not end it


def test_members_are_changed_by_root_only_and_read_by_everybody(port):
    guard(port)
    assert ask(port, "GET", "/v2/members").status == 200
    for user in ("", "ann", "root:wrong"):
        assert ask(port, "DELETE", "/v2/members/1f", user).status == 401
    assert ask(port, "DELETE", "/v2/members/none", "root").status == 404
    assert ask(port, "PATCH", "/v2/members", "ann:wrong").status == 405


def test_a_certificate_names_its_user_unless_there_is_an_authorization(port):
    """What TLS will tell: :class:`kvd.http.exchange.Client`."""
    guard(port)

    def status(names: tuple[str, ...], field: str = "") -> int:
        client = port.connect()
        client.protocol._client.names = names
        head = f"GET /v2/keys/a HTTP/1.1\r\nHost: k\r\n{field}\r\n"
        client.send(head)
        port.settle()
        return int(client.said.split()[1])

    assert status(()) == 401
    assert status(("nobody", "ann")) == 404
    assert status(("nobody",)) == 401  # a guest
    assert status(("ann",), basic("ann", "wrong") + "\r\n") == 401


def test_with_the_switch_off_nobodys_password_is_looked_at(port):
    change(port, PutUser("ann", HASH))
    assert ask(port, "GET", "/v2/keys/x", "ann:wrong").status == 404
    assert ask(port, "GET", USERS, "ann:wrong").status == 200
    assert not port.threads.ran


def test_the_switch_may_be_turned_off_while_a_password_is_checked(port):
    guard(port)
    for user, status in (("ann", b"404"), ("ann:no", b"401")):
        name, _, password = user.partition(":")
        field = basic(name, password or "pw")
        get = f"GET /v2/keys/zz HTTP/1.1\r\nHost: k\r\n{field}\r\n\r\n"
        client = port.connect().send(get)
        change(port, Switch(False))
        port.settle()
        assert client.said.split()[1] == status
        change(port, Switch(True))


# -- passwords --


def test_bcrypt_off_event_loop_and_cached(port):
    """RELIABILITY A01."""
    guard(port)
    field = basic("ann")
    get = f"GET /v2/keys/a HTTP/1.1\r\nHost: k\r\n{field}\r\n\r\n"
    client = port.connect().send(get)
    assert client.said == b""  # it is up to the threads
    # Meanwhile the reactor serves others, and equal credentials wait for one check.
    others = [port.connect().send(get) for _ in range(5)]
    assert ask(port, "GET", "/version").status == 200
    assert port.threads.ran == 1
    for each in (client, *others):
        assert each.said.startswith(b"HTTP/1.1 404 ")
    for _ in range(10):
        assert ask(port, "GET", "/v2/keys/a", "ann").status == 404
    assert port.threads.ran == 1


def test_wrong_passwords_are_remembered_too_and_never_drive_out_right_ones(make_port):
    port = make_port(auth_cache_max=2)
    guard(port)
    assert ask(port, "GET", "/v2/keys/a", "ann").status == 404
    for number in range(5):
        assert ask(port, "GET", "/v2/keys/a", f"ann:{number}").status == 401
    assert port.threads.ran == 6
    assert ask(port, "GET", "/v2/keys/a", "ann:4").status == 401
    assert ask(port, "GET", "/v2/keys/a", "ann").status == 404
    assert port.threads.ran == 6
    assert ask(port, "GET", "/v2/keys/a", "ann:0").status == 401
    assert port.threads.ran == 7


def test_the_right_ones_that_were_not_used_for_longest_are_forgotten(make_port):
    port = make_port(auth_cache_max=2)
    guard(port)
    change(port, PutUser("bob", HASH, roles=("a",)))
    for user in ("ann", "root", "ann", "bob", "ann"):
        assert ask(port, "GET", "/v2/keys/a", user).status == 404
    assert port.threads.ran == 3
    assert ask(port, "GET", "/v2/keys/a", "root").status == 404
    assert port.threads.ran == 4


def test_credential_cache_dropped_on_change(port):
    """RELIABILITY A04."""
    guard(port)
    again = (
        (PutUser("ann", hashed("new")), "ann:new"),
        (RemoveUser("ann"), ""),
        (PutUser("ann", HASH, roles=("a",)), "ann:pw"),
    )
    known = "ann:pw"
    for what, right in again:
        if known:
            assert ask(port, "GET", "/v2/keys/a", known).status == 404
        change(port, what)
        if known and known != right:
            assert ask(port, "GET", "/v2/keys/a", known).status == 401
        known = right
    # Also a wrong one becomes right, and a user who did not exist is found.
    assert ask(port, "GET", "/v2/keys/a", "ann:pw").status == 404
    assert ask(port, "GET", "/v2/keys/a", "eve").status == 401
    change(port, PutUser("eve", HASH, roles=("a",)))
    assert ask(port, "GET", "/v2/keys/a", "eve").status == 404


@pytest.mark.parametrize(
    "what",
    [
        PutUser("ann", hashed("new")),
        RemoveUser("ann"),
        PutRole("a", Permissions(("/b",), ())),
    ],
    ids=["password", "user", "role"],
)
def test_a_connection_that_is_known_is_judged_anew_after_every_change(port, what):
    guard(port)
    get = f"GET /v2/keys/a HTTP/1.1\r\nHost: k\r\n{basic('ann')}\r\n\r\n"
    client = port.connect()
    for _ in range(3):
        client.send(get)
        port.settle()
        assert client.said.startswith(b"HTTP/1.1 404 ")
    if isinstance(what, PutRole):
        change(port, RemoveRole("a"))
    change(port, what)
    client.send(get)
    port.settle()
    assert client.said.startswith(b"HTTP/1.1 401 ")


def test_a_known_connection_may_change_its_user(port):
    guard(port)
    change(port, PutUser("eve", HASH))
    client = port.connect()
    for user, status in (("ann", b"404"), ("eve", b"401"), ("ann", b"404")):
        client.send(f"GET /v2/keys/a HTTP/1.1\r\nHost: k\r\n{basic(user)}\r\n\r\n")
        port.settle()
        assert client.said.startswith(b"HTTP/1.1 " + status)


def test_a_password_that_is_changed_while_it_is_checked_is_checked_again(port):
    guard(port)
    field = basic("ann")
    get = f"GET /v2/keys/a HTTP/1.1\r\nHost: k\r\n{field}\r\n\r\n"
    client = port.connect().send(get)
    change(port, PutUser("ann", hashed("new")))
    port.settle()
    assert port.threads.ran == 2
    assert client.said.startswith(b"HTTP/1.1 401 ")


def test_unknown_user_same_time(port, monkeypatch):
    """RELIABILITY A02: the same work, for a name that nobody has."""
    guard(port)
    checked = []
    real = __import__("bcrypt").checkpw

    def checkpw(password, stored):
        checked.append(stored)
        return real(password, stored)

    monkeypatch.setattr("kvd.http.passwords.bcrypt.checkpw", checkpw)
    ask(port, "GET", "/v2/keys/a", "ann:wrong")
    ask(port, "GET", "/v2/keys/a", "nobody:wrong")
    assert len(checked) == 2
    costs = {stored[:7] for stored in checked}
    assert costs == {b"$2a$04$"}
    assert all(len(stored) == 60 for stored in checked)


def test_a_hash_that_is_none_matches_nothing(port):
    guard(port)
    change(port, PutUser("ann", "no hash"))
    assert ask(port, "GET", "/v2/keys/a", "ann").status == 401


def test_bcrypt_looks_at_72_bytes_and_at_any_of_them(port):
    long = "x" * 100 + "\0"
    ask(port, "PUT", f"{USERS}/root", body={"user": "root", "password": long})
    ask(port, "PUT", SWITCH)
    assert ask(port, "GET", USERS, f"root:{long}").status == 200
    assert ask(port, "GET", USERS, f"root:{'x' * 72}").status == 200
    assert ask(port, "GET", USERS, f"root:{'x' * 71}").status == 401


def test_too_many_checks_are_answered_500_with_the_reason(make_port):
    port = make_port(auth_checks_running_max=1, auth_checks_waiting_max=1)
    guard(port)
    for number in range(2):
        field = basic("ann", str(number))
        port.connect().send(f"GET /v2/keys/a HTTP/1.1\r\nHost: k\r\n{field}\r\n\r\n")
    for target, cause in (
        ("/v2/keys/a", "cause"),
        (USERS, "message"),
    ):
        field = basic("root")
        head = f"GET {target} HTTP/1.1\r\nHost: k\r\n{field}\r\n\r\n"
        client = port.connect().send(head)
        (answer,) = port.read(client.said)
        assert answer.status == 500
        assert json.loads(answer.body)[cause] == "etcdserver: too many requests"
    port.settle()
    assert ask(port, "GET", "/v2/keys/a", "root").status == 404


def test_a_client_that_goes_away_takes_its_check_along(make_port):
    port = make_port(auth_checks_running_max=1)
    guard(port)
    get = "GET /v2/keys/a HTTP/1.1\r\nHost: k\r\n%s\r\n\r\n"
    port.connect().send(get % basic("root", "wrong"))
    gone = [port.connect().send(get % basic("ann")) for _ in range(2)]
    gone[0].lose()
    port.threads.turn()
    assert len(port.threads.calls) == 1
    gone[1].lose()  # its check runs, and nobody waits for the result
    port.settle()
    gone = port.connect().send(get % basic("ann", "other"))
    gone.lose()
    port.settle()
    assert ask(port, "GET", "/v2/keys/a", "ann").status == 404


def test_a_bug_in_a_check_is_a_500_and_logged(port, monkeypatch, logged_failures):
    guard(port)
    monkeypatch.setattr(port.site._keys._guard._passwords._checks, "run", broken)
    head = f"GET /v2/keys/a HTTP/1.1\r\nHost: k\r\n{basic('ann')}\r\n\r\n"
    client = port.connect().send(head)
    assert client.said.startswith(b"HTTP/1.1 500 ")
    (failure,) = logged_failures
    assert failure.check(ZeroDivisionError)
    assert "cHc" not in failure.getTraceback()
    logged_failures.clear()


def broken(*_):
    return fail(ZeroDivisionError())


# -- header blocks --


def test_header_blocks_are_remembered_without_credentials(port):
    guard(port)
    head = "GET /v2/keys/a HTTP/1.1\r\n%s\r\n\r\n"
    first = f"{basic('ann')}\r\nHost: k\r\nX: 1"
    for block in (
        f"Host: k\r\n{basic('ann')}\r\nX: 1",
        first,
        f"Host: k\r\nX: 1\r\n{basic('ann')}",
        f"Host: k\r\nauthorization: {basic('ann')[15:]}",
        f"Host: k\r\n{basic('ann')}\r\n{basic('root')}",
        f"Host: k\r\n{basic('ann')}\r\n \r\nX: 1",
    ):
        for _ in range(2):
            client = port.connect().send(head % block)
            port.settle()
            assert client.said.startswith(b"HTTP/1.1 404 "), block
    known = port.site.blocks.known
    assert list(known) == [b"Host: k\r\nX: 1"]
    assert "uthorization" not in repr(known)
    (judged,) = known.values()
    with_credentials = port.site.blocks.known_but_credentials(first.encode())
    value = basic("ann")[15:].encode()
    assert with_credentials.authorization == value
    assert (b"authorization", value) in with_credentials.fields  # a proxy's to send
    assert "Basic" not in repr(with_credentials)
    assert judged.authorization == b""


def test_credentials_count_as_a_field_like_any_other(make_port):
    port = make_port(header_count_max=8)
    fields = "".join(f"X{number}: 1\r\n" for number in range(7))
    head = f"GET /version HTTP/1.1\r\nHost: k\r\n{fields}%s\r\n"
    assert port.ask(head % "")[0].startswith(b"HTTP/1.1 200 ")
    assert port.ask(head % f"{basic('ann')}\r\n")[0].startswith(b"HTTP/1.1 431 ")
