"""
The envelope around a request of any state machine, as an entry's data.

Numbers big-endian (``docs/design/request-format.rst``)::

    version:1 member_id:8 sequence:8 time_ns:8 name_bytes:1  name body
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from kvd.errors import RequestError

_VERSION = 1
_HEAD = struct.Struct(">BQQqB")
_UNDECODABLE = 300


class RequestId(NamedTuple):
    """Who asked, and its own number for the request; never used twice."""

    member_id: int
    sequence: int


class Request(NamedTuple):
    """
    :ivar machine: the state machine's registered name, at most 255 ASCII letters.
    :ivar time_ns: the proposer's clock, ns since the epoch.
    """

    machine: str
    request_id: RequestId
    time_ns: int
    body: bytes


def encode_request(request: Request) -> bytes:
    machine, (member_id, sequence), time_ns, body = request
    name = machine.encode("ascii")
    head = _HEAD.pack(_VERSION, member_id, sequence, time_ns, len(name))
    return b"".join((head, name, body))


def decode_request(data: bytes) -> Request:
    """:raises RequestError: these bytes are no envelope of this version."""
    try:
        version, member_id, sequence, time_ns, size = _HEAD.unpack_from(data)
    except struct.error:
        raise _undecodable() from None
    body_at = _HEAD.size + size
    name = data[_HEAD.size : body_at]
    if version != _VERSION or len(name) != size or not name.isascii():
        raise _undecodable()
    return Request(
        name.decode("ascii"), RequestId(member_id, sequence), time_ns, data[body_at:]
    )


def peek_request_id(data: bytes) -> RequestId:
    """
    The id alone, without looking at the rest.

    :raises RequestError: these bytes are no envelope of this version.
    """
    try:
        version, member_id, sequence, _, _ = _HEAD.unpack_from(data)
    except struct.error:
        raise _undecodable() from None
    if version != _VERSION:
        raise _undecodable()
    return RequestId(member_id, sequence)


def _undecodable() -> RequestError:
    return RequestError(_UNDECODABLE, "undecodable request")
