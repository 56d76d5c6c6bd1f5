"""What the proxy reads as JSON."""

from __future__ import annotations

import pytest

from kvd.proxy.documents import (
    BYTES_MAX,
    Listed,
    decode_members,
    decode_peer_urls,
    encode_peer_urls,
)


def test_the_file_is_etcds():
    urls = ("http://127.0.0.1:2380", "http://[::1]:2380")
    data = b'{"PeerURLs":["http://127.0.0.1:2380","http://[::1]:2380"]}'
    assert encode_peer_urls(urls) == data
    assert decode_peer_urls(data) == urls
    assert decode_peer_urls(b' {"PeerURLs": []}\n') == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Expecting value"),
        (b"\xff", "utf-8"),
        (b"[]", "PeerURLs"),
        (b"{}", "PeerURLs"),
        (b'{"PeerURLs":"http://a:1"}', "PeerURLs"),
        (b'{"PeerURLs":[1]}', "PeerURLs"),
        (b'{"PeerURLs":["ftp://a:1"]}', "URL scheme"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * (BYTES_MAX + 1), "longer than"),
    ],
)
def test_anything_else_is_refused_with_the_reason(data, said):
    with pytest.raises(ValueError, match=said):
        decode_peer_urls(data)


def test_members_of_an_etcd():
    data = (
        b'[{"id":4434235373138524259,"peerURLs":["http://a:2380","http://b:2380"],'
        b'"name":"m","clientURLs":["http://a:2379"]},'
        b'{"id":1,"peerURLs":["http://c:2380"],"name":""}]'
    )
    assert decode_members(data) == Listed(
        ("http://a:2380", "http://b:2380", "http://c:2380"), ("http://a:2379",)
    )


@pytest.mark.parametrize("data", [b"{}", b"[1]", b"[{}]", b'[{"peerURLs":[{}]}]'])
def test_other_lists_are_none(data):
    with pytest.raises(ValueError, match="expected"):
        decode_members(data)
