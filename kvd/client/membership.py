"""The members of the cluster, as one of them tells and changes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from twisted.internet.defer import Deferred

from kvd.client.asking import Asker
from kvd.client.documents import accepted, member_of, members_of
from kvd.client.values import Member
from kvd.client.wire import JSON, Request

_ALL = "/v2/members"


class Members:
    """
    ``client.members``; each method raises :class:`Refused` with the server's words.

    .. versionadded:: 0.1
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def list(self) -> Deferred[tuple[Member, ...]]:
        """All members, by their ids."""
        return Deferred.fromCoroutine(self._list())

    def leader(self) -> Deferred[Member]:
        """
        Who leads.

        :raises NoAnswer: nobody does, as far as anybody knows.
        """
        return Deferred.fromCoroutine(self._leader())

    def add(self, peer_urls: Sequence[str]) -> Deferred[Member]:
        """A place for a member that is to be started then."""
        return Deferred.fromCoroutine(self._add(peer_urls))

    def update(self, member_id: str, peer_urls: Sequence[str]) -> Deferred[None]:
        """Other peer URLs for a member."""
        request = _with_urls("PUT", _one(member_id), peer_urls)
        return Deferred.fromCoroutine(self._done(request))

    def remove(self, member_id: str) -> Deferred[None]:
        """Take a member out of the cluster, for good."""
        return Deferred.fromCoroutine(self._done(Request("DELETE", _one(member_id))))

    async def _list(self) -> tuple[Member, ...]:
        return members_of(await self._asker.ask(Request("GET", _ALL)))

    async def _leader(self) -> Member:
        return member_of(await self._asker.ask(Request("GET", f"{_ALL}/leader")))

    async def _add(self, peer_urls: Sequence[str]) -> Member:
        return member_of(await self._asker.ask(_with_urls("POST", _ALL, peer_urls)))

    async def _done(self, request: Request) -> None:
        accepted(await self._asker.ask(request))


def _one(member_id: str) -> str:
    return f"{_ALL}/{quote(member_id, safe='')}"


def _with_urls(method: str, target: str, peer_urls: Sequence[str]) -> Request:
    body = json.dumps({"peerURLs": list(peer_urls)}).encode()
    return Request(method, target, body, JSON)
