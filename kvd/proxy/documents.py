"""JSON that the proxy reads: its own file, and what an etcd says of its members."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import attrs

from kvd.options.values import check_url

BYTES_MAX: Final = 1 << 20
_PEER_URLS: Final = "PeerURLs"


@attrs.frozen
class Listed:
    """
    Where the members of a cluster are.

    :ivar client_urls: of those that have said any.
    """

    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]


def encode_peer_urls(peer_urls: Iterable[str]) -> bytes:
    """The content of the proxy's file."""
    text = json.dumps({_PEER_URLS: list(peer_urls)}, separators=(",", ":"))
    return text.encode("ascii")


def decode_peer_urls(data: bytes) -> tuple[str, ...]:
    """
    What :func:`encode_peer_urls` was given; etcd's proxies write the same.

    :raises ValueError: for anything else, with what is wrong.
    """
    document = _read(data)
    urls = _texts(document, _PEER_URLS)
    for url in urls:
        check_url(url, bind=False)
    return urls


def decode_members(data: bytes) -> Listed:
    """
    What an etcd's peer port answers to ``/members``: an array of members.

    :raises ValueError: for anything else, with what is wrong.
    """
    document = _read(data)
    if not isinstance(document, list):
        raise ValueError("expected a list of members")  # noqa: TRY004 -- said by data
    return Listed(
        tuple(url for member in document for url in _texts(member, "peerURLs")),
        tuple(
            url
            for member in document
            for url in _texts(member, "clientURLs", needed=False)
        ),
    )


def _read(data: bytes) -> object:
    if len(data) > BYTES_MAX:
        raise ValueError(f"longer than {BYTES_MAX} bytes")
    try:
        document: object = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return document


def _texts(document: object, name: str, *, needed: bool = True) -> tuple[str, ...]:
    found = document.get(name) if isinstance(document, dict) else None
    if found is None and not needed and isinstance(document, dict):
        return ()
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError(f'expected {{"{name}":["http://host:port",...]}}')
    return tuple(found)
