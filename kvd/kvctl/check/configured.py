"""
A member's configuration file, read as the member would read it.

The one place where kvctl knows something of the server: what an option may be is said in
:mod:`kvd.options` alone, and a second opinion would soon be a wrong one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from kvd.errors import ConfigError
from kvd.kvctl.check.findings import Finding, ok, problem, warning
from kvd.kvctl.check.names import host_of

if TYPE_CHECKING:
    from kvd.config import Config

ABOUT: Final = "config"
FILE_BYTES_MAX: Final = 1 << 20
_WARNING: Final = "warning: "


def check_configuration(
    path: str,
    *,
    read_file: Callable[[str], bytes],
    exists: Callable[[str], bool],
    found: Callable[[Config], object] = lambda _: None,
) -> Iterator[Finding]:
    """
    What a member would say of a file, and what it would not.

    :param found: is given the configuration, if it is one.
    """
    from kvd.options.load import load  # noqa: PLC0415 -- for this alone

    try:
        loaded = load(
            flags=[("config-file", path)],
            environ={},
            read_file=read_file,
            is_new=lambda folder: not exists(os.path.join(folder, "member/identity")),
            is_proxy=lambda folder: exists(os.path.join(folder, "proxy")),
        )
    except ConfigError as error:
        for line in error.problems:
            if line.startswith(_WARNING):
                yield warning(ABOUT, line.removeprefix(_WARNING), _NOT_FATAL)
            else:
                yield problem(ABOUT, line, "the member would not start: mend the file")
        return
    for line in loaded.warnings:
        yield warning(ABOUT, line, _NOT_FATAL)
    found(loaded.config)
    mistakes = list(_mistakes(loaded.config))
    yield from mistakes
    if not mistakes:
        yield ok(ABOUT, f"{path}: a member would start with it")


_NOT_FATAL: Final = "the member starts all the same: see whether it is meant"


def _mistakes(config: Config) -> Iterator[Finding]:
    """What each option by itself allows, and what all the same seldom is meant."""
    others = [name for name, _ in config.initial_cluster if name != config.name]
    if others and all(map(_local, config.initial_advertise_peer_urls)):
        elsewhere = [
            url
            for name, urls in config.initial_cluster
            if name != config.name
            for url in urls
            if not _local(url)
        ]
        if elsewhere:
            yield problem(
                ABOUT,
                "initial-advertise-peer-urls: only loopback addresses, but "
                f"{elsewhere[0]} is another machine, which cannot reach them",
                "advertise the address at which the others reach this member",
            )
        else:
            yield warning(
                ABOUT,
                "initial-cluster: all members are on one machine and fail together",
                "give each a machine of its own, unless this is a trial",
            )
    for name, urls in (
        ("advertise-client-urls", config.advertise_client_urls),
        ("initial-advertise-peer-urls", config.initial_advertise_peer_urls),
    ):
        for url in urls:
            if host_of(url) in {"0.0.0.0", "::"}:  # noqa: S104 -- nobody listens here
                yield problem(
                    ABOUT,
                    f"{name}: {url} is an address to listen on and none to connect to",
                    "advertise the address at which others reach this member",
                )
    voters = len(config.initial_cluster)
    if voters and voters % 2 == 0:
        yield warning(
            ABOUT,
            f"initial-cluster: {voters} members survive no more failures than "
            f"{voters - 1}",
            "begin with one more or one less",
        )
    yield from _open_to_all(config)


def _open_to_all(config: Config) -> Iterator[Finding]:
    for name, urls, secured in (
        ("listen-client-urls", config.listen_client_urls, config.client_cert_auth),
        ("listen-peer-urls", config.listen_peer_urls, config.peer_client_cert_auth),
    ):
        outside = [url for url in urls if not _local(url) and host_of(url)]
        bare = [url for url in outside if url.startswith("http://")]
        if bare:
            yield warning(
                ABOUT,
                f"{name}: {bare[0]} is open to everybody who can reach it",
                "https with certificates, or a network that only members and clients "
                "reach",
            )
        elif outside and not secured and name == "listen-peer-urls":
            yield warning(
                ABOUT,
                "peer-client-cert-auth is off: whoever reaches the peer port is believed",
                "peer-client-cert-auth and peer-trusted-ca-file",
            )


def _local(url: str) -> bool:
    host = host_of(url)
    return host in {"localhost", "::1"} or host.startswith("127.")
