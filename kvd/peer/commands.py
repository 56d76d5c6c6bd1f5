"""
The AMP commands between members; ``docs/design/peer-protocol.rst`` explains them.

Numbers are eight bytes, big endian: ``amp.Integer`` would read ``1_0`` and half a
million digits. Nothing here is ever pickled, evaluated or looked up by name.
"""

# ruff: noqa: RUF012 -- amp.Command reads its arguments off the class

# Twisted leaves amp and Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

import struct
from enum import Enum

from twisted.protocols import amp

from kvd.errors import PeerError
from kvd.raft.messages import (
    Heartbeat,
    HeartbeatResponse,
    RequestVote,
    VoteResponse,
)

_NUMBER = struct.Struct(">Q")

PIECE_BYTES_MAX = 60_000
"""Of a batch, in one box; an AMP value ends at 65,535."""

FACTS_BYTES_MAX = 1 << 20
"""The longest list of members that somebody who asks for it takes."""

CHUNK_BYTES = 48 << 10
"""Of a snapshot, in one box."""

CHUNKS_IN_FLIGHT_MAX = 8
"""Snapshot chunks that may be on their way without an acknowledgement."""


URGENT = frozenset({Heartbeat, HeartbeatResponse, RequestVote, VoteResponse})
"""What may overtake: of use only in time, and in Raft right in any order."""


class Purpose(Enum):
    """What a connection is for; said in its Hello, one purpose for its whole life."""

    MESSAGES = b"messages"
    SNAPSHOT = b"snapshot"
    FOUNDING = b"founding"


class Refusal(Enum):
    """Why a Hello is not accepted."""

    VERSION = b"version"
    OTHER_CLUSTER = b"other-cluster"
    OTHER_MEMBER = b"other-member"
    STRANGER = b"stranger"
    REMOVED = b"removed"
    BOOTSTRAPPED = b"bootstrapped"


class Number(amp.Argument):
    """An unsigned number of 64 bits."""

    def toString(self, inObject: int) -> bytes:
        return _NUMBER.pack(inObject)

    def fromString(self, inString: bytes) -> int:
        if len(inString) != _NUMBER.size:
            raise PeerError(f"a number of {len(inString)} bytes")
        value: int = _NUMBER.unpack(inString)[0]
        return value


_EMPTY: list[tuple[bytes, amp.Argument]] = []


class Hello(amp.Command):
    """
    The first box of a connection; nothing else is looked at before it is answered.

    ``newest`` and ``oldest`` (versions) come first and keep their form for ever.
    ``refusal`` is empty when the sender is welcome.
    """

    arguments = [
        (b"newest", Number()),
        (b"oldest", Number()),
        (b"cluster", Number()),
        (b"member", Number()),
        (b"expected", Number()),
        (b"purpose", amp.String()),
        (b"ping_milliseconds", Number()),
    ]
    response = [
        (b"version", Number()),
        (b"cluster", Number()),
        (b"member", Number()),
        (b"refusal", amp.String()),
        (b"reason", amp.Unicode()),
    ]


class Members(amp.Command):
    """
    Of somebody who is no member, in place of a Hello: who are they?

    ``start`` is where in the document to go on; ``size`` is the whole document's, and
    ``piece`` as much of it as fits.
    """

    arguments = [
        (b"newest", Number()),
        (b"oldest", Number()),
        (b"start", Number()),
    ]
    response = [
        (b"version", Number()),
        (b"size", Number()),
        (b"piece", amp.String()),
    ]


class Batch(amp.Command):
    """One piece of the stream of framed messages; never answered."""

    arguments = [(b"piece", amp.String())]
    requiresAnswer = False


class Urgent(amp.Command):
    """A whole small message that overtakes a batch which fills the line."""

    arguments = [(b"message", amp.String())]
    requiresAnswer = False


class Received(amp.Command):
    """The accepting side got ``size`` more bytes of batches; it lives."""

    arguments = [(b"size", Number())]
    requiresAnswer = False


class Ping(amp.Command):
    """Are you there? The answer is empty."""

    response = _EMPTY


class SnapshotStart(amp.Command):
    """``message`` is an encoded ``InstallSnapshot``; ``size`` counts its content."""

    arguments = [(b"message", amp.String()), (b"size", Number())]
    response = _EMPTY


class SnapshotChunk(amp.Command):
    """Answered when it is written; at most ``CHUNKS_IN_FLIGHT_MAX`` are unanswered."""

    arguments = [(b"content", amp.String())]
    response = _EMPTY


class SnapshotEnd(amp.Command):
    """``checksum`` is the SHA-256 of all content; answered when all is durable."""

    arguments = [(b"checksum", amp.String())]
    response = _EMPTY


_PIECE_HEAD = b"\0\x08_command\0\x05Batch\0\x05piece"
_PIECE_LENGTH = struct.Struct(">H")
_PIECE_START = len(_PIECE_HEAD) + _PIECE_LENGTH.size


def whole_batches(data: bytes) -> tuple[list[bytes], bytes]:
    """
    The pieces of all complete ``Batch`` boxes that ``data`` begins with, and the rest.

    Only boxes as :func:`batch_box` makes them; any other is left to the general way.
    """
    pieces: list[bytes] = []
    at = 0
    while data.startswith(_PIECE_HEAD, at):
        start = at + _PIECE_START
        if start > len(data):
            break
        end = start + _PIECE_LENGTH.unpack_from(data, start - _PIECE_LENGTH.size)[0]
        if data[end : end + 2] != b"\0\0":
            break
        pieces.append(data[start:end])
        at = end + 2
    return pieces, data[at:]


def batch_box(piece: bytes | memoryview) -> bytes:
    """
    A serialised ``Batch`` box, made directly.

    The general way costs ten times as much, and this is the box of the hot path; a
    test compares both.
    """
    return b"".join((_PIECE_HEAD, _PIECE_LENGTH.pack(len(piece)), piece, b"\0\0"))
