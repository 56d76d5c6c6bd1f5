"""Users, roles, the switch, and what they let through (V2-SPEC 11)."""

from __future__ import annotations

import json
import os
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from kvd.testing.rows import Row, names, row
from kvd.testing.sidebyside import Pair, Side
from tests.conformance.test_metrics import page_of

from .conftest import check

# Each request with a password costs etcd a check.
EXAMPLES = max(5, int(os.environ.get("KVD_CONFORMANCE_EXAMPLES", "100")) // 10)
USERS = "/v2/auth/users"
ROLES = "/v2/auth/roles"
SWITCH = "/v2/auth/enable"


def user(name: str, **fields: str) -> str:
    """A step that puts a user; fields are JSON."""
    more = "".join(f', "{key}": {value}' for key, value in fields.items())
    return f'PUT {USERS}/{name} {{"user": "{name}"{more}}}'


def role(name: str, **fields: str) -> str:
    more = "".join(f', "{key}": {value}' for key, value in fields.items())
    return f'PUT {ROLES}/{name} {{"role": "{name}"{more}}}'


def kv(read: str = "", write: str = "") -> str:
    """Permissions; the lists are JSON, or not there."""
    parts = [
        f'"{key}": {value}'
        for key, value in (("read", read), ("write", write))
        if value
    ]
    return f'{{"kv": {{{", ".join(parts)}}}}}'


def as_root(step: str) -> str:
    return f"as root:pw {step}"


PASSWORD = '"pw"'

OFF = [
    # This row is the first, while nothing was ever written.
    row(
        "at first there is nobody, and role root",
        f"GET {USERS}",
        f"GET {USERS}/",
        f"GET {USERS}/nobody",
        f"GET {ROLES}",
        f"GET {ROLES}/",
        f"GET {ROLES}/root",
        f"GET {ROLES}/guest",
        f"GET {SWITCH}",
        f"DELETE {SWITCH}",
        f"PUT {SWITCH}",
        "GET $/x",
    ),
    row(
        "a removal in vain is a first write, too",
        f"DELETE {USERS}/nobody",
        "PUT $/x value=1",
        f"DELETE {ROLES}/nobody",
        f"DELETE {ROLES}/root",
        "PUT $/x value=1",
    ),
    row(
        "other paths and methods",
        *(
            f"{method} {path}"
            for path in (
                "/v2/auth",
                "/v2/auth/",
                "/v2/auth/x",
                f"{SWITCH}/",
                USERS,
                f"{USERS}/",
                f"{USERS}/a",
                f"{USERS}/a/",
                f"{USERS}/a/b",
                ROLES,
                f"{ROLES}/a/b/",
                f"{ROLES}X",
                SWITCH,
            )
            for method in ("GET", "HEAD", "POST", "PATCH")
        ),
        f"PUT {USERS}",
        f"DELETE {ROLES}",
    ),
    row(
        "a broken query is told in lists and for a user, but not for a role",
        f"GET {USERS}?a=%zz",
        f"GET {ROLES}?a=%zz",
        f"GET {ROLES}?a=1;b",
        f"GET {USERS}/q1?a=%zz",
        user("q1", password=PASSWORD),
        f"GET {USERS}/q1?a=%zz",
        f"GET {ROLES}/root?a=%zz",
        f"GET {SWITCH}?a=%zz",
    ),
    row(
        "a user is created, changed and removed",
        user("u1", password=PASSWORD),
        f"GET {USERS}/u1",
        f"GET {USERS}/u1/",
        user("u1"),
        user("u1"),
        user("u1", password='""'),
        user("u1", password='"other"'),
        user("u1", grant='["b", "a"]'),
        f"GET {USERS}/u1",
        f"GET {USERS}",
        user("u1", grant='["a"]'),
        user("u1", revoke='["c"]'),
        user("u1", grant='["c"]', revoke='["c", "b"]', password='"third"'),
        user("u1", revoke='["a"]'),
        user("u1", roles='["x"]'),
        user("u1", roles='["x"]', password=PASSWORD),
        user("u1", roles='["x"]', grant='["y"]'),
        user("u1", roles='["x"]', revoke='["y"]', password=PASSWORD),
        f"DELETE {USERS}/u1",
        f"DELETE {USERS}/u1",
        f"GET {USERS}/u1",
        "PUT $/x value=1",
    ),
    row(
        "a user is created with roles as given",
        user("u2", roles='["b", "a", "b"]', password=PASSWORD),
        f"GET {USERS}/u2",
        user("u2", grant='["b"]'),
        user("u2", revoke='["b"]'),
        user("u3", roles='["b"]'),
        user("u3", roles="[]"),
        user("u3", roles="[]", password=PASSWORD),
        user("u3", roles="[]", grant="[]"),
        user("u4", grant='["a"]', password=PASSWORD),
        user("u4", revoke='["a"]'),
        user("u4"),
        user("u4", password='"{}"'.format("x" * 100)),
        user("u4", password='"\\u0000\\u00e9\\ud800"'),
        "PUT $/x value=1",
    ),
    row(
        "role root sticks to user root",
        user("root", password=PASSWORD),
        f"GET {USERS}/root",
        user("root"),
        user("root", revoke='["root"]'),
        f"GET {USERS}/root",
        user("root", grant='["root"]'),
        user("root", grant='["nothing"]'),
        user("root", revoke='["nothing"]'),
        f"DELETE {USERS}/root",
    ),
    row(
        "names are what they are, hidden ones are not listed",
        user("_h", password=PASSWORD),
        f"GET {USERS}/_h",
        role("_h"),
        f"GET {ROLES}/_h",
        f"GET {USERS}",
        f"GET {ROLES}",
        'PUT /v2/auth/users/a%20b {"user": "a b", "password": "p"}',
        "GET /v2/auth/users/a%20b",
        'PUT /v2/auth/users/%C3%A9%3C {"user": "\u00e9<", "password": "p"}',
        f"GET {USERS}",
        "GET /v2/auth/users/%ff",
        'PUT /v2/auth/users/%ff {"user": "\\ud800", "password": "p"}',
        "DELETE /v2/auth/users/%ff",
        "DELETE /v2/auth/users/%C3%A9%3C",
    ),
    row(
        "a body is read as Go reads it",
        *(
            f"PUT {USERS}/j1 {body}"
            for body in (
                "",
                "x",
                "null",
                "{}",
                "[]",
                '"j1"',
                '{"user": "j2"}',
                '{"user": "j1"',
                '{"user": 1}',
                '{"user": "j1", "roles": "x"}',
                '{"user": "j1", "roles": [1]}',
                '{"user": "j1", "grant": {}}',
                '{"user": "j1", "password": false}',
                '{"user": "j1", "password": null}',
                '{"USER": "j1", "PassWord": "p", "more": [{"x": 1e999}]} and more',
                '{"user": "j2", "user": "j1", "grant": null, "roles": null}',
                '{"user": "j1", "grant": ["a", null, "b"]}',
                '{"user": "j1", "grant": ["\\ud800"]}',
                # The null was an empty name, at which etcd's handler panics.
                '{"user": "j1", "revoke": [""]}',
            )
        ),
        f"GET {USERS}/j1",
        *(
            f"PUT {ROLES}/j1 {body}"
            for body in (
                "",
                "null",
                '{"role": "j2"}',
                '{"role": "j1", "permissions": []}',
                '{"role": "j1", "permissions": {"kv": {"read": "x"}}}',
                '{"role": "j1", "grant": {"kv": {"read": [1]}}}',
                '{"role": "j1", "Permissions": {"KV": {"READ": ["/a"]}}, "x": 1}x',
            )
        ),
        f"GET {ROLES}/j1",
    ),
    row(
        "a role is created as posted",
        role("r1"),
        f"GET {ROLES}/r1",
        role("r1"),
        role("r2", permissions=kv('["/b", "/a", "/b"]'), grant=kv(), revoke="{}"),
        f"GET {ROLES}/r2",
        role("r2", grant=kv('["/c"]')),
        f"GET {ROLES}/r2",
        role("r3", permissions="{}", grant='{"kv": {"read": [], "write": []}}'),
        role("r4", permissions=kv("[]", "[]"), grant="null", revoke="null"),
        f"GET {ROLES}",
        f"DELETE {ROLES}/r4",
        f"DELETE {ROLES}/r4",
        "PUT $/x value=1",
    ),
    row(
        "a role is granted to and revoked from",
        role("r5", grant=kv('["/a"]')),
        role("r5", permissions=kv('["/z", "/a", "/a"]')),
        role("r5", grant=kv('["/b"]', '["/w"]')),
        role("r5", grant=kv('["/b"]')),
        role("r5", grant=kv("", '["/w"]')),
        role("r5", grant=kv('["/c", "/c"]')),
        role("r5", revoke=kv('["/never"]')),
        role("r5", grant=kv('["/d"]'), revoke=kv('["/d", "/never"]')),
        role("r5", revoke=kv('["/a", "/b", "/z"]', '["/w"]')),
        role("r5", permissions=kv('["/x"]'), grant=kv('["/y"]')),
        role("r5", permissions=kv('["/x"]'), revoke=kv('["/y"]')),
        role("r6"),
        role("r6", revoke=kv('["/never"]')),
        role("r6", revoke=kv('["/never"]')),
        f"GET {ROLES}/r6",
        "PUT $/x value=1",
    ),
    row(
        "role root cannot be touched",
        role("root"),
        role("root", permissions=kv('["/a"]')),
        role("root", grant=kv('["/a"]')),
        role("root", revoke=kv('["/a"]')),
        f"DELETE {ROLES}/root",
        "PUT $/x value=1",
    ),
    row(
        "a user shows its roles, and a missing one is told",
        role("r7", permissions=kv('["/a"]', '["/b"]')),
        user("u7", password=PASSWORD, roles='["r7", "root"]'),
        f"GET {USERS}/u7",
        user("u7", grant='["gone"]'),
        f"GET {USERS}/u7",
        f"GET {USERS}",
        f"DELETE {USERS}/u7",
    ),
    row(
        "credentials are not looked at while the switch is off",
        "as nobody:x GET $/x",
        "as =Basic.!!! PUT $/x value=1",
        f"as nobody:x GET {USERS}/nobody",
    ),
    row(
        "the switch is turned on and off",
        user("root", password=PASSWORD),
        f"PUT {SWITCH}",
        f"GET {SWITCH}",
        f"GET {ROLES}/guest",
        f"as root:pw GET {ROLES}/guest",
        f"PUT {SWITCH}",
        f"as root:pw PUT {SWITCH} x",
        f"DELETE {SWITCH}",
        f"as root:wrong DELETE {SWITCH}",
        f"as root:pw DELETE {USERS}/root",
        f"as root:pw DELETE {ROLES}/guest",
        "GET $/x",
        "PUT $/x value=1",
        f"as root:pw DELETE {SWITCH}",
        f"DELETE {SWITCH}",
        f"PUT {SWITCH}",
        f"as root:pw DELETE {SWITCH}",
        "PUT $/x value=1",
    ),
]

WHO = [
    row(
        "who is asked, and what is not a user",
        "PUT $/x value=1",
        "as ann:pw GET $/x",
        "as ann:wrong GET $/x",
        "as nobody:pw GET $/x",
        "as ann GET $/x",
        "as ann: GET $/x",
        *(
            f"as ={value} GET $/x"
            for value in (
                "Basic",
                "Bearer.x",
                "basic." + b64encode(b"ann:pw").decode(),
                "BASIC." + b64encode(b"ann:pw").decode(),
                "Basic.." + b64encode(b"ann:pw").decode(),
                "Basic." + b64encode(b"ann:pw").decode().rstrip("="),
                "Basic." + b64encode(b"ann:pw").decode() + "=",
                "Basic." + b64encode(b"ann:pw:").decode(),
                "Basic." + b64encode(b"annpw").decode(),
                "Basic." + b64encode(b"\xff:\xff").decode(),
                "Basic.!!!!",
            )
        ),
    ),
    row(
        "an empty name is nobody",
        "as :pw GET $/x",
        meant="etcd's handler panics and drops the connection",
    ),
    row(
        "the order of checks: method, parameters, credentials",
        "as ann:wrong PATCH $/x",
        "as ann:wrong GET $/x?recursive=x",
        "as ann:wrong PUT $/x ttl=x",
        "as ann:wrong GET $/x?quorum=x",
        f"as ann:wrong POST {USERS}",
        f"as ann:wrong GET {USERS}/a/b",
        f"as ann:wrong PUT {USERS}/x not-json",
        "as ann:wrong GET /v2/keysX",
        "as ann:wrong OPTIONS $/x",
    ),
    row(
        "only root sees and changes users, roles, the switch and members",
        *(
            f"{who}{step}"
            for who in ("", "as ann:pw ")
            for step in (
                f"GET {USERS}",
                f"GET {ROLES}",
                f"GET {USERS}/ann",
                f"GET {ROLES}/root",
                user("x", password=PASSWORD),
                role("x"),
                f"DELETE {USERS}/ann",
                f"DELETE {ROLES}/r",
                f"PUT {SWITCH}",
                f"DELETE {SWITCH}",
                "POST /v2/members {}",
                "PUT /v2/members/1 {}",
                "DELETE /v2/members/1",
            )
        ),
        "as ops:pw DELETE /v2/members/none",
        f"as ops:pw GET {ROLES}/ann",
        "as ops:wrong DELETE /v2/members/none",
    ),
    row(
        "what is open to everybody",
        *(
            f"{who}GET {path}"
            for who in ("", "as ann:wrong ")
            for path in (
                SWITCH,
                "/v2/members",
                "/v2/machines",
                "/version",
                "/health",
                "/v2/members/leader",
            )
        ),
    ),
    row(
        "a guest may read and write, but not the root without its slash",
        "PUT $/x value=1",
        "GET $/x?recursive=true",
        "POST $/q value=1",
        "DELETE $/x",
        "HEAD /v2/keys",
        "GET /v2/keys?recursive=true",
        "POST /v2/keys value=1",
        "PUT /v2/keys value=1",
        "DELETE /v2/keys/",
        "as root:pw DELETE /v2/keys",
        "GET $/nothing?quorum=true",
        "w> GET $/x?wait=true",
    ),
]

# For everybody, whoever he says he is (V2-SPEC 11.5).
OPEN = [
    row(
        "what is open to everybody",
        *(
            f"{who}{step}"
            for who in ("", "as ann:wrong ")
            for step in (
                "GET /version",
                "GET /health",
                "HEAD /metrics",
                "HEAD /debug/vars",
                'PUT /config/local/log {"Level":"ERROR"}',
                "GET /v2/machines",
                "GET /v2/members",
                "GET /v2/members/leader",
                "GET /v2/stats/self",
                "GET /v2/stats/leader",
                f"GET {SWITCH}",
            )
        ),
    )
]
# What a user may whose role reads /p/a, /p/b/* and /p/c*, and writes /p/a/ and /p/w*.
PATHS = ("/a", "/a/", "/b", "/b/", "/b/k", "/c", "/cd/e", "/w", "/z")
MAY = [
    row(
        "a pattern is a path or the beginning of paths",
        *(f"as ann:pw GET /v2/keys/p{path}" for path in PATHS),
        *(f"as ann:pw HEAD /v2/keys/p{path}" for path in PATHS[:2]),
        *(
            f"as ann:pw GET /v2/keys/p{path}?recursive=true"
            for path in ("/a", "/b", "/b/", "/b/k", "/c")
        ),
        *(f"as ann:pw GET /v2/keys/p{path}?quorum=true" for path in ("/a", "/z")),
        "w> GET /v2/keys/p/z?wait=true",
    ),
    row(
        "writes have patterns of their own",
        *(f"as ann:pw PUT /v2/keys/p{path} value=1" for path in ("/a", "/a/", "/b/k")),
        "as ann:pw PUT /v2/keys/p/w/k value=1",
        "as ann:pw POST /v2/keys/p/w/q value=1",
        "as ann:pw PUT /v2/keys/p/w/k?prevExist=true value=2",
        "as ann:pw PUT /v2/keys/p/z?prevValue=1 value=2",
        "as ann:pw PUT /v2/keys/p/w/k?recursive=true value=3",
        "as ann:pw DELETE /v2/keys/p/a/?recursive=true",
        "as ann:pw DELETE /v2/keys/p/a/",
        "as ann:pw DELETE /v2/keys/p/w?recursive=true",
        "as ann:pw GET /v2/keys/p/w",
    ),
    row(
        "a change of role, password or user counts at once",
        "as ann:pw GET /v2/keys/p/n",
        as_root(role("reader", grant=kv('["/p/n"]'))),
        "as ann:pw GET /v2/keys/p/n",
        as_root(role("reader", revoke=kv('["/p/n"]'))),
        "as ann:pw GET /v2/keys/p/n",
        as_root(user("ann", revoke='["reader"]')),
        "as ann:pw GET /v2/keys/p/a",
        as_root(user("ann", grant='["reader"]', password='"new"')),
        "as ann:pw GET /v2/keys/p/a",
        "as ann:new GET /v2/keys/p/a",
        as_root(f"DELETE {USERS}/ann"),
        "as ann:new GET /v2/keys/p/a",
        as_root(user("ann", roles='["missing", "reader"]', password=PASSWORD)),
        "as ann:new GET /v2/keys/p/a",
        "as ann:pw GET /v2/keys/p/a",
    ),
    row(
        "a guest is judged by the plain rule, also recursively",
        as_root(role("guest", revoke=kv('["/*"]', '["/*"]'), grant=kv('["/p/g"]'))),
        "GET /v2/keys/p/g",
        "GET /v2/keys/p/g?recursive=true",
        "GET /v2/keys/p/g/k",
        "PUT /v2/keys/p/g value=1",
        "GET /v2/keys/",
        as_root(f"DELETE {ROLES}/guest"),
        "GET /v2/keys/p/g",
        as_root(role("guest", permissions=kv('["/*"]', '["/*"]'))),
        "GET /v2/keys/p/g",
    ),
    row(
        "an empty pattern allows nothing",
        as_root(role("nothing", permissions=kv('[""]'))),
        as_root(user("odd", roles='["nothing"]', password=PASSWORD)),
        "as odd:pw GET /v2/keys",
        meant="etcd's handler panics and drops the connection",
    ),
]


@pytest.fixture(scope="module")
def auth_pair(lone_servers):
    """A pair of this file's own: nobody else may have users."""
    pair = Pair(*(Side(server.port) for server in lone_servers()))
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def guarded_pair(auth_pair):
    """The same, with the switch on, and ann who may little."""
    read, write = '["/p/a", "/p/b/*", "/p/c*"]', '["/p/a/", "/p/w*"]'
    for side in auth_pair.sides:
        for step in (
            role("reader", permissions=kv(read, write)),
            user("ann", password=PASSWORD, roles='["missing", "reader"]'),
            user("ops", password=PASSWORD, roles='["root"]'),
            user("root", password=PASSWORD),
            f"PUT {SWITCH}",
        ):
            side.ask(*step.split(maxsplit=2))
    return auth_pair


@pytest.fixture(scope="module")
def fresh_pair(lone_servers):
    """Another pair, with user root, for random sequences."""
    pair = Pair(*(Side(server.port) for server in lone_servers()))
    for side in pair.sides:
        side.ask(*user("root", password=PASSWORD).split(maxsplit=2))
    yield pair
    pair.close()


@pytest.mark.oracle
@pytest.mark.parametrize("each", OFF, ids=names(OFF))
def test_users_roles_and_the_switch(auth_pair, each):
    check(auth_pair, each)


@pytest.mark.oracle
@pytest.mark.parametrize("each", WHO, ids=names(WHO))
def test_who_asks(guarded_pair, each):
    check(guarded_pair, each)


@pytest.mark.oracle
@pytest.mark.parametrize("each", OPEN, ids=names(OPEN))
def test_what_everybody_may(guarded_pair, each):
    check(guarded_pair, each)


@pytest.mark.oracle
def test_only_what_is_allowed_counts_as_received(guarded_pair):
    name = "etcd_http_received_total"
    before = [page_of(side.port).values(name) for side in guarded_pair.sides]
    for side in guarded_pair.sides:
        for step in (
            "as ann:wrong GET /v2/keys/p/a",
            "as ann:pw GET /v2/keys/p/a",
            "as ann:pw GET /v2/keys/p/z",
            "as root:pw PUT /v2/keys/p/z value=1",
            "as root:pw GET /v2/keys/p/z?quorum=true",
        ):
            side.step(step)
    rises = [
        {labels: value - was.get(labels, 0) for labels, value in now.items()}
        for now, was in zip(
            (page_of(side.port).values(name) for side in guarded_pair.sides),
            before,
            strict=True,
        )
    ]
    assert rises[0] == rises[1]
    assert sum(rises[1].values()) == 3


@pytest.mark.oracle
@pytest.mark.parametrize("each", MAY, ids=names(MAY))
def test_what_he_may(guarded_pair, each):
    check(guarded_pair, each)


# -- random sequences --

NAMES = st.sampled_from(["ann", "bob"])
WHOS = st.sampled_from(["", "as ann:pw ", "as bob:pw ", "as ann:no ", "as root:pw "])
PATTERNS = st.lists(
    st.sampled_from(["/p/a", "/p/a*", "/p/*", "/p/b/"]), max_size=2
).map(json.dumps)
KEYS = st.sampled_from(["/p/a", "/p/a/", "/p/ab", "/p/b/", "/p/b"])
AS_ROOT = st.sampled_from(["", "as root:pw "])
USER_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "password": st.sampled_from(['"pw"', '""']),
        "roles": st.lists(NAMES, max_size=2).map(json.dumps),
        "grant": st.lists(NAMES, max_size=2).map(json.dumps),
        "revoke": st.lists(NAMES, max_size=2).map(json.dumps),
    },
)
ROLE_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(kv, PATTERNS, PATTERNS)
        for name in ("permissions", "grant", "revoke")
    },
)
STEPS = st.lists(
    st.one_of(
        st.builds(lambda who, name, f: who + user(name, **f), WHOS, NAMES, USER_FIELDS),
        st.builds(lambda who, name, f: who + role(name, **f), WHOS, NAMES, ROLE_FIELDS),
        st.builds(
            "{}{} {}/{}".format,
            AS_ROOT,
            st.sampled_from(["GET", "GET", "DELETE"]),
            st.sampled_from([USERS, ROLES]),
            NAMES,
        ),
        st.builds("{}GET {}".format, AS_ROOT, st.sampled_from([USERS, ROLES])),
        st.builds("{}PUT /v2/keys{} value=1".format, WHOS, KEYS),
        st.builds(
            "{}GET /v2/keys{}{}".format,
            WHOS,
            KEYS,
            st.sampled_from(["", "?recursive=true", "?quorum=true"]),
        ),
        st.sampled_from([f"PUT {SWITCH}", f"as root:pw DELETE {SWITCH}"]),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.oracle
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_random_sequences_about_users_are_answered_as_etcd_answers_them(
    steps, fresh_pair
):
    end = (f"as root:pw GET {USERS}", f"as root:pw DELETE {SWITCH}")
    difference = fresh_pair.difference(Row("a random sequence", (*steps, *end)))
    if difference:
        note("the sequence:\n" + "\n".join(steps))
    assert not difference, difference
