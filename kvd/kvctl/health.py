"""``kvctl cluster-health``: whether each member says that it is well."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from kvd.kvctl import documents
from kvd.kvctl.cluster import Cluster
from kvd.kvctl.command import Command
from kvd.kvctl.context import Context
from kvd.kvctl.errors import (
    NOT_HEALTHY,
    SERVER_ERROR,
    BadAnswer,
    ClusterError,
    failed,
)
from kvd.kvctl.flags import Flag
from kvd.kvctl.members import Member, members

INTERVAL_SECONDS: Final = 10
_PATH: Final = "/health"


def run(context: Context, pause: Callable[[float], object] = time.sleep) -> int:
    """:param pause: lets these seconds go by."""
    forever = context.on("forever")
    try:
        cluster, listed = _listed(context)
        while True:
            healthy = sum([_is_healthy(context, cluster, each) for each in listed])
            context.say(verdict(healthy, of=len(listed)))
            if not forever:
                return 0 if healthy == len(listed) else NOT_HEALTHY
            context.say(f"\nnext check after {INTERVAL_SECONDS} second...\n")
            context.streams.out.flush()
            pause(INTERVAL_SECONDS)
    except KeyboardInterrupt:
        if forever:  # there is no other end
            return 0
        raise


def verdict(healthy: int, *, of: int) -> str:
    """On the cluster, when so many of its members say that they are well."""
    if healthy == of:
        return "cluster is healthy"
    return "cluster is degraded" if healthy else "cluster is unavailable"


def says_healthy(body: bytes) -> bool:
    """
    What an answer of ``/health`` says; its status is the same again.

    :raises BadAnswer: it says neither.
    """
    said = documents.read(body).get("health")
    if said is not None and not isinstance(said, str | bool):
        raise BadAnswer(
            f"health of the answer is neither true nor false: {said!r:.100}"
        )
    return said in {"true", True}


def _listed(context: Context) -> tuple[Cluster, Sequence[Member]]:
    """:raises Failed: there is no list of members to be had."""
    cluster = context.connect(sync=False)
    try:
        return cluster, members(cluster)
    except ClusterError as error:
        context.say("cluster may be unhealthy: failed to list members")
        raise failed(SERVER_ERROR, error) from None


def _is_healthy(context: Context, cluster: Cluster, member: Member) -> bool:
    """What the first of its URLs says that says anything."""
    if not member.client_urls:
        context.say(
            f"member {member.id} is unreachable: no available published client urls"
        )
        return False
    for url in member.client_urls:
        try:
            healthy = _ask(cluster, url)
        except ClusterError as error:
            context.say(
                f"failed to check the health of member {member.id} on {url}: {error}"
            )
            continue
        word = "healthy" if healthy else "unhealthy"
        context.say(f"member {member.id} is {word}: got {word} result from {url}")
        return healthy
    tried = " ".join(member.client_urls)
    context.say(f"member {member.id} is unreachable: [{tried}] are all unreachable")
    return False


def _ask(cluster: Cluster, url: str) -> bool:
    """:raises ClusterError: no answer, or one that says neither."""
    try:
        answer = cluster.ask_endpoint(url, "GET", _PATH)
    except ClusterError as error:
        raise BadAnswer(f'Get "{url}{_PATH}": {error}') from None
    return says_healthy(answer.body)


COMMANDS: Final = (
    Command(
        "cluster-health",
        "ask each member whether it is well",
        run,
        flags=(
            Flag(
                ("forever", "f"),
                f"look again every {INTERVAL_SECONDS} seconds, until interrupted",
            ),
        ),
    ),
)
