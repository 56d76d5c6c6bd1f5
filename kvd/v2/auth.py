"""Users, roles and the switch of etcd's v2 authentication as a state machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kvd.errors import RequestError, StorageError
from kvd.state import InternalWrite, Restoring, Section
from kvd.v2.accounts import (
    GUEST,
    GUEST_ROLE,
    ROOT,
    ROOT_ROLE,
    PutRole,
    PutUser,
    Refused,
    Role,
    User,
    changed_role,
    changed_user,
)
from kvd.v2.authcodec import (
    Captured,
    RemoveRole,
    RemoveUser,
    Switch,
    decode_auth,
    decode_auth_request,
    encode_auth,
)
from kvd.v2.commands import Asker
from kvd.v2.text import text_bytes

_VERSION = 1
INSUFFICIENT = "Insufficient credentials"
_STORE = "/2"  # where etcd keeps all this


class Done(NamedTuple):
    """
    What a change came to.

    :ivar account: what was put, as it is now; None for removals and the switch.
    :ivar created: whether it (or, for the switch, the guest role) was not there before.
    """

    account: User | Role | None = None
    created: bool = False


class Verdict(NamedTuple):
    """
    :ivar found: users and roles that were looked up; ``missing``: in vain.
    """

    allowed: bool
    found: int
    missing: int


class Auth:
    """
    Who may do what; ``apply`` answers :class:`Done` or :class:`Refused`.

    :ivar index: rises with each change, 0: there was none.
    :ivar enabled: whether anybody is asked who he is.
    :ivar written: whether etcd would have made its folders.
    """

    name = "auth"
    required = False

    def __init__(self) -> None:
        self.index = 0
        self.enabled = False
        self.written = False
        self._users: dict[str, User] = {}
        self._roles: dict[str, Role] = {}
        self._writes: list[InternalWrite] = []

    # -- what is known --

    def user(self, name: str) -> User | None:
        """As etcd reads it: user root has role root."""
        user = self._users.get(name)
        return None if user is None else user.with_root()

    def password_hash(self, name: str) -> str:
        """A user's, empty when there is no such user."""
        user = self._users.get(name)
        return "" if user is None else user.password_hash

    def role(self, name: str) -> Role | None:
        return ROOT_ROLE if name == ROOT else self._roles.get(name)

    def user_names(self) -> list[str]:
        """In the order of their bytes; those that etcd's store hides are left out."""
        return _shown(self._users)

    def role_names(self) -> list[str]:
        """As the users', with root's."""
        return _shown((*self._roles, ROOT))

    def judge(
        self, asker: Asker, path: str, *, write: bool, recursive: bool
    ) -> Verdict:
        """
        Whether a request for keys is allowed, while authentication is on.

        :param path: as sent, with the slash that it may end with; empty for the root.
        """
        if not asker.user:
            # Also recursively a guest is judged by the plain rule, as in etcd.
            role = self.role(GUEST)
            if role is None:
                return Verdict(False, 0, 1)
            allowed = role.permissions.allow(path, write=write, recursive=False)
            return Verdict(allowed, 1, 0)
        user = self.user(asker.user)
        if user is None or user.since > asker.index:
            return Verdict(False, 0, 0)
        found = missing = 0
        for name in user.roles or ():
            if name == ROOT:
                return Verdict(True, found, missing)
            role = self._roles.get(name)
            if role is None:
                missing += 1
                continue
            found += 1
            if role.permissions.allow(path, write=write, recursive=recursive):
                return Verdict(True, found, missing)
        return Verdict(False, found, missing)

    def is_root(self, asker: Asker) -> bool:
        """Whether it may do everything; everybody may while authentication is off."""
        if not self.enabled:
            return True
        user = self.user(asker.user)
        return (
            user is not None
            and user.since <= asker.index
            and ROOT in (user.roles or ())
        )

    # -- the log --

    def apply(self, *, index: int, time_ns: int, body: bytes) -> object:
        """:returns: Done, Refused, or a RequestError for bytes that say nothing."""
        del index, time_ns
        try:
            by, change = decode_auth_request(body)
        except RequestError as refusal:
            return refusal
        if not self.is_root(by):
            return Refused(401, INSUFFICIENT)
        if isinstance(change, PutUser):
            return self._put_user(change)
        if isinstance(change, PutRole):
            return self._put_role(change)
        if isinstance(change, RemoveUser):
            return self._remove_user(change.name)
        if isinstance(change, RemoveRole):
            return self._remove_role(change.name)
        return self._turn(change)

    def _put_user(self, asked: PutUser) -> Done | Refused:
        name = asked.name
        old = self.user(name)
        updates = bool(asked.grant or asked.revoke)
        if old is None and updates:
            return Refused(404, f"auth: User {name} does not exist.")
        if old is None or (asked.roles and not updates):
            return self._create_user(asked)
        new = changed_user(old, asked, index=self.index + 1)
        if isinstance(new, Refused):
            return new
        self._users[name] = new
        self._changed("update", f"/users/{name}")
        return Done(new)

    def _create_user(self, asked: PutUser) -> Done | Refused:
        name = asked.name
        if not asked.password_hash:
            return Refused(
                400, f"auth: Cannot create user {name} with an empty password"
            )
        if name in self._users:
            self._failed("create", f"/users/{name}")
            return Refused(409, f"auth: User {name} already exists.")
        user = User(name, asked.password_hash, asked.roles, self.index + 1).with_root()
        self._users[name] = user
        self._changed("create", f"/users/{name}")
        return Done(user, created=True)

    def _put_role(self, asked: PutRole) -> Done | Refused:
        name = asked.name
        if name == ROOT:
            return _root_role()
        old = self._roles.get(name)
        if asked.creates:
            if old is not None:
                self._failed("create", f"/roles/{name}")
                return Refused(409, f"auth: Role {name} already exists.")
            role = Role(name, asked.permissions, asked.grant, asked.revoke)
            return self._create_role(role)
        if old is None:
            return Refused(404, f"auth: Role {name} does not exist.")
        new = changed_role(old, asked)
        if isinstance(new, Refused):
            return new
        self._roles[name] = new
        self._changed("update", f"/roles/{name}")
        return Done(new)

    def _create_role(self, role: Role) -> Done:
        self._roles[role.name] = role
        self._changed("create", f"/roles/{role.name}")
        return Done(role, created=True)

    def _remove_user(self, name: str) -> Done | Refused:
        if self.enabled and name == ROOT:
            return Refused(403, "auth: Cannot delete root user while auth is enabled.")
        if self._users.pop(name, None) is None:
            self._failed("delete", f"/users/{name}")
            return Refused(404, f"auth: User {name} does not exist")
        self._changed("delete", f"/users/{name}")
        return Done()

    def _remove_role(self, name: str) -> Done | Refused:
        if name == ROOT:
            return _root_role()
        if self._roles.pop(name, None) is None:
            self._failed("delete", f"/roles/{name}")
            return Refused(404, f"auth: Role {name} doesn't exist.")
        self._changed("delete", f"/roles/{name}")
        return Done()

    def _turn(self, switch: Switch) -> Done | Refused:
        made = False
        if not switch.on:
            if not self.enabled:
                return Refused(409, "auth: already disabled")
        elif self.enabled:
            return Refused(409, "auth: already enabled")
        elif ROOT not in self._users:
            return Refused(409, "auth: No root user available, please create one")
        elif GUEST not in self._roles:
            self._create_role(GUEST_ROLE)
            made = True
        self.enabled = switch.on
        self._changed("update", "/enabled")
        return Done(created=made)

    # -- what it costs the v2 store --

    def _changed(self, action: str, key: str) -> None:
        self.index += 1
        self._prepare()
        self._writes.append(InternalWrite(action, _STORE + key, ""))

    def _failed(self, action: str, key: str) -> None:
        self._prepare()
        self._writes.append(InternalWrite(action, _STORE + key, "", ok=False))

    def _prepare(self) -> None:
        """Before the first write of all etcd makes its folders and its switch."""
        if not self.written:
            self.written = True
            self._writes.extend(
                InternalWrite("create", _STORE + key, "")
                for key in ("", "/users", "/roles", "/enabled")
            )

    def take_writes(self) -> list[InternalWrite]:
        """What must be accounted for since the last call (V2-SPEC 7)."""
        writes, self._writes = self._writes, []
        return writes

    def internal_writes(self, writes: Sequence[InternalWrite]) -> None:
        """Nothing of the others' concerns this machine."""

    def publish(self) -> None:
        """Nobody watches the users."""

    def due(self, *, time_ns: int) -> Sequence[bytes]:
        """No user expires."""
        del time_ns
        return ()

    # -- snapshots --

    def _capture(self) -> Captured:
        return Captured(
            self.enabled,
            self.index,
            self.written,
            tuple(self._users[name] for name in sorted(self._users, key=text_bytes)),
            tuple(self._roles[name] for name in sorted(self._roles, key=text_bytes)),
        )

    def snapshot(self) -> Section:
        return Section(self.name, _VERSION, encode_auth(self._capture()))

    def restoring(self, *, version: int, chunks: Iterable[bytes]) -> Restoring:
        """Version 0: a snapshot of before there was authentication."""
        if version not in {0, _VERSION}:
            raise StorageError(f"auth snapshot of unknown version {version}")
        yield
        captured = decode_auth(chunks) if version else Captured(False, 0, False, (), ())

        def replace() -> None:
            self.enabled = captured.enabled
            self.index = captured.index
            self.written = captured.written
            self._users = {user.name: user for user in captured.users}
            self._roles = {role.name: role for role in captured.roles}
            self._writes.clear()

        return replace

    def digest(self) -> bytes:
        """A hash over everything that must be equal on all members; slow."""
        return hashlib.sha256(b"".join(encode_auth(self._capture()))).digest()


def _shown(names: Iterable[str]) -> list[str]:
    return sorted((name for name in names if name[:1] != "_"), key=text_bytes)


def _root_role() -> Refused:
    return Refused(403, "auth: Cannot modify role root: is root role.")
