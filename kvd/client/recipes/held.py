"""What somebody has for a time, and who wants to know when that is over."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed

T = TypeVar("T")


def listener(listeners: list[Deferred[T]]) -> Deferred[T]:
    """One more of them, who is forgotten if he no longer wants to know."""

    def forget(heard: Deferred[T]) -> None:
        if heard in listeners:
            listeners.remove(heard)

    heard: Deferred[T] = Deferred(forget)
    listeners.append(heard)
    return heard


# Any, Any: what goes into a coroutine from outside, nobody looks at.
def to_its_end(asked: Coroutine[Any, Any, None]) -> Deferred[None]:
    """Fires at its end; it goes on though nobody may listen any more."""
    heard: Deferred[None] = Deferred()
    Deferred.fromCoroutine(asked).addBoth(heard.callback)
    return heard


class Place(Protocol):
    """What stands for it in the cluster."""

    def check(self) -> None:
        """Say so now if it was lost, before anything else is done."""

    # Any, Any: what goes into a coroutine from outside, nobody looks at.
    def withdraw(self) -> Coroutine[Any, Any, None]:
        """Give it up."""


class Held:
    """
    Something that is held for as long as it is not lost and not released.

    :ivar token: the key's created index; each holder's is greater than all before it,
        so what is guarded can refuse whoever comes with a smaller one than it has seen.

    .. versionadded:: 0.1
    """

    def __init__(self, token: int, place: Place) -> None:
        self._place = place
        self._why: str | None = None
        self._listeners: list[Deferred[str]] = []
        self.token = token

    @property
    def is_held(self) -> bool:
        """
        Whether it is still held, as far as can be known here.

        The clock is looked at, so it is right even where the program was stopped just
        before, and has not heard yet.
        """
        self._place.check()
        return self._why is None

    def when_lost(self) -> Deferred[str]:
        """Fires with the reason when it is no longer held, or when it was released."""
        self._place.check()
        if self._why is not None:
            return succeed(self._why)
        return listener(self._listeners)

    def release(self) -> Deferred[None]:
        """
        Let the next one have it; fires when the key is gone. Never fails.

        If nobody can be reached it fires when the time to live is over; if the client
        is closed, or not allowed to any more, at once, and the key runs out. Whoever
        cancels it has let it go all the same.
        """
        self._place.check()
        self.end("it was released")
        return to_its_end(self._place.withdraw())

    def end(self, why: str) -> None:
        """It is over; who listens is told so, once."""
        if self._why is not None:
            return
        self._why = why
        listeners, self._listeners = self._listeners, []
        for heard in listeners:
            if not heard.called:
                heard.callback(why)
