"""How one takes part in an election."""

from __future__ import annotations

import attrs

from kvd.client import TLS, Limits


@attrs.frozen(kw_only=True)
class Settings:
    """
    :ivar endpoints: of the cluster.
    :ivar election: a directory of its own.
    :ivar name: what the others are told; empty: host and process number.
    :ivar ttl: seconds after which a leader that is gone is replaced.
    :ivar margin_seconds: before the end of these, in which a leader that could not
        keep its leadership alive has to stop.
    :ivar auth: a user's name and password.
    """

    endpoints: tuple[str, ...]
    election: str
    name: str
    ttl: int
    margin_seconds: float
    tls: TLS | None = None
    auth: tuple[str, str] | None = attrs.field(default=None, repr=False)

    @property
    def limits(self) -> Limits:
        """So that several members can be asked before the leadership is lost."""
        usual = Limits()
        return attrs.evolve(
            usual,
            connect_seconds=min(usual.connect_seconds, self.ttl / 10),
            request_seconds=min(usual.request_seconds, self.ttl / 6),
        )
