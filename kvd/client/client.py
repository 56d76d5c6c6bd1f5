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
    response_of,
    version_of,
)
from kvd.client.endpoints import Endpoints, endpoint_of
from kvd.client.errors import ClientError
from kvd.client.keys import Text, reading, removing, writing
from kvd.client.limits import Limits
from kvd.client.membership import Members
from kvd.client.tls import TLS
from kvd.client.values import Node, Response, Version
from kvd.client.watching import Watch
from kvd.client.wire import Http, Reactor, Request, Wire


class Client:
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

    # Reading

    def get(
        self,
        key: Text,
        *,
        recursive: bool = False,
        in_order: bool = False,
        quorum: bool = False,
    ) -> Deferred[Response]:
        """
        A key, or a directory with what is in it.

        :param in_order: sort directories by key.
        :param quorum: no older than the newest write that anybody was told of; without
            it one member says what it knows.
        :raises KeyNotFound:
        """
        fields = _flags(recursive=recursive, sorted=in_order, quorum=quorum)
        return self._keys(reading(key, **fields))

    def ls(
        self, key: Text = "/", *, recursive: bool = False, quorum: bool = False
    ) -> Deferred[tuple[Node, ...]]:
        """
        What is in a directory, sorted; each directory before what is in it.

        A key with a value is listed itself.

        :raises KeyNotFound:
        """
        fields = _flags(recursive=recursive, quorum=quorum)
        request = reading(key, sorted=True, **fields)
        return Deferred.fromCoroutine(self._ls(request))

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

    # Writing

    def set(
        self, key: Text, value: Text, *, ttl: int | None = None
    ) -> Deferred[Response]:
        """
        Give a key this value, whether it is there or not.

        :param ttl: seconds after which it vanishes; None: it stays.
        :raises NotAFile: a directory.
        """
        return self._keys(writing(key, value=value, ttl=ttl))

    def create(
        self, key: Text, value: Text, *, ttl: int | None = None
    ) -> Deferred[Response]:
        """
        A new key.

        :raises KeyExists:
        """
        return self._keys(writing(key, value=value, ttl=ttl, prevExist=False))

    def update(
        self, key: Text, value: Text, *, ttl: int | None = None
    ) -> Deferred[Response]:
        """
        Another value for a key that is there; without a ``ttl`` it stays.

        :raises KeyNotFound:
        """
        return self._keys(writing(key, value=value, ttl=ttl, prevExist=True))

    def refresh(
        self, key: Text, ttl: int, *, prev_value: Text | None = None
    ) -> Deferred[Response]:
        """
        Another time to live for a key that is there; no watch is told.

        :param prev_value: only if the key has this value.
        :raises KeyNotFound:
        :raises CompareFailed:
        """
        return self._keys(
            writing(key, ttl=ttl, refresh=True, prevExist=True, prevValue=prev_value)
        )

    def delete(self, key: Text, *, recursive: bool = False) -> Deferred[Response]:
        """
        Remove a key; ``recursive``: or a directory with all that is in it.

        :raises KeyNotFound:
        :raises NotAFile: a directory, and not ``recursive``.
        """
        return self._keys(removing(key, **_flags(recursive=recursive)))

    def compare_and_swap(
        self,
        key: Text,
        value: Text,
        *,
        prev_value: Text | None = None,
        prev_index: int | None = None,
        ttl: int | None = None,
    ) -> Deferred[Response]:
        """
        Another value, if the key has that value, or that modified index, or both.

        :raises CompareFailed: it has not.
        :raises KeyNotFound:
        :raises ValueError: nothing to compare with.
        """
        compared = _compared(prev_value, prev_index)
        return self._keys(writing(key, value=value, ttl=ttl, **compared))

    def compare_and_delete(
        self,
        key: Text,
        *,
        prev_value: Text | None = None,
        prev_index: int | None = None,
    ) -> Deferred[Response]:
        """
        Remove the key, if it has that value, or that modified index, or both.

        :raises CompareFailed: it has not.
        :raises KeyNotFound:
        :raises ValueError: nothing to compare with.
        """
        return self._keys(removing(key, **_compared(prev_value, prev_index)))

    def create_in_order(
        self, directory: Text, value: Text, *, ttl: int | None = None
    ) -> Deferred[Response]:
        """A new key in the directory, whose name sorts after all that were made so."""
        return self._keys(writing(directory, method="POST", value=value, ttl=ttl))

    def mkdir(self, key: Text, *, ttl: int | None = None) -> Deferred[Response]:
        """
        A new directory.

        :raises KeyExists:
        """
        return self._keys(writing(key, dir=True, prevExist=False, ttl=ttl))

    def set_dir(self, key: Text, *, ttl: int | None = None) -> Deferred[Response]:
        """
        A directory, in place of a key that may be there.

        :raises NotAFile: a directory is there.
        """
        return self._keys(writing(key, dir=True, ttl=ttl))

    def update_dir(self, key: Text, *, ttl: int | None = None) -> Deferred[Response]:
        """
        Another time to live for a directory; None: it stays.

        :raises KeyNotFound:
        """
        return self._keys(writing(key, dir=True, prevExist=True, ttl=ttl))

    def rmdir(self, key: Text) -> Deferred[Response]:
        """
        Remove an empty directory; a key with a value is removed, too.

        :raises DirectoryNotEmpty:
        """
        return self._keys(removing(key, dir=True))

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

    def _keys(self, request: Request) -> Deferred[Response]:
        return Deferred.fromCoroutine(self._ask_keys(request))

    async def _ask_keys(self, request: Request) -> Response:
        await self._sync_if_due()
        return response_of(await self._asker.ask(request))

    async def _ls(self, request: Request) -> tuple[Node, ...]:
        node = (await self._ask_keys(request)).node
        return tuple(node.walk()) if node.dir else (node,)

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


def _flags(**given: bool) -> dict[str, bool]:
    """Those that are set; a server knows the others' meaning."""
    return {name: value for name, value in given.items() if value}


def _compared(prev_value: Text | None, prev_index: int | None) -> dict[str, Any]:
    """What to compare with; Any: fields of a form, by name."""
    if prev_value is None and not prev_index:
        raise ValueError("nothing to compare with")
    if prev_value is not None and not prev_value:
        raise ValueError("a server cannot compare with an empty value")
    return {"prevValue": prev_value, "prevIndex": prev_index}


def _only(endpoint: str | None) -> tuple[str, ...]:
    return () if endpoint is None else (endpoint_of(endpoint),)
