"""What the proxy answers itself, in the order of etcd's proxy."""

from __future__ import annotations

import pytest

from tests.proxy.conftest import ONE, TWO

ORIGIN = "Access-Control-Allow-Origin"


def test_where_requests_go_can_be_asked(house, make_house):
    answer = make_house(ONE, TWO).ask("GET /v2/config/local/proxy")
    assert answer.status == 200
    assert answer.body == f'{{"endpoints":["{ONE}","{TWO}"]}}\n'.encode()
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer[ORIGIN] == "*"
    house.endpoints.replace([])
    assert house.ask("GET /v2/config/local/proxy").body == b'{"endpoints":[]}\n'


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "HEAD"])
def test_where_requests_go_cannot_be_changed(house, method):
    answer = house.ask(f"{method} /v2/config/local/proxy")
    assert answer.status == 405
    assert answer["Allow"] == "GET"
    assert not house.upstream.asked


@pytest.mark.parametrize("path", ["/v2/config/local/proxy/", "/v2/config/local/log"])
def test_other_paths_are_the_members(house, path):
    house.send(f"GET {path}")
    assert house.upstream.last.question.target == path.encode()


@pytest.mark.parametrize("path", ["/v2/keys/a", "/nowhere", "/v2/config/local/proxy"])
def test_options_is_answered_here(house, path):
    answer = house.ask(f"OPTIONS {path}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer[ORIGIN] == "*"
    assert not house.upstream.asked


def test_options_of_everything_is_answered_here(house):
    answer = house.ask("OPTIONS *")
    assert answer.status == 200
    assert answer[ORIGIN] is None


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_a_path_that_is_not_clean_is_redirected_before_all_else(make_house, method):
    for mode in ("on", "readonly"):
        house = make_house(ONE, proxy=mode)
        answer = house.ask(f"{method} /v2//keys/a?x=1")
        assert answer.status == 301
        assert answer["Location"] == "/v2/keys/a?x=1"
        assert answer[ORIGIN] is None
        assert not house.upstream.asked


def test_nobody_is_connected_anywhere(house, read):
    client = house.connect().send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
    (answer,) = read(client.said)
    assert answer.status == 404
    assert answer[ORIGIN] is None
    assert not house.upstream.asked


@pytest.mark.parametrize("method", ["HEAD", "PUT", "POST", "DELETE", "OPTIONS", "get"])
def test_a_proxy_that_only_reads_refuses_everything_but_get(make_house, method):
    house = make_house(ONE, proxy="readonly")
    for path in ("/v2/keys/a", "/v2/config/local/proxy"):
        answer = house.ask(f"{method} {path}")
        assert (answer.status, answer.body) == (501, b"")
        assert [name for name, _ in answer.headers if name != "Content-Length"] == [
            "Date"
        ]
        assert (answer["Content-Length"] is None) == (method == "HEAD")
    assert not house.upstream.asked


def test_a_proxy_that_only_reads_forwards_get(make_house):
    house = make_house(ONE, proxy="readonly")
    house.send("GET /v2/keys/a")
    assert house.upstream.last.url == ONE


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_the_metrics_are_the_proxys_own_whatever_the_method_and_the_mode(
    make_house, method
):
    for mode in ("on", "readonly"):
        house = make_house(ONE, proxy=mode)
        answer = house.ask(f"{method} /metrics")
        assert answer.status == 200
        assert answer.body == (b"" if method == "HEAD" else b"# the page\n")
        assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer[ORIGIN] is None
        assert not house.upstream.asked


def test_only_our_own_origins_are_told(make_house, read):
    house = make_house(ONE, cors=("http://a.example",))
    for origin, told in (("http://a.example", True), ("http://b.example", False)):
        client = house.send(f"GET /a\r\nOrigin: {origin}\r\n")
        house.upstream.last.answer(200, b"", length=0)
        (answer,) = read(client.said)
        assert answer[ORIGIN] == (origin if told else None)


def test_other_hosts_are_not_answered(make_house):
    house = make_house(ONE, host_whitelist=("elsewhere",))
    assert house.ask("GET /v2/keys/a").status == 421
    assert not house.upstream.asked


def test_connections_and_with_them_watches_are_bounded(make_house, read):
    house = make_house(ONE, connections_max=1)
    first = house.send("GET /v2/keys/a?wait=true")
    house.upstream.last.answer()
    assert first.said
    second = house.send("GET /v2/keys/a?wait=true")
    assert second.said.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert len(house.upstream.asked) == 1
    second.lose()
    first.lose()
    house.send("GET /v2/keys/a?wait=true")
    assert len(house.upstream.asked) == 2


@pytest.mark.parametrize(
    ("options", "head", "status"),
    [
        ({"header_bytes_max": 1024}, f"GET /a\r\nA: {'a' * 1024}\r\n", 431),
        ({"header_count_max": 8}, "GET /a\r\n" + "A: a\r\n" * 8, 431),
        ({"request_line_bytes_max": 256}, f"GET /{'a' * 256}", 431),
    ],
)
def test_the_limits_of_a_members_port_hold_here(make_house, options, head, status):
    house = make_house(ONE, **options)
    client = house.send(head)
    assert client.said.startswith(b"HTTP/1.1 %d " % status)
    assert not house.upstream.asked


def test_a_head_that_does_not_arrive_in_time_is_408(make_house):
    house = make_house(ONE, header_timeout=1000)
    client = house.connect().send("GET /a HTTP/1.1\r\n")
    house.clock.pump([1, 1])
    assert client.said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
