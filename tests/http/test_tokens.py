"""``/new``: a member as a discovery service makes tokens."""

from __future__ import annotations

import json

import pytest

from kvd.discovery.registry import SIZE_MAX as ACCEPTED_MAX
from kvd.errors import Unavailable, UnavailableReason
from kvd.http.tokens import SIZE_MAX
from tests.http.accounts import ask, guard

FORM = "application/x-www-form-urlencoded"
FOLDER = "/v2/keys/_etcd/registry/"
FIRST = f"{FOLDER}{1:032x}"


def size_of(port, path):
    answer = port.request("GET", f"{path}/_config/size")
    return json.loads(answer.body)["node"]["value"] if answer.status == 200 else None


def asked(port, method, target, form=None):
    head = f"{method} {target} HTTP/1.1\r\nHost: k\r\n"
    if form is not None:
        head += f"Content-Type: {FORM}\r\nContent-Length: {len(form)}\r\n"
    return head.encode() + b"\r\n" + (form or "").encode()


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_token_is_a_size_below_a_random_name(port, method):
    answer = port.request(method, "/new?size=5")
    assert (answer.status, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer.body.decode() == f"http://localhost:2379{FIRST}"
    assert size_of(port, FIRST) == "5"
    assert port.request(method, "/new").body.decode().endswith(f"{2:032x}")
    assert size_of(port, f"{FOLDER}{2:032x}") == "3"


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_size_may_be_in_a_form(port, method, read):
    said, _ = port.ask(asked(port, method, "/new", "size=4"))
    assert read(said)[0].status == 200
    assert size_of(port, FIRST) == "4"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0"),
        ("101", "101"),
        ("-1", "-1"),
        ("three", "three"),
        ("1_0", "1_0"),
        ("%C2%B2", "\\xb2"),
        ("1%00", "1\\x00"),
        ("9" * 5000, "9" * 40),
    ],
)
def test_a_size_has_bounds(port, text, shown):
    answer = port.request("GET", f"/new?size={text}")
    assert answer.status == 400
    assert answer.body.decode() == (
        f'size: expected a whole number from 1 to 100, got "{shown}"\n'
    )
    assert port.request("GET", FOLDER.rstrip("/")).status == 404  # nothing was written


def test_whoever_joins_accepts_what_is_given_out():
    assert SIZE_MAX == ACCEPTED_MAX


def test_a_form_that_cannot_be_read_is_told(port, read):
    assert port.request("GET", "/new?size=%zz").body == b'invalid URL escape "%zz"\n'
    said, _ = port.ask(asked(port, "PUT", "/new", "size=" + "1" * 2000))
    (answer,) = read(said)
    assert (answer.status, answer.body) == (400, b"http: POST too large\n")


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PATCH"])
def test_other_methods_make_no_token(port, method):
    answer = port.request(method, "/new")
    assert (answer.status, answer["Allow"]) == (405, "GET,PUT,POST")


def test_without_quorum_there_is_no_token(port):
    port.member.refusal = Unavailable(UnavailableReason.TIMED_OUT, may_take_effect=True)
    answer = port.request("GET", "/new")
    assert answer.status == 500
    assert json.loads(answer.body)["errorCode"] == 300


def test_another_path_is_not_there(port):
    for path in ("/new/", "/news", "/new/1"):
        assert port.request("GET", path).status == 404


def test_nobody_may_do_here_what_he_may_not_do_to_keys(port):
    guard(port)
    refused = ask(port, "GET", "/new", "ann")
    assert (refused.status, json.loads(refused.body)["errorCode"]) == (401, 110)
    assert ask(port, "GET", "/new").status == 401  # the guest may read /open
    made = ask(port, "GET", "/new", "root")
    assert made.status == 200
    assert b"/v2/keys/_etcd/registry/" in made.body
