"""
Are the answers that clients got possible at all, had one after the other been served?

:func:`linearizable` is the search of Wing and Gong with Lowe's memory of what was
tried: general, and the judge. :func:`check_indexes` uses that the v2 store numbers its
writes, so it can say in one pass where an order and the numbers disagree.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

NOT_FOUND = 100
COMPARE_FAILED = 101
EXISTS = 105

STATES_MAX = 300_000

WRITES = frozenset(("set", "create", "update", "cas", "delete", "cad"))


class Outcome(NamedTuple):
    """
    What the client was told.

    :ivar code: 0 for success, else etcd's error code.
    :ivar etcd_index: the store's index when it was carried out.
    :ivar modified: the key's modifiedIndex in the answer, 0 when there is none.
    :ivar value: the key's value in the answer.
    :ivar prev_modified, prev_value: of the node that was there before, 0 and None
        where the answer shows none.
    """

    code: int
    etcd_index: int
    modified: int = 0
    value: str | None = None
    prev_modified: int = 0
    prev_value: str | None = None


class Operation(NamedTuple):
    """
    One request, as the client saw it.

    :ivar name: get, or one of ``WRITES``.
    :ivar returned: infinity when the outcome is unknown.
    :ivar outcome: None when unknown: it may have happened, or happen yet, or never.
    """

    client: int
    name: str
    key: str
    value: str
    compare_value: str | None
    compare_index: int
    invoked: float
    returned: float
    outcome: Outcome | None


class KeyState(NamedTuple):
    """A key as the model knows it; ``modified`` is 0 where nobody was told."""

    value: str
    modified: int


class TooManyOrders(Exception):
    """The search was given up; make the history shorter or less concurrent."""


def linearizable(
    operations: Sequence[Operation],
    initial: Hashable,
    step: Callable[[Any, Operation], Hashable | None],  # Any: each model its own state
) -> bool:
    """
    Whether some order explains all outcomes and agrees with real time.

    :param step: the next state, or None if it cannot have this outcome there.
    :raises TooManyOrders: after so many states.
    """
    todo = sorted(operations, key=lambda operation: operation.invoked)
    everything = sum(1 << i for i, op in enumerate(todo) if op.outcome is not None)
    # Done operations as bits, the state after them, and the first not done.
    stack: list[tuple[int, Hashable, int]] = [(0, initial, 0)]
    tried: set[tuple[int, Hashable]] = set()
    while stack:
        done, state, first = stack.pop()
        if done & everything == everything:
            return True
        while done >> first & 1:
            first += 1
        earliest = math.inf
        choices: list[tuple[float, int]] = []
        for i in range(first, len(todo)):
            operation = todo[i]
            if operation.invoked > earliest:
                break
            if not done >> i & 1:
                choices.append((operation.returned, i))
                earliest = min(earliest, operation.returned)
        # The first to have returned is tried first, the unknown ones last.
        for _, i in sorted(choices, reverse=True):
            following = step(state, todo[i])
            if following is None:
                continue
            place = (done | 1 << i, following)
            if place not in tried:
                if len(tried) >= STATES_MAX:
                    raise TooManyOrders(f"no verdict after {STATES_MAX} states")
                tried.add(place)
                stack.append((*place, first))
    return False


def step_key(state: KeyState | str, operation: Operation) -> KeyState | str | None:
    """
    One v2 key that is never a directory and has no TTL.

    The state is ``""`` where there is no such key.
    """
    outcome = operation.outcome
    present = None if isinstance(state, str) else state
    if outcome is None:
        return _unknown(state, present, operation)
    if outcome.code:
        refused = _refused(present, operation, outcome.code)
        return state if refused else None
    if operation.name == "get":
        shown = KeyState(outcome.value or "", outcome.modified)
        return shown if present is not None and _same(present, shown) else None
    if not _accepted(present, operation):
        return None
    if present is None:
        if outcome.prev_modified:
            return None
    elif operation.name != "create" and not _same(
        present, KeyState(outcome.prev_value or "", outcome.prev_modified)
    ):
        return None
    return _after(operation, outcome.modified)


def _unknown(
    state: KeyState | str, present: KeyState | None, operation: Operation
) -> KeyState | str:
    """It takes effect here, if it can; where it cannot, it changes nothing."""
    if operation.name == "get" or not _accepted(present, operation):
        return state
    return _after(operation, 0)


def _after(operation: Operation, modified: int) -> KeyState | str:
    if operation.name in {"delete", "cad"}:
        return ""
    return KeyState(operation.value, modified)


def _same(known: KeyState, shown: KeyState) -> bool:
    return known.value == shown.value and known.modified in {0, shown.modified}


def _matches(present: KeyState, operation: Operation) -> bool | None:
    """Whether the comparison holds; None where the model cannot know."""
    if operation.compare_value is not None and operation.compare_value != present.value:
        return False
    if operation.compare_index:
        if present.modified == 0:
            return None
        return operation.compare_index == present.modified
    return True


def _accepted(present: KeyState | None, operation: Operation) -> bool:
    """Whether the operation may succeed on this state."""
    if operation.name == "set":
        return True
    if operation.name == "create":
        return present is None
    if present is None:
        return False
    return _matches(present, operation) is not False


def _refused(present: KeyState | None, operation: Operation, code: int) -> bool:
    """Whether the operation may get this error code on this state."""
    if code == NOT_FOUND:
        return present is None and operation.name not in {"set", "create"}
    if code == EXISTS:
        return present is not None and operation.name == "create"
    if code == COMPARE_FAILED:
        return (
            present is not None
            and operation.name in {"cas", "cad"}
            and _matches(present, operation) is not True
        )
    return False


def keys_not_linearizable(operations: Iterable[Operation]) -> list[str]:
    """The keys whose history no order explains."""
    by_key: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    return sorted(
        key
        for key, history in by_key.items()
        if not linearizable(_mentioned(history), "", step_key)
    )


def _mentioned(history: Sequence[Operation]) -> Sequence[Operation]:
    """Without reads that nobody got an answer to: they prove nothing."""
    return [op for op in history if op.outcome is not None or op.name != "get"]


def check_indexes(operations: Iterable[Operation]) -> list[str]:
    """
    Where the order of the numbers contradicts real time, or answers contradict them.

    :returns: a sentence for each contradiction.
    """
    known = [op for op in operations if op.outcome is not None]
    return [*_unique(known), *_real_time(known), *_reads(known)]


def _is_write(operation: Operation) -> bool:
    outcome = operation.outcome
    return operation.name in WRITES and outcome is not None and not outcome.code


def _unique(known: Sequence[Operation]) -> Iterable[str]:
    seen: dict[int, Operation] = {}
    for operation in known:
        if operation.outcome is not None and _is_write(operation):
            other = seen.setdefault(operation.outcome.modified, operation)
            if other is not operation:
                yield f"two writes with one index: {other} and {operation}"


def _real_time(known: Sequence[Operation]) -> Iterable[str]:
    moments = sorted(
        [(op.returned, 1, op) for op in known] + [(op.invoked, 0, op) for op in known],
        key=lambda moment: moment[:2],
    )
    newest = 0
    least: dict[int, int] = {}
    for _, is_return, operation in moments:
        outcome = operation.outcome
        if outcome is None:
            continue
        if not is_return:
            least[id(operation)] = newest
            continue
        floor = least[id(operation)]
        if outcome.etcd_index < floor or (
            _is_write(operation) and outcome.etcd_index == floor
        ):
            yield (
                f"index {floor} had been answered before {operation} "
                f"began, which has {outcome.etcd_index}"
            )
        newest = max(newest, outcome.etcd_index)


def _reads(known: Sequence[Operation]) -> Iterable[str]:
    written: defaultdict[str, list[int]] = defaultdict(list)
    for operation in known:
        if operation.outcome is not None and _is_write(operation):
            written[operation.key].append(operation.outcome.modified)
    for operation in known:
        outcome = operation.outcome
        if outcome is None or outcome.code or operation.name != "get":
            continue
        if outcome.modified > outcome.etcd_index:
            yield f"read from the future: {operation}"
        missed = [
            index
            for index in written[operation.key]
            if outcome.modified < index <= outcome.etcd_index
        ]
        if missed:
            yield f"stale read, missed the writes {missed}: {operation}"
