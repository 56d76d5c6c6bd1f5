"""What goes over the wire for each method, and what its answer becomes."""

from urllib.parse import parse_qsl

import pytest
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from kvd.client import (
    Client,
    CompareFailed,
    DirectoryNotEmpty,
    EventIndexCleared,
    InvalidField,
    InvalidForm,
    KeyExists,
    KeyNotFound,
    KeysError,
    Node,
    NotADirectory,
    NotAFile,
    Refused,
    RootReadOnly,
    TtlRequired,
    Unauthorized,
    WatcherCleared,
)
from tests.client.cluster import A, event, refusal, result

ASKED = [
    (lambda c: c.get("/k"), "GET", "/v2/keys/k", ""),
    (
        lambda c: c.get("d", recursive=True, in_order=True, quorum=True),
        "GET",
        "/v2/keys/d?recursive=true&sorted=true&quorum=true",
        "",
    ),
    (lambda c: c.ls(), "GET", "/v2/keys/?sorted=true", ""),
    (lambda c: c.set("/k", "a b&c"), "PUT", "/v2/keys/k", "value=a+b%26c"),
    (lambda c: c.set("/k", b"\xff", ttl=5), "PUT", "/v2/keys/k", "value=%FF&ttl=5"),
    (lambda c: c.set("/k", "", ttl=0), "PUT", "/v2/keys/k", "value=&ttl=0"),
    (lambda c: c.create("/k", "v"), "PUT", "/v2/keys/k", "value=v&prevExist=false"),
    (lambda c: c.update("/k", "v"), "PUT", "/v2/keys/k", "value=v&prevExist=true"),
    (
        lambda c: c.refresh("/k", 9, prev_value="me"),
        "PUT",
        "/v2/keys/k",
        "ttl=9&refresh=true&prevExist=true&prevValue=me",
    ),
    (lambda c: c.delete("/k"), "DELETE", "/v2/keys/k", ""),
    (
        lambda c: c.delete("/k", recursive=True),
        "DELETE",
        "/v2/keys/k?recursive=true",
        "",
    ),
    (lambda c: c.rmdir("/k"), "DELETE", "/v2/keys/k?dir=true", ""),
    (
        lambda c: c.compare_and_swap("/k", "n", prev_value="o", prev_index=7, ttl=1),
        "PUT",
        "/v2/keys/k",
        "value=n&ttl=1&prevValue=o&prevIndex=7",
    ),
    (
        lambda c: c.compare_and_delete("/k", prev_value=b"\x00 "),
        "DELETE",
        "/v2/keys/k?prevValue=%00+",
        "",
    ),
    (lambda c: c.create_in_order("/q", "v"), "POST", "/v2/keys/q", "value=v"),
    (lambda c: c.mkdir("/d"), "PUT", "/v2/keys/d", "dir=true&prevExist=false"),
    (lambda c: c.set_dir("/d", ttl=3), "PUT", "/v2/keys/d", "dir=true&ttl=3"),
    (lambda c: c.update_dir("/d"), "PUT", "/v2/keys/d", "dir=true&prevExist=true"),
]


@pytest.mark.parametrize(("ask", "method", "target", "body"), ASKED)
def test_a_method_is_one_request(cluster, ask, method, target, body):
    ask(cluster.client())
    asked = cluster.last
    assert (asked.method, asked.target) == (method, target)
    assert asked.body.decode() == body
    form = asked.headers.get("Content-Type")
    assert form == ("application/x-www-form-urlencoded" if body else None)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("/", "/"),
        ("", "/"),
        ("a//b/", "/a/b"),
        ("/_hidden/.x/...", "/_hidden/.x/..."),
        ("/a b?#%2F;+&", "/a%20b%3F%23%252F%3B%2B%26"),
        ("/ключ", "/%D0%BA%D0%BB%D1%8E%D1%87"),
        (b"/\xff\x00\n", "/%FF%00%0A"),
        ("/e\u0301", "/e%CC%81"),
    ],
)
def test_every_byte_of_a_key_arrives(cluster, key, path):
    cluster.client().get(key)
    assert cluster.last.target == f"/v2/keys{path}"


def test_a_key_has_no_dots_for_components(cluster):
    for key in ("/a/../b", "/.", b"/a/./b"):
        with pytest.raises(ValueError, match="part of a key"):
            cluster.client().get(key)


