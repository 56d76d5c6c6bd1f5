"""Where a member is reached: an endpoint's URL, read as Go and etcdctl read it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kvd import golang

_USUAL: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?//"
    r"(?P<host>[A-Za-z0-9._~-]*|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]*))?"
    r"(?P<path>/[A-Za-z0-9._~/-]*)?"
)
_PORTS: Final = {"http": 80, "https": 443, "unix": 80, "unixs": 443}


class Endpoint(NamedTuple):
    """
    One member's client URL.

    :ivar url: as it is shown.
    :ivar scheme: ``http``, ``https``, ``unix``, ``unixs``, or what was given.
    :ivar host: without brackets, and without a dot at its end; empty if there is none.
    :ivar path: below which the API is, without a slash at its end.
    """

    url: str
    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def secure(self) -> bool:
        return self.scheme in {"https", "unixs"}

    @property
    def socket_path(self) -> str:
        """Of ``unix://host:port`` a file of that name, of ``unix:///path`` that one."""
        if not self.scheme.startswith("unix"):
            return ""
        return f"{self.host}:{self.port}" if self.host else self.path

    @property
    def prefix(self) -> str:
        """What stands before every target."""
        return "" if self.socket_path else self.path


def endpoint_of(text: str) -> Endpoint:
    """
    Read one; without a scheme it is http.

    :raises ValueError: it cannot be read, in Go's words where Go refuses it.
    """
    found = _USUAL.fullmatch(text)
    if found is None:
        scheme = _scheme_of(text)
        if scheme and scheme not in _PORTS:
            return Endpoint(text, scheme, "", 0)
        text = text if scheme else f"http://{text}"
        found = _USUAL.fullmatch(text)
    if found is None and "@" in text:  # behind a password, which is not shown
        raise ValueError("endpoint with a user in it: --username says who asks")
    if found is None:
        raise ValueError(f"endpoint {text}: expected scheme://host:port")
    parts = found.groupdict()
    scheme = (parts["scheme"] or "http").lower()
    return Endpoint(
        text if parts["scheme"] else f"http:{text}",
        scheme,
        parts["host"].strip("[]").rstrip("."),
        int(parts["port"] or _PORTS.get(scheme, 0)),
        (parts["path"] or "").rstrip("/"),
    )


def _scheme_of(text: str) -> str:
    """Of a URL out of the ordinary, in most cases a wrong one."""
    from kvd.urls import check  # noqa: PLC0415 -- takes its time to import

    return check(text)


def target_of(path: str) -> str:
    """A path as it is sent: without empty and dotted segments, escaped."""
    return golang.escape_path(
        golang.clean_path(path.encode("utf-8", "surrogateescape"))
    )
