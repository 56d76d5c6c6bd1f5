"""What an option's text may be that says where other founders are found."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

import attrs

_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?", re.ASCII)
_DOMAIN_MAX: Final = 200  # what stands before it in an SRV name fits into the 253
_SUFFIX: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,40}[A-Za-z0-9])?", re.ASCII)
_PRINTABLE: Final = re.compile(r"[!-~]*", re.ASCII)
_URL_MAX: Final = 2048
_DNS_PORT: Final = 53
_SERVERS_MAX: Final = 10


@attrs.frozen
class DiscoveryUrl:
    """``http://host/path/TOKEN``; empty for none."""

    metavar: str = "URL"

    def read(self, text: str) -> str:
        if text:
            _check_url(text, "http://host/v2/keys/_etcd/registry/TOKEN")
            parts = urlsplit(text)
            if not parts.path.strip("/") or parts.query or parts.fragment:
                raise ValueError(
                    "expected http://host/v2/keys/_etcd/registry/TOKEN, with a token "
                    "and nothing behind it"
                )
        return text

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class ProxyUrl:
    """``http://host:port`` or, as for etcd, ``host:port``; empty for none."""

    metavar: str = "URL"

    def read(self, text: str) -> str:
        if not text:
            return text
        url = text if text.startswith(("http://", "https://")) else f"http://{text}"
        _check_url(url, "http://host:port")
        parts = urlsplit(url)
        if parts.scheme != "http":
            raise ValueError("https to a proxy is not supported, expected http")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("expected http://host:port and nothing behind it")
        return url

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class Domain:
    """A DNS domain; empty for none."""

    metavar: str = "DOMAIN"

    def read(self, text: str) -> str:
        if text and not (_DOMAIN.fullmatch(text) and len(text) <= _DOMAIN_MAX):
            raise ValueError("expected a DNS domain, such as example.com")
        return text.removesuffix(".")

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class SrvSuffix:
    """What stands behind ``_etcd-server-`` in the name of an SRV record."""

    metavar: str = "NAME"

    def read(self, text: str) -> str:
        if text and not _SUFFIX.fullmatch(text):
            raise ValueError('expected letters, digits and "-", 42 at most')
        return text

    def show(self, value: object) -> str:
        return str(value)


@attrs.frozen
class NameServers:
    """``address:port,...``; the port is 53 when there is none."""

    metavar: str = "ADDRESSES"

    def read(self, text: str) -> tuple[tuple[str, int], ...]:
        pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
        if len(pieces) > _SERVERS_MAX:
            raise ValueError(f"expected {_SERVERS_MAX} name servers at most")
        return tuple(_server(piece) for piece in pieces)

    def show(self, value: object) -> str:
        if not isinstance(value, tuple):
            raise TypeError(value)
        return ",".join(f"{host}:{port}" for host, port in value)


def _server(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        address = ipaddress.IPv4Address(parts.hostname or "")
        port = _DNS_PORT if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port or parts.netloc != text or "@" in text:
        raise ValueError(
            f"expected IPv4 addresses of name servers, such as 10.0.0.2 or 10.0.0.2:53, "
            f'not "{text}"'
        )
    return str(address), port


def _check_url(url: str, expected: str) -> None:
    """:raises ValueError: it is none that we could ask."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"expected {expected}: {error}") from None
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or port == 0
        or not _PRINTABLE.fullmatch(url)
        or len(url) > _URL_MAX
    ):
        raise ValueError(f"expected {expected}")
    if "@" in parts.netloc:
        # It would be in the log of every member, and in every member's id.
        raise ValueError(f"expected {expected}, without user and password")
