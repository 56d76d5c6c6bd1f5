"""Every error of kvd's own, by who is at fault, and the check that guards promises."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum


class KvdError(Exception):
    """Anything that kvd itself raises."""


class RequestError(KvdError):
    """
    The client asked for something that cannot be done; faces render it, nobody logs it.

    :ivar code: etcd's error code, for example 100.
    :ivar cause: etcd's ``cause``, empty when it has none.
    :ivar index: etcd index at evaluation; 0 for errors found while parsing.
    """

    def __init__(self, code: int, cause: str = "", index: int = 0) -> None:
        super().__init__(f"{code}: {cause} [{index}]")
        self.code = code
        self.cause = cause
        self.index = index


class UnavailableReason(Enum):
    """Why nobody could answer; the face words it as etcd does."""

    TIMED_OUT = "request timed out"
    LEADER_FAILURE = "request timed out, possibly due to previous leader failure"
    CONNECTION_LOST = "request timed out, possibly due to connection lost"
    STOPPED = "server stopped"
    NO_LEADER = "no leader"
    NO_SPACE = "no space left below the configured floor"
    TOO_MANY_REQUESTS = "too many requests"


class Unavailable(KvdError):
    """
    Nobody in particular is at fault: no leader, no quorum, stopping, no room.

    :ivar may_take_effect: whether the request may still be carried out later.
    """

    def __init__(self, reason: UnavailableReason, *, may_take_effect: bool) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.may_take_effect = may_take_effect


class ReconfigurationRefused(KvdError):
    """A membership change cannot be made now; the text says why. Nothing happened."""


class PeerError(KvdError):
    """Another member broke the protocol; its connection is dropped, nothing else."""


class StorageError(KvdError):
    """
    The disk no longer keeps what it was given; the member stops, exit status 1.

    :ivar path: the file, empty when there is none to name.
    :ivar offset: byte offset of the damage, -1 when there is none.
    """

    def __init__(self, problem: str, *, path: str = "", offset: int = -1) -> None:
        where = f"{path}" + (f" at offset {offset}" if offset >= 0 else "")
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.path = path
        self.offset = offset


class InvariantViolated(KvdError):
    """Something that must always hold does not; the member stops, exit status 1."""


class ConfigError(KvdError):
    """
    The configuration cannot be used.

    :ivar problems: one line for each bad option: its name, value, what was expected.
    :ivar unread: a flag's text could not be read at all, as if it were no flag.
    """

    def __init__(self, problems: Sequence[str], *, unread: bool = False) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.unread = unread


def invariant(condition: object, why: str) -> None:
    """Raise :class:`InvariantViolated` unless the condition holds; ``-O`` keeps it."""
    if not condition:
        raise InvariantViolated(why)
