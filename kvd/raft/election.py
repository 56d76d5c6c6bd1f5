"""
Elections (raft paper 5.2, 5.4.1; pre-vote: thesis 9.6; check-quorum: thesis 6.2).

Requests for a real vote leave only when our new term and our own vote are durable, and
only then does our own vote count: a candidate that forgot its vote in a crash would
give it to somebody else.
"""

from __future__ import annotations

from kvd.raft import install, membership, reads, roles, transfer
from kvd.raft.messages import (
    NOBODY,
    RequestVote,
    Role,
    TimeoutNow,
    VoteResponse,
)
from kvd.raft.quorum import VoteResult, majority, vote_result
from kvd.raft.state import State

# -- time -------------------------------------------------------------------------------


def tick(state: State) -> None:
    """One tick of the driver's clock."""
    state.election_elapsed += 1
    reads.tick(state)
    if state.role is Role.LEADER:
        _tick_leader(state)
    else:
        _tick_other(state)


def _tick_other(state: State) -> None:
    if state.role is Role.FOLLOWER and state.alone and state.may_campaign:
        campaign(state)  # nobody to wait for
    elif state.election_elapsed >= state.election_timeout:
        if not state.may_campaign:
            if state.leader != NOBODY:
                roles.become_follower(state, state.term, NOBODY)
        elif state.role is not Role.CANDIDATE or is_own_vote_durable(state):
            campaign(state)


def _tick_leader(state: State) -> None:
    config = state.config
    transfer.tick(state)
    install.tick(state)
    if state.election_elapsed >= config.election_ticks:
        state.election_elapsed = 0
        if config.check_quorum and not is_quorum_active(state):
            state.notice("stepped_down", reason="no majority is heard from")
            roles.become_follower(state, state.term, NOBODY)
            return
        for progress in state.progress.values():
            progress.was_active = progress.active
            progress.active = False
    state.heartbeat_elapsed += 1
    if state.heartbeat_elapsed >= config.heartbeat_ticks:
        state.heartbeat_elapsed = 0
        for progress in state.progress.values():
            progress.heartbeat_passed()
        reads.start_round(state)


def is_quorum_active(state: State) -> bool:
    """A majority was heard from since the last check, ourselves included."""
    voters = state.configuration.voters
    active = sum(
        1 for voter in voters if voter == state.me or state.progress[voter].active
    )
    return active >= majority(len(voters))


# -- standing for election ----------------------------------------------------------------


def campaign(state: State, *, transfer: bool = False) -> None:
    """
    Ask for votes.

    :param transfer: the leader told us to; no pre-vote, and no lease refuses us.
    """
    if state.config.pre_vote and not transfer:
        roles.become_pre_candidate(state)
        _request_votes(state, state.term + 1, pre=True, transfer=False)
        _count(state)
    else:
        _stand(state, transfer=transfer)


def _stand(state: State, *, transfer: bool) -> None:
    roles.become_candidate(state)
    state.notice("campaigning", term=state.term)
    _request_votes(state, state.term, pre=False, transfer=transfer)


def _request_votes(state: State, term: int, *, pre: bool, transfer: bool) -> None:
    log = state.log
    outbox = state.messages if pre else state.after
    for voter in sorted(state.configuration.voters):
        if voter != state.me:
            outbox.append(
                RequestVote(
                    voter, state.me, term, log.last, log.last_term, pre, transfer
                )
            )


def is_own_vote_durable(state: State) -> bool:
    """Our term and our vote for ourselves are on the disk."""
    durable = state.durable_state
    return durable.term == state.term and durable.vote == state.me


def own_vote_durable(state: State) -> None:
    """Something became durable; it may have been our own vote."""
    if is_own_vote_durable(state):
        state.votes[state.me] = True
        _count(state)


def handle_vote_response(state: State, message: VoteResponse) -> None:
    """A vote, or a refusal, in the election that is going on; the first one counts."""
    if message.pre:
        expected = state.term + 1 if message.granted else state.term
        counts = state.role is Role.PRE_CANDIDATE and message.term == expected
    else:
        counts = state.role is Role.CANDIDATE and message.term == state.term
    if counts:
        state.votes.setdefault(message.sender, message.granted)
        _count(state)


def _count(state: State) -> None:
    result = vote_result(state.votes, state.configuration.voters)
    if result is VoteResult.LOST:
        roles.become_follower(state, state.term, NOBODY)
    elif result is VoteResult.WON:
        if state.role is Role.PRE_CANDIDATE:
            _stand(state, transfer=False)
        else:
            roles.become_leader(state)
            membership.took_over(state)


def handle_timeout_now(state: State, message: TimeoutNow) -> None:
    """The leader wants us to lead (thesis 3.10)."""
    if message.sender == state.leader and state.may_campaign:
        campaign(state, transfer=True)


# -- voting -----------------------------------------------------------------------------


def handle_request_vote(state: State, message: RequestVote) -> None:
    """Grant at most one real vote in a term, to a log that is up to date."""
    granted = may_vote_for(state, message) and is_up_to_date(state, message)
    if granted and not message.pre:
        roles.give_vote(state, message.sender)
    term = message.term if granted else state.term
    state.after.append(
        VoteResponse(message.sender, state.me, term, granted, message.pre)
    )


def may_vote_for(state: State, message: RequestVote) -> bool:
    """Our vote is free, or already theirs, or nothing is promised."""
    return (
        state.vote == message.sender
        or (state.vote == NOBODY and state.leader == NOBODY)
        or (message.pre and message.term > state.term)
    )


def is_up_to_date(state: State, message: RequestVote) -> bool:
    """Later last term, or the same and at least as long (raft paper 5.4.1)."""
    log = state.log
    return (message.last_term, message.last_index) >= (log.last_term, log.last)


def has_live_leader(state: State) -> bool:
    """A leader was heard from within the least election timeout (thesis 4.2.3)."""
    return (
        state.config.check_quorum
        and state.leader != NOBODY
        and state.election_elapsed < state.config.election_ticks
    )
