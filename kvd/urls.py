"""
Peer URLs of a request, judged and shown as Go's ``net/url`` and etcd do.

Only what can become of a URL with host and port is kept: one with a path is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import attrs

from kvd import golang

_SCHEMES = frozenset({"http", "https", "unix", "unixs"})
# What Go's TrimSpace takes for blanks.
_BLANKS = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*):")
_BRACKETED = re.compile(rb"\[[^\[\]]*\]:[^:\[\]]*")
_PORT = re.compile(rb"(?::[0-9]*)?")
_USER = re.compile(rb"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_FRAGMENT = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:@\[\]%/?]*")
# One byte, or an escape as it came.
_PIECE = re.compile(rb"%([0-9a-fA-F]{2})|%.{0,2}|.", re.DOTALL)
_PERCENT, _BLANK = b"% "
_ALWAYS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
# Bytes that stand for themselves.
_IN_HOST = frozenset(_ALWAYS + b"!$&'()*+,;=:[]<>\"")
_IN_USER = frozenset(_ALWAYS + b"$&+,;=")
_IN_FRAGMENT = frozenset(_ALWAYS + b"$&+,/:;=?@!()*")


class BadUrlError(ValueError):
    """It cannot be a member's peer URL; worded as etcd does."""


@attrs.frozen
class _Url:
    """A URL with its parts as they are meant, but for user and fragment: as shown."""

    scheme: str
    user: str = ""
    host: bytes = b""
    has_path: bool = False
    query: bytes = b""
    fragment: str = ""

    def __str__(self) -> str:
        query = self.query.decode("utf-8", "surrogateescape")
        host = _escaped(self.host, _IN_HOST)
        return f"{self.scheme}://{self.user}{host}{query}{self.fragment}"


def peer_urls(given: Sequence[str]) -> tuple[str, ...]:
    """
    In order, each as Go prints it.

    :raises BadUrlError: for the first bad one, or because there is none.
    """
    if not given:
        raise BadUrlError("no valid URLs given")
    return tuple(sorted((_peer_url(text) for text in given), key=str.encode))


def check(text: str) -> str:
    """
    The scheme of any URL, empty if it has none.

    :raises BadUrlError: it cannot be read.
    """
    return _parse(text.encode("utf-8", "surrogateescape")).scheme


def _peer_url(text: str) -> str:
    text = text.strip(_BLANKS)
    url = _parse(text.encode())
    if url.scheme not in _SCHEMES:
        raise BadUrlError(f"URL scheme must be http, https, unix, or unixs: {text}")
    if not _has_port(url.host):
        raise BadUrlError(f'URL address does not have the form "host:port": {text}')
    if url.has_path:
        raise BadUrlError(f"URL must not contain a path: {text}")
    return str(url)


def _has_port(host: bytes) -> bool:
    """As ``net.SplitHostPort`` sees it; the port may be empty."""
    name, colon, _ = host.rpartition(b":")
    if not colon:
        return False
    if not host.startswith(b"["):
        return b":" not in name and b"[" not in host and b"]" not in host
    return _BRACKETED.fullmatch(host) is not None


def _parse(data: bytes) -> _Url:
    """
    ``url.Parse``.

    :raises BadUrlError: with the URL, which Go shows without its fragment unless
        that is what is wrong.
    """
    rest, _, fragment = data.partition(b"#")
    shown = rest
    try:
        url = _parse_before_fragment(rest)
        shown = data
        return attrs.evolve(url, fragment=_fragment(fragment))
    except ValueError as error:
        raise BadUrlError(f"parse {golang.quote(shown)}: {error}") from None


def _parse_before_fragment(data: bytes) -> _Url:
    if _CONTROL.search(data):
        raise ValueError("net/url: invalid control character in URL")
    if data.startswith(b":"):
        raise ValueError("missing protocol scheme")
    found = _SCHEME.match(data)
    scheme = found[1].decode("ascii").lower() if found else ""
    rest, mark, query = (data[found.end() :] if found else data).partition(b"?")
    if not rest.startswith(b"/"):
        if not scheme and b":" in rest.partition(b"/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
        if not scheme:
            golang.unescape(rest)  # a path
        return _Url(scheme)
    user, host = "", b""
    if rest.startswith(b"//") and (scheme or not rest.startswith(b"///")):
        authority, slash, path = rest[2:].partition(b"/")
        rest = slash + path
        user, host = _authority(authority)
    golang.unescape(rest)
    return _Url(scheme, user, host, bool(rest), mark + query)


def _authority(authority: bytes) -> tuple[str, bytes]:
    before, at, host = authority.rpartition(b"@")
    meant = _host(host)
    if not at:
        return "", meant
    if not _USER.fullmatch(before):
        raise ValueError("net/url: invalid userinfo")
    name, colon, password = before.partition(b":")
    parts = [_escaped(golang.unescape(part), _IN_USER) for part in (name, password)]
    return (":".join(parts) if colon else parts[0]) + "@", meant


def _host(host: bytes) -> bytes:
    if host.startswith(b"["):
        before, bracket, port = host.rpartition(b"]")
        if not bracket:
            raise ValueError("missing ']' in host")
        _check_port(port)
        zone = before.find(b"%25")
        if zone >= 0:
            return (
                _host_part(before[:zone], _stands_in_host)
                + _host_part(before[zone:], _stands_in_zone)
                + _host_part(bracket + port, _stands_in_host)
            )
    elif b":" in host:
        _check_port(host[host.rindex(b":") :])
    return _host_part(host, _stands_in_host)


def _check_port(port: bytes) -> None:
    if not _PORT.fullmatch(port):
        raise ValueError(f"invalid port {golang.quote(port)} after host")


def _stands_in_host(byte: int) -> bool:
    """Whether it may be there as an escape: no ASCII but the percent sign itself."""
    return byte >= 0x80 or byte == _PERCENT


def _stands_in_zone(byte: int) -> bool:
    return byte in _IN_HOST or byte in {_PERCENT, _BLANK}


def _host_part(part: bytes, may_stand: Callable[[int], bool]) -> bytes:
    """Unescaped; the first thing that is wrong decides."""
    for found in _PIECE.finditer(part):
        byte = found[0][0]
        if byte == _PERCENT:
            if found[1] is None or not may_stand(int(found[1], 16)):
                raise ValueError(f"invalid URL escape {golang.quote(found[0])}")
        elif byte < 0x80 and byte not in _IN_HOST:
            raise ValueError(f"invalid character {golang.quote(found[0])} in host name")
    return golang.unescape(part)


def _fragment(fragment: bytes) -> str:
    """With its sign: as it came if that is well-formed, else escaped."""
    if not fragment:
        return ""
    meant = golang.unescape(fragment)
    if _FRAGMENT.fullmatch(fragment):
        return f"#{fragment.decode('ascii')}"
    return f"#{_escaped(meant, _IN_FRAGMENT)}"


def _escaped(data: bytes, keep: frozenset[int]) -> str:
    return "".join(chr(byte) if byte in keep else f"%{byte:02X}" for byte in data)
