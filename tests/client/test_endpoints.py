"""Which endpoints there are."""

import pytest

from kvd.client import Limits
from kvd.client.endpoints import Endpoints, endpoint_of
from tests.client.cluster import A, B, C, event, result


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("127.0.0.1:2379", "http://127.0.0.1:2379"),
        ("http://Kvd.example/", "http://kvd.example:80"),
        ("https://kvd.example", "https://kvd.example:443"),
        (" http://[::1]:2379 ", "http://[::1]:2379"),
    ],
)
def test_an_endpoint_is_a_scheme_a_host_and_a_port(url, endpoint):
    assert endpoint_of(url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "ftp://a",
        "unix://socket",
        "http://a/v2",
        "http://a?x",
        "http://a:x",
        "http://a:99999",
        "http://u:p@a",
        "http://" + "a" * 70,
    ],
)
def test_what_leads_nowhere_is_not_taken(url):
    with pytest.raises(ValueError, match="http"):
        endpoint_of(url)


def test_there_is_at_least_one_and_no_more_than_the_limit():
    with pytest.raises(ValueError, match="needs"):
        Endpoints([], Limits())
    with pytest.raises(ValueError, match="more than 2"):
        Endpoints([A, B, C], Limits(endpoints_max=2))


def members(*urls):
    return {
        "members": [
            {"id": "1", "name": "m", "peerURLs": ["http://p"], "clientURLs": list(urls)}
        ]
    }


def test_members_are_discovered_beside_what_was_given(cluster):
    client = cluster.client(A)
    synced = client.sync()
    assert cluster.last.target == "/v2/members"
    cluster.last.answer(200, members(B, C, "unix://nothing"))
    assert result(synced) == client.endpoints == (A, B, C)
    synced = client.sync()
    cluster.last.answer(200, members(C))
    assert result(synced) == (A, C)


def test_no_more_are_discovered_than_the_limit(cluster):
    client = cluster.client(A, limits=Limits(endpoints_max=2))
    client.sync()
    cluster.last.answer(200, members(B, C))
    assert client.endpoints == (A, B)


def test_nothing_is_discovered_that_has_no_tls_where_all_have_it(cluster):
    client = cluster.client("https://a")
    client.sync()
    cluster.last.answer(200, members("http://b", "https://c"))
    assert client.endpoints == ("https://a:443", "https://c:443")


def test_members_are_asked_for_again_after_a_while(cluster):
    client = cluster.client(A, sync_seconds=60)
    first = client.get("/k")
    assert cluster.last.target == "/v2/members"
    cluster.last.answer(200, members(B))
    cluster.last.answer(200, event("get"))
    assert result(first).endpoint == A
    cluster.clock.advance(59)
    client.get("/k")
    assert cluster.last.target == "/v2/keys/k"
    cluster.clock.advance(1)
    later = client.get("/k")
    assert cluster.last.target == "/v2/members"
    cluster.last.answer(401, b"no")
    assert cluster.last.target == "/v2/keys/k"
    cluster.last.answer(200, event("get"))
    result(later)
