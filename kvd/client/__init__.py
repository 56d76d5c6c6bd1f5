"""
A client for kvd and for etcd's v2 API, on Twisted.

What is named here may be relied on; the modules below may change between releases.

.. versionadded:: 0.1
"""

from kvd.client.client import Client
from kvd.client.errors import (
    Attempt,
    BadAnswer,
    ClientError,
    Closed,
    CompareFailed,
    DirectoryNotEmpty,
    EventIndexCleared,
    InvalidField,
    InvalidForm,
    KeyExists,
    KeyNotFound,
    KeysError,
    NoAnswer,
    NotADirectory,
    NotAFile,
    Refused,
    RootReadOnly,
    TooMany,
    TtlRequired,
    Unauthorized,
    Unknown,
    WatcherCleared,
)
from kvd.client.limits import Limits
from kvd.client.tls import TLS
from kvd.client.values import Event, Member, Node, Response, Role, User, Version
from kvd.client.watching import Change, Relisted, Watch
from kvd.client.wire import Request
from kvd.monotonic import use_monotonic_clock

__all__ = [
    "TLS",
    "Attempt",
    "BadAnswer",
    "Change",
    "Client",
    "ClientError",
    "Closed",
    "CompareFailed",
    "DirectoryNotEmpty",
    "Event",
    "EventIndexCleared",
    "InvalidField",
    "InvalidForm",
    "KeyExists",
    "KeyNotFound",
    "KeysError",
    "Limits",
    "Member",
    "NoAnswer",
    "Node",
    "NotADirectory",
    "NotAFile",
    "Refused",
    "Relisted",
    "Request",
    "Response",
    "Role",
    "RootReadOnly",
    "TooMany",
    "TtlRequired",
    "Unauthorized",
    "Unknown",
    "User",
    "Version",
    "Watch",
    "WatcherCleared",
    "use_monotonic_clock",
]
