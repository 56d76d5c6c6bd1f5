"""Ids of members and clusters, computed as etcd computes them (V2-SPEC 15.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def member_id_of(peer_urls: Iterable[str], token: str) -> int:
    """
    The id of a member that is there from the beginning.

    A member that is added later takes the seconds of the adding clock, in decimal, in
    place of the cluster's token (V2-SPEC 10).
    """
    return _first_eight("".join([*sorted(peer_urls), token]).encode())


def cluster_id_of(member_ids: Iterable[int]) -> int:
    """The id of the cluster that these members found."""
    return _first_eight(b"".join(id_.to_bytes(8, "big") for id_ in sorted(member_ids)))


def _first_eight(data: bytes) -> int:
    # Not for security: etcd's ids are defined by this hash.
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big")
