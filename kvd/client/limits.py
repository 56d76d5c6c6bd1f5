"""What a client spends at most."""

from __future__ import annotations

import attrs


@attrs.frozen
class Limits:
    """
    Bounds of one client; each has an error of its own when it is reached.

    :ivar connect_seconds: for a connection; then the next endpoint is tried.
    :ivar request_seconds: for an answer of one endpoint, all of it; a server takes up to
        7 s before it says that there is no quorum.
    :ivar silent_seconds: after which a watch that hears nothing asks whether the member
        is still there.
    :ivar body_bytes_max: of one answer.
    :ivar pending_max: requests under way, the watches' not counted.
    :ivar watches_max: watches that wait for an event.
    :ivar idle_max: unused connections kept for each endpoint.
    :ivar idle_seconds: how long they are kept.
    :ivar endpoints_max: given and discovered.

    .. versionadded:: 0.1
    """

    connect_seconds: float = 2.0
    request_seconds: float = 10.0
    silent_seconds: float = 30.0
    body_bytes_max: int = 64 << 20
    pending_max: int = 1000
    watches_max: int = 1000
    idle_max: int = 8
    idle_seconds: float = 30.0
    endpoints_max: int = 64
