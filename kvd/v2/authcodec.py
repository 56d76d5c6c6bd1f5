"""
Bytes of what the auth machine is told, and of its snapshot (``docs/design/auth.rst``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import attrs

from kvd.errors import RequestError, StorageError
from kvd.v2.accounts import PutRole, PutUser, Role, User
from kvd.v2.commands import Asker
from kvd.v2.permissions import NOTHING, Permissions, Texts

_UNDECODABLE = 300
_CHUNK_BYTES = 32 << 10


@attrs.frozen
class RemoveUser:
    name: str


@attrs.frozen
class RemoveRole:
    name: str


@attrs.frozen
class Switch:
    """Turn authentication on or off."""

    on: bool


Change: TypeAlias = PutUser | PutRole | RemoveUser | RemoveRole | Switch


class AuthRequest(NamedTuple):
    """
    :ivar by: who asks; must be root while authentication is on.
    """

    by: Asker
    change: Change


@attrs.frozen
class Captured:
    """All of the machine's state."""

    enabled: bool
    index: int
    written: bool
    users: tuple[User, ...]
    roles: tuple[Role, ...]


# -- requests --


def encode_auth_request(request: AuthRequest) -> bytes:
    shown: dict[str, object] = {"by": list(request.by)}
    change = request.change
    if isinstance(change, PutUser):
        shown |= {
            "op": "put user",
            "name": change.name,
            "hash": change.password_hash,
            "roles": change.roles,
            "grant": change.grant,
            "revoke": change.revoke,
        }
    elif isinstance(change, PutRole):
        shown |= {"op": "put role", "name": change.name, **_shown_permissions(change)}
    elif isinstance(change, Switch):
        shown |= {"op": "switch", "on": change.on}
    else:
        what = "user" if isinstance(change, RemoveUser) else "role"
        shown |= {"op": f"remove {what}", "name": change.name}
    return _dump(shown)


def decode_auth_request(body: bytes) -> AuthRequest:
    """:raises RequestError: these bytes are no request of this machine."""
    try:
        shown = json.loads(body)
        match shown:
            case {"by": [str(user), int(index)], "op": str(op)} if index >= 0:
                return AuthRequest(Asker(user, index), _change(op, shown))
    except (ValueError, RecursionError):
        pass
    raise RequestError(_UNDECODABLE, "undecodable auth request")


# What JSON holds is anything until it has been matched.
def _change(op: str, shown: Any) -> Change:  # noqa: ANN401
    match op, shown:
        case "put user", {"name": str(name), "hash": str(hashed)}:
            return PutUser(
                name,
                hashed,
                _texts(shown.get("roles")),
                _texts(shown.get("grant")) or (),
                _texts(shown.get("revoke")) or (),
            )
        case "put role", {"name": str(name)}:
            return PutRole(name, *_read_permissions(shown))
        case "remove user", {"name": str(name)}:
            return RemoveUser(name)
        case "remove role", {"name": str(name)}:
            return RemoveRole(name)
        case "switch", {"on": bool(on)}:
            return Switch(on)
    raise ValueError(op)


# -- snapshots --


def encode_auth(captured: Captured) -> Iterator[bytes]:
    """Chunks of about 32 KiB, each made when it is asked for."""
    lines = [
        _dump(
            {
                "enabled": captured.enabled,
                "index": captured.index,
                "written": captured.written,
            }
        )
    ]
    size = 0
    accounts: tuple[User | Role, ...] = (*captured.users, *captured.roles)
    for account in accounts:
        line = _dump(_user(account) if isinstance(account, User) else _role(account))
        lines.append(line)
        size += len(line)
        if size > _CHUNK_BYTES:
            yield b"\n".join((*lines, b""))
            lines.clear()
            size = 0
    yield b"\n".join(lines)


def decode_auth(chunks: Iterable[bytes]) -> Captured:
    """:raises StorageError: not what :func:`encode_auth` writes."""
    try:
        head, *rest = [json.loads(line) for line in b"".join(chunks).splitlines()]
        match head:
            case {"enabled": bool(enabled), "index": int(index), "written": bool(done)}:
                users = tuple(_read_user(shown) for shown in rest if "user" in shown)
                roles = tuple(
                    _read_role(shown) for shown in rest if "user" not in shown
                )
                return Captured(enabled, index, done, users, roles)
    except (ValueError, TypeError, RecursionError):
        pass
    raise StorageError("auth snapshot cannot be read")


def _user(user: User) -> dict[str, object]:
    return {
        "user": user.name,
        "hash": user.password_hash,
        "roles": user.roles,
        "since": user.since,
    }


def _role(role: Role) -> dict[str, object]:
    return {"role": role.name, **_shown_permissions(role)}


def _read_user(shown: Any) -> User:  # noqa: ANN401
    match shown:
        case {"user": str(name), "hash": str(hashed), "since": int(since)}:
            return User(name, hashed, _texts(shown.get("roles")), since)
    raise ValueError


def _read_role(shown: Any) -> Role:  # noqa: ANN401
    match shown:
        case {"role": str(name)}:
            return Role(name, *_read_permissions(shown))
    raise ValueError


# -- parts --


def _dump(shown: object) -> bytes:
    return json.dumps(shown, separators=(",", ":")).encode()


def _shown_permissions(of: Role | PutRole) -> dict[str, object]:
    return {
        "permissions": of.permissions,
        "grant": of.grant,
        "revoke": of.revoke,
    }


def _read_permissions(
    shown: Any,  # noqa: ANN401
) -> tuple[Permissions, Permissions | None, Permissions | None]:
    names = ("permissions", "grant", "revoke")
    permissions, grant, revoke = (_permissions(shown.get(name)) for name in names)
    return permissions or NOTHING, grant, revoke


def _permissions(shown: object) -> Permissions | None:
    match shown:
        case None:
            return None
        case [read, write]:
            return Permissions(_texts(read), _texts(write))
    raise ValueError


def _texts(shown: object) -> Texts:
    if shown is None:
        return None
    if isinstance(shown, list) and all(isinstance(text, str) for text in shown):
        return tuple(shown)
    raise ValueError
