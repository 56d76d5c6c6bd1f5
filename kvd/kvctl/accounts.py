"""What commands on users, roles and the switch of authentication have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvd.kvctl import documents
from kvd.kvctl.cluster import Cluster
from kvd.kvctl.context import Context
from kvd.kvctl.endpoint import target_of
from kvd.kvctl.errors import ClusterError
from kvd.kvctl.wire import JSON, Answer


def cluster_of(context: Context) -> Cluster:
    """
    The cluster.

    :raises Failed: it cannot be reached.
    """
    cluster = context.cluster
    if context.on("debug"):  # etcdctl says it again for these commands
        context.warn(f"Cluster-Endpoints: {', '.join(cluster.endpoints)}")
    return cluster


def put(
    cluster: Cluster,
    target: str,
    document: Mapping[str, Any],  # JSON
    *,
    accepted: Sequence[int] = (200,),
    deadline: float | None = None,
) -> Answer:
    """
    Write a user or a role.

    :raises ClusterError: nobody answered, or with the server's words: it will not.
    """
    answer = cluster.ask(
        "PUT",
        target,
        body=documents.written(document).encode(),
        content_type=JSON,
        deadline=deadline,
    )
    documents.check_accepted(answer, accepted)
    return answer


def remove(cluster: Cluster, target: str) -> None:
    """
    Remove a user or a role.

    :raises Failed: nobody answered, or with the server's words: it will not.
    """
    try:
        documents.check_accepted(cluster.ask("DELETE", target), (200, 201))
    except ClusterError as error:
        raise documents.refused(error) from None


def place(kind: str, name: str) -> str:
    """Where a user or a role is; where all of them are when the name is empty."""
    return target_of(f"/v2/auth/{kind}/{name}").rstrip("/")
