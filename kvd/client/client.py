"""The door to a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kvd.client.accounts import Auth
from kvd.client.asking import Asker
from kvd.client.documents import (
    document_of,
    healthy_of,
    members_of,
    version_of,
)
from kvd.client.endpoints import Endpoints, endpoint_of
from kvd.client.errors import ClientError
from kvd.client.keys import Text
from kvd.client.limits import Limits
from kvd.client.membership import Members
from kvd.client.operations import Operations
from kvd.client.tls import TLS
from kvd.client.values import Version
from kvd.client.watching import Watch
from kvd.client.wire import Answer, Http, Reactor, Request, Wire


class Client(Operations):
    """
    Everything that a v2 server does, of kvd or of etcd.

    Every method that asks returns a Deferred, which can be awaited, and cancelled: then
    nobody listens any more, but a write may be carried out. Each raises
    :class:`ClientError`, of which :class:`KeysError` is the server's own refusal,
    :class:`NoAnswer` means that nothing was changed, and :class:`Unknown` that a write
    may or may not have been carried out; it is never sent twice.

    :param reactor: connections and time; not imported, so any one will do.
    :param endpoints: URLs of client ports; the last that answered is asked first.
    :param tls: for https; None: what the system trusts.
    :param auth: a user's name and password.
    :param sync_seconds: ask for the cluster's members before a request if it was not
        done for so long; None: only when :meth:`sync` is called.
    :param http: something like ``treq.client.HTTPClient`` instead of its own one.
    :param observe: called with an endpoint and a request before each is sent.
    :raises ValueError: an endpoint, or a certificate, that cannot be used.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        reactor: Reactor,
        endpoints: Sequence[str],
        *,
        tls: TLS | None = None,
        auth: tuple[str, str] | None = None,
        limits: Limits | None = None,
        sync_seconds: float | None = None,
        http: Http | None = None,
        observe: Callable[[str, Request], None] | None = None,
    ) -> None:
        super().__init__(self._ask_synced)
        self._limits = limits or Limits()
        self._clock: IReactorTime = reactor
        self._endpoints = Endpoints(endpoints, self._limits)
        self._wire = Wire(
            reactor=reactor, limits=self._limits, tls=tls, auth=auth, http=http
        )
        self._asker = Asker(
            wire=self._wire,
            endpoints=self._endpoints,
            limits=self._limits,
            observe=observe,
        )
        self._sync_seconds = sync_seconds
        self._synced_seconds: float | None = None
        self.members = Members(self._asker)
        self.auth = Auth(self._asker)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """In the order in which they would be tried now."""
        return self._endpoints.in_order

    @property
    def clock(self) -> IReactorTime:
        """The time that it goes by."""
        return self._clock

    def close(self) -> Deferred[None]:
        """
        Ask nobody any more; fires when unused connections are gone.

        Watches end. Requests that are under way may come to their end; no new one is
        begun.
        """
        self._asker.close()
        return self._wire.close()

    def sync(self) -> Deferred[tuple[str, ...]]:
        """Learn the members' endpoints from one of them; fires with all endpoints."""
        return Deferred.fromCoroutine(self._sync())

    def watch(
        self, key: Text, *, recursive: bool = False, after_index: int | None = None
    ) -> Watch:
        """
        What happens to a key, or to everything below it, once and in order.

        :param after_index: only events after it, such as the ``etcd_index`` of a
            :class:`Response`; None: those after the watch has started.
        """
        return Watch(
            asker=self._asker,
            clock=self._clock,
            key=key,
            recursive=recursive,
            after_index=after_index,
            silent_seconds=self._limits.silent_seconds,
        )

    # The servers themselves; an endpoint says which one

    def version(self, endpoint: str | None = None) -> Deferred[Version]:
        """What a member runs."""
        return Deferred.fromCoroutine(self._version(_only(endpoint)))

    def health(self, endpoint: str | None = None) -> Deferred[bool]:
        """
        Whether a member thinks that it can serve writes.

        :raises NoAnswer: it cannot be asked.
        """
        return Deferred.fromCoroutine(self._health(_only(endpoint)))

    def stats(
        self, what: str = "self", endpoint: str | None = None
    ) -> Deferred[dict[str, Any]]:  # counts, texts and tables
        """
        What a member has counted.

        :param what: ``self``, ``store``, or ``leader``.
        :raises Refused: ``leader``, of one that does not lead.
        """
        if what not in {"self", "store", "leader"}:
            raise ValueError(f"there are no statistics {what!r}")
        request = Request("GET", f"/v2/stats/{what}")
        return Deferred.fromCoroutine(self._stats(request, _only(endpoint)))

    async def _ask_synced(self, request: Request) -> Answer:
        await self._sync_if_due()
        return await self._asker.ask(request)

    async def _version(self, only: Sequence[str]) -> Version:
        return version_of(await self._asker.ask(Request("GET", "/version"), only))

    async def _health(self, only: Sequence[str]) -> bool:
        request = Request("GET", "/health", final=frozenset({503}))
        return healthy_of(await self._asker.ask(request, only))

    async def _stats(self, request: Request, only: Sequence[str]) -> dict[str, Any]:
        return document_of(await self._asker.ask(request, only))

    async def _sync(self) -> tuple[str, ...]:
        self._synced_seconds = self._clock.seconds()
        members = members_of(await self._asker.ask(Request("GET", "/v2/members")))
        self._endpoints.discovered(
            url for member in members for url in member.client_urls
        )
        return self.endpoints

    async def _sync_if_due(self) -> None:
        if self._sync_seconds is None:
            return
        before = self._synced_seconds
        if before is None or self._clock.seconds() - before >= self._sync_seconds:
            try:
                await self._sync()
            except ClientError:
                # Whether anybody answers, the request itself will show.
                return


def _only(endpoint: str | None) -> tuple[str, ...]:
    return () if endpoint is None else (endpoint_of(endpoint),)
