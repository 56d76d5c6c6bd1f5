"""What a request to a cluster can come to, other than its result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import attrs

from kvd.errors import KvdError


class ClientError(KvdError):
    """
    Anything that a client raises.

    .. versionadded:: 0.1
    """


@attrs.frozen
class Attempt:
    """
    One endpoint that was tried, and what came of it.

    .. versionadded:: 0.1
    """

    endpoint: str
    problem: str

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.problem}"


class NoAnswer(ClientError):
    """
    No endpoint answered; nothing was changed by it.

    :ivar attempts: every endpoint that was tried, in that order.

    .. versionadded:: 0.1
    """

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        super().__init__(
            "; ".join(map(str, attempts)) or "there is no endpoint to be asked"
        )
        self.attempts = tuple(attempts)


class Unknown(ClientError):
    """
    A write was sent, and what came of it is not known: done, not done, or done later.

    It is not sent again: who knows what it means may read, and then decide.

    :ivar attempts: every endpoint that was tried; the last one may have taken it.

    .. versionadded:: 0.1
    """

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        super().__init__("; ".join(map(str, attempts)))
        self.attempts = tuple(attempts)


class BadAnswer(Unknown):
    """
    An answer that no v2 server gives, or a longer one than the client takes.

    .. versionadded:: 0.1
    """

    def __init__(self, endpoint: str, problem: str) -> None:
        super().__init__([Attempt(endpoint, problem)])


class Closed(ClientError):
    """
    The client was closed, or the watch was.

    .. versionadded:: 0.1
    """


class TooMany(ClientError):
    """
    A limit of the client's own; nothing was sent.

    .. versionadded:: 0.1
    """


class Refused(ClientError):
    """
    The server will not do this; of the APIs beside the keys.

    :ivar status: of HTTP, such as 404 or 409.
    :ivar message: the server's words.

    .. versionadded:: 0.1
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class KeysError(ClientError):
    """
    The server will not do this with that key; each code that has a name has a class.

    :ivar code: etcd's error code.
    :ivar message: the server's words for the code.
    :ivar cause: what they are about, often a path; may be empty.
    :ivar index: the etcd index when the request was judged; 0 if it was not understood.

    .. versionadded:: 0.1
    """

    CODE: ClassVar[int] = 0

    def __init__(self, code: int, message: str, cause: str, index: int) -> None:
        super().__init__(f"{code}: {message} ({cause}) [{index}]")
        self.code = code
        self.message = message
        self.cause = cause
        self.index = index


class KeyNotFound(KeysError):
    """
    There is no such key.

    .. versionadded:: 0.1
    """

    CODE = 100


class CompareFailed(KeysError):
    """
    The key is not as it was said to be; the cause shows both.

    .. versionadded:: 0.1
    """

    CODE = 101


class NotAFile(KeysError):
    """
    A directory, where only a key with a value will do.

    .. versionadded:: 0.1
    """

    CODE = 102


class NotADirectory(KeysError):
    """
    A key with a value, where only a directory will do.

    .. versionadded:: 0.1
    """

    CODE = 104


class KeyExists(KeysError):
    """
    The key is there already.

    .. versionadded:: 0.1
    """

    CODE = 105


class RootReadOnly(KeysError):
    """
    The root can be neither written nor removed.

    .. versionadded:: 0.1
    """

    CODE = 107


class DirectoryNotEmpty(KeysError):
    """
    Something is in that directory, maybe hidden.

    .. versionadded:: 0.1
    """

    CODE = 108


class Unauthorized(KeysError):
    """
    This user, or nobody in particular, may not do this.

    .. versionadded:: 0.1
    """

    CODE = 110


class InvalidField(KeysError):
    """
    A field that the server does not understand.

    .. versionadded:: 0.1
    """

    CODE = 209


class InvalidForm(KeysError):
    """
    A request that the server could not read, or that was too long.

    .. versionadded:: 0.1
    """

    CODE = 210


class TtlRequired(KeysError):
    """
    A refresh without a time to live.

    .. versionadded:: 0.1
    """

    CODE = 212


class WatcherCleared(KeysError):
    """
    The server forgot the watch while it recovered.

    .. versionadded:: 0.1
    """

    CODE = 400


class EventIndexCleared(KeysError):
    """
    The history no longer goes back to that index.

    .. versionadded:: 0.1
    """

    CODE = 401


_BY_CODE = {
    each.CODE: each
    for each in (
        KeyNotFound,
        CompareFailed,
        NotAFile,
        NotADirectory,
        KeyExists,
        RootReadOnly,
        DirectoryNotEmpty,
        Unauthorized,
        InvalidField,
        InvalidForm,
        TtlRequired,
        WatcherCleared,
        EventIndexCleared,
    )
}


def keys_error(code: int, message: str, cause: str, index: int) -> KeysError:
    """The error of the code's own class, if it has one."""
    return _BY_CODE.get(code, KeysError)(code, message, cause, index)
