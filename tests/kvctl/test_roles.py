"""kvctl role: what is asked, and what is said of the answers."""

import json

import pytest

from kvd.kvctl.errors import Failed
from kvd.kvctl.roles import checked_path
from tests.kvctl.answering import run

NONE = {"kv": {"read": None, "write": None}}
R = {"role": "r", "permissions": NONE}
GONE = (404, {"message": "auth: Role r does not exist."})


def permitted(read, write):
    return {"role": "r", "permissions": {"kv": {"read": read, "write": write}}}


def test_names_are_listed():
    assert run("role list", {"roles": [R, {"role": "root"}]}).out == "r\nroot\n"
    assert run("role list", {"roles": None}).out == ""
    ended = run("role list", (401, {"message": "Insufficient credentials"}))
    assert (ended.status, ended.err) == (1, "unexpected status code 401\n")


def test_a_role_is_shown_with_its_patterns():
    ended = run("role get r", permitted(["/a", "/b*"], ["/w"]))
    assert ended.out == "Role: r\nKV Read:\n\t/a\n\t/b*\nKV Write:\n\t/w\n"
    for document in (R, {"role": "r"}, permitted([], [])):
        assert run("role get r", document).out == "Role: r\nKV Read:\nKV Write:\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (GONE, "auth: Role r does not exist."),
        ({"permissions": 5}, "permissions of the answer is no object: 5"),
        ({"permissions": {"kv": []}}, "kv of the answer is no object: []"),
        (permitted("/a", None), "read of the answer is no list: '/a'"),
        (permitted(None, [1]), "write of the answer is no list of texts: [1]"),
    ],
)
def test_no_role_is_a_failure_that_says_why(answer, said):
    ended = run("role get r", answer)
    assert (ended.status, ended.out, ended.err) == (1, "", f"{said}\n")


@pytest.mark.parametrize("found", [GONE, (401, {"message": "no"}), (503, b""), b""])
def test_a_role_is_added_unless_it_is_seen_to_be_there(found):
    ended = run("role add r", found, (201, R))
    assert (ended.status, ended.out) == (0, "Role r created\n")
    assert ended.asked[1][:2] == ("PUT", "/v2/auth/roles/r")
    assert json.loads(ended.asked[1][2]) == R
    ended = run("role add r", R)
    assert (ended.status, ended.err) == (1, "Role r already exists\n")
    ended = run("role add r", found, (409, {"message": "No"}))
    assert (ended.status, ended.out, ended.err) == (1, "", "No\n")


def test_a_role_is_removed():
    assert run("role remove r", b"").out == "Role r removed\n"
    assert run("role remove r", GONE).err == "auth: Role r does not exist.\n"


@pytest.mark.parametrize(
    ("flag", "patterns"),
    [
        ("--read", (["/a"], None)),
        ("--write", (None, ["/a"])),
        ("--readwrite", (["/a"], ["/a"])),
        ("--rw", (["/a"], ["/a"])),
    ],
)
@pytest.mark.parametrize("verb", ["grant", "revoke"])
def test_permissions_are_given_and_taken(verb, flag, patterns):
    ended = run(f"role {verb} r --path /a {flag}", R, permitted(*patterns))
    assert (ended.status, ended.out) == (0, "Role r updated\n")
    (read, write), (method, target, body) = patterns, ended.asked[1]
    assert (method, target) == ("PUT", "/v2/auth/roles/r")
    assert json.loads(body) == {
        "role": "r",
        "permissions": NONE,
        verb: {"kv": {"read": read, "write": write}},
    }


@pytest.mark.parametrize(
    ("verb", "done"), [("grant", "granted"), ("revoke", "revoked")]
)
def test_a_change_that_changes_nothing_is_told(verb, done):
    ended = run(f"role {verb} r --path /a --read", R, R)
    assert ended.out == f"Role unchanged; already {done}\nRole r updated\n"
    # None and no patterns are two things, of which the first is gone then.
    ended = run(f"role {verb} r --path /a --read", R, permitted([], []))
    assert ended.out == "Role r updated\n"


@pytest.mark.parametrize(
    "answers", [[GONE], [R, (409, {"message": "auth: Role r does not exist."})]]
)
def test_a_refusal_to_change_a_role_is_told(answers):
    ended = run("role grant r --path /a --rw", *answers)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "auth: Role r does not exist.\n"


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("a", "/a"),
        ("*", "/*"),
        ("//a//b/", "/a/b/"),
        ("/a/../../b/./c/", "/b/c/"),
        ("/..", "/"),
        ("//", "/"),
        ("/a/.", "/a"),
    ],
)
def test_a_path_must_be_given_as_the_server_would_have_it(path, right):
    with pytest.raises(Failed) as failed:
        checked_path(path)
    assert str(failed.value) == f"Not canonical path; please use `--path={right}`"
    assert checked_path(right) == right


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/a*", "/*", "/é", "/\udcff"])
def test_other_paths_are_taken_as_they_are(path):
    assert checked_path(path) == path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("role list all", "No arguments accepted"),
        ("role add", "Please provide a role name"),
        ("role get a b", "Please provide a role name"),
        ("role remove", "Please provide a role name"),
        ("role grant", "No path specified; please use `--path`"),
        ("role revoke r --read", "No path specified; please use `--path`"),
        (
            "role grant r --path /a",
            "Please specify exactly one of --read, --write or --readwrite",
        ),
        (
            "role grant r --path /a --read --rw",
            "Please specify exactly one of --read, --write or --readwrite",
        ),
        ("role grant --path /a --read", "Please provide a role name"),
    ],
)
def test_what_misses_a_word_is_not_asked(line, said):
    ended = run(line)
    assert (ended.status, ended.out, ended.err) == (1, "", f"{said}\n")
    assert ended.asked == []
