"""
What an option's text may be: one kind for each sort of value.

A kind reads text, and shows a value as the text that gives it. A refusal is a
``ValueError`` whose message is what the operator reads; where etcd has words for the
mistake they are used (V2-SPEC 17).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

import attrs

from kvd.tls.ciphers import REFUSED, SUITES
from kvd.unixsockets import PATH_BYTES_MAX, PREFIX, socket_path

_DIGITS = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TRUE = frozenset({"1", "t", "true", "yes", "on"})
_FALSE = frozenset({"0", "f", "false", "no", "off"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEMES = frozenset({"http", "https", "unix", "unixs"})
_PORT_MAX = 65535
_DURATION = re.compile(
    r"0|[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|ms|s|m|h))+", re.ASCII
)
_HOST = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


class UnfitError(ValueError):
    """It can be read, but will not do: etcd sees that later, with another status."""


class Kind(Protocol):
    """How an option's value is written."""

    @property
    def metavar(self) -> str:
        """One word for the help text."""
        ...

    def read(self, text: str) -> object:
        """:raises ValueError: what was expected instead."""
        ...

    def show(self, value: object) -> str: ...


@attrs.frozen
class Text:
    """Any text without control characters."""

    metavar: str = "TEXT"
    empty: bool = True

    def read(self, text: str) -> str:
        if _CONTROL.search(text):
            raise ValueError("expected text without control characters")
        if not text and not self.empty:
            raise ValueError("expected a text that is not empty")
        return text

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class MemberName:
    """A member's name; ``=`` and ``,`` would make initial-cluster ambiguous."""

    metavar: str = "NAME"

    def read(self, text: str) -> str:
        if not text or _CONTROL.search(text) or "," in text or "=" in text:
            raise ValueError('expected a name without "=", "," and control characters')
        return text

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class Whole:
    """
    A whole number in decimal digits and nothing else.

    :ivar zero: what 0 stands for.
    """

    minimum: int
    maximum: int
    unit: str = ""
    zero: int = 0

    @property
    def metavar(self) -> str:
        return {"ms": "MILLISECONDS", "bytes": "BYTES"}.get(self.unit, "NUMBER")

    def read(self, text: str) -> int:
        value = int(text) if _DIGITS.fullmatch(text) else None
        if value is None or not self.minimum <= value <= self.maximum:
            unit = f" {self.unit}" if self.unit else ""
            raise ValueError(
                f"expected a whole number from {self.minimum} to {self.maximum}{unit}"
            )
        return value or self.zero

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class Boolean:
    metavar: str = "BOOLEAN"

    def read(self, text: str) -> bool:
        word = text.lower()
        if word not in _TRUE | _FALSE:
            raise ValueError("expected true or false")
        return word in _TRUE

    def show(self, value: object) -> str:
        return "true" if value else "false"


@attrs.frozen
class Choice:
    """
    One of a few words.

    :ivar unknown: etcd's words where it finds out only after it has read them all.
    """

    words: tuple[str, ...]
    unknown: str = ""

    @property
    def metavar(self) -> str:
        return "|".join(self.words)

    def read(self, text: str) -> str:
        if text not in self.words:
            expected = f"expected one of {', '.join(self.words)}"
            if self.unknown:
                raise UnfitError(f'{self.unknown} "{text}", {expected}')
            raise ValueError(expected)
        return text

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class Duration:
    """
    Go's way to write one: ``5s``, ``2h45m``, ``100ms``.

    :ivar plain: a number alone may stand there, too.
    """

    plain: bool = False
    metavar: str = "DURATION"

    def read(self, text: str) -> str:
        if not _DURATION.fullmatch(text) and not (self.plain and text.isdecimal()):
            raise ValueError("expected a duration such as 5s, 2h45m or 100ms")
        return text

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class Words:
    """Texts between commas; empty pieces are skipped."""

    metavar: str = "LIST"

    def read(self, text: str) -> tuple[str, ...]:
        if _CONTROL.search(text):
            raise ValueError("expected texts without control characters")
        return tuple(piece.strip() for piece in text.split(",") if piece.strip())

    def show(self, value: object) -> str:
        return ",".join(_texts(value))


