"""Header fields on their way through: what goes on to the other side, and how."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from kvd import golang
from kvd.proxy.upstream import Fields

# What concerns one connection only (RFC 9110 7.6.1, and etcd's list).
_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Made anew for a request whose body has come completely.
_OWN: Final = frozenset({b"content-length", b"expect", b"host", b"x-forwarded-for"})
# What we say ourselves of an answer.
_ORIGINS: Final = frozenset(
    {
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-allow-origin",
    }
)
_NAMES_MAX: Final = 1024  # whose spelling is remembered
_FORWARDED: Final = b"X-Forwarded-For"


def request_fields(
    fields: Iterable[tuple[bytes, bytes]], *, client: str, host: bytes | None
) -> Fields:
    """
    What a member is sent.

    :param fields: the client's, with lower-case names.
    :param client: its address, which is added to ``X-Forwarded-For``.
    :param host: None where an HTTP/1.0 client named none.
    """
    given = tuple(fields)
    unwanted = _HOP | _OWN | _named(given)
    sent = [
        (spelt, value)
        for name, value in given
        if name not in unwanted and (spelt := _canonical(name))
    ]
    route = [value for name, value in given if name == b"x-forwarded-for"]
    if client:
        route.append(client.encode("ascii"))
    if route:
        sent.append((_FORWARDED, b", ".join(route)))
    if host is not None:
        sent.append((b"Host", host))
    return tuple(sent)


def answer_fields(
    fields: Iterable[tuple[bytes, bytes]], *, length: int | None
) -> Fields:
    """
    What the client is sent, but for CORS: in the order of the names, as Go's server.

    :param length: of the body, where it has to be told.
    """
    given = [(name.lower(), value) for name, value in fields]
    unwanted = _HOP | _ORIGINS | _named(given)
    kept = [
        (spelt, value)
        for name, value in given
        if name not in unwanted and (spelt := _canonical(name))
    ]
    if length is not None:
        kept = [each for each in kept if each[0] != b"Content-Length"]
        kept.append((b"Content-Length", b"%d" % length))
    return tuple(sorted(kept, key=lambda each: each[0]))


def _named(fields: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Those that ``Connection`` says are for this connection only."""
    return frozenset(
        token.strip(b" \t").lower()
        for name, value in fields
        if name == b"connection"
        for token in value.split(b",")
    )


@lru_cache(_NAMES_MAX)
def _canonical(name: bytes) -> bytes:
    """
    As Go spells it: ``X-Etcd-Index``, and also ``Www-Authenticate``.

    Empty for what is no name.
    """
    if not golang.is_token(name):
        return b""
    return b"-".join(part.capitalize() for part in name.split(b"-"))
