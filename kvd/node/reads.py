"""Linearizable reads that cost no log entry (thesis 6.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.internet.defer import Deferred

from kvd.errors import Unavailable, UnavailableReason


class _Waiter(NamedTuple):
    answer: Deferred[int]
    began: float


class _Round(NamedTuple):
    """Reads that share one context, asked at ``asked``."""

    waiters: list[_Waiter]
    asked: float


class Reads:
    """
    Who waits for a confirmation, and who has one and waits for apply.

    Reads that arrive in one turn share a context. A context is used once: a retry, and
    a read whose round was dropped, takes a new one, so that a late confirmation of an
    old round never answers for a newer read.

    :param ask: the core's ``read_index``; False when it knows no leader.
    :ivar expired: how many were given up on.
    """

    def __init__(self, ask: Callable[[int], bool], *, max_pending: int) -> None:
        self._ask = ask
        self._max_pending = max_pending
        self._context = 0
        self._count = 0
        self.expired = 0
        self._gathering: list[_Waiter] = []
        self._rounds: dict[int, _Round] = {}
        self._confirmed: list[tuple[int, list[_Waiter]]] = []

    def __len__(self) -> int:
        return self._count

    @property
    def has_gathering(self) -> bool:
        return bool(self._gathering)

    def wait(self, *, now: float) -> Deferred[int]:
        """
        :raises Unavailable: too many wait already.
        """
        if self._count >= self._max_pending:
            raise Unavailable(
                UnavailableReason.TOO_MANY_REQUESTS, may_take_effect=False
            )
        answer: Deferred[int] = Deferred()
        self._gathering.append(_Waiter(answer, now))
        self._count += 1
        return answer

    def ask(self, *, now: float) -> None:
        """Start a round for everything gathered, if the core can."""
        if not self._gathering:
            return
        self._context += 1
        if self._ask(self._context):
            waiters, self._gathering = self._gathering, []
            self._rounds[self._context] = _Round(waiters, now)

    def confirm(self, context: int, index: int) -> None:
        """A quorum has confirmed; answer as soon as ``index`` is applied."""
        found = self._rounds.pop(context, None)
        if found is not None:
            self._confirmed.append((index, found.waiters))

    def drop(self, context: int) -> None:
        """The core will never confirm this one: ask again, in a new round."""
        found = self._rounds.pop(context, None)
        if found is not None:
            self._gathering.extend(found.waiters)

    def retry(self, *, asked_before: float) -> None:
        """Rounds without an answer for so long were lost on the way; ask again."""
        for context, lost in list(self._rounds.items()):
            if lost.asked <= asked_before:
                self.drop(context)

    def release(self, applied_index: int) -> None:
        """Answer whatever was only waiting for apply."""
        if not self._confirmed:
            return
        ready = [pair for pair in self._confirmed if pair[0] <= applied_index]
        if not ready:
            return
        self._confirmed = [pair for pair in self._confirmed if pair[0] > applied_index]
        for _, waiters in ready:
            for waiter in waiters:
                self._count -= 1
                if not waiter.answer.called:
                    waiter.answer.callback(applied_index)

    def expire(
        self, *, before: float, reason: Callable[[float], UnavailableReason]
    ) -> None:
        """Give up on every read that began before, and forget the cancelled ones."""
        late: list[_Waiter] = []

        def keep(waiters: list[_Waiter]) -> list[_Waiter]:
            kept = []
            for waiter in waiters:
                if waiter.answer.called or waiter.began <= before:
                    late.append(waiter)
                else:
                    kept.append(waiter)
            return kept

        self._gathering = keep(self._gathering)
        self._confirmed = [
            (index, kept) for index, group in self._confirmed if (kept := keep(group))
        ]
        for context, found in list(self._rounds.items()):
            kept = keep(found.waiters)
            if kept:
                self._rounds[context] = found._replace(waiters=kept)
            else:
                del self._rounds[context]
        self._count -= len(late)
        for waiter in late:
            if not waiter.answer.called:
                self.expired += 1
                waiter.answer.errback(
                    Unavailable(reason(waiter.began), may_take_effect=False)
                )

    def stop(self) -> None:
        """Nobody will be answered any more."""
        self.expire(before=float("inf"), reason=lambda _: UnavailableReason.STOPPED)
