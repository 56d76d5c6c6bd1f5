"""Requests that other members pass on to us, each taken once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from kvd.apply.request import RequestId, peek_request_id
from kvd.errors import InvariantViolated, PeerError, RequestError
from kvd.node.changes import untag_change
from kvd.raft.codec import decode_change
from kvd.raft.messages import (
    ChangeRefusal,
    ChangeRefused,
    EntryKind,
    Message,
    Propose,
)

SEEN_MAX = 65_536


class Forwarded:
    """
    The ids of the last ``SEEN_MAX`` forwarded requests.

    A network that delivers twice must not make one request take effect twice, nor one
    that was refused take effect after all.

    :param hold: keeps requests until somebody leads.
    :param send: as that of the transport.
    """

    def __init__(
        self,
        *,
        hold: Callable[[Propose], None],
        send: Callable[[Sequence[Message]], None],
    ) -> None:
        self._hold = hold
        self._send = send
        self._seen: OrderedDict[RequestId, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def admit(
        self, message: Propose, *, out_of_space: bool, handing_over: bool
    ) -> Propose | None:
        """
        What of it the core is to see now.

        While leadership is handed over requests are held. With too little room on the
        disk none is taken, and its asker waits in vain: the leader is about to make
        way. Of a membership change the asker is told, it may ask again.
        """
        fresh = self.fresh(message)
        if fresh is None or not (out_of_space or handing_over):
            return fresh
        refusal = ChangeRefusal.NO_SPACE
        if not out_of_space:
            refusal = ChangeRefusal.TRANSFERRING
            self._hold(fresh)
        refused = [
            ChangeRefused(fresh.sender, fresh.to, 0, refusal, data)
            for kind, data in fresh.proposals
            if kind is EntryKind.CHANGE
        ]
        if refused:
            self._send(refused)
        return None

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
