"""Instants at which nodes end: etcd's arithmetic, in 64 bits as Go does it."""

from __future__ import annotations

SECOND_NS = 1_000_000_000
_TWO_64 = 1 << 64
_TWO_63 = 1 << 63
# An instant before 2000-01-01 UTC means "permanent" where a node is created or set.
EARLIEST_NS = 946_684_800 * SECOND_NS


def _signed(number: int) -> int:
    """The number as it looks in a signed 64-bit register."""
    return (number + _TWO_63) % _TWO_64 - _TWO_63


def expiration_from_ttl(now_ns: int, ttl_seconds: int) -> int | None:
    """
    The instant ``ttl_seconds`` from now as a :class:`~kvd.v2.commands.Command` has it.

    Seconds beyond 292 years wrap (V2-SPEC 6). Set, create and in-order create take a
    result before the year 2000 as permanent, update and compareAndSwap literally: the
    store decides that when it applies the command, nobody else needs to.

    :param ttl_seconds: 0..2^64-1.
    :returns: ns since the epoch, signed 64-bit; None for the instant 0, which etcd
        cannot tell from "no ttl".
    """
    return _signed(now_ns + _signed(ttl_seconds * SECOND_NS)) or None


def ttl_seconds_left(expiration_ns: int, now_ns: int) -> int:
    """
    The ``ttl`` that is shown: seconds left, rounded up; negative when overdue.

    A distance beyond 292 years is shown as that many, as Go's durations saturate.
    """
    left = min(max(expiration_ns - now_ns, -_TWO_63), _TWO_63 - 1)
    return -(-left // SECOND_NS)


def created_expiration(expiration_ns: int | None) -> int | None:
    """What set and create make of an instant: before the year 2000 is permanent."""
    if expiration_ns is not None and expiration_ns < EARLIEST_NS:
        return None
    return expiration_ns
