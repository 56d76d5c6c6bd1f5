"""Who an ``Authorization`` field is: remembered, or checked with bcrypt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

import attrs
import bcrypt
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from kvd.http.checks import Checks, Lane
from kvd.http.credentials import Credentials, read_credentials
from kvd.http.store import AuthView
from kvd.v2.commands import Asker

_PASSWORD_BYTES_MAX = 72  # bcrypt looks at no more, as etcd's
_KEY_BYTES = 32


class _Right(NamedTuple):
    """Which user a field was, and the hash that it matched."""

    user: str
    hashed: bytes


@attrs.define(eq=False)
class _Check:
    """A check that is under way, and all who wait for it."""

    waiters: list[Deferred[Asker | None]] = attrs.field(factory=list)
    answer: Deferred[bool] | None = None


class Passwords:
    """
    Names for credentials. A name is worth something as long as its user has the hash
    that was matched; see ``docs/design/auth.rst``.

    :param secret: of this process; fields are remembered under a hash keyed with it.
    :param cost: of bcrypt, for new passwords.
    :param remembered_max: right fields, and as many wrong ones.
    """

    def __init__(
        self,
        *,
        auth: AuthView,
        checks: Checks,
        secret: bytes,
        cost: int,
        remembered_max: int,
    ) -> None:
        self._auth = auth
        self._checks = checks
        self._secret = secret[:_KEY_BYTES]
        self._cost = cost
        self._remembered_max = remembered_max
        # What nobody's password matches takes as long as what somebody's does.
        self._nobodys = b"$2a$%02d$%b" % (cost, b"." * 53)
        self._right: OrderedDict[bytes, _Right] = OrderedDict()
        self._wrong: OrderedDict[bytes, bytes] = OrderedDict()  # the hash then
        self._under_way: dict[bytes, _Check] = {}

    def asker(
        self, value: bytes, address: str, look: Callable[[bool], None]
    ) -> Asker | Deferred[Asker | None] | None:
        """
        Who it is, None for nobody.

        :param value: of the field.
        :param look: told whether there is such a user, if one was looked for.
        :raises Unavailable: in the Deferred: too many are being checked.
        """
        key = blake2b(value, key=self._secret).digest()
        right = self._right.get(key)
        if right is not None:
            if self._has(right.user, right.hashed):
                self._right.move_to_end(key)
                look(True)
                return Asker(right.user, self._auth.index)
            del self._right[key]
        credentials = read_credentials(value)
        if credentials is None or not credentials.user:
            return None
        hashed = self._hash_of(credentials.user)
        look(hashed != self._nobodys)
        wrong = self._wrong.get(key)
        if wrong is not None:
            if compare_digest(wrong, hashed):
                self._wrong.move_to_end(key)
                return None
            del self._wrong[key]
        return self._wait(key, credentials, address)

    def hash(self, password: str, address: str) -> Deferred[str]:
        """
        A new hash, in etcd's format; empty for an empty password.

        :raises Unavailable: too many are being checked.
        """
        call = partial(_hash, password.encode("utf-8", "replace"), self._cost)
        return self._checks.run(call, Lane(address, ""))

    def _has(self, user: str, hashed: bytes) -> bool:
        return compare_digest(self._hash_of(user), hashed)

    def _hash_of(self, user: str) -> bytes:
        return self._auth.password_hash(user).encode() or self._nobodys

    def _wait(
        self, key: bytes, credentials: Credentials, address: str
    ) -> Deferred[Asker | None]:
        check = self._under_way.get(key) or _Check()

        def forget(waiter: Deferred[Asker | None]) -> None:
            if waiter in check.waiters:
                check.waiters.remove(waiter)
            if not check.waiters and check.answer is not None:
                self._under_way.pop(key, None)
                check.answer.cancel()

        waiter: Deferred[Asker | None] = Deferred(forget)
        check.waiters.append(waiter)
        if check.answer is None:
            self._under_way[key] = check
            self._check(key, check, credentials, address)
        return waiter

    def _check(
        self, key: bytes, check: _Check, credentials: Credentials, address: str
    ) -> None:
        user, password = credentials.user, credentials.password
        hashed = self._hash_of(user)
        lane = Lane(address, user)

        def checked(matches: bool) -> None:
            if not self._has(user, hashed):
                # It was changed meanwhile: the new one decides.
                self._check(key, check, credentials, address)
                return
            right = matches and hashed != self._nobodys
            self._checks.judged(lane, right=right)
            self._remember(key, user, hashed, right=right)
            self._end(key, check, Asker(user, self._auth.index) if right else None)

        check.answer = self._checks.run(partial(_matches, password, hashed), lane)
        check.answer.addCallbacks(checked, partial(self._failed, key, check))

    def _remember(self, key: bytes, user: str, hashed: bytes, *, right: bool) -> None:
        if right:
            self._right[key] = _Right(user, hashed)
            if len(self._right) > self._remembered_max:
                self._right.popitem(last=False)
        else:
            self._wrong[key] = hashed
            if len(self._wrong) > self._remembered_max:
                self._wrong.popitem(last=False)

    def _failed(self, key: bytes, check: _Check, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self._end(key, check, failure)

    def _end(self, key: bytes, check: _Check, result: Asker | Failure | None) -> None:
        self._under_way.pop(key, None)
        waiters, check.waiters = check.waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(result)


def _matches(password: bytes, hashed: bytes) -> bool:
    """In a thread."""
    try:
        return bcrypt.checkpw(password[:_PASSWORD_BYTES_MAX], hashed)
    except ValueError:  # the hash is none
        return False


def _hash(password: bytes, cost: int) -> str:
    """In a thread."""
    if not password:
        return ""
    salt = bcrypt.gensalt(cost, prefix=b"2a")
    return bcrypt.hashpw(password[:_PASSWORD_BYTES_MAX], salt).decode("ascii")
