"""
What must never happen, checked where it would (raft paper figure 3).

Each check costs a comparison or two, and stops the member: what it guards is a promise
that was already given to somebody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvd.errors import InvariantViolated, invariant
from kvd.raft.messages import NOBODY, Role, SnapshotMeta

if TYPE_CHECKING:
    from kvd.raft.progress import Progress
    from kvd.raft.state import State


def commit_may_advance(state: State, index: int) -> None:
    """The commit index never decreases and never passes the end of the log."""
    invariant(
        state.commit < index,
        f"the commit index went back from {state.commit} to {index}",
    )
    last = state.log.last
    invariant(
        index <= last,
        f"index {index} is committed but the log ends at {last}: entries that were "
        "acknowledged have been lost",
    )


def truncation_allowed(state: State, index: int) -> None:
    """Nothing committed is ever replaced; a leader replaces nothing at all."""
    invariant(
        index > state.commit,
        f"conflict at {index}, but everything to {state.commit} is committed",
    )
    invariant(
        state.role is not Role.LEADER,
        "a leader replaced an entry of its own log (leader append-only)",
    )


def term_may_advance(state: State, term: int) -> None:
    """Terms only grow, so that a vote is given once in each."""
    invariant(term >= state.term, f"the term went back from {state.term} to {term}")


def vote_may_be_given(state: State, candidate: int) -> None:
    """One vote in a term (raft paper 5.2)."""
    invariant(
        state.vote in {NOBODY, candidate},
        f"a second vote in term {state.term}: {state.vote:x}, then {candidate:x}",
    )


def leader_may_be_followed(state: State, leader: int) -> None:
    """At most one leader in a term (election safety)."""
    invariant(
        state.role is not Role.LEADER and state.leader in {NOBODY, leader},
        f"two leaders in term {state.term}: {state.leader:x} and {leader:x}",
    )


def match_may_advance(progress: Progress, index: int, last: int) -> None:
    """What a follower has stored it keeps; nobody has more than the leader."""
    invariant(
        index >= progress.match,
        f"match index of {progress.member_id:x} went back from {progress.match} "
        f"to {index}",
    )
    invariant(
        index <= last,
        f"{progress.member_id:x} has {index}, the leader's log ends at {last}",
    )


def state_is_sound(state: State) -> None:
    """The order of the indexes; cheap enough for every Ready."""
    log = state.log
    invariant(
        state.applied <= state.handed_out <= state.commit <= log.last,
        f"applied {state.applied}, handed out {state.handed_out}, "
        f"commit {state.commit}, last {log.last} are out of order",
    )
    invariant(
        log.stable <= log.handed <= log.last,
        f"durable {log.stable}, on the way to the disk {log.handed}, "
        f"last {log.last} are out of order",
    )


def snapshot_covering(state: State) -> SnapshotMeta:
    """What was compacted away must be in a snapshot that can be sent."""
    snapshot = state.snapshot
    if snapshot is None or snapshot.index < state.log.offset:
        raise InvariantViolated(
            f"everything to {state.log.offset} is compacted and no snapshot has it"
        )
    return snapshot
