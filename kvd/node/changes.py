"""
A request id in front of a membership change, so that its answer finds its asker.

The context of a change in the log is 16 bytes, member id and sequence, big endian,
then the cluster machine's record. A bootstrap change has an id of zeros.
"""

from __future__ import annotations

import struct

import attrs

from kvd.apply.request import RequestId
from kvd.errors import invariant
from kvd.raft.messages import ConfigChange

_ID = struct.Struct(">QQ")

UNASKED = RequestId(0, 0)


def tag_change(change: ConfigChange, request_id: RequestId) -> ConfigChange:
    """The change as it goes into the log."""
    return attrs.evolve(change, context=_ID.pack(*request_id) + change.context)


def untag_change(change: ConfigChange) -> tuple[RequestId, ConfigChange]:
    """The asker's id, and the change as the cluster machine knows it."""
    invariant(len(change.context) >= _ID.size, "membership change without request id")
    request_id = RequestId(*_ID.unpack_from(change.context))
    return request_id, attrs.evolve(change, context=change.context[_ID.size :])
