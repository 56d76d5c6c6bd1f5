"""The first entries of a new cluster, the same on every member."""

from __future__ import annotations

from collections.abc import Sequence

from kvd.cluster.machine import encode_record
from kvd.cluster.members import MemberRecord
from kvd.node.changes import UNASKED, tag_change
from kvd.raft.codec import encode_change
from kvd.raft.messages import ChangeKind, ConfigChange, Entry, EntryKind, HardState


def bootstrap_log(
    members: Sequence[MemberRecord],
) -> tuple[HardState, tuple[Entry, ...]]:
    """
    Hard state and entries that a new member saves before anything else.

    Every founding member writes the same entries, in term 1 and already committed, so
    that their logs match without a leader having sent them.
    """
    entries = tuple(
        Entry(
            index,
            1,
            EntryKind.CHANGE,
            encode_change(
                tag_change(
                    ConfigChange(
                        ChangeKind.ADD_VOTER, record.member_id, encode_record(record)
                    ),
                    UNASKED,
                )
            ),
        )
        for index, record in enumerate(
            sorted(members, key=lambda record: record.member_id), start=1
        )
    )
    return HardState(term=1, commit=len(entries)), entries
