"""Majorities: of votes, of durable indexes, of acknowledged rounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum


class VoteResult(Enum):
    """How an election stands."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(count: int) -> int:
    """How many of ``count`` voters decide; 0 voters never do."""
    return count // 2 + 1


def reached_by_majority(values: Iterable[int]) -> int:
    """
    The highest number that a majority has reached, one number for each voter.

    Raft paper 5.3: with match indexes this is what is stored on a majority.
    """
    ordered = sorted(values)
    if not ordered:
        return 0
    return ordered[len(ordered) - majority(len(ordered))]


def vote_result(votes: Mapping[int, bool], voters: Collection[int]) -> VoteResult:
    """Only voters count, each one once (raft paper 5.2)."""
    needed = majority(len(voters))
    answers = [votes[voter] for voter in voters if voter in votes]
    granted = sum(answers)
    if granted >= needed:
        return VoteResult.WON
    if granted + len(voters) - len(answers) < needed:
        return VoteResult.LOST
    return VoteResult.PENDING