@attrs.frozen
class Suites:
    """Cipher suites of TLS 1.2 by Go's names, between commas."""

    metavar: str = "SUITES"

    def read(self, text: str) -> tuple[str, ...]:
        names = tuple(piece.strip() for piece in text.split(",") if piece.strip())
        for name in names:
            if name in REFUSED:
                raise UnfitError(f"cipher suite {name} is not secure any more")
            if name not in SUITES:
                raise UnfitError(f'unexpected TLS cipher suite "{name}"')
        return names

    def show(self, value: object) -> str:
        return ",".join(_texts(value))


@attrs.frozen
class Urls:
    """
    URLs between commas, kept as given.

    :ivar bind: they are listened on, so the host must be an address or localhost.
    :ivar unix: sockets in the file system may be among them.
    :ivar empty: whether there may be none.
    """

    bind: bool = False
    unix: bool = False
    empty: bool = False
    metavar: str = "URLS"

    def read(self, text: str) -> tuple[str, ...]:
        urls = tuple(piece.strip() for piece in text.split(",") if piece.strip())
        if not urls and not self.empty:
            raise ValueError("expected at least one URL, such as http://127.0.0.1:2379")
        for url in urls:
            if self.unix and url.startswith(PREFIX):
                check_unix_url(url)
            else:
                check_url(url, bind=self.bind)
        if len(set(urls)) != len(urls):
            raise ValueError("expected different URLs")
        return urls

    def show(self, value: object) -> str:
        return ",".join(_texts(value))


@attrs.frozen
class Members:
    """
    ``name=url,name2=url2``: the founding members.

    A repeated name collects URLs, an empty piece is skipped (V2-SPEC 17).
    """

    metavar: str = "NAME=URL,..."

    def read(self, text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        members: dict[str, list[str]] = {}
        for piece in text.split(","):
            if not piece.strip():
                continue
            name, equals, url = piece.strip().partition("=")
            if not equals or not name or not url:
                raise ValueError(f'expected name=url, not "{piece.strip()}"')
            check_url(url.strip(), bind=False)
            members.setdefault(MemberName().read(name), []).append(url.strip())
        if not members:
            raise ValueError("expected at least one name=url")
        return tuple((name, tuple(urls)) for name, urls in members.items())

    def show(self, value: object) -> str:
        if not isinstance(value, tuple):
            raise TypeError(value)
        return ",".join(f"{name}={url}" for name, urls in value for url in urls)


def check_url(url: str, *, bind: bool) -> None:
    """
    Refuse what etcd refuses, in its words, and what kvd cannot serve.

    :raises ValueError: why.
    """
    if _CONTROL.search(url) or " " in url:
        raise ValueError("expected a URL without spaces and control characters")
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in _SCHEMES:
        raise ValueError(f"URL scheme must be http, https, unix, or unixs: {url}")
    if scheme == "unix":
        raise UnfitError(f"members are reached over TCP, expected http: {url}")
    if scheme not in {"http", "https"}:
        raise UnfitError(f"{scheme} is not supported yet, expected http: {url}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"expected http://host:port, {error}: {url}") from None
    if parts.path or parts.query or parts.fragment:
        raise ValueError(f"URL must not contain a path: {url}")
    if port is None or "@" in parts.netloc:
        raise ValueError(f'URL address does not have the form "host:port": {url}')
    if bind and not is_address(host or ""):
        raise UnfitError(f"expected IP in URL for binding ({url})")
    if not host:
        raise UnfitError(f'must be "host:port" (unexpected empty host ({url}))')
    if not is_address(host) and not _HOST.fullmatch(host):
        raise ValueError(f"expected a host name or an address in URL: {url}")
    if port == 0 and not bind:
        raise ValueError(f"expected a port from 1 to {_PORT_MAX} in URL: {url}")


def check_unix_url(url: str) -> None:
    """
    An absolute path or, as etcd knows it, ``host:port`` for the name of a file.

    :raises ValueError: why not.
    """
    path = socket_path(url)
    if _CONTROL.search(url) or len(path.encode()) > PATH_BYTES_MAX:
        raise ValueError(f"expected {PATH_BYTES_MAX} printable bytes at most: {url}")
    if not path.startswith("/"):
        check_url(f"http://{path}", bind=False)
    elif path.endswith("/"):
        raise ValueError(f"expected the name of a file in URL: {url}")


def is_address(host: str) -> bool:
    """Whether it is an IP address, or the one name that stands for one."""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _texts(value: object) -> Sequence[str]:
    if not isinstance(value, tuple):
        raise TypeError(value)
    return [str(item) for item in value]
