"""What somebody has for a time, and who wants to know when that is over."""

# Twisted leaves Failure without annotations:
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred


class Held:
    """
    Something that is held for as long as it is not lost and not released.

    :ivar token: the key's created index; each holder's is greater than all before it,
        so what is guarded can refuse whoever comes with a smaller one than it has seen.

    .. versionadded:: 0.1
    """

    # Any, Any: what goes into a coroutine from outside, nobody looks at.
    def __init__(
        self, token: int, withdraw: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._withdraw = withdraw
        self._why: str | None = None
        self._listeners: list[Deferred[str]] = []
        self.token = token

    @property
    def is_held(self) -> bool:
        """Whether it is still held, as far as can be known here."""
        return self._why is None

    def when_lost(self) -> Deferred[str]:
        """Fires with the reason when it is no longer held, or when it was released."""
        heard: Deferred[str] = Deferred()
        if self._why is not None:
            heard.callback(self._why)
        else:
            self._listeners.append(heard)
        return heard

    def release(self) -> Deferred[None]:
        """Let the next one have it; fires when the key is gone. Never fails."""
        self.end("it was released")
        return Deferred.fromCoroutine(self._withdraw())

    def end(self, why: str) -> None:
        """It is over; who listens is told so, once."""
        if self._why is not None:
            return
        self._why = why
        listeners, self._listeners = self._listeners, []
        for heard in listeners:
            if not heard.called:
                heard.callback(why)
