"""kvctl user and kvctl auth: what is asked, and what is said of the answers."""

import json

import pytest

from tests.kvctl.answering import run

GONE = (404, {"message": "auth: User ann does not exist."})
NO_ROLE = (404, {"message": "auth: Role r does not exist."})
ANN = {"user": "ann", "roles": None}


def body(ended, at=-1):
    return json.loads(ended.asked[at][2])


def test_names_are_listed_without_roles():
    users = [{"user": "ann", "roles": [{"role": "r"}]}, {"user": "bo"}]
    assert run("user list", {"users": users}).out == "ann\nbo\n"
    assert run("user list", {"users": None}).out == ""


@pytest.mark.parametrize(
    ("roles", "shown"),
    [
        (None, ""),
        ([], ""),
        (["r", "s"], "r s"),
        # A blank for each: etcdctl's way with roles that are given whole.
        ([{"role": "r"}], " r"),
        ([{"role": "r", "permissions": {}}, {"role": "s"}], "  r s"),
    ],
)
def test_a_user_is_shown_with_roles(roles, shown):
    ended = run("user get ann", {"user": "ann", "roles": roles})
    assert ended.out == f"User: ann\nRoles: {shown}\n"
    assert ended.asked == [("GET", "/v2/auth/users/ann", "")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (GONE, "auth: User ann does not exist."),
        ((401, {"message": "Insufficient credentials"}), "Insufficient credentials"),
        ((404, b"404 page not found\n"), "invalid character 'p' after top-level value"),
        ((404, b"Not here"), "invalid character 'N' looking for beginning of value"),
        ((400, {}), ""),
        ((400, {"message": 5}), "message of the answer is no text: 5"),
        ({"user": "ann", "roles": "r"}, "roles of the answer is no list: 'r'"),
        (
            {"user": "ann", "roles": [1]},
            "roles of the answer is no list of texts: [1]",
        ),
        (
            {"user": "ann", "roles": [{"role": "r"}, "s"]},
            "roles of the answer is no list of objects: [{'role': 'r'}, 's']",
        ),
    ],
)
def test_no_user_is_a_failure_that_says_why(answer, said):
    ended = run("user get ann", answer)
    assert (ended.status, ended.out, ended.err) == (1, "", f"{said}\n")


@pytest.mark.parametrize(
    ("line", "stdin", "name", "password"),
    [
        ("user add ann:pw", b"", "ann", "pw"),
        ("user add ann:p:w", b"", "ann", "p:w"),
        ("user add ann", b"typed\nmore\n", "ann", "typed"),
        ("user add ann", b"typed", "ann", "typed"),
        ("user add ann", b" t y \r\n", "ann", " t y "),
    ],
)
def test_a_user_is_added_with_the_password_that_was_given_or_typed(
    line, stdin, name, password
):
    ended = run(line, (201, ANN), stdin=stdin)
    prompt = "New password: \n" if stdin else ""
    assert (ended.status, ended.out) == (0, f"{prompt}User {name} created\n")
    assert ended.asked[0][:2] == ("PUT", f"/v2/auth/users/{name}")
    assert body(ended) == {"user": name, "password": password, "roles": None}


@pytest.mark.parametrize(
    ("line", "stdin"), [("user add ann:", b""), ("user add ann", b"")]
)
def test_an_empty_password_is_left_to_the_server(line, stdin):
    words = "auth: Cannot create user ann with an empty password"
    ended = run(line, (400, {"message": words}), stdin=stdin)
    assert (ended.status, ended.err) == (1, f"{words}\n")
    assert body(ended) == {"user": "ann", "roles": None}


@pytest.mark.parametrize("found", [ANN, NO_ROLE])
def test_a_password_is_changed(found):
    ended = run("user passwd ann", found, ANN, stdin=b"new\n")
    assert (ended.status, ended.out) == (0, "New password: \nPassword updated\n")
    assert [method for method, _, _ in ended.asked] == ["GET", "PUT"]
    assert body(ended) == {"user": "ann", "password": "new", "roles": None}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (GONE, "auth: User ann does not exist."),
        ((404, b""), "unexpected end of JSON input"),
        ((401, {"message": "Insufficient credentials"}), "Insufficient credentials"),
    ],
)
def test_nobody_is_created_by_a_change_of_the_password(answer, said):
    ended = run("user passwd ann", answer, stdin=b"new\n")
    assert (ended.status, ended.err) == (1, f"{said}\n")
    assert [method for method, _, _ in ended.asked] == ["GET"]


@pytest.mark.parametrize(
    ("line", "before"),
    [("user passwd ann", [ANN]), ("user grant ann --roles r", [])],
)
def test_who_does_not_say_what_became_of_the_user_has_not_changed_it(line, before):
    ended = run(line, *before, b"<html>", stdin=b"new\n")
    assert ended.status == 1
    assert ended.err == "invalid character '<' looking for beginning of value\n"


@pytest.mark.parametrize("verb", ["grant", "revoke"])
def test_each_role_that_is_given_is_one_even_with_a_comma_in_it(verb):
    ended = run(f"user {verb} ann --roles r,s --roles t", ANN)
    assert ended.out == "User ann updated\n"
    assert body(ended) == {"user": "ann", "roles": None, verb: ["r,s", "t"]}
    ended = run(f"user {verb} ann --roles r", (409, {"message": "No"}))
    assert (ended.status, ended.out, ended.err) == (1, "", "No\n")


def test_a_user_is_removed():
    ended = run("user remove 'a b/../c?'", b"")
    assert ended.out == "User a b/../c? removed\n"
    assert ended.asked == [("DELETE", "/v2/auth/users/c%3F", "")]
    assert run("user remove ann", GONE).err == "auth: User ann does not exist.\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("user list all", "No arguments accepted"),
        ("user add", "Please provide a username"),
        ("user get", "Please provide a username"),
        ("user remove a b", "Please provide a username"),
        ("user passwd", "Please provide a username"),
        ("user grant ann", "No roles specified; please use `--roles`"),
        ("user revoke", "No roles specified; please use `--roles`"),
        ("user grant --roles r", "Please provide a username"),
        ("auth enable all", "No arguments accepted"),
        ("auth disable all", "No arguments accepted"),
    ],
)
def test_what_misses_a_word_is_not_asked(line, said):
    ended = run(line)
    assert (ended.status, ended.out, ended.err) == (1, "", f"{said}\n")
    assert ended.asked == []


@pytest.mark.parametrize(
    ("line", "method", "said"),
    [
        ("auth enable", "PUT", "Authentication Enabled"),
        ("auth disable", "DELETE", "Authentication Disabled"),
    ],
)
def test_the_switch(line, method, said):
    ended = run(line, b"")
    assert (ended.status, ended.out) == (0, f"{said}\n")
    assert ended.asked == [(method, "/v2/auth/enable", "")]
    ended = run(line, (409, {"message": "auth: already so"}))
    assert (ended.status, ended.out, ended.err) == (1, "", "auth: already so\n")


@pytest.mark.parametrize(
    "line",
    ["user list", "user get ann", "user add a:b", "role list", "auth enable"],
)
def test_who_does_not_say_who_asks_has_a_hint(line):
    ended = run(line, (401, {"message": "Insufficient credentials"}))
    assert (ended.status, "--username" in ended.hint) == (1, True)
    assert run(line, (404, {"message": "none"})).hint == ""
