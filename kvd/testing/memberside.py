"""
A server whose members change, beside another one that gives them other ids.

In a target ``<new-1>`` stands for the first member that was added through this side; what
a server says of members is compared with such words in place of ids, and listings in the
order of their texts, since ids order them.
"""

from __future__ import annotations

import json
import re
import time

import attrs

from kvd.testing.rows import Json
from kvd.testing.seen import Seen
from kvd.testing.sidebyside import Side
from kvd.testing.wire import Answer

FORGOTTEN_SECONDS = 5.0
_NEW = re.compile(r"<new-(\d+)>")
_LISTING = re.compile(r'\{"members":\[.*\]\}')


class MemberSide(Side):
    """
    :ivar added: the ids that this server gave, in their order.
    :ivar forgets: whether it may drop a change that comes while another is not yet
        applied everywhere, as etcd does, and must be asked again.
    """

    def __init__(self, port: int, names: dict[str, str] | None = None) -> None:
        super().__init__(port, names)
        self.added: list[str] = []
        self.forgets = False

    def exchange(self, data: bytes, *, head: bool = False) -> Answer:
        began = time.monotonic()
        answer = super().exchange(data, head=head)
        timed_out = answer.code == 500 and time.monotonic() - began > FORGOTTEN_SECONDS
        if self.forgets and timed_out:
            return super().exchange(data, head=head)
        return answer

    def _request(
        self, method: str, target: str, form: str | None = None, *, user: str = ""
    ) -> Seen:
        return super()._request(method, self._with_ids(target), form, user=user)

    def _json(self, step: Json) -> Seen:
        return super()._json(attrs.evolve(step, target=self._with_ids(step.target)))

    def add(self, *peer_urls: str) -> str:
        """Add a member, without a look at how it is told; its id."""
        body = json.dumps({"peerURLs": peer_urls}).encode()
        answer = self.exchange(Json("POST", "/v2/members", body).request)
        self._remember(answer)
        return self.added[-1]

    def _with_ids(self, target: str) -> str:
        return _NEW.sub(lambda found: self.added[int(found[1]) - 1], target)

    def _seen(self, answer: Answer, now: float, *, sorted_nodes: bool) -> Seen:
        self._remember(answer)
        seen = super()._seen(answer, now, sorted_nodes=sorted_nodes)
        return seen._replace(text=_LISTING.sub(_in_order, seen.text))

    def _remember(self, answer: Answer) -> None:
        if answer.code == 201 and b'"peerURLs"' in answer.body:
            self.added.append(json.loads(answer.body)["id"])
            self._names[self.added[-1]] = f"<new-{len(self.added)}>"


def _in_order(found: re.Match[str]) -> str:
    members = json.loads(found[0])["members"]
    return str(sorted(json.dumps(member) for member in members))
