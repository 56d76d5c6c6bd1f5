"""kvctl member: what is asked, and what is said of the answers."""

import pytest

from kvd.kvctl.errors import EndpointFailed
from kvd.kvctl.members import Member, environment
from tests.kvctl.answering import run

ONE = {
    "id": "a1",
    "name": "one",
    "peerURLs": ["http://a:1", "http://a:2"],
    "clientURLs": ["http://a:3"],
}
NEW = {"id": "b2", "name": "", "peerURLs": ["http://b:1"], "clientURLs": []}
BOTH = {"members": [ONE, NEW]}


def test_a_member_is_shown_with_whether_it_leads_and_a_new_one_with_less():
    said = run("member list", BOTH, ONE)
    assert said.out == (
        "a1: name=one peerURLs=http://a:1,http://a:2 clientURLs=http://a:3 "
        "isLeader=true\n"
        "b2[unstarted]: peerURLs=http://b:1\n"
    )
    assert [target for _, target, _ in said.asked] == [
        "/v2/members",
        "/v2/members/leader",
    ]
    assert "isLeader=false" in run("member list", BOTH, {"id": "c3"}).out


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(404, b"")], "unexpected status code 404"),
        ([(401, {"message": "no"})], "unexpected status code 401"),
        ([b""], "unexpected end of JSON input"),
        ([b"<html>"], "invalid character '<' looking for beginning of value"),
        ([b"404 page"], "invalid character 'p' after top-level value"),
        ([b"[]"], "the answer is no JSON object: []"),
        ([{"members": 5}], "members of the answer is no list: 5"),
        ([{"members": [5]}], "members of the answer is no list of objects: [5]"),
        ([{"members": [{"id": 1}]}], "id of the answer is no text: 1"),
        (
            [{"members": [{"peerURLs": [1]}]}],
            "peerURLs of the answer is no list of texts: [1]",
        ),
        ([BOTH, (404, b"")], "Failed to get leader:  unexpected status code 404"),
        (
            [BOTH, (503, {"message": "During election"})],
            (
                "Failed to get leader:  client: etcd cluster is unavailable or misconfigured"
                "; error #0: client: etcd member http://m1:2379 has no leader\n"
            ),
        ),
        (
            [(502, b"")],
            (
                "client: etcd cluster is unavailable or misconfigured; error #0: client: "
                "etcd member http://m1:2379 returns server error [Bad Gateway]\n"
            ),
        ),
    ],
)
def test_no_list_is_a_failure_that_says_why(answers, said):
    ended = run("member list", *answers)
    assert (ended.status, ended.out, ended.err) == (1, "", f"{said}\n")


@pytest.mark.parametrize("document", [{}, None, {"members": None}, {"members": []}])
def test_no_members_is_no_failure(document):
    ended = run("member list", document, {})
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_what_a_new_member_is_started_with_names_all_urls_of_all():
    listed = [
        Member("a1", "one", ("http://a:1", "http://a:2")),
        Member("b2", "", ("http://b:1",)),
    ]
    assert environment('t"o', listed[1], listed) == [
        'ETCD_NAME="t\\"o"',
        'ETCD_INITIAL_CLUSTER="one=http://a:1,one=http://a:2,t\\"o=http://b:1"',
        'ETCD_INITIAL_CLUSTER_STATE="existing"',
    ]


def test_a_member_is_added_and_then_what_it_is_started_with_is_told():
    ended = run("member add two http://b:1", (201, NEW), BOTH)
    first, empty, *environ = ended.out.splitlines()
    assert (ended.status, first) == (0, "Added member named two with ID b2 to cluster")
    assert (empty, environ[0]) == ("", 'ETCD_NAME="two"')
    assert ended.asked[0] == ("POST", "/v2/members", '{"peerURLs":["http://b:1"]}')


def test_a_member_that_was_added_is_told_even_if_the_list_then_fails():
    ended = run("member add two http://b:1", (201, NEW), (404, b""))
    assert ended.status == 1
    assert ended.out == "Added member named two with ID b2 to cluster\n"
    assert ended.err == "unexpected status code 404\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("member add two", "Provide a name and a single member peerURL"),
        (
            "member add two b:1",
            "URL scheme must be http, https, unix, or unixs: b:1",
        ),
        ("member update b2 http://b:1/x", "URL must not contain a path: http://b:1/x"),
        (
            "member update b2 http://b",
            'URL address does not have the form "host:port": http://b',
        ),
        ("member update b2", "Provide an ID and a list of comma separated peerURL"),
        ("member remove", "Provide a single member ID"),
        ("member list all", "No arguments accepted"),
    ],
)
def test_what_cannot_be_is_not_asked(line, said):
    ended = run(line)
    assert (ended.status, ended.asked) == (1, [])
    assert ended.err.startswith(said)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (409, {"message": "membership: peerURL exists"}),
            "membership: peerURL exists",
        ),
        ((409, {}), ""),
        ((400, {"message": "bad"}), "unexpected status code 400"),
    ],
)
def test_a_refusal_to_add_or_update_is_told(answer, said):
    for line in ("member add two http://b:1", "member update b2 http://b:1"):
        ended = run(line, answer)
        assert (ended.status, ended.out, ended.err) == (1, "", f"{said}\n")


def test_urls_are_updated_in_order_and_an_id_cannot_lead_elsewhere():
    ended = run("member update b2/../b3 http://b:2,http://b:1", (204, b""))
    assert ended.out == "Updated member with ID b2/../b3 in cluster\n"
    assert ended.asked == [
        ("PUT", "/v2/members/b3", '{"peerURLs":["http://b:1","http://b:2"]}')
    ]


@pytest.mark.parametrize("status", [204, 410])
def test_a_member_is_removed_even_if_somebody_else_was_faster(status):
    ended = run("member remove b2", BOTH, (status, b""))
    assert (ended.status, ended.out) == (0, "Removed member b2 from cluster\n")
    assert ended.asked[1][:2] == ("DELETE", "/v2/members/b2")


def test_a_refused_removal_is_told():
    ended = run("member remove b2", BOTH, (404, b""))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == (
        "Received an error trying to remove member b2: unexpected status code 404\n"
    )
    ended = run("member remove b2", (404, b""))
    assert ended.err == (
        "Error while verifying ID against known members: unexpected status code 404\n"
    )


def test_who_gives_a_name_is_told_the_id_of_everybody_with_that_name():
    twice = {"members": [ONE, {**ONE, "id": "c3"}]}
    ended = run("member remove one", twice)
    assert ended.status == 1
    assert ended.err.count("Found a member named one") == 2
    assert "\tkvctl member remove a1\n" in ended.err
    assert "\tkvctl member remove c3\n" in ended.err
    assert ended.err.endswith(
        "Couldn't find a member in the cluster with an ID of one.\n"
    )


@pytest.mark.parametrize(
    ("line", "before"),
    [
        ("member add two http://b:1", []),
        ("member update b2 http://b:1", []),
        ("member remove b2", [BOTH]),
    ],
)
def test_a_refusal_that_looks_like_the_lack_of_a_leader_has_a_hint(line, before):
    ended = run(line, *before, (500, {"message": "Internal Server Error"}))
    assert ended.status == 1
    assert "has no leader" in ended.err
    assert "strict-reconfig-check" in ended.hint
    nobody = EndpointFailed("http://m1:2379", "dial tcp: no", connection=True)
    assert run(line, *before, nobody).hint == ""
    assert run(line, *before, (400, {})).hint == ""
