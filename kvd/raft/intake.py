"""
What a message does: which ones count, and whose they are.

The rules about terms are here, in one place (raft paper figure 2, all servers; 6.2 and
9.6 of the thesis): a later term makes a follower of anybody, unless it is only talk of
one (pre-vote) or a live leader protects us from it; an earlier one is answered so that
its sender learns better.
"""

from __future__ import annotations

from typing import assert_never

from kvd.raft import (
    election,
    install,
    invariants,
    membership,
    reads,
    replication,
    roles,
    transfer,
)
from kvd.raft.messages import (
    NOBODY,
    AppendEntries,
    AppendResponse,
    ChangeRefused,
    EntryKind,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    Message,
    Propose,
    ReadIndexRequest,
    ReadIndexResponse,
    RequestVote,
    Role,
    TimeoutNow,
    TransferRequest,
    VoteResponse,
)
from kvd.raft.state import State


def step(state: State, message: Message) -> None:
    """Take a message; whatever it says, it does no harm that Raft excludes."""
    if message.to != state.me or message.sender == state.me:
        state.notice("misdirected", sender=f"{message.sender:x}")
        return
    match message:
        case AppendResponse() | HeartbeatResponse():
            if _is_current_answer(state, message):
                _answered(state, message)
        case AppendEntries() | Heartbeat() | InstallSnapshot():
            if _is_from_leader(state, message):
                _led(state, message)
        case RequestVote() | VoteResponse() | TimeoutNow():
            if _is_timely(state, message):
                _elect(state, message)
        case Propose():
            _proposed(state, message)
        case ReadIndexRequest():
            reads.requested(state, message)
        case ReadIndexResponse():
            reads.responded(state, message)
        case TransferRequest():
            transfer.requested(state, message)
        case ChangeRefused():
            pass  # the driver's, who knows the asker
        case _:
            assert_never(message)


def _is_current_answer(
    state: State, message: AppendResponse | HeartbeatResponse
) -> bool:
    """
    An answer to what we sent as leader of this term.

    A member that is not in our configuration has nothing to answer, and its term
    must not disturb us.
    """
    if message.term > state.term and state.is_member(message.sender):
        roles.become_follower(state, message.term, NOBODY)
    return message.term == state.term and message.sender in state.progress


def _answered(state: State, message: AppendResponse | HeartbeatResponse) -> None:
    if isinstance(message, AppendResponse):
        replication.append_answered(state, message)
    else:
        replication.heartbeat_answered(state, message)
        reads.acknowledged(state, message)
        membership.maybe_resign(state)


def _is_from_leader(
    state: State, message: AppendEntries | Heartbeat | InstallSnapshot
) -> bool:
    """
    Of the leader of this term or a later one, which we follow from now on.

    An old leader is told the term; without that a member that has run ahead of the
    others could never come back among them.
    """
    if message.term < state.term:
        state.after.append(
            AppendResponse(message.sender, state.me, state.term, 0, True, 0, 0)
        )
        return False
    if message.term == state.term:
        invariants.leader_may_be_followed(state, message.sender)
    if state.role is not Role.FOLLOWER or (
        (message.term, message.sender) != (state.term, state.leader)
    ):
        roles.become_follower(state, message.term, message.sender)
    state.election_elapsed = 0
    return True


def _led(state: State, message: AppendEntries | Heartbeat | InstallSnapshot) -> None:
    if isinstance(message, AppendEntries):
        replication.handle_append(state, message)
    elif isinstance(message, Heartbeat):
        replication.handle_heartbeat(state, message)
    else:
        install.handle_install(state, message)


def _is_timely(state: State, message: RequestVote | VoteResponse | TimeoutNow) -> bool:
    """Whether to look at it; a later term that is real becomes ours."""
    if message.term < state.term:
        if isinstance(message, RequestVote):
            state.after.append(
                VoteResponse(message.sender, state.me, state.term, False, message.pre)
            )
        return False
    if message.term > state.term:
        if isinstance(message, RequestVote):
            if election.has_live_leader(state) and not message.transfer:
                return False
            real = not message.pre
        elif isinstance(message, VoteResponse):
            if not state.is_member(message.sender):
                return False
            real = not (message.pre and message.granted)
        else:
            roles.become_follower(state, message.term, message.sender)
            return True
        if real:
            roles.become_follower(state, message.term, NOBODY)
    return True


def _elect(state: State, message: RequestVote | VoteResponse | TimeoutNow) -> None:
    if isinstance(message, RequestVote):
        election.handle_request_vote(state, message)
    elif isinstance(message, VoteResponse):
        election.handle_vote_response(state, message)
    else:
        election.handle_timeout_now(state, message)


def _proposed(state: State, message: Propose) -> None:
    """A follower's proposals; of one that is not taken its asker learns by time-out."""
    normal = [data for kind, data in message.proposals if kind is EntryKind.NORMAL]
    if normal and (
        state.role is not Role.LEADER or not replication.propose(state, normal)
    ):
        state.notice("proposals_dropped", sender=f"{message.sender:x}")
    for kind, data in message.proposals:
        if kind is EntryKind.CHANGE:
            membership.forwarded(state, message.sender, data)
