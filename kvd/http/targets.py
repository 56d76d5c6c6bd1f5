"""The request line and its target: which path and query a client means."""

from __future__ import annotations

import re
from typing import NamedTuple

from kvd import golang
from kvd.http.fields import BAD_REQUEST, NotHttpError, Refusal

_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_CONTROL = re.compile(rb"[\x00-\x20\x7f]")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*:")
_PORT = re.compile(rb"(?::[0-9]*)?")

# What every client sends; others are looked at more closely.
_METHODS = {
    method.encode(): method
    for method in ("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH")
}
CONNECT = "CONNECT"


class RequestLine(NamedTuple):
    """
    A first line.

    :ivar path: decoded, with surrogateescape, not yet clean.
    :ivar clean: whether it is known to be clean already.
    :ivar query: raw, with surrogateescape.
    :ivar old: HTTP/1.0.
    :ivar host: of an absolute target, which counts instead of the Host field.
    :ivar secure: it came over TLS.
    :ivar prefix: what an outer server has taken off the path, escaped.
    """

    method: str
    path: str
    query: str
    old: bool
    clean: bool
    host: bytes | None = None
    secure: bool = False
    prefix: bytes = b""


def parse_usual_line(line: bytes) -> RequestLine | None:
    """What clients nearly always send; None for all that must be looked at closely."""
    words = line.split(b" ")
    if len(words) == 3 and words[2] == b"HTTP/1.1":
        method = _METHODS.get(words[0])
        target = words[1]
        if method and target.startswith(b"/") and target.isascii():
            text = target.decode("ascii")
            if text.isprintable():
                path, _, query = text.partition("?")
                if "%" not in path and "//" not in path and "/." not in path:
                    return RequestLine(method, path, query, False, True)
    return None


def is_http(line: bytes) -> bool:
    """Whether it looks like a first line of HTTP/1.x at all."""
    words = line.split(b" ", 2)
    version = _VERSION.fullmatch(words[2]) if len(words) == 3 else None
    return version is not None and version[1] == b"1"


def parse_request_line(line: bytes, *, first: bool) -> RequestLine:
    """
    :param line: without its line end.
    :param first: the first one of its connection.
    :raises Refusal: V2-SPEC 1.4.
    """
    usual = parse_usual_line(line)
    if usual is not None:
        return usual
    if first and not is_http(line):
        raise NotHttpError
    words = line.split(b" ", 2)
    if len(words) != 3 or not golang.is_token(words[0]):
        raise Refusal(BAD_REQUEST)
    version = _VERSION.fullmatch(words[2])
    if version is None:
        raise Refusal(BAD_REQUEST)
    method = words[0].decode("ascii")
    path, query, host = _target(words[1], method)
    if version[1] != b"1":
        raise Refusal("505 HTTP Version Not Supported: unsupported protocol version")
    return RequestLine(
        method,
        path.decode("utf-8", "surrogateescape"),
        query.decode("utf-8", "surrogateescape"),
        version[2] == b"0",
        False,
        host,
    )


def _target(target: bytes, method: str) -> tuple[bytes, bytes, bytes | None]:
    """Decoded path, raw query and host of a request target."""
    if not target or _CONTROL.search(target):
        raise Refusal(BAD_REQUEST)
    if target == b"*":
        return b"*", b"", None
    if method == CONNECT and not target.startswith(b"/"):
        target = b"http://" + target
    rest, _, query = target.partition(b"?")
    host = None
    if not rest.startswith(b"/"):
        scheme = _ABSOLUTE.match(rest)
        if scheme is None:
            raise Refusal(BAD_REQUEST)
        rest = rest[scheme.end() :]
        if not rest.startswith(b"/"):
            return b"", query, None
        if rest.startswith(b"//"):
            host, slash, rest = rest[2:].partition(b"/")
            rest = slash + rest
            host = _authority(host)
    try:
        return golang.unescape(rest), query, host
    except golang.BadEscapeError as error:
        raise Refusal(BAD_REQUEST) from error


def _authority(authority: bytes) -> bytes:
    host = authority.rpartition(b"@")[2]
    if host.startswith(b"["):
        name, bracket, port = host.partition(b"]")
        name += bracket
    else:
        name, colon, port = host.partition(b":")
        port = colon + port
        bracket = b"]"
    if not bracket or not _PORT.fullmatch(port):
        raise Refusal(BAD_REQUEST)
    try:
        golang.unescape(name)
    except golang.BadEscapeError as error:
        raise Refusal(BAD_REQUEST) from error
    return host


class Redirect(NamedTuple):
    """Where a path that was not clean should be asked for (V2-SPEC 1.3)."""

    location: bytes  # as in the header
    body: bytes  # for GET


def redirect(path: bytes, query: str, prefix: bytes = b"") -> Redirect | None:
    """
    None when the path is clean as it is.

    :param prefix: see :class:`RequestLine`.
    """
    clean = golang.clean_path(path)
    if clean == path:
        return None
    raw = prefix + golang.escape_path(clean).encode("ascii")
    if query:
        raw += b"?" + query.encode("utf-8", "surrogateescape")
    location = b"".join(
        b"%%%02x" % byte if byte >= 0x80 else bytes((byte,)) for byte in raw
    )
    shown = raw
    for char, entity in (
        (b"&", b"&amp;"),
        (b"<", b"&lt;"),
        (b">", b"&gt;"),
        (b'"', b"&#34;"),
        (b"'", b"&#39;"),
    ):
        shown = shown.replace(char, entity)
    return Redirect(location, b'<a href="%b">Moved Permanently</a>.\n\n' % shown)
