"""Members, users, roles, statistics: what is asked, and what is made of the answers."""

import json

import pytest

from kvd.client import Member, NoAnswer, Refused, Role, User, Version
from tests.client.cluster import A, B, C, result

MEMBER = {
    "id": "8e9e05c52164694d",
    "name": "m1",
    "peerURLs": ["http://p:2380"],
    "clientURLs": ["http://c:2379"],
}
TYPED = Member("8e9e05c52164694d", "m1", ("http://p:2380",), ("http://c:2379",))
PERMISSIONS = {"kv": {"read": ["/a/*"], "write": None}}
ROLE = {"role": "r", "permissions": PERMISSIONS}
ANN = {"user": "ann", "roles": ["r", "s"]}

ASKED = [
    (
        lambda c: c.members.list(),
        ("GET", "/v2/members", None),
        ({"members": [MEMBER]}, (TYPED,)),
    ),
    (
        lambda c: c.members.leader(),
        ("GET", "/v2/members/leader", None),
        (MEMBER, TYPED),
    ),
    (
        lambda c: c.members.add(["http://p:2380"]),
        ("POST", "/v2/members", {"peerURLs": ["http://p:2380"]}),
        (MEMBER, TYPED),
    ),
    (
        lambda c: c.members.update("8e", ["http://p"]),
        ("PUT", "/v2/members/8e", {"peerURLs": ["http://p"]}),
        (None, None),
    ),
    (
        lambda c: c.members.remove("8e/x"),
        ("DELETE", "/v2/members/8e%2Fx", None),
        (None, None),
    ),
    (
        lambda c: c.auth.enabled(),
        ("GET", "/v2/auth/enable", None),
        ({"enabled": True}, True),
    ),
    (lambda c: c.auth.enable(), ("PUT", "/v2/auth/enable", None), (None, None)),
    (lambda c: c.auth.disable(), ("DELETE", "/v2/auth/enable", None), (None, None)),
    (
        lambda c: c.auth.users(),
        ("GET", "/v2/auth/users", None),
        (
            {"users": [{"user": "ann", "roles": [ROLE]}, {"user": "bo"}]},
            (User("ann", ("r",)), User("bo")),
        ),
    ),
    (lambda c: c.auth.users(), ("GET", "/v2/auth/users", None), ({"users": None}, ())),
    (
        lambda c: c.auth.user("a b"),
        ("GET", "/v2/auth/users/a%20b", None),
        (ANN, User("ann", ("r", "s"))),
    ),
    (
        lambda c: c.auth.create_user("ann", "pw", ["r", "s"]),
        (
            "PUT",
            "/v2/auth/users/ann",
            {"user": "ann", "password": "pw", "roles": ["r", "s"]},
        ),
        (ANN, User("ann", ("r", "s"))),
    ),
    (
        lambda c: c.auth.grant_roles("ann", ["r"]),
        ("PUT", "/v2/auth/users/ann", {"user": "ann", "grant": ["r"]}),
        (ANN, User("ann", ("r", "s"))),
    ),
    (
        lambda c: c.auth.revoke_roles("ann", ["r"]),
        ("PUT", "/v2/auth/users/ann", {"user": "ann", "revoke": ["r"]}),
        (ANN, User("ann", ("r", "s"))),
    ),
    (
        lambda c: c.auth.remove_user("ann"),
        ("DELETE", "/v2/auth/users/ann", None),
        (None, None),
    ),
    (
        lambda c: c.auth.roles(),
        ("GET", "/v2/auth/roles", None),
        ({"roles": [ROLE]}, (Role("r", ("/a/*",)),)),
    ),
    (
        lambda c: c.auth.role("r"),
        ("GET", "/v2/auth/roles/r", None),
        (ROLE, Role("r", ("/a/*",))),
    ),
    (
        lambda c: c.auth.create_role("r", read=["/a/*"]),
        (
            "PUT",
            "/v2/auth/roles/r",
            {"role": "r", "permissions": {"kv": {"read": ["/a/*"], "write": []}}},
        ),
        (ROLE, Role("r", ("/a/*",))),
    ),
    (
        lambda c: c.auth.grant_permissions("r", write=["/b"]),
        (
            "PUT",
            "/v2/auth/roles/r",
            {"role": "r", "grant": {"kv": {"read": [], "write": ["/b"]}}},
        ),
        (ROLE, Role("r", ("/a/*",))),
    ),
    (
        lambda c: c.auth.revoke_permissions("r", read=["/a"]),
        (
            "PUT",
            "/v2/auth/roles/r",
            {"role": "r", "revoke": {"kv": {"read": ["/a"], "write": []}}},
        ),
        (ROLE, Role("r", ("/a/*",))),
    ),
    (
        lambda c: c.auth.remove_role("r"),
        ("DELETE", "/v2/auth/roles/r", None),
        (None, None),
    ),
    (
        lambda c: c.version(),
        ("GET", "/version", None),
        ({"etcdserver": "3.4.23", "etcdcluster": "3.4.0"}, Version("3.4.23", "3.4.0")),
    ),
    (lambda c: c.stats(), ("GET", "/v2/stats/self", None), ({"name": "m"},) * 2),
    (lambda c: c.health(), ("GET", "/health", None), ({"health": "true"}, True)),
]


