"""Users and roles as JSON: what clients send, and what they are shown (V2-SPEC 11)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kvd.http import documents
from kvd.http.documents import Fields, Kind, Struct
from kvd.http.render import quoted
from kvd.v2.accounts import PutRole, Role, User
from kvd.v2.permissions import NOTHING, Permissions, Texts

_PATTERNS = Struct("v2auth.RWPermission", {"read": Kind.TEXTS, "write": Kind.TEXTS})
_PERMISSIONS = Struct("v2auth.Permissions", {"kv": _PATTERNS})
_USER = Struct(
    "v2auth.User",
    {
        "user": Kind.TEXT,
        "password": Kind.TEXT,
        "roles": Kind.TEXTS,
        "grant": Kind.TEXTS,
        "revoke": Kind.TEXTS,
    },
)
_ROLE = Struct(
    "v2auth.Role",
    {
        "role": Kind.TEXT,
        "permissions": _PERMISSIONS,
        "grant": _PERMISSIONS,
        "revoke": _PERMISSIONS,
    },
)


class UserForm(NamedTuple):
    """What a client says of a user."""

    name: str
    password: str
    roles: Texts
    grant: tuple[str, ...]
    revoke: tuple[str, ...]

    def __repr__(self) -> str:
        return f"UserForm({self.name!r})"


def read_user(body: bytes, *, depth_max: int) -> UserForm:
    """:raises BadDocumentError: in no special words."""
    fields = documents.fields_of(documents.read_first(body, depth_max=depth_max), _USER)
    return UserForm(
        fields.text("user"),
        fields.text("password"),
        _texts(fields, "roles"),
        _texts(fields, "grant") or (),
        _texts(fields, "revoke") or (),
    )


def read_role(body: bytes, *, depth_max: int) -> PutRole:
    """:raises BadDocumentError: in no special words."""
    fields = documents.fields_of(documents.read_first(body, depth_max=depth_max), _ROLE)
    return PutRole(
        fields.text("role"),
        _permissions(fields.inner("permissions")) or NOTHING,
        _permissions(fields.inner("grant")),
        _permissions(fields.inner("revoke")),
    )


def _texts(fields: Fields, name: str) -> Texts:
    texts = fields.texts(name)
    return None if texts is None else tuple(texts)


def _permissions(fields: Fields | None) -> Permissions | None:
    if fields is None:
        return None
    kv = fields.inner("kv")
    if kv is None:
        return NOTHING
    return Permissions(_texts(kv, "read"), _texts(kv, "write"))


def changed_user_json(user: User) -> str:
    """A user as it was put, with the names of its roles."""
    return f'{{"user":{quoted(user.name)},"roles":{_texts_json(user.roles)}}}'


def user_json(name: str, roles: Sequence[Role]) -> str:
    """A user with its whole roles, which are left out when there are none."""
    shown = f',"roles":{list_json(map(role_json, roles))}' if roles else ""
    return f'{{"user":{quoted(name)}{shown}}}'


def role_json(role: Role) -> str:
    shown = f'{{"role":{quoted(role.name)},"permissions":'
    shown += _permissions_json(role.permissions)
    if role.grant is not None:
        shown += f',"grant":{_permissions_json(role.grant)}'
    if role.revoke is not None:
        shown += f',"revoke":{_permissions_json(role.revoke)}'
    return shown + "}"


def list_json(documents: Iterable[str]) -> str:
    """Go shows a list that nothing was put into as null."""
    shown = ",".join(documents)
    return f"[{shown}]" if shown else "null"


def _permissions_json(permissions: Permissions) -> str:
    read, write = (_texts_json(patterns) for patterns in permissions)
    return f'{{"kv":{{"read":{read},"write":{write}}}}}'


def _texts_json(texts: Texts) -> str:
    return "null" if texts is None else "[" + ",".join(map(quoted, texts)) + "]"
