"""A gate that many wait at."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from kvd.client.client import Client
from kvd.client.recipes.kept import unique_text
from kvd.client.recipes.register import Register, Unclear
from kvd.client.watching import Relisted

_BLOCKED = "blocked"
_OPEN = "open"


class Barrier:
    """
    A barrier: one key that says whether it is blocked; one that is not there is open.

    What is promised:

    * Whoever begins to wait after ``block()`` has fired does not pass before somebody
      has asked for a ``release()``.
    * Everybody who waits passes once it is released, through failures, and even if it
      is blocked again at once. Only where members have dropped their history, which goes
      back a thousand events, such a short time may be missed; then he waits on.
    * A block or a release whose answer was lost cannot come to pass after another one
      that has fired: each writes, and is compared with what it found.

    It stays blocked when its blocker dies: anybody may release it. Nobody may remove the
    key while somebody blocks it for the first time.

    :param key: of the barrier's own.
    :param unique: makes texts that nobody else makes.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        client: Client,
        key: str,
        *,
        unique: Callable[[], str] = unique_text,
    ) -> None:
        self._client = client
        self._key = key
        self._register = Register(client, key)
        self._unique = unique

    def block(self) -> Deferred[None]:
        """Let nobody pass; fires when that is so, tries until then."""
        return Deferred.fromCoroutine(self._become(_BLOCKED))

    def release(self) -> Deferred[None]:
        """Let everybody pass; fires when that is so, tries until then."""
        return Deferred.fromCoroutine(self._become(_OPEN))

    def is_blocked(self) -> Deferred[bool]:
        """Whether it is, no older than the newest change that anybody was told of."""
        return Deferred.fromCoroutine(self._is_blocked())

    def wait(self) -> Deferred[None]:
        """Fires when it is open; cancelling stops waiting."""
        return Deferred.fromCoroutine(self._wait())

    async def _become(self, wanted: str) -> None:
        """
        Written even where it is so already: what somebody else has sent, and does not
        know the end of, is compared with what it was before.
        """
        while True:
            seen = await self._register.read()
            try:
                made = await self._register.change(seen, f"{wanted} {self._unique()}")
            except Unclear:
                continue  # somebody else came after it, and may have changed it back
            if made is not None:
                return

    async def _is_blocked(self) -> bool:
        return _state((await self._register.read()).value) == _BLOCKED

    async def _wait(self) -> None:
        seen = await self._register.read()
        value = seen.value
        watch = self._client.watch(self._key, after_index=seen.etcd_index)
        while _state(value) == _BLOCKED:
            change = await watch.next()
            if isinstance(change, Relisted):
                value = change.node.value if change.node is not None else None
            else:
                value = None if change.removed else change.node.value


def _state(value: str | None) -> str:
    """Whatever is there that nobody of us wrote blocks nobody."""
    return _BLOCKED if (value or "").partition(" ")[0] == _BLOCKED else _OPEN
