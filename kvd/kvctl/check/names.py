"""Whether the URLs that members give lead to them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from kvd.kvctl.check.findings import Finding, ok, problem, warning
from kvd.kvctl.observing import Member

ABOUT: Final = "names"

Resolve = Callable[[str], Sequence[str]]
"""A host name to its addresses; raises OSError."""


def hosts_of(members: Sequence[Member]) -> list[str]:
    """Every host of an advertised URL, once."""
    urls = [url for each in members for url in (*each.peer_urls, *each.client_urls)]
    return sorted({host for host in map(host_of, urls) if host})


def host_of(url: str) -> str:
    """Empty for a socket in the file system, or what is no URL."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if parts.scheme in {"http", "https"} else ""
    except ValueError:
        return ""


def check_names(members: Sequence[Member], resolve: Resolve) -> Iterator[Finding]:
    """
    Look up every host, as seen from this machine.

    :param members: all of one cluster.
    """
    known: dict[str, Sequence[str]] = {}
    good = 0
    for host in hosts_of(members):
        try:
            known[host] = resolve(host)
            good += 1
        except OSError as error:
            yield problem(
                ABOUT,
                f"{host} cannot be looked up: {error.strerror or error}",
                "put it into the DNS or /etc/hosts, or advertise another name",
            )
    for each in members:
        yield from _nowhere(each, known)
    yield from _loopback(members, known)
    if good:
        yield ok(
            ABOUT, f"{good} advertised host{'s' * (good > 1)} can be looked up here"
        )


def _nowhere(member: Member, known: dict[str, Sequence[str]]) -> Iterator[Finding]:
    for url in (*member.peer_urls, *member.client_urls):
        found = known.get(host_of(url), ())
        if any(_is(address, "is_unspecified") for address in found):
            yield problem(
                ABOUT,
                f"{member.shown} advertises {url}, which is an address to listen on and "
                "none to connect to",
                "advertise the address at which others reach it",
            )


def _loopback(
    members: Sequence[Member], known: dict[str, Sequence[str]]
) -> Iterator[Finding]:
    """Loopback is right for one member, or for all on one machine, and else never."""
    if len(members) < 2:
        return
    urls = {
        each.shown: [url for url in each.peer_urls if _here(url, known)]
        for each in members
    }
    inside = [name for name, found in urls.items() if found]
    if len(inside) == len(members):
        yield warning(
            ABOUT,
            "all members are on this machine's loopback address: they fail together",
            "give each a machine of its own, unless this is a trial",
        )
    elif inside:
        yield problem(
            ABOUT,
            f"{', '.join(inside)}: the others are told a peer URL on loopback, at which "
            "they find only themselves",
            "change it with member update to an address that others reach",
        )


def _here(url: str, known: dict[str, Sequence[str]]) -> bool:
    found = known.get(host_of(url), ())
    return bool(found) and all(_is(address, "is_loopback") for address in found)


def _is(address: str, what: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(address.partition("%")[0]), what))
    except ValueError:
        return False
