"""
Bytes of messages, entries and configurations; numbers big-endian.

A message, then by type what follows (``docs/design/peer-protocol.rst``)::

    version:1 type:1 to:8 sender:8 term:8
    RequestVote        last_index:8 last_term:8 flags:1 (1 pre, 2 transfer)
    VoteResponse       flags:1 (1 granted, 2 pre)
    AppendEntries      prev_index:8 prev_term:8 commit:8 count:4
                       count x term:8, count x length:4, count x kind:1, all data
    AppendResponse     index:8 hint_index:8 hint_term:8 flags:1 (1 rejected)
    Heartbeat          commit:8 round:8
    HeartbeatResponse  round:8
    InstallSnapshot    snapshot meta
    TimeoutNow
    Propose            count:4, count x length:4, count x kind:1, all data
    ReadIndexRequest   context:8
    ReadIndexResponse  index:8 context:8
    TransferRequest    target:8
    ChangeRefused      refusal:1 (its place in ChangeRefusal, from 0), the change

The values inside are those of :mod:`kvd.raft.values`, whose codec is offered here too.
Every decoder raises :class:`PeerError`, and nothing else, for bytes that no encoder
here makes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from itertools import accumulate, pairwise
from typing import Final, cast

from kvd.raft import messages as m
from kvd.raft.messages import Entry, EntryKind, Message
from kvd.raft.values import (
    KINDS,
    check,
    decode_change,
    decode_configuration,
    decode_entry,
    decode_hard_state,
    decode_snapshot_meta,
    encode_change,
    encode_configuration,
    encode_entry,
    encode_hard_state,
    encode_snapshot_meta,
    number_of,
    unpack,
)

__all__ = [
    "decode_change",
    "decode_configuration",
    "decode_entry",
    "decode_hard_state",
    "decode_message",
    "decode_snapshot_meta",
    "encode_change",
    "encode_configuration",
    "encode_entry",
    "encode_hard_state",
    "encode_message",
    "encode_snapshot_meta",
]

_VERSION = 1
_HEAD = struct.Struct(">BBQQQ")
_VOTE = struct.Struct(">QQB")
_FLAGS = struct.Struct(">B")
_APPEND = struct.Struct(">QQQI")
_APPEND_RESPONSE = struct.Struct(">QQQB")
_COUNT = struct.Struct(">I")
_ONE = struct.Struct(">Q")
_TWO = struct.Struct(">QQ")

_entry = cast("partial[Entry]", partial(tuple.__new__, Entry))
_kind = KINDS.__getitem__
_REFUSALS: Final = tuple(m.ChangeRefusal)


# -- messages -----------------------------------------------------------------------------


def encode_message(message: Message) -> bytes:
    """One message; everything else in the room is as many bytes as its entries' data."""
    number, body = _ENCODERS[type(message)]
    head = _HEAD.pack(_VERSION, number, message[0], message[1], message[2])
    return head + body(message)


def decode_message(data: bytes) -> Message:
    """:raises PeerError: not a message."""
    version, number, to, sender, term = unpack(_HEAD, data, 0)
    check(version == _VERSION, f"unknown version of a message: {version}")
    check(0 < number <= len(_DECODERS), f"unknown type of message: {number}")
    message, end = _DECODERS[number - 1](to, sender, number_of(term), data, _HEAD.size)
    check(end == len(data), f"{len(data) - end} bytes after the message")
    return message


def _flags(*, one: bool, two: bool = False) -> int:
    return one | two << 1


def _encode_vote(message: m.RequestVote) -> bytes:
    flags = _flags(one=message.pre, two=message.transfer)
    return _VOTE.pack(message.last_index, message.last_term, flags)


def _decode_vote(
    to: int, sender: int, term: int, data: bytes, at: int
) -> tuple[Message, int]:
    index, last_term, flags = unpack(_VOTE, data, at)
    check(flags < 4, "unknown flags")
    return (
        m.RequestVote(
            to,
            sender,
            term,
            number_of(index),
            number_of(last_term),
            bool(flags & 1),
            bool(flags & 2),
        ),
        at + _VOTE.size,
    )


def _encode_vote_response(message: m.VoteResponse) -> bytes:
    return _FLAGS.pack(_flags(one=message.granted, two=message.pre))


def _decode_vote_response(
    to: int, sender: int, term: int, data: bytes, at: int
) -> tuple[Message, int]:
    (flags,) = unpack(_FLAGS, data, at)
    check(flags < 4, "unknown flags")
    response = m.VoteResponse(to, sender, term, bool(flags & 1), bool(flags & 2))
    return response, at + _FLAGS.size


def _encode_append(message: m.AppendEntries) -> bytes:
    _, _, _, prev_index, prev_term, entries, commit = message
    count = len(entries)
    head = _APPEND.pack(prev_index, prev_term, commit, count)
    if not count:
        return head
    _, terms, kinds, datas = zip(*entries, strict=True)
    columns = struct.pack(f">{count}Q{count}I", *terms, *map(len, datas))
    return b"".join((head, columns, bytes(kinds), *datas))


def _decode_append(
    to: int, sender: int, term: int, data: bytes, at: int
) -> tuple[Message, int]:
    prev_index, prev_term, commit, count = unpack(_APPEND, data, at)
    at += _APPEND.size
    number_of(prev_index + count)
    number_of(commit)
    check(prev_term <= term, "an entry of a later term than the leader's")
    entries: tuple[Entry, ...] = ()
    if count:
        check(count * 13 <= len(data) - at, "more entries than bytes")
        columns = struct.unpack_from(f">{count}Q{count}I", data, at)
        terms = columns[:count]
        check(
            prev_term <= terms[0]
            and terms[-1] <= term
            and (terms[0] == terms[-1] or list(terms) == sorted(terms)),
            "the terms of the entries are out of order",
        )
        kinds, datas, at = _decode_datas(data, at + 12 * count, columns[count:])
        indexes = range(prev_index + 1, prev_index + count + 1)
        entries = tuple(map(_entry, zip(indexes, terms, kinds, datas, strict=True)))
    append = m.AppendEntries(to, sender, term, prev_index, prev_term, entries, commit)
    return append, at


