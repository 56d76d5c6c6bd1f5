"""
What a cluster tells somebody who is no member of it: its id, its version, its members.

JSON::

    {"cluster": "cdf818194e3a8c32", "version": "3.4.0", "members": [record, ...]}

with records as in :mod:`kvd.cluster.codec`, ascending by id; empty before the member
that is asked knows any.
"""

from __future__ import annotations

import attrs

from kvd.cluster.codec import dump, is_id, load, record_as_json, record_from_json
from kvd.cluster.members import MemberRecord
from kvd.errors import RequestError


@attrs.frozen
class ClusterFacts:
    """
    As one member knows them, who may lag behind.

    :ivar version: the cluster's, empty until it is decided.
    :ivar members: ascending by id.
    """

    cluster_id: int
    version: str
    members: tuple[MemberRecord, ...]


def encode_facts(facts: ClusterFacts) -> bytes:
    return dump(
        {
            "cluster": f"{facts.cluster_id:x}",
            "version": facts.version,
            "members": [record_as_json(record) for record in facts.members],
        }
    )


def decode_facts(data: bytes) -> ClusterFacts:
    """:raises RequestError: not what :func:`encode_facts` writes."""
    match load(data):
        case {
            "cluster": str(cluster_id),
            "version": str(version),
            "members": list(members),
        } if is_id(cluster_id):
            records = tuple(record_from_json(shown) for shown in members)
            return ClusterFacts(int(cluster_id, 16), version, records)
    raise RequestError(300, "undecodable facts of a cluster")
