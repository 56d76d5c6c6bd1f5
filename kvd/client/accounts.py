"""Users, roles, and the switch that makes them count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred

from kvd.client.asking import Asker
from kvd.client.documents import (
    accepted,
    enabled_of,
    role_of,
    roles_of,
    user_of,
    users_of,
)
from kvd.client.errors import Refused
from kvd.client.values import Role, User
from kvd.client.wire import JSON, Answer, Request

_SWITCH = "/v2/auth/enable"


class Auth:
    """
    ``client.auth``; each method raises :class:`Refused` with the server's words.

    .. versionadded:: 0.1
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def enabled(self) -> Deferred[bool]:
        """Whether users and roles count."""
        return Deferred.fromCoroutine(self._enabled())

    def enable(self) -> Deferred[None]:
        """Make them count; there must be a user root."""
        return Deferred.fromCoroutine(self._done(Request("PUT", _SWITCH)))

    def disable(self) -> Deferred[None]:
        """Let everybody do everything again."""
        return Deferred.fromCoroutine(self._done(Request("DELETE", _SWITCH)))

    def users(self) -> Deferred[tuple[User, ...]]:
        """All users, by their names."""
        return Deferred.fromCoroutine(self._users())

    def user(self, name: str) -> Deferred[User]:
        """One user."""
        return Deferred.fromCoroutine(self._user(Request("GET", _place("users", name))))

    def create_user(
        self, name: str, password: str, roles: Sequence[str] = ()
    ) -> Deferred[User]:
        """
        A new user; one that exists is refused, and stays as it is.

        With roles that is one step of the server. Without them it would take the
        request for a change of the password, so it is asked whether there is such a
        user before: if two create the same one at once, the later password counts.
        """
        given: dict[str, Any] = {"password": password}  # JSON
        if roles:
            return self._put_user(name, {**given, "roles": list(roles)})
        return Deferred.fromCoroutine(
            self._put_if(_put_user(name, given), name, there=False)
        )

    def change_password(self, name: str, password: str) -> Deferred[User]:
        """
        Another password for a user; one that does not exist is refused.

        A server would create that one, so it is asked for the user before.
        """
        put = _put_user(name, {"password": password})
        return Deferred.fromCoroutine(self._put_if(put, name, there=True))

    def grant_roles(self, name: str, roles: Sequence[str]) -> Deferred[User]:
        """More roles for a user."""
        return self._put_user(name, {"grant": list(roles)})

    def revoke_roles(self, name: str, roles: Sequence[str]) -> Deferred[User]:
        """Fewer roles for a user."""
        return self._put_user(name, {"revoke": list(roles)})

    def remove_user(self, name: str) -> Deferred[None]:
        """Forget a user."""
        return Deferred.fromCoroutine(
            self._done(Request("DELETE", _place("users", name)))
        )

    def roles(self) -> Deferred[tuple[Role, ...]]:
        """All roles, by their names."""
        return Deferred.fromCoroutine(self._roles())

    def role(self, name: str) -> Deferred[Role]:
        """One role."""
        return Deferred.fromCoroutine(self._role(Request("GET", _place("roles", name))))

    def create_role(
        self, name: str, read: Sequence[str] = (), write: Sequence[str] = ()
    ) -> Deferred[Role]:
        """A new role, with patterns such as ``/a`` or ``/a/*``."""
        return self._put_role(name, "permissions", read, write)

    def grant_permissions(
        self, name: str, read: Sequence[str] = (), write: Sequence[str] = ()
    ) -> Deferred[Role]:
        """More patterns for a role."""
        return self._put_role(name, "grant", read, write)

    def revoke_permissions(
        self, name: str, read: Sequence[str] = (), write: Sequence[str] = ()
    ) -> Deferred[Role]:
        """Fewer patterns for a role."""
        return self._put_role(name, "revoke", read, write)

    def remove_role(self, name: str) -> Deferred[None]:
        """Forget a role; users may go on having its name."""
        return Deferred.fromCoroutine(
            self._done(Request("DELETE", _place("roles", name)))
        )

    async def _put_if(self, put: Request, name: str, *, there: bool) -> User:
        """:param there: whether there must be such a user already, or must not."""
        if await self._exists(Request("GET", put.target)) == there:
            return await self._user(put)
        if there:
            raise Refused(HTTPStatus.NOT_FOUND, f"auth: User {name} does not exist.")
        raise Refused(HTTPStatus.CONFLICT, f"auth: User {name} already exists.")

    async def _exists(self, look: Request) -> bool:
        """A user with a role that does not exist is answered with 404, too."""
        try:
            await self._user(look)
        except Refused as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                raise
            return refused.message.startswith("auth: Role ")
        return True

    def _put_user(self, name: str, given: dict[str, Any]) -> Deferred[User]:
        return Deferred.fromCoroutine(self._user(_put_user(name, given)))

    def _put_role(
        self, name: str, what: str, read: Sequence[str], write: Sequence[str]
    ) -> Deferred[Role]:
        patterns = {"kv": {"read": list(read), "write": list(write)}}
        request = _put(_place("roles", name), {"role": name, what: patterns})
        return Deferred.fromCoroutine(self._role(request))

    async def _enabled(self) -> bool:
        return enabled_of(await self._ask(Request("GET", _SWITCH)))

    async def _users(self) -> tuple[User, ...]:
        return users_of(await self._ask(Request("GET", "/v2/auth/users")))

    async def _user(self, request: Request) -> User:
        return user_of(await self._ask(request))

    async def _roles(self) -> tuple[Role, ...]:
        return roles_of(await self._ask(Request("GET", "/v2/auth/roles")))

    async def _role(self, request: Request) -> Role:
        return role_of(await self._ask(request))

    async def _done(self, request: Request) -> None:
        accepted(await self._ask(request))

    async def _ask(self, request: Request) -> Answer:
        return await self._asker.ask(request)


def _place(kind: str, name: str) -> str:
    if name in {"", ".", ".."}:
        raise ValueError(f"{name!r} cannot be the name of a user or a role")
    return f"/v2/auth/{kind}/{quote(name, safe='')}"


def _put_user(name: str, given: dict[str, Any]) -> Request:
    return _put(_place("users", name), {"user": name, **given})


def _put(target: str, document: dict[str, Any]) -> Request:
    return Request("PUT", target, json.dumps(document).encode(), JSON)
