"""Bytes and back; and what nobody encoded is refused, never anything worse."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvd.errors import PeerError
from kvd.raft import codec
from kvd.raft.messages import (
    AppendEntries,
    AppendResponse,
    ChangeKind,
    ConfigChange,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    Propose,
    ReadIndexRequest,
    ReadIndexResponse,
    RequestVote,
    SnapshotMeta,
    TimeoutNow,
    TransferRequest,
    VoteResponse,
)

modest = settings(max_examples=60, deadline=None)

ids = st.integers(1, (1 << 64) - 1)
numbers = st.integers(0, (1 << 63) - 1)
flags = st.booleans()
datas = st.binary(max_size=40)
changes = st.builds(ConfigChange, st.sampled_from(ChangeKind), ids, datas)


@st.composite
def configurations(draw):
    members = draw(st.lists(ids, unique=True, max_size=6))
    voters = draw(st.integers(0, len(members)))
    return Configuration(frozenset(members[:voters]), frozenset(members[voters:]))


metas = st.builds(SnapshotMeta, numbers, numbers, configurations())


@st.composite
def appends(draw):
    prev_index = draw(st.integers(0, 1 << 62))
    terms = sorted(draw(st.lists(numbers, min_size=2, max_size=12)))
    entries = tuple(
        Entry(index, term, draw(st.sampled_from(EntryKind)), draw(datas))
        for index, term in enumerate(terms[1:-1], prev_index + 1)
    )
    return AppendEntries(
        draw(ids), draw(ids), terms[-1], prev_index, terms[0], entries, draw(numbers)
    )


proposals = st.lists(
    st.tuples(st.just(EntryKind.NORMAL), datas)
    | st.tuples(st.just(EntryKind.CHANGE), changes.map(codec.encode_change)),
    min_size=1,
    max_size=5,
).map(tuple)

messages = st.one_of(
    st.builds(RequestVote, ids, ids, numbers, numbers, numbers, flags, flags),
    st.builds(VoteResponse, ids, ids, numbers, flags, flags),
    appends(),
    st.builds(AppendResponse, ids, ids, numbers, numbers, flags, numbers, numbers),
    st.builds(Heartbeat, ids, ids, numbers, numbers, numbers),
    st.builds(HeartbeatResponse, ids, ids, numbers, numbers),
    st.builds(InstallSnapshot, ids, ids, numbers, metas),
    st.builds(TimeoutNow, ids, ids, numbers),
    st.builds(Propose, ids, ids, numbers, proposals),
    st.builds(ReadIndexRequest, ids, ids, numbers, numbers),
    st.builds(ReadIndexResponse, ids, ids, numbers, numbers, numbers),
    st.builds(TransferRequest, ids, ids, numbers, ids),
)


@modest
@given(messages)
def test_every_message_survives_the_wire(message):
    encoded = codec.encode_message(message)
    decoded = codec.decode_message(encoded)
    assert decoded == message
    assert type(decoded) is type(message)


@modest
@given(messages, st.data())
def test_a_message_cut_short_or_too_long_is_refused(message, data):
    encoded = codec.encode_message(message)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(PeerError):
            codec.decode_message(wrong)


@settings(max_examples=150, deadline=None)
@given(messages, st.data())
def test_a_message_with_a_changed_byte_is_a_message_or_refused(message, data):
    encoded = bytearray(codec.encode_message(message))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    decoded_or_refused(bytes(encoded))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 14))
def test_random_bytes_are_refused_and_nothing_worse(noise, number):
    decoded_or_refused(noise)
    decoded_or_refused(struct.pack(">BBQQQ", 1, number, 1, 2, 3) + noise)


def decoded_or_refused(data):
    try:
        message = codec.decode_message(data)
    except PeerError:
        return
    assert codec.encode_message(message) == data


@modest
@given(st.binary(max_size=60))
def test_random_bytes_are_no_values_either(noise):
    for decode, encode in (
        (codec.decode_entry, codec.encode_entry),
        (codec.decode_change, codec.encode_change),
        (codec.decode_hard_state, codec.encode_hard_state),
        (codec.decode_snapshot_meta, codec.encode_snapshot_meta),
        (codec.decode_configuration, codec.encode_configuration),
    ):
        for data in (noise, b"\1" + noise, b"\1\0\1\0\1" + noise):
            try:
                value = decode(data)
            except PeerError:
                continue
            assert decode(encode(value)) == value


@modest
@given(numbers, numbers, st.sampled_from(EntryKind), datas)
def test_entries_come_back(index, term, kind, data):
    entry = Entry(index, term, kind, data)
    decoded = codec.decode_entry(codec.encode_entry(entry))
    assert decoded == entry
    assert decoded.kind is kind


@modest
@given(changes, configurations(), metas, numbers, st.integers(0, (1 << 64) - 1))
def test_values_come_back(change, configuration, meta, number, vote):
    assert codec.decode_change(codec.encode_change(change)) == change
    encoded = codec.encode_configuration(configuration)
    assert codec.decode_configuration(encoded) == configuration
    assert codec.decode_snapshot_meta(codec.encode_snapshot_meta(meta)) == meta
    state = HardState(number, vote, number)
    assert codec.decode_hard_state(codec.encode_hard_state(state)) == state


def test_the_kinds_of_decoded_entries_are_the_very_ones():
    # The log tells kinds apart by identity.
    for kind in EntryKind:
        entry = Entry(1, 1, kind, b"")
        message = AppendEntries(1, 2, 3, 0, 0, (entry,), 0)
        decoded = codec.decode_message(codec.encode_message(message))
        assert decoded.entries[0].kind is entry.kind


def encoded_append(entries, *, prev_term=1, term=3):
    return codec.encode_message(AppendEntries(1, 2, term, 0, prev_term, entries, 0))


def test_impossible_terms_are_the_senders_fault():
    normal = EntryKind.NORMAL
    for wrong in (
        encoded_append((Entry(1, 3, normal, b""), Entry(2, 2, normal, b""))),
        encoded_append((Entry(1, 0, normal, b""),)),
        encoded_append((Entry(1, 4, normal, b""),)),
        encoded_append((), prev_term=4),
    ):
        with pytest.raises(PeerError):
            codec.decode_message(wrong)


def test_a_count_beyond_the_bytes_costs_nothing():
    head = struct.pack(">BBQQQ", 1, 3, 1, 2, 3) + struct.pack(
        ">QQQI", 0, 0, 0, 0xFFFFFFFF
    )
    with pytest.raises(PeerError, match="more entries than bytes"):
        codec.decode_message(head + b"\0" * 100)
    head = struct.pack(">BBQQQI", 1, 9, 1, 2, 3, 0xFFFFFFFF)
    with pytest.raises(PeerError):
        codec.decode_message(head + b"\0" * 100)


def test_nobody_forwards_an_empty_entry_of_a_leader():
    for proposal in ((EntryKind.NOOP, b""), (EntryKind.CHANGE, b"garbage")):
        message = Propose(1, 2, 0, (proposal,))
        with pytest.raises(PeerError):
            codec.decode_message(codec.encode_message(message))


def test_a_later_version_is_refused():
    encoded = bytearray(codec.encode_message(TimeoutNow(1, 2, 3)))
    encoded[0] = 2
    with pytest.raises(PeerError, match="version"):
        codec.decode_message(bytes(encoded))


def test_a_configuration_names_each_member_once():
    twice = struct.pack(">BHH2Q", 1, 1, 1, 7, 7)
    nobody = struct.pack(">BHH1Q", 1, 1, 0, 0)
    disorder = struct.pack(">BHH2Q", 1, 2, 0, 8, 7)
    for wrong in (twice, nobody, disorder):
        with pytest.raises(PeerError):
            codec.decode_configuration(wrong)
