"""
What must never happen, checked where it would (raft paper figure 3).

Each check costs a comparison or two, and stops the member: what it guards is a promise
that was already given to somebody. The sentence is only made when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvd.errors import InvariantViolated
from kvd.raft.messages import NOBODY, Role, SnapshotMeta

if TYPE_CHECKING:
    from kvd.raft.log import Log
    from kvd.raft.messages import Entry
    from kvd.raft.progress import Progress
    from kvd.raft.state import State


def commit_may_advance(state: State, index: int) -> None:
    """The commit index never decreases and never passes the end of the log."""
    if index < state.commit:
        raise InvariantViolated(
            f"the commit index went back from {state.commit} to {index}"
        )
    if index > state.log.last:
        raise InvariantViolated(
            f"index {index} is committed but the log ends at {state.log.last}: entries "
            "that were acknowledged have been lost"
        )


def truncation_allowed(state: State, index: int) -> None:
    """Nothing committed is ever replaced; a leader replaces nothing at all."""
    if index <= state.commit:
        raise InvariantViolated(
            f"conflict at {index}, but everything to {state.commit} is committed"
        )
    if state.role is Role.LEADER:
        raise InvariantViolated("a leader replaced an entry of its own log")


def entries_follow(log: Log, first: Entry) -> None:
    """No gap, and terms never fall."""
    if first[0] != log.last + 1:
        raise InvariantViolated(f"entry {first[0]} after the last, {log.last}")
    if first[1] < log.last_term:
        raise InvariantViolated(
            f"the term falls from {log.last_term} to {first[1]} at {first[0]}"
        )


def entries_are_neighbours(entry: Entry, after: Entry) -> None:
    """The same, of entries read back from a disk."""
    if after[0] != entry[0] + 1 or after[1] < entry[1]:
        raise InvariantViolated(
            f"entry {after[0]} of term {after[1]} follows entry {entry[0]} of term "
            f"{entry[1]}"
        )


def term_may_advance(state: State, term: int) -> None:
    """Terms only grow, so that a vote is given once in each."""
    if term < state.term:
        raise InvariantViolated(f"the term went back from {state.term} to {term}")


def vote_may_be_given(state: State, candidate: int) -> None:
    """One vote in a term (raft paper 5.2)."""
    if state.vote not in {NOBODY, candidate}:
        raise InvariantViolated(
            f"a second vote in term {state.term}: {state.vote:x}, then {candidate:x}"
        )


def leader_may_be_followed(state: State, leader: int) -> None:
    """At most one leader in a term (election safety)."""
    if state.role is Role.LEADER or state.leader not in {NOBODY, leader}:
        raise InvariantViolated(
            f"two leaders in term {state.term}: {state.leader:x} and {leader:x}"
        )


def match_may_advance(progress: Progress, index: int, last: int) -> None:
    """What a member has stored it keeps; nobody has more than the leader."""
    if index < progress.match or index > last:
        raise InvariantViolated(
            f"match index of {progress.member_id:x} from {progress.match} to {index} "
            f"where the leader's log ends at {last}"
        )


def state_is_sound(state: State) -> None:
    """The order of the indexes; cheap enough for every Ready."""
    log = state.log
    if not state.applied <= state.handed_out <= state.commit <= log.last:
        raise InvariantViolated(
            f"applied {state.applied}, handed out {state.handed_out}, "
            f"commit {state.commit}, last {log.last} are out of order"
        )
    if not log.stable <= log.handed <= log.last:
        raise InvariantViolated(
            f"durable {log.stable}, on the way to the disk {log.handed}, "
            f"last {log.last} are out of order"
        )


def snapshot_covering(state: State) -> SnapshotMeta:
    """What was compacted away must be in a snapshot that can be sent."""
    snapshot = state.snapshot
    if snapshot is None or snapshot.index < state.log.offset:
        raise InvariantViolated(
            f"everything to {state.log.offset} is compacted and no snapshot has it"
        )
    return snapshot
