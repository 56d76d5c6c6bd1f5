"""What options must be to each other; etcd's words where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from kvd.config import Config
from kvd.options.given import Given, problem
from kvd.options.values import is_address

_ELECTION_MAX: Final = 50_000  # ms, etcd's
_HEARTBEATS_MIN: Final = 5  # in an election timeout, etcd's


def relation_problems(config: Config, given: Mapping[str, Given]) -> list[str]:
    """One line for each pair of options that does not fit together."""
    problems = []
    if "listen-client-urls" in given and "advertise-client-urls" not in given:
        problems.append(
            problem(
                "advertise-client-urls",
                "--advertise-client-urls is required when --listen-client-urls is set "
                "explicitly",
                given["listen-client-urls"],
            )
        )
    heartbeat, election = config.heartbeat_interval, config.election_timeout
    said = given.get("election-timeout")
    if heartbeat <= 0:
        problems.append(
            problem(
                "heartbeat-interval",
                f"--heartbeat-interval must be >0 (set to {heartbeat}ms)",
                given.get("heartbeat-interval"),
            )
        )
    if election <= 0:
        problems.append(
            problem(
                "election-timeout",
                f"--election-timeout must be >0 (set to {election}ms)",
                said,
            )
        )
    elif election < _HEARTBEATS_MIN * heartbeat:
        problems.append(
            problem(
                "election-timeout",
                f"--election-timeout[{election}ms] should be at least as 5 times as "
                f"--heartbeat-interval[{heartbeat}ms]",
                said or given.get("heartbeat-interval"),
            )
        )
    elif election > _ELECTION_MAX:
        problems.append(
            problem(
                "election-timeout",
                f"--election-timeout[{election}ms] is too long, and should be set less "
                f"than {_ELECTION_MAX}ms",
                said,
            )
        )
    shared = set(config.listen_client_urls) & set(config.listen_peer_urls)
    problems.extend(
        problem(
            "listen-peer-urls",
            f"clients and members cannot share an address, expected another than {url}",
            given.get("listen-peer-urls"),
        )
        for url in sorted(shared)
        if urlsplit(url).port
    )
    return problems


def founding_problems(config: Config, given: Mapping[str, Given]) -> list[str]:
    """
    What keeps a new member from founding its cluster.

    They matter only to a member without data: later its identity is on its disk, and
    the initial options are not looked at again (V2-SPEC 15.2).
    """
    said = given.get("initial-cluster")
    if config.initial_cluster_state == "existing":
        return [
            problem(
                "initial-cluster-state",
                "joining an existing cluster is not supported yet, expected new",
                given.get("initial-cluster-state"),
            )
        ]
    problems = []
    members = dict(config.initial_cluster)
    if config.name not in members:
        problems.append(
            problem(
                "initial-cluster",
                f'couldn\'t find local name "{config.name}" in the initial cluster '
                "configuration",
                said,
            )
        )
    else:
        problems.extend(_advertised_problems(config, members[config.name], given))
    urls = [url for _, urls in config.initial_cluster for url in urls]
    if len(set(map(_comparable, urls))) != len(urls):
        text = ",".join(
            f"{name}={url}" for name, urls in sorted(members.items()) for url in urls
        )
        problems.append(
            problem(
                "initial-cluster", f"initial cluster {text} has duplicate url", said
            )
        )
    return problems


def _advertised_problems(
    config: Config, own: tuple[str, ...], given: Mapping[str, Given]
) -> list[str]:
    """
    The advertised peer URLs must be the member's own ones of initial-cluster.

    Host names are not looked up here: two of them may well be the same address, so
    a difference that rests on a name is let pass.
    """
    advertised = config.initial_advertise_peer_urls
    if not all(_has_address(url) for url in (*own, *advertised)):
        return []
    want = {_comparable(url): url for url in own}
    have = {_comparable(url): url for url in advertised}
    missing = [url for key, url in want.items() if key not in have]
    extra = [url for key, url in have.items() if key not in want]
    problems = []
    if missing:
        entry = ",".join(f"{config.name}={url}" for url in missing)
        problems.append(
            problem(
                "initial-advertise-peer-urls",
                f"--initial-cluster has {entry} but missing from "
                f"--initial-advertise-peer-urls={','.join(advertised)}",
                given.get("initial-advertise-peer-urls"),
            )
        )
    if extra:
        entry = ",".join(f"{config.name}={url}" for url in own)
        problems.append(
            problem(
                "initial-cluster",
                f"--initial-advertise-peer-urls has {','.join(extra)} but missing from "
                f"--initial-cluster={entry}",
                given.get("initial-cluster"),
            )
        )
    return problems


def _has_address(url: str) -> bool:
    return is_address(urlsplit(url).hostname or "")


def _comparable(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return ("127.0.0.1" if host == "localhost" else host), parts.port
