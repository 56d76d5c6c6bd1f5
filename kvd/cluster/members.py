"""The members of a cluster as every one of them knows them."""

from __future__ import annotations

from enum import Enum

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


class RefusalReason(Enum):
    """Why a membership request cannot be done; the face words and numbers it."""

    ID_EXISTS = "a member has this id"  # 409
    PEER_URL_EXISTS = "another member has this peer URL"  # 409
    NOT_FOUND = "no such member"  # 404
    REMOVED = "this id was removed; ids are never used again"  # 410
    LAST_VOTER = "nobody could vote after that"  # 500
    UNDECODABLE = "the request cannot be read"  # 500


@attrs.frozen
class RefusedChange:
    """What is returned in place of a member when nothing was changed."""

    reason: RefusalReason
    member_id: int