@pytest.mark.parametrize(("ask", "asked", "answered"), ASKED)
def test_a_method_is_one_request_and_one_value(cluster, ask, asked, answered):
    outcome = ask(cluster.client())
    method, target, document = asked
    assert (cluster.last.method, cluster.last.target) == (method, target)
    assert cluster.last.body == (json.dumps(document).encode() if document else b"")
    if document:
        assert cluster.last.headers["Content-Type"] == "application/json"
    answer, value = answered
    cluster.last.answer(200, b"" if answer is None else answer)
    assert result(outcome) == value


NO_ANN = {"message": "auth: User ann does not exist."}
NO_ROLE = {"message": "auth: Role r does not exist."}


@pytest.mark.parametrize(("status", "found"), [(200, ANN), (404, NO_ROLE)])
def test_a_user_that_exists_is_not_created_again_but_has_the_password_changed(
    cluster, status, found
):
    auth = cluster.client().auth
    created = auth.create_user("ann", "pw")
    cluster.last.answer(status, found)
    with pytest.raises(Refused, match="409: auth: User ann already exists"):
        result(created)
    changed = auth.change_password("ann", "pw")
    cluster.last.answer(status, found)
    cluster.last.answer(200, {"user": "ann", "roles": None})
    assert result(changed) == User("ann")
    assert [each.method for each in cluster.asked] == ["GET", "GET", "PUT"]
    assert {each.target for each in cluster.asked} == {"/v2/auth/users/ann"}
    assert json.loads(cluster.last.body) == {"user": "ann", "password": "pw"}


def test_a_user_that_does_not_exist_is_created_but_has_no_password_to_change(cluster):
    auth = cluster.client().auth
    changed = auth.change_password("ann", "pw")
    cluster.last.answer(404, NO_ANN)
    with pytest.raises(Refused, match="404: auth: User ann does not exist"):
        result(changed)
    created = auth.create_user("ann", "pw")
    cluster.last.answer(404, NO_ANN)
    cluster.last.answer(201, {"user": "ann", "roles": None})
    assert result(created) == User("ann")
    assert [each.method for each in cluster.asked] == ["GET", "GET", "PUT"]
    assert json.loads(cluster.last.body) == {"user": "ann", "password": "pw"}


def test_a_user_that_may_not_be_looked_for_is_not_written(cluster):
    auth = cluster.client().auth
    for ask in (auth.create_user, auth.change_password):
        outcome = ask("ann", "pw")
        cluster.last.answer(401, {"message": "Insufficient credentials"})
        with pytest.raises(Refused, match="401: Insufficient credentials"):
            result(outcome)
    assert [each.method for each in cluster.asked] == ["GET", "GET"]


def test_a_refusal_has_the_servers_words(cluster):
    added = cluster.client().members.add(["http://p"])
    cluster.last.answer(409, b'{"message":"membership: peerURL exists"}')
    with pytest.raises(Refused, match="409: membership: peerURL exists"):
        result(added)
    asked = cluster.client().stats("leader")
    cluster.last.answer(403, b'{"message":"not current leader"}')
    with pytest.raises(Refused, match="403: not current leader"):
        result(asked)


def test_one_member_can_be_asked_for_its_health(cluster):
    client = cluster.client()
    asked = client.health(C)
    assert cluster.last.endpoint == C
    cluster.last.answer(503, b'{"health":"false"}\n')
    assert result(asked) is False
    asked = client.health(B)
    cluster.last.refuse()
    with pytest.raises(NoAnswer):
        result(asked)
    assert cluster.endpoints == [C, B]


def test_a_leader_nobody_knows_is_asked_of_everybody(cluster):
    asked = cluster.client().members.leader()
    for _ in range(3):
        cluster.last.answer(503, b'{"message":"During election"}')
    with pytest.raises(NoAnswer, match="During election"):
        result(asked)
    assert cluster.endpoints == [A, B, C]


def test_names_and_statistics_that_cannot_be_are_not_asked_for(cluster):
    client = cluster.client()
    for name in ("", ".", ".."):
        with pytest.raises(ValueError, match="name"):
            client.auth.user(name)
        with pytest.raises(ValueError, match="name"):
            client.auth.create_user(name, "pw")
    with pytest.raises(ValueError, match="statistics"):
        client.stats("../keys")
    assert not cluster.asked
