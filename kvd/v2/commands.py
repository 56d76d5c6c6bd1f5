"""
What a v2 store can be asked to do through the log, and its encoding.

Bytes of a command, numbers big-endian (``docs/design/request-format.rst``)::

    version:1 op:1 flags:1 prev_index:8 expiration:8 limit:4
    path_bytes:4 value_bytes:4 prev_value_bytes:4  path value prev_value

While authentication is on, who asks stands before it (``docs/design/auth.rst``)::

    version:1 (= 2) slash:1 auth_index:8 user_bytes:4  user  command of version 1
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from kvd.errors import RequestError
from kvd.v2.text import text_bytes

_VERSION = 1
_HEAD = struct.Struct(">BBBQqIIII")
_CHECKED_VERSION = 2
_CHECKED_HEAD = struct.Struct(">BBQI")
_DIR, _REFRESH, _RECURSIVE, _EXPIRES, _PREV_VALUE = 1, 2, 4, 8, 16
_ALL_FLAGS = 31
_UNDECODABLE = 300


class Op(IntEnum):
    """The operations of V2-SPEC 4.1 that change something."""

    SET = 1
    CREATE = 2
    CREATE_IN_ORDER = 3  # POST: path is the directory
    UPDATE = 4
    COMPARE_AND_SWAP = 5
    DELETE = 6
    COMPARE_AND_DELETE = 7
    SYNC = 8  # expire what is due at ``expiration_ns``; path is empty


_OPS = {int(op): op for op in Op}


class Asker(NamedTuple):
    """
    Who asks, as whoever let the request in has found out.

    :ivar user: a name that was believed; empty: a guest.
    :ivar index: the auth index at that time.
    """

    user: str = ""
    index: int = 0  # type: ignore[assignment]  # hides tuple.index, unused


class Command(NamedTuple):
    """
    One request; fields that an operation does not use keep their defaults.

    :ivar path: absolute, clean, ``/`` for the root; surrogateescape as in NodeView.
    :ivar prev_value: None: not compared.
    :ivar prev_index: 0: not compared.
    :ivar expiration_ns: None: permanent. Already wrapped as V2-SPEC 6 says.
    :ivar limit: SYNC: at most so many nodes expire, 0: all that are due.
    :ivar by: None: nobody was asked who he is.
    :ivar slash: the path that was asked for ended with a slash.
    """

    op: Op
    path: str
    value: str = ""
    dir: bool = False
    expiration_ns: int | None = None
    refresh: bool = False
    prev_value: str | None = None
    prev_index: int = 0
    recursive: bool = False
    limit: int = 0
    by: Asker | None = None
    slash: bool = False

    @property
    def asked_path(self) -> str:
        """The path that permissions are about."""
        path = "" if self.path == "/" else self.path
        return f"{path}/" if self.slash else path


def encode_command(command: Command) -> bytes:
    """:raises RequestError: a number does not fit its field."""
    (
        op,
        path,
        value,
        is_dir,
        expires,
        refresh,
        prev,
        prev_index,
        recursive,
        limit,
        by,
        slash,
    ) = command
    path_bytes = text_bytes(path)
    value_bytes = text_bytes(value)
    prev_bytes = b"" if prev is None else text_bytes(prev)
    flags = (
        (_DIR if is_dir else 0)
        | (_REFRESH if refresh else 0)
        | (_RECURSIVE if recursive else 0)
        | (0 if expires is None else _EXPIRES)
        | (0 if prev is None else _PREV_VALUE)
    )
    try:
        head = _HEAD.pack(
            _VERSION,
            op,
            flags,
            prev_index,
            expires or 0,
            limit,
            len(path_bytes),
            len(value_bytes),
            len(prev_bytes),
        )
        parts = (head, path_bytes, value_bytes, prev_bytes)
        if by is None:
            return b"".join(parts)
        user = text_bytes(by.user)
        checked = _CHECKED_HEAD.pack(_CHECKED_VERSION, slash, by.index, len(user))
    except struct.error:
        raise RequestError(_UNDECODABLE, "a number of the command is too big") from None
    return b"".join((checked, user, *parts))


def decode_command(body: bytes) -> Command:
    """:raises RequestError: these bytes are no command of a known version."""
    if body[:1] == b"\2":
        return _decode_checked(body)
    try:
        (
            version,
            number,
            flags,
            prev_index,
            expires,
            limit,
            path_size,
            value_size,
            prev_size,
        ) = _HEAD.unpack_from(body)
    except struct.error:
        raise _undecodable("too short") from None
    op = _OPS.get(number)
    if version != _VERSION or op is None or flags > _ALL_FLAGS:
        raise _undecodable("version, operation or flags unknown")
    value_at = _HEAD.size + path_size
    prev_at = value_at + value_size
    if prev_at + prev_size != len(body):
        raise _undecodable("length wrong")
    path = body[_HEAD.size : value_at].decode("utf-8", "surrogateescape")
    if op is not Op.SYNC and (
        path[:1] != "/" or "//" in path or (path[-1] == "/" and path != "/")
    ):
        raise _undecodable("path not clean")
    return Command(
        op,
        path,
        body[value_at:prev_at].decode("utf-8", "surrogateescape"),
        flags & _DIR != 0,
        _expiration(op, expires) if flags & _EXPIRES else None,
        flags & _REFRESH != 0,
        body[prev_at:].decode("utf-8", "surrogateescape")
        if flags & _PREV_VALUE
        else None,
        prev_index,
        flags & _RECURSIVE != 0,
        limit,
    )


def _decode_checked(body: bytes) -> Command:
    try:
        _, slash, index, size = _CHECKED_HEAD.unpack_from(body)
    except struct.error:
        raise _undecodable("too short") from None
    at = _CHECKED_HEAD.size + size
    inner = body[at:]
    if slash > 1 or inner[:1] == b"\2":
        raise _undecodable("slash or version unknown")
    user = body[_CHECKED_HEAD.size : at].decode("utf-8", "surrogateescape")
    return decode_command(inner)._replace(by=Asker(user, index), slash=slash == 1)


def _expiration(op: Op, instant: int) -> int | None:
    """A node cannot end at the instant 0: etcd takes that as permanent."""
    return instant if op is Op.SYNC else instant or None


def _undecodable(why: str) -> RequestError:
    return RequestError(_UNDECODABLE, f"undecodable command: {why}")
