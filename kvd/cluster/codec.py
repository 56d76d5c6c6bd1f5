"""
Bytes of what the cluster machine is told: records and requests.

JSON, because they are few and read by people when something is wrong. A record::

    {"id": "8e9e05c52164694d", "name": "", "peerURLs": [], "clientURLs": [],
     "learner": false}

A request is ``{"publish": record}`` (peer URLs unused) or ``{"version": "3.4.0"}``.
"""

from __future__ import annotations

import json
from typing import Any

from kvd.cluster.members import MemberRecord
from kvd.errors import RequestError

_UNDECODABLE = 300


def record_as_json(record: MemberRecord) -> dict[str, object]:
    return {
        "id": f"{record.member_id:x}",
        "name": record.name,
        "peerURLs": list(record.peer_urls),
        "clientURLs": list(record.client_urls),
        "learner": record.learner,
    }


def record_from_json(shown: object) -> MemberRecord:
    """:raises RequestError: no record."""
    match shown:
        case {
            "id": str(member_id),
            "name": str(name),
            "peerURLs": list(peer_urls),
            "clientURLs": list(client_urls),
            "learner": bool(learner),
        } if is_id(member_id) and all(
            isinstance(url, str) for url in [*peer_urls, *client_urls]
        ):
            return MemberRecord(
                int(member_id, 16), name, tuple(peer_urls), tuple(client_urls), learner
            )
    raise RequestError(_UNDECODABLE, "undecodable member")


def is_id(text: str) -> bool:
    """Whether it is 1 to 2^64-1, as ``%x`` prints it."""
    return (
        0 < len(text) <= 16
        and all(letter in "0123456789abcdef" for letter in text)
        and text[0] != "0"
    )


def dump(shown: object) -> bytes:
    return json.dumps(shown, sort_keys=True, separators=(",", ":")).encode()


# What JSON holds is anything until it has been matched.
def load(data: bytes) -> Any:  # noqa: ANN401
    """:raises RequestError: not JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise RequestError(_UNDECODABLE, "undecodable cluster request") from None


def encode_record(record: MemberRecord) -> bytes:
    """For :attr:`kvd.raft.messages.ConfigChange.context`."""
    return dump(record_as_json(record))


def decode_record(data: bytes) -> MemberRecord:
    """:raises RequestError: not what :func:`encode_record` writes."""
    return record_from_json(load(data))


def encode_publish(member_id: int, name: str, client_urls: tuple[str, ...]) -> bytes:
    """A member tells its name and where clients find it."""
    record = MemberRecord(member_id, name, (), tuple(client_urls))
    return dump({"publish": record_as_json(record)})


def encode_version(version: str) -> bytes:
    """The cluster's version is decided, for example ``3.4.0``."""
    return dump({"version": version})
