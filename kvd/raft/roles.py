"""
Who a member is, and everything that changes when that changes (raft paper figure 4).

::

               timeout                   majority             majority
    FOLLOWER ----------> PRE_CANDIDATE ----------> CANDIDATE ----------> LEADER
       ^                      |                        |                   |
       +----------------------+------------------------+-------------------+
         a leader of the term, a higher term, a majority refuses; for a leader:
         no majority heard from, removed
"""

from __future__ import annotations

from kvd.raft import invariants, reads
from kvd.raft.log import make_entries
from kvd.raft.messages import NOBODY, EntryKind, Role
from kvd.raft.progress import Progress
from kvd.raft.state import State


def _move(state: State, role: Role, term: int, leader: int) -> None:
    invariants.term_may_advance(state, term)
    if term != state.term or leader != state.leader:
        reads.drop_all(state)
    if term != state.term:
        state.term = term
        state.vote = NOBODY
        state.after.clear()  # answers in a term that is over
    if leader != state.leader:
        state.leader = leader
        state.notice("leader_changed", leader=f"{leader:x}", term=term)
    state.role = role
    state.votes = {}
    state.transferring_to = NOBODY
    state.leaving_at = 0
    state.progress = {}


def become_follower(state: State, term: int, leader: int) -> None:
    """
    Of ``leader``, which may be nobody yet.

    The election timer runs on: only a valid leader or a vote that we give resets it.
    """
    was_leader = state.role is Role.LEADER
    _move(state, Role.FOLLOWER, term, leader)
    if was_leader:
        state.election_elapsed = 0
        state.draw_timeout()


def become_pre_candidate(state: State) -> None:
    """Ask whether we could win, in a term that nobody enters yet (thesis 9.6)."""
    _move(state, Role.PRE_CANDIDATE, state.term, NOBODY)
    state.votes[state.me] = True
    state.election_elapsed = 0
    state.draw_timeout()


def become_candidate(state: State) -> None:
    """A new term and our own vote in it, which counts once it is durable."""
    _move(state, Role.CANDIDATE, state.term + 1, NOBODY)
    give_vote(state, state.me)
    state.draw_timeout()


def give_vote(state: State, candidate: int) -> None:
    """Our one vote in this term."""
    invariants.vote_may_be_given(state, candidate)
    state.vote = candidate
    state.election_elapsed = 0


def become_leader(state: State) -> None:
    """Begin the term with an empty entry (raft paper 8)."""
    _move(state, Role.LEADER, state.term, state.me)
    state.election_elapsed = 0
    state.heartbeat_elapsed = 0
    log = state.log
    configuration = state.configuration
    for member_id in sorted(configuration.voters | configuration.learners):
        state.progress[member_id] = Progress(
            member_id, match=0, next_index=log.last + 1
        )
    state.progress[state.me].match = log.stable
    log.append(make_entries(log.last + 1, state.term, EntryKind.NOOP, (b"",)))
    state.send_wanted = True
    state.notice("elected", term=state.term)
