"""What a handler is given, and what it may answer; no transport in sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from twisted.internet.defer import Deferred

from kvd.http.fields import HeaderBlock


class Client:
    """
    Who is at the other end of a connection.

    :ivar address: of its host; empty where it has none.
    :ivar names: the names that its certificate was verified for, in the order of the
        chains; none without TLS.
    :ivar known: whom the guard last found to be asking on this connection, and how.
    """

    __slots__ = ("address", "known", "names")

    def __init__(self, address: str = "", names: tuple[str, ...] = ()) -> None:
        self.address = address
        self.names = names
        self.known: object = None


NOBODY = Client()


class Request:
    """
    One complete request.

    :ivar path: decoded and clean (V2-SPEC 1.3), with surrogateescape.
    :ivar query: as sent, with surrogateescape; empty when there is none.
    :ivar old: HTTP/1.0.
    :ivar body: what came, if this route reads bodies.
    :ivar form_problem: why the body cannot be read as a form, empty if it can.
    :ivar client: who sent it.
    """

    __slots__ = (
        "block",
        "body",
        "client",
        "form_problem",
        "method",
        "old",
        "path",
        "query",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        block: HeaderBlock,
        old: bool = False,
        body: bytes = b"",
        form_problem: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.block = block
        self.old = old
        self.body = body
        self.form_problem = form_problem
        self.client = NOBODY


class Response(NamedTuple):
    """
    A complete answer.

    :ivar headers: the application's own, each ``Name: value`` with its line end, in
        the order of their names; framing, date and CORS are the channel's.
    :ivar framed: False where etcd sends no length, or ``headers`` have it already.
    :ivar last: close the connection afterwards; ``headers`` say so already.
    :ivar late: headers that Go adds itself, behind the length.
    :ivar cors: False where etcd answers before it looks at origins.
    """

    status: int
    headers: bytes
    body: bytes
    framed: bool = True
    last: bool = False
    late: bytes = b""
    cors: bool = True


class Outlet(Protocol):
    """The open end of an answer whose body comes piece by piece."""

    @property
    def blocked(self) -> bool:
        """Whether the client does not take what it was sent."""
        ...

    def send(self, piece: bytes) -> None:
        """One more piece; it leaves at once."""
        ...

    def end(self, last: bytes = b"") -> None:
        """A last piece, and that was all."""
        ...

    def abort(self) -> None:
        """Close the connection without any more ado."""
        ...


class Stream(Protocol):
    """What makes the pieces."""

    def taken(self) -> None:
        """The client takes data again: the outlet is not blocked any more."""
        ...

    def stop(self) -> None:
        """The client is gone; nothing may be sent any more."""
        ...

    def finish(self) -> None:
        """End the body now, cleanly: the server is stopping."""
        ...


class Streaming(NamedTuple):
    """
    An answer whose head leaves now and whose body comes later.

    :ivar length: bytes that the body will have, told in ``headers`` (0 where the method
        or the status allows none); None: it is sent in chunks.
    :ivar phrase: of an answer that another server gave: its reason. ``headers`` are then
        complete but for CORS and the framing.
    """

    status: int
    headers: bytes
    begin: Callable[[Outlet], Stream]
    length: int | None = None
    phrase: bytes = b""


Answer: TypeAlias = Response | Streaming
Handler: TypeAlias = Callable[[Request], Answer | Deferred[Answer]]