def test_there_must_be_something_to_compare_with(cluster):
    client = cluster.client()
    for compared in ({}, {"prev_index": 0}, {"prev_value": ""}):
        with pytest.raises(ValueError, match="compare"):
            client.compare_and_swap("/k", "v", **compared)
        with pytest.raises(ValueError, match="compare"):
            client.compare_and_delete("/k", **compared)
    assert not cluster.asked


def test_an_answer_is_typed(cluster):
    written = cluster.client().set("/k", "v", ttl=5)
    document = event(ttl=5, expiration="2030-01-01T00:00:00Z")
    document["prevNode"] = {"key": "/k", "value": "", "modifiedIndex": 3}
    cluster.last.answer(
        201,
        document,
        Etcd_Index=5,
        Raft_Index=17,
        Raft_Term=2,
        Etcd_Cluster_Id="cdf8",
    )
    response = result(written)
    assert response.created
    assert response.action == "set"
    assert response.node == Node(
        "/k",
        "v",
        expiration="2030-01-01T00:00:00Z",
        ttl=5,
        modified_index=5,
        created_index=5,
    )
    assert response.previous == Node("/k", "", modified_index=3)
    assert (response.etcd_index, response.raft_index, response.raft_term) == (5, 17, 2)
    assert (response.cluster_id, response.endpoint) == ("cdf8", A)
    assert response.event.index == 5
    assert not response.event.removed


def test_a_listing_has_each_directory_before_what_is_in_it(cluster):
    listed = cluster.client().ls("/", recursive=True)
    inner = {"key": "/d/f", "value": "1"}
    nodes = [{"key": "/d", "dir": True, "nodes": [inner]}, {"key": "/e", "value": "2"}]
    cluster.last.answer(200, {"action": "get", "node": {"dir": True, "nodes": nodes}})
    found = result(listed)
    assert [(each.key, each.name, each.dir) for each in found] == [
        ("/d", "d", True),
        ("/d/f", "f", False),
        ("/e", "e", False),
    ]
    listed = cluster.client().ls("/f")
    cluster.last.answer(200, event("get", "/f"))
    assert [each.key for each in result(listed)] == ["/f"]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (100, 404, KeyNotFound),
        (101, 412, CompareFailed),
        (102, 403, NotAFile),
        (104, 400, NotADirectory),
        (105, 412, KeyExists),
        (107, 400, RootReadOnly),
        (108, 403, DirectoryNotEmpty),
        (110, 401, Unauthorized),
        (209, 400, InvalidField),
        (210, 400, InvalidForm),
        (212, 400, TtlRequired),
        (400, 400, WatcherCleared),
        (401, 400, EventIndexCleared),
        (203, 400, KeysError),
    ],
)
def test_each_code_has_its_error(cluster, code, status, kind):
    written = cluster.client().set("/k", "v")
    cluster.last.answer(status, refusal(code, "Words", "/c", 7))
    with pytest.raises(kind) as said:
        result(written)
    error = said.value
    assert type(error) is kind
    assert (error.code, error.message, error.cause, error.index) == (
        code,
        "Words",
        "/c",
        7,
    )
    assert str(error) == f"{code}: Words (/c) [7]"


def test_a_refusal_of_no_etcd_is_shown_as_it_is(cluster):
    for status, body in ((421, b"not this host"), (301, b""), (404, b"[]")):
        read = cluster.client().get("/k")
        cluster.last.answer(status, body)
        with pytest.raises(Refused) as said:
            result(read)
        assert (said.value.status, said.value.message.encode()) == (status, body)


class _Echo(Resource):
    isLeaf = True

    def render(self, request):
        request.setHeader(b"X-Etcd-Index", b"3")
        form = dict(parse_qsl(request.content.read().decode()))
        seen = f"{request.method.decode()} {request.uri.decode()} {form}"
        user = request.getHeader(b"authorization").decode()
        return b'{"action": "set", "node": {"key": "%s", "value": "%s"}}' % (
            seen.encode(),
            user.encode(),
        )


def test_treq_carries_it_as_it_was_meant():
    agent = RequestTraversalAgent(_Echo())
    client = Client(
        Clock(), ["http://kvd"], auth=("ann", "pä:ss"), http=HTTPClient(agent)
    )
    written = client.get("/a%2F\u00e9?#;", quorum=True)
    agent.flush()
    response = result(written)
    assert response.node.key == "GET /v2/keys/a%252F%C3%A9%3F%23%3B?quorum=true {}"
    assert response.node.value == "Basic YW5uOnDDpDpzcw=="
    assert response.etcd_index == 3
