"""The other side of the proxy as the rest of it sees it: a question, and its answer."""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias

import attrs
from twisted.internet.defer import Deferred

from kvd.errors import KvdError

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]

SAFE: Final = frozenset({b"GET", b"HEAD"})
"""Methods that may be sent twice; no other one ever is (RELIABILITY, client retries)."""


class Unreached(KvdError):
    """There was no connection: nothing of the request was sent."""


class Lost(KvdError):
    """No answer came; the request may have been carried out all the same."""


@attrs.frozen(kw_only=True)
class Question:
    """
    A request as it is sent to a member.

    :ivar target: path and query, in visible ASCII.
    :ivar fields: without those that concern one connection only; ``Host`` may lack.
    """

    method: bytes
    target: bytes
    fields: Fields = ()
    body: bytes = b""


class Taker(Protocol):
    """Who is given a body, piece by piece."""

    def piece(self, data: bytes) -> None: ...

    def ended(self) -> None:
        """That was all of it."""
        ...

    def broken(self, why: str) -> None:
        """It will not be completed."""
        ...


class Source(Protocol):
    """Where a body comes from."""

    def pause(self) -> None:
        """No more for the moment; what was read already may still come."""
        ...

    def resume(self) -> None: ...

    def drop(self) -> None:
        """Nobody wants the rest: close the connection. The taker hears no more."""
        ...


class Delivery(Protocol):
    """How a body is asked for, once."""

    def __call__(self, taker: Taker) -> Source:
        """Its first pieces, and its end, may come before this returns."""
        ...


@attrs.frozen(kw_only=True)
class Answered:
    """
    The head of an answer, whose body waits to be taken.

    :ivar fields: without those that concern one connection only; names as Go spells
        them, in the order of the names.
    :ivar length: of the body that will come, None when it is not known.
    """

    status: int
    phrase: bytes
    fields: Fields
    length: int | None
    deliver: Delivery


class Upstream(Protocol):
    """Asks members."""

    def ask(self, url: str, question: Question) -> Deferred[Answered]:
        """
        Fires when the head of the answer has come; cancelling closes the connection.

        Fails with :class:`Unreached` or :class:`Lost`.
        """
        ...

    def close(self) -> Deferred[None]:
        """Close the connections that nobody uses at the moment."""
        ...
