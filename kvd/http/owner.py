"""What a connection asks of its site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kvd.http.exchange import Client
from kvd.http.framing import Framing
from kvd.http.intake import Routes

if TYPE_CHECKING:
    from kvd.http.channel import Connection


class Owner(Routes, Protocol):
    """The site, as its connections see it."""

    framing: Framing
    is_open: bool
    is_draining: bool
    deadlines: dict[Connection, float]

    def recognised(self, client: Client, transport: object) -> Client:
        """The client, once its connection is made, with what that shows of it."""
        ...

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        ...

    def gone(self, connection: Connection) -> None:
        """It is closed."""
        ...

    def expect(self, connection: Connection, *, body: bool) -> None:
        """The rest of a head or body must arrive in time; the first call counts."""
        ...

    def arrived(self, connection: Connection) -> None:
        """Nothing is expected of it at the moment."""
        ...

    def rest(self, connection: Connection) -> None:
        """It has no request; the first call since the last one counts."""
        ...

    def lingering(self, connection: Connection) -> None:
        """It was told that we close, and may finish talking for a moment."""
        ...

    def go_on_later(self, connection: Connection) -> None:
        """It has more requests, but others have their turn first."""
        ...
