"""What a core says of itself to those who look on."""

from __future__ import annotations

import attrs

from kvd.raft.messages import Configuration, Role


@attrs.frozen
class ProgressStatus:
    """The leader's view of one other member."""

    member_id: int
    match: int
    next: int
    state: str  # probe, replicate, snapshot
    recently_active: bool
    learner: bool


@attrs.frozen
class RaftStatus:
    """A copy of what the core thinks, for statistics and tests."""

    member_id: int
    role: Role
    term: int
    vote: int
    leader: int
    commit: int
    applied: int
    last_index: int
    first_index: int
    configuration: Configuration
    transferring_to: int
    progress: tuple[ProgressStatus, ...]
