"""
What options must be to each other; etcd's words where it has them.

Where an option is *unsure*, a default stands in for what was meant: a complaint about
it together with another one could be false, so none is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import urlsplit

from kvd.config import Config
from kvd.options.given import Given, problem
from kvd.options.schemes import scheme_problems
from kvd.options.values import is_address

_ELECTION_MAX: Final = 50_000  # ms, etcd's
_HEARTBEATS_MIN: Final = 5  # in an election timeout, etcd's
_NONE: Final[frozenset[str]] = frozenset()
_WAYS: Final = ("initial-cluster", "discovery", "discovery-srv")


def relation_problems(
    config: Config,
    given: Mapping[str, Given],
    unsure: AbstractSet[str] = _NONE,
    *,
    proxy: bool = False,
) -> list[str]:
    """
    One line for each pair of options that does not fit together.

    :param proxy: it may become a proxy, which advertises nothing and hears no members.
    """
    problems = []
    if (
        not proxy
        and "listen-client-urls" in given
        and "advertise-client-urls" not in given
        and "advertise-client-urls" not in unsure
    ):
        problems.append(
            problem(
                "advertise-client-urls",
                "--advertise-client-urls is required when --listen-client-urls is set "
                "explicitly",
                given["listen-client-urls"],
            )
        )
    problems.extend(_discovery_problems(config, given))
    problems.extend(_time_problems(config, given, unsure))
    problems.extend(scheme_problems(config, given))
    if not proxy:
        problems.extend(_shared_problems(config, given, unsure))
    return problems


def _discovery_problems(config: Config, given: Mapping[str, Given]) -> list[str]:
    problems = []
    ways = [name for name in _WAYS if name in given and given[name].text]
    if len(ways) > 1:
        problems.append(
            problem(
                ways[1],
                "multiple discovery or bootstrap flags are set. Choose one of "
                '"initial-cluster", "discovery" or "discovery-srv"',
                given[ways[1]],
            )
        )
    if config.discovery_proxy and config.discovery.startswith("https:"):
        problems.append(
            problem(
                "discovery-proxy",
                "https through a proxy is not supported, expected an http discovery URL",
                given.get("discovery"),
            )
        )
    return problems


def _shared_problems(
    config: Config, given: Mapping[str, Given], unsure: AbstractSet[str]
) -> list[str]:
    """Addresses that two options want to listen on."""
    urls = {
        "listen-client-urls": ("clients", config.listen_client_urls),
        "listen-peer-urls": ("members", config.listen_peer_urls),
        "listen-metrics-urls": ("metrics", config.listen_metrics_urls),
    }
    return [
        problem(
            option,
            f"{urls[other][0]} and {urls[option][0]} cannot share an address, expected "
            f"another than {url}",
            given.get(option),
        )
        for other, option in itertools.combinations(urls, 2)
        if not unsure & {other, option}
        for url in sorted({*urls[other][1]} & {*urls[option][1]})
        if urlsplit(url).port
    ]


def _time_problems(
    config: Config, given: Mapping[str, Given], unsure: AbstractSet[str]
) -> list[str]:
    problems = []
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
    elif election < _HEARTBEATS_MIN * heartbeat and not unsure & {
        "election-timeout",
        "heartbeat-interval",
    }:
        problems.append(
            problem(
                "election-timeout",
                f"--election-timeout[{election}ms] should be at least as 5 times as "
                f"--heartbeat-interval[{heartbeat}ms]",
                said or given.get("heartbeat-interval"),
            )
        )
    if election > _ELECTION_MAX:
        problems.append(
            problem(
                "election-timeout",
                f"--election-timeout[{election}ms] is too long, and should be set less "
                f"than {_ELECTION_MAX}ms",
                said,
            )
        )
    return problems


def founding_problems(
    config: Config, given: Mapping[str, Given], unsure: AbstractSet[str] = _NONE
) -> list[str]:
    """
    What keeps a new member from founding its cluster, or from joining one.

    They matter only to a member without data: later its identity is on its disk, and
    the initial options are not looked at again (V2-SPEC 15.2).
    """
    if config.force_new_cluster:
        return [
            problem(
                "force-new-cluster",
                "there is no member's data to make a cluster of; expected a data-dir "
                f"of a member or a backup, not {config.data_dir}",
                given.get("force-new-cluster"),
            )
        ]
    said = given.get("initial-cluster")
    problems: list[str] = []
    if config.discovery and config.initial_cluster_state == "existing":
        problems.append(
            problem(
                "discovery",
                "discovery URL should not be set when joining existing initial cluster",
                given.get("discovery"),
            )
        )
    if "initial-cluster" in unsure or not config.initial_cluster:
        return problems
    members = dict(config.initial_cluster)
    if "name" in unsure:
        pass  # which of them is this one cannot be told
    elif config.name not in members:
        problems.append(
            problem(
                "initial-cluster",
                f'couldn\'t find local name "{config.name}" in the initial cluster '
                "configuration",
                said,
            )
        )
    elif (
        "initial-advertise-peer-urls" not in unsure
        and config.initial_cluster_state == "new"  # else the cluster knows its URLs
    ):
        problems.extend(_advertised_problems(config, members[config.name], given))
    urls = [url for _, urls in config.initial_cluster for url in urls]
    if len(set(map(comparable, urls))) != len(urls):
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

    Host names are not looked up here, but when the member begins: two of them may well
    be the same address, so a difference that rests on a name is let pass.
    """
    advertised = config.initial_advertise_peer_urls
    if not all(_has_address(url) for url in (*own, *advertised)):
        return []
    want = {comparable(url): url for url in own}
    have = {comparable(url): url for url in advertised}
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


def comparable(url: str) -> tuple[str, str, int | None]:
    """The same for two URLs that lead to the same port; names are not looked up."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost":
        host = "127.0.0.1"
    return parts.scheme, host, parts.port
