"""Users and roles, and how a request changes them (V2-SPEC 11.2 and 11.3)."""

from __future__ import annotations

import attrs

from kvd.v2.permissions import (
    EVERYTHING,
    NOTHING,
    DuplicateError,
    Permissions,
    Texts,
    granted,
    revoked,
)

ROOT = "root"  # the user and the role
GUEST = "guest"


@attrs.frozen
class Refused:
    """
    Nothing was changed.

    :ivar status: of HTTP, as etcd's auth errors carry it.
    """

    status: int
    message: str


@attrs.frozen
class User:
    """
    :ivar password_hash: bcrypt's, in etcd's format; in no ``repr``.
    :ivar roles: names, which need not exist.
    :ivar since: the auth index at which the password was set.
    """

    name: str
    password_hash: str = attrs.field(repr=False)
    roles: Texts
    since: int

    def with_root(self) -> User:
        """As it is read: user root has role root, whatever is stored."""
        roles = self.roles or ()
        if self.name != ROOT or ROOT in roles:
            return self
        return attrs.evolve(self, roles=(*roles, ROOT))


@attrs.frozen
class Role:
    """
    :ivar grant: stored with a role that was created with an empty one, and shown.
    :ivar revoke: likewise.
    """

    name: str
    permissions: Permissions = NOTHING
    grant: Permissions | None = None
    revoke: Permissions | None = None


ROOT_ROLE = Role(ROOT, EVERYTHING)
GUEST_ROLE = Role(GUEST, EVERYTHING)


@attrs.frozen
class PutUser:
    """
    Create or change a user; which of them, etcd sees from what is given.

    :ivar password_hash: empty: no password was given; in no ``repr``.
    """

    name: str
    password_hash: str = attrs.field(default="", repr=False)
    roles: Texts = None
    grant: tuple[str, ...] = ()
    revoke: tuple[str, ...] = ()


@attrs.frozen
class PutRole:
    """Create a role, or grant to it and revoke from it if there is anything to."""

    name: str
    permissions: Permissions = NOTHING
    grant: Permissions | None = None
    revoke: Permissions | None = None

    @property
    def creates(self) -> bool:
        return not any(part and not part.empty for part in (self.grant, self.revoke))


def changed_user(old: User, asked: PutUser, *, index: int) -> User | Refused:
    """
    :param old: as it is read, with its root role.
    :param index: the auth index that the change would get.
    """
    roles = set(old.roles or ())
    for role in asked.grant:
        if role in roles:
            return _conflict(f"Granting duplicate role {role} for user {old.name}")
        roles.add(role)
    for role in asked.revoke:
        if role not in roles:
            return _conflict(f"Revoking ungranted role {role} for user {old.name}")
        roles.remove(role)
    new = attrs.evolve(old, roles=tuple(sorted(roles)))
    if asked.password_hash:
        new = attrs.evolve(new, password_hash=asked.password_hash, since=index)
    if new == old:
        return Refused(
            400,
            "auth: User not updated. Use grant/revoke/password to update the user.",
        )
    return new


def changed_role(old: Role, asked: PutRole) -> Role | Refused:
    """What is left of a grant or revoke at its creation is dropped."""
    try:
        permissions = granted(old.permissions, asked.grant)
    except DuplicateError as error:
        return _conflict(str(error))
    new = Role(old.name, revoked(permissions, asked.revoke))
    if new == old:
        return Refused(
            400, "auth: Role not updated. Use grant/revoke to update the role."
        )
    return new


def _conflict(text: str) -> Refused:
    return Refused(409, f"auth: {text}")