def _decode_datas(
    data: bytes, at: int, lengths: tuple[int, ...]
) -> tuple[list[EntryKind], list[bytes], int]:
    """Kinds and data, and where they end."""
    numbers = data[at : at + len(lengths)]
    check(max(numbers) < len(KINDS), "unknown kind of entry")
    ends = list(accumulate(lengths, initial=at + len(lengths)))
    check(ends[-1] <= len(data), "cut short: more data than bytes")
    datas = [data[start:end] for start, end in pairwise(ends)]
    return list(map(_kind, numbers)), datas, ends[-1]


def _encode_append_response(message: m.AppendResponse) -> bytes:
    return _APPEND_RESPONSE.pack(
        message.index, message.hint_index, message.hint_term, message.rejected
    )


def _decode_append_response(
    to: int, sender: int, term: int, data: bytes, at: int
) -> tuple[Message, int]:
    index, hint_index, hint_term, flags = unpack(_APPEND_RESPONSE, data, at)
    check(flags < 2, "unknown flags")
    return (
        m.AppendResponse(
            to,
            sender,
            term,
            number_of(index),
            bool(flags),
            number_of(hint_index),
            number_of(hint_term),
        ),
        at + _APPEND_RESPONSE.size,
    )


def _encode_install(message: m.InstallSnapshot) -> bytes:
    return encode_snapshot_meta(message.meta)


def _decode_install(
    to: int, sender: int, term: int, data: bytes, at: int
) -> tuple[Message, int]:
    meta = decode_snapshot_meta(data[at:])
    return m.InstallSnapshot(to, sender, term, meta), len(data)


def _encode_propose(message: m.Propose) -> bytes:
    proposals = message.proposals
    count = len(proposals)
    lengths = struct.pack(f">I{count}I", count, *(len(data) for _, data in proposals))
    kinds = bytes([kind for kind, _ in proposals])
    return b"".join((lengths, kinds, *(data for _, data in proposals)))


def _decode_propose(
    to: int, sender: int, term: int, data: bytes, at: int
) -> tuple[Message, int]:
    (count,) = unpack(_COUNT, data, at)
    at += _COUNT.size
    check(0 < count * 5 <= len(data) - at, "no proposals, or more than bytes")
    lengths = struct.unpack_from(f">{count}I", data, at)
    kinds, datas, at = _decode_datas(data, at + 4 * count, lengths)
    for kind, body in zip(kinds, datas, strict=True):
        check(kind is not EntryKind.NOOP, "a leader's own entry, forwarded")
        if kind is EntryKind.CHANGE:
            decode_change(body)
    return m.Propose(to, sender, term, tuple(zip(kinds, datas, strict=True))), at


def _encode_refused(message: m.ChangeRefused) -> bytes:
    return _FLAGS.pack(_REFUSALS.index(message.refusal)) + message.change


def _decode_refused(
    to: int, sender: int, term: int, data: bytes, at: int
) -> tuple[Message, int]:
    (number,) = unpack(_FLAGS, data, at)
    check(number < len(_REFUSALS), "unknown refusal of a change")
    change = data[at + _FLAGS.size :]
    decode_change(change)
    return m.ChangeRefused(to, sender, term, _REFUSALS[number], change), len(data)


def _numbers(
    form: struct.Struct, make: Callable[..., Message], *, limited: bool = True
) -> tuple[Callable[..., bytes], Callable[..., tuple[Message, int]]]:
    """Both directions of a message whose body is plain numbers."""

    def encode(message: tuple[int, ...]) -> bytes:
        return form.pack(*message[3:])

    def decode(
        to: int, sender: int, term: int, data: bytes, at: int
    ) -> tuple[Message, int]:
        values = unpack(form, data, at)
        if limited:
            values = tuple(map(number_of, values))
        return make(to, sender, term, *values), at + form.size

    return encode, decode


_FORMS: Final[
    tuple[
        tuple[type[Message], Callable[..., bytes], Callable[..., tuple[Message, int]]],
        ...,
    ]
] = (
    (m.RequestVote, _encode_vote, _decode_vote),
    (m.VoteResponse, _encode_vote_response, _decode_vote_response),
    (m.AppendEntries, _encode_append, _decode_append),
    (m.AppendResponse, _encode_append_response, _decode_append_response),
    (m.Heartbeat, *_numbers(_TWO, m.Heartbeat)),
    (m.HeartbeatResponse, *_numbers(_ONE, m.HeartbeatResponse)),
    (m.InstallSnapshot, _encode_install, _decode_install),
    (m.TimeoutNow, *_numbers(struct.Struct(">"), m.TimeoutNow)),
    (m.Propose, _encode_propose, _decode_propose),
    (m.ReadIndexRequest, *_numbers(_ONE, m.ReadIndexRequest)),
    (m.ReadIndexResponse, *_numbers(_TWO, m.ReadIndexResponse)),
    (m.TransferRequest, *_numbers(_ONE, m.TransferRequest, limited=False)),
    (m.ChangeRefused, _encode_refused, _decode_refused),
)
_ENCODERS: Final = {form[0]: (number, form[1]) for number, form in enumerate(_FORMS, 1)}
_DECODERS: Final = tuple(form[2] for form in _FORMS)
