"""Who asks, and whether he may (V2-SPEC 11.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kvd.errors import Unavailable
from kvd.http import answers
from kvd.http.exchange import Client, Request, Response
from kvd.http.passwords import Passwords
from kvd.http.store import AuthView, StoreCounters
from kvd.v2.auth import INSUFFICIENT
from kvd.v2.commands import Asker

Found: TypeAlias = Asker | Deferred[Asker | None] | None
_GUEST = Asker()
DENIED = answers.message(401, INSUFFICIENT)


class _Known(NamedTuple):
    """A field that was right, and whose it was; the connection's header has it, too."""

    value: bytes
    asker: Asker


class Guard:
    """
    Asked by every API while authentication is on.

    Each look at the switch, a user or a role is counted as the get that it is in etcd.
    """

    def __init__(
        self, *, auth: AuthView, passwords: Passwords, stats: StoreCounters
    ) -> None:
        self._auth = auth
        self._passwords = passwords
        self._stats = stats

    def asker(self, request: Request) -> Found:
        """
        Who it is: a user by his password or else by his certificate, or a guest; None
        for somebody who says that he is a user and is not.

        :raises Unavailable: in the Deferred: too many passwords are being checked.
        """
        value = request.block.authorization
        if value:
            return self._by_password(value, request.client)
        for name in request.client.names:
            known = bool(self._auth.password_hash(name))
            self._look(known)
            if known:
                return Asker(name, self._auth.index)
        return _GUEST

    def _by_password(self, value: bytes, client: Client) -> Found:
        """
        A connection that goes on with the very field that was found right on it is
        known, for as long as nothing at all of the authentication has changed.
        """
        known = client.known
        if isinstance(known, _Known) and known.value is value:
            if known.asker.index == self._auth.index:
                self._look(True)
                return known.asker
            client.known = None
        found = self._passwords.asker(value, client.address, self._look)
        if isinstance(found, Asker):
            client.known = _Known(value, found)
        return found

    def allows(
        self, asker: Asker | None, path: str, *, write: bool, recursive: bool
    ) -> bool:
        """
        Whether a request for keys may be carried out, by this member's state of now.

        :param path: as sent, with the slash that it may end with; empty for the root.
        """
        if asker is None:
            return False
        if not self._auth.enabled:
            return True  # it was turned off while a password was checked
        allowed, found, missing = self._auth.judge(
            asker, path, write=write, recursive=recursive
        )
        while found:
            self._look(True)
            found -= 1
        while missing:
            self._look(False)
            missing -= 1
        return allowed

    def as_root(
        self,
        request: Request,
        handle: Callable[[Asker], Response | Deferred[Response]],
    ) -> Response | Deferred[Response]:
        """Handle the request if its asker is root, or authentication is off."""
        self._look(self._auth.written)
        if not self._auth.enabled:
            return handle(_GUEST)
        asker = self.asker(request)
        if isinstance(asker, Deferred):
            return asker.addCallbacks(self._as_root, _too_many, callbackArgs=(handle,))
        return self._as_root(asker, handle)

    def _as_root(
        self,
        asker: Asker | None,
        handle: Callable[[Asker], Response | Deferred[Response]],
    ) -> Response | Deferred[Response]:
        if asker is None or not self._auth.is_root(asker):
            return DENIED
        return handle(asker)

    def _look(self, found: bool) -> None:
        self._stats.count_get(ok=found)


def _too_many(failure: Failure) -> Response:
    if isinstance(failure.value, Unavailable):
        return answers.message(500, f"etcdserver: {failure.value}")
    return failure  # type: ignore[return-value]  # a failure goes on as such
