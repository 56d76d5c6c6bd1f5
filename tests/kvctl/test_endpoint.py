"""Endpoints as Go and etcdctl read them."""

from __future__ import annotations

import pytest

from kvd.kvctl.endpoint import endpoint_of, target_of


@pytest.mark.parametrize(
    ("text", "url", "place"),
    [
        ("http://h:1", "http://h:1", ("http", "h", 1)),
        ("HTTPS://h", "HTTPS://h", ("https", "h", 443)),
        ("http://h:", "http://h:", ("http", "h", 80)),
        ("http://[::1]:5", "http://[::1]:5", ("http", "::1", 5)),
        ("http://m1.example.:5", "http://m1.example.:5", ("http", "m1.example", 5)),
        ("//h:1", "http://h:1", ("http", "h", 1)),
        ("h", "http://h", ("http", "h", 80)),
        ("", "http://", ("http", "", 80)),
        ("http://", "http://", ("http", "", 80)),
        ("h:1", "h:1", ("h", "", 0)),  # a scheme, for Go
        ("ftp://h:1", "ftp://h:1", ("ftp", "h", 1)),
    ],
)
def test_an_endpoint_is_a_scheme_a_host_and_a_port(text, url, place):
    endpoint = endpoint_of(text)
    assert endpoint.url == url
    assert (endpoint.scheme, endpoint.host, endpoint.port) == place


_USER = "endpoint with a user in it: --username says who asks"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "127.0.0.1:2",
            'parse "127.0.0.1:2": first path segment in URL cannot contain colon',
        ),
        (":1", 'parse ":1": missing protocol scheme'),
        ("http://h:x", 'parse "http://h:x": invalid port ":x" after host'),
        ("http://a b", 'parse "http://a b": invalid character " " in host name'),
        ("http://u:p@h:1", _USER),
        ("https://u:p@h:1/?q", _USER),
        ("http://h:1?q", "endpoint http://h:1?q: expected scheme://host:port"),
        ("http://ü:1", "endpoint http://ü:1: expected scheme://host:port"),
    ],
)
def test_what_is_none_is_refused(text, problem):
    with pytest.raises(ValueError) as caught:
        endpoint_of(text)
    assert str(caught.value) == problem


def test_an_endpoint_may_have_a_path_before_the_api():
    assert endpoint_of("http://h:1/etcd/").prefix == "/etcd"
    assert endpoint_of("http://h:1/").prefix == ""


def test_a_socket_in_the_file_system_is_named_in_etcds_way_or_by_its_path():
    assert endpoint_of("unix://localhost:2379").socket_path == "localhost:2379"
    absolute = endpoint_of("unix:///run/kvd.sock")
    assert absolute.socket_path == "/run/kvd.sock"
    assert absolute.prefix == ""
    assert endpoint_of("http://h:1").socket_path == ""


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v2/keys/a", "/v2/keys/a"),
        ("/v2/keys/a/", "/v2/keys/a/"),
        ("/v2/keys//a/./b/../c", "/v2/keys/a/c"),
        ("/v2/keys/a b?c#d%", "/v2/keys/a%20b%3Fc%23d%25"),
        ("/v2/keys/€", "/v2/keys/%E2%82%AC"),
        ("/v2/keys/\udcff", "/v2/keys/%FF"),  # a byte that is no UTF-8
        ("/v2/keys/!*'()$&+,;=@", "/v2/keys/%21%2A%27%28%29$&+,;=@"),
    ],
)
def test_a_path_is_cleaned_and_escaped_as_go_does(path, target):
    assert target_of(path) == target
