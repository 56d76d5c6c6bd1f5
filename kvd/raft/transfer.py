"""
Leadership transfer (thesis 3.10).

The leader takes no proposals until the target has all of its log, and then tells it to
campaign at once. After an election timeout it gives up and takes proposals again.
"""

from __future__ import annotations

from kvd.raft.messages import NOBODY, Role, TimeoutNow, TransferRequest
from kvd.raft.progress import Progress
from kvd.raft.state import State


def begin(state: State, target: int) -> bool:
    """False if the target cannot lead or there is no leader to ask."""
    if state.role is not Role.LEADER:
        if state.leader == NOBODY:
            return False
        state.messages.append(TransferRequest(state.leader, state.me, 0, target))
        return True
    if target == state.me or target not in state.configuration.voters:
        return False
    if target != state.transferring_to:
        state.transferring_to = target
        state.transfer_elapsed = 0
        state.notice("transfer_started", target=f"{target:x}")
        state.send_wanted = True
        step(state, state.progress[target])
    return True


def requested(state: State, message: TransferRequest) -> None:
    """A follower passes on what somebody asked of it; never any further."""
    if state.role is Role.LEADER:
        begin(state, message.target)


def abort(state: State, reason: str) -> None:
    """Lead on."""
    state.notice("transfer_aborted", target=f"{state.transferring_to:x}", reason=reason)
    state.transferring_to = NOBODY


def step(state: State, progress: Progress) -> None:
    """The target was heard from: it may be complete, or the word was lost."""
    if progress.member_id == state.transferring_to and progress.match == state.log.last:
        state.messages.append(TimeoutNow(progress.member_id, state.me, state.term))


def tick(state: State) -> None:
    """Give up after an election timeout."""
    if state.transferring_to != NOBODY:
        state.transfer_elapsed += 1
        if state.transfer_elapsed >= state.config.election_ticks:
            abort(state, "it took longer than an election timeout")
