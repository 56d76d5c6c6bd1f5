"""The members of a cluster as every one of them knows them."""

from __future__ import annotations

import attrs


@attrs.frozen
class MemberRecord:
    """
    One member.

    :ivar name: empty until it has started once and published itself.
    :ivar client_urls: empty until then.
    """

    member_id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool = False
