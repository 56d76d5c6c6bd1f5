"""Requests that other members pass on to us, each taken once."""

from __future__ import annotations

from collections import OrderedDict

from kvd.apply.request import RequestId, peek_request_id
from kvd.errors import InvariantViolated, PeerError, RequestError
from kvd.node.changes import untag_change
from kvd.raft.codec import decode_change
from kvd.raft.messages import EntryKind, Propose

SEEN_MAX = 65_536


class Forwarded:
    """
    The ids of the last ``SEEN_MAX`` forwarded requests.

    A network that delivers twice must not make one request take effect twice.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[RequestId, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def fresh(self, message: Propose) -> Propose | None:
        """
        The message with what was not seen before; None if there is nothing.

        :raises PeerError: a request without an id.
        """
        seen = self._seen
        fresh = []
        for kind, data in message.proposals:
            try:
                if kind is EntryKind.CHANGE:
                    request_id = untag_change(decode_change(data))[0]
                else:
                    request_id = peek_request_id(data)
            except (RequestError, InvariantViolated) as error:
                raise PeerError(
                    f"a forwarded request is undecodable: {error}"
                ) from error
            if request_id not in seen:
                seen[request_id] = None
                fresh.append((kind, data))
        while len(seen) > SEEN_MAX:
            seen.popitem(last=False)
        return message._replace(proposals=tuple(fresh)) if fresh else None
